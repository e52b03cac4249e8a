"""Is the business open now? By the clock of its own zone; what cannot be understood is closed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.assistants.hours import Opening, opening

pytestmark = pytest.mark.unit

WEEKDAYS = {day: [["09:00", "12:00"], ["13:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
NIGHT = {"fri": [["20:00", "02:00"]]}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("hours", "zone", "instant", "is_open"),
    [
        pytest.param(None, None, "2026-11-25T03:00Z", True, id="no-hours-is-always-open"),
        pytest.param(WEEKDAYS, "America/New_York", "2026-11-25T14:00Z", True, id="opens-on-the-minute"),
        pytest.param(WEEKDAYS, "America/New_York", "2026-11-25T13:59:59Z", False, id="a-second-before"),
        pytest.param(WEEKDAYS, "America/New_York", "2026-11-25T17:30Z", False, id="lunch"),
        pytest.param(WEEKDAYS, "America/New_York", "2026-11-25T22:00Z", False, id="closes-on-the-minute"),
        pytest.param(WEEKDAYS, "America/New_York", "2026-11-28T15:00Z", False, id="saturday"),
        # TC-088: local hours follow the clock changes.
        pytest.param(WEEKDAYS, "America/New_York", "2026-07-15T13:00Z", True, id="summer"),
        pytest.param(WEEKDAYS, "America/New_York", "2026-01-14T13:00Z", False, id="winter"),
        # TC-089: whatever the server's own zone.
        pytest.param(WEEKDAYS, "Asia/Kolkata", "2026-10-05T04:00Z", True, id="kolkata-morning"),
        pytest.param(WEEKDAYS, "Asia/Kolkata", "2026-10-05T12:00Z", False, id="kolkata-evening"),
        pytest.param(NIGHT, "Europe/Berlin", "2026-11-27T23:30Z", True, id="over-midnight"),
        pytest.param(NIGHT, "Europe/Berlin", "2026-11-28T01:00Z", False, id="after-the-night"),
        pytest.param(WEEKDAYS, "america/new_york", "2026-11-25T15:00Z", True, id="zone-in-small-letters"),
    ],
)
def test_the_business_is_open_by_its_own_clock(
    hours: dict[str, Any] | None, zone: str | None, instant: str, is_open: bool
) -> None:
    found = opening(hours, zone, at(instant))
    assert found.is_open is is_open
    assert bool(found.why) is not is_open


@pytest.mark.parametrize(
    ("hours", "zone"),
    [
        ({}, "UTC"),
        ({"mon": []}, "UTC"),
        ({"mon": [["09:00", "09:00"]]}, "UTC"),
        ({"mon": [["25:99", "17:00"]]}, "UTC"),
        ({"mon": [["", "17:00"]]}, "UTC"),
        ({"mon": [["9:00 AM", "5 PM"]]}, "UTC"),
        ({"someday": [["09:00", "17:00"]]}, "UTC"),
        ({"mon": "09:00-17:00"}, "UTC"),
        ({"mon": [["00:00", "24:00"]]}, None),
        ({"mon": [["00:00", "24:00"]]}, ""),
        ({"mon": [["00:00", "24:00"]]}, "Mars/Olympus"),
        ({"mon": [["00:00", "24:00"]]}, "EST"),
        ({1: [["00:00", "24:00"]]}, "UTC"),
    ],
)
def test_what_cannot_be_understood_is_closed_and_says_why(hours: dict[str, Any], zone: str | None) -> None:  # TC-092
    found = opening(hours, zone, at("2026-11-23T12:00Z"))
    assert not found.is_open
    assert found.why
    assert found.opens_at is None


def test_a_closed_business_knows_when_it_opens_next() -> None:
    found = opening(
        WEEKDAYS, "America/New_York", at("2026-10-30T22:00Z")
    )  # Friday evening; the clocks change on Sunday
    assert found.opens_at == at("2026-11-02T14:00Z")
    local = found.opens_at_local
    assert local is not None
    assert (local.strftime("%a %H:%M"), local.utcoffset()) == ("Mon 09:00", timedelta(hours=-5))
    assert opening(None, None, at("2026-11-25T03:00Z")) == Opening(True)


def test_an_instant_without_a_zone_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="zone"):
        opening(WEEKDAYS, "UTC", datetime(2026, 11, 25, 12))  # noqa: DTZ001  what is tested


@given(
    st.integers(0, 15 * 366 * 24 * 60).map(
        lambda minutes: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes)
    ),
    st.sampled_from(["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC"]),
)
def test_it_is_closed_until_it_opens_and_open_then(instant: datetime, zone: str) -> None:
    found = opening(WEEKDAYS, zone, instant)
    if found.is_open:
        return
    assert found.opens_at is not None
    assert found.opens_at > instant
    assert opening(WEEKDAYS, zone, found.opens_at).is_open
    assert not opening(WEEKDAYS, zone, found.opens_at - timedelta(minutes=1)).is_open
