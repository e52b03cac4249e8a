"""What happened on the phone: the tables of calls, their transcript, their timeline, and the workers that held
them."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import Computed, Enum, ForeignKey, Index, UniqueConstraint, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

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
from voiceagents.db import Base


def _words(kind: type[StrEnum]) -> list[str]:
    return [word.value for word in kind]


def _word(kind: type[StrEnum], name: str) -> Enum:
    """A closed list of words kept as text with a CHECK, so that a new word is a plain migration."""
    return Enum(kind, name=name, native_enum=False, create_constraint=True, length=32, values_callable=_words)


_NEWEST_FIRST = (sql("created_at DESC"), sql("id DESC"))
_UNDERWAY = sql("state IN ('dialing', 'ringing', 'answered')")


class Call(Base):
    """One phone call, inbound or outbound; the row exists before anything is dialled.

    Assistant and campaign ids are kept as they came, without foreign keys: a call's record outlives both, and the
    dispatcher may keep them elsewhere.
    """

    __tablename__ = "calls"
    __table_args__ = (
        UniqueConstraint("campaign_id", "contact_id", "attempt"),
        # At most one dial by construction: neither a room nor a person can be in two outbound calls at once.
        Index("uq_calls_room_underway", "room_name", unique=True, postgresql_where=_UNDERWAY),
        Index(
            "uq_calls_number_underway",
            "to_number",
            unique=True,
            postgresql_where=sql("direction = 'outbound' AND state IN ('dialing', 'ringing', 'answered')"),
        ),
        Index("ix_calls_not_ended", "created_at", postgresql_where=sql("state <> 'ended'")),
        Index("ix_calls_created_at", sql("created_at DESC"), sql("id DESC")),
        # What the engine asks: endings to follow up, attempts on a number, how a campaign has been doing lately.
        Index("ix_calls_unsettled", "ended_at", postgresql_where=sql("state = 'ended' AND settled_at IS NULL")),
        Index("ix_calls_dialed_number", "to_number", "dialing_at", postgresql_where=sql("dialing_at IS NOT NULL")),
        Index("ix_calls_campaign_ended", "campaign_id", "ended_at"),
        Index("ix_calls_contact", "contact_id", postgresql_where=sql("contact_id IS NOT NULL")),
        # What people list, the newest first: all above, of a campaign, an outcome, both, an assistant, inbound.
        Index("ix_calls_campaign_listed", "campaign_id", *_NEWEST_FIRST),
        Index("ix_calls_outcome_listed", "outcome", *_NEWEST_FIRST),
        Index("ix_calls_campaign_outcome_listed", "campaign_id", "outcome", *_NEWEST_FIRST),
        Index("ix_calls_assistant_listed", "assistant_id", *_NEWEST_FIRST),
        Index("ix_calls_inbound_listed", *_NEWEST_FIRST, postgresql_where=sql("direction = 'inbound'")),
        # What retention asks: which calls are old and still have their words?
        Index("ix_calls_kept", "ended_at", postgresql_where=sql("state = 'ended' AND cleared_at IS NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    direction: Mapped[Direction] = mapped_column(_word(Direction, "direction"))
    state: Mapped[CallState] = mapped_column(_word(CallState, "state"))
    from_number: Mapped[str | None] = mapped_column(index=True)
    to_number: Mapped[str | None] = mapped_column(index=True)
    room_name: Mapped[str | None] = mapped_column(index=True)
    trunk_id: Mapped[str | None]
    assistant_id: Mapped[str | None]
    assistant_name: Mapped[str | None]
    assistant_version: Mapped[int | None]
    campaign_id: Mapped[str | None]
    contact_id: Mapped[str | None]
    contact_name: Mapped[str | None]
    attempt: Mapped[int | None]
    worker_id: Mapped[str | None] = mapped_column(index=True)

    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    dispatched_at: Mapped[datetime | None]
    dialing_at: Mapped[datetime | None]
    ringing_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    """When the campaign engine drew its conclusions from the ending."""

    outcome: Mapped[Outcome | None] = mapped_column(_word(Outcome, "outcome"))
    sip_status: Mapped[int | None]
    sip_reason: Mapped[str | None]
    cause: Mapped[str | None]
    ended_by: Mapped[EndedBy | None] = mapped_column(_word(EndedBy, "ended_by"))
    sip_call_id: Mapped[str | None]

    answered_by: Mapped[AnsweredBy | None] = mapped_column(_word(AnsweredBy, "answered_by"))
    evidence: Mapped[list[dict[str, Any]] | None] = mapped_column(JSONB(none_as_null=True))
    """On which words the answer and the outcome were decided: `decided`, `value`, `by`, `item_id`, `text`."""
    summary: Mapped[str | None]
    extracted: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """The fields that the campaign's `extraction` asks for."""
    details: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=sql("'{}'"))
    """What else there is: `recording`, the `file` of it and when it `started_at`; `usage`, what the models took."""
    cleared_at: Mapped[datetime | None]
    """When all that was said in the call was deleted; what comes in later about it is not written."""

    @property
    def talk_seconds(self) -> float:
        """Seconds from the answer to the end; 0 when nobody answered or the call still runs."""
        if self.answered_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, (self.ended_at - self.answered_at).total_seconds())


