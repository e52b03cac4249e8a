"""How is a campaign written down and changed? Script, hours and limits, and the check list before the start."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import ValidationError
from sqlalchemy import select

from voiceagents import clock
from voiceagents.assistants import prompts, store
from voiceagents.assistants.store import AssistantProblem
from voiceagents.campaigns import editing, facts, search
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.states import CampaignState
from voiceagents.campaigns.terms import Terms
from voiceagents.web import audit
from voiceagents.web.auth import Editor, Principal
from voiceagents.web.pages import figures, preflight, retry_form, rooms, week
from voiceagents.web.pages.campaigns import STEPS, TABS, found
from voiceagents.web.pages.rendering import fragment, marked, page, then
from voiceagents.web.state import database_of, settings_of

router = APIRouter(prefix="/campaigns")

_SCRIPT = ("name", "assistant_id", "trunk_id", "prompt")
_HOURS = (
    "time_zone", "window", "holidays_of", "blackout", "starts_at", "expires_at", "max_concurrent", "calls_per_second",
    "priority", "daily_cap", "attempts_per_day", "attempts_per_number", "minimum_gap",
)  # fmt: skip
_NAME = "Ana Alvarez"
_FIELD_OF = {"CampaignProblem": "name", "AssistantProblem": "assistant_id"}


def tabs_of(campaign: Campaign | None) -> dict[str, Any]:
    """Steps while it is a draft, tabs afterwards."""
    draft = campaign is None or campaign.state is CampaignState.DRAFT
    return {"steps": STEPS if draft else TABS, "draft": draft, "campaign": campaign}


@router.get("/new")
async def new(request: Request, user: Editor) -> Response:
    return await _script_page(request, user, None, {"name": "", "prompt": "", "assistant_id": "", "trunk_id": ""}, {})


@router.post("")
async def create(request: Request, user: Editor) -> Response:
    given = await _given(request)
    terms, errors = _terms(given, _SCRIPT)
    if terms is not None:
        try:
            async with database_of(request).transaction() as session:
                campaign = await editing.create(session, terms)
                await audit.record(session, request, user, "created", "campaign", campaign.id)
            return then(
                request, f"/campaigns/{campaign.id}/contacts", f'"{campaign.name}" is a draft. Now add contacts.'
            )
        except (CampaignProblem, AssistantProblem) as error:
            errors = {_FIELD_OF[type(error).__name__]: str(error)}
    return await _script_page(request, user, None, given, errors)


@router.get("/{campaign_id}/script")
async def script(request: Request, user: Editor, campaign_id: UUID) -> Response:
    campaign = await found(database_of(request), campaign_id)
    given = {name: str(getattr(campaign, name) or "") for name in _SCRIPT}
    return await _script_page(request, user, campaign, given, {})


@router.post("/{campaign_id}/script")
async def save_script(request: Request, user: Editor, campaign_id: UUID) -> Response:
    given = await _given(request)
    errors = await _saved(request, user, campaign_id, given, _SCRIPT)
    campaign = await found(database_of(request), campaign_id)
    if errors:
        return await _script_page(request, user, campaign, given, errors)
    return _onward(request, campaign, "contacts", "script")


async def _script_page(
    request: Request, user: Principal, campaign: Campaign | None, given: Mapping[str, str], errors: dict[str, str]
) -> Response:
    settings = settings_of(request)
    given = {**dict.fromkeys(_SCRIPT, ""), **given}
    async with database_of(request).transaction() as session:
        assistants = [(one.id, one.name) for one in await store.assistants(session)]
        people = (await search.contacts(session, campaign.id, limit=8)).rows if campaign else ()
    trunks = await rooms.trunks(settings)
    known = {trunk.id: f"{trunk.name or trunk.id} ({trunk.id})" for trunk in trunks.outbound}
    for trunk in filter(None, (settings.sip_trunk_id, given.get("trunk_id"))):
        known.setdefault(trunk, trunk)
    return page(
        request, user, "campaigns/script", nav="Campaigns", status=422 if errors else 200, here="script",
        given=given, errors=errors, assistants=assistants, trunks=list(known.items()), trunk_problem=trunks.problem,
        default_trunk=settings.sip_trunk_id, people=people, **tabs_of(campaign),
        **_preview(given.get("prompt", ""), people[0] if people else None),
    )  # fmt: skip


@router.post("/preview")
async def preview(request: Request, user: Editor) -> Response:
    """The script as one contact hears of it."""
    given = await _given(request)
    contact: Contact | None = None
    with suppress(ValueError):
        contact_id = UUID(given.get("contact", ""))
        async with database_of(request).transaction() as session:
            contact = await session.get(Contact, contact_id)
    return fragment(request, user, "campaigns/_preview", **_preview(given.get("prompt", ""), contact))


def _preview(prompt: str, contact: Contact | None) -> dict[str, Any]:
    if contact is None:
        values = prompts.contact_values(name=_NAME, email="ana@example.com", phone="+12025550143")
    else:
        values = prompts.contact_values(
            name=contact.name, email=contact.email, phone=contact.phone, variables=contact.variables
        )
    text, spans = "", list[tuple[int, int, str]]()
    for piece, kind in prompts.pieces(prompt, values):
        if kind is not prompts.Piece.PLAIN:
            spans.append((len(text), len(text) + len(piece), "" if kind is prompts.Piece.FILLED else "bad"))
        text += piece
    return {
        "filled": marked(text, spans),
        "unknown": prompts.unknown_placeholders(prompt, set(values)),
        "greeting": prompts.outbound_greeting(contact.name if contact else _NAME),
        "somebody": contact is None,
    }


@router.get("/{campaign_id}/hours")
async def hours(request: Request, user: Editor, campaign_id: UUID) -> Response:
    campaign = await found(database_of(request), campaign_id)
    return _hours_page(request, user, campaign, _shown_terms(campaign), retry_form.shown(facts.policy_of(campaign)), {})


@router.post("/{campaign_id}/hours")
async def save_hours(request: Request, user: Editor, campaign_id: UUID) -> Response:
    given = await _given(request)
    retry, errors = retry_form.read(given)
    if not errors:
        dates = [line.strip() for line in given.get("blackout", "").replace(",", "\n").splitlines() if line.strip()]
        more: dict[str, Any] = {"blackout": dates, **({"retry": retry} if retry is not None else {})}
        errors = await _saved(request, user, campaign_id, {**given, **more}, (*_HOURS, *more))
    campaign = await found(database_of(request), campaign_id)
    if errors:
        return _hours_page(request, user, campaign, given, retry_form.given(given), errors)
    return _onward(request, campaign, "check", "hours")


@router.get("/week")
async def preview_week(request: Request, user: Editor, window: str = "", time_zone: str = "UTC") -> Response:
    """What a calling window means."""
    return fragment(request, user, "campaigns/_week", week=week.of(window, time_zone, clock.now()))


def _hours_page(
    request: Request, user: Principal, campaign: Campaign, given: Mapping[str, Any], retry: Any, errors: dict[str, str]
) -> Response:
    given = {**dict.fromkeys(_HOURS, ""), **given}
    return page(
        request, user, "campaigns/hours", nav="Campaigns", status=422 if errors else 200, here="hours", given=given,
        errors=errors, retry=retry, week=week.of(given["window"], given["time_zone"], clock.now()), **tabs_of(campaign),
    )  # fmt: skip


def _shown_terms(campaign: Campaign) -> dict[str, str]:
    zone = week.zone_or_utc(campaign.time_zone)
    gap = campaign.minimum_gap_seconds

    def moment(name: str) -> str:
        at = getattr(campaign, name)
        return f"{at.astimezone(zone):%Y-%m-%dT%H:%M}" if at else ""

    return {
        **{name: "" if (value := getattr(campaign, name, None)) is None else str(value) for name in _HOURS},
        "window": str(facts.window_of(campaign)),
        "blackout": "\n".join(campaign.blackout),
        "minimum_gap": f"{gap // 60}m" if gap % 60 == 0 else f"{gap}s",
        "starts_at": moment("starts_at"),
        "expires_at": moment("expires_at"),
    }


@router.get("/{campaign_id}/check")
async def check(request: Request, user: Editor, campaign_id: UUID) -> Response:
    database = database_of(request)
    campaign = await found(database, campaign_id)
    known = await figures.status_of(database, campaign)
    async with database.transaction() as session:
        sample = await session.scalar(select(Contact).where(Contact.campaign_id == campaign_id).limit(1))
        items = await preflight.checks(session, campaign, sample, settings_of(request), clock.now())
    return page(
        request, user, "campaigns/check", nav="Campaigns", here="check", items=items, status=200,
        known=known.value, can_start=all(item.good is not False for item in items), **tabs_of(campaign),
    )  # fmt: skip


async def _given(request: Request) -> dict[str, str]:
    return {key: value for key, value in (await request.form()).items() if isinstance(value, str)}


def _terms(given: Mapping[str, Any], names: tuple[str, ...]) -> tuple[Terms | None, dict[str, str]]:
    """The terms that a form holds, or what is wrong with which field."""
    values = {name: given[name] for name in names if name in given}
    try:
        return Terms.model_validate(values), {}
    except ValidationError as error:
        return None, {
            str(one["loc"][0]): one["msg"].removeprefix("Value error, ")
            for one in error.errors(include_input=False, include_url=False)
        }


async def _saved(
    request: Request, user: Principal, campaign_id: UUID, given: Mapping[str, Any], names: tuple[str, ...]
) -> dict[str, str]:
    """Saves, or answers what is wrong with which field ("" for the whole)."""
    terms, errors = _terms(given, names)
    if terms is None:
        return errors
    try:
        async with database_of(request).transaction() as session:
            edited = await editing.edit(session, campaign_id, terms, clock.now())
            await audit.record(session, request, user, "changed", "campaign", campaign_id, fields=edited.changed)
    except AssistantProblem as error:
        return {"assistant_id": str(error)}
    except CampaignProblem as error:
        return {"": str(error)}
    figures.forget(campaign_id)
    return {}


def _onward(request: Request, campaign: Campaign, following: str, here: str) -> Response:
    """A draft goes on to the next step, anything else stays."""
    if campaign.state is CampaignState.DRAFT:
        return then(request, f"/campaigns/{campaign.id}/{following}")
    return then(request, f"/campaigns/{campaign.id}/{here}", "Saved. It counts from the next decision on.")
