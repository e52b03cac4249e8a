"""What may be set on a campaign: read as people write it, kept as the table keeps it, refused with the mend."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from voiceagents.campaigns.terms import Terms

pytestmark = pytest.mark.unit


def columns(**given: Any) -> dict[str, Any]:
    return Terms.model_validate(given).columns("UTC")


def refusal(**given: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        Terms.model_validate(given)
    return " ".join(problem["msg"] for problem in caught.value.errors())


def test_only_what_was_given_counts() -> None:
    assert columns() == {}
    assert columns(priority="7") == {"priority": 7}


@pytest.mark.parametrize("word", ["none", "None", " unlimited ", ""])
@pytest.mark.parametrize(
    "limit", ["max_concurrent", "calls_per_second", "daily_cap", "attempts_per_day", "attempts_per_number"]
)
def test_a_limit_is_taken_away_by_a_word(limit: str, word: str) -> None:
    assert columns(**{limit: word}) == {limit: None}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"calls_per_second": "0.5"}, {"calls_per_second": 0.5}),
        ({"daily_cap": "100"}, {"daily_cap": 100}),
        ({"time_zone": "america/new_york"}, {"time_zone": "America/New_York"}),
        ({"default_region": " us "}, {"default_region": "US"}),
        ({"default_region": "no"}, {"default_region": "NO"}),
        ({"default_region": "none"}, {"default_region": None}),
        ({"holidays_of": "NO"}, {"holidays_of": "NO"}),
        ({"holidays_of": "de-by"}, {"holidays_of": "DE-BY"}),
        ({"holidays_of": "none"}, {"holidays_of": None}),
        ({"blackout": ["2026-12-24", "2026-12-31/2027-01-02"]}, {"blackout": ["2026-12-24", "2026-12-31/2027-01-02"]}),
        ({"window": "mon 9:00-12:00"}, {"window": {"mon": [["09:00", "12:00"]]}}),
        ({"window": '{"mon": [["09:00", "12:00"]]}'}, {"window": {"mon": [["09:00", "12:00"]]}}),
        ({"minimum_gap": "2h"}, {"minimum_gap_seconds": 7200}),
        ({"minimum_gap": "0"}, {"minimum_gap_seconds": 0}),
        ({"minimum_gap": "none"}, {"minimum_gap_seconds": 0}),
        ({"retry": '{"busy": {"attempts": 2}}'}, {"retry": {"busy": {"attempts": 2}}}),
        ({"retry": "defaults"}, {"retry": {}}),
        ({"trunk_id": "none"}, {"trunk_id": None}),
    ],
)
def test_values_are_read_as_people_write_them(given: dict[str, Any], kept: dict[str, Any]) -> None:
    assert columns(**given) == kept


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"name": "  "}, "at least 1 character"),
        ({"priority": "11"}, "less than or equal to 10"),
        ({"priority": "0"}, "greater than or equal to 1"),
        ({"max_concurrent": "0"}, "greater than or equal to 1"),
        ({"max_concurrent": "many"}, "valid integer"),
        ({"calls_per_second": "0"}, "greater than 0"),
        ({"calls_per_second": "nan"}, "less than or equal to 1000"),
        ({"time_zone": "EST"}, "America/New_York"),
        ({"time_zone": "Mars/Base"}, "not a time zone"),
        ({"default_region": "XX"}, "no region"),
        ({"holidays_of": "ZZ"}, "no holidays are known"),
        ({"window": "mon"}, "must name weekdays and their hours"),
        ({"window": {}}, "open on no weekday"),
        ({"blackout": ["24.12.2026"]}, "write it as 2026-12-24"),
        ({"minimum_gap": "soon"}, "write it as 90s, 30m, 4h or 1d"),
        ({"retry": "{"}, "broken JSON"),
        ({"retry": '{"buzy": {}}'}, "no such cause"),
        ({"retry": '{"opted_out": {"attempts": 2}}'}, "always final"),
        ({"retry": "[]"}, "object of causes"),
        ({"starts_at": "tomorrow"}, "write it as 2026-12-24"),
        ({"starts_at": "2026-13-01"}, "write it as 2026-12-24"),
        ({"colour": "red"}, "not permitted"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_mend(given: dict[str, Any], words: str) -> None:
    assert words in refusal(**given)


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ("2026-07-01", datetime(2026, 7, 1, 4, 0, tzinfo=UTC)),
        ("2026-07-01 09:30", datetime(2026, 7, 1, 13, 30, tzinfo=UTC)),
        ("2026-07-01T09:30+02:00", datetime(2026, 7, 1, 7, 30, tzinfo=UTC)),
        ("none", None),
    ],
)
def test_a_start_without_an_offset_is_read_by_the_campaigns_clock(given: str, start: datetime | None) -> None:
    assert Terms.model_validate({"starts_at": given}).columns("America/New_York") == {"starts_at": start}


def test_a_zone_given_beside_a_start_is_the_one_it_is_read_by() -> None:
    given = columns(starts_at="2026-07-01 09:30", time_zone="Europe/Berlin")
    assert given["starts_at"] == datetime(2026, 7, 1, 7, 30, tzinfo=UTC)


def test_a_last_day_is_over_at_its_end() -> None:
    assert columns(expires_at="2026-07-01") == {"expires_at": datetime(2026, 7, 2, tzinfo=UTC)}
    assert columns(expires_at="2026-07-01 17:00") == {"expires_at": datetime(2026, 7, 1, 17, tzinfo=UTC)}


@pytest.mark.parametrize("value", ["0001-01-01", "9999-12-31", "9999-12-31T23:59-12:00", "1999-12-31 23:59"])
def test_a_time_that_no_campaign_has_is_refused_and_not_an_overflow(value: str) -> None:
    for field in ("starts_at", "expires_at"):
        with pytest.raises(ValidationError, match="2000 to 2999"):
            Terms.model_validate({field: value})
