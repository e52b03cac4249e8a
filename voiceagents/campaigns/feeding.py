"""Whom to dial next? Picks due contacts of one running campaign just in time, asks limits and rules, and makes the
call rows: all in one transaction, so that a crash leaves either nothing or calls that somebody will dispatch.

Nobody is queued ahead: what is picked is what may start within the next moments.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls import history, presence
from voiceagents.calls.metadata import outbound_room
from voiceagents.calls.models import Call
from voiceagents.calls.records import CallOpened
from voiceagents.calls.states import CallState, Direction
from voiceagents.campaigns import decisions, facts, pacing
from voiceagents.campaigns.models import Campaign, Contact, Installation, TrunkLimits
from voiceagents.campaigns.pacing import Hold, Place, Room, Share
from voiceagents.campaigns.rules import Decision
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict
from voiceagents.campaigns.zones import zones_of

HORIZON = timedelta(seconds=0.25)
"""How far ahead calls are paced.

Short, so that a pause or a new limit is felt at once.
"""

_BATCH = 100
_ZONES_AT_ONCE = 2_000

_CALL_IDS = UUID("b3a1a7de-7a3c-4c53-a0a8-0f5a5d2f3c77")

Deferrer = Callable[[AsyncSession, UUID, datetime], Awaitable[None]]
"""Defers the dispatch of a call to a moment, in the transaction of the session."""


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
    """Feeds one campaign.

    The locks it takes are held in one order by everybody: campaign, trunk, installation.
    """
    campaign = await session.get(Campaign, campaign_id, with_for_update=True)
    if campaign is None or not await _started(campaign, now):
        return Fed(again_at=campaign.starts_at if campaign and campaign.state is CampaignState.SCHEDULED else None)
    await _find_zones(session, campaign)
    open_zones, opens_at = await _open_zones(session, campaign, now)
    trunk = await _locked_trunk(session, campaign)
    installation = await _locked_installation(session)
    room = await _room(session, campaign, trunk, installation, now)
    if room.calls == 0:
        await decisions.record_hold(session, campaign.id, _blocked(room), now)
        return Fed(again_at=room.until)
    calls = 0
    again_at: datetime | None = None
    paced = pacing.slots(
        min(room.calls, _BATCH),
        [
            (campaign.calls_per_second, campaign.next_dial_at),
            (trunk.calls_per_second if trunk else None, trunk.next_dial_at if trunk else None),
        ],
        now,
        HORIZON,
    )
    if not paced:
        earliest = max(filter(None, (campaign.next_dial_at, trunk.next_dial_at if trunk else None)))
        return Fed(again_at=earliest - HORIZON)
    while len(paced) > calls:
        contacts = await _due(session, campaign, open_zones, now, len(paced) - calls)
        if not contacts:
            break
        ground = await facts.read(session, campaign, contacts, now)
        held: Decision | None = None
        for contact in contacts:
            decision = ground.decide(contact)
            if decision.verdict is Verdict.HOLD:
                held = decision
                break
            await _apply(session, campaign, contact, decision, now, paced[calls] if calls < len(paced) else now, defer)
            if decision.verdict is Verdict.DIAL:
                calls += 1
                ground = ground.after_dial()
        await session.flush()
        if held is not None:
            await decisions.record_hold(session, campaign.id, held, now)
            again_at = held.next_at
            break
    if calls:
        _advance_pace(campaign, trunk, paced[calls - 1])
    if again_at is None:
        again_at = await _next_look(session, campaign, now, opens_at, more=calls == len(paced))
    completed = calls == 0 and await _complete_if_done(session, campaign, now)
    return Fed(calls, None if completed else again_at, completed)


async def _started(campaign: Campaign, now: datetime) -> bool:
    if campaign.state is CampaignState.SCHEDULED and campaign.starts_at is not None and campaign.starts_at <= now:
        campaign.state = CampaignState.RUNNING
        campaign.started_at = now
    return campaign.state is CampaignState.RUNNING


async def _find_zones(session: AsyncSession, campaign: Campaign) -> None:
    """Looks up the zones of contacts that have none yet (newly imported, or edited), some at a time."""
    fresh = (
        await session.execute(
            select(Contact.id, Contact.time_zone, Contact.phone)
            .where(Contact.campaign_id == campaign.id, Contact.state == ContactState.WAITING, Contact.zones == "")
            .limit(_ZONES_AT_ONCE)
        )
    ).all()
    if not fresh:
        return
    keys = [
        {"id": id_, "zones": "|".join(zones_of(zone, phone, campaign.time_zone).names) or "?"}
        for id_, zone, phone in fresh
    ]
    await session.execute(
        text(
            "UPDATE contacts SET zones = found.zones FROM unnest(CAST(:ids AS uuid[]), CAST(:zones AS text[]))"
            " AS found(id, zones) WHERE contacts.id = found.id"
        ),
        {"ids": [key["id"] for key in keys], "zones": [key["zones"] for key in keys]},
    )


async def _open_zones(session: AsyncSession, campaign: Campaign, now: datetime) -> tuple[list[str], datetime | None]:
    """The zones of waiting contacts in which the window is open now, and when the next closed one opens.

    Zones that nobody can read ("?") are let through: the rules say what is wrong with them.
    """
    # A loose index scan: as many steps as there are zones, however many contacts.
    found = await session.scalars(
        text(
            """
            WITH RECURSIVE zone AS (
                (SELECT zones FROM contacts WHERE campaign_id = :campaign AND state = 'waiting' ORDER BY zones LIMIT 1)
                UNION ALL
                SELECT (SELECT c.zones FROM contacts c WHERE c.campaign_id = :campaign AND c.state = 'waiting'
                        AND c.zones > zone.zones ORDER BY c.zones LIMIT 1)
                FROM zone WHERE zone.zones IS NOT NULL)
            SELECT zones FROM zone WHERE zones IS NOT NULL
            """
        ),
        {"campaign": campaign.id},
    )
    window = facts.window_of(campaign)
    open_now: list[str] = []
    opens_at: datetime | None = None
    for key in found:
        zones = zones_of_key(key)
        if not zones or window.problem is not None or window.is_open(now, *zones):
            open_now.append(key)
            continue
        opening = window.next_opening(now, *zones)
        if opening is None:
            open_now.append(key)
        elif opens_at is None or opening < opens_at:
            opens_at = opening
    return open_now, opens_at


def zones_of_key(key: str) -> list[ZoneInfo]:
    """The zones that a contact's `zones` column stands for; none when nobody can read them."""
    return [] if key in ("", "?") else [ZoneInfo(name) for name in key.split("|")]


