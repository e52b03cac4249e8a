"""What is the phone line doing?

Turns what LiveKit reports about the phone in the room into the states and the end of a call.
"""

import asyncio
import logging
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from livekit import rtc

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.recorder import Recorder
from voiceagents.calls.records import Happened, StateReached
from voiceagents.calls.states import CallState, EndedBy, Outcome
from voiceagents.livekit import sip
from voiceagents.livekit.control import CallControl
from voiceagents.livekit.discretion import Discretion

log = logging.getLogger("voiceagents.line")


class Line:
    """Follows one phone in one room, from before it is there until it is gone.

    Args:
        max_call_duration: seconds after which the SIP service ends the call by itself.
        inbound: the phone called us; it may give up before we answer.
        discretion: which keys may be written down.
    """

    def __init__(
        self,
        *,
        call_id: UUID,
        room: rtc.Room,
        control: CallControl,
        recorder: Recorder,
        max_call_duration: float,
        inbound: bool = False,
        discretion: Discretion | None = None,
    ) -> None:
        self._inbound = inbound
        self._discretion = discretion or Discretion()
        self._call_id = call_id
        self._room = room
        self._control = control
        self._recorder = recorder
        self._max_call_duration = max_call_duration
        self._since = time.monotonic()
        self.identity: str | None = None
        self.rang = False
        self._hung_up = False
        self._left = False
        self.answered_at: datetime | None = None
        self._active = asyncio.Event()
        self._there = asyncio.Event()
        self._alerting = asyncio.Event()
        self._room_gone = asyncio.Event()
        for event, handler in self._handlers():
            room.on(event, handler)  # pyright: ignore[reportUnknownMemberType]
        for participant in room.remote_participants.values():
            self._on_connected(participant)

    def release(self) -> None:
        """Stops to follow."""
        for event, handler in self._handlers():
            self._room.off(event, handler)  # pyright: ignore[reportUnknownMemberType]

    async def present(self, seconds: float) -> rtc.RemoteParticipant | None:
        """The phone once it is in the room; None when it is not there after `seconds` or the call has ended."""
        await self._first(self._there, seconds)
        return sip.phone_in(self._room)

    async def answered(self, seconds: float) -> bool:
        """True once somebody has answered; False when that is not so after `seconds` or the call has ended."""
        await self._first(self._active, seconds)
        return self._active.is_set() and not self._control.ended.done()

    async def alerting(self) -> None:
        """Returns when the phone rings, or was answered without ringing."""
        await self._alerting.wait()

    async def active(self) -> None:
        """Returns in the moment of the answer."""
        await self._active.wait()

    async def room_gone(self, seconds: float = 0.0) -> bool:
        """True when the room was taken away from us, now or within `seconds`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._room_gone.wait()
        return self._room_gone.is_set()

    async def _first(self, event: asyncio.Event, seconds: float) -> None:
        waiting = asyncio.ensure_future(event.wait())
        try:
            await asyncio.wait({waiting, self._control.ended}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def _handlers(self) -> list[tuple[Any, Any]]:
        return [
            ("participant_connected", self._on_connected),
            ("participant_attributes_changed", self._on_attributes),
            ("participant_disconnected", self._on_disconnected),
            ("sip_dtmf_received", self._on_dtmf),
            ("disconnected", self._on_room_gone),
        ]

    def _on_connected(self, participant: rtc.RemoteParticipant) -> None:
        if not sip.is_phone(participant) or self.identity is not None:
            return
        self.identity = participant.identity
        self._there.set()
        self._on_status(participant.attributes.get(sip.CALL_STATUS), participant)

    def _on_attributes(self, changed: dict[str, str], participant: rtc.Participant) -> None:
        if participant.identity == self.identity and sip.CALL_STATUS in changed:
            self._on_status(changed[sip.CALL_STATUS], participant)

    def _on_status(self, status: str | None, participant: rtc.Participant) -> None:
        now = datetime.now(UTC)
        sip_call_id = participant.attributes.get("sip.callIDFull") or participant.attributes.get("sip.callID")
        # Of a call that came in, the trunk's number is the one that was called, and the row holds it from the start.
        ours = None if self._inbound else sip.with_plus(participant.attributes.get("sip.trunkPhoneNumber"))
        if status == "ringing" and not self.rang:
            self.rang = True
            self._alerting.set()
            self._recorder.write(
                StateReached(
                    call_id=self._call_id, state=CallState.RINGING, at=now, sip_call_id=sip_call_id, from_number=ours
                )
            )
        elif status == "hangup":
            self._hung_up = True
        elif status == "active" and not self._active.is_set():
            self.answered_at = now
            self._alerting.set()
            self._active.set()
            self._recorder.write(
                StateReached(
                    call_id=self._call_id, state=CallState.ANSWERED, at=now, sip_call_id=sip_call_id, from_number=ours
                )
            )
            if self._left:  # the news of answering came after that of leaving
                self._end(Outcome.COMPLETED, "the person hung up", EndedBy.PERSON)

    def _on_disconnected(self, participant: rtc.RemoteParticipant) -> None:
        if participant.identity != self.identity:
            return
        if not self._active.is_set():
            # While we dial, the API call itself says what became of it, and with the SIP status.
            self._left = True
            if self._inbound:
                self._end(Outcome.HUNG_UP, "the caller hung up before we answered", EndedBy.PERSON)
            return
        reason = participant.disconnect_reason
        if time.monotonic() - self._since >= self._max_call_duration - 0.5:
            self._end(
                Outcome.COMPLETED,
                f"the longest call time of {self._max_call_duration:.0f} s was reached",
                EndedBy.SYSTEM,
            )
        elif reason == rtc.DisconnectReason.PARTICIPANT_REMOVED:
            self._end(Outcome.COMPLETED, "somebody removed the phone from the room", EndedBy.SYSTEM)
        elif reason == rtc.DisconnectReason.ROOM_DELETED:
            self._end(Outcome.COMPLETED, "somebody deleted the room", EndedBy.SYSTEM)
        elif reason == rtc.DisconnectReason.CLIENT_INITIATED or self._hung_up:
            self._end(Outcome.COMPLETED, "the person hung up", EndedBy.PERSON)
        else:
            # The SIP service crashed or LiveKit did: nobody knows whether the person is still listening.
            name = rtc.DisconnectReason.Name(reason) if reason is not None else "no reason given"
            self._end(Outcome.FAILED, f"LiveKit lost the phone ({name})", EndedBy.SYSTEM)

    def _on_room_gone(self, reason: Any) -> None:
        self._room_gone.set()
        if reason == rtc.DisconnectReason.CLIENT_INITIATED:
            return  # we left, because the call is over
        if reason == rtc.DisconnectReason.ROOM_DELETED:
            if self._active.is_set():
                self._end(Outcome.COMPLETED, "somebody deleted the room", EndedBy.SYSTEM)
            else:
                self._end(Outcome.CANCELLED, "the call was cancelled: its room was deleted", EndedBy.SYSTEM)
        else:
            self._end(Outcome.FAILED, "the connection to LiveKit was lost", EndedBy.SYSTEM)

    def _on_dtmf(self, event: rtc.SipDTMF) -> None:
        key = self._discretion.key(event.digit)
        self._recorder.write(Happened(call_id=self._call_id, kind="dtmf", at=datetime.now(UTC), detail={"digit": key}))

    def _end(self, outcome: Outcome, cause: str, by: EndedBy) -> None:
        self._control.end(Ending(outcome, cause, by))
