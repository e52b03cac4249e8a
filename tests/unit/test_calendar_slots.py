"""Which times does a calendar offer, given its rules and what is taken? And which rules are refused?"""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.calendars import slots
from voiceagents.calendars.base import Attendee, CalendarProblem, require_contact
from voiceagents.calendars.rules import Rules, rules_of

pytestmark = pytest.mark.unit

NEW_YORK = ZoneInfo("America/New_York")
MONDAY = datetime(2026, 10, 5, 8, 0, tzinfo=NEW_YORK)


def rules(**given_: Any) -> Rules:
    return Rules(**{"zone": "America/New_York", "hours": "mon-fri 09:00-12:00", "notice_minutes": 0} | given_)


def at(hour: int, minute: int = 0, day: int = 5) -> datetime:
    return datetime(2026, 10, day, hour, minute, tzinfo=NEW_YORK)


def starts(
    given_: Rules, busy: list[slots.Busy] | None = None, now: datetime = MONDAY, days: int = 1, since: datetime = MONDAY
) -> list[str]:
    free = slots.free(given_, now, since, since + timedelta(days=days), busy or [])
    return [f"{slot.start.astimezone(given_.place):%H:%M}" for slot in free]


def test_slots_fill_the_working_hours_and_end_within_them() -> None:
    assert starts(rules()) == ["09:00", "09:30", "10:00", "10:30", "11:00", "11:30"]
    assert starts(rules(slot_minutes=50)) == ["09:00", "09:50", "10:40"]
    assert starts(rules(slot_minutes=60, step_minutes=30)) == ["09:00", "09:30", "10:00", "10:30", "11:00"]
    assert starts(rules(hours="mon 09:00-10:00, 11:00-12:00")) == ["09:00", "09:30", "11:00", "11:30"]


def test_what_is_taken_is_not_free_and_what_only_touches_a_slot_leaves_it_free() -> None:
    assert starts(rules(), [(at(9, 45), at(10, 30))]) == ["09:00", "10:30", "11:00", "11:30"]
    assert starts(rules(), [(at(9, 30), at(10))]) == ["09:00", "10:00", "10:30", "11:00", "11:30"]
    assert starts(rules(), [(at(0), at(23))]) == []
    assert starts(rules(), [(at(10), at(10))]) == starts(rules())  # takes no time


def test_overlapping_and_unordered_things_are_all_seen() -> None:
    busy = [(at(11), at(11, 30)), (at(9), at(11)), (at(9, 15), at(9, 20))]
    assert starts(rules(), busy) == ["11:30"]


def test_buffers_keep_time_free_before_and_after() -> None:
    taken = [(at(10), at(10, 30))]
    assert starts(rules(buffer_before_minutes=15), taken) == ["09:00", "09:30", "11:00", "11:30"]
    assert starts(rules(buffer_after_minutes=15), taken) == ["09:00", "10:30", "11:00", "11:30"]


def test_notice_and_horizon_limit_what_is_offered() -> None:
    assert starts(rules(notice_minutes=120), now=at(8, 30)) == ["10:30", "11:00", "11:30"]
    assert starts(rules(horizon_days=1), now=at(10), days=5, since=at(10)) == [
        "10:00", "10:30", "11:00", "11:30", "09:00", "09:30",
    ]  # fmt: skip


def test_days_off_and_holidays_are_closed() -> None:
    week = rules(days_off=["2026-10-06/2026-10-08"])
    assert starts(week, days=5, since=at(12))[:1] == ["09:00"]
    assert len(starts(week, days=5)) == 12  # Monday and Friday
    assert starts(rules(holidays_of="US"), now=MONDAY, since=at(8, day=12)) == []  # Columbus Day


def test_slots_do_not_shift_when_asked_for_from_the_middle_of_a_day() -> None:
    assert starts(rules(slot_minutes=40), since=at(9, 10))[:3] == ["09:40", "10:20", "11:00"]


def test_hours_over_midnight_and_around_the_clock() -> None:
    night = rules(hours="mon 22:00-02:00", slot_minutes=60)
    assert starts(night, since=at(20)) == ["22:00", "23:00", "00:00", "01:00"]
    assert len(starts(rules(hours="daily 00:00-24:00"), days=2)) == 96


