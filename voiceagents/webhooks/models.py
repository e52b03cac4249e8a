"""Who is told of what happens, what happened, and did they hear of it? Endpoints, events and deliveries.

Events and deliveries are made by triggers in the database (migration 0010 and later), in the transaction that makes
something happen, whichever program that is: so none is lost, and none is told that did not happen.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, Enum, ForeignKey, Identity, Index, func
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from voiceagents.db import Base

CHANNEL = "voiceagents_webhooks"
"""PostgreSQL notifies on this channel when there is something to deliver."""


class EventKind(StrEnum):
    """What can be told."""

    CALL_ENDED = "call.ended"
    """A call is over, with its outcome."""

    CONTACT_DONE = "contact.done"
    """A contact of a campaign will not be called any more: its last outcome is final."""

    CAMPAIGN_SCHEDULED = "campaign.scheduled"
    CAMPAIGN_RUNNING = "campaign.running"
    CAMPAIGN_PAUSED = "campaign.paused"
    """By a person or by the circuit breaker; the cause is told."""

    CAMPAIGN_COMPLETED = "campaign.completed"
    CAMPAIGN_CANCELLED = "campaign.cancelled"


class DeliveryState(StrEnum):
    """pending → delivered or failed; one that is replayed is pending again."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    """Every attempt failed, or the endpoint was taken away or switched off."""


class Endpoint(Base):
    """An address that is told of some kinds of events, and the secret that signs what it is sent."""

    __tablename__ = "webhook_endpoints"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(JSONB)
    description: Mapped[str] = mapped_column(server_default="")
    secret: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default=sql("true"))
    disabled_because: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Happening(Base):
    """Something that happened, for whoever is told of it."""

    __tablename__ = "webhook_events"

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    kind: Mapped[str]
    subject_id: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    data: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))


class Delivery(Base):
    """One event for one endpoint. `log` has the last attempts: when, which status or error, how many milliseconds."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        Index("ix_webhook_deliveries_due", "next_at", postgresql_where=sql("state = 'pending'")),
        Index("ix_webhook_deliveries_endpoint", "endpoint_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    event_id: Mapped[int] = mapped_column(ForeignKey("webhook_events.id", ondelete="CASCADE"), index=True)
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("webhook_endpoints.id", ondelete="CASCADE"))
    state: Mapped[DeliveryState] = mapped_column(
        Enum(
            DeliveryState,
            name="state",
            native_enum=False,
            create_constraint=True,
            length=32,
            values_callable=lambda kind: [word.value for word in kind],  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType, reportUnknownMemberType]
        ),
        server_default="pending",
    )
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime] = mapped_column(server_default=func.now())
    delivered_at: Mapped[datetime | None]
    log: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default=sql("'[]'"))
