"""Who talks, and on which number: the tables of assistants, their versions, and numbers."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from voiceagents.db import Base


class Assistant(Base):
    """Who talks: the prompt, the opening line, the voice, the models, and all else that it may be told.

    Empty fields fall back to the settings. What may stand in each is `draft.AssistantDraft`'s word.
    """

    __tablename__ = "assistants"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    prompt: Mapped[str] = mapped_column(default="")
    first_message: Mapped[str] = mapped_column(default="")
    language: Mapped[str] = mapped_column(default="en")
    llm_model: Mapped[str | None]
    voice: Mapped[str | None]
    temperature: Mapped[float | None]
    stt_model: Mapped[str | None]
    turn: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=sql("'{}'"))
    max_call_duration: Mapped[int | None]
    silence_ask_after: Mapped[float | None]
    silence_hang_up_after: Mapped[float | None]
    background_sound: Mapped[str | None]
    record: Mapped[bool] = mapped_column(default=False, server_default=sql("false"))
    consent_line: Mapped[str] = mapped_column(default="", server_default="")
    end_call_message: Mapped[str] = mapped_column(default="", server_default="")
    tools: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=sql("'{}'"))
    calendar_id: Mapped[str | None]
    transfer_targets: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, default=list, server_default=sql("'[]'"))
    business_hours: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    time_zone: Mapped[str | None]
    after_hours: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class AssistantVersion(Base):
    """An assistant as it was from one change to the next.

    Never changed and never taken away, not even with the assistant: calls say which version they ran with.
    """

    __tablename__ = "assistant_versions"

    assistant_id: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    snapshot: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Number(Base):
    """A DID in E.164, answered by one assistant.

    Without an assistant it is ours, but nobody answers for it.
    """

    __tablename__ = "numbers"

    e164: Mapped[str] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(default="")
    assistant_id: Mapped[str | None] = mapped_column(ForeignKey("assistants.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    assistant: Mapped[Assistant | None] = relationship(lazy="raise")
