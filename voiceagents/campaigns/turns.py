"""When is it this call's turn to be dialled? Asked by its agent, once it is ready to dial.

Agents get ready in times that differ, so only they can keep calls apart: each takes the next free turn of its trunk and
of its campaign, under the locks of both, and waits for it. Then the claim has the last word. Turns are by the
database's clock, the same for all machines.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.campaigns import pacing
from voiceagents.campaigns.models import Campaign, Contact, TrunkLimits


def free_in(last_turn_at: datetime | None, per_second: float, here: datetime) -> float:
    """Seconds until the next turn is free, negative when it has been for a while."""
    if last_turn_at is None:
        return 0.0
    return (last_turn_at - here).total_seconds() + pacing.gap(per_second)


async def take(session: AsyncSession, call_id: UUID, trunk_id: str) -> float:
    """Takes the call's turn and returns the seconds until then.

    A call of no campaign takes one, too, where its trunk has limits of its own.
    """
    of_call = select(Contact.campaign_id).where(Contact.call_id == call_id).scalar_subquery()
    # In the order in which everybody locks: campaign, trunk.
    campaign_rate, campaign_turn = await _locked(
        session, select(Campaign.calls_per_second, Campaign.last_turn_at).where(Campaign.id == of_call)
    )
    trunk_rate, trunk_turn = await _locked(
        session,
        select(TrunkLimits.calls_per_second, TrunkLimits.last_turn_at).where(TrunkLimits.trunk_id == trunk_id),
    )
    if not campaign_rate and not trunk_rate:
        return 0.0
    here = await session.scalar(select(func.clock_timestamp()))
    assert here is not None
    seconds = max(
        0.0,
        free_in(campaign_turn, campaign_rate, here) if campaign_rate else 0.0,
        free_in(trunk_turn, trunk_rate, here) if trunk_rate else 0.0,
    )
    turn = here + timedelta(seconds=seconds)
    if campaign_rate:
        await session.execute(
            update(Campaign)
            .where(Campaign.id == of_call)
            .values(last_turn_at=turn, updated_at=Campaign.updated_at)
            .execution_options(synchronize_session=False)
        )
    if trunk_rate:
        await session.execute(update(TrunkLimits).where(TrunkLimits.trunk_id == trunk_id).values(last_turn_at=turn))
    return seconds


async def _locked(
    session: AsyncSession, query: Select[float | None, datetime | None]
) -> tuple[float | None, datetime | None]:
    row = (await session.execute(query.with_for_update(key_share=True))).one_or_none()
    return (None, None) if row is None else (row[0], row[1])
