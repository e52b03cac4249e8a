"""Cal.com by its HTTP contract: what it is asked, and what its refusals and failures mean."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.stack.cal_com_contract import EVENT_TYPE, KEY, CalCom, cal_com
from tests.stack.calendar_servers import NOW, OpenCalendar, at_ten, open_calcom
from voiceagents.calendars import spoken, store
from voiceagents.calendars.base import (
    Attendee,
    BookingStatus,
    CalendarDown,
    CalendarProblem,
    NoSuchBooking,
    SlotRefused,
    SlotTaken,
)

__all__ = ["at_ten", "cal_com", "open_calcom"]

pytestmark = pytest.mark.stack

NEW_YORK = ZoneInfo("America/New_York")
ANA = Attendee("Ana", phone="+12025550143", email="ana@example.com", zone="Europe/London")


def at(hour: int, minute: int = 0, day: int = 9) -> datetime:
    return datetime(2026, 10, day, hour, minute, tzinfo=NEW_YORK)


@pytest.mark.parametrize(
    "answer",
    [
        (409, "Slot is not available"),
        (400, "No available users found."),
        (400, "no_available_users_found_error"),
        (400, "User either already has booking at this time or is not available"),
        (400, "One of the hosts either already has booking at this time or is not available"),
    ],
)
async def test_every_way_of_saying_taken_offers_other_slots_and_claims_nothing(
    open_calcom: OpenCalendar, cal_com: CalCom, answer: tuple[int, str]
) -> None:  # TC-079
    calendar = await open_calcom(hours="mon-fri 09:00-11:00")
    cal_com.broken = [answer]
    with pytest.raises(SlotTaken) as taken:
        await calendar.book(at(9), ANA, key="call-1")
    assert [slot.start for slot in taken.value.next_slots] == [at(9, 30), at(10), at(10, 30)]
    assert cal_com.bookings == {}


async def test_who_books_on_the_web_between_offer_and_yes_has_the_slot(
    open_calcom: OpenCalendar, cal_com: CalCom
) -> None:
    calendar = await open_calcom(hours="mon-fri 09:00-11:00")
    assert (await calendar.free(at(0), at(23)))[0].start == at(9)
    cal_com.take(at(9))
    with pytest.raises(SlotTaken):
        await calendar.book(at(9), ANA, key="call-1")
    assert len(cal_com.bookings) == 1


async def test_a_booking_whose_answer_was_lost_is_found_and_not_made_again(
    open_calcom: OpenCalendar, cal_com: CalCom
) -> None:
    calendar = await open_calcom()
    cal_com.loses_answers = 1
    with pytest.raises(CalendarDown, match="502"):
        await calendar.book(at(9), ANA, key="call-1")
    made = await calendar.book(at(9), ANA, key="call-1")
    assert list(cal_com.bookings) == [made.id]
    assert cal_com.requests.count("POST /v2/bookings") == 1


async def test_of_an_event_type_that_recurs_the_first_time_is_the_booking(
    open_calcom: OpenCalendar, cal_com: CalCom
) -> None:
    calendar = await open_calcom()
    cal_com.recurs = True
    made = await calendar.book(at(9), ANA, key="call-1")
    assert (list(cal_com.bookings), made.start) == ([made.id], at(9))


async def test_a_move_whose_answer_was_lost_is_found_too(open_calcom: OpenCalendar, cal_com: CalCom) -> None:
    calendar = await open_calcom()
    made = await calendar.book(at(9), ANA, key="call-1")
    moved = await calendar.reschedule(made.id, at(10), key="call-2")
    assert moved.id != made.id
    assert await calendar.reschedule(made.id, at(10), key="call-2") == moved
    with pytest.raises(NoSuchBooking, match="cancelled"):
        await calendar.reschedule(made.id, at(11), key="call-3")


async def test_a_pending_booking_is_requested_and_keeps_its_slot(open_calcom: OpenCalendar, cal_com: CalCom) -> None:
    calendar = await open_calcom(needs_confirmation=True)
    asked = await calendar.book(at(15), ANA, key="call-a")
    assert asked.status is BookingStatus.REQUESTED
    with pytest.raises(SlotTaken):
        await calendar.book(at(15), Attendee("Ben", phone="+12025550188"), key="call-b")
    assert [one.status for one in await calendar.bookings_of(phone=ANA.phone)] == [BookingStatus.REQUESTED]


async def test_a_past_time_is_refused_before_anybody_is_asked(open_calcom: OpenCalendar, cal_com: CalCom) -> None:
    calendar = await open_calcom()
    for start in (NOW - timedelta(minutes=1), datetime(2024, 8, 16, 9, tzinfo=NEW_YORK)):
        with pytest.raises(SlotRefused, match="past") as refused:
            await calendar.book(start, ANA, key="call-1")
        assert refused.value.next_slots[0].start > NOW
    assert "POST /v2/bookings" not in cal_com.requests


@pytest.mark.parametrize(("start", "kind"), [(NOW + timedelta(minutes=30), SlotRefused), (at(20), SlotTaken)])
async def test_what_the_event_type_does_not_offer_is_refused_with_others_to_choose_from(
    open_calcom: OpenCalendar, start: datetime, kind: type[SlotRefused]
) -> None:
    calendar = await open_calcom()
    with pytest.raises(SlotRefused) as refused:
        await calendar.book(start, ANA, key="call-1")
    assert type(refused.value) is kind
    assert len(refused.value.next_slots) == 3


async def test_a_caller_in_another_zone_gets_one_instant_that_is_kept_with_their_zone(
    open_calcom: OpenCalendar, cal_com: CalCom
) -> None:  # TC-082
    calendar = await open_calcom(zone="Europe/London", hours="mon-fri 09:00-21:00", horizon_days=300)
    reading = spoken.understand("July 15 at 2 pm, I am in New York", NOW, ZoneInfo("Europe/London"))
    assert isinstance(reading, spoken.Moment)
    made = await calendar.book(reading.start, Attendee("Ana", "+12025550143", zone="America/New_York"), key="call-1")
    assert made.start == datetime(2027, 7, 15, 18, tzinfo=UTC)
    assert cal_com.bookings[made.id]["attendees"][0]["timeZone"] == "America/New_York"
    assert spoken.say(made.start, NEW_YORK, also=ZoneInfo("Europe/London")) == (
        "Thursday, July 15 at 2 PM New York time, that is 7 PM London time"
    )


async def test_all_pages_of_bookings_are_read(open_calcom: OpenCalendar, cal_com: CalCom) -> None:
    calendar = await open_calcom(hours="daily 00:00-24:00", slot_minutes=10, notice_minutes=0)
    for slot in (await calendar.free(at(0), at(0) + timedelta(days=2)))[:250]:
        cal_com.take(slot.start)
    last = await calendar.book(at(0, day=20), ANA, key="call-1")
    assert await calendar.bookings_of(email="ANA@example.com") == [last]
    assert len(await calendar.bookings(NOW, NOW + timedelta(days=30))) == 251


async def test_a_required_field_that_we_do_not_have_is_said_in_cal_coms_own_words(
    open_calcom: OpenCalendar, cal_com: CalCom
) -> None:
    calendar = await open_calcom()
    cal_com.broken = [(400, "Missing required booking field response: company - it is required by the event type")]
    with pytest.raises(CalendarProblem, match="company"):
        await calendar.book(at(9), ANA, key="call-1")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_with_a_fault_of_its_own_is_down(
    open_calcom: OpenCalendar, cal_com: CalCom, status: int
) -> None:
    calendar = await open_calcom()
    cal_com.broken = [(status, "Too many requests")]
    with pytest.raises(CalendarDown, match=str(status)):
        await calendar.book(at(9), ANA, key="call-1")


async def test_a_wrong_key_and_a_server_that_is_not_there_are_down_and_show_no_key(
    cal_com: CalCom, at_ten: None
) -> None:
    for change in ({"api_key": "cal_live_wrong"}, {"api_url": "http://127.0.0.1:9"}):
        settings = {"event_type_id": EVENT_TYPE, "api_key": KEY, "api_url": cal_com.url} | change
        calendar = store.opened("visits", "Visits", "calcom", settings)
        asked = [calendar.check(), calendar.book(at(9), ANA, key="k"), calendar.bookings_of(phone=ANA.phone)]
        for end in await asyncio.gather(*asked, return_exceptions=True):
            assert isinstance(end, CalendarDown), end
            assert "cal_live" not in repr(end)
        await calendar.aclose()


async def test_an_event_type_that_does_not_exist_is_a_problem_of_the_settings(cal_com: CalCom, at_ten: None) -> None:
    settings = {"event_type_id": 1, "api_key": KEY, "api_url": cal_com.url}
    calendar = store.opened("visits", "Visits", "calcom", settings)
    for ask in (calendar.check(), calendar.book(at(9), ANA, key="k")):
        with pytest.raises(CalendarProblem, match=re.compile(r"event type", re.I)):
            await ask
    await calendar.aclose()


async def test_a_check_says_what_is_there(open_calcom: OpenCalendar) -> None:
    calendar = await open_calcom(hours="mon-fri 09:00-11:00")
    await calendar.book(at(9), ANA, key="call-1")
    assert await calendar.check() == "Cal.com event type 4711, 1 bookings to come, 17 free slots within a week"
