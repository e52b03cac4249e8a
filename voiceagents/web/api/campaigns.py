"""Campaigns: what may be set on one, its life, and how it is doing."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Request, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.assistants.models import Assistant
from voiceagents.calls.states import Outcome
from voiceagents.calls.views import CallView
from voiceagents.campaigns import editing, lifecycle, lists, status
from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.states import CampaignState
from voiceagents.campaigns.terms import Terms
from voiceagents.web import audit, paging
from voiceagents.web.api import dependencies as shared
from voiceagents.web.api.dependencies import Env, Tx, View
from voiceagents.web.api.livekit import hang_up
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.etags import IfMatch, require_match, tag
from voiceagents.web.idempotency import Documented, IdempotentRoute
from voiceagents.web.paging import Cursor, Limit, Page, page_of
from voiceagents.web.problems import invalid, not_found

router = APIRouter(prefix="/campaigns", tags=["campaigns"], route_class=IdempotentRoute)


class CampaignView(View):
    """A campaign. A limit that is null does not apply."""

    id: UUID
    name: str
    state: CampaignState
    pause_cause: str | None
    prompt: str
    assistant_id: str | None
    trunk_id: str | None
    default_region: str | None
    time_zone: str
    window: dict[str, Any]
    holidays_of: str | None
    blackout: list[str]
    starts_at: datetime | None
    expires_at: datetime | None
    max_concurrent: int | None
    calls_per_second: float | None
    priority: int
    daily_cap: int | None
    attempts_per_day: int | None
    attempts_per_number: int | None
    minimum_gap_seconds: int
    retry: dict[str, Any]
    voicemail_message: str | None
    menu_path: str | None
    extraction: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class Counts(View):
    """Where the contacts stand; the states add up to `contacts`."""

    contacts: int
    waiting: int
    calling: int
    done: int
    skipped: int
    cancelled: int
    outcomes: dict[str, int]


class HoldView(View):
    """What keeps the campaign from dialling."""

    words: str
    until: datetime | None


class ForecastView(View):
    """When it will be finished; `finish` is null when that is not within a year."""

    finish: datetime | None
    dials: int
    per_hour: int
    limited_by: str
    words: str


class StatusView(View):
    """A campaign at one moment."""

    campaign: CampaignView
    progress: Counts
    in_flight: list[CallView]
    hold: HoldView | None
    forecast: ForecastView | None
    agents: int
    engines: int


class Edit(View):
    """A campaign after a change."""

    campaign: CampaignView
    changed: list[str]
    reopened: int
    """Contacts that are looked at again although a rule had put them off or skipped them."""


class Cancel(shared.Body):
    """How to end a campaign."""

    hang_up: bool = False
    """End the calls that are going on, too."""


class Cancelled(View):
    """What became of the calls that were going on."""

    campaign: CampaignView
    going_on: int
    hung_up: int


class Duplicate(shared.Body):
    """A copy: with the same people, or with those whose last call ended in one of these ways."""

    name: str
    contacts: bool = False
    outcomes: list[Outcome] = Field(default_factory=list[Outcome])


_Terms = Annotated[
    Terms,
    Body(
        description='What is left out stays, or has its default. Windows as people write them: "mon-fri 09:00-17:30; '
        'sat 10:00-14:00", times between attempts, too: "1h"; "unlimited" takes a limit away.',
        examples=[{"name": "Spring sale", "prompt": "Say hello to {name}.", "window": "mon-fri 09:00-17:30"}],
    ),
]


@router.get("")
async def list_campaigns(
    _by: Viewer, session: Tx, state: CampaignState | None = None, cursor: Cursor = None, limit: Limit = 50
) -> Page[CampaignView]:
    """Campaigns, the newest first; without a state all that are not archived."""
    rows = await lists.campaigns(session, state=state, after=paging.moment(cursor), limit=limit + 1)
    return page_of(rows, limit, CampaignView.model_validate, lambda row: [row.created_at, row.id])


@router.post("", status_code=201)
async def create_campaign(
    request: Request, response: Response, by: Editor, session: Tx, given: _Terms, _key: Documented = None
) -> CampaignView:
    """Makes a draft, which dials nobody yet. Without a script it takes its assistant's."""
    await _require_assistant(session, given)
    if not given.name:
        raise invalid("name", "A campaign needs a name.")
    campaign = await editing.create(session, given)
    await audit.record(session, request, by, "created", "campaign", campaign.id, name=campaign.name)
    response.headers["Location"] = f"{request.url.path}/{campaign.id}"
    return _tagged(response, campaign)


@router.get("/{campaign_id}")
async def get_campaign(_by: Viewer, response: Response, session: Tx, campaign_id: UUID) -> CampaignView:
    """One campaign."""
    return _tagged(response, await find(session, campaign_id))


@router.patch("/{campaign_id}")
async def change_campaign(
    request: Request,
    response: Response,
    by: Editor,
    session: Tx,
    campaign_id: UUID,
    given: _Terms,
    if_match: IfMatch = None,
) -> Edit:
    """Changes what is given, also while it runs: felt from the next decision."""
    campaign = await find(session, campaign_id, lock=True)
    require_match(if_match, _tagged_view(campaign))
    await _require_assistant(session, given)
    edited = await editing.edit(session, campaign_id, given, clock.now())
    await session.refresh(edited.campaign)
    if edited.changed:
        await audit.record(session, request, by, "changed", "campaign", campaign_id, fields=edited.changed)
    return Edit(campaign=_tagged(response, edited.campaign), changed=edited.changed, reopened=edited.reopened)


