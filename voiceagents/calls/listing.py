"""Which calls fit, and which come next? Pages of any length of history, each from an index, and the same as a file.

A page begins after the last call of the one before (keyset), so that the thousandth costs what the first does, and new
calls shift nothing.
"""

import csv
import io
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Call, Turn
from voiceagents.calls.states import CallState, Direction, Outcome
from voiceagents.formulas import neutralized

_ROWS_AT_ONCE = 1_000
_PIECE = 1 << 16


@dataclass(frozen=True)
class CallFilter:
    """What the calls have in common; None: whatever."""

    campaign_id: str | None = None
    contact_id: str | None = None
    assistant_id: str | None = None
    direction: Direction | None = None
    outcome: Outcome | None = None
    state: CallState | None = None
    number: str | None = None
    """The person's or ours, in E.164."""

    since: datetime | None = None
    until: datetime | None = None
    """Made at or after, and before."""

    words: str | None = None
    """Said in one turn: words, "a phrase", or, -not (PostgreSQL's `websearch_to_tsquery`)."""


@dataclass(frozen=True)
class Place:
    """A place in the list, the newest first: after this call."""

    at: datetime
    id: UUID


async def page(
    session: AsyncSession, which: CallFilter, *, after: Place | None = None, limit: int = 50
) -> Sequence[Call]:
    """The newest calls that fit, or those that follow a place."""
    query = _query(which).limit(limit)
    if after is not None:
        query = query.where(tuple_(Call.created_at, Call.id) < (after.at, after.id))
    return (await session.scalars(query)).all()


EXPORTED = (
    "id", "created_at", "direction", "from_number", "to_number", "contact_name", "campaign_id", "contact_id", "attempt",
    "assistant_id", "state", "outcome", "cause", "ended_by", "sip_status", "answered_at", "ended_at", "talk_seconds",
    "summary",
)  # fmt: skip


async def as_csv(session: AsyncSession, which: CallFilter) -> AsyncGenerator[str]:
    """Every call that fits as pieces of a CSV file, safe to open in a spreadsheet: no cell runs as a formula."""
    piece = io.StringIO(newline="")
    writer = csv.writer(piece)
    writer.writerow(EXPORTED)
    calls = await session.stream_scalars(_query(which).execution_options(yield_per=_ROWS_AT_ONCE))
    async for call in calls:
        writer.writerow([neutralized(_cell(getattr(call, column))) for column in EXPORTED])
        session.expunge(call)
        if piece.tell() > _PIECE:
            yield piece.getvalue()
            piece.seek(0)
            piece.truncate()
    yield piece.getvalue()


def _query(which: CallFilter) -> Select[Call]:
    query = select(Call).order_by(Call.created_at.desc(), Call.id.desc())
    for column, value in (
        (Call.campaign_id, which.campaign_id),
        (Call.contact_id, which.contact_id),
        (Call.assistant_id, which.assistant_id),
        (Call.direction, which.direction),
        (Call.outcome, which.outcome),
        (Call.state, which.state),
    ):
        if value is not None:
            query = query.where(column == value)
    if which.number is not None:
        query = query.where(or_(Call.from_number == which.number, Call.to_number == which.number))
    if which.since is not None:
        query = query.where(Call.created_at >= which.since)
    if which.until is not None:
        query = query.where(Call.created_at < which.until)
    if which.words is not None:
        asked = func.websearch_to_tsquery("simple", which.words)
        query = query.where(Call.id.in_(select(Turn.call_id).where(Turn.words.bool_op("@@")(asked))))
    return query


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    return f"{value:.1f}" if isinstance(value, float) else str(value)
