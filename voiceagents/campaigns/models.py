"""Whom we mean to call, with which script, and why each was called or not: campaigns, contacts, decisions, limits."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Double,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Integer,
    UniqueConstraint,
    func,
)
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from voiceagents.assistants.models import Assistant
from voiceagents.campaigns.states import CampaignState, ContactState, ImportState, Scarce, Verdict
from voiceagents.db import Base


def _words(kind: type[StrEnum]) -> list[str]:
    return [word.value for word in kind]


def _word(kind: type[StrEnum], name: str) -> Enum:
    """A closed list of words kept as text with a CHECK, so that a new word is a plain migration."""
    return Enum(kind, name=name, native_enum=False, create_constraint=True, length=32, values_callable=_words)


# None, said in so many words, is no limit; what is not said is the default.
_LIMIT = Integer().evaluates_none()
_RATE = Double[float]().evaluates_none()


class Campaign(Base):
    """A script, an assistant, a trunk, a calling window, a retry policy and a list of contacts.

    Limits that are None do not apply.
    """

    __tablename__ = "campaigns"
    __table_args__ = (
        Index("ix_campaigns_running", "id", postgresql_where=sql("state IN ('scheduled', 'running')")),
        Index("ix_campaigns_reopening", "id", postgresql_where=sql("reopening IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    name: Mapped[str]
    state: Mapped[CampaignState] = mapped_column(_word(CampaignState, "state"), server_default="draft")
    prompt: Mapped[str] = mapped_column(default="")
    assistant_id: Mapped[str | None] = mapped_column(ForeignKey(Assistant.id, ondelete="SET NULL"))
    trunk_id: Mapped[str | None] = mapped_column(index=True)
    default_region: Mapped[str | None]

    # When
    time_zone: Mapped[str] = mapped_column(server_default="UTC")
    window: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    holidays_of: Mapped[str | None]
    blackout: Mapped[list[str]] = mapped_column(JSONB, server_default=sql("'[]'"))
    starts_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]

    # How many
    max_concurrent: Mapped[int | None] = mapped_column(_LIMIT, server_default="5")
    calls_per_second: Mapped[float | None] = mapped_column(_RATE, server_default="1")
    priority: Mapped[int] = mapped_column(server_default="5")
    daily_cap: Mapped[int | None]
    attempts_per_day: Mapped[int | None] = mapped_column(_LIMIT, server_default="2")
    attempts_per_number: Mapped[int | None]
    minimum_gap_seconds: Mapped[int] = mapped_column(server_default="3600")
    retry: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))

    # What is wanted of machines, and of the words spoken
    voicemail_message: Mapped[str | None]
    """Left on a voicemail after its beep; without one, nothing is left."""
    menu_path: Mapped[str | None]
    """Keys that lead through a phone menu, a group for each prompt: "2 1"."""
    extraction: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """JSON schema of the fields to read out of each conversation."""

    # Kept by the engine
    pause_cause: Mapped[str | None]
    last_turn_at: Mapped[datetime | None]
    """The turn last given to a call, by the database's clock; the next comes a gap later, see `turns.py`."""
    wake_at: Mapped[datetime | None]
    waits_for: Mapped[Scarce | None] = mapped_column(_word(Scarce, "waits_for"))
    served: Mapped[float] = mapped_column(server_default="0")
    """Calls granted, each counted as one by the priority: who has least comes first where several wait."""
    reopening: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """What an edit left to be looked for among the contacts, and how far that is, see `reopening.py`."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Contact(Base):
    """One person in one campaign.

    A number stands once in a campaign, however it was written in the file. `zones` are the time zones the person may be
    in, joined by `|`; empty until they were looked up.
    """

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("campaign_id", "phone"),
        Index(
            "ix_contacts_due", "campaign_id", "zones", "next_at", "position", postgresql_where=sql("state = 'waiting'")
        ),
        Index("ix_contacts_state", "campaign_id", "state", "position"),
        Index(
            "ix_contacts_outcome",
            "campaign_id",
            "last_outcome",
            "position",
            postgresql_where=sql("last_outcome IS NOT NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4, server_default=sql("gen_random_uuid()"))
    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(BigInteger, Identity())
    phone: Mapped[str]
    name: Mapped[str] = mapped_column(default="", server_default="")
    email: Mapped[str] = mapped_column(default="", server_default="")
    time_zone: Mapped[str | None]
    variables: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=sql("'{}'"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    zones: Mapped[str] = mapped_column(server_default="")
    state: Mapped[ContactState] = mapped_column(_word(ContactState, "state"), server_default="waiting")
    next_at: Mapped[datetime] = mapped_column(server_default=func.now())
    attempts: Mapped[int] = mapped_column(server_default="0")
    dispatches: Mapped[int] = mapped_column(server_default="0")
    """Calls made for the contact, those that never rang included: the attempt number in a call's id."""
    call_id: Mapped[UUID | None] = mapped_column(index=True)
    last_outcome: Mapped[str | None]
    callback_at: Mapped[datetime | None]


