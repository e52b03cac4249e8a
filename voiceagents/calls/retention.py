"""For how long is kept what was said in a call? After so many days its words and its recording are deleted.

The bare row stays: whom it was with, when, how it ended. Files go before the transaction is through, so that one that
breaks off is simply done again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Subquery, Text, and_, cast, delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Call, CallEvent, Message, ToolCall, Turn
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.db import Database

BATCH = 200
"""Calls that are cleared in one transaction."""

_RECORDING = "recording"
_KEYS_PRESSED = "dtmf"


@dataclass(frozen=True)
class Due:
    """What is older than it may be."""

    calls: int = 0
    turns: int = 0
    tool_calls: int = 0
    messages: int = 0
    recordings: int = 0


def limit(now: datetime, days: int) -> datetime:
    """Calls that ended before this moment are too old."""
    return now - timedelta(days=days)


async def due(session: AsyncSession, before: datetime) -> Due:
    """What `clear_batch` would delete, over all its batches."""
    old = select(Call.id, Call.details).where(_old(before)).subquery()

    async def number(of: type[Turn | ToolCall | Message]) -> int:
        return await session.scalar(select(func.count()).where(of.call_id.in_(_ids(old)))) or 0

    recorded = select(func.count()).where(old.c.details.has_key(_RECORDING))
    return Due(
        calls=await session.scalar(select(func.count()).select_from(old)) or 0,
        turns=await number(Turn),
        tool_calls=await number(ToolCall),
        messages=await number(Message),
        recordings=await session.scalar(recorded) or 0,
    )


async def clear_batch(database: Database, store: RecordingStore, before: datetime, now: datetime) -> int:
    """Clears the oldest calls that ended before a moment. Answers how many these were; 0 when none is left.

    Raises:
        BucketProblem: the bucket of recordings refused; nothing was cleared.
    """
    async with database.transaction() as session:
        oldest = select(Call.id).where(_old(before)).order_by(Call.ended_at).limit(BATCH)
        calls = (await session.scalars(oldest.with_for_update(skip_locked=True))).all()
        if calls:
            await clear(session, store, calls, now)
        return len(calls)


async def clear(session: AsyncSession, store: RecordingStore, calls: Sequence[UUID], now: datetime) -> None:
    """Deletes what was said in these calls and what was made of it. What comes in later about it is not written.

    Raises:
        BucketProblem: the bucket of recordings refused; the transaction must not be kept.
    """
    await session.execute(delete(Turn).where(Turn.call_id.in_(calls)))
    await session.execute(delete(Message).where(Message.call_id.in_(calls)))
    await session.execute(update(ToolCall).where(ToolCall.call_id.in_(calls)).values(arguments={}, result=None))
    await session.execute(
        update(CallEvent).where(CallEvent.call_id.in_(calls), CallEvent.kind == _KEYS_PRESSED).values(detail={})
    )
    await session.execute(
        update(Call)
        .where(Call.id.in_(calls))
        .values(cleared_at=now, summary=None, extracted=None, evidence=None, details=_without_recording())
        .execution_options(synchronize_session=False)
    )
    await store.delete(calls)


def _without_recording() -> ColumnElement[dict[str, Any]]:
    return Call.details.op("-", return_type=Call.details.type)(cast(_RECORDING, Text))


def _old(before: datetime) -> ColumnElement[bool]:
    # In these words it is the condition of an index.
    return and_(text("calls.state = 'ended'"), Call.cleared_at.is_(None), Call.ended_at < before)


def _ids(old: Subquery) -> Select[tuple[UUID]]:
    return select(old.c.id)
