"""Whom to dial next? Picks due contacts of one running campaign just in time, asks limits and rules, and makes the
call rows: all in one transaction, so that a crash leaves either nothing or calls that somebody will dispatch.

Nobody is queued ahead: what is picked is what may start within the next moments.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid5

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls import history
from voiceagents.calls.metadata import outbound_room
from voiceagents.calls.records import CallOpened
from voiceagents.calls.states import CallState, Direction
from voiceagents.campaigns import decisions, due, facts, places, reopening
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.places import Allowance
from voiceagents.campaigns.rules import Decision
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict

_LOOKED_AT = 500
"""Contacts that one feeding asks the rules about at most, dialled or not."""

_CALL_IDS = UUID("b3a1a7de-7a3c-4c53-a0a8-0f5a5d2f3c77")

_AT_ONCE = timedelta(milliseconds=50)
_LOOK_AGAIN = timedelta(seconds=10)

Deferrer = Callable[[AsyncSession, Sequence[UUID]], Awaitable[None]]
"""Defers the dispatch of calls, in the transaction of the session."""


@dataclass(frozen=True)
class Fed:
    """What one feeding did, and when the campaign is to be fed again by itself (None: when something happens)."""

    calls: int = 0
    again_at: datetime | None = None
    completed: bool = False


def call_id_of(campaign_id: UUID, contact_id: UUID, attempt: int) -> UUID:
    """The id of a call for a campaign: the same for everybody who works it out, so that an attempt has one row."""
    return uuid5(_CALL_IDS, f"{campaign_id}/{contact_id}/{attempt}")


async def feed(session: AsyncSession, campaign_id: UUID, now: datetime, defer: Deferrer) -> Fed:
    """Feeds one campaign, and goes on looking for contacts that a change of its terms concerns.

    The locks it takes are held in one order by everybody: campaign, trunk, installation.
    """
    campaign = await session.get(Campaign, campaign_id, with_for_update={"key_share": True})
    if campaign is None:
        return Fed()
    await reopening.go_on(session, campaign, now)
    fed = await _feed(session, campaign, now, defer)
    return fed if campaign.reopening is None else replace(fed, again_at=now)


async def _feed(session: AsyncSession, campaign: Campaign, now: datetime, defer: Deferrer) -> Fed:
    if not _started(campaign, now):
        return Fed(again_at=campaign.starts_at if campaign.state is CampaignState.SCHEDULED else None)
    if campaign.expires_at is not None and campaign.expires_at <= now:
        return await _expire(session, campaign, now)
    zones = await due.zones(session, campaign, now)
    if not await due.anybody(session, campaign, zones.open, now):
        campaign.waits_for = None
        if not await due.unfinished(session, campaign):
            return await _complete(session, campaign, now)
        return Fed(again_at=_first(await due.next_due(session, campaign, zones, now), campaign.expires_at))
    limits = await places.lock(session, campaign)
    allowed = await places.allowance(session, campaign, limits, now)
    if allowed.calls:
        calls, held = await _pick(session, campaign, zones, allowed, now, defer)
    else:
        calls, held = 0, await _held(session, campaign, zones, now)
    more = held is None and await due.anybody(session, campaign, zones.open, now)
    places.grant(campaign, allowed, calls, more=more)
    if held is not None or (allowed.calls == 0 and allowed.standing):
        hold = held or Decision(Verdict.HOLD, "pacing", allowed.words, {}, allowed.again_at)
        await decisions.record_hold(session, campaign.id, hold, now)
    if held is not None:
        return Fed(calls, _first(held.next_at, campaign.expires_at))
    if more:
        again_at = allowed.again_at if calls == allowed.calls < places.MOST else now + _AT_ONCE
        return Fed(calls, _first(again_at, now + _LOOK_AGAIN))
    if calls == 0 and not await due.unfinished(session, campaign):
        return await _complete(session, campaign, now)
    return Fed(calls, _first(await due.next_due(session, campaign, zones, now), campaign.expires_at))


def _started(campaign: Campaign, now: datetime) -> bool:
    if campaign.state is CampaignState.SCHEDULED and campaign.starts_at is not None and campaign.starts_at <= now:
        campaign.state = CampaignState.RUNNING
        campaign.started_at = now
    return campaign.state is CampaignState.RUNNING


async def _pick(
    session: AsyncSession, campaign: Campaign, zones: due.Zones, allowed: Allowance, now: datetime, defer: Deferrer
) -> tuple[int, Decision | None]:
    """Makes calls to contacts that are due, as many as allowed.

    Returns their number, and what held the campaign up.
    """
    called: list[UUID] = []
    held: Decision | None = None
    looked_at = 0
    while held is None and len(called) < allowed.calls and looked_at < _LOOKED_AT:
        # More each time: a list of people who may not be called is gone through in large steps.
        count = max(allowed.calls - len(called), min(looked_at, _LOOKED_AT - looked_at))
        contacts = await due.contacts(session, campaign, zones.open, now, count)
        if not contacts:
            break
        ground = await facts.read(session, campaign, contacts, now)
        opened: list[CallOpened] = []
        for contact in contacts:
            if len(called) + len(opened) == allowed.calls:
                break
            decision = ground.decide(contact)
            if decision.verdict is Verdict.HOLD:
                held = decision
                break
            if decision.verdict is Verdict.DIAL:
                opened.append(_dial(session, campaign, contact, decision, now))
                ground = ground.after_dial()
            else:
                _leave(session, contact, decision, now)
        looked_at += len(contacts)
        await session.flush()
        await history.open_calls(session, opened)
        called += [call.call_id for call in opened]
    await defer(session, called)
    return len(called), held


async def _held(session: AsyncSession, campaign: Campaign, zones: due.Zones, now: datetime) -> Decision | None:
    """What would hold the campaign up if it had a place: then it waits for none."""
    contacts = await due.contacts(session, campaign, zones.open, now, 1)
    ground = await facts.read(session, campaign, contacts, now)
    decision = next((ground.decide(contact) for contact in contacts), None)
    return decision if decision is not None and decision.verdict is Verdict.HOLD else None


async def _expire(session: AsyncSession, campaign: Campaign, now: datetime) -> Fed:
    """After its last day a campaign dials nobody: who still waits is skipped, whatever the hour."""
    contacts = (
        await session.scalars(
            select(Contact)
            .where(Contact.campaign_id == campaign.id, Contact.state == ContactState.WAITING)
            .limit(_LOOKED_AT)
            .with_for_update(skip_locked=True)
        )
    ).all()
    campaign.waits_for = None
    if contacts:
        ground = await facts.read(session, campaign, contacts, now)
        for contact in contacts:
            contact.state = ContactState.SKIPPED
            decisions.record(session, contact, ground.decide(contact), now)
        return Fed(again_at=now)
    if await due.unfinished(session, campaign):
        return Fed()
    return await _complete(session, campaign, now)


def _leave(session: AsyncSession, contact: Contact, decision: Decision, now: datetime) -> None:
    if decision.verdict is Verdict.DEFER:
        contact.next_at = decision.next_at or now + _LOOK_AGAIN
    else:
        contact.state = ContactState.SKIPPED
    decisions.record(session, contact, decision, now)


def _dial(session: AsyncSession, campaign: Campaign, contact: Contact, decision: Decision, now: datetime) -> CallOpened:
    contact.dispatches += 1
    call_id = call_id_of(campaign.id, contact.id, contact.dispatches)
    contact.state, contact.call_id = ContactState.CALLING, call_id
    decisions.record(session, contact, decision, now, call_id=call_id)
    return CallOpened(
        call_id=call_id,
        at=now,
        direction=Direction.OUTBOUND,
        state=CallState.QUEUED,
        to_number=contact.phone,
        room_name=outbound_room(contact.phone, call_id),
        trunk_id=campaign.trunk_id,
        assistant_id=campaign.assistant_id,
        campaign_id=str(campaign.id),
        contact_id=str(contact.id),
        contact_name=contact.name or None,
        attempt=contact.dispatches,
    )


async def _complete(session: AsyncSession, campaign: Campaign, now: datetime) -> Fed:
    if campaign.reopening is not None:
        return Fed()  # somebody may still be found who was skipped by the old terms
    await session.flush()
    await session.execute(
        update(Campaign)
        .where(Campaign.id == campaign.id)
        .values(state=CampaignState.COMPLETED, finished_at=now, wake_at=None)
    )
    return Fed(completed=True)


def _first(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)
