"""What is said to a person when ears, mind or voice of ours fail in the middle of a call?"""

import asyncio
import logging
from typing import Any, cast

from livekit.agents import AgentSession, ErrorEvent

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.livekit.control import CallControl

log = logging.getLogger("voiceagents.conversation")

TAIL = 0.6
"""Seconds. The last audio is still on its way through LiveKit, the SIP service's jitter buffer and the phone network
when our side has played it out."""

_PARTS = {"llm": "the language model", "stt": "speech recognition", "tts": "the voice"}


def trouble_of(event: ErrorEvent) -> tuple[str, str] | None:
    """Which part failed (llm, stt, tts) and why, in words; None when the session will try again by itself."""
    error: Any = cast("Any", event.error)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
    if getattr(error, "recoverable", False):
        return None
    kind = str(getattr(error, "type", "speech_error")).removesuffix("_error")
    return kind, f"{_PARTS.get(kind, kind)} failed: {first_line(getattr(error, 'error', error))}"


async def apologize(session: AgentSession[None], control: CallControl, cause: str, *, can_speak: bool) -> None:
    """Says sorry where that is possible, and ends the call."""
    if can_speak:
        try:
            async with asyncio.timeout(10):
                await session.say(
                    "I am sorry, I have a technical problem and have to end this call. Goodbye.",
                    allow_interruptions=False,
                ).wait_for_playout()
                await asyncio.sleep(TAIL)
        except (TimeoutError, RuntimeError) as error:
            log.warning("APOLOGY_NOT_HEARD | cause=%s", first_line(error))
    control.end(Ending(Outcome.FAILED, cause, EndedBy.AGENT))


def first_line(error: object) -> str:
    """What an error says, short."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
