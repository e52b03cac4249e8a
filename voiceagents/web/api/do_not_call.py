"""The do-not-call list: who must not be called, by anybody or by one campaign."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile

from voiceagents import phone
from voiceagents.campaigns import do_not_call as the_list
from voiceagents.campaigns import lists
from voiceagents.campaigns.do_not_call_import import import_table
from voiceagents.campaigns.models import DoNotCall
from voiceagents.campaigns.numbers import region_code
from voiceagents.campaigns.tabular import Pasted
from voiceagents.web import audit, paging
from voiceagents.web.api import dependencies as shared
from voiceagents.web.api.campaigns import find
from voiceagents.web.api.dependencies import Data, Tx, View
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.idempotency import Documented, IdempotentRoute
from voiceagents.web.paging import Cursor, Limit, Page, page_of
from voiceagents.web.problems import invalid, not_found

router = APIRouter(prefix="/do-not-call", tags=["do not call"], route_class=IdempotentRoute)


class EntryView(View):
    """A number on a list: everybody's, or that of one campaign. Taking it off keeps the entry, with the reason."""

    id: int
    phone: str
    campaign_id: UUID | None
    reason: str
    added_at: datetime
    removed_at: datetime | None
    removed_because: str | None


class NewEntry(shared.Body):
    """A number that must not be called."""

    phone: str
    region: str | None = None
    """Country of a number without a country code."""

    campaign_id: UUID | None = None
    """Whose list; null: everybody's."""

    reason: str = ""


class ImportedView(View):
    """What an import did."""

    rows: int
    added: int
    known: int
    refused: int
    refusals: list["RefusalView"]


class RefusalView(View):
    """A row that names no number."""

    line: int
    text: str
    reason: str


@router.get("")
async def list_entries(
    _by: Viewer,
    session: Tx,
    campaign_id: UUID | None = None,
    removed: bool = False,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[EntryView]:
    """Entries that stand, the newest first; with `removed`, those that were taken off."""
    rows = await lists.do_not_call(
        session, campaign_id=campaign_id, removed=removed, after=paging.number(cursor), limit=limit + 1
    )
    return page_of(rows, limit, EntryView.model_validate, lambda row: [row.id])


@router.get("/{number}")
async def check_number(_by: Viewer, session: Tx, number: str) -> list[EntryView]:
    """Every list on which a number stands now; empty when it may be called."""
    found = await the_list.check(session, phone.normalize(number))
    return [EntryView.model_validate(row) for row in found]


@router.post("", status_code=201, responses={200: {"description": "It stands there already", "model": EntryView}})
async def add_entry(
    request: Request, response: Response, by: Editor, session: Tx, entry: NewEntry, _key: Documented = None
) -> EntryView:
    """Puts a number on a list; 200 when it stands there already. Felt at the very next dial."""
    number = phone.normalize(entry.phone, entry.region)
    if entry.campaign_id is not None:
        await find(session, entry.campaign_id)
    added = await the_list.add(session, number, entry.campaign_id, entry.reason[:1000])
    if added:
        await audit.record(session, request, by, "added", "do_not_call", phone.mask(number))
    else:
        response.status_code = 200
    standing = await the_list.check(session, number)
    return next(EntryView.model_validate(row) for row in standing if row.campaign_id == entry.campaign_id)


@router.delete("/{number}")
async def remove_entry(
    request: Request,
    by: Editor,
    session: Tx,
    number: str,
    reason: Annotated[str, Query(min_length=3, max_length=1000, description="Why they may be called again.")],
    campaign_id: UUID | None = None,
) -> EntryView:
    """Takes a number off a list; the entry stays on record, with the reason."""
    e164 = phone.normalize(number)
    standing = [row for row in await the_list.check(session, e164) if row.campaign_id == campaign_id]
    if not standing or not await the_list.remove(session, e164, campaign_id, reason):
        raise not_found("The number does not stand on this list.")
    await audit.record(session, request, by, "removed", "do_not_call", phone.mask(e164), reason=reason)
    return EntryView.model_validate(await session.get_one(DoNotCall, standing[0].id, populate_existing=True))


@router.post("/import")
async def import_entries(
    request: Request,
    by: Editor,
    data: Data,
    file: Annotated[UploadFile | None, File(description="CSV or .xlsx.")] = None,
    text: Annotated[str | None, Form(description="The same as pasted text.")] = None,
    region: Annotated[str | None, Form(max_length=10)] = None,
    reason: Annotated[str, Form(max_length=1000)] = "",
    campaign_id: Annotated[UUID | None, Form()] = None,
    _key: Documented = None,
) -> ImportedView:
    """Puts every number of a file on a list."""
    if (file is None) == (text is None):
        raise invalid("file", "Give either a file or text, and not both.")
    country = region_code(region) if region else None
    if campaign_id is not None:
        async with data.transaction() as session:
            await find(session, campaign_id)
    source = file.file if file is not None else Pasted(text or "")
    done = await import_table(
        data, source, campaign_id=campaign_id, region=country, column=None, reason=reason, progress=lambda _share: None
    )
    async with data.transaction() as session:
        await audit.record(session, request, by, "imported", "do_not_call", campaign_id or "", added=done.added)
    return ImportedView.model_validate(done)
