"""Imports of contacts: a file on its way into a campaign, with progress, and what became of each row."""

import asyncio
import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from fastapi.responses import FileResponse

from voiceagents import clock
from voiceagents.campaigns import contacts, imports, lifecycle, lists
from voiceagents.campaigns.models import ContactImport
from voiceagents.campaigns.numbers import region_code
from voiceagents.campaigns.states import ImportState
from voiceagents.campaigns.tabular import Pasted, Reading, Source
from voiceagents.settings import Settings
from voiceagents.web import audit
from voiceagents.web.api.campaigns import find
from voiceagents.web.api.dependencies import Data, Env, Tx, View
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.idempotency import Documented, IdempotentRoute
from voiceagents.web.problems import conflict, invalid, not_found

router = APIRouter(tags=["imports"], route_class=IdempotentRoute)


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
    """Header and role of each column: `phone`, `name`, `email`, `time_zone`, `country`, `{variable}` or `ignore`."""

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


@router.get("/campaigns/{campaign_id}/imports")
async def list_imports(_by: Viewer, session: Tx, campaign_id: UUID) -> list[ImportView]:
    """The latest imports into a campaign."""
    await find(session, campaign_id)
    return [_import_view(row) for row in await lists.imports(session, campaign_id)]


@router.post("/campaigns/{campaign_id}/imports/preview")
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


@router.post("/campaigns/{campaign_id}/imports", status_code=202)
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
    try:
        kept = await asyncio.to_thread(_keep, source, folder, view.id)
    except OSError as error:
        words = f"The file cannot be kept in {folder} ({error.strerror or error}): mend that, or set VOICEAGENTS_DATA."
        await imports.stop(data, view.id, words)
        raise conflict(words) from None

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


@router.get("/imports/{import_id}")
async def get_import(_by: Viewer, session: Tx, import_id: UUID) -> ImportView:
    """How far an import is, and what became of its rows. `/events?kinds=import` tells when to look."""
    row = await session.get(ContactImport, import_id)
    if row is None:
        raise not_found("There is no import with this id.")
    return _import_view(row)


@router.post("/imports/{import_id}/cancel")
async def cancel_import(request: Request, by: Editor, session: Tx, import_id: UUID) -> ImportView:
    """Ends it; contacts that were added stay, unless it was all or nothing."""
    row = await imports.cancel(session, import_id)
    if row is None:
        raise not_found("There is no import with this id.")
    await audit.record(session, request, by, "cancelled", "import", import_id)
    return _import_view(row)


@router.get("/imports/{import_id}/refused.csv", response_class=FileResponse)
async def get_refused(_by: Viewer, session: Tx, env: Env, import_id: UUID) -> FileResponse:
    """The refused rows with line and reason, to be mended and imported again."""
    path = refused_file(env, import_id)
    if await session.get(ContactImport, import_id) is None or not await asyncio.to_thread(path.is_file):
        raise not_found("There is no file of refused rows for this import; perhaps none was refused.")
    return FileResponse(path, media_type="text/csv; charset=utf-8", filename=f"refused-{str(import_id)[:8]}.csv")


def refused_file(settings: Settings, import_id: UUID) -> Path:
    """Where the refused rows of an import are kept."""
    return settings.voiceagents_data / "imports" / f"{import_id}.refused.csv"


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
