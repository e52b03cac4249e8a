"""May this call be dialled, still, in this very moment? Asked inside the transaction that claims the dial.

Everything is read again: the campaign's state, the do-not-call lists, the window, the caps. What was true when the
contact was picked may not be true any more.
"""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.calls.history import Objection
from voiceagents.calls.models import Call
from voiceagents.campaigns import do_not_call, facts
from voiceagents.campaigns.models import Campaign, Contact, DoNotCall
from voiceagents.campaigns.settling import GATE
from voiceagents.campaigns.states import Verdict


async def may_dial(session: AsyncSession, call_id: UUID, number: str) -> Objection | None:
    """Why the call must not be dialled now; None to dial.

    For calls of no campaign only the do-not-call list speaks.
    """
    contact = await session.scalar(select(Contact).where(Contact.call_id == call_id))
    if contact is None:
        return await _listed(session, number)
    campaign = await session.get_one(Campaign, contact.campaign_id)
    ground = await facts.read(session, campaign, [contact], clock.now(), leaving_out=call_id)
    decision = ground.decide(contact)
    if decision.verdict is Verdict.DIAL:
        return None
    call = await session.get_one(Call, call_id)
    call.details = {
        **call.details,
        GATE: {
            "verdict": decision.verdict.value,
            "rule": decision.rule,
            "words": decision.words,
            "next_at": decision.next_at.isoformat() if decision.next_at else None,
        },
    }
    return Objection(decision.words)


async def _listed(session: AsyncSession, number: str) -> Objection | None:
    reason = await session.scalar(
        select(DoNotCall.reason).where(
            DoNotCall.phone == number, DoNotCall.campaign_id.is_(None), DoNotCall.removed_at.is_(None)
        )
    )
    if reason is None and number in await do_not_call.just_asked(session, [number]):
        reason = "asked in a call not to be called again"
    if reason is None:
        return None
    return Objection(f"the number is on the do-not-call list{f' ({reason})' if reason else ''}")
