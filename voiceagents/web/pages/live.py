"""What is being talked about right now? Calls in flight of everybody, and a way to listen in."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy import select

from voiceagents.calls import presence
from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState
from voiceagents.campaigns import engines
from voiceagents.web import audit
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.pages import rooms, stream
from voiceagents.web.pages.rendering import fragment, page
from voiceagents.web.problems import conflict, not_found
from voiceagents.web.state import database_of, settings_of

router = APIRouter(prefix="/live")

_MOST = 100


@router.get("")
async def live(request: Request, user: Viewer) -> Response:
    database = database_of(request)
    async with database.transaction() as session:
        calls = (
            await session.scalars(
                select(Call).where(Call.state != CallState.ENDED).order_by(Call.created_at.desc()).limit(_MOST + 1)
            )
        ).all()
        places, running = await presence.places(session), await engines.living(session)
    context: dict[str, Any] = {"calls": calls[:_MOST], "more": len(calls) > _MOST, "places": places, "engines": running}
    if "hx-request" in request.headers:
        return fragment(request, user, "_live", **context)
    return page(request, user, "live", nav="Live", **context)


@router.get("/events")
async def changes(request: Request, user: Viewer) -> Response:
    """Says "changed" whenever a call has."""
    return stream.changes(database_of(request), ("call",))


@router.post("/{call_id}/listen")
async def listen(request: Request, user: Editor, call_id: UUID) -> Response:
    """Lets the browser hear a call, unheard and unseen; that somebody listens is put on record."""
    database = database_of(request)
    settings = settings_of(request)
    async with database.transaction() as session:
        call = await session.get(Call, call_id)
        if call is None:
            raise not_found("There is no such call.")
        if call.state is CallState.ENDED or not call.room_name:
            raise conflict("The call has ended.")
        await audit.record(session, request, user, "listened", "call", call_id)
    token = rooms.listener_token(settings, call.room_name, f"listener-{user.user_id.hex[:8]}")
    return JSONResponse({"url": settings.livekit.url, "token": token})
