"""What is made while the phone rings: lines from memory, without the breath at their start; and what if that fails?"""

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from livekit import rtc

from voiceagents.livekit.answer.prepared import Prepared, from_first_sound, given_words
from voiceagents.simulation.sound import HEARD, SAID, sounding, wait_after_first_words

pytestmark = pytest.mark.unit

RATE = 24000


def frame(*levels: int) -> rtc.AudioFrame:
    """A tenth of a second for each level."""
    samples = np.concatenate([np.full(RATE // 10, level, np.int16) for level in levels])
    return rtc.AudioFrame(samples.tobytes(), RATE, 1, samples.size)


class Voice:
    """A voice that says these frames, and waits before each of them when told so."""

    def __init__(self, *frames: rtc.AudioFrame, error: Exception | None = None) -> None:
        self._frames = frames
        self._error = error
        self.go = asyncio.Semaphore(100)

    def synthesize(self, _: str) -> Any:
        return self

    async def __aenter__(self) -> "Voice":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def __aiter__(self) -> AsyncIterator[Any]:
        for each in self._frames:
            await self.go.acquire()
            yield SimpleNamespace(frame=each)
        if self._error is not None:
            raise self._error


def prepared(voice: Voice, text: str = "Hi Ana.") -> Prepared:
    return Prepared(cast(Any, SimpleNamespace(tts=voice)), lambda: given_words(text))


async def test_it_plays_from_memory_as_often_as_it_is_asked_for() -> None:
    line = prepared(Voice(frame(900), frame(800)))
    first = [each async for each in line.frames()]
    again = [each async for each in line.frames()]
    assert line.ready
    assert len(first) == 2
    assert first == again


async def test_it_can_be_played_while_it_is_still_being_made() -> None:
    voice = Voice(frame(900), frame(800))
    voice.go = asyncio.Semaphore(1)
    line = prepared(voice)
    playing = line.frames()
    await anext(playing)
    assert line.ready
    voice.go.release()
    assert [each async for each in playing]


@pytest.mark.parametrize("text", ["", "Hi Ana."])
async def test_a_line_that_could_not_be_made_is_never_ready(text: str) -> None:
    line = prepared(Voice(error=OSError("no voice")), text)
    assert [each async for each in line.frames()] == []
    assert not line.ready


async def test_who_waits_for_a_line_hears_when_it_has_a_sound_or_that_none_will_come() -> None:
    voice = Voice(frame(900))
    voice.go = asyncio.Semaphore(0)
    line = prepared(voice)
    waiting = asyncio.create_task(line.begun())
    await asyncio.sleep(0)
    assert not waiting.done()
    voice.go.release()
    assert await asyncio.wait_for(waiting, 5)
    assert not line.failed
    broken = prepared(Voice(error=OSError("no voice")))
    assert not await asyncio.wait_for(broken.begun(), 5)
    assert broken.failed


async def test_a_line_that_nobody_will_hear_is_not_made_any_further() -> None:
    voice = Voice(frame(900))
    voice.go = asyncio.Semaphore(0)
    line = prepared(voice)
    await asyncio.sleep(0)
    line.drop()
    assert [each async for each in line.frames()] == []


def test_the_silence_before_the_first_sound_is_left_out() -> None:
    cut = from_first_sound(frame(0, 0, 0, 1000))
    assert cut is not None
    assert cut.samples_per_channel == RATE // 10 + RATE // 50
    assert from_first_sound(frame(0, 0)) is None


def test_times_are_read_off_a_recording(tmp_path: Path) -> None:
    both = np.zeros((8000 * 4, 2), np.int16)
    both[8000:12000, SAID] = 3000  # says hello from 1.0 to 1.5 s
    both[15200:24000, HEARD] = 3000  # and hears us from 1.9 s on
    path = tmp_path / "call.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(both.tobytes())
    assert sounding(path, SAID) == [(pytest.approx(1.0), pytest.approx(1.5))]
    assert wait_after_first_words(path) == pytest.approx(0.4, abs=0.03)
