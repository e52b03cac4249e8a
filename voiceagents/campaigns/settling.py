"""A call of a campaign has ended: what follows for its contact?

Idempotent, whoever comes first and however often.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.history import CANCELLED_BY_USER
from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome
from voiceagents.campaigns import decisions, do_not_call, facts, pacing
from voiceagents.campaigns.breaker import RecentEnding, breaker
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
    contacts = await _contacts_of(session, ended)
    campaigns = {contact.campaign_id for contact in contacts.values()}
    await _lock(session, campaigns, {call.trunk_id for call in ended if call.trunk_id is not None})
    for call in ended:
        call.settled_at = now
        await _heed_opt_out(session, call)
        await _rest_if_congested(session, call, now)
        if (contact := contacts.get(call.id)) is not None:
            await session.refresh(contact, with_for_update=_SEEN)
            try:
                await _settle(session, call, contact, now, random)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                # One call that nobody understands must not hold up all that come after it.
                log.exception("CALL_NOT_SETTLED | call=%s", call.id)
                contact.state = ContactState.DONE
                words = f"what follows the call could not be worked out ({type(error).__name__}: {error})"
                decision = decisions.outcome_decision(words, "retry_policy", None)
                decisions.record(session, contact, decision, now, call_id=call.id)
    await session.flush()
    for campaign_id in sorted(campaigns):
        await _break_if_failing(session, campaign_id, now)
    return Settled(len(ended), campaigns)


async def unsettled(session: AsyncSession) -> bool:
    """Whether a call waits to be settled."""
    waiting = select(Call.id).where(Call.state == CallState.ENDED, Call.settled_at.is_(None)).limit(1)
    return await session.scalar(waiting) is not None


async def _contacts_of(session: AsyncSession, calls: Sequence[Call]) -> dict[UUID, Contact]:
    """For each call the contact whose latest call it is. A call of an external dispatcher, or an old one, has none."""
    ids = [call.id for call in calls if call.contact_id is not None]
    found = await session.scalars(select(Contact).where(Contact.call_id.in_(ids)))
    return {contact.call_id: contact for contact in found if contact.call_id is not None}


async def _lock(session: AsyncSession, campaigns: set[UUID], trunks: set[str]) -> None:
    """Takes the locks in the order that `feeding.feed` takes them, so that the two never wait for each other."""
    await session.execute(
        select(Campaign.id).where(Campaign.id.in_(campaigns)).order_by(Campaign.id).with_for_update(key_share=True)
    )
    await session.execute(
        select(TrunkLimits.trunk_id)
        .where(TrunkLimits.trunk_id.in_(trunks))
        .order_by(TrunkLimits.trunk_id)
        .with_for_update(key_share=True)
    )


async def _settle(session: AsyncSession, call: Call, contact: Contact, now: datetime, random: Random) -> None:
    campaign = await session.get_one(Campaign, contact.campaign_id)
    outcome = call.outcome or Outcome.FAILED
    if call.dialing_at is None and (objection := call.details.get(GATE)):
        await _put_back(session, contact, call, objection, now)
        return
    if counts(outcome, dialled=call.dialing_at is not None):
        contact.attempts += 1
    if outcome is Outcome.CALLBACK_REQUESTED:
        contact.callback_at = time_asked_for(call.evidence, call.ended_at or now, zones_of_key(contact.zones))
    contact.last_outcome = outcome.value
    ending = await _ended_call(session, call, contact, outcome)
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


async def _put_back(
    session: AsyncSession, contact: Contact, call: Call, objection: dict[str, str], now: datetime
) -> None:
    """The gate refused the dial in the last moment: the contact is as its objection says, and no attempt is used
    up."""
    verdict = Verdict(objection["verdict"])
    next_at = datetime.fromisoformat(objection["next_at"]) if objection.get("next_at") else None
    campaign = await session.get_one(Campaign, contact.campaign_id)
    over = campaign.state in _OVER
    if verdict is Verdict.SKIP and not (over and objection["rule"] == campaign_is_running.__name__):
        contact.state = ContactState.SKIPPED
    else:
        contact.state = ContactState.CANCELLED if over else ContactState.WAITING
    if next_at is not None and contact.state is ContactState.WAITING:
        contact.next_at = next_at
    decision = Decision(verdict, objection["rule"], f"in the moment before the dial: {objection['words']}", {}, next_at)
    decisions.record(session, contact, decision, now, call_id=call.id)


async def _ended_call(session: AsyncSession, call: Call, contact: Contact, outcome: Outcome) -> EndedCall:
    history = (
        await session.execute(
            select(Call.outcome, Call.dialing_at, Call.id)
            .where(Call.campaign_id == str(contact.campaign_id), Call.contact_id == str(contact.id))
            .order_by(Call.created_at.desc())
            .limit(100)
        )
    ).all()
    in_a_row = 0
    for past, _, id_ in history:
        if id_ != call.id and past is not outcome:
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
        tried_at=[at for _, at, _id in history if at is not None],
    )


async def _rest_if_congested(session: AsyncSession, call: Call, now: datetime) -> None:
    """A refusal for lack of lines lets the trunk (or, where it is ours, the installation) rest; a call that got
    through ends the rest."""
    if call.dialing_at is None and call.outcome is not Outcome.NO_CAPACITY:
        return
    if call.outcome is Outcome.NO_CAPACITY:
        await _rest(await session.get(Installation, 1, with_for_update=_SEEN), call, now)
    elif call.trunk_id is not None:
        trunk = await session.get(TrunkLimits, call.trunk_id, with_for_update=_SEEN)
        if call.outcome is Outcome.CONGESTION:
            await _rest(trunk, call, now)
        elif trunk is not None and trunk.hold_seconds and call.ringing_at is not None:
            trunk.hold_seconds, trunk.hold_until, trunk.hold_cause = 0, None, None
    if call.ringing_at is not None:
        await session.execute(
            update(Installation)
            .where(Installation.hold_seconds > 0)
            .values(hold_seconds=0, hold_until=None, hold_cause=None)
        )


async def _rest(place: TrunkLimits | Installation | None, call: Call, now: datetime) -> None:
    if place is None or (place.hold_until is not None and place.hold_until > now):
        # Calls that were on their way when the rest began are refused too, and say nothing new.
        return
    place.hold_seconds = pacing.next_hold(place.hold_seconds)
    place.hold_until = now + timedelta(seconds=place.hold_seconds)
    place.hold_cause = call.cause


async def _break_if_failing(session: AsyncSession, campaign_id: UUID, now: datetime) -> None:
    """Pauses a running campaign whose calls fail for one cause again and again."""
    campaign = await session.get_one(Campaign, campaign_id, with_for_update=_SEEN)
    if campaign.state is not CampaignState.RUNNING:
        return
    since = max(filter(None, (campaign.started_at, now - _LOOK_BACK)))
    recent = await _recent(session, campaign_id, since)
    cause = breaker(recent, now)
    if cause is None:
        return
    campaign.state, campaign.pause_cause = CampaignState.PAUSED, cause
    await decisions.record_hold(session, campaign_id, Decision(Verdict.HOLD, "circuit_breaker", cause), now)


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


def _cause(outcome: Outcome, ended_by: EndedBy | None, answered_at: datetime | None) -> Cause:
    by = ended_by or EndedBy.SYSTEM
    return EndedCall(outcome, by, dialled=True, answered=answered_at is not None, attempts=1).cause
