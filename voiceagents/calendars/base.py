"""What can every calendar do, and what can go wrong? The contract between a call and whoever keeps the calendar.

Every instant is an aware `datetime`. A calendar answers in UTC; whoever speaks it says it in a zone (`spoken.say`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from voiceagents.phone import is_e164


class CalendarProblem(Exception):
    """What was asked cannot be done, and asking again changes nothing.

    The message says why and how to mend it. It is fit to be told to a model, and holds no secret.
    """


class CalendarDown(Exception):
    """The calendar cannot be reached, does not answer in time, or does not let us in: nothing is known about it now.

    Whether a change that was under way took effect is not known either; asked again with the same `key`, it takes
    effect once.
    """


@dataclass(frozen=True, order=True)
class Slot:
    """A time that may be booked, from one instant to another."""

    start: datetime
    end: datetime


class SlotRefused(CalendarProblem):
    """This time is never offered: past, too soon, too far ahead, outside the working hours, on a day off."""

    def __init__(self, why: str, next_slots: Sequence[Slot] = ()) -> None:
        super().__init__(why)
        self.next_slots = tuple(next_slots)
        """Free slots near it, the soonest first; empty when there are none."""


class SlotTaken(SlotRefused):
    """This time was free, and somebody else has it now. Nothing was booked or changed."""

    def __init__(self, next_slots: Sequence[Slot] = (), why: str = "that time has just been taken") -> None:
        super().__init__(why, next_slots)


class NoSuchBooking(CalendarProblem):
    """No booking has this id, or it was cancelled, or it is over."""


class BookingStatus(StrEnum):
    """How sure a booking is."""

    BOOKED = "booked"
    REQUESTED = "requested"
    """The calendar's owner must still agree. Say "requested", never "booked"; the time is kept meanwhile."""
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Attendee:
    """Who a booking is for. A phone number or an email address is needed, to find the booking again."""

    name: str
    phone: str | None = None
    """E.164."""
    email: str | None = None
    zone: str | None = None
    """IANA name of the zone the person is in, where it is not the calendar's."""


@dataclass(frozen=True)
class Booking:
    """One appointment."""

    id: str
    start: datetime
    end: datetime
    attendee: Attendee
    status: BookingStatus = BookingStatus.BOOKED
    title: str = ""
    notes: str = ""

    @property
    def slot(self) -> Slot:
        return Slot(self.start, self.end)


def require_contact(attendee: Attendee) -> None:
    """Refuses somebody who could not be found again.

    Raises:
        CalendarProblem: neither phone nor email, or a phone number that is not E.164.
    """
    if not attendee.phone and not attendee.email:
        raise CalendarProblem("a phone number or an email address is needed to book; ask for one")
    if attendee.phone and not is_e164(attendee.phone):
        raise CalendarProblem("the phone number is not E.164: it must be + and 8 to 15 digits, such as +12025550143")


class Calendar(Protocol):
    """A calendar that is open. Any method may raise `CalendarDown`.

    Methods may be called at the same time from any number of tasks of one event loop.
    """

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def zone(self) -> ZoneInfo:
        """Where its working hours are."""
        ...

    async def free(self, start: datetime, end: datetime) -> list[Slot]:
        """The slots that may be booked now and begin in [start, end), in order.

        The past, the notice and the horizon are left out by themselves.
        """
        ...

    async def book(self, start: datetime, attendee: Attendee, *, key: str, notes: str = "") -> Booking:
        """Books the slot that begins at `start`. Looks again whether it is free: of any number of callers one gets it.

        Args:
            start: as `free` gave it.
            attendee: who it is for.
            key: names this wish. The same key and start give the same booking, however often they are sent: make it
                of the call's id, so that a repeated "yes" books once.
            notes: what it is about.

        Raises:
            SlotTaken: somebody has it by now; `next_slots` has others.
            SlotRefused: a time that is not offered; `next_slots` has others.
            CalendarProblem: the attendee has neither phone nor email.
        """
        ...

    async def reschedule(self, booking_id: str, start: datetime, *, key: str) -> Booking:
        """Moves a booking. Its old time becomes free only if it gets the new one. The id may change.

        Raises:
            SlotTaken, SlotRefused: as `book`; the booking stays where it was.
            NoSuchBooking: nothing to move.
        """
        ...

    async def cancel(self, booking_id: str, *, reason: str = "") -> Booking:
        """Cancels a booking and answers with what it was. Cancelling again is no error while the calendar remembers.

        Raises:
            NoSuchBooking: nothing to cancel.
        """
        ...

    async def bookings_of(self, *, phone: str | None = None, email: str | None = None) -> list[Booking]:
        """The bookings of one person that are not over or cancelled, in order of time.

        A booking is theirs when its phone or its email is the given one; with neither given there are none.
        """
        ...

    async def bookings(self, start: datetime, end: datetime) -> list[Booking]:
        """Everybody's bookings that reach into [start, end), in order, without cancelled ones: for the owner."""
        ...

    async def confirm(self, booking_id: str) -> Booking:
        """Agrees to a booking that was requested: for the calendar's owner.

        Raises:
            NoSuchBooking: nothing to agree to.
        """
        ...

    async def check(self) -> str:
        """One line that says what was found, for `voiceagents calendars check`. Changes nothing.

        Raises:
            CalendarProblem: the settings do not fit what the calendar is.
        """
        ...

    async def aclose(self) -> None:
        """Ends its connections."""
        ...
