"""A call of a campaign has ended: what follows for its contact?

Idempotent, whoever comes first and however often.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.history import CANCELLED_BY_USER
from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome
from voiceagents.campaigns import decisions, do_not_call, facts, pacing
from voiceagents.campaigns.breaker import THRESHOLDS, RecentEnding, breaker
from voiceagents.campaigns.callbacks import time_asked_for
from voiceagents.campaigns.due import zones_of_key
from voiceagents.campaigns.models import Campaign, Contact, Installation, TrunkLimits
from voiceagents.campaigns.retry import Cause, EndedCall, RetryDecision, after, counts
from voiceagents.campaigns.rules import Decision, campaign_is_running
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict

log = logging.getLogger("voiceagents.engine")

_BATCH = 50
_LOOK_BACK = timedelta(hours=1)
_SEEN = {"key_share": True}
_OVER = (CampaignState.CANCELLED, CampaignState.ARCHIVED)

GATE = "gate"
"""Key in a call's details under which the gate keeps its objection, when it refused the dial."""


@dataclass(frozen=True)
class Settled:
    """How many calls were settled, and the campaigns that may dial again."""

    calls: int
    campaigns: set[UUID]


class _PastCall(NamedTuple):
    id: UUID
    outcome: Outcome | None
    dialing_at: datetime | None


async def settle(session: AsyncSession, now: datetime, random: Random) -> Settled:
    """Settles ended calls that are not settled, some at a time.

    Several engines may do so at once: each takes calls that no other holds.
    """
    ended = (
        await session.scalars(
            select(Call)
            .where(Call.state == CallState.ENDED, Call.settled_at.is_(None))
            .order_by(Call.ended_at)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)
        )
    ).all()
    ground = await _lock(session, ended)
    contacts = await _contacts_of(session, ended)
    past = await _past_calls(session, contacts.values())
    for call in ended:
        call.settled_at = now
        await _heed_opt_out(session, call)
        await _rest_if_congested(session, ground, call, now)
        if (contact := contacts.get(call.id)) is not None:
            campaign = ground.campaigns[contact.campaign_id]
            try:
                _settle(session, call, contact, campaign, past[contact.id], now, random)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                # One call that nobody understands must not hold up all that come after it.
                log.exception("CALL_NOT_SETTLED | call=%s", call.id)
                contact.state = ContactState.DONE
                words = f"what follows the call could not be worked out ({type(error).__name__}: {error})"
                decision = decisions.outcome_decision(words, "retry_policy", None)
                decisions.record(session, contact, decision, now, call_id=call.id)
    await session.flush()
    causes = {(contacts[call.id].campaign_id, _cause_of(call)) for call in ended if call.id in contacts}
    for campaign_id in sorted({campaign_id for campaign_id, cause in causes if cause in THRESHOLDS}):
        await _break_if_failing(session, ground.campaigns[campaign_id], now)
    return Settled(len(ended), set(ground.campaigns))


async def unsettled(session: AsyncSession) -> bool:
    """Whether a call waits to be settled."""
    waiting = select(Call.id).where(Call.state == CallState.ENDED, Call.settled_at.is_(None)).limit(1)
    return await session.scalar(waiting) is not None


@dataclass(frozen=True)
class _Ground:
    """What is shared by the calls that are settled together, campaigns and trunks locked."""

    campaigns: dict[UUID, Campaign]
    trunks: dict[str, TrunkLimits]
    installation: Installation | None
    """Locked only where it changes: everything that dials waits for that lock."""


async def _lock(session: AsyncSession, calls: Sequence[Call]) -> _Ground:
    """Takes the locks in the order that `feeding.feed` takes them, so that the two never wait for each other."""
    campaign_ids = select(Contact.campaign_id).where(Contact.call_id.in_([call.id for call in calls]))
    campaigns = select(Campaign).where(Campaign.id.in_(campaign_ids)).order_by(Campaign.id)
    trunk_ids = {call.trunk_id for call in calls if call.trunk_id is not None}
    trunks = select(TrunkLimits).where(TrunkLimits.trunk_id.in_(trunk_ids)).order_by(TrunkLimits.trunk_id)
    return _Ground(
        {row.id: row for row in await session.scalars(campaigns.with_for_update(key_share=True))},
        {row.trunk_id: row for row in await session.scalars(trunks.with_for_update(key_share=True))},
        await session.get(Installation, 1),
    )


