"""What do we know of the caller from their earlier calls? When they called, how it went and what was done; not what was
said, since a number on a display proves nobody's name."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from livekit.agents import RunContext, function_tool
from livekit.agents.llm import FunctionTool, ToolError
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants.tool_options import CallerHistory
from voiceagents.calendars import spoken
from voiceagents.calls import history
from voiceagents.calls.recorder import HistoryUnavailable
from voiceagents.calls.states import Direction, MessageKind, ToolStatus
from voiceagents.livekit.tools.in_call import InCall

log = logging.getLogger("voiceagents.tools")

_SILENT = {"end_call", "caller_history", "take_message", "request_callback"}


@dataclass(frozen=True)
class EarlierCall:
    """One earlier call, as far as it is told."""

    at: datetime
    outbound: bool
    outcome: str
    did: Sequence[str] = ()
    """Tools that did something."""
    messages: int = 0
    callbacks: int = 0


def caller_history(options: CallerHistory, call: InCall) -> FunctionTool[Any, Any]:
    """The tool, without arguments: the caller is who calls."""

    @function_tool
    async def caller_history(ctx: RunContext[Any]) -> str:
        """Tells when the number that calls has been on the phone with us before, and what came of it. The number does
        not prove who is calling: ask for a name before you speak of it.
        """
        if call.caller_number is None:
            return "The caller hides their number, so nothing is known of earlier calls."
        number = call.caller_number

        async def question(session: AsyncSession) -> list[EarlierCall]:
            rows = await history.earlier_calls(session, number, before=call.call_id, limit=options.calls)
            return [await _told_of(session, row) for row in rows]

        try:
            found = await call.ask(question)
        except HistoryUnavailable as error:
            log.warning("CALLER_HISTORY_AWAY | call=%s | cause=%s", call.call_id, error)
            raise ToolError("The records cannot be read now; go on without them.") from None
        return in_words(found, call.zone, call.now())

    return caller_history


async def _told_of(session: AsyncSession, row: history.Call) -> EarlierCall:
    tools = await history.tool_calls(session, row.id)
    notes = await history.messages(session, row.id)
    return EarlierCall(
        at=row.created_at,
        outbound=row.direction is Direction.OUTBOUND,
        outcome=row.outcome.value.replace("_", " ") if row.outcome else "not over",
        did=list(dict.fromkeys(t.tool for t in tools if t.status is ToolStatus.DONE and t.tool not in _SILENT)),
        messages=sum(note.kind is MessageKind.MESSAGE for note in notes),
        callbacks=sum(note.kind is MessageKind.CALLBACK for note in notes),
    )


def in_words(calls: Sequence[EarlierCall], zone: ZoneInfo, now: datetime) -> str:
    """The earlier calls, the newest first, a sentence each."""
    if not calls:
        return "This number has not been on the phone with us before."
    return " ".join(_sentence(call, zone, now) for call in calls)


def _sentence(call: EarlierCall, zone: ZoneInfo, now: datetime) -> str:
    parts = [
        f"{'We called' if call.outbound else 'They called'} on {spoken.say(call.at, zone, now=now)}: {call.outcome}"
    ]
    if call.did:
        parts.append("used " + ", ".join(name.replace("_", " ") for name in call.did))
    if call.messages:
        parts.append("left a message")
    if call.callbacks:
        parts.append("asked to be called back")
    return ", ".join(parts) + "."
