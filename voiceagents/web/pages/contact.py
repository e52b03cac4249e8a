"""Why was this person called or not? One contact: the attempts, every decision as a timeline, and what comes next."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlalchemy import select

from voiceagents import clock, phone
from voiceagents.calls.models import Call
from voiceagents.campaigns import do_not_call, why
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.models import DecisionRecord
from voiceagents.campaigns.why import Story
from voiceagents.web import audit
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.pages.campaign_editing import tabs_of
from voiceagents.web.pages.campaigns import found
from voiceagents.web.pages.rendering import page, then
from voiceagents.web.problems import not_found
from voiceagents.web.state import database_of

router = APIRouter(prefix="/campaigns/{campaign_id}/contacts/{contact_id}")

_MOST_CALLS = 200


@dataclass(frozen=True)
class Entry:
    """A point of the timeline: a decision or a call."""

    at: datetime
    decision: DecisionRecord | None = None
    call: Call | None = None


@router.get("")
async def story(request: Request, user: Viewer, campaign_id: UUID, contact_id: UUID) -> Response:
    database = database_of(request)
    campaign = await found(database, campaign_id)
    async with database.transaction() as session:
        try:
            told = (await why.stories(session, str(contact_id), campaign, clock.now()))[0]
        except CampaignProblem as error:
            raise not_found(str(error)) from None
        calls = (
            await session.scalars(
                select(Call)
                .where(Call.campaign_id == str(campaign_id), Call.contact_id == str(contact_id))
                .order_by(Call.created_at)
                .limit(_MOST_CALLS)
            )
        ).all()
        listed = await do_not_call.check(session, told.contact.phone)
    zone = told.zones.zones[0].key if told.zones.zones else None
    return page(
        request, user, "contact", nav="Campaigns", here="contacts", story=told, calls=calls,
        entries=_entries(told, calls), zone=zone, listed=listed, **tabs_of(campaign),
    )  # fmt: skip


@router.post("/do-not-call")
async def block(request: Request, user: Editor, campaign_id: UUID, contact_id: UUID) -> Response:
    """Puts the person's number on everybody's do-not-call list."""
    database = database_of(request)
    campaign = await found(database, campaign_id)
    async with database.transaction() as session:
        told = (await why.stories(session, str(contact_id), campaign, clock.now()))[0]
        await do_not_call.add(session, told.contact.phone, None, f"by {user.name or user.email}")
        await audit.record(session, request, user, "added", "do_not_call", phone.mask(told.contact.phone))
    return then(request, f"/campaigns/{campaign_id}/contacts/{contact_id}", "The number is on the do-not-call list.")


def _entries(told: Story, calls: Sequence[Call]) -> list[Entry]:
    entries = [Entry(record.at, decision=record) for record in told.records]
    entries += [Entry(call.dialing_at or call.created_at, call=call) for call in calls]
    return sorted(entries, key=lambda entry: entry.at)
