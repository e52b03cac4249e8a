"""Contacts of a campaign: its list, its imports with progress, and why each was called or not."""

import asyncio
import json
import shutil
from collections.abc import AsyncGenerator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from fastapi.responses import FileResponse, StreamingResponse
from pydantic import Field

from voiceagents import clock, phone
from voiceagents.campaigns import contacts, imports, lifecycle, lists, results, why
from voiceagents.campaigns.models import Contact, ContactImport
from voiceagents.campaigns.numbers import region_code
from voiceagents.campaigns.states import ContactState, ImportState, Verdict
from voiceagents.campaigns.tabular import Pasted, Reading, Source
from voiceagents.settings import Settings
from voiceagents.web import audit, paging
from voiceagents.web.api import dependencies as shared
from voiceagents.web.api.campaigns import CampaignView, find
from voiceagents.web.api.dependencies import Data, Editor, Env, Tx, View, Viewer
from voiceagents.web.api.downloads import csv_response
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


class ImportView(View):
    """A file on its way into a campaign. `report.share_read` is how far it is, from 0 to 1."""

    id: UUID
    campaign_id: UUID
    file_name: str
    state: ImportState
    report: dict[str, Any]
    problem: str | None
    created_at: datetime
    finished_at: datetime | None
    cut_off: bool
    """Its program went away: start it again, nobody is added twice."""


class PreviewRow(View):
    """A row as the contact it would become."""

    line: int
    phone: str
    name: str
    email: str
    time_zone: str | None
    variables: dict[str, Any]


class RefusedRow(View):
    """A row that names nobody who can be called."""

    line: int
    value: str
    reason: str


class PreviewView(View):
    """What an import would make of the first rows."""

    headers: list[str]
    roles: list[tuple[str, str]]
    """Header and role of each column: `phone`, `name`, `email`, `time_zone`, `{variable}` or `ignore`."""

    contacts: list[PreviewRow]
    refused: list[RefusedRow]
    notes: list[str]


_Upload = Annotated[UploadFile | None, File(description="CSV or .xlsx, of any size.")]
_Text = Annotated[str | None, Form(description="The same as pasted text.")]
_Roles = Annotated[
    str | None, Form(description='What columns are where the guess is wrong, as JSON: {"Mobile": "phone"}.')
]
_Region = Annotated[str | None, Form(max_length=10, description="Country of numbers without a country code.")]
_Header = Annotated[bool | None, Form(description="Whether the first row is a header; left out: found out.")]
_Encoding = Annotated[str | None, Form(max_length=50)]
_Delimiter = Annotated[str | None, Form(max_length=5)]


@router.get("/campaigns/{campaign_id}/contacts")
async def list_contacts(
    _by: Viewer,
    session: Tx,
    campaign_id: UUID,
    state: ContactState | None = None,
    number: str | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ContactView]:
    """Contacts of a campaign in the order of its list. `number` finds one in any form."""
    campaign = await find(session, campaign_id)
    asked = None if number is None else phone.normalize(number, campaign.default_region)
    rows = await lists.contacts(
        session, campaign_id, state=state, phone=asked, after=paging.number(cursor), limit=limit + 1
    )
    return page_of(rows, limit, ContactView.model_validate, lambda row: [row.position])


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


@router.get("/campaigns/{campaign_id}/imports", tags=["imports"])
async def list_imports(_by: Viewer, session: Tx, campaign_id: UUID) -> list[ImportView]:
    """The latest imports into a campaign."""
    await find(session, campaign_id)
    return [_import_view(row) for row in await lists.imports(session, campaign_id)]


@router.post("/campaigns/{campaign_id}/imports/preview", tags=["imports"])
async def preview_import(
    _by: Editor, session: Tx, campaign_id: UUID, file: _Upload = None, text: _Text = None, roles: _Roles = None,
    region: _Region = None, header: _Header = None, encoding: _Encoding = None, delimiter: _Delimiter = None,
) -> PreviewView:  # fmt: skip
    """What an import would make of the first rows; nothing is imported."""
    campaign = await find(session, campaign_id)
    source, _name = _source(file, text)
    country = region_code(region) if region else campaign.default_region
    reading = Reading(header, encoding or None, delimiter or None)
    changes = _roles(roles)
    seen = await asyncio.to_thread(contacts.preview, source, default_region=country, reading=reading)
    if changes:
        mapping = seen.mapping.edited(changes)
        seen = await asyncio.to_thread(contacts.preview, source, 10, mapping, default_region=country, reading=reading)
    return PreviewView(
        headers=seen.headers,
        roles=seen.mapping.roles(),
        contacts=[
            PreviewRow(
                line=line,
                phone=one.phone,
                name=one.name,
                email=one.email,
                time_zone=one.time_zone,
                variables=dict(one.variables),
            )
            for line, one in seen.contacts
        ],
        refused=[RefusedRow(line=row.line, value=row.value, reason=row.reason) for row in seen.refused],
        notes=seen.notes,
    )


