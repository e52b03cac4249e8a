"""What can be done with a campaign as a whole? draft → scheduled → running ⇄ paused → completed or cancelled, and
archive.

Every change is one conditional step on the locked row, so that a double click or two people at once do it once.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls import history
from voiceagents.calls.models import Call
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import CallEnded
from voiceagents.calls.states import CallState, EndedBy, Outcome
from voiceagents.campaigns import decisions, facts
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.rules import NEVER_DIAL, Decision
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict

WAKE_CHANNEL = "voiceagents_feed"
"""PostgreSQL notifies on this channel when a campaign may have something to dial (payload: its id)."""


class CampaignProblem(Exception):
    """What was asked cannot be done with this campaign.

    The message says why and what can be done.
    """


_MAY: dict[str, tuple[CampaignState, ...]] = {
    "started": (CampaignState.DRAFT, CampaignState.SCHEDULED),
    "edited": (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED),
    "paused": (CampaignState.RUNNING, CampaignState.SCHEDULED),
    "resumed": (CampaignState.PAUSED,),
    "cancelled": (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED),
    "archived": (CampaignState.DRAFT, CampaignState.COMPLETED, CampaignState.CANCELLED),
}

_SHORTEST_ID = 4
"""Characters of an id that a person must give: fewer would take a slip of the finger for a campaign."""


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
    """The campaign with this name (one that is not archived comes first), this id, or an id that begins so.

    Raises:
        CampaignProblem: none, or several.
    """
    asked = reference.strip().lower()
    named = (await session.scalars(select(Campaign).where(func.lower(Campaign.name) == asked))).all()
    found = [campaign for campaign in named if campaign.state is not CampaignState.ARCHIVED] or list(named)
    if not found and len(asked) >= _SHORTEST_ID:
        begins = func.text(Campaign.id).startswith(asked, autoescape=True)
        found = list((await session.scalars(select(Campaign).where(begins).limit(2))).all())
    if not found:
        raise CampaignProblem(f'There is no campaign "{reference}"; `voiceagents campaign list` shows them.')
    if len(found) > 1:
        ids = ", ".join(str(campaign.id)[:8] for campaign in found)
        raise CampaignProblem(f'"{reference}" fits several campaigns ({ids}, …): give the id, or more of it.')
    return found[0]


async def add(session: AsyncSession, columns: Mapping[str, Any]) -> Campaign:
    """A new draft with these columns, read back with what the database added."""
    campaign = Campaign(**columns)
    session.add(campaign)
    await session.flush()
    await session.refresh(campaign)
    return campaign


async def require_free_name(session: AsyncSession, name: str, *, but: UUID | None = None) -> None:
    """Nothing, when no other campaign that is not archived has this name.

    Raises:
        CampaignProblem: the name is taken.
    """
    taken = select(Campaign.id).where(
        func.lower(Campaign.name) == name.strip().lower(), Campaign.state != CampaignState.ARCHIVED
    )
    for other in await session.scalars(taken):
        if other != but:
            raise CampaignProblem(f'There is a campaign "{name}" already ({str(other)[:8]}); take another name.')


async def locked(session: AsyncSession, campaign_id: UUID, what: str) -> Campaign:
    """The campaign, locked, if it may be `what` ("started", "paused", …) now.

    Raises:
        CampaignProblem: not in its present state.
    """
    campaign = await session.get(Campaign, campaign_id, with_for_update={"key_share": True})
    if campaign is None:
        raise CampaignProblem("There is no such campaign.")
    if campaign.state not in _MAY[what]:
        allowed = " or ".join(state.value for state in _MAY[what])
        raise CampaignProblem(
            f'"{campaign.name}" is {campaign.state.value}; only a campaign that is {allowed} can be {what}.'
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
    """Starts a campaign, or schedules it when its start lies ahead. Starting one that runs changes nothing.

    Raises:
        CampaignProblem: not in this state, or something is missing.
    """
    campaign = await session.get(Campaign, campaign_id, with_for_update={"key_share": True})
    if campaign is not None and campaign.state is CampaignState.RUNNING:
        return campaign  # the second click of a double click
    campaign = await locked(session, campaign_id, "started")
    campaign.trunk_id = campaign.trunk_id or default_trunk
    problems = await check(session, campaign)
    if campaign.expires_at is not None and campaign.expires_at <= now:
        problems.append(f"it expired at {campaign.expires_at:%Y-%m-%d %H:%M %Z}; give a later day with --expires")
    if campaign.trunk_id is None:
        problems.append("no trunk is set; give one with --trunk or SIP_TRUNK_ID")
    if problems:
        raise CampaignProblem(f'"{campaign.name}" cannot start:\n  ' + "\n  ".join(problems))
    if campaign.starts_at is not None and campaign.starts_at > now:
        campaign.state = CampaignState.SCHEDULED
    else:
        campaign.state, campaign.started_at = CampaignState.RUNNING, now
    campaign.wake_at = None
    await wake(session, campaign.id)
    return campaign


async def pause(session: AsyncSession, campaign_id: UUID, cause: str = "paused by a person") -> Campaign:
    """No new dials from now on; calls that are going on go on."""
    campaign = await locked(session, campaign_id, "paused")
    campaign.state, campaign.pause_cause = CampaignState.PAUSED, cause
    return campaign


async def resume(session: AsyncSession, campaign_id: UUID, now: datetime) -> Campaign:
    """Goes on; the circuit breaker counts from now. One that was paused before its start is scheduled again."""
    campaign = await locked(session, campaign_id, "resumed")
    campaign.pause_cause = None
    if campaign.starts_at is not None and campaign.starts_at > now:
        campaign.state = CampaignState.SCHEDULED
    else:
        campaign.state, campaign.started_at = CampaignState.RUNNING, now
    campaign.wake_at = None
    await wake(session, campaign.id)
    return campaign


async def cancel(session: AsyncSession, campaign_id: UUID, now: datetime, *, hang_up: bool = False) -> Sequence[Call]:
    """Dials nobody any more. A call that was made and not dialled yet ends here.

    Returns the calls that go on; with `hang_up` whoever called must end them (their rooms).
    """
    campaign = await locked(session, campaign_id, "cancelled")
    campaign.state, campaign.finished_at, campaign.reopening = CampaignState.CANCELLED, now, None
    await session.execute(
        update(Contact)
        .where(Contact.campaign_id == campaign.id, Contact.state == ContactState.WAITING)
        .values(state=ContactState.CANCELLED)
    )
    calls = (
        await session.scalars(
            select(Call)
            .where(Call.campaign_id == str(campaign.id), Call.state != CallState.ENDED)
            .order_by(Call.id)
            .with_for_update()
        )
    ).all()
    going_on = [call for call in calls if call.dialing_at is not None]
    await _withdraw(session, [call for call in calls if call.dialing_at is None], now)
    if hang_up:
        for call in going_on:
            call.details = {**call.details, history.CANCELLED_BY_USER: True}
    return going_on


async def _withdraw(session: AsyncSession, calls: Sequence[Call], now: datetime) -> None:
    """Ends calls that were never dialled, and settles them: their contacts are as cancelled as those that waited."""
    for call in calls:
        ending = Ending(Outcome.CANCELLED, "not dialled: the campaign was cancelled", EndedBy.SYSTEM)
        await history.end(session, CallEnded.of(call.id, ending, now))
    ids = [call.id for call in calls]
    await session.execute(update(Call).where(Call.id.in_(ids)).values(settled_at=now))
    for contact in await session.scalars(select(Contact).where(Contact.call_id.in_(ids)).with_for_update()):
        contact.state = ContactState.CANCELLED
        decision = Decision(Verdict.SKIP, "campaign_is_running", "the campaign was cancelled before the dial")
        decisions.record(session, contact, decision, now, call_id=contact.call_id)


async def archive(session: AsyncSession, campaign_id: UUID) -> Campaign:
    """Out of sight; the history stays."""
    campaign = await locked(session, campaign_id, "archived")
    campaign.state, campaign.reopening = CampaignState.ARCHIVED, None
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
        session: of the transaction.
        campaign_id: the original.
        name: of the copy.
        contacts: with the same people, but for those whom nobody may call again.
        outcomes: with those people only whose last call ended so; for redialling.

    Raises:
        CampaignProblem: the name is taken, or there is no such outcome.
    """
    known = [outcome.value for outcome in Outcome]
    if unknown := [outcome for outcome in outcomes if outcome not in known]:
        raise CampaignProblem(f"There is no outcome {', '.join(unknown)}; the outcomes are {', '.join(known)}.")
    await require_free_name(session, name)
    original = await session.get_one(Campaign, campaign_id)
    copy = await add(session, {"name": name, **{field: getattr(original, field) for field in _COPIED}})
    if contacts or outcomes:
        people = select(
            literal(copy.id), Contact.phone, Contact.name, Contact.email, Contact.time_zone, Contact.variables
        ).where(Contact.campaign_id == original.id)
        if outcomes:
            people = people.where(Contact.last_outcome.in_(outcomes))
        else:
            never = [outcome.value for outcome in NEVER_DIAL]
            people = people.where(Contact.last_outcome.is_(None) | Contact.last_outcome.not_in(never))
        columns = ["campaign_id", "phone", "name", "email", "time_zone", "variables"]
        # Defaults are left to the database: one made here would be the same for every row.
        await session.execute(
            insert(Contact).from_select(columns, people.order_by(Contact.position), include_defaults=False)
        )
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
