"""A calendar on a real CalDAV server, which its owner writes to by other means, and which may be down."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.stack.calendar_servers import (
    PASSWORD,
    USER,
    OpenCalendar,
    Shelf,
    at_ten,
    open_caldav,
    radicale,
    shelf,
)
from voiceagents import clock
from voiceagents.calendars import dav, store
from voiceagents.calendars.base import (
    Attendee,
    Booking,
    BookingStatus,
    Calendar,
    CalendarDown,
    CalendarProblem,
    NoSuchBooking,
    SlotTaken,
)

__all__ = ["at_ten", "open_caldav", "radicale", "shelf"]

pytestmark = pytest.mark.stack

NEW_YORK = ZoneInfo("America/New_York")
BERLIN = ZoneInfo("Europe/Berlin")
ANA = Attendee("Ana", phone="+12025550143")
BEN = Attendee("Ben", phone="+12025550188")


def at(hour: int, minute: int = 0, day: int = 9) -> datetime:
    return datetime(2026, 10, day, hour, minute, tzinfo=NEW_YORK)


async def starts(calendar: Calendar, day: datetime) -> list[str]:
    free = await calendar.free(day, day + timedelta(days=1))
    return [f"{slot.start.astimezone(calendar.zone):%H:%M}" for slot in free]


async def test_what_the_owner_enters_by_hand_is_seen_at_once(open_caldav: OpenCalendar, shelf: Shelf) -> None:
    calendar = await open_caldav(hours="mon-fri 09:00-11:00")
    assert await starts(calendar, at(0)) == ["09:00", "09:30", "10:00", "10:30"]
    shelf.enter("DTSTART:20261009T134500Z", "DTEND:20261009T140000Z", "SUMMARY:Dentist")
    assert await starts(calendar, at(0)) == ["09:00", "10:00", "10:30"]
    with pytest.raises(SlotTaken) as taken:
        await calendar.book(at(9, 30), ANA, key="call-1")
    assert taken.value.next_slots[0].start == at(10)


async def test_all_day_and_floating_events_are_those_of_the_calendars_zone(
    open_caldav: OpenCalendar, shelf: Shelf
) -> None:  # TC-085
    clock.set_source(lambda: datetime(2026, 9, 29, 12, tzinfo=UTC))
    calendar = await open_caldav(zone="Europe/Berlin", hours="mon-fri 08:00-11:00", slot_minutes=60)
    shelf.enter("DTSTART;VALUE=DATE:20261001", "DTEND;VALUE=DATE:20261002", "SUMMARY:Fair")
    shelf.enter("DTSTART:20261002T090000", "DTEND:20261002T100000", "SUMMARY:Floating")
    days = [datetime(2026, 9, 30, tzinfo=BERLIN) + timedelta(days=n) for n in range(3)]
    assert [await starts(calendar, day) for day in days] == [["08:00", "09:00", "10:00"], [], ["08:00", "10:00"]]
    eight = (await calendar.free(days[2], days[2] + timedelta(days=1)))[0]
    assert eight.start == datetime(2026, 10, 2, 6, tzinfo=UTC)


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Pacific/Honolulu"])
async def test_an_all_day_event_blocks_its_own_day_only_however_far_the_zone_is_from_the_servers(
    open_caldav: OpenCalendar, shelf: Shelf, zone: str
) -> None:
    calendar = await open_caldav(zone=zone, hours="daily 00:00-24:00", slot_minutes=120)
    shelf.enter("DTSTART;VALUE=DATE:20261014", "DTEND;VALUE=DATE:20261015")
    days = [datetime(2026, 10, day, tzinfo=ZoneInfo(zone)) for day in (13, 14, 15)]
    assert [len(await starts(calendar, day)) for day in days] == [12, 0, 12]


async def test_recurring_events_block_each_time_but_for_their_exceptions(
    open_caldav: OpenCalendar, shelf: Shelf
) -> None:
    calendar = await open_caldav(hours="daily 09:00-11:00", slot_minutes=60)
    shelf.enter(
        "DTSTART;TZID=America/New_York:20260901T090000 | DTEND;TZID=America/New_York:20260901T100000 | RRULE:FREQ=DAILY"
        " | EXDATE;TZID=America/New_York:20261012T090000"
        " || RECURRENCE-ID;TZID=America/New_York:20261013T090000 | DTSTART;TZID=America/New_York:20261013T100000"
        " | DTEND;TZID=America/New_York:20261013T110000"
    )
    assert await starts(calendar, at(0, day=9)) == ["10:00"]
    assert await starts(calendar, at(0, day=12)) == ["09:00", "10:00"]
    assert await starts(calendar, at(0, day=13)) == ["09:00"]
    assert await starts(calendar, datetime(2026, 11, 3, tzinfo=NEW_YORK)) == ["10:00"]  # after the clock change


async def test_tentative_blocks_and_what_is_cancelled_declined_or_free_does_not(
    open_caldav: OpenCalendar, shelf: Shelf
) -> None:
    calendar = await open_caldav(hours="mon-fri 09:00-14:00", slot_minutes=60)
    for hour, said in enumerate(
        ("STATUS:TENTATIVE", "STATUS:CANCELLED", "TRANSP:TRANSPARENT", f"ATTENDEE;PARTSTAT=DECLINED:mailto:{USER}"), 13
    ):
        shelf.enter(f"DTSTART:20261009T{hour}0000Z", f"DTEND:20261009T{hour + 1}0000Z", said)
    assert await starts(calendar, at(0)) == ["10:00", "11:00", "12:00", "13:00"]
    assert (await calendar.book(at(10), ANA, key="call-1")).start == at(10)


async def test_what_comes_between_the_look_and_the_write_is_seen_after_the_write(
    open_caldav: OpenCalendar, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    calendar = await open_caldav(hours="mon-fri 09:00-11:00")
    create = dav.Collection.create

    async def while_the_owner_is_quicker(self: dav.Collection, href: str, text: str) -> None:
        await asyncio.to_thread(shelf.enter, "DTSTART:20261009T130000Z", "DTEND:20261009T133000Z", name="owner.ics")
        await create(self, href, text)

    monkeypatch.setattr(dav.Collection, "create", while_the_owner_is_quicker)
    with pytest.raises(SlotTaken):
        await calendar.book(at(9), ANA, key="call-1")
    assert shelf.objects() == ["owner.ics"]  # what was written is gone again


async def test_fifty_callers_of_several_processes_get_one_slot_once(open_caldav: OpenCalendar, shelf: Shelf) -> None:
    agents = [await open_caldav(hours="mon-fri 09:00-17:00") for _ in range(5)]

    async def call(n: int) -> Booking | SlotTaken:
        try:
            return await agents[n % 5].book(at(11), Attendee(f"Caller {n}", phone=f"+120255501{n:02}"), key=f"c-{n}")
        except SlotTaken as taken:
            return taken

    ends = await asyncio.gather(*(call(n) for n in range(50)))
    assert sum(isinstance(end, Booking) for end in ends) == 1
    assert len(shelf.objects()) == 1


async def test_of_two_claims_that_overlap_the_earlier_start_stays(
    open_caldav: OpenCalendar, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both write before either looks again: the worst order there is."""
    one, other = [await open_caldav(slot_minutes=30, step_minutes=10) for _ in range(2)]
    create, both = dav.Collection.create, asyncio.Barrier(2)

    async def together(self: dav.Collection, href: str, text: str) -> None:
        await both.wait()  # both have looked
        await create(self, href, text)
        await both.wait()  # both have written

    monkeypatch.setattr(dav.Collection, "create", together)
    ends = await asyncio.gather(
        one.book(at(10, 10), BEN, key="call-b"), other.book(at(10), ANA, key="call-a"), return_exceptions=True
    )
    assert isinstance(ends[0], SlotTaken)
    assert isinstance(ends[1], Booking)
    assert await one.bookings(at(0), at(23)) == [ends[1]]
    assert "STATUS:CONFIRMED" in shelf.read(shelf.objects()[0])


