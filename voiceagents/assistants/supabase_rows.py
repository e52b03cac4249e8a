"""What does a row of somebody else's assistant table mean to us? Pure; which column holds what can be set.

The defaults fit a sass-livekit database. A value that we cannot use is left out and logged: one odd column does not
cost the assistant.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from voiceagents.assistants.draft import LONGEST_PROMPT, AssistantDraft, TransferTarget
from voiceagents.assistants.resolved import Resolved

log = logging.getLogger("voiceagents.resolver")

RESOLVER = "resolver.supabase"
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")
_PLAIN = ("first_message", "language", "llm_model", "voice", "temperature", "end_call_message", "background_sound")


class _Columns(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NumberColumns(_Columns):
    """Where numbers are."""

    table: str = "phone_number"
    number: str = "number"
    assistant: str = "inbound_assistant_id"


class AssistantColumns(_Columns):
    """Where assistants are, and which column holds what. An empty name: there is no such column."""

    table: str = "assistant"
    id: str = "id"
    name: str = "name"
    prompt: str = "prompt"
    first_message: str = "first_message"
    language: str = "language_setting"
    llm_provider: str = "llm_provider_setting"
    llm_model: str = "llm_model_setting"
    temperature: str = "temperature_setting"
    voice_provider: str = "voice_provider_setting"
    voice: str = "voice_name_setting"
    background_sound: str = "background_sound_setting"
    end_call_message: str = "end_call_message"
    max_call_minutes: str = "max_call_duration"
    """Minutes, as sass-livekit has it."""

    max_call_seconds: str = ""
    silence_seconds: str = "silence_timeout"
    """Seconds of silence after which the call ends: half of it before we ask whether anybody is there, half after."""

    calendar: str = "calendar"
    cal_api_key: str = "cal_api_key"
    cal_event_type_id: str = "cal_event_type_id"
    cal_time_zone: str = "cal_timezone"
    transfer_enabled: str = "transfer_enabled"
    transfer_country_code: str = "transfer_country_code"
    transfer_number: str = "transfer_phone_number"
    transfer_when: str = "transfer_condition"


class SupabaseMapping(_Columns):
    """SUPABASE_MAPPING: only what differs from the defaults need be given."""

    numbers: NumberColumns = NumberColumns()
    assistants: AssistantColumns = AssistantColumns()
    schema_name: str = ""
    """PostgreSQL schema, where it is not the API's first one (`Accept-Profile`)."""


def resolved(row: Mapping[str, Any], columns: AssistantColumns) -> Resolved:
    """The assistant that this row describes."""
    cell = {name: row.get(column) for name, column in columns if column and name != "table"}
    wished: dict[str, Any] = {name: cell.get(name) for name in _PLAIN}
    if not _is_openai(cell.get("voice_provider")):
        wished["voice"] = None
    if not _is_openai(cell.get("llm_provider")):
        wished["llm_model"] = None
    if not isinstance(wished["language"], str) or not _LANGUAGE.fullmatch(wished["language"]):
        wished["language"] = None
    wished["max_call_duration"] = _seconds(cell.get("max_call_minutes"), 60) or _seconds(cell.get("max_call_seconds"))
    if silence := _seconds(cell.get("silence_seconds")):
        wished["silence_ask_after"] = wished["silence_hang_up_after"] = max(1.0, silence / 2)
    usable = _usable({name: value for name, value in wished.items() if value not in (None, "")}, str(cell.get("id")))
    targets = _transfer_targets(cell)
    return Resolved(
        id=str(cell.get("id")),
        name=_text(cell.get("name")) or "assistant",
        prompt=_text(cell.get("prompt"))[:LONGEST_PROMPT],
        source=RESOLVER,
        resolver=RESOLVER,
        first_message=usable.pop("first_message", ""),
        calendar=_calendar(cell),
        transfer_targets=targets,
        # There is no column for tools: whoever may be handed to somebody is.
        tools={"transfer": {}} if targets else {},
        **usable,
    )


def _usable(wished: Mapping[str, Any], assistant_id: str) -> dict[str, Any]:
    """The values that an assistant of ours could have too."""
    left = dict(wished)
    while left:
        try:
            draft = AssistantDraft.model_validate({"id": assistant_id, "name": "-", **left})
        except ValidationError as error:
            problems = {str(problem["loc"][0]): problem["msg"] for problem in error.errors(include_input=False)}
            for name, said in problems.items():
                _ignored(name, said)
                left.pop(name, None)
            continue
        return {name: getattr(draft, name) for name in left}
    return {}


def _ignored(name: str, cause: str) -> None:
    log.warning("RESOLVER_VALUE_IGNORED | source=%s | field=%s | cause=%s", RESOLVER, name, cause)


def _calendar(cell: Mapping[str, Any]) -> dict[str, Any] | None:
    key, event_type = _text(cell.get("cal_api_key")), _text(cell.get("cal_event_type_id"))
    if not key or not event_type or _text(cell.get("calendar")).casefold() in ("none", "off", "google", "outlook"):
        return None
    if key.startswith("env:"):
        # Ours to say, not a row's: it would send any variable of this machine to Cal.com.
        _ignored("cal_api_key", "it names a variable of the environment, not a key")
        return None
    zone = _text(cell.get("cal_time_zone")) or "UTC"
    return {"provider": "calcom", "settings": {"api_key": key, "event_type_id": event_type, "zone": zone}}


def _transfer_targets(cell: Mapping[str, Any]) -> tuple[TransferTarget, ...]:
    if cell.get("transfer_enabled") not in (True, "true", "t", 1) or not _text(cell.get("transfer_number")):
        return ()
    number = _text(cell.get("transfer_number"))
    if not number.startswith(("+", "00", "sip:", "sips:")):
        number = _text(cell.get("transfer_country_code")) + number
    try:
        target = TransferTarget(name="colleague", number=number, description=_text(cell.get("transfer_when"))[:2000])
    except ValidationError:
        _ignored("transfer_number", "this is no number to transfer to")
        return ()
    return (target,)


def _is_openai(provider: object) -> bool:
    """Voices and models of other providers mean nothing to ours; no provider means that it is ours."""
    return _text(provider).casefold().replace(" ", "") in ("", "openai")


def _seconds(value: object, unit: int = 1) -> int | None:
    try:
        seconds = round(float(_text(value)) * unit)
    except (ValueError, OverflowError):
        return None
    return seconds if seconds > 0 else None


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, bool) else str(value).strip()
