"""Which of the offered tools does the caller's wish call for, and how is its result told?

Fixed rules from what was said to a tool whose name says that it does it. Required arguments are taken from what the
caller said (`arguments`); one that was not said is asked for, never made up. A result is read out as it came, in a
sentence.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, cast

from . import arguments
from .conversation import Conversation, Tool
from .meaning import Meaning
from .sentences import plain, sentences


@dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: Mapping[str, Any]


class Wish(StrEnum):
    OPT_OUT = "opt_out"
    TRANSFER = "transfer"
    CANCEL = "cancel"
    RESCHEDULE = "reschedule"
    MESSAGE = "message"
    BOOK = "book"
    AVAILABILITY = "availability"
    CALLBACK = "callback"
    KEYPAD = "keypad"
    END = "end"


def _said(*phrasings: str) -> re.Pattern[str]:
    return re.compile("|".join(phrasings))


_SOMEBODY = "human|person|someone|somebody|agent|representative|operator|manager|supervisor|receptionist|sales|support"
_VISIT = "appointment|booking|reservation|meeting|visit"
_SAID: dict[Wish, re.Pattern[str]] = {
    Wish.TRANSFER: _said(
        rf"\b(?:speak|talk|connect me|put me through|transfer me) (?:\w+ ){{0,3}}?(?:{_SOMEBODY})\b",
        r"\b(?:real person|operator|representative)$|\b(?:transfer me|put me through|connect me) to\b",
        r"^(?:please )?transfer me\b",
    ),
    Wish.RESCHEDULE: _said(r"\bre ?schedul\w*", rf"\b(?:move|change|shift|postpone) (?:my|the|our) (?:{_VISIT})"),
    Wish.CANCEL: _said(r"\bcancel\w*"),
    Wish.MESSAGE: _said(
        r"\b(?:leave|take|pass on|give) (?:\w+ ){0,3}?message",
        r"\b(?:tell|let) (?:him|her|them) (?:know )?|\bpass (?:that|it|this) on\b",
    ),
    Wish.BOOK: _said(
        r"\b(?:book|schedule|reserve|arrange|sign me up)\b",
        rf"\b(?:make|get|have|set up|need|like|want) (?:an|a|the) (?:\w+ )?(?:{_VISIT})",
    ),
    Wish.AVAILABILITY: _said(
        r"\bavailab\w*|\b(?:any|free|open|next) (?:\w+ )?(?:slots?|times?|openings?)\b|\bwhat times?\b",
        r"\bwhen (?:can|could|are|is)\b.*\b(?:free|see|come|meet)\b",
        r"\bfit me in\b|\b(?:are you|is \w+) free\b|\bdo you have (?:anything|time|room|space)\b",
    ),
    Wish.KEYPAD: _said(r"\b(?:type|enter|key) (?:in )?(?:my|the|a|an) "),
}
_NAMED: dict[Wish, re.Pattern[str]] = {
    Wish.OPT_OUT: _said("opt_?out", "do_?not_?call", "unsubscribe", "dnc"),
    Wish.TRANSFER: _said("transfer", "escalat", "hand_?off", "operator", "to_human"),
    Wish.CANCEL: _said("cancel"),
    Wish.RESCHEDULE: _said("re_?schedul", "move_", "(?:change|update)_(?:appointment|booking)"),
    Wish.MESSAGE: _said("message", "take_note"),
    Wish.BOOK: _said(
        "(?:^|_)(?:book|schedule|reserve)", "(?:create|make|add)_(?:appointment|event|meeting|booking|reservation)"
    ),
    Wish.AVAILABILITY: _said("avail", r"slots?\b", "free_?busy", "free_?times?", "openings"),
    Wish.CALLBACK: _said("call_?back"),
    Wish.KEYPAD: _said("(?:collect|get)_(?:digits|dtmf)", "keypad"),
    Wish.END: _said("end_?(?:the_?)?call", "hang_?up", "finish_?call", "terminate"),
}
_BY_MEANING = {
    Meaning.OPT_OUT: Wish.OPT_OUT,
    Meaning.CALLBACK: Wish.CALLBACK,
    Meaning.GOODBYE: Wish.END,
    Meaning.NOT_INTERESTED: Wish.END,
}
_NEVER_MIND = re.compile(r"\b(?:never ?mind|forget it|dont bother)\b")
_ASKS_AT_MOST = 2


def next_step(conversation: Conversation, meant: Meaning) -> ToolCall | str | None:
    """The tool to call, a question for what is missing, or None where no tool serves the caller's wish."""
    wish = _wish(conversation, meant)
    tool = _tool_for(wish, conversation) if wish else None
    if wish is Wish.BOOK and (looking := _look_first(conversation)):
        tool = looking
    if tool is None:
        return None
    filled, missing = arguments.fill(tool, conversation)
    if not missing:
        return ToolCall(tool.name, filled)
    question = arguments.question(missing[0])
    return question if conversation.said.count(question) < _ASKS_AT_MOST else None


def _wish(conversation: Conversation, meant: Meaning) -> Wish | None:
    words = plain(conversation.heard)
    if _NEVER_MIND.search(words):
        return None
    if meant is Meaning.OPT_OUT:
        return Wish.OPT_OUT
    for wish, said in _SAID.items():
        if said.search(words):
            return wish
    if meant is Meaning.NO and "anything else" in conversation.last_said:
        return Wish.END
    if arguments.answers_a_question(conversation):
        unfinished = _unfinished(conversation)
        return Wish.BOOK if unfinished is Wish.AVAILABILITY and arguments.picked_time(conversation) else unfinished
    if arguments.picks_a_slot(conversation) or arguments.picks_a_time(conversation):
        return Wish.BOOK
    if meant is Meaning.YES and (asked := _asked_by(conversation)):
        return Wish.BOOK if asked is Wish.AVAILABILITY else asked
    return _BY_MEANING.get(meant)


