"""Calls: the history, searched and exported; and one call made or ended now."""

from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID, uuid4, uuid5

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from voiceagents import phone
from voiceagents.assistants.models import Assistant
from voiceagents.calls import history, listing
from voiceagents.calls.dispatch import OutboundCall
from voiceagents.calls.listing import CallFilter, Place
from voiceagents.calls.metadata import MetadataError
from voiceagents.calls.models import Call
from voiceagents.calls.placing import CannotPlace, place
from voiceagents.calls.states import CallState, Direction, Outcome
from voiceagents.calls.views import CallStory, CallView
from voiceagents.web import audit, paging
from voiceagents.web.api import dependencies as shared
from voiceagents.web.api.dependencies import Data, Env, Recordings, Tx, View
from voiceagents.web.api.downloads import csv_response
from voiceagents.web.api.livekit import hang_up, livekit
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.idempotency import HEADER, Documented, IdempotentRoute
from voiceagents.web.paging import Cursor, Limit, Page, page_of
from voiceagents.web.problems import conflict, invalid, not_found
from voiceagents.web.recordings import recording_of

router = APIRouter(prefix="/calls", tags=["calls"], route_class=IdempotentRoute)

_CALLS = UUID("7f0c1f0a-6a55-4c39-8f2d-3f5b2f6a9d11")
"""Namespace of ids of calls that a client names by an idempotency key."""


class NewCall(shared.Body):
    """Whom to call, and about what."""

    phone: str
    region: str | None = None
    """Country of a number without a country code."""

    assistant_id: str | None = None
    name: str = Field(default="", max_length=200)
    email: str = Field(default="", max_length=254)
    prompt: str = Field(default="", max_length=50_000)
    """What to talk about; empty: the assistant's own prompt."""

    trunk_id: str | None = None
    """Empty: SIP_TRUNK_ID."""

    variables: dict[str, str] = Field(default_factory=dict[str, str])


class HungUp(View):
    """Whether LiveKit ended the call."""

    ended: bool


def _filter(
    campaign_id: str | None = None,
    contact_id: str | None = None,
    assistant_id: str | None = None,
    direction: Direction | None = None,
    outcome: Outcome | None = None,
    state: CallState | None = None,
    number: Annotated[str | None, Query(max_length=100, description="The person's or ours.")] = None,
    since: Annotated[datetime | None, Query(description="Made at or after.")] = None,
    until: Annotated[datetime | None, Query(description="Made before.")] = None,
    q: Annotated[
        str | None,
        Query(max_length=300, description='Said in the call: words, "a phrase", `or`, `-without`.'),
    ] = None,
) -> CallFilter:
    return CallFilter(
        campaign_id=campaign_id,
        contact_id=contact_id,
        assistant_id=assistant_id,
        direction=direction,
        outcome=outcome,
        state=state,
        number=None if number is None else phone.normalize(number),
        since=_aware(since),
        until=_aware(until),
        words=q or None,
    )


Which = Annotated[CallFilter, Depends(_filter)]


@router.get("")
async def list_calls(
    _by: Viewer, session: Tx, which: Which, cursor: Cursor = None, limit: Limit = 50
) -> Page[CallView]:
    """Calls that fit, the newest first."""
    after = paging.moment(cursor)
    rows = await listing.page(session, which, after=Place(*after) if after else None, limit=limit + 1)
    return page_of(rows, limit, CallView.model_validate, lambda row: [row.created_at, row.id])


@router.get(".csv", response_class=StreamingResponse)
async def export_calls(_by: Viewer, data: Data, which: Which) -> StreamingResponse:
    """The same calls, all of them, as a file. No cell runs as a formula in a spreadsheet."""

    async def pieces() -> AsyncGenerator[str]:
        yield "\N{BYTE ORDER MARK}"  # tells Excel that it is UTF-8
        async with data.transaction() as session:
            async for piece in listing.as_csv(session, which):
                yield piece

    return csv_response(pieces(), "calls")


