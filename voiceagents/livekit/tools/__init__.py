"""Which tools does the assistant of a call have?

One file a tool; `tools_for` puts together what the assistant's options ask for. A tool that cannot be had in this call
(a server that is away, a secret that is missing) is left out, and the assistant is told (`instructions`): it costs the
tool, never the call.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from livekit.agents.llm import Tool, Toolset

from voiceagents.assistants.resolver import Resolved
from voiceagents.assistants.tool_options import (
    CalendarTools,
    CallerHistory,
    CollectDigits,
    EndCall,
    Http,
    KeypadMenu,
    Mcp,
    RequestCallback,
    SendDtmf,
    TakeMessage,
    ToolOptions,
    Transfer,
    read_all,
)
from voiceagents.calendars.base import Calendar
from voiceagents.livekit.tools.calendar import Appointments
from voiceagents.livekit.tools.caller_history import caller_history
from voiceagents.livekit.tools.end_call import end_call
from voiceagents.livekit.tools.http_request import http_request
from voiceagents.livekit.tools.in_call import InCall
from voiceagents.livekit.tools.keypad import collect_digits, keypad_menu, send_dtmf
from voiceagents.livekit.tools.masking import UnknownSecret, filled, secrets_of
from voiceagents.livekit.tools.mcp_server import connected
from voiceagents.livekit.tools.message import request_callback, take_message
from voiceagents.livekit.tools.open_calendar import has_calendar
from voiceagents.livekit.tools.tool_records import ToolRecords
from voiceagents.livekit.tools.transfer import transfer

__all__ = ["Equipment", "InCall", "tools_for"]

log = logging.getLogger("voiceagents.tools")

CALENDAR = "calendar"


class _CannotBeHad(Exception):
    """A tool cannot be had in this call; the message says why."""


@dataclass(frozen=True)
class Equipment:
    """What one call has."""

    tools: list[Tool | Toolset]
    records: ToolRecords
    missing: Mapping[str, str] = field(default_factory=dict[str, str])
    """Tools that were asked for and cannot be had now, and why."""
    keys: Mapping[str, str] = field(default_factory=dict[str, str])
    """What the caller says by pressing a key."""

    @classmethod
    def none(cls, call: InCall) -> "Equipment":
        """No tools at all."""
        return cls([], ToolRecords(call.call_id, call.write))


async def tools_for(
    assistant: Resolved, call: InCall, *, calendar: Calendar | None = None, message: bool = False
) -> Equipment:
    """The tools of this assistant in this call.

    Args:
        assistant: whose tools.
        call: the call they are used in.
        calendar: the assistant's calendar, open and answering; None: it has none, or it is away.
        message: whether a message can be taken in any case.
    """
    wanted, problems = read_all(assistant.tools)
    missing = {problem.partition(":")[0].removeprefix("tools."): problem for problem in problems}
    options = wanted.pop(CALENDAR, CalendarTools())
    away = has_calendar(assistant) and calendar is None
    if away:
        missing[CALENDAR] = "the calendar does not answer"
    if message or away:
        # What cannot be done now can at least be noted.
        wanted = {"take_message": TakeMessage(), "request_callback": RequestCallback()} | wanted
    found = await asyncio.gather(*(_made(name, one, call) for name, one in wanted.items()))
    tools: list[Tool | Toolset] = []
    for name, made in zip(wanted, found, strict=True):
        if isinstance(made, str):
            missing[name] = made
        else:
            tools.append(made)
    if calendar is not None and isinstance(options, CalendarTools):
        tools += Appointments(calendar, options, call).tools()
    for name, why in missing.items():
        log.warning("TOOL_MISSING | call=%s | tool=%s | cause=%s", call.call_id, name, why)
    unkept = frozenset(name for name, one in wanted.items() if isinstance(one, CollectDigits) and one.secret)
    records = ToolRecords(
        call.call_id,
        call.write,
        secrets=secrets_of(wanted, call.secret),
        unkept=unkept,
        discretion=call.discretion,
    )
    menu = wanted.get("keypad_menu")
    return Equipment(tools, records, missing, menu.keys if isinstance(menu, KeypadMenu) else {})


async def _made(name: str, options: ToolOptions, call: InCall) -> Tool | Toolset | str:
    """The tool, or why it cannot be had."""
    try:
        return await _make(name, options, call)
    except (_CannotBeHad, UnknownSecret) as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  whatever an MCP server does must not keep a call from being answered
        return f"{type(error).__name__}: {error}"[:300]


async def _make(name: str, options: ToolOptions, call: InCall) -> Tool | Toolset:
    match options:
        case EndCall():
            return end_call(options, call)
        case Transfer():
            if not call.transfer_targets:
                raise _CannotBeHad("the assistant has no transfer_targets")
            if options.mode == "warm" and not (options.trunk_id or call.trunk_id):
                raise _CannotBeHad("a warm transfer needs an outbound trunk: its option trunk_id, or SIP_TRUNK_ID")
            return transfer(options, call)
        case SendDtmf():
            return send_dtmf
        case CollectDigits():
            return collect_digits(options, call.discretion)
        case KeypadMenu():
            return keypad_menu(options, call)
        case CallerHistory():
            return caller_history(options, call)
        case TakeMessage():
            return take_message(call)
        case RequestCallback():
            return request_callback(call)
        case Http():
            for text in (options.url, *options.headers.values()):
                filled(text, call.secret)
            return http_request(name, options, call)
        case Mcp():
            return await connected(name, options, call)
        case CalendarTools():
            raise _CannotBeHad("the assistant has no calendar_id")