async def test_a_claim_left_behind_by_a_crash_keeps_its_time_and_the_same_wish_makes_it_stand(
    open_caldav: OpenCalendar, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    calendar = await open_caldav(slot_minutes=30, step_minutes=10)
    with monkeypatch.context() as patched:

        async def killed(*_: object) -> None:
            raise CalendarDown("killed")

        patched.setattr(type(calendar), "_settle", killed)
        with pytest.raises(CalendarDown):
            await calendar.book(at(10), ANA, key="call-a")
    assert await calendar.bookings(at(0), at(23)) == []  # nobody was told so
    assert "10:10" not in await starts(calendar, at(0))
    made = await calendar.book(at(10), ANA, key="call-a")
    assert await calendar.bookings(at(0), at(23)) == [made]


async def test_a_booking_that_the_owner_moved_is_known_by_its_new_time_and_its_old_slot_is_free(
    open_caldav: OpenCalendar, shelf: Shelf
) -> None:
    calendar = await open_caldav(hours="mon-fri 09:00-11:00")
    made = await calendar.book(at(9), ANA, key="call-1")
    text = shelf.read(made.id)
    moved = text.replace(":20261009T130000Z", ":20261009T140000Z").replace("T133000Z", "T143000Z")
    shelf.server.request("PUT", f"{shelf.path}{made.id}", moved, **{"Content-Type": "text/calendar"})
    assert [one.start for one in await calendar.bookings_of(phone=ANA.phone)] == [at(10)]
    taken = await calendar.book(at(9), BEN, key="call-2")
    assert taken.id != made.id
    with pytest.raises(SlotTaken):
        await calendar.book(at(9), Attendee("Cid", phone="+12025550177"), key="call-3")
    assert len(shelf.objects()) == 2


async def test_a_cancellation_takes_away_what_it_read_and_not_what_the_owner_made_of_it(
    open_caldav: OpenCalendar, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    calendar = await open_caldav()
    made = await calendar.book(at(9), ANA, key="call-1")
    delete, changed = dav.Collection.delete, False

    async def after_a_change(self: dav.Collection, href: str, etag: str | None = None) -> None:
        nonlocal changed
        if not changed:
            changed = True
            later = shelf.read(href).replace("DTEND:20261009T133000Z", "DTEND:20261009T150000Z")
            await asyncio.to_thread(
                shelf.server.request, "PUT", f"{shelf.path}{href}", later, **{"Content-Type": "text/calendar"}
            )
        await delete(self, href, etag)

    monkeypatch.setattr(dav.Collection, "delete", after_a_change)
    gone = await calendar.cancel(made.id)
    assert (gone.status, gone.end) == (BookingStatus.CANCELLED, at(11))  # read again before it went
    assert shelf.objects() == []
    with pytest.raises(NoSuchBooking):
        await calendar.cancel(made.id)


async def test_a_person_sees_the_booking_in_any_calendar_program(open_caldav: OpenCalendar, shelf: Shelf) -> None:
    calendar = await open_caldav(title="Haircut for {name}")
    made = await calendar.book(at(9), ANA, key="call-1", notes="short, please")
    text = shelf.read(made.id).replace("\r\n ", "").replace("\n ", "")
    for line in (
        "SUMMARY:Haircut for Ana",
        "DTSTART:20261009T130000Z",
        "STATUS:CONFIRMED",
        "CONTACT:Ana\\, +12025550143",
    ):
        assert line in text


@pytest.fixture
def silence() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def hold() -> None:
            try:
                while True:
                    held.append(server.accept()[0])
            except OSError:
                return

        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/ana/"
        server.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for connection in held:
        connection.close()


async def test_a_server_that_sends_us_elsewhere_has_written_nothing_and_is_a_problem_of_the_settings(
    open_caldav: OpenCalendar, shelf: Shelf
) -> None:
    calendar = await open_caldav(url=f"{shelf.server.url}.well-known/caldav/")
    with pytest.raises(CalendarProblem, match="has moved"):
        await calendar.check()


async def all_of(calendar: Calendar) -> list[str]:
    """What each thing that can be asked of a calendar that is down ends with."""
    asked = [
        calendar.free(at(0), at(23)),
        calendar.book(at(9), ANA, key="k"),
        calendar.cancel("voiceagents-20261009T130000Z.ics"),
        calendar.reschedule("voiceagents-20261009T130000Z.ics", at(10), key="k"),
        calendar.bookings_of(phone=ANA.phone),
        calendar.check(),
    ]
    ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(end) for end in ends] == [CalendarDown] * len(asked), ends
    return [str(end) for end in ends]


async def test_a_server_that_is_not_there_or_does_not_answer_is_down_within_its_time(
    open_caldav: OpenCalendar, silence: str
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        await all_of(await open_caldav(url=f"http://127.0.0.1:{nobody.getsockname()[1]}/ana/"))
    async with asyncio.timeout(20):
        await all_of(await open_caldav(url=silence, timeout_seconds=1))


async def test_a_server_that_does_not_let_us_in_is_down_and_the_password_is_in_no_message(
    open_caldav: OpenCalendar,
) -> None:
    for message in await all_of(await open_caldav(password="wrong-secret")):
        assert "does not let us in" in message
        assert "wrong-secret" not in message


async def test_an_address_without_a_calendar_is_a_problem_of_the_settings(
    open_caldav: OpenCalendar, shelf: Shelf
) -> None:
    for path in ("nowhere/", f"{USER}/", f"{USER}/nowhere/"):
        calendar = await open_caldav(url=f"{shelf.server.url}{path}")
        with pytest.raises((CalendarProblem, CalendarDown)) as found:
            await calendar.check()
        assert not isinstance(found.value, CalendarDown) or "let us in" in str(found.value)


async def test_a_secret_is_read_from_the_environment_when_the_calendar_is_opened(
    shelf: Shelf, at_ten: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"url": shelf.url, "username": USER, "password": "env:ANA_DAV"}
    with pytest.raises(CalendarProblem, match="the variable ANA_DAV, which is not set"):
        store.opened("ana", "Ana", "caldav", settings)
    monkeypatch.setenv("ANA_DAV", PASSWORD)
    calendar = store.opened("ana", "Ana", "caldav", settings)
    assert "0 events within a week" in await calendar.check()
    await calendar.aclose()
