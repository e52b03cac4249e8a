"""Why was this person called or not, and what comes next? The decision record of a contact, told in order, and the
decision as it would be now."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import phone
from voiceagents.campaigns import decisions, facts, status
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.models import Campaign, Contact, DecisionRecord
from voiceagents.campaigns.rules import Decision
from voiceagents.campaigns.states import ContactState, Verdict
from voiceagents.campaigns.zones import ContactZones, zones_of

_ID = re.compile(r"[0-9a-f]{4,8}(-[0-9a-f-]{0,27})?|[0-9a-f]{8,32}")


@dataclass(frozen=True)
class Story:
    """One contact of one campaign."""

    campaign: Campaign
    contact: Contact
    zones: ContactZones
    records: Sequence[DecisionRecord]
    now: Decision | None
    """What would be decided now; None for a contact that is finished."""

    held: DecisionRecord | None
    """What the engine last said of the whole campaign, when only that can keep the contact from being dialled."""


async def stories(session: AsyncSession, reference: str, campaign: Campaign | None, now: datetime) -> Sequence[Story]:
    """Every contact that the reference means, the newest campaign first.

    Args:
        session: of the transaction.
        reference: a number in any form, a contact's id, or how it begins.
        campaign: look in this one only.
        now: the present.

    Raises:
        CampaignProblem: nobody, or an id that several begin with.
    """
    found = await _by_number(session, reference, campaign) or await _by_id(session, reference, campaign)
    if not found:
        where = f'in "{campaign.name}"' if campaign is not None else "in any campaign"
        raise CampaignProblem(f'There is no contact "{reference}" {where}: give the number, or the id from an export.')
    return [await _story(session, contact, now) for contact in found]


async def _story(session: AsyncSession, contact: Contact, now: datetime) -> Story:
    campaign = await session.get_one(Campaign, contact.campaign_id)
    decision = None
    if contact.state is ContactState.WAITING:
        decision = (await facts.read(session, campaign, [contact], now)).decide(contact)
    free = decision is not None and decision.verdict is Verdict.DIAL
    return Story(
        campaign=campaign,
        contact=contact,
        zones=zones_of(contact.time_zone, contact.phone, campaign.time_zone),
        records=await decisions.of_contact(session, contact.id),
        now=decision,
        held=await status.last_hold(session, campaign) if free else None,
    )


async def _by_number(session: AsyncSession, reference: str, campaign: Campaign | None) -> Sequence[Contact]:
    asked = select(Campaign.default_region).distinct()
    if campaign is not None:
        asked = asked.where(Campaign.id == campaign.id)
    numbers: set[str] = set()
    for region in {None, *await session.scalars(asked)}:
        try:
            numbers.add(phone.normalize(reference, region))
        except phone.InvalidPhoneNumber:
            continue
    # A number that exists nowhere may stand in a list all the same.
    if phone.is_e164(reference.strip()):
        numbers.add(reference.strip())
    if not numbers:
        return ()
    query = select(Contact).join(Campaign, Campaign.id == Contact.campaign_id).where(Contact.phone.in_(numbers))
    if campaign is not None:
        query = query.where(Contact.campaign_id == campaign.id)
    return (await session.scalars(query.order_by(Campaign.created_at.desc()).limit(20))).all()


async def _by_id(session: AsyncSession, reference: str, campaign: Campaign | None) -> Sequence[Contact]:
    asked = reference.strip().lower()
    if _ID.fullmatch(asked) is None:
        return ()
    digits = asked.replace("-", "")
    if len(digits) > 32:
        return ()
    query = select(Contact).where(Contact.id >= UUID(digits.ljust(32, "0")), Contact.id <= UUID(digits.ljust(32, "f")))
    if campaign is not None:
        query = query.where(Contact.campaign_id == campaign.id)
    found = (await session.scalars(query.limit(2))).all()
    if len(found) > 1:
        raise CampaignProblem(f'The ids of several contacts begin with "{reference}": give more of it.')
    return found
