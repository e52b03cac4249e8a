"""What does every call have at hand?

The worker's shared things, and the frame in which one job runs: its end is always written down and its room never
left behind.
"""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid5

from livekit import api
from livekit.agents import JobContext
from livekit.agents.vad import VAD
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import logs
from voiceagents.calls.history import Gate
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.recorder import Recorder
from voiceagents.calls.records import CallEnded
from voiceagents.calls.rooms import is_gone
from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.livekit import sip
from voiceagents.livekit.control import CallControl
from voiceagents.livekit.discretion import Discretion
from voiceagents.livekit.egress import EgressRecording
from voiceagents.livekit.recording import CallRecording
from voiceagents.livekit.speech import SpeechEndpoint
from voiceagents.settings import LiveKitAccess, Settings

log = logging.getLogger("voiceagents.call")

TakeTurn = Callable[[AsyncSession, UUID, str], Awaitable[float]]
"""Asked with call and trunk when an agent is ready to dial: takes the next turn among the dials of a second, which
comes in so many seconds."""

_CALL_IDS = UUID("6f1dd0c6-5a0b-4d4e-9f5e-6c1b7a2f9c11")

_LEAVING = 2.0
"""Seconds that leaving a room may take before it is deleted all the same."""


class LiveCalls:
    """The calls of this process, so that a worker that must stop can end them."""

    def __init__(self) -> None:
        self._controls: set[CallControl] = set()
        self._lock = threading.Lock()

    @contextmanager
    def holding(self, control: CallControl) -> Generator[None]:
        """The call counts as live inside the block."""
        with self._lock:
            self._controls.add(control)
        try:
            yield
        finally:
            with self._lock:
                self._controls.discard(control)

    def __len__(self) -> int:
        with self._lock:
            return len(self._controls)

    def end_all(self, cause: str) -> None:
        """Ends every live call, from any thread."""
        with self._lock:
            controls = list(self._controls)
        for control in controls:
            control.end_from_outside(Ending(Outcome.FAILED, cause, EndedBy.SYSTEM))


@dataclass(frozen=True)
class WorkerContext:
    """What all calls of a worker process share."""

    settings: Settings
    access: LiveKitAccess
    recorder: Recorder
    vad: VAD
    speech: SpeechEndpoint
    worker_id: str
    gate: Gate | None = None
    take_turn: TakeTurn | None = None
    live: LiveCalls = field(default_factory=LiveCalls)


@dataclass(frozen=True)
class Job:
    """One job: one call in one room."""

    ctx: JobContext
    worker: WorkerContext
    livekit: api.LiveKitAPI
    control: CallControl
    discretion: Discretion = field(default_factory=Discretion)

    @property
    def room_name(self) -> str:
        return self.ctx.job.room.name

    def own_call_id(self) -> UUID:
        """The id of a call that no dispatcher gave one: the same for every job in this room, as long as the room
        exists."""
        return uuid5(_CALL_IDS, f"{self.ctx.job.room.sid or self.room_name}")

    def recording(self, call_id: UUID, *, wanted: bool) -> CallRecording | EgressRecording:
        """The recording of the call, which is none when it is not wanted."""
        settings, write = self.worker.settings, self.worker.recorder.write
        own = CallRecording(call_id, settings.voiceagents_data if wanted else None, write)
        if not wanted or not settings.livekit_egress:
            return own
        return EgressRecording(call_id, self.livekit, self.room_name, settings, write, otherwise=own)

    async def end(self, call_id: UUID, ending: Ending) -> None:
        """Hangs up and writes down how the call ended.

        The room is gone afterwards.
        """
        self.worker.recorder.write(CallEnded.of(call_id, ending, self.control.ended_at or datetime.now(UTC)))
        await self.hang_up()

    async def hang_up(self) -> None:
        """Ends the phone call: BYE, or CANCEL while it rings.

        The room is gone afterwards.
        """
        # We leave before the room is taken away: under a room that LiveKit deletes, its native client keeps the thread
        # that plays our voice for ever.
        with suppress(TimeoutError):
            async with asyncio.timeout(_LEAVING):
                await self.ctx.room.disconnect()
        await sip.delete_room(self.livekit, self.room_name)

    async def delete_room_if_unused(self) -> None:
        """Deletes the room of a refused job, unless a phone is in it: then another job is on the line there."""
        try:
            answer = await self.livekit.room.list_participants(api.ListParticipantsRequest(room=self.room_name))
        except api.ServerError as error:
            if is_gone(error):
                return
            raise
        if any(p.kind == api.ParticipantInfo.Kind.SIP for p in answer.participants):
            log.warning("ROOM_KEPT | room=%s | a call is going on in it", logs.room(self.room_name))
            return
        await sip.delete_room(self.livekit, self.room_name)
