"""How does the use of a tool get into the history? Whatever tool it is, from what the session says of it: when it
began, with which arguments, when it ended, and what it answered or what went wrong."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from livekit.agents import AgentSession
from livekit.agents.llm import FunctionCall
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted, ToolExecutionUpdatedEvent

from voiceagents.calls.records import Fact, ToolUsed
from voiceagents.calls.states import ToolStatus
from voiceagents.livekit.discretion import HIDDEN, Discretion
from voiceagents.livekit.tools.masking import masked

log = logging.getLogger("voiceagents.tools")

_LONGEST_RESULT = 4000


@dataclass(frozen=True)
class _Begun:
    call: FunctionCall
    at: datetime
    hidden: bool
    """A secret is being asked for: what it is used with is the answer."""


class ToolRecords:
    """Writes down the tools of one session.

    Args:
        secrets: values that must not be kept.
        unkept: tools whose answers are not kept at all.
        discretion: what the caller gave away.
    """

    def __init__(
        self,
        call_id: UUID,
        write: Callable[[Fact], None],
        *,
        secrets: frozenset[str] = frozenset(),
        unkept: frozenset[str] = frozenset(),
        discretion: Discretion | None = None,
    ) -> None:
        self._call_id = call_id
        self._write = write
        self._secrets = secrets
        self._unkept = unkept
        self._discretion = discretion or Discretion()
        self._begun: dict[str, _Begun] = {}

    def follow(self, session: AgentSession[Any]) -> None:
        """From now on."""
        session.on("tool_execution_updated", self._on_update)  # pyright: ignore[reportUnknownMemberType]

    def _on_update(self, event: ToolExecutionUpdatedEvent) -> None:
        at = datetime.fromtimestamp(event.created_at, UTC)
        match event.update:
            case ToolCallStarted(function_call=call):
                self._begun[call.call_id] = begun = _Begun(call, at, self._discretion.is_asking)
                self._keep(begun, ToolStatus.RUNNING)
            case ToolCallEnded(call_id=call_id, status=status, message=message) if call_id in self._begun:
                self._keep(self._begun.pop(call_id), ToolStatus(status), message, at)
            case _:
                pass

    def _keep(
        self, begun: _Begun, status: ToolStatus, result: str | None = None, ended_at: datetime | None = None
    ) -> None:
        name = begun.call.name
        arguments = self._kept(_arguments(begun.call))
        if begun.hidden:
            arguments = dict.fromkeys(arguments, HIDDEN)
        if result is not None and status is ToolStatus.DONE and (name in self._unkept or begun.hidden):
            result = HIDDEN
        self._write(
            ToolUsed(
                call_id=self._call_id,
                tool_call_id=begun.call.call_id,
                tool=name,
                arguments=arguments,
                status=status,
                result=None if result is None else self._kept(result)[:_LONGEST_RESULT],
                started_at=begun.at,
                ended_at=ended_at,
            )
        )
        if ended_at is not None:
            seconds = (ended_at - begun.at).total_seconds()
            level = logging.WARNING if status is ToolStatus.ERROR else logging.INFO
            log.log(
                level, "TOOL_USED | call=%s | tool=%s | status=%s | seconds=%.2f", self._call_id, name, status, seconds
            )

    def _kept(self, value: Any) -> Any:
        return self._discretion.without(masked(value, self._secrets))


def _arguments(call: FunctionCall) -> dict[str, Any]:
    try:
        read: object = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        read = None
    # What a model wrote need not be an object, nor JSON at all; the record shows what it was.
    return cast("dict[str, Any]", read) if isinstance(read, dict) else {"unreadable": call.arguments}