@pytest.mark.parametrize(
    ("day", "hour"),
    [(datetime(2026, 10, 30, tzinfo=NEW_YORK), 13), (datetime(2026, 11, 2, tzinfo=NEW_YORK), 14)],
)
def test_the_first_slot_stays_at_nine_when_the_clocks_change(day: datetime, hour: int) -> None:
    offer = slots.free(rules(hours="mon-fri 09:00-17:00"), MONDAY, day, day + timedelta(days=1), [])
    slot = next(offer)
    assert slot.start == datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
    assert slots.why_refused(rules(), MONDAY, slot.start) is None


def test_a_night_with_an_hour_twice_has_more_slots_and_one_with_a_skipped_hour_fewer() -> None:
    night = rules(hours="sun 00:00-04:00", slot_minutes=30)
    autumn, spring = datetime(2026, 11, 1, tzinfo=NEW_YORK), datetime(2027, 3, 14, tzinfo=NEW_YORK)
    counts = [len(list(slots.free(night, d, d, d + timedelta(hours=12), []))) for d in (autumn, spring)]
    assert counts == [10, 6]


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (at(7), "past"),
        (at(9), "too soon: bookings need an hour's notice"),
        (at(9, day=5) + timedelta(days=70), "60 days ahead at most"),
        (at(14, day=6), "outside the working hours (mon-fri 09:00-12:00, America/New_York)"),
        (at(10, day=10), "outside the working hours"),
        (at(10, day=7), "2026-10-07 is a blackout date"),
        (at(9, 10, day=6), "no appointment begins at that time"),
        (at(11, 45, day=6), "no appointment begins at that time"),
    ],
)
def test_a_refused_time_says_why(start: datetime, why: str) -> None:
    given_ = rules(notice_minutes=60, days_off=["2026-10-07"])
    assert why in (slots.why_refused(given_, at(8, 30), start) or "")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"zone": "Mars/Olympus"}, "not a time zone"),
        ({"hours": "mon-fri 25:99-17:00"}, "not a time of day"),
        ({"hours": ""}, "no weekday"),
        ({"slot_minutes": 0}, "slot_minutes"),
        ({"days_off": ["Christmas"]}, "not a date"),
        ({"holidays_of": "XX"}, "no holidays are known"),
        ({"hour": "mon"}, "hour: is no setting of it"),
    ],
)
def test_rules_that_make_no_sense_are_refused_with_the_mend(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(CalendarProblem, match=why):
        rules_of(settings, "front-desk")


def test_rules_are_kept_without_their_defaults() -> None:
    assert rules(hours="mon-fri 09:00-17:00").stored() == {"zone": "America/New_York", "notice_minutes": 0}


def test_somebody_who_cannot_be_found_again_cannot_book() -> None:
    with pytest.raises(CalendarProblem, match="ask for one"):
        require_contact(Attendee("Ana"))
    with pytest.raises(CalendarProblem, match=r"E\.164"):
        require_contact(Attendee("Ana", phone="anonymous"))
    require_contact(Attendee("Ana", email="ana@example.com"))


minutes = st.integers(0, 60 * 24 * 21)


@given(
    st.sampled_from(["America/New_York", "Europe/Berlin", "Asia/Kolkata", "UTC"]),
    st.sampled_from(["mon-fri 09:00-17:00", "daily 22:00-03:00", "sun 00:00-24:00", "mon 09:00-09:45"]),
    st.sampled_from([15, 30, 50]),
    st.sampled_from([0, 10]),
    st.lists(st.tuples(minutes, st.integers(0, 600)), max_size=8),
    minutes,
)
def test_every_free_slot_may_be_booked_and_touches_nothing_taken(
    zone: str, hours: str, length: int, buffer: int, taken: list[tuple[int, int]], since: int
) -> None:
    given_ = Rules(
        zone=zone, hours=hours, slot_minutes=length, buffer_before_minutes=buffer, buffer_after_minutes=buffer
    )
    now = datetime(2026, 10, 20, tzinfo=UTC)
    busy = [(now + timedelta(minutes=a), now + timedelta(minutes=a + b)) for a, b in taken]
    start = now + timedelta(minutes=since)
    found = list(slots.free(given_, now, start, start + timedelta(days=8), busy))
    for slot in found:
        assert start <= slot.start
        assert slots.why_refused(given_, now, slot.start) is None
        gap = timedelta(minutes=buffer)
        assert all(until <= slot.start - gap or from_ >= slot.end + gap for from_, until in busy if until > from_)
    everything = slots.offered(given_, now, start, start + timedelta(days=8))
    assert found == sorted(found)
    assert set(found) <= set(everything)
