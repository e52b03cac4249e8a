"""A caller in writing: an assistant with its tools, the offline model behind the real chat contract, and no sound.

    async with Desk(assistant) as desk:
        await desk.say("I would like to book an appointment tomorrow at three")
        assert desk.facts(ToolUsed)

What a call would write into the history is kept in a list; the clock stands still; the calendar is one that tests fill.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import httpx2
import openai as openai_client
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.testing import fake_job_context
from livekit.agents.voice.run_result import RunResult
from livekit.plugins import openai

from voiceagents.assistants.resolver import Resolved
from voiceagents.calendars.base import (
    Attendee,
    Booking,
    BookingStatus,
    CalendarDown,
    NoSuchBooking,
    Slot,
    SlotTaken,
)
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import Fact, ToolUsed
from voiceagents.calls.states import Outcome
from voiceagents.livekit.tools import Equipment, InCall, tools_for
from voiceagents.livekit.tools.guard import Guard
from voiceagents.livekit.tools.instructions import with_tools
from voiceagents.speech import CHAT_MODEL
from voiceagents.speech.server import create_app

F = TypeVar("F", bound=Fact)
NEW_YORK = ZoneInfo("America/New_York")
NOW = datetime(2026, 11, 25, 17, 0, tzinfo=UTC)
"""A Wednesday, noon in New York."""

CALLER = "+12025550143"
HOUR = timedelta(hours=1)


def local(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    """A time of 2026 in New York."""
    return datetime(2026, month, day, hour, minute, tzinfo=NEW_YORK)


@dataclass
class PaperCalendar:
    """A calendar that lives in a list: every full hour from 9 to 17 on weekdays, except what is booked or blocked."""

    id: str = "paper"
    name: str = "Paper"
    zone: ZoneInfo = NEW_YORK
    booked: list[Booking] = field(default_factory=list[Booking])
    blocked: set[datetime] = field(default_factory=set[datetime])
    down: bool = False
    status: BookingStatus = BookingStatus.BOOKED
    keys: dict[tuple[str, datetime], Booking] = field(default_factory=dict[tuple[str, datetime], Booking])

    def _is_up(self) -> None:
        if self.down:
            raise CalendarDown("the calendar is away")

    def _is_free(self, start: datetime) -> bool:
        taken = {one.start.astimezone(UTC) for one in self.booked if one.status is not BookingStatus.CANCELLED}
        return start.astimezone(UTC) not in taken | {one.astimezone(UTC) for one in self.blocked}

    async def free(self, start: datetime, end: datetime) -> list[Slot]:
        self._is_up()
        at = max(start, NOW).astimezone(self.zone).replace(minute=0, second=0, microsecond=0)
        found: list[Slot] = []
        while at < end:
            if at >= max(start, NOW) and at.weekday() < 5 and 9 <= at.hour < 17 and self._is_free(at):
                found.append(Slot(at.astimezone(UTC), at.astimezone(UTC) + HOUR))
            at += HOUR
        return found

    async def book(self, start: datetime, attendee: Attendee, *, key: str, notes: str = "") -> Booking:
        self._is_up()
        if (key, start) in self.keys:
            return self.keys[key, start]
        if not self._is_free(start):
            raise SlotTaken((await self.free(start, start + timedelta(days=2)))[:2])
        booking = Booking(str(uuid4()), start, start + HOUR, attendee, self.status, notes=notes)
        self.booked.append(booking)
        self.keys[key, start] = booking
        return booking

    async def reschedule(self, booking_id: str, start: datetime, *, key: str) -> Booking:
        self._is_up()
        place, old = self._find(booking_id)
        if not self._is_free(start):
            raise SlotTaken((await self.free(start, start + timedelta(days=2)))[:2])
        self.booked[place] = moved = replace(old, start=start, end=start + HOUR)
        return moved

    async def cancel(self, booking_id: str, *, reason: str = "") -> Booking:
        self._is_up()
        place, old = self._find(booking_id)
        self.booked[place] = replace(old, status=BookingStatus.CANCELLED)
        return old

    async def bookings_of(self, *, phone: str | None = None, email: str | None = None) -> list[Booking]:
        self._is_up()
        standing = [one for one in self.booked if one.status is not BookingStatus.CANCELLED]
        return [one for one in standing if phone and one.attendee.phone == phone]

    async def bookings(self, start: datetime, end: datetime) -> list[Booking]:
        self._is_up()
        return [one for one in self.booked if one.start < end and start < one.end]

    async def confirm(self, booking_id: str) -> Booking:
        place, old = self._find(booking_id)
        self.booked[place] = agreed = replace(old, status=BookingStatus.BOOKED)
        return agreed

    async def check(self) -> str:
        self._is_up()
        return "a calendar of paper"

    async def aclose(self) -> None:
        """There is nothing to end."""

    def _find(self, booking_id: str) -> tuple[int, Booking]:
        for place, one in enumerate(self.booked):
            if one.id == booking_id and one.status is not BookingStatus.CANCELLED:
                return place, one
        raise NoSuchBooking("there is no such booking")

    @property
    def standing(self) -> list[tuple[datetime, str]]:
        """What is booked: New York time and name."""
        return sorted(
            (one.start.astimezone(self.zone), one.attendee.name)
            for one in self.booked
            if one.status is not BookingStatus.CANCELLED
        )


def assistant(**choices: Any) -> Resolved:
    """An assistant with these choices."""
    values: dict[str, Any] = {
        "id": "rose",
        "name": "Rose",
        "prompt": "You answer for Rose Garden Tools. Parking is free.",
        "first_message": "Hello, this is Rose.",
        "source": "job.metadata",
    }
    return Resolved(**values | choices)


@dataclass
class Desk:
    """One written call."""

    assistant: Resolved
    calendar: PaperCalendar | None = None
    caller: str | None = CALLER
    called: str | None = None
    guard: Guard = field(default_factory=Guard)
    secrets: dict[str, str] = field(default_factory=dict[str, str])
    livekit: Any = None
    written: list[Fact] = field(default_factory=list[Fact])
    endings: list[Ending] = field(default_factory=list[Ending])
    wishes: list[Outcome] = field(default_factory=list[Outcome])
    silences: list[bool] = field(default_factory=list[bool])
    call_id: UUID = field(default_factory=uuid4)
    answers: Any = None

    async def __aenter__(self) -> Self:
        app = create_app("key")
        self._http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app))
        client = openai_client.AsyncClient(api_key="key", base_url="http://model/v1", http_client=self._http)
        self._job = fake_job_context()
        job = self._job.__enter__()
        self.room: rtc.Room = job.room
        self.in_call = InCall(
            call_id=self.call_id,
            room=job.room,
            livekit=self.livekit,
            phone_identity="sip_caller",
            write=self.written.append,
            ask=self._ask,
            end=self.endings.append,
            wish=self.wishes.append,
            fall_silent=lambda: self.silences.append(True),
            session=lambda: self.session,
            caller_number=self.caller,
            called_number=self.called,
            zone=NEW_YORK,
            transfer_targets=self.assistant.transfer_targets,
            end_call_message=self.assistant.end_call_message,
            guard=self.guard,
            now=lambda: NOW,
            secret=lambda name: self.secrets.get(name.upper()),
        )
        open_calendar = None if self.calendar is None or self.calendar.down else self.calendar
        self.equipment: Equipment = await tools_for(self.assistant, self.in_call, calendar=open_calendar)
        instructions = with_tools(
            self.assistant.prompt,
            now=NOW,
            zone=NEW_YORK,
            tools=bool(self.equipment.tools),
            missing=self.equipment.missing,
            keys=self.equipment.keys,
        )
        self.instructions = instructions
        self.session: AgentSession[None] = AgentSession(
            llm=openai.LLM(model=CHAT_MODEL, client=client), vad=None, max_tool_steps=6
        )
        self.equipment.records.follow(self.session)
        await self.session.start(Agent(instructions=instructions, tools=self.equipment.tools))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.aclose()
        await self._http.aclose()
        self._job.__exit__(None, None, None)

    async def _ask(self, question: Any) -> Any:
        if isinstance(self.answers, Exception):
            raise self.answers
        return self.answers

    async def say(self, words: str) -> RunResult[None]:
        """The caller says something; returns when the assistant has answered."""
        return await self.session.run(user_input=words)

    def tool(self, name: str) -> Any:
        """One tool, by its name."""
        return next(tool for tool in self.equipment.tools if tool.id == name)

    def facts(self, kind: type[F]) -> list[F]:
        """What was written of one kind."""
        return [fact for fact in self.written if isinstance(fact, kind)]

    @property
    def used(self) -> list[ToolUsed]:
        """The tools that were used, as the record has them in the end."""
        last = {fact.tool_call_id: fact for fact in self.facts(ToolUsed)}
        return list(last.values())

    @property
    def names(self) -> Sequence[str]:
        """Names of the tools the model is offered."""
        return [tool.id for tool in self.equipment.tools]

    def __str__(self) -> str:
        return "\n".join(
            f"{getattr(item, 'role', item.type)}: "
            + str(
                getattr(item, "text_content", None) or getattr(item, "output", None) or getattr(item, "arguments", "")
            )
            for item in self.session.history.items
        )
