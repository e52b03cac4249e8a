"""Which words can be spoken before they are needed? Lines of one call, phrased and synthesised while the phone rings,
and played from memory.

What fails here is never heard: a line that is not ready is spoken the usual way.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents.llm import LLM, ChatContext

from voiceagents.livekit.speech import SessionModels

log = logging.getLogger("voiceagents.conversation")

_AUDIBLE = 300
"""Peak of 16 bit samples, about -40 dBFS: what is softer at the start of a line is a voice taking its breath."""

_LEAD = 0.02
"""Seconds kept before the first audible sample."""

_HELLO = "Hello?"


class Prepared:
    """One line: its words and its sound, made in the background from the moment it is created."""

    def __init__(self, models: SessionModels, words: Callable[[], Awaitable[str]]) -> None:
        self.text = ""
        self._models = models
        self._words = words
        self._frames: list[rtc.AudioFrame] = []
        self._changed = asyncio.Event()
        self._made = False
        self._task = asyncio.create_task(self._make())

    @property
    def ready(self) -> bool:
        """Whether it can be played without a wait: its words stand and its sound has begun."""
        return bool(self._frames)

    @property
    def failed(self) -> bool:
        """Whether nothing came of it."""
        return self._made and not self._frames

    async def begun(self) -> bool:
        """Waits until it can be played. False when nothing came of it."""
        while not self.ready and not self.failed:
            self._changed.clear()
            await self._changed.wait()
        return self.ready

    async def frames(self) -> AsyncIterator[rtc.AudioFrame]:
        """The sound from its start; what is not there yet comes as it is made. May be asked for more than once."""
        place = 0
        while True:
            while place < len(self._frames):
                yield self._frames[place]
                place += 1
            if self._made:
                return
            self._changed.clear()
            if place == len(self._frames):
                await self._changed.wait()

    def drop(self) -> None:
        """Nobody will hear it: what is not made yet need not be."""
        self._task.cancel()

    async def _make(self) -> None:
        try:
            text = (await self._words()).strip()
            if not text:
                return
            self.text = text
            async with self._models.tts.synthesize(text) as synthesis:
                async for part in synthesis:
                    frame = part.frame if self._frames else from_first_sound(part.frame)
                    if frame is not None:
                        self._frames.append(frame)
                        self._changed.set()
        except Exception as error:  # noqa: BLE001  whatever fails, the call goes on without it
            log.warning("NOT_PREPARED | cause=%s", str(error) or type(error).__name__)
        finally:
            self._made = True
            self._changed.set()


def from_first_sound(frame: rtc.AudioFrame) -> rtc.AudioFrame | None:
    """The frame without the silence at its start; None when there is nothing else in it."""
    samples = np.frombuffer(frame.data, np.int16)
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > _AUDIBLE)
    if not loud.size:
        return None
    start = max(0, int(loud[0]) - int(_LEAD * frame.sample_rate) * frame.num_channels)
    start -= start % frame.num_channels
    rest = samples[start:]
    return rtc.AudioFrame(rest.tobytes(), frame.sample_rate, frame.num_channels, rest.size // frame.num_channels)


async def opening_words(llm: LLM[Any], instructions: str) -> str:
    """What the model says to whoever picks up with a plain hello; it has read its instructions by then, too."""
    context = ChatContext.empty()
    context.add_message(role="system", content=instructions)
    context.add_message(role="user", content=_HELLO)
    async with llm.chat(chat_ctx=context) as stream:
        return (await stream.collect()).text


async def given_words(text: str) -> str:
    """Words that are known already."""
    return text
