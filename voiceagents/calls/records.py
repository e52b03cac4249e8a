"""What does the agent report about a call? Small facts, each complete in itself, that can be written now, later or
twice.

Facts are data, not code, so that they outlive a database that is away and a worker that is stopped: what could not be
written is kept in a file.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.states import (
    AnsweredBy,
    CallState,
    Direction,
    EndedBy,
    MessageKind,
    Outcome,
    Speaker,
    ToolStatus,
)
from voiceagents.text import storable_value


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True)

    call_id: UUID

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, values: Any) -> Any:
        # What people and models say comes from outside: one character must not cost the fact.
        return storable_value(values)


class CallOpened(_Fact):
    """A call that the agent met without a row of its own: an inbound one, or one that somebody else dispatched."""

    fact: Literal["opened"] = "opened"
    at: AwareDatetime
    direction: Direction
    state: CallState
    from_number: str | None = None
    to_number: str | None = None
    room_name: str | None = None
    trunk_id: str | None = None
    assistant_id: str | None = None
    assistant_name: str | None = None
    assistant_version: int | None = None
    campaign_id: str | None = None
    contact_id: str | None = None
    contact_name: str | None = None
    attempt: int | None = None
    worker_id: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)


class StateReached(_Fact):
    """The call went on to a later state.

    An earlier one than the row's own changes nothing but its missing time.
    """

    fact: Literal["state"] = "state"
    state: CallState
    at: AwareDatetime
    sip_call_id: str | None = None
    from_number: str | None = None


class TurnSpoken(_Fact):
    """One turn of the transcript; the same `item_id` again replaces it."""

    fact: Literal["turn"] = "turn"
    item_id: str
    speaker: Speaker
    text: str
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    interrupted: bool = False
    latencies: dict[str, float] = Field(default_factory=dict)


class Happened(_Fact):
    """A line of the timeline that is no state and no turn."""

    fact: Literal["event"] = "event"
    kind: str
    at: AwareDatetime
    detail: dict[str, Any] = Field(default_factory=dict)


class ToolUsed(_Fact):
    """A tool of the agent was called or has answered; the same `tool_call_id` again replaces what is known of it."""

    fact: Literal["tool"] = "tool"
    tool_call_id: str
    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    status: ToolStatus
    result: str | None = None
    started_at: AwareDatetime
    ended_at: AwareDatetime | None = None


class MessageTaken(_Fact):
    """The caller left a message or wants to be called back."""

    fact: Literal["message"] = "message"
    message_id: UUID
    kind: MessageKind
    at: AwareDatetime
    text: str
    from_name: str | None = None
    from_number: str | None = None
    wanted_when: str | None = None


class CallUnderstood(_Fact):
    """Who answered, on which words that and the outcome rest, what it came to. What is None or empty changes
    nothing; it may come after the end."""

    fact: Literal["understood"] = "understood"
    answered_by: AnsweredBy | None = None
    evidence: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    summary: str | None = None
    extracted: dict[str, Any] = Field(default_factory=dict)


class ModelsUsed(_Fact):
    """What the models of the call took, model by model, in livekit-agents' words: tokens, characters, seconds of
    sound; it may come after the end."""

    fact: Literal["used"] = "used"
    models: list[dict[str, Any]]


class CallRecorded(_Fact):
    """The call is being recorded: the file's name in the folder of recordings, and when it begins."""

    fact: Literal["recorded"] = "recorded"
    file: str
    started_at: AwareDatetime


class CallEnded(_Fact):
    """The call is over.

    The first word on how it ended stands.
    """

    fact: Literal["ended"] = "ended"
    at: AwareDatetime
    outcome: Outcome
    cause: str
    ended_by: EndedBy
    sip_status: int | None = None
    sip_reason: str | None = None

    @classmethod
    def of(cls, call_id: UUID, ending: Ending, at: datetime) -> "CallEnded":
        """The fact that `ending` happened at `at`."""
        return cls(
            call_id=call_id,
            at=at,
            outcome=ending.outcome,
            cause=ending.cause,
            ended_by=ending.ended_by,
            sip_status=ending.sip_status,
            sip_reason=ending.sip_reason,
        )


Fact = Annotated[
    CallOpened
    | StateReached
    | TurnSpoken
    | Happened
    | ToolUsed
    | MessageTaken
    | CallUnderstood
    | ModelsUsed
    | CallRecorded
    | CallEnded,
    Field(discriminator="fact"),
]
FACT: TypeAdapter[Fact] = TypeAdapter(Fact)
"""Reads a fact back from its JSON."""
