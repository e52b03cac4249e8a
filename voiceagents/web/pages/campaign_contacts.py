"""Whom does a campaign call? Its contacts, page by page, and the import of more, with mapping and refused rows."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, BinaryIO
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import FormData, UploadFile

from voiceagents.calls.states import Outcome
from voiceagents.campaigns import contacts, editing, imports, results, search
from voiceagents.campaigns.contacts import Preview
from voiceagents.campaigns.import_report import ImportReport
from voiceagents.campaigns.mapping import COUNTRY, EMAIL, IGNORE, NAME, PHONE, TIME_ZONE, ColumnMapping
from voiceagents.campaigns.models import ContactImport
from voiceagents.campaigns.numbers import UnknownRegion, region_code
from voiceagents.campaigns.rows import TableError
from voiceagents.campaigns.states import CampaignState, ContactState, ImportState
from voiceagents.campaigns.tabular import Pasted, Reading
from voiceagents.campaigns.terms import Terms
from voiceagents.clock import now
from voiceagents.web import audit
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.pages import figures
from voiceagents.web.pages.campaign_editing import tabs_of
from voiceagents.web.pages.campaigns import found
from voiceagents.web.pages.importing import refused_file, started
from voiceagents.web.pages.rendering import fragment, page, query_of, then
from voiceagents.web.problems import not_found
from voiceagents.web.state import database_of, settings_of

router = APIRouter(prefix="/campaigns/{campaign_id}")

_ROLES = (
    (PHONE, "phone number"),
    (COUNTRY, "country of the numbers"),
    (NAME, "name"),
    (EMAIL, "email"),
    (TIME_ZONE, "time zone"),
    (IGNORE, "leave out"),
)
_OVER = (CampaignState.COMPLETED, CampaignState.CANCELLED, CampaignState.ARCHIVED)
_SHOWN_ROWS = 8
_DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}


@router.get("/contacts")
async def list_contacts(request: Request, user: Viewer, campaign_id: UUID) -> Response:
    database = database_of(request)
    campaign = await found(database, campaign_id)
    query = query_of(request)
    async with database.transaction() as session:
        shown = await search.contacts(
            session,
            campaign_id,
            state=_one_of(ContactState, query.get("state")),
            outcome=_one_of(Outcome, query.get("outcome")),
            search=query.get("search", ""),
            after=query.get("after"),
            region=campaign.default_region,
        )
    counts = await figures.progress(database, campaign_id)
    return page(
        request, user, "campaigns/contacts", nav="Campaigns", here="contacts", contacts=shown, counts=counts.value,
        states=[state.value for state in ContactState], outcomes=[outcome.value for outcome in Outcome],
        filtered=any(query.get(name) for name in ("state", "outcome", "search")), over=campaign.state in _OVER,
        **tabs_of(campaign),
    )  # fmt: skip


@router.get("/import")
async def ask(request: Request, user: Editor, campaign_id: UUID) -> Response:
    campaign = await found(database_of(request), campaign_id)
    return page(request, user, "campaigns/import", nav="Campaigns", here="contacts", **tabs_of(campaign))


@router.post("/import/preview")
async def preview(request: Request, user: Editor, campaign_id: UUID) -> Response:
    """What the file's first rows would become. The form comes again with the columns as the person wants them."""
    campaign = await found(database_of(request), campaign_id)
    form = await request.form()
    try:
        region = region_code(_text(form, "region") or None)
        shown, _ = await _previewed(form, region)
    except (TableError, UnknownRegion) as error:
        return fragment(request, user, "campaigns/_import_preview", problem=str(error), campaign=campaign)
    return fragment(
        request, user, "campaigns/_import_preview", problem="", campaign=campaign, preview=shown,
        columns=_columns(shown.mapping), roles=_ROLES,
    )  # fmt: skip


@router.post("/import")
async def start(request: Request, user: Editor, campaign_id: UUID) -> Response:
    database = database_of(request)
    campaign = await found(database, campaign_id)
    form = await request.form()
    try:
        region = region_code(_text(form, "region") or None)
        _, roles = await _previewed(form, region)
        source, name = _source(form)
    except (TableError, UnknownRegion) as error:
        return page(
            request, user, "campaigns/import", nav="Campaigns", here="contacts", status=422, problem=str(error),
            **tabs_of(campaign),
        )  # fmt: skip
    if region != campaign.default_region:
        async with database.transaction() as session:
            await editing.edit(session, campaign_id, Terms(default_region=region), now())
    new = await started(
        request, user, campaign_id, source, name,
        roles=roles, region=region, all_or_nothing=_text(form, "all_or_nothing") == "yes", reading=_reading(form),
    )  # fmt: skip
    return then(request, f"/campaigns/{campaign_id}/imports/{new.id}")


