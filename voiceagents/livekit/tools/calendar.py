"""How does a caller come to an appointment? By tools that take days and times in the caller's words, answer in
sentences, and change nothing that was not read back to the caller and agreed to.

A model may be wrong about dates, in a hurry, or talked into things by a caller. So what counts is kept here, not in its
words: which times were offered in this call, what was read back, and whether the caller has spoken since.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from livekit.agents import RunContext, function_tool
from livekit.agents.llm import ChatMessage, FunctionTool, ToolError

from voiceagents.assistants.tool_options import CalendarTools
from voiceagents.calendars.base import (
    Attendee,
    Booking,
    BookingStatus,
    Calendar,
    CalendarDown,
    CalendarProblem,
    SlotRefused,
)
from voiceagents.calls.states import MessageKind
from voiceagents.livekit.tools.in_call import InCall
from voiceagents.livekit.tools.message import note, number_of
from voiceagents.livekit.tools.offers import Offers

log = logging.getLogger("voiceagents.tools")

T = TypeVar("T")


@dataclass(frozen=True)
class _ReadBack:
    """A change that the caller was asked to agree to, and how much they had said by then."""

    what: str
    turns: int


class Appointments:
    """The calendar of one call: what was offered, what was read back, and the tools."""

    def __init__(self, calendar: Calendar, options: CalendarTools, call: InCall) -> None:
        self._calendar = calendar
        self._options = options
        self._call = call
        self._offers = Offers(calendar, options.offer, call.now)
        self._read_back: _ReadBack | None = None

    def tools(self) -> list[FunctionTool[Any, Any]]:
        """What the model may do."""
        return [self._check(), self._book(), self._reschedule(), self._cancel(), self._list()]

    # The tools

    def _check(self) -> FunctionTool[Any, Any]:
        @function_tool
        async def check_availability(ctx: RunContext[Any], day_or_time: str) -> str:
            """Tells which times are free in the calendar. Read them to the caller.

            Args:
                day_or_time: the day or time in the caller's own words, such as "Thursday afternoon" or "tomorrow at
                    three". Do not turn it into a date yourself.
            """
            return await self._answered(lambda: self._offers.free_times(day_or_time))

        return check_availability

    def _book(self) -> FunctionTool[Any, Any]:
        @function_tool
        async def book_appointment(
            ctx: RunContext[Any],
            start_time: str,
            caller_name: str,
            confirmed: bool = False,
            phone: str | None = None,
            email: str | None = None,
            about: str | None = None,
        ) -> str:
            """Books an appointment. Use it first with confirmed=false: it answers with what to ask the caller. Only
            when the caller has agreed to that, use it again with confirmed=true.

            Args:
                start_time: day and time as they were offered, or in the caller's words, such as "Thursday at 9:30 AM".
                    Do not turn it into a date yourself.
                caller_name: the name the appointment is for. Ask for it, never make it up.
                confirmed: true only when the caller has agreed to the day and time that were read back to them.
                phone: a number for the appointment, if it is another than the one they call from.
                email: an email address, if the caller wants to give one.
                about: what it is about, if the caller has said so.
            """

            async def book() -> str:
                slot = await self._offers.slot(start_time)
                who = self._attendee(caller_name, phone, email)
                said = self._offers.say(slot.start)
                if not self._agreed(ctx, f"book {slot.start.isoformat()} {who.name.casefold()}", confirmed):
                    return f"Nothing is booked yet. Shall I book {said} for {who.name}?"
                key = f"{self._call.call_id}:{who.name.casefold()}"
                try:
                    booking = await self._calendar.book(slot.start, who, key=key, notes=about or "")
                except CalendarDown:
                    raise self._wish_noted(f"Wanted to book {said} for {who.name}.", who) from None
                self._read_back = None
                return f"{_status(booking.status)} {self._offers.say(booking.start)} for {who.name}."

            return await self._answered(book)

        return book_appointment

    def _reschedule(self) -> FunctionTool[Any, Any]:
        @function_tool
        async def reschedule_appointment(
            ctx: RunContext[Any],
            new_start: str,
            confirmed: bool = False,
            which: str | None = None,
            caller_name: str | None = None,
            phone: str | None = None,
        ) -> str:
            """Moves an appointment of the caller to another time. Use it first with confirmed=false: it answers with
            what to ask the caller. Only when the caller has agreed to that, use it again with confirmed=true.

            Args:
                new_start: the new day and time in the caller's words, such as "Friday at two".
                confirmed: true only when the caller has agreed to the day and time that were read back to them.
                which: the day or time of the appointment to move, if the caller has more than one.
                caller_name: the name it was booked for; needed with `phone`.
                phone: the number it was booked with, if it is another than the one they call from.
            """

            async def move() -> str:
                booking = await self._booking(which, caller_name, phone)
                slot = await self._offers.slot(new_start)
                old, new = self._offers.say(booking.start), self._offers.say(slot.start)
                if not self._agreed(ctx, f"move {booking.id} {slot.start.isoformat()}", confirmed):
                    return f"Nothing is changed yet. Shall I move your appointment from {old} to {new}?"
                key = f"{self._call.call_id}:{booking.id}"
                try:
                    moved = await self._calendar.reschedule(booking.id, slot.start, key=key)
                except CalendarDown:
                    raise self._wish_noted(f"Wanted to move {old} to {new}.", booking.attendee) from None
                self._read_back = None
                return f"Moved. {_status(moved.status)} {self._offers.say(moved.start)}, no longer {old}."

            return await self._answered(move)

        return reschedule_appointment

    def _cancel(self) -> FunctionTool[Any, Any]:
        @function_tool
        async def cancel_appointment(
            ctx: RunContext[Any],
            confirmed: bool = False,
            which: str | None = None,
            caller_name: str | None = None,
            phone: str | None = None,
            reason: str | None = None,
        ) -> str:
            """Cancels an appointment of the caller. Use it first with confirmed=false: it answers with what to ask the
            caller. Only when the caller has agreed to that, use it again with confirmed=true.

            Args:
                confirmed: true only when the caller has agreed to cancel what was read back to them.
                which: the day or time of the appointment to cancel, if the caller has more than one.
                caller_name: the name it was booked for; needed with `phone`.
                phone: the number it was booked with, if it is another than the one they call from.
                reason: why, if the caller has said so.
            """

            async def cancel() -> str:
                booking = await self._booking(which, caller_name, phone)
                said = self._offers.say(booking.start)
                if not self._agreed(ctx, f"cancel {booking.id}", confirmed):
                    return f"Nothing is cancelled yet. Shall I cancel your appointment on {said}?"
                try:
                    await self._calendar.cancel(booking.id, reason=reason or "")
                except CalendarDown:
                    raise self._wish_noted(f"Wanted to cancel {said}.", booking.attendee) from None
                self._read_back = None
                return f"Cancelled: your appointment on {said}."

            return await self._answered(cancel)

        return cancel_appointment

    def _list(self) -> FunctionTool[Any, Any]:
        @function_tool
        async def list_appointments(
            ctx: RunContext[Any], caller_name: str | None = None, phone: str | None = None
        ) -> str:
            """Tells which appointments the caller has.

            Args:
                caller_name: the name they were booked for; needed with `phone`.
                phone: the number they were booked with, if it is another than the one they call from.
            """

            async def listed() -> str:
                found = await self._bookings(caller_name, phone)
                if not found:
                    return "There are no appointments under this number."
                return "There are these appointments: " + "; ".join(self._offers.say(one.start) for one in found) + "."

            return await self._answered(listed)

        return list_appointments

    # Whose

    def _attendee(self, name: str, phone: str | None, email: str | None) -> Attendee:
        named = " ".join(name.split())[:120]
        if not any(character.isalpha() for character in named):
            raise ToolError("The appointment needs a name. Ask the caller for it.")
        number = number_of(phone, self._call)
        if number is None and not email:
            raise ToolError("The caller hides their number. Ask for a phone number for the appointment.")
        zone = self._offers.caller_zone
        return Attendee(named, number, email or None, zone.key if zone else None)

    async def _bookings(self, name: str | None, phone: str | None) -> list[Booking]:
        """The caller's appointments: those of the number they call from, or of one they name together with the name."""
        number = number_of(phone, self._call)
        if number is None:
            raise ToolError("The caller hides their number. Ask for the name and the number it was booked with.")
        found = await self._calendar.bookings_of(phone=number)
        if number == self._call.caller_number:
            return found
        # Whoever names somebody else's number must know the name, too.
        wanted = set((name or "").casefold().split())
        return [one for one in found if wanted and wanted & set(one.attendee.name.casefold().split())]

    async def _booking(self, which: str | None, name: str | None, phone: str | None) -> Booking:
        found = await self._bookings(name, phone)
        if not found:
            raise ToolError(
                "There is no appointment under this number. Ask for the name and the number it was booked with."
            )
        if which and len(found) > 1:
            named = self._offers.named([one.start for one in found], which)
            found = [one for one in found if one.start in named] or found
        if len(found) > 1:
            listed = "; ".join(self._offers.say(one.start) for one in found)
            raise ToolError(f"There is more than one appointment: {listed}. Ask the caller which.")
        return found[0]

    # What may happen

    def _agreed(self, ctx: RunContext[Any], what: str, confirmed: bool) -> bool:
        """Whether the caller has agreed to this very change: it was read back, and they have spoken since."""
        turns = sum(isinstance(item, ChatMessage) and item.role == "user" for item in ctx.session.history.items)
        before = self._read_back
        if confirmed and before is not None and before.what == what and turns > before.turns:
            return True
        if before is None or before.what != what:
            self._read_back = _ReadBack(what, turns)
        return False

    async def _answered(self, work: Callable[[], Awaitable[str]]) -> str:
        """The work's answer; what goes wrong becomes words for the caller."""
        try:
            return await work()
        except CalendarDown as error:
            log.warning(
                "CALENDAR_DOWN | call=%s | calendar=%s | cause=%s", self._call.call_id, self._calendar.id, error
            )
            raise ToolError(
                "The calendar does not answer now. Tell the caller, and offer to take a message or note a callback."
            ) from None
        except SlotRefused as refused:
            self._offers.offer(refused.next_slots)
            free = refused.next_slots
            offer = (
                f"Free instead: {self._offers.say_all(free)}. Which time suits you?" if free else "Ask for another day."
            )
            raise ToolError(f"{_sentence(refused)} Nothing was changed. {offer}") from None
        except CalendarProblem as problem:
            raise ToolError(_sentence(problem)) from None

    def _wish_noted(self, text: str, who: Attendee) -> ToolError:
        note(
            self._call,
            MessageKind.CALLBACK,
            f"{text} The calendar did not answer, so it may or may not have taken effect.",
            name=who.name,
            number=who.phone or self._call.caller_number,
            when="as soon as the calendar can be reached",
        )
        return ToolError(
            "The calendar does not answer now, and it is not known whether that worked. It is noted that "
            "somebody calls the caller back to settle it: tell them so."
        )


def _status(status: BookingStatus) -> str:
    return "Requested, and not yet agreed to:" if status is BookingStatus.REQUESTED else "Booked:"


def _sentence(problem: CalendarProblem) -> str:
    text = str(problem).strip().rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
