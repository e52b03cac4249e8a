"""What may a person set on an assistant, and is it sound? The same for command line, files and API: each value is read,
checked, and kept as the table and its versions keep it.

Turn settings have the names of livekit-agents' `TurnHandlingOptions` and of its voice activity detection.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from voiceagents.assistants import tool_options
from voiceagents.phone import InvalidPhoneNumber, normalize
from voiceagents.text import storable_value
from voiceagents.windows import CallingWindow
from voiceagents.zones import zone_named

LONGEST_PROMPT = 50_000
"""Characters of a prompt at most: more fits into no model's memory of a phone call."""

BACKGROUND_SOUNDS = ("office-ambience", "city-ambience", "forest-ambience", "crowded-room", "keyboard-typing")
"""What may be heard behind the voice: sounds that livekit-agents brings along (`BuiltinAudioClip`)."""


class AssistantProblem(Exception):
    """What was asked cannot be done to this assistant or number.

    The message says why and how to mend it.
    """


class DraftProblem(AssistantProblem):
    """A draft is not sound.

    The message has a line for each value that is not.
    """


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2_000)]
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
_SIP_ADDRESS = re.compile(r"sips?:[^\s@<>]+@[^\s@<>]+", re.IGNORECASE)


def _transfer_number(value: str) -> str:
    if _SIP_ADDRESS.fullmatch(value):
        return value
    try:
        return normalize(value)
    except InvalidPhoneNumber:
        raise ValueError(
            "this is no number that can be dialled; write it in E.164 (+12025550143), or as sip:desk@pbx.example.com"
        ) from None


class TransferTarget(_Part):
    """Somebody a call may be handed to."""

    name: _Name
    number: Annotated[_Name, AfterValidator(_transfer_number)]
    """E.164, or a SIP address (`sip:desk@pbx.example.com`)."""

    description: _Words = ""
    """When to hand a call over to it, in words for the model."""


class Endpointing(_Part):
    """When has the person finished speaking? Seconds of silence."""

    min_delay: float | None = Field(default=None, ge=0, le=10)
    max_delay: float | None = Field(default=None, ge=0, le=30)


class Interruption(_Part):
    """When does the person cut us short?"""

    enabled: bool | None = None
    min_duration: float | None = Field(default=None, ge=0, le=10)
    """Seconds of speech."""

    min_words: int | None = Field(default=None, ge=0, le=20)
    false_interruption_timeout: float | None = Field(default=None, ge=0, le=30)
    resume_false_interruption: bool | None = None


class VoiceActivity(_Part):
    """What is speech, and what is noise? Times in seconds."""

    activation_threshold: float | None = Field(default=None, ge=0.05, le=0.99)
    min_speech_duration: float | None = Field(default=None, ge=0, le=5)
    min_silence_duration: float | None = Field(default=None, ge=0, le=10)


class Turn(_Part):
    """Settings of turns and of voice activity detection; what is left out is livekit-agents' default."""

    endpointing: Endpointing = Endpointing()
    interruption: Interruption = Interruption()
    vad: VoiceActivity = VoiceActivity()

    def stored(self) -> dict[str, dict[str, Any]]:
        """Only what was set: `{"endpointing": {"min_delay": 0.3}}`."""
        return self.model_dump(exclude_none=True, exclude_defaults=True)


class AfterHours(_Part):
    """What a caller meets outside the business hours.

    `answer`: the assistant answers as ever, knowing that it is closed. `message`: it takes a message.
    `close`: it says `message` and ends the call.
    """

    mode: Literal["answer", "message", "close"] = "answer"
    message: _Words = ""


def _turn(value: object) -> object:
    return Turn.model_validate(value).stored()


def _sound(value: object) -> object:
    if isinstance(value, str):
        word = value.strip().lower().replace("_", "-").replace(" ", "-")
        if word in ("", "none", "off"):
            return None
        if word not in BACKGROUND_SOUNDS:
            raise ValueError(f'"{value}" is no background sound; there are {", ".join(BACKGROUND_SOUNDS)}')
        return word
    return value


