"""What every calendar does, whoever keeps it: the same tests on the built-in one, a CalDAV server and Cal.com's API."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.stack.cal_com_contract import cal_com
from tests.stack.calendar_servers import (
    NOW,
    OpenCalendar,
    at_ten,
    open_builtin,
    open_calcom,
    open_caldav,
    radicale,
    shelf,
)
from voiceagents import clock
from voiceagents.calendars.base import (
    Attendee,
    Booking,
    BookingStatus,
    Calendar,
    CalendarProblem,
    NoSuchBooking,
    SlotRefused,
    SlotTaken,
)

__all__ = ["at_ten", "cal_com", "open_builtin", "open_calcom", "open_caldav", "radicale", "shelf"]

pytestmark = pytest.mark.stack

NEW_YORK = ZoneInfo("America/New_York")
ANA = Attendee("Ana", phone="+12025550143", email="Ana@Example.com", zone="Europe/London")


@pytest.fixture(params=["builtin", "caldav"])
def open_ruled(request: pytest.FixtureRequest) -> OpenCalendar:
    """One whose rules are ours."""
    return request.getfixturevalue(f"open_{request.param}")


@pytest.fixture(params=["builtin", "caldav", "calcom"])
def open_calendar(request: pytest.FixtureRequest) -> OpenCalendar:
    return request.getfixturevalue(f"open_{request.param}")


def at(hour: int, minute: int = 0, day: int = 9) -> datetime:
    """A time in October in New York; the 9th is tomorrow, a Friday."""
    return datetime(2026, 10, day, hour, minute, tzinfo=NEW_YORK)


async def starts(calendar: Calendar, day: int = 9) -> list[str]:
    free = await calendar.free(at(0, day=day), at(0, day=day) + timedelta(days=1))
    return [f"{slot.start.astimezone(NEW_YORK):%H:%M}" for slot in free]


async def test_a_booking_takes_its_slot_and_is_found_by_its_person(open_calendar: OpenCalendar) -> None:
    calendar = await open_calendar(hours="mon-fri 09:00-11:00")
    made = await calendar.book(at(9, 30), ANA, key="call-1", notes="first visit")
    assert (made.start, made.end) == (at(9, 30).astimezone(UTC), at(10).astimezone(UTC))
    assert made.status is BookingStatus.BOOKED
    assert made.title == "Appointment: Ana"
    assert await starts(calendar) == ["09:00", "10:00", "10:30"]
    assert await calendar.bookings_of(phone="+12025550143") == [made]
    assert await calendar.bookings_of(email="ana@example.com") == [made]
    assert await calendar.bookings_of(phone="+12025550199", email="x@example.com") == []
    assert await calendar.bookings_of() == []
    assert await calendar.bookings(at(0), at(23)) == [made]
    assert made.attendee == ANA
    assert made.notes == "first visit"


async def test_a_slot_that_somebody_took_between_offer_and_yes_is_not_promised(
    open_calendar: OpenCalendar,
) -> None:  # TC-079
    calendar = await open_calendar(hours="mon-fri 09:00-11:00")
    assert "09:30" in await starts(calendar)
    await calendar.book(at(9, 30), ANA, key="call-1")
    with pytest.raises(SlotTaken) as taken:
        await calendar.book(at(9, 30), Attendee("Ben", phone="+12025550188"), key="call-2")
    assert [slot.start for slot in taken.value.next_slots] == [at(10), at(10, 30), at(9, day=12)]
    assert len(await calendar.bookings(at(0), at(23))) == 1


async def test_a_repeated_yes_books_once(open_calendar: OpenCalendar) -> None:
    calendar = await open_calendar()
    made = [await calendar.book(at(9, 30), ANA, key="call-1") for _ in range(3)]
    at_once = await asyncio.gather(*(calendar.book(at(14), ANA, key="call-1") for _ in range(5)))
    assert len({booking.id for booking in made}) == len({booking.id for booking in at_once}) == 1
    assert len(await calendar.bookings(at(0), at(23))) == 2


async def test_of_fifty_callers_at_once_one_gets_the_slot_and_the_others_are_offered_the_next(
    open_calendar: OpenCalendar,
) -> None:
    calendar = await open_calendar(hours="mon-fri 09:00-17:00")

    async def call(n: int) -> Booking | SlotTaken:
        try:
            return await calendar.book(at(11), Attendee(f"Caller {n}", phone=f"+120255501{n:02}"), key=f"call-{n}")
        except SlotTaken as taken:
            return taken

    ends = await asyncio.gather(*(call(n) for n in range(50)))
    assert Counter(type(end).__name__ for end in ends) == {"Booking": 1, "SlotTaken": 49}
    winner = next(end for end in ends if isinstance(end, Booking))
    assert await calendar.bookings(at(0), at(23)) == [winner]
    for end in ends:
        if isinstance(end, SlotTaken):
            assert end.next_slots[0].start == at(11, 30)
            assert all(slot.start != at(11) for slot in end.next_slots)


async def test_of_callers_at_once_on_overlapping_slots_none_overlap_in_the_end(open_calendar: OpenCalendar) -> None:
    calendar = await open_calendar(hours="mon-fri 09:00-11:00", slot_minutes=30, step_minutes=10)
    wishes = [at(9) + timedelta(minutes=10 * (n % 6)) for n in range(18)]

    async def call(n: int, start: datetime) -> Booking | SlotTaken:
        try:
            return await calendar.book(start, Attendee(f"Caller {n}", phone=f"+120255501{n:02}"), key=f"call-{n}")
        except SlotTaken as taken:
            return taken

    ends = await asyncio.gather(*(call(n, start) for n, start in enumerate(wishes)))
    told = sorted((end for end in ends if isinstance(end, Booking)), key=lambda b: b.start)
    assert told
    assert await calendar.bookings(at(0), at(23)) == told  # who was told so is booked, nobody else is
    assert all(one.end <= other.start for one, other in pairwise(told))


async def test_buffers_hold_between_bookings(open_calendar: OpenCalendar) -> None:
    calendar = await open_calendar(hours="mon-fri 09:00-12:00", buffer_after_minutes=15)
    await calendar.book(at(10), ANA, key="call-1")
    assert await starts(calendar) == ["09:00", "10:30", "11:00", "11:30"]
    with pytest.raises(SlotTaken):
        await calendar.book(at(9, 30), ANA, key="call-2")


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (at(9, day=7), "past"),
        (datetime(2024, 8, 16, 9, tzinfo=NEW_YORK), "past"),
        (NOW + timedelta(minutes=30), "too soon"),
        (at(9) + timedelta(days=90), "60 days ahead"),
        (at(20), "outside the working hours"),
        (at(9, day=10), "outside the working hours"),
        (at(9, 7), "no appointment begins"),
    ],
)
async def test_a_time_that_is_not_offered_is_refused_by_the_calendar_itself(
    open_ruled: OpenCalendar, start: datetime, why: str
) -> None:
    calendar = await open_ruled()
    with pytest.raises(SlotRefused, match=why) as refused:
        await calendar.book(start, ANA, key="call-1")
    assert not isinstance(refused.value, SlotTaken)
    assert refused.value.next_slots
    assert await calendar.bookings(NOW - timedelta(days=900), NOW + timedelta(days=200)) == []


async def test_moving_a_booking_frees_its_old_time(open_calendar: OpenCalendar) -> None:
    calendar = await open_calendar(hours="mon-fri 09:00-11:00")
    made = await calendar.book(at(9), ANA, key="call-1", notes="first visit")
    moved = await calendar.reschedule(made.id, at(10), key="call-2")
    assert (moved.start, moved.attendee, moved.notes) == (at(10), ANA, "first visit")
    assert await starts(calendar) == ["09:00", "09:30", "10:30"]
    assert await calendar.bookings_of(phone=ANA.phone) == [moved]
    assert await calendar.reschedule(moved.id, at(10), key="call-2") == moved
    assert (
        await calendar.reschedule(made.id, at(10), key="call-2") == moved
    )  # the answer was lost, and it is asked again


@pytest.mark.parametrize("hour", [11, 9])
async def test_a_repeated_yes_to_what_was_moved_since_books_nothing_more(
    open_calendar: OpenCalendar, hour: int
) -> None:
    calendar = await open_calendar()
    made = await calendar.book(at(10), ANA, key="call-1")
    moved = await calendar.reschedule(made.id, at(hour), key="call-1")
    again = await calendar.book(at(10), ANA, key="call-1")
    assert (again.id, again.start) == (moved.id, at(hour))
    last = await calendar.reschedule(moved.id, at(14), key="call-1")
    assert (await calendar.book(at(10), ANA, key="call-1")).start == at(14)
    assert [one.id for one in await calendar.bookings(at(0), at(23))] == [last.id]
    # Another wish has the old time, and what is cancelled may be booked anew.
    await calendar.book(at(10), Attendee("Ben", phone="+12025550188"), key="call-2")
    await calendar.cancel(last.id)
    with pytest.raises(SlotTaken):
        await calendar.book(at(10), ANA, key="call-1")


async def test_a_booking_stays_where_it_is_when_its_new_time_is_taken(open_calendar: OpenCalendar) -> None:
    calendar = await open_calendar(hours="mon-fri 09:00-11:00")
    made = await calendar.book(at(9), ANA, key="call-1")
    await calendar.book(at(10), Attendee("Ben", phone="+12025550188"), key="call-2")
    with pytest.raises(SlotTaken) as taken:
        await calendar.reschedule(made.id, at(10), key="call-3")
    assert taken.value.next_slots[0].start == at(10, 30)
    with pytest.raises(SlotRefused):
        await calendar.reschedule(made.id, at(20), key="call-3")
    assert await calendar.bookings_of(phone=ANA.phone) == [made]


async def test_a_booking_may_be_moved_into_time_that_is_its_own(open_calendar: OpenCalendar) -> None:
    calendar = await open_calendar(slot_minutes=60, step_minutes=30)
    made = await calendar.book(at(9), ANA, key="call-1")
    moved = await calendar.reschedule(made.id, at(9, 30), key="call-2")
    assert moved.start == at(9, 30)
    assert await calendar.bookings(at(0), at(23)) == [moved]


async def test_a_cancelled_slot_is_free_again(open_calendar: OpenCalendar) -> None:
    calendar = await open_calendar(hours="mon-fri 09:00-10:00")
    made = await calendar.book(at(9), ANA, key="call-1")
    gone = await calendar.cancel(made.id, reason="ill")
    assert (gone.start, gone.status) == (made.start, BookingStatus.CANCELLED)
    assert await starts(calendar) == ["09:00", "09:30"]
    assert await calendar.bookings_of(phone=ANA.phone) == []
    with pytest.raises(NoSuchBooking):
        await calendar.reschedule(made.id, at(9, 30), key="call-2")
    again = await calendar.book(at(9), ANA, key="call-1")
    assert again.status is BookingStatus.BOOKED


@pytest.mark.parametrize("name", ["", "nonsense", "../../etc/passwd", "3f1c6d1e-1111-2222-3333-444455556666"])
async def test_a_booking_that_does_not_exist_is_said_to(open_calendar: OpenCalendar, name: str) -> None:
    calendar = await open_calendar()
    for ask in (calendar.cancel(name), calendar.reschedule(name, at(9), key="k"), calendar.confirm(name)):
        with pytest.raises(NoSuchBooking):
            await ask


async def test_a_booking_that_is_over_is_neither_moved_nor_listed(open_calendar: OpenCalendar) -> None:
    calendar = await open_calendar()
    made = await calendar.book(at(9), ANA, key="call-1")
    clock.set_source(lambda: at(12))
    assert await calendar.bookings_of(phone=ANA.phone) == []
    for ask in (calendar.cancel(made.id), calendar.reschedule(made.id, at(9, day=13), key="k")):
        with pytest.raises(NoSuchBooking, match="over"):
            await ask


async def test_what_needs_the_owners_word_is_requested_keeps_its_time_and_is_booked_once_confirmed(
    open_calendar: OpenCalendar,
) -> None:  # TC-086
    calendar = await open_calendar(hours="mon-fri 15:00-16:00", needs_confirmation=True)
    asked = await calendar.book(at(15), ANA, key="call-a")
    assert asked.status is BookingStatus.REQUESTED
    with pytest.raises(SlotTaken):
        await calendar.book(at(15), Attendee("Ben", phone="+12025550188"), key="call-b")
    assert (await calendar.confirm(asked.id)).status is BookingStatus.BOOKED
    assert [one.status for one in await calendar.bookings_of(phone=ANA.phone)] == [BookingStatus.BOOKED]


@pytest.mark.parametrize(("day", "month", "hour"), [(30, 10, 13), (2, 11, 14)])
async def test_nine_oclock_is_bookable_on_both_sides_of_the_clock_change(
    open_calendar: OpenCalendar, day: int, month: int, hour: int
) -> None:  # TC-080
    calendar = await open_calendar()
    midnight = datetime(2026, month, day, tzinfo=NEW_YORK)
    first = (await calendar.free(midnight, midnight + timedelta(days=1)))[0]
    assert first.start == datetime(2026, month, day, hour, tzinfo=UTC)
    assert (await calendar.book(first.start, ANA, key="call-1")).start == first.start


async def test_two_callers_without_a_number_are_asked_for_one(open_calendar: OpenCalendar) -> None:
    calendar = await open_calendar()
    for key in ("call-1", "call-2"):
        with pytest.raises(CalendarProblem, match="phone number or an email"):
            await calendar.book(at(9), Attendee("Somebody"), key=key)


async def test_a_check_says_what_is_there(open_ruled: OpenCalendar) -> None:
    calendar: Any = await open_ruled(hours="mon-fri 09:00-11:00")
    assert "mon-fri 09:00-11:00" in await calendar.check()
