"""The calendar that we keep ourselves, in the database.

Two bookings never overlap: whoever books locks the calendar's row, looks, and writes, in one transaction; and behind
that stands a constraint of the table.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.calendars import models
from voiceagents.calendars.base import (
    Attendee,
    Booking,
    BookingStatus,
    CalendarDown,
    CalendarProblem,
    NoSuchBooking,
    SlotTaken,
    require_contact,
)
from voiceagents.calendars.ruled import RuledCalendar
from voiceagents.calendars.rules import Rules
from voiceagents.calendars.slots import Busy
from voiceagents.db import Database

_EXCLUSION_VIOLATION = "23P01"


class BuiltinCalendar(RuledCalendar):
    """A calendar in the tables `calendars` and `bookings`."""

    def __init__(self, database: Database, number: int, calendar_id: str, name: str, rules: Rules) -> None:
        super().__init__(calendar_id, name, rules)
        self._database = database
        self._number = number

    async def _busy(self, start: datetime, end: datetime) -> Sequence[Busy]:
        async with self._transaction() as session:
            return await self._taken_between(session, start, end)

    async def book(self, start: datetime, attendee: Attendee, *, key: str, notes: str = "") -> Booking:
        require_contact(attendee)
        wish = f"{key} {start.astimezone(UTC).isoformat()}"
        async with self._transaction() as session:
            if made := await session.scalar(
                select(models.Booking).where(self._standing(), models.Booking.wish == wish)
            ):
                return _booking(made, self.rules)
        await self._require_offered(start)
        slot = self._slot_at(start)
        try:
            async with self._transaction() as session:
                await self._lock(session)
                # The same wish may have come by another way meanwhile.
                if made := await self._made_of(session, wish):
                    return made
                await self._require_free(session, start)
                row = models.Booking(
                    calendar=self._number,
                    starts_at=slot.start,
                    ends_at=slot.end,
                    status=BookingStatus.REQUESTED if self.rules.needs_confirmation else BookingStatus.BOOKED,
                    name=attendee.name,
                    phone=attendee.phone,
                    email=attendee.email,
                    zone=attendee.zone,
                    notes=notes,
                    wish=wish,
                )
                session.add(row)
                await session.flush()
                return _booking(row, self.rules)
        except SlotTaken:
            raise await self._taken(start) from None

    async def reschedule(self, booking_id: str, start: datetime, *, key: str) -> Booking:
        start = start.astimezone(UTC)
        moved = await self._find(booking_id)
        if moved.start == start:
            return moved
        await self._require_offered(start)
        slot = self._slot_at(start)
        try:
            async with self._transaction() as session:
                await self._lock(session)
                row = await self._row(session, booking_id)
                await self._require_free(session, start, but=row.id)
                row.starts_at, row.ends_at = slot.start, slot.end
                await session.flush()
                return _booking(row, self.rules)
        except SlotTaken:
            raise await self._taken(start) from None

    async def cancel(self, booking_id: str, *, reason: str = "") -> Booking:
        async with self._transaction() as session:
            row = await self._row(session, booking_id, cancelled=True)
            if row.status is not BookingStatus.CANCELLED:
                row.status, row.reason = BookingStatus.CANCELLED, reason
                await session.flush()
            return _booking(row, self.rules)

    async def confirm(self, booking_id: str) -> Booking:
        async with self._transaction() as session:
            row = await self._row(session, booking_id)
            row.status = BookingStatus.BOOKED
            await session.flush()
            return _booking(row, self.rules)

    async def bookings_of(self, *, phone: str | None = None, email: str | None = None) -> list[Booking]:
        theirs: list[ColumnElement[bool]] = []
        if phone:
            theirs.append(models.Booking.phone == phone)
        if email:
            theirs.append(func.lower(models.Booking.email) == email.strip().lower())
        return await self._select(models.Booking.ends_at > clock.now(), or_(*theirs)) if theirs else []

    async def bookings(self, start: datetime, end: datetime) -> list[Booking]:
        return await self._select(models.Booking.starts_at < end, models.Booking.ends_at > start)

    async def check(self) -> str:
        async with self._transaction() as session:
            await self._require_here(session)
            coming = await session.scalar(
                select(func.count()).where(self._standing(), models.Booking.ends_at > clock.now())
            )
        return f"built in, {coming} bookings to come, open {self.rules.week} ({self.rules.zone})"

    async def aclose(self) -> None:
        """The database is its owner's to close."""

    async def _select(self, *conditions: ColumnElement[bool]) -> list[Booking]:
        query = select(models.Booking).where(self._standing(), *conditions).order_by(models.Booking.starts_at)
        async with self._transaction() as session:
            return [_booking(row, self.rules) for row in await session.scalars(query)]

    async def _made_of(self, session: AsyncSession, wish: str) -> Booking | None:
        """The booking that this wish has made already."""
        row = await session.scalar(select(models.Booking).where(self._standing(), models.Booking.wish == wish))
        return _booking(row, self.rules) if row else None

    def _standing(self) -> ColumnElement[bool]:
        return (models.Booking.calendar == self._number) & (models.Booking.status != BookingStatus.CANCELLED)

    async def _taken_between(self, session: AsyncSession, start: datetime, end: datetime) -> Sequence[Busy]:
        rows = await session.execute(
            select(models.Booking.starts_at, models.Booking.ends_at).where(
                self._standing(), models.Booking.starts_at < end, models.Booking.ends_at > start
            )
        )
        return [(starts, ends) for starts, ends in rows]

    async def _require_free(self, session: AsyncSession, start: datetime, but: UUID | None = None) -> None:
        query = select(models.Booking.id).where(
            self._standing(),
            models.Booking.starts_at < start + self.rules.length + self.rules.after,
            models.Booking.ends_at > start - self.rules.before,
        )
        if but is not None:
            query = query.where(models.Booking.id != but)
        if await session.scalar(query.limit(1)) is not None:
            raise SlotTaken

    async def _lock(self, session: AsyncSession) -> None:
        """Whoever books in this calendar waits for whoever is at it; reading it goes on."""
        await self._require_here(session, lock=True)

    async def _require_here(self, session: AsyncSession, *, lock: bool = False) -> None:
        query = select(models.Calendar.number).where(models.Calendar.number == self._number)
        if await session.scalar(query.with_for_update(key_share=True) if lock else query) is None:
            raise CalendarProblem(f"The calendar {self.id!r} has been removed.")

    async def _find(self, booking_id: str) -> Booking:
        async with self._transaction() as session:
            return _booking(await self._row(session, booking_id), self.rules)

    async def _row(self, session: AsyncSession, booking_id: str, *, cancelled: bool = False) -> models.Booking:
        """The booking, locked.

        Raises:
            NoSuchBooking: with the reason.
        """
        try:
            identifier = UUID(booking_id)
        except ValueError:
            raise NoSuchBooking(f"there is no booking {booking_id!r}") from None
        row = await session.scalar(
            select(models.Booking)
            .where(models.Booking.calendar == self._number, models.Booking.id == identifier)
            .with_for_update()
        )
        if row is None:
            raise NoSuchBooking(f"there is no booking {booking_id!r}")
        if row.status is BookingStatus.CANCELLED and not cancelled:
            raise NoSuchBooking("this booking has been cancelled")
        if row.ends_at <= clock.now():
            raise NoSuchBooking("this booking is over")
        return row

    @asynccontextmanager
    async def _transaction(self) -> AsyncGenerator[AsyncSession]:
        try:
            async with self._database.transaction() as session:
                yield session
        except IntegrityError as error:
            if getattr(error.orig, "sqlstate", None) != _EXCLUSION_VIOLATION:
                raise
            raise SlotTaken from None
        except (OperationalError, InterfaceError, NoConnection) as error:
            raise CalendarDown(f"the database does not answer ({type(error).__name__})") from error


def _booking(row: models.Booking, rules: Rules) -> Booking:
    return Booking(
        id=str(row.id),
        start=row.starts_at.astimezone(UTC),
        end=row.ends_at.astimezone(UTC),
        attendee=Attendee(row.name, row.phone, row.email, row.zone),
        status=row.status,
        title=rules.title.replace("{name}", row.name),
        notes=row.notes,
    )