class DecisionRecord(Base):
    """Why a contact was dialled, put off, skipped or finished: the rule, what it looked at, when, and when next."""

    __tablename__ = "decisions"
    __table_args__ = (
        Index("ix_decisions_contact", "contact_id", "at"),
        # The last word on a campaign as a whole, among a million about its contacts.
        Index("ix_decisions_hold", "campaign_id", "id", postgresql_where=sql("contact_id IS NULL")),
        Index("ix_decisions_campaign", "campaign_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    contact_id: Mapped[UUID | None] = mapped_column(ForeignKey("contacts.id", ondelete="CASCADE"))
    call_id: Mapped[UUID | None]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    verdict: Mapped[Verdict] = mapped_column(_word(Verdict, "verdict"))
    rule: Mapped[str]
    words: Mapped[str]
    inputs: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default=sql("'{}'"))
    next_at: Mapped[datetime | None]


class ContactImport(Base):
    """A file of contacts on its way into a campaign, and what became of it.

    `seen_at` is when its program last said that it lives; one that fell silent was interrupted, and may be repeated.
    """

    __tablename__ = "contact_imports"
    __table_args__ = (Index("ix_contact_imports_campaign", "campaign_id", "created_at"),)

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    campaign_id: Mapped[UUID] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    file_name: Mapped[str] = mapped_column(server_default="")
    state: Mapped[ImportState] = mapped_column(_word(ImportState, "state"), server_default="running")
    report: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    problem: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class DoNotCall(Base):
    """A number that must not be called: by nobody, or by one campaign. Removing keeps the row, with its reason."""

    __tablename__ = "do_not_call"
    __table_args__ = (
        Index(
            "uq_do_not_call_listed",
            "phone",
            sql("coalesce(campaign_id, '00000000-0000-0000-0000-000000000000')"),
            unique=True,
            postgresql_where=sql("removed_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    phone: Mapped[str]
    campaign_id: Mapped[UUID | None] = mapped_column(ForeignKey("campaigns.id", ondelete="CASCADE"))
    reason: Mapped[str] = mapped_column(server_default="")
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())
    removed_at: Mapped[datetime | None]
    removed_because: Mapped[str | None]


class TrunkLimits(Base):
    """What a LiveKit SIP trunk bears, and how it is doing. A trunk without a row has the defaults."""

    __tablename__ = "trunk_limits"

    trunk_id: Mapped[str] = mapped_column(primary_key=True)
    max_concurrent: Mapped[int | None] = mapped_column(_LIMIT, server_default="10")
    calls_per_second: Mapped[float | None] = mapped_column(_RATE, server_default="1")
    last_turn_at: Mapped[datetime | None]
    hold_until: Mapped[datetime | None]
    hold_seconds: Mapped[float] = mapped_column(server_default="0")
    hold_cause: Mapped[str | None]


class Installation(Base):
    """Limits of the whole installation: one row."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    max_concurrent: Mapped[int | None] = mapped_column(_LIMIT, server_default="50")
    kept_for_inbound: Mapped[int] = mapped_column(server_default="1")
    hold_until: Mapped[datetime | None]
    hold_seconds: Mapped[float] = mapped_column(server_default="0")
    hold_cause: Mapped[str | None]
