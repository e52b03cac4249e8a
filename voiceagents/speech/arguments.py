"""What has the caller said that a tool's arguments ask for?

Reads names, numbers, days and times out of a transcript by simple patterns, for the fields of a tool's JSON schema. A
required field that nothing fills is reported as missing, with the question to ask for it; optional ones are left out
(or null, where the schema lists them as required and nullable, as strict schemas do).
"""

import calendar
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, cast

from .conversation import Conversation, Tool
from .meaning import Meaning, day_named, meaning, when
from .sentences import plain

WHICH_TIME = "Which time suits you?"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d)?")


@dataclass(frozen=True)
class Field:
    name: str
    schema: Mapping[str, Any]


def fill(tool: Tool, conversation: Conversation) -> tuple[dict[str, Any], list[Field]]:
    """The arguments that the caller has given, and the required ones still missing."""
    properties, required = tool.parameters.get("properties"), tool.parameters.get("required")
    if not isinstance(properties, Mapping) or not isinstance(required, Sequence):
        return {}, []
    schemas = cast(Mapping[str, Any], properties)
    filled: dict[str, Any] = {}
    missing: list[Field] = []
    for name in cast(Sequence[Any], required):
        schema = schemas.get(name) if isinstance(name, str) else None
        if not isinstance(name, str) or not isinstance(schema, Mapping):
            continue
        field = Field(name, cast(Mapping[str, Any], schema))
        value = _value(field, conversation)
        if value is not None:
            filled[name] = value
        elif "default" in field.schema:
            filled[name] = field.schema["default"]
        elif _nullable(field.schema):
            filled[name] = None
        else:
            missing.append(field)
    return filled, missing


# --- asking ----------------------------------------------------------------------------------------------------------

_ASKED_AS = {
    "name": "your name", "phone": "your phone number", "email": "your email address", "moment": "the day and the time",
    "day": "the day", "time": "the time", "words": "what it is about",
}  # fmt: skip
_ASK, _PLEASE = "Could you tell me ", ", please?"


def question(field: Field) -> str:
    """What to ask for a missing field; `answers_a_question` knows it again."""
    return f"{_ASK}{_ASKED_AS.get(_kind(field), f'the {_spelled(field.name)}')}{_PLEASE}"


def answers_a_question(conversation: Conversation) -> bool:
    return conversation.last_said.startswith(_ASK) and conversation.last_said.endswith(_PLEASE)


def _answer_to(asked: str, conversation: Conversation) -> str:
    """What the caller said right after we last asked this."""
    answer, listening = "", False
    for line in conversation.lines:
        if line.role == "assistant" and line.text:
            listening = line.text == asked
            answer = "" if listening else answer
        elif line.role == "user" and listening:
            answer = f"{answer} {line.text}".strip()
    return answer


# --- one field -------------------------------------------------------------------------------------------------------

_KINDS: list[tuple[str, re.Pattern[str]]] = [
    ("email", re.compile(r"e_?mail")),
    ("phone", re.compile(r"phone|mobile|(?:^|_)tel(?:$|_)|number_to_call|callback_number")),
    (
        "moment",
        re.compile(r"date_?time|(?:^|_)(?:start|begin|slot|when)(?:$|_)|(?:appointment|meeting|preferred)_?time"),
    ),
    ("day", re.compile(r"(?:^|_)(?:date|day)(?:$|_)")),
    ("time", re.compile(r"(?:^|_)(?:time|hour)(?:$|_)")),
    (
        "name",
        re.compile(
            r"^(?:full_?|caller_?|customer_?|contact_?|client_?|attendee_?|guest_?|patient_?|your_?|first_?)?name$"
        ),
    ),
    (
        "words",
        re.compile(r"reason|message|note|summary|topic|subject|title|description|question|query|purpose|(?:^|_)text"),
    ),
]


def _kind(field: Field) -> str:
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", field.name).lower()
    return next((kind for kind, named in _KINDS if named.search(snake)), "other")


