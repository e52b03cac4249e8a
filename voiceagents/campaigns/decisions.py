"""How does a decision get on record? And what does the record of one contact say?"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.campaigns.models import Contact, DecisionRecord
from voiceagents.campaigns.rules import Decision
from voiceagents.campaigns.states import Verdict


def record(
    session: AsyncSession,
    contact: Contact,
    decision: Decision,
    at: datetime,
    *,
    call_id: UUID | None = None,
) -> None:
    """Puts a decision about a contact on record."""
    session.add(
        DecisionRecord(
            campaign_id=contact.campaign_id,
            contact_id=contact.id,
            call_id=call_id,
            at=at,
            verdict=decision.verdict,
            rule=decision.rule,
            words=decision.words,
            inputs=decision.inputs,
            next_at=decision.next_at,
        )
    )


async def record_hold(session: AsyncSession, campaign_id: UUID, decision: Decision, at: datetime) -> None:
    """Puts on record why a campaign dials nobody now; the same reason again is not written twice."""
    last = await session.scalar(
        select(DecisionRecord)
        .where(DecisionRecord.campaign_id == campaign_id, DecisionRecord.contact_id.is_(None))
        .order_by(DecisionRecord.id.desc())
        .limit(1)
    )
    if last is not None and (last.rule, last.words) == (decision.rule, decision.words):
        return
    session.add(
        DecisionRecord(
            campaign_id=campaign_id,
            at=at,
            verdict=decision.verdict,
            rule=decision.rule,
            words=decision.words,
            inputs=decision.inputs,
            next_at=decision.next_at,
        )
    )


def outcome_decision(words: str, rule: str, next_at: datetime | None, inputs: dict[str, Any] | None = None) -> Decision:
    """What follows a call: another attempt at a time, or the end for this contact."""
    verdict = Verdict.FINISH if next_at is None else Verdict.RETRY
    return Decision(verdict, rule, words, inputs or {}, next_at)


async def of_contact(session: AsyncSession, contact_id: UUID) -> Sequence[DecisionRecord]:
    """Everything decided about a contact, in order."""
    return (
        await session.scalars(
            select(DecisionRecord).where(DecisionRecord.contact_id == contact_id).order_by(DecisionRecord.id)
        )
    ).all()
