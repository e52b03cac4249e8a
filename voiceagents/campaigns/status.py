"""How is a campaign doing right now? Counts, calls in flight, what holds it, and when it will be finished."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls import presence
from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState, Outcome
from voiceagents.campaigns import engines, facts, limits
from voiceagents.campaigns.forecast import Forecast, Limits, Observed, forecast
from voiceagents.campaigns.lifecycle import Progress, progress
from voiceagents.campaigns.models import Campaign, Contact, DecisionRecord, TrunkLimits
from voiceagents.campaigns.rules import contact_is_due
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict
from voiceagents.zones import UnknownZone, zone_named

_DUE_NOW = timedelta(seconds=5)


@dataclass(frozen=True)
class Hold:
    """What keeps the campaign from dialling now, and until when, where that is known."""

    words: str
    until: datetime | None = None


@dataclass(frozen=True)
class Status:
    """A campaign at one moment."""

    campaign: Campaign
    progress: Progress
    in_flight: Sequence[Call]
    hold: Hold | None
    forecast: Forecast | None
    """None when nothing is left to dial, or the campaign is over."""

    agents: int
    engines: int


@dataclass(frozen=True)
class Line:
    """A campaign in a list."""

    campaign: Campaign
    counts: Mapping[str, int]

    @property
    def contacts(self) -> int:
        return sum(self.counts.values())


async def overview(session: AsyncSession, *, archived: bool = False) -> list[Line]:
    """Every campaign with its contacts by state, the newest first."""
    query = select(Campaign).order_by(Campaign.created_at.desc(), Campaign.id)
    if not archived:
        query = query.where(Campaign.state != CampaignState.ARCHIVED)
    campaigns = (await session.scalars(query)).all()
    rows = await session.execute(
        select(Contact.campaign_id, Contact.state, func.count()).group_by(Contact.campaign_id, Contact.state)
    )
    counts: dict[UUID, dict[str, int]] = {}
    for campaign_id, state, number in rows:
        counts.setdefault(campaign_id, {})[state.value] = number
    return [Line(campaign, counts.get(campaign.id, {})) for campaign in campaigns]


async def read(session: AsyncSession, campaign: Campaign, now: datetime) -> Status:
    """The status, from one transaction."""
    counts = await progress(session, campaign.id)
    in_flight = (
        await session.scalars(
            select(Call)
            .where(Call.campaign_id == str(campaign.id), Call.state != CallState.ENDED)
            .order_by(Call.created_at)
        )
    ).all()
    engines_alive = await engines.living(session)
    places = await presence.places(session)
    return Status(
        campaign=campaign,
        progress=counts,
        in_flight=in_flight,
        hold=await _hold(session, campaign, counts, len(in_flight), engines_alive, places.total, now),
        forecast=await _forecast(session, campaign, counts, places.total, now),
        agents=len(await presence.living(session)),
        engines=engines_alive,
    )


async def _hold(
    session: AsyncSession, campaign: Campaign, counts: Progress, in_flight: int, engines_alive: int, places: int,
    now: datetime,
) -> Hold | None:  # fmt: skip
    match campaign.state:
        case CampaignState.PAUSED:
            return Hold(campaign.pause_cause or "paused")
        case CampaignState.DRAFT:
            return Hold("the campaign was not started yet")
        case CampaignState.SCHEDULED:
            return Hold("the campaign has not started yet", campaign.starts_at)
        case CampaignState.RUNNING if counts.waiting:
            if not engines_alive:
                return Hold("no engine runs; start one: voiceagents engine")
            if not places:
                return Hold("no agent runs; start one: voiceagents agent")
            return None if in_flight else await _why_nobody(session, campaign, now)
        case _:
            return None


async def _why_nobody(session: AsyncSession, campaign: Campaign, now: datetime) -> Hold | None:
    """Why a running campaign with contacts waiting has no call at all: what stands before the contact that is next,
    or else what the engine last said of the campaign."""
    following = await session.scalar(
        select(Contact)
        .where(Contact.campaign_id == campaign.id, Contact.state == ContactState.WAITING)
        .order_by(Contact.next_at, Contact.position)
        .limit(1)
    )
    if following is None:
        return None
    decision = (await facts.read(session, campaign, [following], now)).decide(following)
    if decision.rule == contact_is_due.__name__:
        return Hold("nobody is due yet", decision.next_at)
    if decision.verdict is not Verdict.DIAL:
        return Hold(decision.words, decision.next_at)
    said = await last_hold(session, campaign)
    if said is None or (said.next_at is not None and said.next_at < now - _DUE_NOW):
        return None
    return Hold(said.words, said.next_at)


async def last_hold(session: AsyncSession, campaign: Campaign) -> DecisionRecord | None:
    """The last reason that the engine gave for dialling nobody."""
    return await session.scalar(
        select(DecisionRecord)
        .where(DecisionRecord.campaign_id == campaign.id, DecisionRecord.contact_id.is_(None))
        .order_by(DecisionRecord.id.desc())
        .limit(1)
    )


async def _forecast(
    session: AsyncSession, campaign: Campaign, counts: Progress, places: int, now: datetime
) -> Forecast | None:
    over = campaign.state in (CampaignState.COMPLETED, CampaignState.CANCELLED, CampaignState.ARCHIVED)
    if over or counts.waiting + counts.calling == 0:
        return None
    waiting, zone_keys = await _waiting(session, campaign)
    zones = [zone_named(name) for name in zone_keys.most_common(1)[0][0].split("|")] if zone_keys else []
    if not zones:
        try:
            zones = [zone_named(campaign.time_zone)]
        except UnknownZone as error:
            return Forecast(None, 0, 0, "the time zone", str(error))
    start = max(now, campaign.starts_at) if campaign.starts_at is not None else now
    return forecast(
        waiting,
        await _observed(session, campaign),
        await _limits(session, campaign, places),
        facts.window_of(campaign),
        zones,
        start,
        await _dialled_today(session, campaign, now),
    )


async def _waiting(session: AsyncSession, campaign: Campaign) -> tuple[Mapping[int, int], Counter[str]]:
    """Contacts still to call by the attempts they had, and by their zones."""
    rows = await session.execute(
        select(Contact.attempts, Contact.zones, func.count())
        .where(Contact.campaign_id == campaign.id, Contact.state.in_([ContactState.WAITING, ContactState.CALLING]))
        .group_by(Contact.attempts, Contact.zones)
    )
    by_attempts: Counter[int] = Counter()
    by_zones: Counter[str] = Counter()
    for attempts, zones, number in rows:
        by_attempts[attempts] += number
        if zones not in ("", "?"):
            by_zones[zones] += number
    return by_attempts, by_zones


async def _observed(session: AsyncSession, campaign: Campaign) -> Observed:
    answered = Call.answered_at.is_not(None)
    seconds = func.sum(func.extract("epoch", Call.ended_at - Call.dialing_at))
    rows = await session.execute(
        select(answered, func.count(), seconds)
        .where(Call.campaign_id == str(campaign.id), Call.ended_at.is_not(None), Call.dialing_at.is_not(None))
        .group_by(answered)
    )
    seen = {bool(was): (int(number), float(total or 0)) for was, number, total in rows}
    return Observed(*seen.get(True, (0, 0.0)), *seen.get(False, (0, 0.0)))


async def _limits(session: AsyncSession, campaign: Campaign, places: int) -> Limits:
    whole = await limits.installation(session)
    trunk = await session.get(TrunkLimits, campaign.trunk_id) if campaign.trunk_id is not None else None
    at_once = [campaign.max_concurrent, trunk.max_concurrent if trunk else None]
    at_once += [left - whole.kept_for_inbound for left in (whole.max_concurrent, places or None) if left is not None]
    rates = [rate for rate in (campaign.calls_per_second, trunk.calls_per_second if trunk else None) if rate]
    row = facts.policy_of(campaign).rows[Outcome.NO_ANSWER]
    attempts = min(filter(None, (row.attempts, campaign.attempts_per_number)))
    return Limits(
        concurrent=max(1, min((limit for limit in at_once if limit is not None), default=1)),
        calls_per_second=min(rates, default=None),
        daily_cap=campaign.daily_cap,
        attempts=attempts,
        retry_delay=max(row.delays[0], timedelta(seconds=campaign.minimum_gap_seconds))
        if attempts > 1
        else timedelta(),
    )


async def _dialled_today(session: AsyncSession, campaign: Campaign, now: datetime) -> int:
    if campaign.daily_cap is None:
        return 0
    return (await facts.read(session, campaign, [], now)).campaign.dialled_today
