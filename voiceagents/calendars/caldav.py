"""A calendar on a CalDAV server: Nextcloud, iCloud, Fastmail, Radicale and others.

CalDAV keeps nobody from writing two events into one time, so a booking takes a slot by writing an object whose name
follows from the slot, on condition that there is none yet: of any number of callers one gets it, the others are told so
by the server. Then it looks again: for what somebody entered by hand meanwhile, which always goes first, and, where
slots overlap, for a booking with another start, see `_settle`.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic

from pydantic import Field

from voiceagents import clock
from voiceagents.calendars import ical
from voiceagents.calendars.base import (
    Attendee,
    Booking,
    BookingStatus,
    CalendarDown,
    NoSuchBooking,
    require_contact,
)
from voiceagents.calendars.dav import Collection, Conflict, Resource, Scheme
from voiceagents.calendars.ruled import RuledCalendar
from voiceagents.calendars.rules import Rules
from voiceagents.calendars.slots import Busy

_HREF = re.compile(r"voiceagents-[0-9TZ]+(?:-\d)?\.ics")
_AROUND = timedelta(days=1)
"""Servers read all-day and floating times in a zone of their own choice, so more is asked for than wanted."""

_SPARE_NAMES = 5
_PATIENCE = 6.0
"""Seconds that a booking waits for one with another start to be settled; then it gives way."""


class CalDavSettings(Rules):
    """A calendar on a CalDAV server, and its rules."""

    url: str = Field(pattern=r"^https?://[^\s/]+/\S+$")
    """Of the one calendar, such as `https://dav.example.com/ana/appointments/`."""
    username: str = ""
    password: str = ""
    """Better `env:NAME`: read from the environment, not kept."""
    auth: Scheme = "basic"
    owner_email: str | None = None
    """What this person has declined is free. [default: the username, where it is an address]"""
    timeout_seconds: int = Field(default=5, ge=1, le=60)


class CalDavCalendar(RuledCalendar):
    """One calendar on a CalDAV server. An id of a booking is the name of its object."""

    def __init__(self, calendar_id: str, name: str, settings: CalDavSettings) -> None:
        super().__init__(calendar_id, name, settings)
        self._collection = Collection(
            settings.url, settings.username, settings.password, settings.auth, settings.timeout_seconds
        )
        self._owner = settings.owner_email or (settings.username if "@" in settings.username else None)
        # Slots that follow each other without a gap never overlap one another.
        gap = max(settings.before, settings.after)
        self._starts_may_clash = settings.step < settings.length + gap

    async def _busy(self, start: datetime, end: datetime) -> Sequence[Busy]:
        return [(event.start, event.end) for _, event in await self._events(start, end)]

    async def book(self, start: datetime, attendee: Attendee, *, key: str, notes: str = "") -> Booking:
        require_contact(attendee)
        start = start.astimezone(UTC)
        wish = Booking(
            id="",
            start=start,
            end=start + self.rules.length,
            attendee=attendee,
            status=BookingStatus.REQUESTED if self.rules.needs_confirmation else BookingStatus.BOOKED,
            title=self.rules.title.replace("{name}", attendee.name),
            notes=notes,
        )
        if made := await self._made(_names(start)[0], key) or await self._moved(ical.origin_of(key, start)):
            return made
        return await self._put_down(wish, key)

    async def reschedule(self, booking_id: str, start: datetime, *, key: str) -> Booking:
        start = start.astimezone(UTC)
        wish = f"{key} {booking_id}"
        try:
            before, event = await self._read(booking_id)
        except NoSuchBooking:
            # Moved already, and asked again: the answer was lost.
            for href in _names(start):
                if made := await self._made(href, wish):
                    return made
            raise
        booking = _ours(event)
        if booking.start == start:
            return booking
        there = replace(booking, start=start, end=start + self.rules.length)
        moved = await self._put_down(there, wish, but=booking_id, origin=event.origin)
        # The new time stands before the old one is given up: a crash in between leaves one too many, never none.
        await self._collection.delete(before.href)
        return moved

    async def cancel(self, booking_id: str, *, reason: str = "") -> Booking:
        for _ in range(3):
            resource, event = await self._read(booking_id)
            try:
                await self._collection.delete(resource.href, resource.etag)
            except Conflict:
                continue  # the owner changed it this moment: read it again
            return replace(_ours(event), status=BookingStatus.CANCELLED)
        raise CalendarDown("the booking keeps changing while it is cancelled")

    async def confirm(self, booking_id: str) -> Booking:
        for _ in range(3):
            resource, event = await self._read(booking_id)
            booking = replace(_ours(event), status=BookingStatus.BOOKED)
            try:
                await self._write(booking, event.key, resource.href, origin=event.origin, etag=resource.etag)
            except Conflict:
                continue
            return booking
        raise CalendarDown("the booking keeps changing while it is confirmed")

    async def bookings_of(self, *, phone: str | None = None, email: str | None = None) -> list[Booking]:
        now = clock.now()
        mail = (email or "").strip().lower()
        return [
            one
            for one in await self.bookings(now, now + timedelta(days=self.rules.horizon_days + 1))
            if (phone and one.attendee.phone == phone) or (mail and (one.attendee.email or "").lower() == mail)
        ]

    async def bookings(self, start: datetime, end: datetime) -> list[Booking]:
        found = [event.booking for _, event in await self._events(start, end) if event.booking and not event.claim]
        return sorted(found, key=lambda booking: booking.start)

    async def check(self) -> str:
        await self._collection.check()
        now = clock.now()
        events = await self._events(now, now + timedelta(days=7))
        return f"CalDAV at {self._collection.url}, {len(events)} events within a week, open {self.rules.week}"

    async def aclose(self) -> None:
        await self._collection.aclose()

    async def _put_down(self, wish: Booking, key: str, but: str | None = None, origin: str = "") -> Booking:
        """Writes a booking into its slot, if nobody else has it.

        Args:
            wish: the booking, without an id.
            key: of the wish.
            but: a booking of which it takes the place.
            origin: the wish that made that booking, at the time it was made for.
        """
        for href in _names(wish.start):
            if made := await self._made(href, key):
                return made
            await self._require_offered(wish.start)
            if await self._rivals(wish, href, but):
                raise await self._taken(wish.start)
            try:
                await self._write(wish, key, href, origin=origin, claim=self._starts_may_clash)
            except Conflict:
                if made := await self._made(href, key):
                    return made
                if await self._rivals(wish, href, but, with_own=True):
                    raise await self._taken(wish.start) from None
                continue  # what has this name lies at another time now, or takes no time: the next name
            await self._settle(wish, key, href, but, origin)
            return replace(wish, id=href)
        raise await self._taken(wish.start)

    async def _settle(self, wish: Booking, key: str, href: str, but: str | None, origin: str) -> None:
        """Makes a written booking stand, or removes it.

        What is in the calendar for good goes first. Of two claims, each written before the other was seen, the one with
        the earlier start stays: the later one withdraws, and the earlier waits until it has, or until it turns out that
        the later had looked before the earlier was written, and stands.

        Raises:
            SlotTaken: removed.
        """
        deadline = monotonic() + _PATIENCE
        while rivals := await self._rivals(wish, href, but):
            waits = all(event.claim and name > href for name, event in rivals)
            if not waits or monotonic() > deadline:
                await self._collection.delete(href)
                raise await self._taken(wish.start)
            await asyncio.sleep(0.1)  # HTTP tells nobody when it changes
        if self._starts_may_clash:
            try:
                await self._write(wish, key, href, origin=origin, etag="*")
            except Conflict:
                raise await self._taken(wish.start) from None

    async def _made(self, href: str, key: str) -> Booking | None:
        """The booking of this name, if this wish has made it; settled now, if it was not."""
        resource = await self._collection.get(href)
        event = ical.event_in(resource.text, resource.href, self.zone) if resource else None
        if event is None or event.key != key:
            return None
        booking = _ours(event)
        if event.claim:
            await self._settle(booking, key, href, None, event.origin)
        return booking

    async def _moved(self, origin: str) -> Booking | None:
        """The booking that this wish has made, if it was moved since."""
        now = clock.now()
        events = await self._events(now, now + timedelta(days=self.rules.horizon_days + 1))
        moved = (event for _, event in events if event.booking and event.origin == origin and not event.claim)
        return next((_ours(event) for event in moved), None)

    async def _rivals(
        self, wish: Booking, href: str, but: str | None, *, with_own: bool = False
    ) -> list[tuple[str, ical.Event]]:
        """Whatever is in the way of a booking, its buffers included."""
        return [
            (name, event)
            for name, event in await self._events(wish.start - self.rules.before, wish.end + self.rules.after)
            if name != but and (with_own or name != href)
        ]

    async def _events(self, start: datetime, end: datetime) -> list[tuple[str, ical.Event]]:
        found = await self._collection.search(start - _AROUND, end + _AROUND)

        def read() -> list[tuple[str, ical.Event]]:
            return [
                (resource.href, event)
                for resource in found
                for event in ical.events_between(resource.text, resource.href, start, end, self.zone, self._owner)
            ]

        # Years of recurring events take time to work out, and the loop carries calls.
        return await asyncio.to_thread(read)

    async def _write(
        self, booking: Booking, key: str, href: str, *, origin: str, etag: str | None = None, claim: bool = False
    ) -> None:
        text = ical.written(
            booking,
            uid=f"{href.removesuffix('.ics')}@{self.id}",
            key=key,
            origin=origin or ical.origin_of(key, booking.start),
            now=clock.now(),
            claim=claim,
            sequence=1 if etag else 0,
        )
        await (self._collection.replace(href, text, etag) if etag else self._collection.create(href, text))

    async def _read(self, booking_id: str) -> tuple[Resource, ical.Event]:
        resource = await self._collection.get(booking_id) if _HREF.fullmatch(booking_id) else None
        event = ical.event_in(resource.text, resource.href, self.zone) if resource else None
        if resource is None or event is None or event.booking is None:
            raise NoSuchBooking(f"there is no booking {booking_id!r}")
        if event.end <= clock.now():
            raise NoSuchBooking("this booking is over")
        return resource, event


def _names(start: datetime) -> list[str]:
    """The names that a booking of a slot may have, in the order they are tried."""
    slot = f"voiceagents-{start.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    return [f"{slot}.ics", *(f"{slot}-{n}.ics" for n in range(2, _SPARE_NAMES + 1))]


def _ours(event: ical.Event) -> Booking:
    assert event.booking is not None
    return event.booking
