"""Who must not be called, by anybody or by one campaign?

The one place that writes the do-not-call list. Numbers are kept in E.164, however they were written; the rules look
at the list right before every dial. Taking a number off keeps its row, with the reason.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Call
from voiceagents.calls.states import Direction, Outcome
from voiceagents.campaigns.models import DoNotCall


async def add(session: AsyncSession, phone: str, campaign_id: UUID | None, reason: str) -> bool:
    """Puts a number (E.164) on everybody's list, or on that of one campaign. False when it stands there already."""
    return await add_all(session, [(phone, reason)], campaign_id) == 1


async def remove(session: AsyncSession, phone: str, campaign_id: UUID | None, reason: str) -> bool:
    """Takes a number off a list, for a reason that stays on record. False when it does not stand there."""
    taken_off = await session.execute(
        update(DoNotCall)
        .where(DoNotCall.phone == phone, DoNotCall.removed_at.is_(None), _on_list_of(campaign_id))
        .values(removed_at=func.now(), removed_because=reason)
        .returning(DoNotCall.id)
    )
    return taken_off.first() is not None


async def check(session: AsyncSession, phone: str) -> Sequence[DoNotCall]:
    """Every list on which a number stands now."""
    listed = select(DoNotCall).where(DoNotCall.phone == phone, DoNotCall.removed_at.is_(None))
    return (await session.scalars(listed.order_by(DoNotCall.id))).all()


async def just_asked(session: AsyncSession, phones: Sequence[str]) -> dict[str, datetime]:
    """Which of these numbers asked in a call not to be called again that nobody has settled yet, and when.

    The list has them a moment later; until then this keeps other campaigns from calling them.
    """
    number = case((Call.direction == Direction.INBOUND, Call.from_number), else_=Call.to_number)
    asked = await session.execute(
        select(number, func.max(Call.ended_at))
        .where(Call.outcome == Outcome.OPTED_OUT, Call.settled_at.is_(None), number.in_(phones))
        .group_by(number)
    )
    return {phone: at for phone, at in asked if phone is not None and at is not None}


async def entries(
    session: AsyncSession, *, campaign_id: UUID | None = None, removed: bool = False, limit: int = 100
) -> Sequence[DoNotCall]:
    """The newest entries: those that stand, or those that were taken off; of one campaign, or all."""
    query = select(DoNotCall).where(DoNotCall.removed_at.is_not(None) if removed else DoNotCall.removed_at.is_(None))
    if campaign_id is not None:
        query = query.where(DoNotCall.campaign_id == campaign_id)
    return (await session.scalars(query.order_by(DoNotCall.id.desc()).limit(limit))).all()


async def count(session: AsyncSession) -> int:
    """Entries that stand, on all lists together."""
    return await session.scalar(select(func.count()).where(DoNotCall.removed_at.is_(None))) or 0


def _on_list_of(campaign_id: UUID | None) -> ColumnElement[bool]:
    return DoNotCall.campaign_id.is_(None) if campaign_id is None else DoNotCall.campaign_id == campaign_id


async def add_all(session: AsyncSession, listed: Sequence[tuple[str, str]], campaign_id: UUID | None) -> int:
    """Puts numbers (E.164) on a list, each with its reason. Answers how many did not stand there."""
    # In the order of the numbers, so that two imports at once never wait for each other.
    ordered = sorted(listed)
    answer: Any = await session.execute(
        _INSERT,
        {"phones": [phone for phone, _ in ordered], "reasons": [why for _, why in ordered], "campaign": campaign_id},
    )
    return answer.rowcount


_INSERT = text(
    """
    INSERT INTO do_not_call (phone, campaign_id, reason)
    SELECT phone, CAST(:campaign AS uuid), reason
    FROM unnest(CAST(:phones AS text[]), CAST(:reasons AS text[])) AS listed(phone, reason)
    ON CONFLICT DO NOTHING
    """
)