class Turn(Base):
    """One turn of the transcript.

    `item_id` is the session's own id of it, so that writing it again changes nothing.
    """

    __tablename__ = "turns"
    __table_args__ = (UniqueConstraint("call_id", "item_id"), Index("ix_turns_words", "words", postgresql_using="gin"))

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[UUID] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"))
    item_id: Mapped[str]
    speaker: Mapped[Speaker] = mapped_column(_word(Speaker, "speaker"))
    text: Mapped[str]
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    interrupted: Mapped[bool] = mapped_column(default=False, server_default=sql("false"))
    # Seconds, by step: transcription_delay, end_of_turn_delay, llm_ttft, tts_ttfb, e2e_latency.
    latencies: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=sql("'{}'"))
    # To search for. Calls are held in many languages, so words stay as they are.
    words: Mapped[str] = mapped_column(
        TSVECTOR, Computed("to_tsvector('simple'::regconfig, \"left\"((text)::text, 100000))", persisted=True),
        nullable=True, deferred=True,
    )  # fmt: skip


class CallEvent(Base):
    """One line of a call's timeline beyond its states: a refused second dispatch, a key press, an error."""

    __tablename__ = "call_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[UUID] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    kind: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=sql("'{}'"))


class ToolCall(Base):
    """One use of a tool in a call, with what the model gave it and what came of it; secrets are masked in both."""

    __tablename__ = "tool_calls"
    __table_args__ = (UniqueConstraint("call_id", "tool_call_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    call_id: Mapped[UUID] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"))
    # The model's own id of it, so that writing it again changes nothing.
    tool_call_id: Mapped[str]
    tool: Mapped[str]
    arguments: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=sql("'{}'"))
    status: Mapped[ToolStatus] = mapped_column(_word(ToolStatus, "status"))
    result: Mapped[str | None]
    """What the tool answered the model, or of an error what went wrong."""
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Message(Base):
    """What a caller asked us to pass on, or that they want to be called back."""

    __tablename__ = "messages"
    __table_args__ = (Index("ix_messages_open", "at", postgresql_where=sql("handled_at IS NULL")),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    call_id: Mapped[UUID] = mapped_column(ForeignKey("calls.id", ondelete="CASCADE"), index=True)
    kind: Mapped[MessageKind] = mapped_column(_word(MessageKind, "kind"))
    at: Mapped[datetime]
    from_name: Mapped[str | None]
    from_number: Mapped[str | None]
    text: Mapped[str]
    wanted_when: Mapped[str | None]
    """Of a callback: when, in the caller's own words."""
    handled_at: Mapped[datetime | None]


class Worker(Base):
    """A running agent process.

    It says every few seconds that it lives; whoever finds it silent ends its calls.
    """

    __tablename__ = "workers"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    max_calls: Mapped[int] = mapped_column(server_default="0")
    active_calls: Mapped[int] = mapped_column(server_default="0")
    accepting: Mapped[bool] = mapped_column(server_default=sql("true"))
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    stopped_at: Mapped[datetime | None]