async def _contacts_of(session: AsyncSession, calls: Sequence[Call]) -> dict[UUID, Contact]:
    """For each call the contact whose latest call it is, locked.

    A call of an external dispatcher, or an old one, has none.
    """
    latest = select(Contact).where(Contact.call_id.in_([call.id for call in calls])).order_by(Contact.id)
    found = await session.scalars(latest.with_for_update(key_share=True))
    return {contact.call_id: contact for contact in found if contact.call_id is not None}


async def _past_calls(session: AsyncSession, contacts: Iterable[Contact]) -> dict[UUID, list[_PastCall]]:
    """All calls of each contact, the newest first."""
    past: dict[UUID, list[_PastCall]] = {contact.id: [] for contact in contacts}
    rows = await session.execute(
        select(Call.contact_id, Call.id, Call.outcome, Call.dialing_at)
        .where(Call.contact_id.in_([str(id_) for id_ in past]))
        .order_by(Call.created_at.desc())
    )
    for contact_id, id_, outcome, dialing_at in rows:
        past[UUID(contact_id)].append(_PastCall(id_, outcome, dialing_at))
    return past


def _settle(
    session: AsyncSession,
    call: Call,
    contact: Contact,
    campaign: Campaign,
    past: Sequence[_PastCall],
    now: datetime,
    random: Random,
) -> None:
    outcome = call.outcome or Outcome.FAILED
    if call.dialing_at is None and (objection := call.details.get(GATE)):
        _put_back(session, contact, campaign, call, objection, now)
        return
    if counts(outcome, dialled=call.dialing_at is not None):
        contact.attempts += 1
    if outcome is Outcome.CALLBACK_REQUESTED:
        contact.callback_at = time_asked_for(call.evidence, call.ended_at or now, zones_of_key(contact.zones))
    contact.last_outcome = outcome.value
    ending = _ended_call(call, contact, past, outcome)
    if call.details.get(CANCELLED_BY_USER):
        followed = RetryDecision(None, f"{outcome.value}: hung up, cancelled by a person")
    else:
        followed = after(
            ending,
            facts.policy_of(campaign),
            call.ended_at or now,
            random,
            window=facts.window_of(campaign),
            zones=zones_of_key(contact.zones),
        )
    over = campaign.state in _OVER
    if over and (call.dialing_at is None or not followed.final):
        contact.state = ContactState.CANCELLED
    else:
        contact.state = ContactState.DONE if followed.final else ContactState.WAITING
    if followed.at is not None:
        contact.next_at = followed.at
    decision = decisions.outcome_decision(
        followed.words,
        "retry_policy",
        followed.at,
        {
            "outcome": outcome.value,
            "sip_status": call.sip_status,
            "cause": call.cause,
            "attempts": contact.attempts,
            "attempt_used": counts(outcome, dialled=call.dialing_at is not None),
        },
    )
    decisions.record(session, contact, decision, now, call_id=call.id)


async def _heed_opt_out(session: AsyncSession, call: Call) -> None:
    """Whoever asked not to be called again is on everybody's list, whether a campaign called them or not."""
    number = call.from_number if call.direction is Direction.INBOUND else call.to_number
    if call.outcome is Outcome.OPTED_OUT and number is not None:
        await do_not_call.add(session, number, None, f"asked in call {str(call.id)[:8]} not to be called again")


def _put_back(
    session: AsyncSession, contact: Contact, campaign: Campaign, call: Call, objection: dict[str, str], now: datetime
) -> None:
    """The gate refused the dial in the last moment: the contact is as its objection says, and no attempt is used
    up."""
    verdict = Verdict(objection["verdict"])
    next_at = datetime.fromisoformat(objection["next_at"]) if objection.get("next_at") else None
    over = campaign.state in _OVER
    if verdict is Verdict.SKIP and not (over and objection["rule"] == campaign_is_running.__name__):
        contact.state = ContactState.SKIPPED
    else:
        contact.state = ContactState.CANCELLED if over else ContactState.WAITING
    if next_at is not None and contact.state is ContactState.WAITING:
        contact.next_at = next_at
    decision = Decision(verdict, objection["rule"], f"in the moment before the dial: {objection['words']}", {}, next_at)
    decisions.record(session, contact, decision, now, call_id=call.id)


