"""What may be typed to set up an assistant, and which values do the words mean? The same for adding and editing."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from voiceagents.cli.problems import Problem
from voiceagents.cli.surroundings import text_of

_HOURS = "When the business is open: 'mon-fri 09:00-12:00, 13:00-17:30; sat 10:00-14:00'."
_TOOLS = 'A tool it has, with options as JSON after a =: end_call, \'transfer={"mode": "warm"}\'. Repeat for more.'
_TRANSFER = "Whom it may hand a call to: 'Ann=+12025550177: questions on bills'. Repeat for more."
_TURN = "A turn setting, such as endpointing.min_delay=0.3, interruption.enabled=false or vad.activation_threshold=0.6."
_CLEAR = "Leave this to the settings again, such as voice. Repeat for more."

Prompt = Annotated[str | None, typer.Option(help="What it is to do, in plain words.")]
PromptFile = Annotated[Path | None, typer.Option(help="The same, from a file; - for standard input.")]
FirstMessage = Annotated[str | None, typer.Option(help="What it says when it answers.")]
Language = Annotated[str | None, typer.Option(help="Language it listens for. [default: en]")]
Voice = Annotated[str | None, typer.Option(help="Voice. [default: OPENAI_TTS_VOICE]")]
LlmModel = Annotated[str | None, typer.Option(help="Language model. [default: OPENAI_LLM_MODEL]")]
SttModel = Annotated[str | None, typer.Option(help="Model that listens. [default: OPENAI_STT_MODEL]")]
Temperature = Annotated[float | None, typer.Option(min=0, max=2, help="Temperature of the model.")]
TurnSettings = Annotated[list[str] | None, typer.Option("--turn", metavar="KEY=VALUE", help=_TURN)]
MaxDuration = Annotated[int | None, typer.Option(help="Seconds a call may last. [default: MAX_CALL_DURATION]")]
AskAfter = Annotated[float | None, typer.Option(help="Seconds of silence before it asks whether anybody is there.")]
HangUpAfter = Annotated[float | None, typer.Option(help="Seconds of silence after that before it says goodbye.")]
BackgroundSound = Annotated[str | None, typer.Option(help="What is heard behind its voice, such as office-ambience.")]
Record = Annotated[bool | None, typer.Option("--record/--no-record", help="Record its calls. [default: no]")]
ConsentLine = Annotated[str | None, typer.Option(help="What it says before it records.")]
EndMessage = Annotated[str | None, typer.Option(help="Its last sentence when it ends a call.")]
Tools = Annotated[list[str] | None, typer.Option("--tool", metavar="NAME[=JSON]", help=_TOOLS)]
WithoutTools = Annotated[list[str] | None, typer.Option("--without-tool", metavar="NAME", help="Take a tool away.")]
Calendar = Annotated[str | None, typer.Option(help="Id of the calendar that it books in.")]
Transfers = Annotated[list[str] | None, typer.Option("--transfer", metavar="NAME=NUMBER[: WHEN]", help=_TRANSFER)]
WithoutTransfers = Annotated[
    list[str] | None, typer.Option("--without-transfer", metavar="NAME", help="Take a transfer target away.")
]
Hours = Annotated[str | None, typer.Option(help=_HOURS)]
TimeZone = Annotated[str | None, typer.Option(help="Time zone of these hours, such as America/New_York.")]
AfterHours = Annotated[
    str | None,
    typer.Option(
        metavar="MODE", help="Outside them: answer as ever, take a message, or close (say the message, hang up)."
    ),
]
AfterHoursMessage = Annotated[str | None, typer.Option(help="What a caller hears outside these hours.")]
Clear = Annotated[list[str] | None, typer.Option("--clear", metavar="WHAT", help=_CLEAR)]

_FIELD_OF = {
    "max_duration": "max_call_duration",
    "ask_after": "silence_ask_after",
    "hang_up_after": "silence_hang_up_after",
    "end_message": "end_call_message",
    "calendar": "calendar_id",
    "hours": "business_hours",
}
_PLAIN = (
    "name", "first_message", "language", "voice", "llm_model", "stt_model", "temperature", "max_duration", "ask_after",
    "hang_up_after", "background_sound", "record", "consent_line", "end_message", "calendar", "hours", "time_zone",
)  # fmt: skip


def changed(values: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """An assistant's values with what was typed.

    Args:
        values: what is set on it now.
        given: the command's options by their names; None: not given.

    Raises:
        Problem: an option cannot be read.
    """
    new = dict(values)
    for what in given.get("clear") or ():
        new.pop(_field(what, new), None)
    for name in _PLAIN:
        if given.get(name) is not None:
            new[_FIELD_OF.get(name, name)] = given[name]
    if given.get("prompt") is not None or given.get("prompt_file") is not None:
        new["prompt"] = text_of("--prompt", given.get("prompt"), given.get("prompt_file"))
    new["turn"] = _turn(new.get("turn") or {}, given.get("turn") or ())
    new["tools"] = _tools(new.get("tools") or {}, given.get("tool") or (), given.get("without_tool") or ())
    new["transfer_targets"] = _transfers(
        new.get("transfer_targets") or (), given.get("transfer") or (), given.get("without_transfer") or ()
    )
    mode, message = given.get("after_hours"), given.get("after_hours_message")
    if mode is not None or message is not None:
        before = new.get("after_hours") or {"mode": "message"}
        new["after_hours"] = before | {
            name: value for name, value in (("mode", mode), ("message", message)) if value is not None
        }
    return new


def _field(what: str, values: Mapping[str, Any]) -> str:
    name = what.strip().lstrip("-").replace("-", "_")
    field = _FIELD_OF.get(name, name)
    if field not in values or field in ("id", "name"):
        known = ", ".join(sorted(set(values) - {"id", "name"}))
        raise Problem(f"--clear {what}: there is no such thing to leave to the settings; there are {known}.")
    return field


def _turn(before: Mapping[str, Any], given: Sequence[str]) -> dict[str, Any]:
    turn = {group: dict(values) for group, values in before.items()}
    for text in given:
        name, equals, value = text.partition("=")
        group, dot, key = name.strip().partition(".")
        if not equals or not dot:
            raise Problem(f"--turn {text!r}: write it as endpointing.min_delay=0.3")
        turn.setdefault(group, {})[key] = value.strip()
    return turn


def _tools(before: Mapping[str, Any], given: Sequence[str], without: Sequence[str]) -> dict[str, Any]:
    tools = dict(before)
    for name in without:
        if tools.pop(name, None) is None:
            raise Problem(f"--without-tool {name}: it has no such tool; it has {', '.join(tools) or 'none'}.")
    for text in given:
        name, equals, options = text.partition("=")
        try:
            read: object = json.loads(options) if equals else {}
        except json.JSONDecodeError as error:
            raise Problem(f"--tool {name}: its options are broken JSON ({error}).") from None
        if not isinstance(read, dict):
            raise Problem(f'--tool {name}: its options are a JSON object, such as {{"mode": "warm"}}.')
        tools[name.strip()] = cast(dict[str, Any], read)
    return tools


def _transfers(
    before: Sequence[Mapping[str, Any]], given: Sequence[str], without: Sequence[str]
) -> list[Mapping[str, Any]]:
    targets = {str(target["name"]).casefold(): target for target in before}
    for name in without:
        if targets.pop(name.casefold(), None) is None:
            known = ", ".join(str(target["name"]) for target in targets.values()) or "none"
            raise Problem(f"--without-transfer {name}: there is no such target; there is {known}.")
    for text in given:
        name, equals, rest = text.partition("=")
        if not equals:
            raise Problem(f"--transfer {text!r}: write it as 'Ann=+12025550177: questions on bills'")
        number, _, description = rest.strip().partition(": ")
        targets[name.strip().casefold()] = {"name": name, "number": number, "description": description}
    return list(targets.values())