def _value(field: Field, conversation: Conversation) -> Any:
    answer = _answer_to(question(field), conversation)
    told = [line.text for line in conversation.lines if line.role == "user"]
    types = _types(field.schema)
    if isinstance(choices := field.schema.get("enum"), Sequence):
        return _choice(cast(Sequence[Any], choices), told)
    if isinstance(slot := _chosen_slot(conversation), Mapping) and field.name in slot:
        return cast(Mapping[str, Any], slot)[field.name]
    if types & {"integer", "number"}:
        return _number(answer or conversation.heard)
    if "boolean" in types and field.name.startswith("confirm"):
        return confirming(conversation)
    if "boolean" in types:
        return {Meaning.YES: True, Meaning.NO: False}.get(meaning(answer)) if answer else None
    if types and "string" not in types:
        return None
    match _kind(field):
        case "email":
            return _last(map(_email, told)) or None
        case "phone":
            return _last(map(_phone, told)) or None
        case "name":
            return _last(map(_name, told)) or _bare(answer) or None
        case "moment":
            picked = (slot if isinstance(slot, str) else _start_of(slot)) or picked_time(conversation)
            return picked or _moment(told, answer, conversation) or None
        case "day":
            return _last(_day(text, today(conversation.prompt)) for text in told) or answer or None
        case "time":
            return _last(map(_clock, told)) or answer or None
        case "words":
            return answer or _words(told) or None
        case _:
            return answer or None


def _types(schema: Mapping[str, Any]) -> set[str]:
    declared = schema.get("type")
    named = [declared, *(cast(list[Any], declared) if isinstance(declared, list) else [])]
    named += [option.get("type") for option in _options(schema)]
    return {name for name in named if isinstance(name, str) and name != "null"}


