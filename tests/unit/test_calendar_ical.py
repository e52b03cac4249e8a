"""What does a calendar object take up? Written as calendar programs write it; the calendar is in Berlin."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from voiceagents.calendars.base import Attendee, Booking, BookingStatus
from voiceagents.calendars.ical import event_in, events_between, written

pytestmark = pytest.mark.unit

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = (datetime(2026, 9, 28, tzinfo=BERLIN), datetime(2026, 10, 5, tzinfo=BERLIN))

BERLIN_AS_OUTLOOK_HAS_IT = """BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE"""


def text(*events: str, zones: str = "") -> str:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tests//EN", *zones.split("\n")]
    for event in events:
        lines += ["BEGIN:VEVENT", "UID:1@tests", "DTSTAMP:20260101T000000Z", *event.strip().split("\n"), "END:VEVENT"]
    return "\r\n".join([line.strip() for line in lines if line.strip()] + ["END:VCALENDAR", ""])


def busy(whole: str, owner: str | None = None, span: tuple[datetime, datetime] = WEEK) -> list[str]:
    found = events_between(whole, "1.ics", *span, BERLIN, owner)
    return [f"{e.start:%d %H:%M}-{e.end:%d %H:%M}" for e in found]


@pytest.mark.parametrize(
    ("event", "taken"),
    [
        ("DTSTART:20261002T070000Z\nDTEND:20261002T080000Z", ["02 07:00-02 08:00"]),
        ("DTSTART;VALUE=DATE:20261001\nDTEND;VALUE=DATE:20261002", ["30 22:00-01 22:00"]),  # the day in Berlin
        ("DTSTART;VALUE=DATE:20261001", ["30 22:00-01 22:00"]),  # without an end: that day
        ("DTSTART;VALUE=DATE:20261001\nDTEND;VALUE=DATE:20261001", ["30 22:00-01 22:00"]),
        ("DTSTART;VALUE=DATE:20260930\nDTEND;VALUE=DATE:20261003", ["29 22:00-02 22:00"]),
        ("DTSTART:20261002T090000\nDTEND:20261002T100000", ["02 07:00-02 08:00"]),  # floating: Berlin's clock
        ("DTSTART;TZID=America/New_York:20261002T090000\nDURATION:PT1H", ["02 13:00-02 14:00"]),
        ("DTSTART:20261002T070000Z\nDURATION:PT45M", ["02 07:00-02 07:45"]),
        ("DTSTART:20261002T220000\nDTEND:20261003T020000", ["02 20:00-03 00:00"]),
        ("DTSTART:20261002T070000Z", []),  # takes no time
        ("DTSTART:20261102T070000Z\nDTEND:20261102T080000Z", []),
    ],
)  # fmt: skip
def test_dates_floating_times_and_times_of_other_zones_are_put_where_they_belong(event: str, taken: list[str]) -> None:
    assert busy(text(event)) == taken


def test_a_zone_that_the_object_defines_itself_is_used() -> None:
    event = "DTSTART;TZID=W. Europe Standard Time:20261002T090000\nDTEND;TZID=W. Europe Standard Time:20261002T100000"
    assert busy(text(event, zones=BERLIN_AS_OUTLOOK_HAS_IT)) == ["02 07:00-02 08:00"]


TIMES = "DTSTART:20261002T070000Z\nDTEND:20261002T080000Z\n"


@pytest.mark.parametrize(
    ("said", "takes"),
    [
        ("STATUS:CONFIRMED", True),
        ("STATUS:TENTATIVE", True),
        ("STATUS:CANCELLED", False),
        ("TRANSP:OPAQUE", True),
        ("TRANSP:TRANSPARENT", False),
        ("X-MICROSOFT-CDO-BUSYSTATUS:FREE", False),
        ("X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE", True),
        ("ATTENDEE;PARTSTAT=DECLINED:mailto:Owner@Example.com", False),
        ("ATTENDEE;PARTSTAT=TENTATIVE:mailto:owner@example.com", True),
        ("ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:owner@example.com", True),
        ("ATTENDEE;PARTSTAT=DECLINED:mailto:guest@example.com", True),
        (
            "ATTENDEE;PARTSTAT=ACCEPTED:mailto:guest@example.com\nATTENDEE;PARTSTAT=DECLINED:mailto:owner@example.com",
            False,
        ),
    ],
)
def test_only_what_the_owner_would_call_taken_is_taken(said: str, takes: bool) -> None:
    assert bool(busy(text(TIMES + said), owner="owner@example.com")) is takes


def test_a_recurring_event_is_taken_each_time_but_for_its_exceptions() -> None:
    series = """DTSTART;TZID=Europe/Berlin:20260921T090000
        DTEND;TZID=Europe/Berlin:20260921T100000
        RRULE:FREQ=DAILY
        EXDATE;TZID=Europe/Berlin:20260930T090000"""
    moved = """RECURRENCE-ID;TZID=Europe/Berlin:20261001T090000
        DTSTART;TZID=Europe/Berlin:20261001T140000
        DTEND;TZID=Europe/Berlin:20261001T150000"""
    called_off = """RECURRENCE-ID;TZID=Europe/Berlin:20261002T090000
        DTSTART;TZID=Europe/Berlin:20261002T090000
        DTEND;TZID=Europe/Berlin:20261002T100000
        STATUS:CANCELLED"""
    assert busy(text(series, moved, called_off)) == [
        "28 07:00-28 08:00", "29 07:00-29 08:00", "01 12:00-01 13:00", "03 07:00-03 08:00", "04 07:00-04 08:00",
    ]  # fmt: skip


def test_a_recurring_event_keeps_its_hour_when_the_clocks_change() -> None:
    series = "DTSTART;TZID=Europe/Berlin:20261005T090000\nDTEND;TZID=Europe/Berlin:20261005T100000\nRRULE:FREQ=WEEKLY"
    span = (datetime(2026, 10, 19, tzinfo=BERLIN), datetime(2026, 10, 27, tzinfo=BERLIN))
    assert busy(text(series), span=span) == ["19 07:00-19 08:00", "26 08:00-26 09:00"]


NINE = "DTSTART;TZID=Europe/Berlin:20261019T090000\nDTEND;TZID=Europe/Berlin:20261019T100000\nRRULE:FREQ=WEEKLY;COUNT=2"


@pytest.mark.parametrize(
    "exception",
    [
        "EXDATE;TZID=Europe/Berlin:20261026T090000",
        "EXDATE:20261026T080000Z",
        "EXDATE;TZID=America/New_York:20261026T040000",  # their clocks change a week later
        "EXDATE:20261026T090000",
        "EXDATE;VALUE=DATE:20261026",
    ],
)
def test_an_exception_counts_in_whichever_zone_it_is_written(exception: str) -> None:
    span = (datetime(2026, 10, 19, tzinfo=BERLIN), datetime(2026, 10, 28, tzinfo=BERLIN))
    assert busy(text(NINE), span=span) == ["19 07:00-19 08:00", "26 08:00-26 09:00"]
    assert busy(text(f"{NINE}\n{exception}"), span=span) == ["19 07:00-19 08:00"]


def test_a_moved_time_of_a_series_is_found_by_an_instant_of_another_zone_and_from_far_away() -> None:
    moved = "DTSTART;TZID=Europe/Berlin:20261020T140000\nDTEND;TZID=Europe/Berlin:20261020T150000"
    span = (datetime(2026, 10, 20, tzinfo=BERLIN), datetime(2026, 10, 28, tzinfo=BERLIN))
    for of in (":20261026T080000Z", ";TZID=America/New_York:20261026T040000", ";TZID=Europe/Berlin:20261026T090000"):
        assert busy(text(NINE, f"RECURRENCE-ID{of}\n{moved}"), span=span) == ["20 12:00-20 13:00"]


def test_an_event_in_the_hour_that_the_clocks_skip_takes_its_time_and_all_that_surround_it_stay() -> None:
    span = (datetime(2027, 3, 27, tzinfo=BERLIN), datetime(2027, 3, 30, tzinfo=BERLIN))
    once = "DTSTART;TZID=Europe/Berlin:20270328T023000\nDTEND;TZID=Europe/Berlin:20270328T033000"
    assert busy(text(once), span=span) == ["28 01:30-28 02:30"]
    daily = "DTSTART;TZID=Europe/Berlin:20270327T023000\nDTEND;TZID=Europe/Berlin:20270327T030000\nRRULE:FREQ=DAILY"
    assert busy(text(daily), span=span) == ["27 01:30-27 02:00", "28 01:30-28 02:00", "29 00:30-29 01:00"]


@pytest.mark.parametrize(
    "rule",
    [
        "RRULE:FREQ=SOMETIMES", "RRULE:FREQ=WEEKLY;BYDAY=XX", "RRULE:FREQ=DAILY;UNTIL=soon", "RRULE:",
        "RRULE:FREQ=DAILY;INTERVAL=0", "RRULE:FREQ=DAILY;INTERVAL=-1", "RRULE:FREQ=SECONDLY", "RRULE:FREQ=MINUTELY",
        "RRULE:FREQ=DAILY;COUNT=1\nEXDATE:soon", "RDATE:soon",
    ],
)  # fmt: skip
def test_a_rule_that_nobody_can_work_out_costs_its_repetitions_and_not_the_event(rule: str) -> None:
    event = f"DTSTART:20261002T070000Z\nDTEND:20261002T080000Z\n{rule}"
    assert busy(text(event)) == ["02 07:00-02 08:00"]


def test_a_floating_recurring_event_and_an_all_day_one_recur_in_the_calendars_zone() -> None:
    floating = "DTSTART:20260928T090000\nDTEND:20260928T100000\nRRULE:FREQ=DAILY;COUNT=2"
    assert busy(text(floating)) == ["28 07:00-28 08:00", "29 07:00-29 08:00"]
    all_day = "DTSTART;VALUE=DATE:20260922\nRRULE:FREQ=WEEKLY"
    assert busy(text(all_day)) == ["28 22:00-29 22:00"]


def test_a_date_that_ends_where_the_span_begins_is_not_in_it() -> None:
    all_day = text("DTSTART;VALUE=DATE:20261001\nDTEND;VALUE=DATE:20261002")
    day = timedelta(days=1)
    before, after = datetime(2026, 9, 30, tzinfo=BERLIN), datetime(2026, 10, 2, tzinfo=BERLIN)
    assert busy(all_day, span=(before, before + day)) == []
    assert busy(all_day, span=(after, after + day)) == []


@pytest.mark.parametrize(
    "broken", ["", "nonsense", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n", text("SUMMARY:no start"), text("DTSTART:soon")]
)
def test_one_object_that_cannot_be_read_does_not_close_the_calendar(broken: str) -> None:
    assert busy(broken) == []
    assert event_in(broken, "1.ics", BERLIN) is None


def test_a_booking_is_read_as_it_was_written() -> None:
    start = datetime(2026, 10, 2, 7, tzinfo=UTC)
    attendee = Attendee("Ana; Müller, jr", "+12025550143", "ana@example.com", "Europe/London")
    booking = Booking(
        "1.ics", start, start + timedelta(minutes=30), attendee, title="Visit: Ana", notes="a\nb; c\x00, 100%"
    )
    for status in (BookingStatus.BOOKED, BookingStatus.REQUESTED):
        given = Booking(**{**booking.__dict__, "status": status})
        whole = written(given, uid="1@ana", key="call-1 x", now=start)
        event = event_in(whole, "1.ics", BERLIN)
        assert event is not None
        assert event.booking == given
        assert (event.key, event.claim) == ("call-1 x", False)
        assert events_between(whole, "1.ics", *WEEK, BERLIN)[0] == event
    claim = event_in(written(booking, uid="1@ana", key="k", now=start, claim=True), "1.ics", BERLIN)
    assert claim is not None
    assert claim.claim


def test_an_event_of_somebody_else_is_nobodys_booking() -> None:
    event = event_in(text(TIMES), "1.ics", BERLIN)
    assert event is not None
    assert (event.booking, event.key) == (None, "")
