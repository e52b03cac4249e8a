"""The list of campaigns, and what is done with a campaign as a whole."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.campaigns import lifecycle, search
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.states import CampaignState
from voiceagents.db import Database
from voiceagents.web import audit
from voiceagents.web.auth import Editor, Principal, Viewer
from voiceagents.web.pages import figures
from voiceagents.web.pages.rendering import page, query_of, then
from voiceagents.web.problems import not_found
from voiceagents.web.state import database_of, settings_of

router = APIRouter(prefix="/campaigns")


TABS = (
    ("live", "Overview", ""),
    ("script", "Script", "/script"),
    ("contacts", "Contacts", "/contacts"),
    ("hours", "Hours and limits", "/hours"),
)
STEPS = (
    ("script", "Script", "/script"),
    ("contacts", "Contacts", "/contacts"),
    ("hours", "Hours and limits", "/hours"),
    ("check", "Check and start", "/check"),
)


async def found(database: Database, campaign_id: UUID) -> Campaign:
    """The campaign.

    Raises:
        Problem: 404.
    """
    async with database.transaction() as session:
        campaign = await session.get(Campaign, campaign_id)
    if campaign is None:
        raise not_found("There is no such campaign; it may have been removed.")
    return campaign


@router.get("")
async def list_campaigns(request: Request, user: Viewer) -> Response:
    database = database_of(request)
    query = query_of(request)
    archived = query.get("show") == "archived"
    async with database.transaction() as session:
        shown = await search.campaigns(
            session, archived=archived, search=query.get("search", ""), after=query.get("after")
        )
    known = await asyncio.gather(*(figures.progress(database, campaign.id) for campaign in shown.rows))
    counts = {campaign.id: one for campaign, one in zip(shown.rows, known, strict=True)}
    return page(
        request, user, "campaigns/list", nav="Campaigns", campaigns=shown, counts=counts, archived=archived,
        search=query.get("search", ""),
    )  # fmt: skip


@router.post("/{campaign_id}/start")
async def start(request: Request, user: Editor, campaign_id: UUID) -> Response:
    database = database_of(request)
    try:
        async with database.transaction() as session:
            campaign = await lifecycle.start(
                session, campaign_id, clock.now(), default_trunk=settings_of(request).sip_trunk_id
            )
            await audit.record(session, request, user, "started", "campaign", campaign_id)
    except CampaignProblem as error:
        return then(request, f"/campaigns/{campaign_id}/check", str(error))
    figures.forget(campaign_id)
    scheduled = campaign.state is CampaignState.SCHEDULED
    return then(
        request, f"/campaigns/{campaign_id}", "The campaign is scheduled." if scheduled else "The campaign runs."
    )


@router.post("/{campaign_id}/pause")
async def pause(request: Request, user: Editor, campaign_id: UUID) -> Response:
    return await _changed(
        request, user, campaign_id, "paused",
        lambda session: lifecycle.pause(session, campaign_id, f"paused by {user.name or user.email}"),
        "Paused: nobody is dialled any more. Calls that are going on go on.",
    )  # fmt: skip


@router.post("/{campaign_id}/resume")
async def resume(request: Request, user: Editor, campaign_id: UUID) -> Response:
    return await _changed(
        request,
        user,
        campaign_id,
        "resumed",
        lambda session: lifecycle.resume(session, campaign_id, clock.now()),
        "The campaign goes on.",
    )


@router.post("/{campaign_id}/cancel")
async def cancel(request: Request, user: Editor, campaign_id: UUID, hang_up: Annotated[str, Form()] = "") -> Response:
    from voiceagents.web.pages import rooms

    database = database_of(request)
    try:
        async with database.transaction() as session:
            going_on = await lifecycle.cancel(session, campaign_id, clock.now(), hang_up=bool(hang_up))
            await audit.record(session, request, user, "cancelled", "campaign", campaign_id, hang_up=bool(hang_up))
    except CampaignProblem as error:
        return then(request, f"/campaigns/{campaign_id}", str(error))
    figures.forget(campaign_id)
    said = "The campaign is cancelled."
    if hang_up and going_on:
        stuck = await rooms.hang_up(settings_of(request), [call.room_name for call in going_on if call.room_name])
        said += f" {len(going_on) - len(stuck)} calls were hung up."
    elif going_on:
        said += f" {len(going_on)} calls go on until they end by themselves."
    return then(request, f"/campaigns/{campaign_id}", said)


@router.post("/{campaign_id}/archive")
async def archive(request: Request, user: Editor, campaign_id: UUID) -> Response:
    return await _changed(
        request, user, campaign_id, "archived", lambda session: lifecycle.archive(session, campaign_id),
        "Archived. Its history stays.", target="/campaigns",
    )  # fmt: skip


@router.post("/{campaign_id}/duplicate")
async def duplicate(
    request: Request,
    user: Editor,
    campaign_id: UUID,
    name: Annotated[str, Form()] = "",
    people: Annotated[str, Form()] = "none",
) -> Response:
    """`people`: "none", "all" but for those whom nobody may call again, or an outcome."""
    database = database_of(request)
    original = await found(database, campaign_id)
    try:
        async with database.transaction() as session:
            copy = await lifecycle.duplicate(
                session,
                campaign_id,
                name.strip() or f"{original.name} (copy)",
                contacts=people == "all",
                outcomes=() if people in ("none", "all") else (people,),
            )
            await audit.record(session, request, user, "created", "campaign", copy.id, copy_of=str(campaign_id))
    except CampaignProblem as error:
        return then(request, f"/campaigns/{campaign_id}", str(error))
    return then(request, f"/campaigns/{copy.id}/script", f'"{copy.name}" is a new draft.')


async def _changed(
    request: Request,
    user: Principal,
    campaign_id: UUID,
    action: str,
    change: Callable[[AsyncSession], Awaitable[Any]],
    said: str,
    *,
    target: str | None = None,
) -> Response:
    here = f"/campaigns/{campaign_id}"
    database = database_of(request)
    try:
        async with database.transaction() as session:
            await change(session)
            await audit.record(session, request, user, action, "campaign", campaign_id)
    except CampaignProblem as error:
        return then(request, here, str(error))
    figures.forget(campaign_id)
    return then(request, target or here, said)