def _options(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    options: Any = schema.get("anyOf")
    if not isinstance(options, list):
        return []
    return [cast(Mapping[str, Any], one) for one in cast(list[Any], options) if isinstance(one, Mapping)]


def _nullable(schema: Mapping[str, Any]) -> bool:
    declared = schema.get("type")
    listed = isinstance(declared, list) and "null" in declared
    return declared == "null" or listed or any(one.get("type") == "null" for one in _options(schema))


def _spelled(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|_+", " ", name).lower().strip()


def _last(values: Iterator[str] | Iterator[str | None]) -> str:
    """The latest word counts: people correct themselves."""
    return next((value for value in reversed(list(values)) if value), "")


# --- what people say -------------------------------------------------------------------------------------------------

_COUNTS = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
]
_NAME = re.compile(
    r"\b(?i:my name is|name's|the name is|i am|i'm|this is|it's|call me)\s+"
    r"((?:(?!The\b|This\b|A\b|I\b|On\b|In\b|At\b)[A-Z][\w'-]+\s?){1,3})"
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_SPOKEN_EMAIL = re.compile(r"\b([\w.+-]+) at ((?:[\w-]+ dot )+[\w-]+)\b", re.IGNORECASE)
_DIGITS = re.compile(r"\+?\d[\d\s().-]{5,}\d")
_LEAD_IN = re.compile(
    r"^(?:(?:yes|sure|okay|well|um|uh|it's|its|it is|my name is|the name is|this is|i am|i'm|that's|that is)[\s,.]+)+",
    re.I,
)
_MESSAGE = re.compile(
    r"\b(?:that|saying|about|because|for)\s+(.{8,})|\b(?:tell|let) (?:him|her|them) (?:know )?(?:that )?(.{4,})",
    re.I | re.S,
)
_CLOCK = re.compile(
    r"\b(?:(?P<half>half past|quarter past|quarter to) )?"
    r"(?P<hour>\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)"
    r"(?::(?P<minute>\d\d)| (?P<word>thirty|fifteen|forty five))?(?P<mark>\s*o'?clock)?\s*(?P<half_day>[ap]\.?m\b)?",
    re.IGNORECASE,
)
_MINUTES = {"half past": 30, "quarter past": 15, "quarter to": 45, "thirty": 30, "fifteen": 15, "forty five": 45}
_WEEKDAYS = [day.lower() for day in calendar.day_name]
_MONTHS = [month.lower() for month in calendar.month_name[1:]]
_ORDINALS = {"first": 0, "second": 1, "third": 2, "earliest": 0, "last": -1, "latest": -1}


def _choice(choices: Sequence[Any], told: list[str]) -> Any:
    if len(choices) == 1:
        return choices[0]
    said = [f" {plain(text)} " for text in reversed(told)]
    return next((one for words in said for one in choices if isinstance(one, str) and f" {plain(one)} " in words), None)


def _number(text: str) -> int | None:
    if digits := re.search(r"\d{1,9}", text):
        return int(digits.group())
    return next((_COUNTS.index(word) for word in plain(text).split() if word in _COUNTS), None)


def _email(text: str) -> str:
    if found := _EMAIL.search(text):
        return found.group().rstrip(".")
    spoken = _SPOKEN_EMAIL.search(text)
    return f"{spoken.group(1)}@{spoken.group(2).replace(' dot ', '.')}".lower() if spoken else ""


def _phone(text: str) -> str:
    found = _DIGITS.search(text)
    return re.sub(r"[^\d+]", "", found.group()) if found else ""


def _name(text: str) -> str:
    found = _NAME.search(text.replace("’", "'"))
    return found.group(1).strip() if found else ""


def _bare(answer: str) -> str:
    return _LEAD_IN.sub("", answer).strip(" .,!?")


def _words(told: list[str]) -> str:
    for text in reversed(told):
        if found := _MESSAGE.search(text):
            return (found.group(1) or found.group(2)).strip()
    return ""


def today(prompt: str) -> date | None:
    """The date the prompt gives for today; the rules have no clock of their own."""
    found = re.search(r"\b(?:today|date|now)\b[^\n]{0,40}?(\d{4}-\d\d-\d\d)", prompt, re.IGNORECASE)
    try:
        return date.fromisoformat(found.group(1)) if found else None
    except ValueError:
        return None


def _day(text: str, now: date | None) -> str:
    words = plain(text)
    if now is None:
        return next((part for part in [when(text)] if re.search(r"day|tomorrow|week", part)), "")
    try:
        if "day after tomorrow" in words:
            return (now + timedelta(days=2)).isoformat()
        if "tomorrow" in words:
            return (now + timedelta(days=1)).isoformat()
        for number, weekday in enumerate(_WEEKDAYS):
            if re.search(rf"\b{weekday}\b", words):
                return (now + timedelta(days=(number - now.weekday() - 1) % 7 + 1)).isoformat()
        for number, month in enumerate(_MONTHS, start=1):
            if found := re.search(rf"\b{month} (?:the )?(\d\d?)|\b(\d\d?)(?:st|nd|rd|th)? (?:of )?{month}\b", words):
                named = date(now.year, number, int(found.group(1) or found.group(2)))
                return (named if named >= now else named.replace(year=now.year + 1)).isoformat()
        return now.isoformat() if re.search(r"\b(?:today|tonight|this (?:morning|afternoon|evening))\b", words) else ""
    except (ValueError, OverflowError):  # 31 February, or the end of the calendar: no such day
        return ""


def _clock(text: str) -> str:
    """The last time of day in `text`, as HH:MM; a bare hour is taken for the one within a working day."""
    spoken = text.replace("’", "'")
    if re.search(r"\bnoon\b", spoken, re.IGNORECASE):
        return "12:00"
    found = ""
    for match in _CLOCK.finditer(spoken):
        before = spoken[: match.start()].lower().rstrip()
        certain = match["half"] or match["minute"] or match["word"] or match["mark"] or match["half_day"]
        if not certain and not re.search(r"\b(?:at|around|about|by|after|for|is|the)$", before):
            continue
        hour = int(match["hour"]) if match["hour"].isdigit() else _COUNTS.index(match["hour"].lower())
        minute = int(match["minute"] or _MINUTES.get((match["half"] or match["word"] or "").lower(), 0))
        hour -= 1 if (match["half"] or "").lower() == "quarter to" else 0
        if hour > 23 or minute > 59:
            continue
        half_day = (match["half_day"] or "").lower()
        afternoon = half_day.startswith("p") or re.search(r"\b(?:afternoon|evening|tonight)\b", spoken, re.I)
        morning = half_day.startswith("a") or re.search(r"\bmorning\b", spoken, re.I)
        if hour < 12 and (afternoon or (not morning and hour < 8)):
            hour += 12
        found = f"{0 if hour == 12 and morning else hour:02}:{minute:02}"
    return found


def _moment(told: list[str], answer: str, conversation: Conversation) -> str:
    now = today(conversation.prompt)
    day, clock = _last(_day(text, now) for text in told), _last(map(_clock, told))
    if now is not None:
        return f"{day}T{clock}:00" if day and clock else ""
    if answer:
        return answer
    together = next((text for text in reversed(told) if _day(text, None) or _clock(text)), "")
    if _day(together, None) and _clock(together):
        return when(together)
    return f"{day_named(day)} at {clock}" if day and clock else ""


# --- free times told by a tool ---------------------------------------------------------------------------------------


def free_slots(conversation: Conversation) -> list[Any]:
    """The free times in the last tool result: ISO moments, or the objects that hold one."""
    told = next((line.text for line in reversed(conversation.lines) if line.role == "tool"), "")
    try:
        entries = list(_entries(json.loads(told)))
    except (ValueError, RecursionError):
        entries = []
    return [entry for entry in entries if _start_of(entry)] or list(dict.fromkeys(MOMENT.findall(told)))


def _entries(result: Any) -> Iterator[Any]:
    if isinstance(result, list):
        yield from cast(list[Any], result)
    elif isinstance(result, Mapping):
        for value in cast(Mapping[str, Any], result).values():
            if isinstance(value, list):
                yield from cast(list[Any], value)


def _start_of(entry: Any) -> str:
    if isinstance(entry, Mapping):
        values = cast(Mapping[str, Any], entry).values()
        return next((value for value in values if isinstance(value, str) and MOMENT.fullmatch(value)), "")
    return entry if isinstance(entry, str) and MOMENT.fullmatch(entry) else ""


def _chosen_slot(conversation: Conversation) -> Any:
    """The free time that the caller has picked since it was told, by its hour or by its place in the list."""
    slots = free_slots(conversation)
    after = max((place for place, line in enumerate(conversation.lines) if line.role == "tool"), default=0)
    for line in reversed(conversation.lines[after:]):
        if line.role != "user" or not slots:
            continue
        clock = _clock(line.text)
        if matching := [slot for slot in slots if clock and _start_of(slot)[11:16] == clock]:
            return matching[0]
        for word, place in _ORDINALS.items():
            if re.search(rf"\b{word}\b", plain(line.text)) and -len(slots) <= place < len(slots):
                return slots[place]
        if len(slots) == 1 and meaning(line.text) is Meaning.YES:
            return slots[0]
    return None


def picked_time(conversation: Conversation) -> str:
    """The time that the caller chose when we last asked which of several suits them, in words."""
    asked = max((place for place, line in enumerate(conversation.lines) if WHICH_TIME in line.text), default=None)
    if asked is None:
        return ""
    for line in reversed(conversation.lines[asked:]):
        if line.role == "user" and (clock := _clock(line.text)):
            return f"{day_named(line.text)} at {clock}".strip()
    return ""


def picks_a_time(conversation: Conversation) -> bool:
    """Whether the caller has just named a time, asked which suits them."""
    return WHICH_TIME in conversation.last_said and bool(_clock(conversation.heard))


def confirming(conversation: Conversation) -> bool:
    """Whether the caller has just said yes to a question that a tool had us ask."""
    told = next((line.text for line in reversed(conversation.lines) if line.role == "tool"), "")
    asked = told.endswith("?") and bool(conversation.last_said) and conversation.last_said in told
    return asked and meaning(conversation.heard) is Meaning.YES


def picks_a_slot(conversation: Conversation) -> bool:
    """Whether the caller has just picked one of the free times we read out."""
    return WHICH_TIME in conversation.last_said and _chosen_slot(conversation) is not None


def has_chosen_time(conversation: Conversation) -> bool:
    told = [line.text for line in conversation.lines if line.role == "user"]
    now = today(conversation.prompt)
    return _chosen_slot(conversation) is not None or bool(
        _last(_day(text, now) for text in told) and _last(map(_clock, told))
    )
