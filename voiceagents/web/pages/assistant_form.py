"""How is an assistant shown as a form, and read back from one? What the form does not show stays as it is."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from voiceagents.assistants.draft import AssistantDraft
from voiceagents.windows import CallingWindow

PLAIN_TOOLS = (
    ("end_call", "End the call when the caller is done"),
    ("transfer", "Hand the call over to somebody"),
    ("take_message", "Take a message"),
    ("request_callback", "Note that the caller wants to be called back"),
    ("collect_digits", "Have digits typed on the keypad"),
    ("send_dtmf", "Press keys for a menu"),
    ("caller_history", "Know the caller's earlier calls"),
)
"""Tools that need no options."""

_TEXTS = (
    "name", "prompt", "first_message", "language", "consent_line", "end_call_message",
)  # fmt: skip
_OR_NONE = (
    "llm_model", "stt_model", "voice", "temperature", "max_call_duration", "silence_ask_after", "silence_hang_up_after",
    "background_sound", "calendar_id", "time_zone",
)  # fmt: skip
_PLAIN_NAMES = tuple(name for name, _ in PLAIN_TOOLS)


def shown(draft: AssistantDraft) -> dict[str, Any]:
    """The form's values."""
    hours = draft.business_hours
    own = {name: options for name, options in draft.tools.items() if name not in _PLAIN_NAMES or options}
    after = draft.after_hours or {}
    return {
        **{name: getattr(draft, name) for name in _TEXTS},
        **{name: "" if (value := getattr(draft, name)) is None else str(value) for name in _OR_NONE},
        "record": "yes" if draft.record else "",
        "business_hours": str(CallingWindow.stored(hours)) if hours else "",
        "after_hours_mode": after.get("mode", "answer"),
        "after_hours_message": after.get("message", ""),
        "transfer_targets": "\n".join(
            " | ".join(filter(None, (one.name, one.number, one.description))) for one in draft.transfer_targets
        ),
        **{f"tool-{name}": "yes" for name in draft.tools if name in _PLAIN_NAMES},
        "own_tools": json.dumps(own, indent=2, ensure_ascii=False) if own else "",
        "turn": json.dumps(draft.turn, indent=2) if draft.turn else "",
    }


def read(before: Mapping[str, Any], form: Mapping[str, Any]) -> tuple[AssistantDraft | None, dict[str, str]]:
    """The assistant that was typed, or what is wrong with which field.

    Args:
        before: the assistant as it is.
        form: what was typed.
    """
    errors: dict[str, str] = {}
    values: dict[str, Any] = dict(before)
    values |= {name: form[name] for name in _TEXTS if name in form}
    values |= {name: form[name].strip() or None for name in _OR_NONE if name in form}
    values["record"] = form.get("record") == "yes"
    values["business_hours"] = form.get("business_hours", "").strip() or None
    if values["business_hours"] is not None:
        values["after_hours"] = {
            "mode": form.get("after_hours_mode") or "answer",
            "message": form.get("after_hours_message", ""),
        }
    values["transfer_targets"] = [
        _target(line) for line in form.get("transfer_targets", "").splitlines() if line.strip()
    ]
    own = _json(form.get("own_tools", ""), "own_tools", errors)
    kept = before.get("tools", {})
    values["tools"] = own | {
        name: own.get(name, kept.get(name, {})) for name in _PLAIN_NAMES if form.get(f"tool-{name}") == "yes"
    }
    values["turn"] = _json(form.get("turn", ""), "turn", errors)
    if errors:
        return None, errors
    try:
        return AssistantDraft.model_validate(values), {}
    except ValidationError as error:
        return None, _said(error)


def _target(line: str) -> dict[str, str]:
    name, _, rest = line.partition("|")
    number, _, description = rest.partition("|")
    return {"name": name.strip(), "number": number.strip(), "description": description.strip()}


def _json(text: str, field: str, errors: dict[str, str]) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        errors[field] = f"this is no JSON: {error}"
        return {}
    if not isinstance(value, dict):
        errors[field] = "this must be an object, such as {}"
        return {}
    return value  # pyright: ignore[reportUnknownVariableType]


def _whole(said: str) -> str:
    """The field to blame for what is wrong with the whole."""
    return "time_zone" if "time_zone" in said else ""


def _said(error: ValidationError) -> dict[str, str]:
    said: dict[str, str] = {}
    for one in error.errors(include_input=False, include_url=False):
        path = [str(part) for part in one["loc"]]
        field = (
            {"tools": "own_tools", "after_hours": "after_hours_message"}.get(path[0], path[0])
            if path
            else _whole(one["msg"])
        )
        place = f"{'.'.join(path[1:])}: " if len(path) > 1 else ""
        said[field] = "; ".join(filter(None, (said.get(field), f"{place}{one['msg'].removeprefix('Value error, ')}")))
    return said
