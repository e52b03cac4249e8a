"""A call to which we cannot speak ends, and says why, instead of being silent for ever."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from livekit.rtc.event_emitter import EventEmitter

from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.livekit.control import CallControl
from voiceagents.livekit.troubles import end_if_voiceless

pytestmark = pytest.mark.unit


class Room(EventEmitter[str]):
    def __init__(self, publications: dict[str, object]) -> None:
        super().__init__()
        self.local_participant = SimpleNamespace(track_publications=publications)


async def test_a_voice_that_is_there_ends_nothing() -> None:
    room: Any = Room({"TR_1": object()})
    control = CallControl()
    await end_if_voiceless(room, control, at_most=0.01)
    assert not control.ended.done()


async def test_a_voice_that_comes_late_ends_nothing() -> None:
    room: Any = Room({})
    control = CallControl()
    waiting = asyncio.create_task(end_if_voiceless(room, control, at_most=5))
    await asyncio.sleep(0)
    room.emit("local_track_published", object(), object())
    await waiting
    assert not control.ended.done()


async def test_a_voice_that_never_comes_ends_the_call_and_says_so() -> None:
    room: Any = Room({})
    control = CallControl()
    await end_if_voiceless(room, control, at_most=0.01)
    ending = control.ended.result()
    assert (ending.outcome, ending.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
    assert "did not take our voice" in ending.cause
