"""Who must not be called? The list, with adding, looking up, importing and taking off."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.datastructures import UploadFile

from voiceagents import phone
from voiceagents.campaigns import do_not_call as service
from voiceagents.campaigns.do_not_call_import import import_table
from voiceagents.campaigns.models import Campaign, DoNotCall
from voiceagents.campaigns.numbers import UnknownRegion
from voiceagents.campaigns.rows import TableError
from voiceagents.campaigns.search import Page
from voiceagents.campaigns.tabular import Pasted
from voiceagents.web import audit
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.pages.rendering import page, query_of, then
from voiceagents.web.state import database_of

router = APIRouter(prefix="/do-not-call")

_HERE = "/do-not-call"
_ROWS = 50


@router.get("")
async def show(request: Request, user: Viewer) -> Response:
    database = database_of(request)
    query = query_of(request)
    asked, removed = query.get("number", ""), query.get("show") == "removed"
    answer = ""
    async with database.transaction() as session:
        if asked:
            try:
                found = await service.check(session, phone.normalize(asked))
                answer = "" if found else f"{asked} is on no list: it may be called."
            except phone.InvalidPhoneNumber as error:
                found, answer = (), f"{asked}: {error}."
            entries = Page[DoNotCall](found, None)
        else:
            entries = await _entries(session, removed, query.get("after"))
        ids = {one.campaign_id for one in entries.rows if one.campaign_id is not None}
        campaigns = {one.id: one.name for one in await session.scalars(select(Campaign).where(Campaign.id.in_(ids)))}
    return page(
        request, user, "do_not_call", nav="Do-not-call", entries=entries, campaigns=campaigns, asked=asked,
        answer=answer, removed=removed,
    )  # fmt: skip


async def _entries(session: AsyncSession, removed: bool, after: str | None) -> Page[DoNotCall]:
    standing = DoNotCall.removed_at.is_not(None) if removed else DoNotCall.removed_at.is_(None)
    query = select(DoNotCall).where(standing).order_by(DoNotCall.id.desc()).limit(_ROWS + 1)
    if after and after.isdecimal():
        query = query.where(DoNotCall.id < int(after))
    rows = (await session.scalars(query)).all()
    return Page(rows[:_ROWS], str(rows[_ROWS - 1].id) if len(rows) > _ROWS else None)


@router.post("")
async def add(
    request: Request, user: Editor, number: Annotated[str, Form()] = "", reason: Annotated[str, Form()] = ""
) -> Response:
    database = database_of(request)
    try:
        e164 = phone.normalize(number)
    except phone.InvalidPhoneNumber as error:
        return then(request, _HERE, f"Not added: {error}.")
    async with database.transaction() as session:
        new = await service.add(session, e164, None, reason.strip() or f"by {user.name or user.email}")
        await audit.record(session, request, user, "added", "do_not_call", phone.mask(e164))
    return then(request, _HERE, f"{e164} will not be called." if new else f"{e164} was on the list already.")


@router.post("/remove")
async def remove(
    request: Request,
    user: Editor,
    number: Annotated[str, Form()],
    campaign: Annotated[UUID | None, Form()] = None,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Takes a number off, for a reason that stays on record."""
    if not reason.strip():
        return then(request, _HERE, "Not taken off: say why, it stays on record.")
    database = database_of(request)
    async with database.transaction() as session:
        gone = await service.remove(session, number, campaign, reason.strip())
        await audit.record(session, request, user, "removed", "do_not_call", phone.mask(number))
    return then(request, _HERE, f"{number} may be called again." if gone else f"{number} was not on this list.")


@router.post("/import")
async def import_numbers(request: Request, user: Editor) -> Response:
    database = database_of(request)
    form = await request.form()
    upload, pasted, region = form.get("file"), form.get("pasted"), form.get("region")
    if isinstance(upload, UploadFile) and upload.filename:
        source = upload.file
    elif isinstance(pasted, str) and pasted.strip():
        source = Pasted(pasted)
    else:
        return then(request, _HERE, "Nothing was imported: choose a file, or paste numbers.")
    try:
        done = await import_table(
            database, source, region=region if isinstance(region, str) and region else None,
            reason=f"imported by {user.name or user.email}",
        )  # fmt: skip
    except (TableError, UnknownRegion) as error:
        return then(request, _HERE, f"Nothing was imported: {error}.")
    async with database.transaction() as session:
        await audit.record(session, request, user, "imported", "do_not_call", "list", added=done.added)
    said = f"{done.added} numbers were added, {done.known} were there before."
    if done.refused:
        first = done.refusals[0]
        said += f" {done.refused} rows were refused; the first is line {first.line}: {first.reason}."
    return then(request, _HERE, said)
