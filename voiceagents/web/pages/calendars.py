"""Which calendars may calls book in?"""

import json
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from voiceagents.assistants.store import id_of
from voiceagents.calendars import store
from voiceagents.calendars.base import CalendarProblem
from voiceagents.calendars.store import CalendarDraft
from voiceagents.web import audit, calendar_secrets
from voiceagents.web.auth import Owner, Principal, Viewer
from voiceagents.web.pages.rendering import page, then
from voiceagents.web.state import database_of

router = APIRouter(prefix="/calendars")
_HERE = "/calendars"


@router.get("")
async def show(request: Request, user: Viewer) -> Response:
    return await _page(request, user, {"name": "", "provider": "builtin", "settings": ""}, "")


@router.post("")
async def save(
    request: Request,
    user: Owner,
    name: Annotated[str, Form()] = "",
    provider: Annotated[str, Form()] = "builtin",
    settings: Annotated[str, Form()] = "",
) -> Response:
    database = database_of(request)
    try:
        given: Any = json.loads(settings) if settings.strip() else {}
        if not isinstance(given, dict):
            raise CalendarProblem("The settings are an object, such as {}.")
        if (secret := calendar_secrets.misused(given)) is not None:  # pyright: ignore[reportUnknownArgumentType]
            raise CalendarProblem(f"{secret}: {calendar_secrets.ALLOWED}")
        draft = CalendarDraft(id_of(name), name.strip(), provider, given)  # pyright: ignore[reportUnknownArgumentType]
        async with database.transaction() as session:
            await store.add(session, draft)
            await audit.record(session, request, user, "created", "calendar", draft.id)
    except json.JSONDecodeError as error:
        problem = f"The settings are no JSON: {error}"
    except CalendarProblem as error:
        problem = str(error)
    else:
        return then(request, _HERE, f'"{draft.name}" is there. Give it to an assistant.')
    return await _page(request, user, {"name": name, "provider": provider, "settings": settings}, problem)


@router.post("/remove")
async def remove(request: Request, user: Owner, calendar: Annotated[str, Form()]) -> Response:
    database = database_of(request)
    try:
        async with database.transaction() as session:
            await store.remove(session, calendar)
            await audit.record(session, request, user, "removed", "calendar", calendar)
    except CalendarProblem as error:
        return then(request, _HERE, str(error))
    return then(request, _HERE, "The calendar is removed.")


async def _page(request: Request, user: Principal, given: dict[str, str], problem: str) -> Response:
    database = database_of(request)
    async with database.transaction() as session:
        calendars = [(one, store.shown(one.settings)) for one in await store.calendars(session)]
    return page(
        request, user, "calendars", nav="Calendars", status=422 if problem else 200, calendars=calendars, given=given,
        problem=problem, providers=[(name, name) for name in store.PROVIDERS],
    )  # fmt: skip