@router.get("/{campaign_id}/status")
async def get_status(_by: Viewer, session: Tx, campaign_id: UUID) -> StatusView:
    """Counts, calls in flight, what holds it, and when it will be finished."""
    return StatusView.model_validate(await status.read(session, await find(session, campaign_id), clock.now()))


@router.get("/{campaign_id}/problems")
async def get_problems(_by: Viewer, session: Tx, campaign_id: UUID) -> list[str]:
    """What stands in the way of starting, each with its mend; empty when nothing does."""
    return await lifecycle.check(session, await find(session, campaign_id))


@router.post("/{campaign_id}/start")
async def start_campaign(
    request: Request, response: Response, by: Editor, session: Tx, env: Env, campaign_id: UUID, _key: Documented = None
) -> CampaignView:
    """Starts it, or schedules it when its start lies ahead. Starting one that runs changes nothing."""
    return await _step(
        request, response, by, session, campaign_id, "started",
        lambda: lifecycle.start(session, campaign_id, clock.now(), default_trunk=env.sip_trunk_id),
    )  # fmt: skip


@router.post("/{campaign_id}/pause")
async def pause_campaign(
    request: Request, response: Response, by: Editor, session: Tx, campaign_id: UUID, _key: Documented = None
) -> CampaignView:
    """No new dials from now on; calls that are going on go on."""
    return await _step(
        request, response, by, session, campaign_id, "paused",
        lambda: lifecycle.pause(session, campaign_id, f"paused by {by.name or by.label}"),
    )  # fmt: skip


@router.post("/{campaign_id}/resume")
async def resume_campaign(
    request: Request, response: Response, by: Editor, session: Tx, campaign_id: UUID, _key: Documented = None
) -> CampaignView:
    """Goes on."""
    return await _step(
        request, response, by, session, campaign_id, "resumed",
        lambda: lifecycle.resume(session, campaign_id, clock.now()),
    )  # fmt: skip


@router.post("/{campaign_id}/archive")
async def archive_campaign(
    request: Request, response: Response, by: Editor, session: Tx, campaign_id: UUID, _key: Documented = None
) -> CampaignView:
    """Out of sight; the history stays."""
    return await _step(
        request, response, by, session, campaign_id, "archived", lambda: lifecycle.archive(session, campaign_id)
    )


@router.post("/{campaign_id}/cancel")
async def cancel_campaign(
    request: Request, by: Editor, data: shared.Data, env: Env, campaign_id: UUID, how: Cancel | None = None,
    _key: Documented = None,
) -> Cancelled:  # fmt: skip
    """Ends it for good. Calls that are going on go on, unless told otherwise."""
    wanted = how is not None and how.hang_up
    if wanted:
        _ = env.livekit  # complete, or an error before anything is done
    async with data.transaction() as session:
        await find(session, campaign_id)
        calls = await lifecycle.cancel(session, campaign_id, clock.now(), hang_up=wanted)
        await audit.record(session, request, by, "cancelled", "campaign", campaign_id, hang_up=wanted)
    gone = await hang_up(env, [call.room_name for call in calls if call.room_name]) if wanted and calls else 0
    async with data.transaction() as session:
        view = CampaignView.model_validate(await find(session, campaign_id))
    return Cancelled(campaign=view, going_on=len(calls) - gone, hung_up=gone)


@router.post("/{campaign_id}/duplicate", status_code=201)
async def duplicate_campaign(
    request: Request,
    response: Response,
    by: Editor,
    session: Tx,
    campaign_id: UUID,
    copy: Duplicate,
    _key: Documented = None,
) -> CampaignView:
    """Makes a new draft with the same settings, with or without its contacts."""
    await find(session, campaign_id)
    name = copy.name.strip()
    if not 1 <= len(name) <= 200:
        raise invalid("name", "A campaign needs a name of 200 characters at most.")
    made = await lifecycle.duplicate(
        session, campaign_id, name, contacts=copy.contacts, outcomes=[outcome.value for outcome in copy.outcomes]
    )
    await audit.record(session, request, by, "created", "campaign", made.id, name=made.name, copy_of=str(campaign_id))
    response.headers["Location"] = f"{request.url.path.rsplit('/', 2)[0]}/{made.id}"
    return _tagged(response, made)


async def find(session: AsyncSession, campaign_id: UUID, *, lock: bool = False) -> Campaign:
    """The campaign.

    Raises:
        Problem: 404.
    """
    found = await session.get(Campaign, campaign_id, with_for_update={"key_share": True} if lock else None)
    if found is None:
        raise not_found("There is no campaign with this id; GET /campaigns lists them.")
    return found


async def _require_assistant(session: AsyncSession, terms: Terms) -> None:
    if terms.assistant_id is not None and await session.get(Assistant, terms.assistant_id) is None:
        raise invalid("assistant_id", f"There is no assistant {terms.assistant_id!r}; GET /assistants lists them.")


async def _step(
    request: Request,
    response: Response,
    by: Editor,
    session: AsyncSession,
    campaign_id: UUID,
    action: str,
    work: Callable[[], Awaitable[Campaign]],
) -> CampaignView:
    before = (await find(session, campaign_id, lock=True)).state
    campaign = await work()
    await session.flush()
    await session.refresh(campaign)
    if campaign.state is not before:
        await audit.record(session, request, by, action, "campaign", campaign_id)
    return _tagged(response, campaign)


def _tagged_view(campaign: Campaign) -> CampaignView:
    return CampaignView.model_validate(campaign)


def _tagged(response: Response, campaign: Campaign) -> CampaignView:
    view = _tagged_view(campaign)
    tag(response, view)
    return view
