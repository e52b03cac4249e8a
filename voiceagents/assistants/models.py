"""Who talks, and on which number: the tables of assistants and numbers."""

from datetime import datetime

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column, relationship

from voiceagents.db import Base


class Assistant(Base):
    """Who talks: the prompt, the opening line, the voice and the models.

    Empty fields fall back to the settings.
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
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


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