@router.post("/campaigns/{campaign_id}/imports", status_code=202, tags=["imports"])
async def start_import(
    request: Request, response: Response, by: Editor, data: Data, env: Env, campaign_id: UUID, file: _Upload = None,
    text: _Text = None, roles: _Roles = None, region: _Region = None, header: _Header = None,
    encoding: _Encoding = None, delimiter: _Delimiter = None, all_or_nothing: Annotated[bool, Form()] = False,
    _key: Documented = None,
) -> ImportView:  # fmt: skip
    """Begins to add the contacts of a file. Importing a file again adds nobody twice."""
    source, name = _source(file, text)
    changes = _roles(roles)
    async with data.transaction() as session:
        campaign = await lifecycle.locked(session, (await find(session, campaign_id)).id, "edited")
        country = region_code(region) if region else campaign.default_region
        row = await imports.open_import(session, campaign_id, name)
        await audit.record(session, request, by, "imported", "campaign", campaign_id, file=name)
        view = _import_view(row)
    folder = env.voiceagents_data / "imports"
    kept = await asyncio.to_thread(_keep, source, folder, view.id)

    async def work() -> None:
        try:
            await imports.run(
                data,
                view.id,
                campaign_id,
                kept,
                roles=changes,
                default_region=country,
                all_or_nothing=all_or_nothing,
                reading=Reading(header, encoding or None, delimiter or None),
                error_file=refused_file(env, view.id),
            )
        finally:
            if isinstance(kept, Path):
                kept.unlink(missing_ok=True)

    request.app.state.background.start(work(), f"import {view.id}")
    response.headers["Location"] = f"/api/v1/imports/{view.id}"
    return view


@router.get("/imports/{import_id}", tags=["imports"])
async def get_import(_by: Viewer, session: Tx, import_id: UUID) -> ImportView:
    """How far an import is, and what became of its rows. `/events?kinds=import` tells when to look."""
    row = await session.get(ContactImport, import_id)
    if row is None:
        raise not_found("There is no import with this id.")
    return _import_view(row)


@router.post("/imports/{import_id}/cancel", tags=["imports"])
async def cancel_import(request: Request, by: Editor, session: Tx, import_id: UUID) -> ImportView:
    """Ends it; contacts that were added stay, unless it was all or nothing."""
    row = await imports.cancel(session, import_id)
    if row is None:
        raise not_found("There is no import with this id.")
    await audit.record(session, request, by, "cancelled", "import", import_id)
    return _import_view(row)


@router.get("/imports/{import_id}/refused.csv", response_class=FileResponse, tags=["imports"])
async def get_refused(_by: Viewer, session: Tx, env: Env, import_id: UUID) -> FileResponse:
    """The refused rows with line and reason, to be mended and imported again."""
    path = refused_file(env, import_id)
    if await session.get(ContactImport, import_id) is None or not await asyncio.to_thread(path.is_file):
        raise not_found("There is no file of refused rows for this import; perhaps none was refused.")
    return FileResponse(path, media_type="text/csv; charset=utf-8", filename=f"refused-{str(import_id)[:8]}.csv")


def refused_file(settings: Settings, import_id: UUID) -> Path:
    """Where the refused rows of an import are kept."""
    return settings.voiceagents_data / "imports" / f"{import_id}.refused.csv"


async def _find(session: Tx, contact_id: UUID) -> Contact:
    found = await session.get(Contact, contact_id)
    if found is None:
        raise not_found("There is no contact with this id; GET /campaigns/…/contacts lists them.")
    return found


def _import_view(row: ContactImport) -> ImportView:
    plain = {name: getattr(row, name) for name in ImportView.model_fields if name != "cut_off"}
    return ImportView(**plain, cut_off=imports.cut_off(row, clock.now()))


def _source(file: UploadFile | None, text: str | None) -> tuple[Source, str]:
    if (file is None) == (text is None):
        raise invalid("file", "Give either a file or text, and not both.")
    if file is not None:
        return file.file, file.filename or ""
    return Pasted(text or ""), "pasted text"


def _keep(source: Source, folder: Path, import_id: UUID) -> Source:
    """The upload as a file of our own: the request's goes when it is answered."""
    if isinstance(source, (Pasted, Path)):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return source
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{import_id}.upload"
    with path.open("xb") as copy:
        path.chmod(0o600)
        shutil.copyfileobj(source, copy, 1 << 20)
    return path


def _roles(roles: str | None) -> dict[str, str]:
    if not roles:
        return {}
    try:
        read = json.loads(roles)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict) or not all(isinstance(role, str) for role in read.values()):  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
        raise invalid("roles", 'It must be a JSON object of column and role: {"Mobile": "phone", "Amount": "amount"}.')
    return {str(header): str(role) for header, role in read.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType, reportUnknownArgumentType]


def _zone(name: str | None) -> str | None:
    if not name:
        return None
    try:
        return zone_named(name).key
    except UnknownZone as error:
        raise invalid("time_zone", str(error)) from None
