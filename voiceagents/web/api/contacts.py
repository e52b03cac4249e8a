"""Contacts of a campaign: its list, its imports with progress, and why each was called or not."""

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from voiceagents import clock, phone
from voiceagents.calls.states import Outcome
from voiceagents.campaigns import contacts, lists, results, search, why
from voiceagents.campaigns.models import Contact
from voiceagents.campaigns.states import ContactState, Verdict
from voiceagents.web import audit, paging
from voiceagents.web.api import dependencies as shared
from voiceagents.web.api.campaigns import CampaignView, find
from voiceagents.web.api.dependencies import Data, Tx, View
from voiceagents.web.api.downloads import csv_response
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.idempotency import Documented, IdempotentRoute
from voiceagents.web.paging import Cursor, Limit, Page, page_of
from voiceagents.web.problems import conflict, invalid, not_found
from voiceagents.zones import UnknownZone, zone_named

router = APIRouter(tags=["contacts"], route_class=IdempotentRoute)


class ContactView(View):
    """One person in one campaign."""

    id: UUID
    campaign_id: UUID
    position: int
    phone: str
    name: str
    email: str
    time_zone: str | None
    variables: dict[str, Any]
    state: ContactState
    attempts: int
    last_outcome: str | None
    next_at: datetime
    callback_at: datetime | None
    call_id: UUID | None
    created_at: datetime


class NewContact(shared.Body):
    """One person."""

    phone: str
    """In any form; without a country code it is read as one of the campaign's default region."""

    name: str = ""
    email: str = ""
    time_zone: str | None = None
    variables: dict[str, str] = Field(default_factory=dict[str, str])


class DecisionView(View):
    """Why a contact was dialled, put off, skipped or finished: the rule, what it looked at, and when next."""

    id: int
    at: datetime
    campaign_id: UUID
    contact_id: UUID | None
    call_id: UUID | None
    verdict: Verdict
    rule: str
    words: str
    inputs: dict[str, Any]
    next_at: datetime | None


class DecisionNow(View):
    """What would be decided now."""

    verdict: Verdict
    rule: str
    words: str
    next_at: datetime | None


class WhyView(View):
    """Why a contact was called or not, and what comes next."""

    campaign: CampaignView
    contact: ContactView
    records: list[DecisionView]
    now: DecisionNow | None
    held: DecisionView | None


@router.get("/campaigns/{campaign_id}/contacts")
async def list_contacts(
    _by: Viewer,
    session: Tx,
    campaign_id: UUID,
    state: ContactState | None = None,
    outcome: Annotated[Outcome | None, Query(description="Of the last call.")] = None,
    q: Annotated[
        str | None, Query(max_length=200, description="A number or how it begins, or how the name begins.")
    ] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ContactView]:
    """Contacts of a campaign in the order of its list; those that are found by number in the order of numbers."""
    campaign = await find(session, campaign_id)
    found = await search.contacts(
        session,
        campaign_id,
        state=state,
        outcome=outcome,
        search=q or "",
        after=paging.word(cursor),
        limit=limit,
        region=campaign.default_region,
    )
    following = paging.encode([found.next]) if found.next is not None else None
    return Page(items=[ContactView.model_validate(row) for row in found.rows], next=following)


@router.post("/campaigns/{campaign_id}/contacts", status_code=201)
async def add_contact(
    request: Request,
    response: Response,
    by: Editor,
    session: Tx,
    campaign_id: UUID,
    person: NewContact,
    _key: Documented = None,
) -> ContactView:
    """Adds one person; while the campaign runs they are called when their turn comes."""
    campaign = await find(session, campaign_id)
    number = phone.normalize(person.phone, campaign.default_region)
    added = await lists.add_contact(
        session,
        campaign_id,
        phone=number,
        name=" ".join(person.name.split())[:200],
        email=person.email.strip()[:254],
        time_zone=_zone(person.time_zone),
        variables=person.variables,
    )
    if added is None:
        raise conflict("This number stands in the campaign already; a number stands there once.")
    await audit.record(session, request, by, "added", "contact", added.id, campaign=str(campaign_id))
    response.headers["Location"] = f"/api/v1/contacts/{added.id}"
    return ContactView.model_validate(added)


@router.get("/contacts/{contact_id}")
async def get_contact(_by: Viewer, session: Tx, contact_id: UUID) -> ContactView:
    """One contact."""
    return ContactView.model_validate(await _find(session, contact_id))


@router.get("/contacts/{contact_id}/why")
async def get_why(_by: Viewer, session: Tx, contact_id: UUID) -> WhyView:
    """Everything decided about a contact, in order, and what would be decided now."""
    await _find(session, contact_id)
    (story,) = await why.stories(session, str(contact_id), None, clock.now())
    return WhyView.model_validate(story)


@router.get("/campaigns/{campaign_id}/decisions", tags=["decisions"])
async def list_decisions(
    _by: Viewer,
    session: Tx,
    campaign_id: UUID,
    contact_id: UUID | None = None,
    verdict: Verdict | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[DecisionView]:
    """Decisions of a campaign, the newest first; those without a contact are about the whole of it."""
    await find(session, campaign_id)
    rows = await lists.decisions(
        session,
        campaign_id,
        contact_id=contact_id,
        verdict=verdict,
        after=paging.number(cursor),
        limit=limit + 1,
    )
    return page_of(rows, limit, DecisionView.model_validate, lambda row: [row.id])


@router.get("/campaigns/{campaign_id}/contacts.csv", response_class=StreamingResponse)
async def export_contacts(_by: Viewer, data: Data, campaign_id: UUID) -> StreamingResponse:
    """The list as it may be imported again. No cell runs as a formula in a spreadsheet."""
    async with data.transaction() as session:
        await find(session, campaign_id)
    return csv_response(contacts.export_contacts(data, campaign_id), "contacts")


@router.get("/campaigns/{campaign_id}/results.csv", response_class=StreamingResponse)
async def export_results(_by: Viewer, data: Data, campaign_id: UUID) -> StreamingResponse:
    """What came of every contact: its state, its last call, the last decision about it."""
    async with data.transaction() as session:
        await find(session, campaign_id)

    async def pieces() -> AsyncGenerator[str]:
        async with data.transaction() as session:
            async for piece in results.as_csv(session, campaign_id):
                yield piece

    return csv_response(pieces(), "results")


async def _find(session: Tx, contact_id: UUID) -> Contact:
    found = await session.get(Contact, contact_id)
    if found is None:
        raise not_found("There is no contact with this id; GET /campaigns/…/contacts lists them.")
    return found


def _zone(name: str | None) -> str | None:
    if not name:
        return None
    try:
        return zone_named(name).key
    except UnknownZone as error:
        raise invalid("time_zone", str(error)) from None
