"""Which calendars are there, and what is booked in those that we keep ourselves: the tables."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import BigInteger, CheckConstraint, Enum, ForeignKey, Identity, Index, func, text
from sqlalchemy.dialects.postgresql import ExcludeConstraint
from sqlalchemy.orm import Mapped, mapped_column

from voiceagents.calendars.base import BookingStatus
from voiceagents.db import Base


def _words(kind: type[StrEnum]) -> list[str]:
    return [word.value for word in kind]


class Calendar(Base):
    """A calendar that calls may book in, and who keeps it."""

    __tablename__ = "calendars"

    id: Mapped[str] = mapped_column(primary_key=True)
    # Bookings refer to it: PostgreSQL keeps ranges of numbers from overlapping without an extension, texts it does not.
    number: Mapped[int] = mapped_column(BigInteger, Identity(), unique=True)
    name: Mapped[str]
    provider: Mapped[str]
    """`builtin`, `caldav` or `calcom`."""
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    """What `settings` of the provider reads; secrets are references such as `env:NAME`, or stand there as they are."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class Booking(Base):
    """One appointment in a built-in calendar. Two that are not cancelled never overlap: the database refuses it."""

    __tablename__ = "bookings"
    __table_args__ = (
        CheckConstraint("ends_at > starts_at", name="ends_after_it_starts"),
        ExcludeConstraint(
            (text("int8range(calendar, calendar, '[]')"), "&&"),
            (text("tstzrange(starts_at, ends_at)"), "&&"),
            using="gist",
            where=text("status <> 'cancelled'"),
            name="ex_bookings_overlap",
        ),
        Index(
            "uq_bookings_calendar_wish", "calendar", "wish", unique=True, postgresql_where=text("status <> 'cancelled'")
        ),
        Index("ix_bookings_calendar_phone", "calendar", "phone"),
        Index("ix_bookings_calendar_email", "calendar", "email"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    calendar: Mapped[int] = mapped_column(BigInteger, ForeignKey(Calendar.number, ondelete="CASCADE"))
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    status: Mapped[BookingStatus] = mapped_column(
        Enum(
            BookingStatus,
            name="status",
            native_enum=False,
            create_constraint=True,
            length=32,
            values_callable=_words,
        )
    )
    name: Mapped[str]
    phone: Mapped[str | None]
    email: Mapped[str | None]
    zone: Mapped[str | None]
    notes: Mapped[str] = mapped_column(server_default="")
    wish: Mapped[str]
    """Key and start of the wish that made it, so that a wish sent twice books once."""
    reason: Mapped[str] = mapped_column(server_default="")
    """Why it was cancelled."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())
