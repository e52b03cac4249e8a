"""How does the reception hear what the conversation must not answer? An agent whose ears can be listened in on.

All sound and every transcript pass the reception first. What it keeps for itself (a recording's words, a hello that the
prepared opening answers already) never becomes a turn of the conversation.
"""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Protocol

from livekit import rtc
from livekit.agents import Agent, ModelSettings, stt


class Listener(Protocol):
    """Who listens in."""

    def hears(self, frame: rtc.AudioFrame) -> None:
        """Sound from the phone, after the answer."""
        ...

    def keeps(self, event: stt.SpeechEvent) -> bool:
        """Whether this event of the transcription is for the listener alone."""
        ...


class HearingAgent(Agent):
    """The light agent of a call that we place: instructions, no tools, and somebody who listens in."""

    def __init__(self, *, instructions: str, listener: Listener) -> None:
        super().__init__(instructions=instructions)  # pyright: ignore[reportUnknownMemberType]
        self._listener = listener

    async def stt_node(
        self, audio: AsyncIterable[rtc.AudioFrame], model_settings: ModelSettings
    ) -> AsyncGenerator[stt.SpeechEvent]:
        """The usual transcription, with the listener on both ends."""

        async def overheard() -> AsyncGenerator[rtc.AudioFrame]:
            async for frame in audio:
                self._listener.hears(frame)
                yield frame

        async for event in Agent.default.stt_node(self, overheard(), model_settings):
            if not self._listener.keeps(event):
                yield event
