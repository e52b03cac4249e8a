"""What can be done with a campaign as a whole? draft → scheduled → running ⇄ paused → completed or cancelled, and
archive.

Every change is one conditional step on the locked row, so that a double click or two people at once do it once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState
from voiceagents.campaigns import facts
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.states import CampaignState, ContactState

WAKE_CHANNEL = "voiceagents_feed"
"""PostgreSQL notifies on this channel when a campaign may have something to dial (payload: its id)."""


class CampaignProblem(Exception):
    """What was asked cannot be done with this campaign.

    The message says why and what can be done.
    """


_MAY: dict[str, tuple[CampaignState, ...]] = {
    "start": (CampaignState.DRAFT, CampaignState.SCHEDULED),
    "pause": (CampaignState.RUNNING, CampaignState.SCHEDULED),
    "resume": (CampaignState.PAUSED,),
    "cancel": (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED),
    "archive": (CampaignState.DRAFT, CampaignState.COMPLETED, CampaignState.CANCELLED),
}


@dataclass(frozen=True)
class Progress:
    """Where a campaign's contacts stand.

    The states add up to `contacts`.
    """

    contacts: int
    waiting: int
    calling: int
    done: int
    skipped: int
    cancelled: int
    outcomes: dict[str, int]


async def find(session: AsyncSession, reference: str) -> Campaign:
    """The campaign with this id, beginning of an id, or name.

    Raises:
        CampaignProblem: none, or several.
    """
    query = select(Campaign).where(
        or_(Campaign.name == reference, func.text(Campaign.id).startswith(reference.lower(), autoescape=True))
    )
    found = (await session.scalars(query.limit(3))).all()
    exact = [campaign for campaign in found if reference in (campaign.name, str(campaign.id))]
    if len(exact) == 1 or len(found) == 1:
        return (exact or list(found))[0]
    if not found:
        raise CampaignProblem(f'There is no campaign "{reference}"; `voiceagents campaign list` shows them.')
    raise CampaignProblem(f'"{reference}" fits several campaigns; use more of the id.')


async def locked(session: AsyncSession, campaign_id: UUID, what: str) -> Campaign:
    """The campaign, locked, if `what` may be done with it now.

    Raises:
        CampaignProblem: not in its present state.
    """
    campaign = await session.get(Campaign, campaign_id, with_for_update=True)
    if campaign is None:
        raise CampaignProblem("There is no such campaign.")
    if campaign.state not in _MAY[what]:
        allowed = " or ".join(state.value for state in _MAY[what])
        raise CampaignProblem(
            f"The campaign is {campaign.state.value}; only one that is {allowed} can be told to {what}."
        )
    return campaign


async def check(session: AsyncSession, campaign: Campaign) -> list[str]:
    """What stands in the way of starting, each with its mend."""
    problems: list[str] = []
    window = facts.window_of(campaign)
    if window.problem is not None:
        problems.append(f"the calling window cannot be understood: {window.problem}")
    elif not any(window.week):
        problems.append('no calling window is set; give one, such as --window "mon-fri 09:00-17:00"')
    if not campaign.prompt.strip():
        problems.append("the script is empty; give one with --prompt or --prompt-file")
    first = await session.scalar(select(Contact.id).where(Contact.campaign_id == campaign.id).limit(1))
    if first is None:
        problems.append("there are no contacts; import some with `voiceagents campaign import`")
    return problems


async def start(
    session: AsyncSession, campaign_id: UUID, now: datetime, *, default_trunk: str | None = None
) -> Campaign:
    """Starts a campaign, or schedules it when its start lies ahead.

    Starting one that runs changes nothing.
        Raises:
            CampaignProblem: not in this state, or something is missing.
    """
    campaign = await session.get(Campaign, campaign_id, with_for_update=True)
    if campaign is not None and campaign.state is CampaignState.RUNNING:
        return campaign  # the second click of a double click
    campaign = await locked(session, campaign_id, "start")
    campaign.trunk_id = campaign.trunk_id or default_trunk
    problems = await check(session, campaign)
    if campaign.trunk_id is None:
        problems.append("no trunk is set; give one with --trunk or SIP_TRUNK_ID")
    if problems:
        raise CampaignProblem("The campaign cannot start:\n  " + "\n  ".join(problems))
    if campaign.starts_at is not None and campaign.starts_at > now:
        campaign.state = CampaignState.SCHEDULED
    else:
        campaign.state, campaign.started_at = CampaignState.RUNNING, now
    await wake(session, campaign.id)
    return campaign


async def pause(session: AsyncSession, campaign_id: UUID, cause: str = "paused by a person") -> Campaign:
    """No new dials from now on; calls that are going on go on."""
    campaign = await locked(session, campaign_id, "pause")
    campaign.state, campaign.pause_cause = CampaignState.PAUSED, cause
    return campaign


async def resume(session: AsyncSession, campaign_id: UUID, now: datetime) -> Campaign:
    """Goes on; the circuit breaker counts from now."""
    campaign = await locked(session, campaign_id, "resume")
    campaign.state, campaign.pause_cause, campaign.started_at = CampaignState.RUNNING, None, now
    await wake(session, campaign.id)
    return campaign


async def cancel(session: AsyncSession, campaign_id: UUID, now: datetime, *, hang_up: bool = False) -> Sequence[Call]:
    """Dials nobody any more.

    Returns the calls that go on; with `hang_up` whoever called must end them (their rooms).
    """
    campaign = await locked(session, campaign_id, "cancel")
    campaign.state, campaign.finished_at = CampaignState.CANCELLED, now
    await session.execute(
        update(Contact)
        .where(Contact.campaign_id == campaign.id, Contact.state == ContactState.WAITING)
        .values(state=ContactState.CANCELLED)
    )
    calls = (
        await session.scalars(
            select(Call).where(Call.campaign_id == str(campaign.id), Call.state != CallState.ENDED).with_for_update()
        )
    ).all()
    if hang_up:
        for call in calls:
            call.details = {**call.details, "cancelled_by_user": True}
    return calls


async def archive(session: AsyncSession, campaign_id: UUID) -> Campaign:
    """Out of sight; the history stays."""
    campaign = await locked(session, campaign_id, "archive")
    campaign.state = CampaignState.ARCHIVED
    return campaign


_COPIED = (
    "prompt", "assistant_id", "trunk_id", "default_region", "time_zone", "window", "holidays_of", "blackout",
    "max_concurrent", "calls_per_second", "priority", "daily_cap", "attempts_per_day", "attempts_per_number",
    "minimum_gap_seconds", "retry",
)  # fmt: skip


async def duplicate(
    session: AsyncSession, campaign_id: UUID, name: str, *, contacts: bool = False, outcomes: Sequence[str] = ()
) -> Campaign:
    """A new draft with the same settings.

    Args:
        contacts: with the same people.
        outcomes: with those people only whose last call ended so; for redialling.
    """
    original = await session.get_one(Campaign, campaign_id)
    copy = Campaign(name=name, **{field: getattr(original, field) for field in _COPIED})
    session.add(copy)
    await session.flush()
    if contacts or outcomes:
        people = select(
            literal(copy.id), Contact.phone, Contact.name, Contact.email, Contact.time_zone, Contact.variables
        ).where(Contact.campaign_id == original.id)
        if outcomes:
            people = people.where(Contact.last_outcome.in_(outcomes))
        columns = ["campaign_id", "phone", "name", "email", "time_zone", "variables"]
        await session.execute(insert(Contact).from_select(columns, people))
    return copy


async def progress(session: AsyncSession, campaign_id: UUID) -> Progress:
    """Counts of contacts by state and by last outcome, from one snapshot."""
    rows = await session.execute(
        select(Contact.state, Contact.last_outcome, func.count())
        .where(Contact.campaign_id == campaign_id)
        .group_by(Contact.state, Contact.last_outcome)
    )
    states: Counter[ContactState] = Counter()
    outcomes: Counter[str] = Counter()
    for state, outcome, number in rows:
        states[state] += number
        if outcome is not None:
            outcomes[outcome] += number
    return Progress(
        contacts=states.total(),
        waiting=states[ContactState.WAITING],
        calling=states[ContactState.CALLING],
        done=states[ContactState.DONE],
        skipped=states[ContactState.SKIPPED],
        cancelled=states[ContactState.CANCELLED],
        outcomes=dict(outcomes.most_common()),
    )


async def wake(session: AsyncSession, campaign_id: UUID) -> None:
    """Tells the engines, when this transaction commits, that the campaign may have something to dial."""
    await session.execute(select(func.pg_notify(WAKE_CHANNEL, str(campaign_id))))