def _ended_call(call: Call, contact: Contact, past: Sequence[_PastCall], outcome: Outcome) -> EndedCall:
    in_a_row = 0
    for one in past:
        if one.id != call.id and one.outcome is not outcome:
            break
        in_a_row += 1
    return EndedCall(
        outcome=outcome,
        ended_by=call.ended_by or EndedBy.SYSTEM,
        dialled=call.dialing_at is not None,
        answered=call.answered_at is not None,
        attempts=contact.attempts,
        in_a_row=max(1, in_a_row),
        callback_at=contact.callback_at,
        tried_at=[one.dialing_at for one in past if one.dialing_at is not None],
    )


async def _rest_if_congested(session: AsyncSession, ground: _Ground, call: Call, now: datetime) -> None:
    """A refusal for lack of lines lets the trunk (or, where it is ours, the installation) rest; a call that got
    through ends the rest."""
    trunk, installation = ground.trunks.get(call.trunk_id or ""), ground.installation
    if call.outcome is Outcome.NO_CAPACITY:
        _rest(await _locked(session, installation), call, now)
    elif call.dialing_at is not None and call.outcome is Outcome.CONGESTION:
        _rest(trunk, call, now)
    elif call.ringing_at is not None:
        _end_rest(trunk)
    if call.ringing_at is not None and installation is not None and installation.hold_seconds:
        _end_rest(await _locked(session, installation))


async def _locked(session: AsyncSession, installation: Installation | None) -> Installation | None:
    if installation is not None:
        await session.refresh(installation, with_for_update=_SEEN)
    return installation


def _rest(place: TrunkLimits | Installation | None, call: Call, now: datetime) -> None:
    if place is None or (place.hold_until is not None and place.hold_until > now):
        # Calls that were on their way when the rest began are refused too, and say nothing new.
        return
    place.hold_seconds = pacing.next_hold(place.hold_seconds)
    place.hold_until = now + timedelta(seconds=place.hold_seconds)
    place.hold_cause = call.cause


def _end_rest(place: TrunkLimits | Installation | None) -> None:
    if place is not None and place.hold_seconds:
        place.hold_seconds, place.hold_until, place.hold_cause = 0, None, None


async def _break_if_failing(session: AsyncSession, campaign: Campaign, now: datetime) -> None:
    """Pauses a running campaign whose calls fail for one cause again and again."""
    if campaign.state is not CampaignState.RUNNING:
        return
    since = max(filter(None, (campaign.started_at, now - _LOOK_BACK)))
    recent = await _recent(session, campaign.id, since)
    cause = breaker(recent, now)
    if cause is None:
        return
    campaign.state, campaign.pause_cause = CampaignState.PAUSED, cause
    await decisions.record_hold(session, campaign.id, Decision(Verdict.HOLD, "circuit_breaker", cause), now)


async def _recent(session: AsyncSession, campaign_id: UUID, since: datetime) -> Sequence[RecentEnding]:
    rows = await session.execute(
        select(Call.outcome, Call.ended_by, Call.answered_at, Call.ended_at, Call.cause)
        .where(Call.campaign_id == str(campaign_id), Call.ended_at >= since, Call.outcome.is_not(None))
        .order_by(Call.ended_at.desc())
        .limit(500)
    )
    return [
        RecentEnding(_cause(outcome, ended_by, answered), at, words or outcome.value)
        for outcome, ended_by, answered, at, words in rows
        if outcome is not None and at is not None
    ]


def _cause_of(call: Call) -> Cause:
    return _cause(call.outcome or Outcome.FAILED, call.ended_by, call.answered_at)


def _cause(outcome: Outcome, ended_by: EndedBy | None, answered_at: datetime | None) -> Cause:
    by = ended_by or EndedBy.SYSTEM
    return EndedCall(outcome, by, dialled=True, answered=answered_at is not None, attempts=1).cause