def _asked_by(conversation: Conversation) -> Wish | None:
    """The wish whose tool has just had us ask the caller for their yes."""
    told = next((line for line in reversed(conversation.lines) if line.role == "tool"), None)
    if told is None or not arguments.confirming(conversation):
        return None
    return _does(_name_of(told.tool_call_id, conversation))


def _unfinished(conversation: Conversation) -> Wish | None:
    """The wish that a question of ours interrupted: the last one told since a tool last did something."""
    for line in reversed(conversation.lines):
        if line.role == "tool" and _does(_name_of(line.tool_call_id, conversation)) is not Wish.AVAILABILITY:
            return None
        if line.role == "user":
            for wish, said in _SAID.items():
                if said.search(plain(line.text)):
                    return wish
    return None


def _tool_for(wish: Wish, conversation: Conversation) -> Tool | None:
    return next((tool for tool in conversation.tools if _does(tool.name) is wish), None)


def _does(name: str) -> Wish | None:
    return next((wish for wish, named in _NAMED.items() if named.search(name.lower())), None)


def _look_first(conversation: Conversation) -> Tool | None:
    """Before a booking without a chosen time: the tool that tells which times are free."""
    if arguments.has_chosen_time(conversation):
        return None
    return _tool_for(Wish.AVAILABILITY, conversation)


# --- results ---------------------------------------------------------------------------------------------------------

_FAILED = re.compile(r"^\W*(?:fail|sorry|could not|couldn't|cannot|unable|exception)|\berror\b", re.IGNORECASE)
_ORDER = re.compile(r"\b(?:say|tell|wish)\b.*\b(?:good ?bye|farewell)\b", re.IGNORECASE)
_SPOKEN_KEYS = ("message", "text", "summary", "result", "answer", "detail", "error")
_TIMED_KEYS = ("start", "start_time", "time", "datetime", "date", "slot", "label", "title", "name")
_READ_AT_MOST = 4
_UNDER_WAY = "The tool call is still in progress."
"""livekit-agents' stand-in for an answer that has not come."""


def waits(conversation: Conversation) -> bool:
    """Whether a tool has begun and not answered yet: a step of its own then asks the caller for something."""
    last = conversation.lines[-1] if conversation.lines else None
    return last is not None and last.role == "tool" and last.text == _UNDER_WAY


def report(conversation: Conversation) -> str | None:
    """What a tool has just answered, as a sentence to say; None where no tool answered last."""
    if not conversation.lines or conversation.lines[-1].role != "tool":
        return None
    last = conversation.lines[-1]
    does = _does(_name_of(last.tool_call_id, conversation))
    if does is Wish.END or _ORDER.search(last.text):
        return "Thank you for calling. Goodbye."
    told = " ".join(sentences(_speakable(_parsed(last.text)))[:_READ_AT_MOST]).strip()
    if not plain(told) or plain(told) in ("none", "null"):
        told = "There is nothing free." if does is Wish.AVAILABILITY else "That is done."
    told = _spoken_times(told if told[-1] in ".!?" else f"{told}.")
    if told.endswith("?"):
        return told
    if _FAILED.search(told):
        return f"I am sorry, that did not work. {told[:1].upper()}{told[1:]}"
    if does is Wish.OPT_OUT:
        return f"{told} Goodbye."
    if does is Wish.AVAILABILITY:
        return f"{told} {arguments.WHICH_TIME if arguments.free_slots(conversation) else 'Which other day suits you?'}"
    return f"{told[:1].upper()}{told[1:]} Is there anything else I can help you with?"


def _name_of(tool_call_id: str, conversation: Conversation) -> str:
    names = {identity: name for line in conversation.lines for identity, name in line.calls}
    return names.get(tool_call_id, "")


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # not JSON, or nested beyond reading: then it is text
        return text


def _speakable(result: Any, depth: int = 0) -> str:
    if depth > 3:
        return ""
    if isinstance(result, Mapping):
        fields = cast(Mapping[str, Any], result)
        for key in _SPOKEN_KEYS:
            if isinstance(fields.get(key), str) and fields[key]:
                return fields[key]
        if depth and (timed := next((fields[key] for key in _TIMED_KEYS if isinstance(fields.get(key), str)), None)):
            return timed
        if len(fields) == 1:
            return _speakable(next(iter(fields.values())), depth + 1)
        told = [(key, _speakable(value, depth + 1)) for key, value in fields.items() if not str(key).endswith("id")]
        return ", ".join(f"{str(key).replace('_', ' ')}: {value}" for key, value in told if value)
    if isinstance(result, list):
        items = [text for item in cast(list[Any], result) if (text := _speakable(item, depth + 1))]
        more = f" and {len(items) - _READ_AT_MOST} more" if len(items) > _READ_AT_MOST else ""
        items = items[:_READ_AT_MOST]
        return ", ".join(items) + more if more or len(items) < 2 else f"{', '.join(items[:-1])} and {items[-1]}"
    if isinstance(result, bool) or result is None:
        return "yes" if result else ""
    return str(result)


def _spoken_times(text: str) -> str:
    return arguments.MOMENT.sub(lambda moment: spoken_time(moment.group()), text)


def spoken_time(moment: str) -> str:
    """An ISO date and time as one says it: "Tuesday 3 March at 10 AM"."""
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    hour = f"{at.hour % 12 or 12}{f':{at.minute:02}' if at.minute else ''} {'AM' if at.hour < 12 else 'PM'}"
    return f"{at:%A} {at.day} {at:%B} at {hour}"
