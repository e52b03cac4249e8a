"""Calendars that calls may book in: which there are, and which times are free."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AwareDatetime, Field
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.assistants.store import id_of
from voiceagents.calendars import store
from voiceagents.calendars.base import CalendarDown, CalendarProblem
from voiceagents.calendars.models import Calendar
from voiceagents.web import audit, calendar_secrets, paging
from voiceagents.web.api import dependencies as shared
from voiceagents.web.api.dependencies import Data, Tx, View
from voiceagents.web.auth import Owner, Viewer
from voiceagents.web.etags import IfMatch, require_match, tag
from voiceagents.web.idempotency import Documented, IdempotentRoute
from voiceagents.web.paging import Cursor, Limit, Page, page_of
from voiceagents.web.problems import Problem, conflict, invalid, not_found

router = APIRouter(prefix="/calendars", tags=["calendars"], route_class=IdempotentRoute)

CalendarId = Annotated[str, Path(max_length=200, examples=["practice"])]

_LONGEST = timedelta(days=62)


class CalendarView(View):
    """A calendar. Secrets among its settings are not shown."""

    id: str
    name: str
    provider: str
    settings: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class NewCalendar(shared.Body):
    """A calendar: `builtin`, `caldav` or `calcom`, and what that needs to know."""

    id: str = Field(default="", max_length=200)
    """Empty: made from the name."""

    name: str = Field(min_length=1, max_length=200)
    provider: str = "builtin"
    settings: dict[str, Any] = Field(default_factory=dict[str, Any])


class CalendarChange(shared.Body):
    """What to change. `settings` replace all but the secrets, which stay when they are left out."""

    name: str = Field(default="", min_length=1, max_length=200)
    settings: dict[str, Any] = Field(default_factory=dict[str, Any])


class SlotView(View):
    """A time that may be booked."""

    start: datetime
    end: datetime


@router.get("")
async def list_calendars(_by: Viewer, session: Tx, cursor: Cursor = None, limit: Limit = 50) -> Page[CalendarView]:
    """Calendars, by id."""
    rows = (await session.scalars(paging.by_word(select(Calendar), Calendar.id, cursor, limit))).all()
    return page_of(rows, limit, _view, lambda row: [row.id])


@router.post("", status_code=201)
async def add_calendar(
    request: Request, response: Response, by: Owner, session: Tx, wanted: NewCalendar, _key: Documented = None
) -> CalendarView:
    """Adds a calendar."""
    calendar_id = wanted.id.strip() or id_of(wanted.name) or f"calendar-{uuid4().hex[:8]}"
    if "/" in calendar_id:
        raise invalid("id", "An id is made of letters, digits and dashes.")
    if await session.get(Calendar, calendar_id) is not None:
        raise conflict(f"There is a calendar {calendar_id!r} already: take another id, or change that one (PATCH).")
    await _save(session, store.CalendarDraft(calendar_id, wanted.name, wanted.provider, _safe(wanted.settings)))
    await audit.record(session, request, by, "added", "calendar", calendar_id, provider=wanted.provider)
    response.headers["Location"] = shared.below(request, calendar_id)
    return _tagged(response, await _find(session, calendar_id))


@router.get("/{calendar_id}")
async def get_calendar(_by: Viewer, response: Response, session: Tx, calendar_id: CalendarId) -> CalendarView:
    """One calendar."""
    return _tagged(response, await _find(session, calendar_id))


@router.patch("/{calendar_id}")
async def change_calendar(
    request: Request,
    response: Response,
    by: Owner,
    session: Tx,
    calendar_id: CalendarId,
    change: CalendarChange,
    if_match: IfMatch = None,
) -> CalendarView:
    """Changes a calendar; its bookings stay."""
    found = await _find(session, calendar_id)
    require_match(if_match, _view(found))
    given = change.model_fields_set
    settings = found.settings
    if "settings" in given:
        settings = {name: value for name, value in settings.items() if name in store.SECRETS} | _safe(change.settings)
    await _save(
        session,
        store.CalendarDraft(calendar_id, change.name if "name" in given else found.name, found.provider, settings),
    )
    await audit.record(session, request, by, "changed", "calendar", calendar_id, fields=sorted(given))
    return _tagged(response, await _find(session, calendar_id))


@router.delete("/{calendar_id}", status_code=204)
async def remove_calendar(request: Request, by: Owner, session: Tx, calendar_id: CalendarId) -> None:
    """Removes a calendar; if it is built in, its bookings with it."""
    await _find(session, calendar_id)
    await store.remove(session, calendar_id)
    await audit.record(session, request, by, "removed", "calendar", calendar_id)


@router.get("/{calendar_id}/free")
async def list_free(
    _by: Viewer,
    data: Data,
    calendar_id: CalendarId,
    start: Annotated[AwareDatetime | None, Query(description="From; left out: now.")] = None,
    end: Annotated[AwareDatetime | None, Query(description="To; left out: a week later. At most 62 days.")] = None,
) -> list[SlotView]:
    """Times that may be booked now and begin between the two."""
    async with data.transaction() as session:
        await _find(session, calendar_id)
    begin = start or clock.now()
    try:
        until = end or begin + timedelta(days=7)
        if not begin < until <= begin + _LONGEST:
            raise invalid("end", "It must be later than start, and at most 62 days later.", where="query")
    except OverflowError:
        raise invalid("start", "This is no time that anybody could book.", where="query") from None
    try:
        calendar = await store.calendar_of(data, calendar_id)
        try:
            return [SlotView.model_validate(slot) for slot in await calendar.free(begin, until)]
        finally:
            await calendar.aclose()
    except CalendarProblem as error:
        raise conflict(str(error)) from None
    except CalendarDown as error:
        raise Problem(
            503, "The calendar is away", f"{error}. Try again soon.", kind="calendar-away", headers={"Retry-After": "5"}
        ) from None


async def _save(session: AsyncSession, draft: store.CalendarDraft) -> None:
    try:
        await store.save(session, draft)
    except CalendarProblem as error:
        raise invalid("settings" if draft.provider in store.PROVIDERS else "provider", str(error)) from None


async def _find(session: AsyncSession, calendar_id: str) -> Calendar:
    found = await session.get(Calendar, calendar_id, populate_existing=True)
    if found is None:
        raise not_found(f"There is no calendar {calendar_id!r}; GET /calendars lists them.")
    return found


def _safe(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, without secrets that are only the word for one that is not shown.

    Raises:
        Problem: a secret names a variable that is not for calendars.
    """
    if (name := calendar_secrets.misused(settings)) is not None:
        raise invalid(f"settings.{name}", calendar_secrets.ALLOWED)
    unseen = {name for name in store.SECRETS & set(settings) if settings[name] == store.shown({name: "x"})[name]}
    return {name: value for name, value in settings.items() if name not in unseen}


def _view(calendar: Calendar) -> CalendarView:
    return CalendarView(
        id=calendar.id,
        name=calendar.name,
        provider=calendar.provider,
        settings=store.shown(calendar.settings),
        created_at=calendar.created_at,
        updated_at=calendar.updated_at,
    )


def _tagged(response: Response, calendar: Calendar) -> CalendarView:
    view = _view(calendar)
    tag(response, view)
    return view
