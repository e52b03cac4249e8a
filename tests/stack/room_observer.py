"""What does an agent in the room see and hear of a phone call? Every event is kept with its time, in order."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import numpy as np
from livekit import api, rtc

from tests.stack.phone_audio import Pcm
from voiceagents.lab import Lab

RATE = 48000


@dataclass(frozen=True)
class Event:
    at: float
    kind: str  # connected, attributes, track, disconnected, key, closed
    identity: str
    detail: Any


@dataclass(frozen=True)
class Sound:
    """A piece of the phone's voice as it came out of the jitter buffer."""

    at: float
    pcm: Pcm


class RoomObserver:
    """An agent that takes part in a room. It publishes a track unless told not to, silent until it speaks."""

    def __init__(self, lab: Lab, room: str, identity: str = "agent", *, speaks: bool = True) -> None:
        self._lab, self._name, self._identity, self._speaks = lab, room, identity, speaks
        self.room = rtc.Room()
        self.events: list[Event] = []
        self.sounds: list[Sound] = []
        self._arrival = asyncio.Event()
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=200)
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        room = self.room
        room.on("participant_connected", lambda p: self._note("connected", p, dict(p.attributes)))
        room.on("participant_attributes_changed", lambda changed, p: self._note("attributes", p, dict(changed)))
        room.on("participant_disconnected", lambda p: self._note("disconnected", p, p.disconnect_reason))
        room.on("sip_dtmf_received", lambda d: self._note("key", d.participant, (d.code, d.digit)))
        room.on("disconnected", lambda reason: self._note("closed", None, reason))
        room.on("track_subscribed", self._hear)
        grants = api.VideoGrants(room_join=True, room=self._name, agent=True)
        token = api.AccessToken(self._lab.api_key, self._lab.api_secret).with_identity(self._identity)
        await room.connect(self._lab.livekit_url, token.with_kind("agent").with_grants(grants).to_jwt())
        if self._speaks:
            track = rtc.LocalAudioTrack.create_audio_track("voice", self._source)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
            await room.local_participant.publish_track(track, options)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self.room.disconnect()
        await self._source.aclose()

    def _note(self, kind: str, participant: rtc.Participant | None, detail: Any) -> None:
        self.events.append(Event(time.monotonic(), kind, participant.identity if participant else "", detail))
        self._arrival.set()

    def _hear(self, track: rtc.Track, _: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._note("track", participant, track.sid)
            self._tasks.append(asyncio.create_task(self._listen(track)))

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1)
        try:
            async for event in stream:
                pcm = np.frombuffer(event.frame.data, np.int16).copy()
                self.sounds.append(Sound(time.monotonic(), pcm))
                self._arrival.set()
        finally:
            await stream.aclose()

    async def event(self, wanted: Callable[[Event], bool], within: float = 5.0) -> Event:
        async with asyncio.timeout(within):
            while True:
                for event in self.events:
                    if wanted(event):
                        return event
                self._arrival.clear()
                await self._arrival.wait()

    async def track(self, identity: str) -> Event:
        """The moment the participant's track could be heard."""
        return await self.event(lambda e: e.kind == "track" and e.identity == identity)

    async def left(self, identity: str, within: float = 5.0) -> Event:
        return await self.event(lambda e: e.kind == "disconnected" and e.identity == identity, within)

    async def status(self, identity: str, status: str, within: float = 5.0) -> Event:
        """The moment the participant's `sip.callStatus` became this, joining included."""
        return await self.event(
            lambda e: (
                e.kind in ("connected", "attributes")
                and e.identity == identity
                and e.detail.get("sip.callStatus") == status
            ),
            within,
        )

    async def present(self, identity: str, status: str, within: float = 5.0) -> None:
        """Return when the participant is there with this status, whether it came before us or after."""
        found = self.room.remote_participants.get(identity)
        if found is None or found.attributes.get("sip.callStatus") != status:
            await self.status(identity, status, within)

    def statuses(self, identity: str) -> list[str]:
        """Every `sip.callStatus` the participant has had, in order."""
        changes = [e.detail for e in self.events if e.kind in ("connected", "attributes") and e.identity == identity]
        return [change["sip.callStatus"] for change in changes if "sip.callStatus" in change]

    async def say(self, sound: Pcm) -> float:
        """Speak; answers when the first frame was handed over. The sound is at 48 kHz."""
        start = time.monotonic()
        for begin in range(0, len(sound), RATE // 50):
            piece = sound[begin : begin + RATE // 50]
            await self._source.capture_frame(rtc.AudioFrame(piece.tobytes(), RATE, 1, len(piece)))
        return start

    def heard(self, since: float = 0.0) -> Pcm:
        pieces = [sound.pcm for sound in self.sounds if sound.at >= since]
        return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)

    async def sound(self, wanted: Callable[[Sound], bool], within: float = 5.0) -> Sound:
        """The first piece of the phone's voice that is like this."""
        async with asyncio.timeout(within):
            while True:
                for sound in self.sounds:
                    if wanted(sound):
                        return sound
                self._arrival.clear()
                await self._arrival.wait()
