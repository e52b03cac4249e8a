"""How many calls may a campaign start now, and what stands in the way of more?

Reads limits and calls in progress from the tables, under the locks of trunk and installation, so that any number of
engines count the same places once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import case, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls import presence
from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState, Direction
from voiceagents.campaigns import pacing, turns
from voiceagents.campaigns.models import Campaign, Installation, TrunkLimits
from voiceagents.campaigns.pacing import Claim, Hold, Pace, Place
from voiceagents.campaigns.states import CampaignState, Scarce

MOST = 100
"""Calls that one feeding makes at most: its locks are not held for longer than that takes."""

_ON_ITS_WAY = timedelta(seconds=15)
"""Age up to which a call that was made and not dialled is expected to take its turn soon."""

_SOON = 1.0
"""Seconds after which a campaign looks again that left a place or turn to another."""

_SEEN = {"key_share": True}
"""The rows are not locked against a mere mention of their key: an import of contacts goes on beside it."""


@dataclass(frozen=True)
class Allowance:
    """What a campaign may start now."""

    calls: int
    scarce: Scarce | None
    """What others want, too, if there was less of it than the campaign could use."""

    words: str
    """What stands in the way of more."""

    again_at: datetime | None
    """When to look again by itself, should more contacts be due; None: when something happens."""

    standing: bool
    """No call of the campaign is in progress."""

    rivals: Sequence[Claim]


@dataclass(frozen=True)
class Limits:
    """The locked rows that all campaigns share."""

    trunk: TrunkLimits | None
    installation: Installation


async def lock(session: AsyncSession, campaign: Campaign) -> Limits:
    """Locks trunk and installation, always in this order, and after the campaign."""
    trunk = None
    if campaign.trunk_id is not None:
        trunk = await session.get(TrunkLimits, campaign.trunk_id, with_for_update=_SEEN)
        if trunk is None:
            await session.execute(insert(TrunkLimits).values(trunk_id=campaign.trunk_id).on_conflict_do_nothing())
            trunk = await session.get_one(TrunkLimits, campaign.trunk_id, with_for_update=_SEEN)
    installation = await session.get(Installation, 1, with_for_update=_SEEN)
    if installation is None:
        await session.execute(insert(Installation).values(id=1).on_conflict_do_nothing())
        installation = await session.get_one(Installation, 1, with_for_update=_SEEN)
    return Limits(trunk, installation)


async def allowance(session: AsyncSession, campaign: Campaign, limits: Limits, now: datetime) -> Allowance:
    """What the campaign may start now. Call under `lock`."""
    trunk, installation = limits.trunk, limits.installation
    use = await _use(session, campaign, now)
    kept = max(0, installation.kept_for_inbound - use.inbound)
    own = Place("calls of the campaign at once", campaign.max_concurrent, use.of_campaign)
    shared = [
        (
            Scarce.INSTALLATION,
            Place("calls of the installation at once", _less(installation.max_concurrent, kept), use.all),
        ),
        (Scarce.INSTALLATION, Place("places in agent processes", _less(use.agent_places, kept), use.agent_places_used)),
    ]
    holds = [Hold("the installation", installation.hold_until, installation.hold_cause)]
    if trunk is not None:
        shared.append((Scarce.TRUNK, Place("calls of the trunk at once", trunk.max_concurrent, use.of_trunk)))
        holds.append(Hold("the trunk", trunk.hold_until, trunk.hold_cause))
    room = pacing.room([own, *(place for _, place in shared)], holds, now)
    standing = use.of_campaign == 0
    tightest = min(shared, key=lambda pair: MOST if pair[1].free is None else pair[1].free)
    if room.calls == 0:
        scarce = None if room.until is not None or own.free == 0 else tightest[0]
        # Agents that come and places that they leave are announced by nobody.
        beat = now + timedelta(seconds=presence.BEAT)
        again_at = beat if scarce is Scarce.INSTALLATION and shared[1][1].free == 0 else room.until
        return Allowance(0, scarce, room.blocked_by, again_at, standing, [])

    # First places, then turns. Who waits for the one is no rival for the other, or each could leave to the other
    # what neither takes.
    rivals = await _rivals(session, campaign, tightest[0], use)
    mine = Claim(campaign.priority, use.in_flight(campaign.id), _account(campaign, rivals))
    places = pacing.fair_places(mine, rivals, min(MOST, room.calls))
    if places == 0:
        words = "the trunk's other campaigns come first"
        return Allowance(0, tightest[0], words, now + timedelta(seconds=_SOON), standing, rivals)
    scarce = tightest[0] if places < min(own.free if own.free is not None else MOST, MOST) else None

    campaign_pace, trunk_pace = await _paces(session, campaign, limits, use)
    free = pacing.turns(MOST, [trunk_pace])
    contenders = await _rivals(session, campaign, Scarce.TURN, use) if free.calls < MOST else []
    mine = Claim(campaign.priority, use.in_flight(campaign.id), _account(campaign, contenders))
    fair = pacing.fair_turns(mine, contenders, free.calls)
    calls = min(places, fair, pacing.turns(places, [campaign_pace]).calls)
    if calls == places:
        return Allowance(calls, scarce, room.blocked_by, None, standing, rivals)
    again_in = pacing.turns(calls, [campaign_pace, trunk_pace]).more_in
    if fair < free.calls and calls == fair:
        again_in = max(again_in or 0.0, min(_SOON, pacing.gap(trunk_pace.per_second or 1.0)))
    waits = calls == fair
    return Allowance(
        calls,
        Scarce.TURN if waits else None,
        f"calls per second of the {'trunk' if waits else 'campaign'}",
        now + timedelta(seconds=again_in or 0.0),
        standing,
        contenders,
    )


def grant(campaign: Campaign, allowed: Allowance, calls: int, *, more: bool) -> None:
    """Keeps account of the calls that the campaign took, and of what it waits for when it has more contacts due."""
    if calls:
        campaign.served = _account(campaign, allowed.rivals) + calls / campaign.priority
    elif more and allowed.scarce is not None:
        campaign.served = _account(campaign, allowed.rivals)
    campaign.waits_for = allowed.scarce if more else None


async def waiting(session: AsyncSession, places: int) -> set[UUID]:
    """Running campaigns that may use `places` that came free, those first that were granted least."""
    running = select(Campaign.id).where(Campaign.state == CampaignState.RUNNING, Campaign.waits_for.is_not(None))
    return set(await session.scalars(running.order_by(Campaign.served, Campaign.id).limit(2 * places + 1)))


@dataclass(frozen=True)
class _Use:
    """Calls in progress, from one look."""

    all: int
    inbound: int
    of_campaign: int
    of_trunk: int
    agent_places: int
    agent_places_used: int
    trunk_on_its_way: int
    campaign_on_its_way: int
    by_campaign: Counter[str]

    def in_flight(self, campaign_id: UUID) -> int:
        return self.by_campaign[str(campaign_id)]


async def _use(session: AsyncSession, campaign: Campaign, now: datetime) -> _Use:
    undialled = Call.state.in_([CallState.QUEUED, CallState.DISPATCHED])
    keys = (Call.direction, Call.campaign_id, Call.trunk_id, Call.worker_id)
    on_its_way = func.sum(case((undialled & (Call.created_at > now - _ON_ITS_WAY), 1), else_=0))
    rows = (
        await session.execute(select(*keys, func.count(), on_its_way).where(text("state <> 'ended'")).group_by(*keys))
    ).all()
    outbound = [row for row in rows if row[0] is Direction.OUTBOUND]
    mine = [row for row in outbound if row[1] == str(campaign.id)]
    in_trunk = [row for row in outbound if campaign.trunk_id is not None and row[2] == campaign.trunk_id]
    agents = await presence.places(session)
    # What agents report is a moment old, and they need a moment after a call; what the tables say is now.
    unassigned = _sum(row for row in outbound if row[3] is None)
    held = _sum(row for row in rows if row[3] in agents.workers)
    by_campaign: Counter[str] = Counter()
    for row in outbound:
        by_campaign[str(row[1])] += row[4]
    return _Use(
        all=_sum(rows),
        inbound=_sum(rows) - _sum(outbound),
        of_campaign=_sum(mine),
        of_trunk=_sum(in_trunk),
        agent_places=agents.total,
        agent_places_used=max(agents.used, held) + unassigned,
        trunk_on_its_way=sum(row[5] for row in in_trunk),
        campaign_on_its_way=sum(row[5] for row in mine),
        by_campaign=by_campaign,
    )


def _sum(rows: Any) -> int:
    return sum(row[4] for row in rows)


async def _paces(session: AsyncSession, campaign: Campaign, limits: Limits, use: _Use) -> tuple[Pace, Pace]:
    """The limits on calls per second of campaign and trunk, by the database's clock."""
    here = await session.scalar(select(func.clock_timestamp()))
    assert here is not None
    trunk = limits.trunk
    return (
        _pace(campaign, use.campaign_on_its_way, here),
        _pace(trunk, use.trunk_on_its_way, here) if trunk else Pace(None),
    )


def _pace(paced: Campaign | TrunkLimits, on_its_way: int, here: datetime) -> Pace:
    if not paced.calls_per_second:
        return Pace(None)
    return Pace(paced.calls_per_second, turns.free_in(paced.last_turn_at, paced.calls_per_second, here), on_its_way)


async def _rivals(session: AsyncSession, campaign: Campaign, scarce: Scarce, use: _Use) -> list[Claim]:
    """Other running campaigns that wait for the same."""
    query = select(Campaign.id, Campaign.priority, Campaign.served).where(
        Campaign.state == CampaignState.RUNNING, Campaign.waits_for == scarce, Campaign.id != campaign.id
    )
    if scarce is not Scarce.INSTALLATION:
        query = query.where(Campaign.trunk_id == campaign.trunk_id)
    rows = await session.execute(query)
    return [Claim(priority, use.in_flight(id_), served) for id_, priority, served in rows]


def _account(campaign: Campaign, rivals: Sequence[Claim]) -> float:
    return campaign.served if campaign.waits_for is not None else pacing.level(campaign.served, rivals)


def _less(limit: int | None, kept: int) -> int | None:
    return None if limit is None else max(0, limit - kept)
