"""Which campaigns, decisions and do-not-call entries come next? Pages, each from an index.

A page begins after the last row of the one before (keyset), so that the thousandth costs what the first does.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.campaigns import lifecycle
from voiceagents.campaigns.models import Campaign, Contact, ContactImport, DecisionRecord, DoNotCall
from voiceagents.campaigns.states import CampaignState, Verdict


async def campaigns(
    session: AsyncSession,
    *,
    state: CampaignState | None = None,
    after: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> Sequence[Campaign]:
    """The newest campaigns in this state; without one, all that are not archived."""
    query = select(Campaign).where(Campaign.state == state if state else Campaign.state != CampaignState.ARCHIVED)
    if after is not None:
        query = query.where(tuple_(Campaign.created_at, Campaign.id) < after)
    return (await session.scalars(query.order_by(Campaign.created_at.desc(), Campaign.id.desc()).limit(limit))).all()


async def decisions(
    session: AsyncSession,
    campaign_id: UUID,
    *,
    contact_id: UUID | None = None,
    verdict: Verdict | None = None,
    after: int | None = None,
    limit: int = 50,
) -> Sequence[DecisionRecord]:
    """Decisions of a campaign, or about one of its contacts, the newest first."""
    query = select(DecisionRecord).where(DecisionRecord.campaign_id == campaign_id)
    if contact_id is not None:
        query = query.where(DecisionRecord.contact_id == contact_id)
    if verdict is not None:
        query = query.where(DecisionRecord.verdict == verdict)
    if after is not None:
        query = query.where(DecisionRecord.id < after)
    return (await session.scalars(query.order_by(DecisionRecord.id.desc()).limit(limit))).all()


async def do_not_call(
    session: AsyncSession,
    *,
    campaign_id: UUID | None = None,
    removed: bool = False,
    after: int | None = None,
    limit: int = 50,
) -> Sequence[DoNotCall]:
    """The newest entries of the do-not-call list: those that stand, or those that were taken off."""
    query = select(DoNotCall).where(DoNotCall.removed_at.is_not(None) if removed else DoNotCall.removed_at.is_(None))
    if campaign_id is not None:
        query = query.where(DoNotCall.campaign_id == campaign_id)
    if after is not None:
        query = query.where(DoNotCall.id < after)
    return (await session.scalars(query.order_by(DoNotCall.id.desc()).limit(limit))).all()


async def imports(session: AsyncSession, campaign_id: UUID, *, limit: int = 50) -> Sequence[ContactImport]:
    """The newest imports into a campaign."""
    query = select(ContactImport).where(ContactImport.campaign_id == campaign_id)
    return (await session.scalars(query.order_by(ContactImport.created_at.desc()).limit(limit))).all()


async def add_contact(
    session: AsyncSession,
    campaign_id: UUID,
    *,
    phone: str,
    name: str = "",
    email: str = "",
    time_zone: str | None = None,
    variables: dict[str, str] | None = None,
) -> Contact | None:
    """Puts one person at the end of a campaign's list; None when the number (E.164) stands there already.

    Raises:
        CampaignProblem: no such campaign, or it is over.
    """
    await lifecycle.locked(session, campaign_id, "edited")
    values = {
        "campaign_id": campaign_id, "phone": phone, "name": name, "email": email, "time_zone": time_zone,
        "variables": variables or {},
    }  # fmt: skip
    statement = insert(Contact).values(**values).on_conflict_do_nothing().returning(Contact.id)
    made = await session.scalar(statement)
    if made is None:
        return None
    await lifecycle.wake(session, campaign_id)
    return await session.get_one(Contact, made)