async def _locked_trunk(session: AsyncSession, campaign: Campaign) -> TrunkLimits | None:
    if campaign.trunk_id is None:
        return None
    await session.execute(insert(TrunkLimits).values(trunk_id=campaign.trunk_id).on_conflict_do_nothing())
    return await session.get_one(TrunkLimits, campaign.trunk_id, with_for_update=True)


async def _locked_installation(session: AsyncSession) -> Installation:
    await session.execute(insert(Installation).values(id=1).on_conflict_do_nothing())
    return await session.get_one(Installation, 1, with_for_update=True)


async def _room(
    session: AsyncSession, campaign: Campaign, trunk: TrunkLimits | None, installation: Installation, now: datetime
) -> Room:
    rows = (
        await session.execute(
            select(Call.direction, Call.campaign_id, Call.trunk_id, Call.worker_id.is_(None), func.count())
            .where(Call.state != CallState.ENDED)
            .group_by(Call.direction, Call.campaign_id, Call.trunk_id, Call.worker_id.is_(None))
        )
    ).all()
    outbound = [row for row in rows if row[0] is Direction.OUTBOUND]
    in_all = sum(row[4] for row in rows)
    inbound = in_all - sum(row[4] for row in outbound)
    in_trunk = {
        id_: sum(row[4] for row in outbound if row[2] == campaign.trunk_id and row[1] == id_)
        for id_ in {row[1] for row in outbound}
    }
    mine = in_trunk.get(str(campaign.id), 0)
    waiting_for_agent = sum(row[4] for row in outbound if row[3])
    agents = await presence.places(session)
    kept = max(0, installation.kept_for_inbound - inbound)
    places = [
        Place(
            "calls of the campaign at once",
            campaign.max_concurrent,
            sum(r[4] for r in outbound if r[1] == str(campaign.id)),
        ),
        Place("calls of the installation at once", _less(installation.max_concurrent, kept), in_all),
        Place("places in agent processes", max(0, agents.free - kept), waiting_for_agent),
    ]
    holds = [Hold("the installation", installation.hold_until, installation.hold_cause)]
    if trunk is not None:
        places.append(Place("calls of the trunk at once", trunk.max_concurrent, sum(in_trunk.values())))
        holds.append(Hold("the trunk", trunk.hold_until, trunk.hold_cause))
    room = pacing.room(places, holds, now)
    if trunk is None or room.calls == 0:
        return room
    others = await _rivals(session, campaign, in_trunk, now)
    share = pacing.fair_share(Share(campaign.priority, mine), others, room.calls, trunk.max_concurrent)
    return Room(share, "the trunk's other campaigns come first" if share == 0 else room.blocked_by, room.until)


def _less(limit: int | None, kept: int) -> int | None:
    return None if limit is None else max(0, limit - kept)


