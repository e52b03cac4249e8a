"""How is a call told to other programs? The same words in the API and in webhooks."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from voiceagents.calls.models import Call, CallEvent, Message, ToolCall, Turn
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


class CallView(BaseModel):
    """One phone call. Times are instants; one that is null has not come."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    direction: Direction
    state: CallState
    from_number: str | None
    to_number: str | None
    assistant_id: str | None
    assistant_name: str | None
    assistant_version: int | None
    campaign_id: str | None
    contact_id: str | None
    contact_name: str | None
    attempt: int | None
    trunk_id: str | None
    room_name: str | None
    created_at: datetime
    dialing_at: datetime | None
    ringing_at: datetime | None
    answered_at: datetime | None
    ended_at: datetime | None
    talk_seconds: float
    outcome: Outcome | None
    cause: str | None
    ended_by: EndedBy | None
    answered_by: AnsweredBy | None
    sip_status: int | None
    sip_reason: str | None
    sip_call_id: str | None
    summary: str | None
    extracted: dict[str, Any] | None


class TurnView(BaseModel):
    """One turn of the transcript. `latencies` are seconds by step."""

    model_config = ConfigDict(from_attributes=True)

    speaker: Speaker
    text: str
    started_at: datetime
    ended_at: datetime | None
    interrupted: bool
    latencies: dict[str, Any]


class EventView(BaseModel):
    """One line of the timeline beside the states."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    kind: str
    detail: dict[str, Any]


class ToolCallView(BaseModel):
    """One use of a tool: what the model gave it and what came of it, secrets masked."""

    model_config = ConfigDict(from_attributes=True)

    tool: str
    arguments: dict[str, Any]
    status: ToolStatus
    result: str | None
    started_at: datetime
    ended_at: datetime | None


class MessageView(BaseModel):
    """What the person asked to pass on, or that they want to be called back."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    kind: MessageKind
    at: datetime
    from_name: str | None
    from_number: str | None
    text: str
    wanted_when: str | None
    handled_at: datetime | None


class CallStory(CallView):
    """One call with all that is known of it."""

    evidence: list[dict[str, Any]] | None
    transcript: list[TurnView] = []
    timeline: list[EventView] = []
    tool_calls: list[ToolCallView] = []
    messages: list[MessageView] = []

    @classmethod
    def of(
        cls,
        call: Call,
        turns: Iterable[Turn],
        events: Iterable[CallEvent],
        tools: Iterable[ToolCall],
        messages: Iterable[Message],
    ) -> "CallStory":
        """The story of a call."""
        return cls.model_validate(call).model_copy(
            update={
                "transcript": [TurnView.model_validate(turn) for turn in turns],
                "timeline": [EventView.model_validate(event) for event in events],
                "tool_calls": [ToolCallView.model_validate(tool) for tool in tools],
                "messages": [MessageView.model_validate(message) for message in messages],
            }
        )
