"""How much may run at once? The limits of the whole installation and of each trunk, as people see and set them."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState
from voiceagents.campaigns import lifecycle
from voiceagents.campaigns.models import Campaign, Installation, TrunkLimits
from voiceagents.campaigns.states import CampaignState


async def installation(session: AsyncSession) -> Installation:
    """The limits of the installation."""
    await session.execute(insert(Installation).values(id=1).on_conflict_do_nothing())
    return await session.get_one(Installation, 1)


async def trunks(session: AsyncSession) -> Sequence[TrunkLimits]:
    """The limits of every trunk that has any."""
    return (await session.scalars(select(TrunkLimits).order_by(TrunkLimits.trunk_id))).all()


async def in_use(session: AsyncSession) -> dict[str | None, int]:
    """Calls that have not ended, by trunk (inbound ones: None)."""
    rows = await session.execute(
        select(Call.trunk_id, func.count()).where(Call.state != CallState.ENDED).group_by(Call.trunk_id)
    )
    return {trunk_id: number for trunk_id, number in rows}


async def set_installation(session: AsyncSession, **columns: Any) -> Installation:
    """Changes `max_concurrent` (None: no limit) and `kept_for_inbound`; felt at the next decision."""
    await _wake(session, Campaign.id.is_not(None))
    await installation(session)
    await session.execute(update(Installation).values(**columns))
    return await session.get_one(Installation, 1, populate_existing=True)


async def set_trunk(session: AsyncSession, trunk_id: str, **columns: Any) -> TrunkLimits:
    """Changes `max_concurrent` and `calls_per_second` (None: no limit) of a trunk; felt at the next decision."""
    await _wake(session, Campaign.trunk_id == trunk_id)
    statement = insert(TrunkLimits).values(trunk_id=trunk_id, **columns)
    await session.execute(statement.on_conflict_do_update(index_elements=[TrunkLimits.trunk_id], set_=columns))
    return await session.get_one(TrunkLimits, trunk_id, populate_existing=True)


async def _wake(session: AsyncSession, which: Any) -> None:
    """Running campaigns look again, also those whose engine is not there to hear of it now.

    Campaigns are locked before trunks, as everybody does.
    """
    running = (
        await session.scalars(
            select(Campaign.id)
            .where(Campaign.state == CampaignState.RUNNING, which)
            .order_by(Campaign.id)
            .with_for_update(key_share=True)
        )
    ).all()
    await session.execute(update(Campaign).where(Campaign.id.in_(running)).values(wake_at=None))
    for campaign_id in running:
        await lifecycle.wake(session, campaign_id)
