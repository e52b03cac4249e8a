"""What does a tool know of the call it is used in, and what may it do to it?"""

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from livekit import api, rtc
from livekit.agents import AgentSession
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.assistants.draft import TransferTarget
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import Fact
from voiceagents.calls.states import Outcome
from voiceagents.livekit.discretion import Discretion
from voiceagents.livekit.tools.guard import Guard

T = TypeVar("T")
Ask = Callable[[Callable[[AsyncSession], Awaitable[Any]]], Awaitable[Any]]
"""Runs a question in a short transaction; raises HistoryUnavailable when the database does not answer."""


@dataclass(frozen=True)
class InCall:
    """One call, as its tools see it. Nothing here waits for the database but `ask`."""

    call_id: UUID
    room: rtc.Room
    livekit: api.LiveKitAPI
    phone_identity: str
    """The caller's phone in the room."""

    write: Callable[[Fact], None]
    ask: Ask
    end: Callable[[Ending], None]
    wish: Callable[[Outcome], None]
    """The caller asked for something that the call's outcome must tell."""

    fall_silent: Callable[[], None]
    """Has the agent neither listen nor speak for the rest of the call: others talk now."""

    session: Callable[[], AgentSession[None]]
    """The conversation, from when it begins."""

    caller_number: str | None = None
    """E.164; None when the caller hides it."""

    called_number: str | None = None
    """Which number of ours they called, in E.164, where that is known."""

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    """Whose clock is read when a time is said."""

    transfer_targets: tuple[TransferTarget, ...] = ()
    trunk_id: str | None = None
    """For calls that we place while we hold the line."""

    end_call_message: str = ""
    guard: Guard = field(default_factory=Guard)
    discretion: Discretion = field(default_factory=Discretion)
    """What the caller gives away in it."""

    now: Callable[[], datetime] = clock.now
    secret: Callable[[str], str | None] = lambda name: os.environ.get(f"TOOL_SECRET_{name.upper()}")
    """The value that `secret:NAME` stands for."""
