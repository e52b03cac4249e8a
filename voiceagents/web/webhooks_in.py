"""What does LiveKit tell us of its rooms? Signed webhooks: a second source of how a call went, beside its agent.

Set `https://…/hooks/livekit` as webhook in LiveKit's configuration, with the key that LIVEKIT_API_KEY names. What is
told of a call stands in its timeline. When its room is gone and its agent says nothing, the call is ended here.
"""

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
from fastapi import APIRouter, Request
from google.protobuf.json_format import ParseError
from livekit import api
from livekit.protocol.models import DisconnectReason, ParticipantInfo
from livekit.protocol.webhook import WebhookEvent
from sqlalchemy import select

from voiceagents import clock
from voiceagents.calls import history
from voiceagents.calls.models import Call
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import CallEnded, Happened
from voiceagents.calls.states import CallState, EndedBy, Outcome
from voiceagents.db import Database
from voiceagents.settings import Settings
from voiceagents.web import events
from voiceagents.web.problems import Problem
from voiceagents.web.state import database_of, settings_of

log = logging.getLogger("voiceagents.web")

router = APIRouter(prefix="/hooks", include_in_schema=False)

PATIENCE = 20.0
"""Seconds that a call's agent has to say how it ended after its room is gone."""

_LONGEST = 1 << 20
_FUTURE = timedelta(hours=1)
_TOLD = {
    "room_started", "room_finished", "participant_joined", "participant_left", "participant_connection_aborted",
    "egress_started", "egress_ended",
}  # fmt: skip
_UNDERWAY = (CallState.DIALING, CallState.RINGING, CallState.ANSWERED)


@router.post("/livekit", status_code=204)
async def receive(request: Request) -> None:
    """Takes one event.

    Raises:
        Problem: 401, it is not signed with our key; 422, it is no event.
        SettingsError: LiveKit is not configured.
    """
    settings = settings_of(request)
    database = database_of(request)
    event = verified(settings, await _body(request), request.headers.get("authorization", ""))
    if event.event not in _TOLD or not event.room.name:
        return
    call_id = await _tell(database, event)
    if call_id is not None and event.event == "room_finished":
        request.app.state.background.start(end_if_nobody_does(database, call_id), f"room of call {call_id} is gone")


def verified(settings: Settings, body: bytes, authorization: str) -> WebhookEvent:
    """The event, when LiveKit signed it with our key.

    Raises:
        Problem: 401 or 422.
    """
    access = settings.livekit
    receiver = api.WebhookReceiver(api.TokenVerifier(access.api_key, access.api_secret.get_secret_value()))
    token = authorization.removeprefix("Bearer ").strip()
    try:
        return receiver.receive(body.decode(), token)
    except (ParseError, UnicodeDecodeError):
        raise Problem(422, "This is no event of LiveKit's", "The body cannot be read.", kind="invalid") from None
    except (jwt.PyJWTError, ValueError):
        said = "the token is not of our key, or has expired"
    except Exception as error:  # noqa: BLE001  the library raises it so, when the body is not the one that was signed
        said = str(error)
    raise Problem(
        401,
        "This was not signed by our LiveKit",
        f"It was not taken: {said}. The webhook must use the key that LIVEKIT_API_KEY names.",
        kind="signature",
    )


async def end_if_nobody_does(database: Database, call_id: UUID, patience: float = PATIENCE) -> None:
    """Ends a call whose room is gone, when its agent, who knows better why, does not in time."""
    try:
        async with asyncio.timeout(patience), events.listening(database, {"call"}) as changes:
            while not await _over(database, call_id):
                while (change := await changes.next()).id != str(call_id) and change.kind != events.MISSED:
                    continue
    except TimeoutError:
        words = "LiveKit closed the room, and no agent said how the call ended"
        ending = Ending(Outcome.FAILED, words, EndedBy.SYSTEM)
        async with database.transaction() as session:
            ended = await history.end(session, CallEnded.of(call_id, ending, clock.now()))
        if ended:
            log.warning("CALL_ENDED_BY_ROOM | call=%s", call_id)


async def _tell(database: Database, event: WebhookEvent) -> UUID | None:
    """Writes the event into the timeline of the room's call. Returns the call when it is under way."""
    at = _time_of(event)
    async with database.transaction() as session:
        call = await session.scalar(
            select(Call).where(Call.room_name == event.room.name).order_by(Call.created_at.desc()).limit(1)
        )
        if call is None:
            return None
        fact = Happened(call_id=call.id, kind=f"livekit.{event.event}", at=at, detail=_detail(event))
        await history.write(session, fact)
        return call.id if call.state in _UNDERWAY else None


async def _over(database: Database, call_id: UUID) -> bool:
    async with database.transaction() as session:
        return await session.scalar(select(Call.state).where(Call.id == call_id)) not in _UNDERWAY


def _detail(event: WebhookEvent) -> dict[str, Any]:
    """What is worth keeping; a participant's identity is a phone number, which the call has already."""
    detail: dict[str, Any] = {"event": event.id}
    if event.HasField("participant"):
        person = event.participant
        detail["participant"] = ParticipantInfo.Kind.Name(person.kind).lower()
        if event.event != "participant_joined":
            detail["reason"] = DisconnectReason.Name(person.disconnect_reason).lower()
    if event.HasField("egress_info"):
        detail["egress"] = event.egress_info.egress_id
    return detail


def _time_of(event: WebhookEvent) -> datetime:
    now = clock.now()
    try:
        told = datetime.fromtimestamp(event.created_at, UTC)
    except (OverflowError, ValueError, OSError):
        return now
    return told if event.created_at and told < now + _FUTURE else now


async def _body(request: Request) -> bytes:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > _LONGEST:
            raise Problem(413, "Too long", f"An event has {_LONGEST} bytes at most.", kind="too-long")
    return body