async def _rivals(
    session: AsyncSession, campaign: Campaign, in_trunk: dict[str | None, int], now: datetime
) -> list[Share]:
    """Other running campaigns on the trunk that have contacts due."""
    due = (
        select(Contact.id)
        .where(Contact.campaign_id == Campaign.id, Contact.state == ContactState.WAITING, Contact.next_at <= now)
        .exists()
    )
    rows = await session.execute(
        select(Campaign.id, Campaign.priority).where(
            Campaign.trunk_id == campaign.trunk_id,
            Campaign.state == CampaignState.RUNNING,
            Campaign.id != campaign.id,
            due,
        )
    )
    return [Share(priority, in_trunk.get(str(id_), 0)) for id_, priority in rows]


async def _due(
    session: AsyncSession, campaign: Campaign, zones: Sequence[str], now: datetime, count: int
) -> Sequence[Contact]:
    """The contacts that have been due longest, at most `count`, locked; those that another engine holds are left to
    it."""
    if not zones:
        return ()
    # One short index scan a zone, and the best of them: the cost does not grow with the list.
    ids = (
        await session.scalars(
            text(
                """
                SELECT due.id FROM unnest(CAST(:zones AS text[])) AS zone
                CROSS JOIN LATERAL (
                    SELECT id, next_at, position FROM contacts
                    WHERE campaign_id = :campaign AND state = 'waiting' AND zones = zone AND next_at <= :now
                    ORDER BY next_at, position LIMIT :count) AS due
                ORDER BY due.next_at, due.position LIMIT :count
                """
            ),
            {"zones": list(zones), "campaign": campaign.id, "now": now, "count": count},
        )
    ).all()
    if not ids:
        return ()
    return (
        await session.scalars(
            select(Contact)
            .where(Contact.id.in_(ids), Contact.state == ContactState.WAITING)
            .order_by(Contact.next_at, Contact.position)
            .with_for_update(skip_locked=True)
        )
    ).all()


async def _apply(
    session: AsyncSession,
    campaign: Campaign,
    contact: Contact,
    decision: Decision,
    now: datetime,
    moment: datetime,
    defer: Deferrer,
) -> None:
    match decision.verdict:
        case Verdict.DIAL:
            contact.dispatches += 1
            call_id = call_id_of(campaign.id, contact.id, contact.dispatches)
            contact.state, contact.call_id = ContactState.CALLING, call_id
            decisions.record(session, contact, decision, now, call_id=call_id)
            await history.open_call(session, _opened(campaign, contact, call_id, now))
            await defer(session, call_id, moment)
        case Verdict.DEFER:
            contact.next_at = decision.next_at or now + HORIZON
            decisions.record(session, contact, decision, now)
        case _:
            contact.state = ContactState.SKIPPED
            decisions.record(session, contact, decision, now)


def _opened(campaign: Campaign, contact: Contact, call_id: UUID, now: datetime) -> CallOpened:
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


def _advance_pace(campaign: Campaign, trunk: TrunkLimits | None, last: datetime) -> None:
    if campaign.calls_per_second:
        campaign.next_dial_at = last + timedelta(seconds=1 / campaign.calls_per_second)
    if trunk is not None and trunk.calls_per_second:
        trunk.next_dial_at = last + timedelta(seconds=1 / trunk.calls_per_second)


def _blocked(room: Room) -> Decision:
    return Decision(Verdict.HOLD, "pacing", room.blocked_by, {}, room.until)


async def _next_look(
    session: AsyncSession, campaign: Campaign, now: datetime, opens_at: datetime | None, *, more: bool
) -> datetime | None:
    """When there will be somebody to call again, unless something happens before."""
    if more:
        earliest = [moment for moment in (campaign.next_dial_at,) if moment is not None]
        return max([now, *earliest]) - HORIZON / 2 if earliest else now
    unknown = await session.scalar(
        select(Contact.id)
        .where(Contact.campaign_id == campaign.id, Contact.state == ContactState.WAITING, Contact.zones == "")
        .limit(1)
    )
    if unknown is not None:
        return now
    next_due = await session.scalar(
        select(func.min(Contact.next_at)).where(
            Contact.campaign_id == campaign.id, Contact.state == ContactState.WAITING, Contact.next_at > now
        )
    )
    moments = [moment for moment in (next_due, opens_at) if moment is not None]
    return min(moments, default=None)


async def _complete_if_done(session: AsyncSession, campaign: Campaign, now: datetime) -> bool:
    unfinished = await session.scalar(
        select(Contact.id)
        .where(Contact.campaign_id == campaign.id, Contact.state.in_([ContactState.WAITING, ContactState.CALLING]))
        .limit(1)
    )
    if unfinished is not None:
        return False
    await session.execute(
        update(Campaign)
        .where(Campaign.id == campaign.id)
        .values(state=CampaignState.COMPLETED, finished_at=now, wake_at=None)
    )
    return True
