"""How is a call recorded? Both sides as the conversation hears and speaks them, from the answer on, by livekit-agents'
own recorder.

It is put between the session and the room, where nothing is sent to anybody else: `AgentSession.start(record=…)` would
start with the session, which is while the phone still rings, and hand the sound to LiveKit's cloud where there is one.
A recording that fails never ends a call.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from livekit.agents import AgentSession
from livekit.agents.voice.recorder_io import RecorderIO

from voiceagents.calls import recordings
from voiceagents.calls.records import CallRecorded, Fact, Happened

log = logging.getLogger("voiceagents.recordings")

_RATE = 24000
"""Samples a second: what the room gives and what voices are made at, so that nothing is converted."""

_LONGEST_WRITE = 10.0
"""Seconds that the last of it may take to get to the disk."""


class CallRecording:
    """The recording of one call.

    Args:
        call_id: whose recording it is.
        data: the data folder; None when this call is not to be recorded.
        write: takes the facts that are to be written down.
    """

    def __init__(self, call_id: UUID, data: Path | None, write: Callable[[Fact], None]) -> None:
        self._call_id = call_id
        self._data = data
        self._write = write
        self._io: RecorderIO | None = None
        self._file: recordings.Unfinished | None = None

    def attach(self, session: AgentSession[Any]) -> None:
        """Takes its place between a session that has started and its room; nothing is recorded yet."""
        heard, spoken = session.input.audio, session.output.audio
        if self._data is None or self._io is not None or heard is None or spoken is None:
            return
        self._io = RecorderIO(agent_session=session, sample_rate=_RATE)
        session.input.audio = self._io.record_input(heard)
        session.output.audio = self._io.record_output(spoken)

    async def begin(self) -> None:
        """Somebody has answered: from now on everything is recorded."""
        if self._io is None or self._data is None or self._file is not None:
            return
        try:
            self._file = recordings.Unfinished(self._data, self._call_id)
        except OSError as error:
            self._failed(f"{recordings.folder(self._data)} cannot be written: {error.strerror or error}")
            return
        await self._io.start(output_path=self._file.path)
        at = self._io.recording_started_at
        started = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
        # At once, so that what a killed agent leaves is known as this call's.
        self._write(CallRecorded(call_id=self._call_id, file=recordings.file_name(self._call_id), started_at=started))

    async def finish(self) -> None:
        """Writes the last of it and gives the file its name. May be called again."""
        file, self._file = self._file, None
        if file is None or self._io is None:
            return
        try:
            async with asyncio.timeout(_LONGEST_WRITE):
                await self._io.aclose()
        except TimeoutError:
            self._failed(f"its last part was not written within {_LONGEST_WRITE:.0f} s")
        finally:
            if not file.keep():
                self._failed("nothing was written, or it was deleted meanwhile")

    def _failed(self, cause: str) -> None:
        log.warning("RECORDING_FAILED | call=%s | cause=%s", self._call_id, cause)
        self._write(
            Happened(call_id=self._call_id, kind="recording_failed", at=datetime.now(UTC), detail={"cause": cause})
        )
