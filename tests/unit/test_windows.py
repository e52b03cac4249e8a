"""The calling window: what may be saved, when it is open, and when it opens next, also when the clocks change."""

import os
import time as process_time
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceagents.closed_days import ClosedDays, ClosedDaysError
from voiceagents.windows import (
    WEEKDAYS,
    CallingWindow,
    WindowError,
    at_local,
    start_of_day,
    start_of_next_day,
)

pytestmark = pytest.mark.unit

NEW_YORK = ZoneInfo("America/New_York")
KOLKATA = ZoneInfo("Asia/Kolkata")
BERLIN = ZoneInfo("Europe/Berlin")
LOS_ANGELES = ZoneInfo("America/Los_Angeles")
MINUTE = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.fixture
def server_zone(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    process_time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    process_time.tzset()


@pytest.mark.parametrize(
    ("instant", "is_open"),
    [
        ("2026-07-15T22:30", False),
        ("2026-07-15T23:30", True),
        ("2026-07-16T01:30", False),
        ("2026-01-14T23:30", False),
        ("2026-01-15T00:30", True),
    ],
)
def test_hours_stay_local_in_summer_and_winter(instant: str, is_open: bool) -> None:
    """TC-088."""
    assert CallingWindow.parse("daily 19:00-21:00").is_open(utc(instant), NEW_YORK) is is_open


@pytest.mark.parametrize("server_zone", ["UTC", "America/Los_Angeles"], indirect=True)
def test_the_zone_of_the_server_changes_nothing(server_zone: None) -> None:
    """TC-089."""
    window = CallingWindow.stored("daily 09:00-17:00")
    assert window.is_open(utc("2026-10-05T04:00"), KOLKATA)
    assert not window.is_open(utc("2026-10-05T12:00"), KOLKATA)
    assert window.next_opening(utc("2026-10-05T12:00"), KOLKATA) == utc("2026-10-06T03:30")


def test_an_instant_without_a_zone_is_refused_instead_of_read_as_the_servers() -> None:
    """TC-089."""
    with pytest.raises(ValueError, match="zone"):
        CallingWindow.parse("daily 09:00-17:00").is_open(datetime(2026, 10, 5, 4), KOLKATA)  # noqa: DTZ001


@pytest.mark.parametrize(
    ("local", "instant"),
    [
        ("2026-03-08T02:30", "2026-03-08T07:30"),
        ("2026-11-01T01:30", "2026-11-01T05:30"),
    ],
)
def test_a_local_time_that_is_missing_or_doubled_means_one_instant(local: str, instant: str) -> None:
    """TC-091."""
    meant = at_local(datetime.fromisoformat(local), NEW_YORK)
    assert meant == utc(instant)
    assert CallingWindow.parse("daily 00:00-24:00").next_opening(meant, NEW_YORK) == meant


def test_a_window_inside_the_missing_hour_is_not_open_on_that_day() -> None:
    """TC-091."""
    window = CallingWindow.parse("daily 02:00-03:00")
    assert window.next_opening(utc("2026-03-08T06:00"), NEW_YORK) == utc("2026-03-09T06:00")


def test_a_window_that_begins_in_the_missing_hour_opens_when_the_clock_jumps() -> None:
    """TC-091."""
    window = CallingWindow.parse("daily 02:30-04:00")
    assert list(window.openings(utc("2026-03-08T00:00"), NEW_YORK, horizon=timedelta(hours=24))) == [
        (utc("2026-03-08T07:00"), utc("2026-03-08T08:00"))
    ]


def test_a_window_inside_the_doubled_hour_is_open_twice_and_shut_between() -> None:
    """TC-091."""
    window = CallingWindow.parse("daily 01:00-01:30")
    assert list(window.openings(utc("2026-11-01T00:00"), NEW_YORK, horizon=timedelta(hours=24))) == [
        (utc("2026-11-01T05:00"), utc("2026-11-01T05:30")),
        (utc("2026-11-01T06:00"), utc("2026-11-01T06:30")),
    ]


def test_a_change_of_the_clock_at_midnight_leaves_the_day_whole() -> None:
    # Beirut jumps from 00:00 to 01:00 on the last Sunday of March.
    beirut = ZoneInfo("Asia/Beirut")
    window = CallingWindow.parse("sun 00:00-24:00")
    opening, closing = next(window.openings(utc("2026-03-28T12:00"), beirut))
    assert (opening, closing) == (utc("2026-03-28T22:00"), utc("2026-03-29T21:00"))


MALFORMED: list[Any] = [
    {"mon": [["09:00", "09:00"]]},
    {"mon": [["25:99", "17:00"]]},
    {"mon": [["", "17:00"]]},
    {"mon": [["9:00 AM", "5 PM"]]},
    {},
    {"mon": [], "tue": []},
    None,
    "",
    "mon 09:00-09:00",
    "mon 25:99-17:00",
    "mon 9:00 AM-5 PM",
    "09:00-17:00",
    "mon-fri",
    "someday 09:00-17:00",
    "mon-wed-fri 09:00-17:00",
    "mon 09:00",
    "mon 24:00-02:00",
    "mon 24:30-02:00",
    '{"mon": [["09:00"',
    {"monday": [["09:00", "17:00"]]},
    {"mon": "09:00-17:00"},
    {"mon": [["09:00", "12:00", "13:00"]]},
    {"mon": [[9, 17]]},
    {"mon": [[None, None]]},
    [["09:00", "17:00"]],
    9,
]


@pytest.mark.parametrize("value", MALFORMED)
def test_a_malformed_window_is_refused_on_save_with_a_mend(value: object) -> None:
    """TC-092."""
    with pytest.raises(WindowError) as refusal:
        CallingWindow.parse(value)
    assert any(mend in str(refusal.value) for mend in ("write", "such as", "expected", "keys are", "cannot start"))


@pytest.mark.parametrize("value", MALFORMED)
def test_a_malformed_window_found_in_the_database_is_never_open_and_says_why(value: object) -> None:
    """TC-092."""
    window = CallingWindow.stored(value)
    assert window.problem
    assert not window.is_open(utc("2026-10-05T12:00"), BERLIN)
    assert window.next_opening(utc("2026-10-05T12:00"), BERLIN) is None
    assert "cannot be understood" in str(window.why_closed(utc("2026-10-05T12:00"), BERLIN))


@pytest.mark.parametrize(
    ("value", "short"),
    [
        ("mon-fri 09:00-17:00", "mon-fri 09:00-17:00"),
        ({"mon": [["09:00", "12:00"], ["13:00", "17:30"]]}, "mon 09:00-12:00, 13:00-17:30"),
        ('{"sat": [["10:00", "14:00"]]}', "sat 10:00-14:00"),
        ("Weekdays 9:00–17:00; weekend 10:00-12:00", "mon-fri 09:00-17:00; sat-sun 10:00-12:00"),
        ("Monday, wed 09:00-10:00\nfri - sun 22:00-02:00", "mon 09:00-10:00; wed 09:00-10:00; fri-sun 22:00-02:00"),
        ("sat-mon 10:00-11:00", "mon 10:00-11:00; sat-sun 10:00-11:00"),
        ("daily 09:00:00-17:00:00", "mon-sun 09:00-17:00"),
        ("mon 18:00-00:00", "mon 18:00-24:00"),
    ],
)
def test_windows_are_read_as_people_and_databases_write_them(value: object, short: str) -> None:
    window = CallingWindow.parse(value)
    assert str(window) == short
    assert CallingWindow.parse(short) == window
    assert CallingWindow.parse(window.to_json()) == window


def test_a_span_over_midnight_belongs_to_the_day_it_began_on() -> None:
    window = CallingWindow.parse("fri 22:00-02:00")
    assert window.is_open(utc("2026-10-02T23:30"), ZoneInfo("UTC"))
    assert window.is_open(utc("2026-10-03T01:59"), ZoneInfo("UTC"))
    assert not window.is_open(utc("2026-10-03T02:00"), ZoneInfo("UTC"))
    assert not window.is_open(utc("2026-10-02T01:00"), ZoneInfo("UTC"))


def test_several_zones_are_open_only_together() -> None:
    window = CallingWindow.parse("daily 09:00-21:00")
    zones = (NEW_YORK, LOS_ANGELES)
    assert not window.is_open(utc("2026-07-15T14:00"), *zones)
    assert window.next_opening(utc("2026-07-15T04:00"), *zones) == utc("2026-07-15T16:00")
    assert window.next_opening(utc("2026-07-16T01:00"), *zones) == utc("2026-07-16T16:00")


def test_zones_that_are_never_open_together_have_no_opening() -> None:
    window = CallingWindow.parse("daily 09:00-17:00")
    assert window.next_opening(utc("2026-07-15T04:00"), NEW_YORK, ZoneInfo("Asia/Tokyo")) is None


def test_without_a_zone_nothing_is_open() -> None:
    window = CallingWindow.parse("daily 00:00-24:00")
    assert not window.is_open(utc("2026-07-15T04:00"))
    assert window.next_opening(utc("2026-07-15T04:00")) is None


def test_holidays_and_blackout_dates_are_closed_by_the_local_date() -> None:
    window = CallingWindow.parse("daily 09:00-17:00", ["2026-11-27/2026-11-29"], "us")
    thanksgiving = utc("2026-11-26T15:00")
    assert "Thanksgiving" in str(window.why_closed(thanksgiving, NEW_YORK))
    assert window.next_opening(thanksgiving, NEW_YORK) == utc("2026-11-30T14:00")


def test_the_tail_of_an_evening_that_was_closed_is_closed() -> None:
    window = CallingWindow.parse("daily 22:00-02:00", ["2026-12-31"])
    assert window.next_opening(utc("2026-12-31T02:00"), ZoneInfo("UTC")) == utc("2027-01-01T22:00")


@pytest.mark.parametrize(
    ("blackout", "country", "mend"),
    [
        (["24.12.2026"], None, "2026-12-24"),
        ("2026-12-24", None, "list"),
        (["2026-12-24/2026-12-01"], None, "after it starts"),
        ([20261224.5], None, "not a date"),
        ([], "ZZ", "two-letter"),
        ([], "DE-ZZ", "DE-BY"),
    ],
)
def test_closed_days_that_cannot_be_understood_are_refused_and_fail_closed(
    blackout: object, country: str | None, mend: str
) -> None:
    with pytest.raises(ClosedDaysError, match=mend):
        ClosedDays.parse(blackout, country)
    with pytest.raises(WindowError, match=mend):
        CallingWindow.parse("daily 09:00-17:00", blackout, country)
    assert not CallingWindow.stored("daily 00:00-24:00", blackout, country).is_open(utc("2026-07-15T04:00"), BERLIN)


def test_regional_holidays_are_kept_where_they_are_held() -> None:
    assert ClosedDays.parse((), "DE-BY").why_closed(date(2026, 1, 6))
    assert ClosedDays.parse((), "DE").why_closed(date(2026, 1, 6)) is None
    assert ClosedDays.parse((), "be-flemish").holidays_of == "BE-Flemish"
    assert ClosedDays.parse([date(2026, 5, 4)]).why_closed(date(2026, 5, 4)) == "2026-05-04 is a blackout date"


def test_the_day_of_several_zones_begins_with_the_first_and_ends_with_the_last() -> None:
    now = utc("2026-07-15T14:00")
    assert start_of_day(now, NEW_YORK, LOS_ANGELES) == utc("2026-07-15T04:00")
    assert start_of_next_day(now, NEW_YORK, LOS_ANGELES) == utc("2026-07-16T07:00")


ZONES = [
    "UTC", "America/New_York", "America/Los_Angeles", "America/Havana", "America/St_Johns", "America/Nuuk",
    "Atlantic/Azores", "Europe/London", "Europe/Berlin", "Asia/Beirut", "Africa/Cairo", "Africa/Casablanca",
    "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Chatham", "Pacific/Kiritimati",
    "Antarctica/Troll",
]  # fmt: skip
MINUTES = st.integers(0, 24 * 60)


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


SPANS = st.tuples(MINUTES, MINUTES).filter(lambda span: span[0] != span[1] and span[0] < 24 * 60)
WEEKS = st.dictionaries(st.sampled_from(WEEKDAYS), st.lists(SPANS, min_size=1, max_size=3), min_size=1, max_size=7).map(
    lambda week: {day: [[clock(start), clock(end)] for start, end in spans] for day, spans in week.items()}
)
# Half of the instants near a change of the clock, where mistakes are made.
CHANGES = [
    at_local(datetime.fromisoformat(day), ZoneInfo("UTC"))
    for day in ("2026-03-08", "2026-11-01", "2026-03-29", "2026-10-25", "2026-04-05", "2026-04-24", "2026-10-04")
]
INSTANTS = st.one_of(
    st.datetimes(datetime(2025, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.builds(
        lambda change, minutes: change + timedelta(minutes=minutes),
        st.sampled_from(CHANGES),
        st.integers(-1500, 1500),
    ),
)
BLACKOUTS = st.lists(st.sampled_from(["2026-03-08", "2026-11-01", "2026-10-25", "2026-03-29"]), max_size=2, unique=True)


def by_the_clock_on_the_wall(week: dict[str, list[list[str]]], blackout: list[str], at: datetime, zone: str) -> bool:
    """The definition, written down again without any of the code under test."""
    local = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    for began in (local.date(), local.date() - timedelta(days=1)):
        if str(began) in blackout or str(local.date()) in blackout:
            continue
        for start, end in week.get(WEEKDAYS[began.weekday()], []):
            opens = datetime.combine(began, time.fromisoformat(start))
            closes = datetime.combine(began, time.min) + timedelta(hours=int(end[:2]), minutes=int(end[3:]))
            if closes <= opens:
                closes += timedelta(days=1)
            if opens <= local < closes:
                return True
    return False


@given(
    week=WEEKS,
    blackout=BLACKOUTS,
    now=INSTANTS,
    zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=2, unique=True),
)
@settings(max_examples=60, deadline=None)
def test_the_next_opening_is_open_not_past_and_no_minute_before_it_is(
    week: dict[str, list[list[str]]], blackout: list[str], now: datetime, zones: list[str]
) -> None:
    """TC-088, TC-091."""
    window = CallingWindow.parse(week, blackout)
    places = [ZoneInfo(zone) for zone in zones]

    def is_open(at: datetime) -> bool:
        return all(by_the_clock_on_the_wall(week, blackout, at, zone) for zone in zones)

    horizon = timedelta(days=3)
    opening = window.next_opening(now, *places, horizon=horizon)
    end = now + horizon if opening is None else opening
    assert window.is_open(now, *places) == is_open(now)
    if opening is not None:
        assert opening >= now
        assert is_open(opening)
        assert window.is_open(opening, *places)
        assert window.next_opening(opening, *places) == opening
    at = now.replace(second=0, microsecond=0) + MINUTE
    while at < end:
        assert not is_open(at), at
        at += MINUTE
    if opening is not None and opening > now:
        assert not is_open(opening - timedelta(microseconds=1))


@given(week=WEEKS, now=INSTANTS, zone=st.sampled_from(ZONES))
@settings(max_examples=60, deadline=None)
def test_openings_come_in_order_do_not_overlap_and_cover_every_open_instant(
    week: dict[str, list[list[str]]], now: datetime, zone: str
) -> None:
    window, place = CallingWindow.parse(week), ZoneInfo(zone)
    openings = list(window.openings(now, place, horizon=timedelta(days=3)))
    assert all(start < end for start, end in openings)
    assert all(before[1] <= after[0] for before, after in pairwise(openings))
    for minutes in range(0, 3 * 24 * 60, 7):
        at = now + timedelta(minutes=minutes)
        assert any(start <= at < end for start, end in openings) == window.is_open(at, place)


@given(week=WEEKS)
def test_what_is_stored_reads_back_as_the_same_window(week: dict[str, list[list[str]]]) -> None:
    window = CallingWindow.parse(week)
    assert CallingWindow.stored(window.to_json()) == window
    assert CallingWindow.stored(str(window)) == window


@given(value=st.one_of(st.text(max_size=40), st.dictionaries(st.sampled_from(WEEKDAYS), st.text(max_size=9))))
def test_no_text_breaks_the_reading_of_a_stored_window(value: object) -> None:
    """TC-092."""
    window = CallingWindow.stored(value)
    assert (window.problem is None) == any(window.week)