@router.get("/imports/{import_id}")
async def report(request: Request, user: Viewer, campaign_id: UUID, import_id: UUID) -> Response:
    """How far an import is, and what became of its rows."""
    database = database_of(request)
    campaign = await found(database, campaign_id)
    async with database.transaction() as session:
        shown = await _import(session, campaign_id, import_id)
    ended = shown.state is not ImportState.RUNNING
    if ended:
        figures.forget(campaign_id)
    context: dict[str, Any] = {
        "shown": shown,
        "campaign": campaign,
        "ended": ended,
        "cut_off": imports.cut_off(shown, now()),
        # Kept as JSON: a report of an earlier version may lack what this one counts.
        "report": {**asdict(ImportReport()), **shown.report},
    }
    if "hx-request" in request.headers:
        return fragment(request, user, "campaigns/_import_report", **context)
    return page(
        request, user, "campaigns/import_report", nav="Campaigns", here="contacts", **{**context, **tabs_of(campaign)}
    )


@router.post("/imports/{import_id}/cancel")
async def cancel(request: Request, user: Editor, campaign_id: UUID, import_id: UUID) -> Response:
    async with database_of(request).transaction() as session:
        await _import(session, campaign_id, import_id)
        await imports.cancel(session, import_id)
        await audit.record(session, request, user, "cancelled", "import", import_id)
    return then(request, f"/campaigns/{campaign_id}/imports/{import_id}")


@router.get("/imports/{import_id}/refused.csv")
async def refused(request: Request, user: Viewer, campaign_id: UUID, import_id: UUID) -> Response:
    async with database_of(request).transaction() as session:
        await _import(session, campaign_id, import_id)
    path = refused_file(settings_of(request), import_id)
    if not await asyncio.to_thread(path.is_file):
        raise not_found("There is no file of refused rows.")
    return FileResponse(path, media_type="text/csv", filename="refused rows.csv")


async def _import(session: AsyncSession, campaign_id: UUID, import_id: UUID) -> ContactImport:
    row = await session.get(ContactImport, import_id)
    if row is None or row.campaign_id != campaign_id:
        raise not_found("There is no such import into this campaign.")
    return row


@router.get("/results.csv")
async def export(request: Request, user: Viewer, campaign_id: UUID) -> Response:
    """Every contact with what came of it."""
    campaign = await found(database_of(request), campaign_id)

    async def body() -> AsyncGenerator[str]:
        async with database_of(request).transaction() as session:
            yield "\N{BYTE ORDER MARK}"
            async for piece in results.as_csv(session, campaign_id):
                yield piece

    name = "".join(c if c.isascii() and (c.isalnum() or c in " -_") else "_" for c in campaign.name)
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return StreamingResponse(body(), media_type="text/csv; charset=utf-8", headers=headers)


async def _previewed(form: FormData, region: str | None) -> tuple[Preview, dict[str, str]]:
    """What the first rows become, and the roles that the person gave to columns."""
    source, _ = _source(form)
    reading = _reading(form)

    def read(mapping: ColumnMapping | None = None) -> Preview:
        return contacts.preview(source, _SHOWN_ROWS, mapping, default_region=region, reading=reading)

    guessed = await asyncio.to_thread(read)
    changes = _changes(form, guessed.mapping)
    return (await asyncio.to_thread(read, guessed.mapping.edited(changes)) if changes else guessed), changes


def _changes(form: FormData, guessed: ColumnMapping) -> dict[str, str]:
    """Roles that the person gave to columns, when they were asked about these very columns."""
    if _text(form, "headers") != "\x1f".join(guessed.headers):
        return {}
    changes: dict[str, str] = {}
    for index, (header, role) in enumerate(guessed.roles()):
        chosen = _text(form, f"column-{index}")
        if chosen and chosen != role:
            changes[header] = chosen
    return changes


def _columns(mapping: ColumnMapping) -> list[dict[str, Any]]:
    return [
        {"index": index, "header": header, "role": role, "variable": role.startswith("{") or " + " in role}
        for index, (header, role) in enumerate(mapping.roles())
    ]


def _source(form: FormData) -> tuple[BinaryIO | Pasted, str]:
    upload, pasted = form.get("file"), _text(form, "pasted")
    if isinstance(upload, UploadFile) and upload.filename:
        upload.file.seek(0)
        return upload.file, upload.filename
    if pasted.strip():
        return Pasted(pasted), "pasted list"
    raise TableError("choose a file, or paste a list")


def _reading(form: FormData) -> Reading:
    header = {"yes": True, "no": False}.get(_text(form, "header"))
    return Reading(header, _text(form, "encoding") or None, _DELIMITERS.get(_text(form, "delimiter")))


def _text(form: Mapping[str, Any], name: str) -> str:
    value = form.get(name)
    return value if isinstance(value, str) else ""


def _one_of(kind: type[ContactState] | type[Outcome], word: str | None) -> str | None:
    with suppress(ValueError):
        return kind(word).value
    return None