@router.get("/{call_id}")
async def get_call(_by: Viewer, session: Tx, call_id: UUID) -> CallStory:
    """One call with its transcript, timeline, uses of tools and messages."""
    call = await _find(session, call_id)
    return CallStory.of(
        call,
        await history.transcript(session, call_id),
        await history.timeline(session, call_id),
        await history.tool_calls(session, call_id),
        await history.messages(session, call_id),
    )


@router.get(
    "/{call_id}/recording",
    response_class=Response,
    responses={
        200: {"description": "The audio", "content": {"audio/ogg": {}}},
        206: {"description": "The part that `Range` asked for", "content": {"audio/ogg": {}}},
        416: {"description": "It has no such part"},
    },
)
async def get_recording(request: Request, _by: Viewer, data: Data, kept: Recordings, call_id: UUID) -> Response:
    """The recording of a call: Opus in Ogg, left the person, right the assistant. `Range` asks for a part of it."""
    async with data.transaction() as session:
        call = await _find(session, call_id)
    recording = await recording_of(kept, call)
    if recording is None:
        raise not_found("This call has no recording, or it has not got here yet.")
    return await recording.response(request.headers.get("range"))


@router.post("", status_code=201)
async def start_call(
    request: Request, response: Response, by: Editor, data: Data, env: Env, order: NewCall, key: Documented = None
) -> CallView:
    """Calls a person now. Follow it by `GET /calls/{id}` and `/events`."""
    number = phone.dialable(phone.normalize(order.phone, order.region))
    trunk = order.trunk_id or env.sip_trunk_id
    if trunk is None:
        raise invalid("trunk_id", "No trunk to call through: give one (`lk sip outbound list`), or set SIP_TRUNK_ID.")
    async with data.transaction() as session:
        assistant = await session.get(Assistant, order.assistant_id) if order.assistant_id else None
        if order.assistant_id and assistant is None:
            raise invalid("assistant_id", f"There is no assistant {order.assistant_id!r}; GET /assistants lists them.")
    # A repeated key means the same call, whatever became of the first request.
    call_id = uuid5(_CALLS, f"{by.id} {key}") if key else uuid4()
    call = OutboundCall(
        id=call_id,
        number=number,
        agent_name=env.lk_agent_name,
        trunk_id=trunk,
        assistant_id=order.assistant_id,
        contact_name=order.name,
        contact_email=order.email,
        prompt=order.prompt or (assistant.prompt if assistant is not None else ""),
        variables=order.variables,
    )
    async with data.transaction() as session:
        if await session.get(Call, call_id) is not None:
            raise conflict(f"The call of this {HEADER} was made already: GET /calls/{call_id}")
    try:
        async with livekit(env) as client:
            await place(data, client, call)
    except CannotPlace as error:
        raise conflict(str(error)) from None
    except MetadataError as error:
        raise invalid("prompt", str(error)) from None
    async with data.transaction() as session:
        await audit.record(session, request, by, "started", "call", call_id)
        view = CallView.model_validate(await _find(session, call_id))
    response.headers["Location"] = f"{request.url.path}/{call_id}"
    return view


@router.post("/{call_id}/hang-up")
async def end_call(request: Request, by: Editor, data: Data, env: Env, call_id: UUID) -> HungUp:
    """Ends a call that is going on."""
    async with data.transaction() as session:
        call = await _find(session, call_id)
        if call.state is CallState.ENDED or call.room_name is None:
            raise conflict("The call is over already.")
        call.details = {**call.details, "cancelled_by_user": True}
        await audit.record(session, request, by, "ended", "call", call_id)
        room = call.room_name
    return HungUp(ended=await hang_up(env, [room]) == 1)


async def _find(session: Tx, call_id: UUID) -> Call:
    found = await session.get(Call, call_id, populate_existing=True)
    if found is None:
        raise not_found("There is no call with this id; GET /calls lists them.")
    return found


def _aware(moment: datetime | None) -> datetime | None:
    """Without an offset a time is read as UTC."""
    return moment if moment is None or moment.tzinfo is not None else moment.replace(tzinfo=UTC)
