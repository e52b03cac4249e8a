"""When a campaign will be finished, against sums that can be done by hand."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceagents.campaigns.forecast import Forecast, Limits, Observed, forecast
from voiceagents.windows import CallingWindow

pytestmark = pytest.mark.unit

ZONE = ZoneInfo("America/New_York")
ALWAYS = CallingWindow.parse("daily 00:00-24:00")
OFFICE = CallingWindow.parse("mon-fri 09:00-17:00")
NOW = datetime(2026, 10, 6, 13, tzinfo=UTC)  # Tuesday, 9:00 in New York
# So many calls that what is assumed beforehand does not matter: half answered, 60 s on average.
MANY = Observed(500_000, 50_000_000, 500_000, 10_000_000)
DAY = timedelta(days=1)


def asked(waiting: dict[int, int], limits: Limits, window: CallingWindow = ALWAYS, dialled_today: int = 0) -> Forecast:
    return forecast(waiting, MANY, limits, window, (ZONE,), NOW, dialled_today)


def hours_from_now(result: Forecast) -> float:
    assert result.finish is not None
    return (result.finish - NOW).total_seconds() / 3600


def test_calls_at_once_and_their_length_give_the_rate() -> None:
    result = asked({0: 600}, Limits(concurrent=10, attempts=1))
    assert (result.dials, result.per_hour, result.limited_by) == (600, 600, "calls at once")
    assert hours_from_now(result) == pytest.approx(1 + 1 / 60, rel=0.01)


def test_calls_per_second_limit_the_rate() -> None:
    result = asked({0: 600}, Limits(concurrent=1000, calls_per_second=0.5, attempts=1))
    assert (result.per_hour, result.limited_by) == (1800, "calls per second")


def test_who_does_not_answer_is_dialled_again_and_those_dials_are_counted() -> None:
    # Half answer: 400 first attempts, 200 second, 100 third; who had two has one left.
    assert asked({0: 400}, Limits(concurrent=10, attempts=3)).dials == 700
    assert asked({2: 400}, Limits(concurrent=10, attempts=3)).dials == 400
    assert asked({3: 400}, Limits(concurrent=10, attempts=3)).dials == 0


def test_dials_go_out_only_in_open_hours() -> None:
    # 8 hours a day at 600 an hour are 4,800; the rest of an hour is the day after, from 9:00.
    result = asked({0: 5400}, Limits(concurrent=10, attempts=1), OFFICE)
    assert result.finish is not None
    assert abs(result.finish - (NOW + DAY + timedelta(hours=1))) < timedelta(minutes=3)


def test_a_daily_cap_spreads_the_dials_over_days() -> None:
    result = asked({0: 250}, Limits(concurrent=10, daily_cap=100, attempts=1), OFFICE, dialled_today=50)
    assert result.limited_by == "the daily cap"
    assert result.finish is not None
    assert result.finish.astimezone(ZONE).date().isoformat() == "2026-10-08"


def test_the_wait_between_attempts_keeps_a_small_campaign_open() -> None:
    result = asked({0: 2}, Limits(concurrent=10, attempts=4, retry_delay=DAY))
    assert result.limited_by == "the wait between attempts"
    assert result.finish is not None
    assert DAY <= result.finish - NOW < 4 * DAY


def test_nothing_left_is_finished_now() -> None:
    assert asked({}, Limits(concurrent=10)).finish == NOW
    assert asked({0: 0}, Limits(concurrent=10)).finish == NOW


@pytest.mark.parametrize(
    ("limits", "window", "by"),
    [
        (Limits(concurrent=0), ALWAYS, "calls at once"),
        (Limits(concurrent=10, daily_cap=0), ALWAYS, "the daily cap"),
        (Limits(concurrent=10), CallingWindow.stored("broken"), "the calling window"),
        (Limits(concurrent=10, daily_cap=1), ALWAYS, "the daily cap"),
    ],
)
def test_what_never_ends_says_what_stands_in_the_way(limits: Limits, window: CallingWindow, by: str) -> None:
    result = asked({0: 10_000}, limits, window)
    assert result.finish is None
    assert result.limited_by == by
    assert by in result.words


def test_before_the_first_call_something_sane_is_assumed() -> None:
    fresh = Observed()
    assert fresh.answer_rate == pytest.approx(0.3)
    assert 25 < fresh.seconds_per_call < 90
    assert Observed(answered=90, unanswered=10).answer_rate > 0.8


@given(
    contacts=st.integers(0, 5000),
    more=st.integers(0, 5000),
    concurrent=st.integers(1, 50),
    answered=st.integers(0, 100),
    unanswered=st.integers(0, 100),
)
@settings(max_examples=60, deadline=None)
def test_more_contacts_never_finish_sooner_and_more_lines_never_later(
    contacts: int, more: int, concurrent: int, answered: int, unanswered: int
) -> None:
    seen = Observed(answered, answered * 80.0, unanswered, unanswered * 20.0)

    def finish(count: int, lines: int) -> datetime:
        result = forecast({0: count}, seen, Limits(lines), OFFICE, (ZONE,), NOW)
        assert result.finish is not None
        assert result.finish >= NOW
        return result.finish

    assert finish(contacts + more, concurrent) >= finish(contacts, concurrent)
    assert finish(contacts, concurrent + 1) <= finish(contacts, concurrent)
