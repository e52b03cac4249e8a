"""How is an assistant shown to a person, and what is different between two versions of it? Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from voiceagents.assistants.draft import AssistantDraft
from voiceagents.windows import CallingWindow


def lines_of(draft: AssistantDraft, version: int, numbers: Sequence[str]) -> Iterator[str]:
    """What a person reads about an assistant, the prompt last. No secret is in it."""
    yield f"{draft.name} ({draft.id}), version {version}"
    rows: list[tuple[str, str | None]] = [
        ("answers", ", ".join(numbers) or "no number"),
        ("first message", draft.first_message or "-"),
        ("language", draft.language),
        ("voice", draft.voice or "as OPENAI_TTS_VOICE"),
        ("model", draft.llm_model or "as OPENAI_LLM_MODEL"),
        ("listens with", draft.stt_model or "as OPENAI_STT_MODEL"),
        ("temperature", "the model's own" if draft.temperature is None else f"{draft.temperature:g}"),
        ("turn", _flat(draft.turn) or None),
        ("longest call", "as MAX_CALL_DURATION" if draft.max_call_duration is None else f"{draft.max_call_duration} s"),
        ("silence", _silence(draft)),
        ("background", draft.background_sound),
        ("records", "yes" if draft.record else None),
        ("consent line", draft.consent_line or None),
        ("end message", draft.end_call_message or None),
        ("tools", "; ".join(_tool(name, options) for name, options in draft.tools.items()) or None),
        ("calendar", draft.calendar_id),
        ("transfers to", "; ".join(f"{one.name} {one.number}" for one in draft.transfer_targets) or None),
        ("open", f"{CallingWindow.stored(draft.business_hours)} ({draft.time_zone})" if draft.business_hours else None),
        ("after hours", _after_hours(draft)),
    ]
    for label, value in rows:
        if value is not None:
            yield f"  {label:14} {value}"
    yield ""
    yield draft.prompt or "(no prompt)"


def changes_between(older: Mapping[str, Any], newer: Mapping[str, Any]) -> str:
    """The names of what is different, with the values where they are short and hold no secret."""
    return ", ".join(_change(name, older.get(name), newer[name]) for name in newer if older.get(name) != newer[name])


def _change(name: str, before: object, after: object) -> str:
    shown = [json.dumps(value, ensure_ascii=False) for value in (before, after)]
    short = name not in ("tools", "prompt") and all(len(text) <= 40 for text in shown)
    return f"{name} {shown[0]} → {shown[1]}" if short else name


def _flat(turn: Mapping[str, Mapping[str, Any]]) -> str:
    return ", ".join(
        f"{group}.{name}={json.dumps(value)}" for group, values in turn.items() for name, value in values.items()
    )


def _silence(draft: AssistantDraft) -> str | None:
    parts = [
        f"asks after {draft.silence_ask_after:g} s" if draft.silence_ask_after is not None else "",
        f"hangs up {draft.silence_hang_up_after:g} s later" if draft.silence_hang_up_after is not None else "",
    ]
    return ", ".join(filter(None, parts)) or None


def _after_hours(draft: AssistantDraft) -> str | None:
    if draft.after_hours is None:
        return None
    return ": ".join(filter(None, (draft.after_hours["mode"], draft.after_hours["message"])))


def _tool(name: str, options: Mapping[str, Any]) -> str:
    """A tool and its options, headers by their names alone: a key may stand in them."""
    shown = {key: sorted(value) if key == "headers" else value for key, value in options.items()}
    return name if not shown else f"{name} {json.dumps(shown, ensure_ascii=False)}"
