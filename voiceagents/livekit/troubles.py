"""What is said to a person when ears, mind or voice of ours fail in the middle of a call?"""

import asyncio
import logging
from typing import Any, cast

from livekit import rtc
from livekit.agents import AgentSession, ErrorEvent

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.livekit.control import CallControl

log = logging.getLogger("voiceagents.conversation")

TAIL = 0.6
"""Seconds. The last audio is still on its way through LiveKit, the SIP service's jitter buffer and the phone network
when our side has played it out."""

_LAST_WORDS = 20.0
"""Seconds after which a line ends on which our last words do not come to their end."""

_VOICE_TAKES = 10.0
"""Seconds from the answer within which LiveKit must have our voice."""

_PARTS = {"llm": "the language model", "stt": "speech recognition", "tts": "the voice"}


def trouble_of(event: ErrorEvent) -> tuple[str, str] | None:
    """Which part failed (llm, stt, tts) and why, in words; None when the session will try again by itself."""
    error: Any = cast("Any", event.error)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    if getattr(error, "recoverable", False):
        return None
    kind = str(getattr(error, "type", "speech_error")).removesuffix("_error")
    return kind, f"{_PARTS.get(kind, kind)} failed: {first_line(getattr(error, 'error', error))}"


async def say_last(session: AgentSession[None], words: str, *, at_most: float = _LAST_WORDS) -> None:
    """Says them to their end; a line on which that cannot be ends all the same."""
    try:
        async with asyncio.timeout(at_most):
            await session.say(words, allow_interruptions=False).wait_for_playout()
            await asyncio.sleep(TAIL)
    except (TimeoutError, RuntimeError) as error:
        log.warning("LAST_WORDS_NOT_HEARD | cause=%s", first_line(error))


async def end_if_voiceless(room: rtc.Room, control: CallControl, *, at_most: float = _VOICE_TAKES) -> None:
    """Ends a call to which LiveKit does not let us speak: the session says nothing of it, and all would wait."""
    published = asyncio.Event()

    def on_published(*_: object) -> None:
        published.set()

    room.on("local_track_published", on_published)  # pyright: ignore[reportUnknownMemberType]
    try:
        if room.local_participant.track_publications:
            return
        async with asyncio.timeout(at_most):
            await published.wait()
    except TimeoutError:
        cause = f"LiveKit did not take our voice within {at_most:.0f} s of the answer"
        log.error("VOICELESS | cause=%s", cause)
        control.end(Ending(Outcome.FAILED, cause, EndedBy.SYSTEM))
    finally:
        room.off("local_track_published", on_published)  # pyright: ignore[reportUnknownMemberType]


async def apologize(session: AgentSession[None], control: CallControl, cause: str, *, can_speak: bool) -> None:
    """Says sorry where that is possible, and ends the call."""
    if can_speak:
        await say_last(
            session, "I am sorry, I have a technical problem and have to end this call. Goodbye.", at_most=10
        )
    control.end(Ending(Outcome.FAILED, cause, EndedBy.AGENT))


def first_line(error: object) -> str:
    """What an error says, short."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