def _tools(value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the options of a tool are plain JSON: {error}") from None
    _, problems = tool_options.read_all(value)
    if problems:
        raise ValueError("\n".join(problems))
    return value


def _week(value: object) -> object:
    return None if value is None else CallingWindow.parse(value).to_json()


def _zone(value: object) -> object:
    return (zone_named(value).key if value.strip() else None) if isinstance(value, str) else value


def _after_hours(value: object) -> object:
    return None if value is None else AfterHours.model_validate(value).model_dump()


class AssistantDraft(BaseModel):
    """An assistant as somebody wrote it down.

    None leaves a choice to the settings.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
    prompt: Annotated[str, StringConstraints(max_length=LONGEST_PROMPT)] = ""
    first_message: _Words = ""
    language: Annotated[str, StringConstraints(strip_whitespace=True, max_length=20)] = "en"
    llm_model: _Name | None = None
    stt_model: _Name | None = None
    voice: _Name | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    turn: Annotated[dict[str, Any], BeforeValidator(_turn)] = Field(default_factory=dict[str, Any])
    max_call_duration: int | None = Field(default=None, ge=10, le=14400)
    """Seconds, as MAX_CALL_DURATION."""

    silence_ask_after: float | None = Field(default=None, ge=1, le=600)
    """Seconds of silence on both sides after which we ask whether anybody is there."""

    silence_hang_up_after: float | None = Field(default=None, ge=1, le=600)
    """Seconds of silence after that question until we say goodbye."""

    background_sound: Annotated[str | None, BeforeValidator(_sound)] = None
    record: bool = False
    consent_line: _Words = ""
    """Said before anything is recorded."""

    end_call_message: _Words = ""
    """The last sentence when we end the call."""

    tools: Annotated[dict[str, dict[str, Any]], AfterValidator(_tools)] = Field(
        default_factory=dict[str, dict[str, Any]]
    )
    """Name of a tool → its options."""

    calendar_id: _Name | None = None
    transfer_targets: tuple[TransferTarget, ...] = ()
    business_hours: Annotated[dict[str, Any] | None, BeforeValidator(_week)] = None
    """A week as calling windows are written: `{"mon": [["09:00", "17:00"]]}`; None: always open."""

    time_zone: Annotated[str | None, BeforeValidator(_zone)] = None
    """IANA name of the zone that business hours are in."""

    after_hours: Annotated[dict[str, Any] | None, BeforeValidator(_after_hours)] = None
    """See `AfterHours`; None: `answer`."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.business_hours is not None and self.time_zone is None:
            raise ValueError("business hours need a time_zone, such as America/New_York")
        if self.after_hours is not None and self.after_hours["mode"] == "close" and not self.after_hours["message"]:
            raise ValueError('after_hours "close" needs the message that the caller hears')
        if len({target.name.casefold() for target in self.transfer_targets}) < len(self.transfer_targets):
            raise ValueError("two transfer targets have the same name; the model could not tell them apart")
        return self


FIELDS: tuple[str, ...] = tuple(AssistantDraft.model_fields)
"""Names of everything that may be set, which are the table's columns too."""


def read(values: Mapping[str, Any]) -> AssistantDraft:
    """A draft from plain values, as a file or a form has them.

    Raises:
        DraftProblem: what is wrong, where, and how to mend it.
    """
    try:
        return AssistantDraft.model_validate(storable_value(dict(values)))
    except ValidationError as error:
        raise DraftProblem("\n".join(_lines(error))) from None


def _lines(error: ValidationError) -> Iterable[str]:
    for problem in error.errors(include_input=False, include_url=False):
        place = ".".join(str(part) for part in problem["loc"])
        said = problem["msg"].removeprefix("Value error, ")
        # Where a message names the place itself, it knows it better.
        yield f"{place}: {said}" if place and not said.startswith(f"{place}.") else said
