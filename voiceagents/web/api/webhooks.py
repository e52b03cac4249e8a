"""Outgoing webhooks: who is told of what, and the log from which a message can be sent again."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from voiceagents.web import audit, paging
from voiceagents.web.api import dependencies as shared
from voiceagents.web.api.dependencies import Tx, View
from voiceagents.web.auth import Owner
from voiceagents.web.etags import IfMatch, require_match, tag
from voiceagents.web.paging import Cursor, Limit, Page, page_of
from voiceagents.webhooks import delivering, endpoints
from voiceagents.webhooks.models import Delivery, DeliveryState, Endpoint, EventKind, Happening

router = APIRouter(prefix="/webhooks", tags=["webhooks"])

DeliveryId = Annotated[int, Path(ge=1, lt=2**63)]


class EndpointView(View):
    """An address that is told of some kinds of events."""

    id: UUID
    url: str
    events: list[str]
    description: str
    enabled: bool
    disabled_because: str | None
    created_at: datetime
    updated_at: datetime


class EndpointSecret(EndpointView):
    """With the secret that signs what it is sent (Standard Webhooks). It is shown only now."""

    secret: str


class NewEndpoint(shared.Body):
    """An address, and what it is told."""

    url: str
    events: list[EventKind]
    description: str = ""
    enabled: bool = True


class EndpointChange(shared.Body):
    """What to change; what is left out stays."""

    url: str = ""
    events: list[EventKind] = Field(default_factory=list[EventKind])
    description: str = ""
    enabled: bool = True


class DeliveryView(View):
    """One event for one endpoint. `log` has the latest attempts: when, status or error, milliseconds."""

    id: int
    endpoint_id: UUID
    event_id: int
    kind: str
    subject_id: str
    at: datetime
    state: DeliveryState
    attempts: int
    next_at: datetime
    delivered_at: datetime | None
    log: list[dict[str, Any]]


class DeliveryStory(DeliveryView):
    """With the message as it would be sent now."""

    payload: dict[str, Any]


class Replayed(View):
    """How many are sent again."""

    deliveries: int


@router.get("")
async def list_endpoints(_by: Owner, session: Tx) -> list[EndpointView]:
    """Every endpoint."""
    return [EndpointView.model_validate(row) for row in await endpoints.listed(session)]


@router.post("", status_code=201)
async def add_endpoint(
    request: Request, response: Response, by: Owner, session: Tx, wanted: NewEndpoint
) -> EndpointSecret:
    """Adds an endpoint. What happens from now on is sent to it, and sent again until it takes it."""
    row = await endpoints.add(session, **wanted.model_dump())
    await audit.record(session, request, by, "added", "webhook", row.id, events=row.events)
    response.headers["Location"] = f"{request.url.path}/{row.id}"
    return EndpointSecret.model_validate(row)


@router.get("/{endpoint_id}")
async def get_endpoint(_by: Owner, response: Response, session: Tx, endpoint_id: UUID) -> EndpointView:
    """One endpoint."""
    return _tagged(response, await endpoints.find(session, endpoint_id))


@router.patch("/{endpoint_id}")
async def change_endpoint(
    request: Request,
    response: Response,
    by: Owner,
    session: Tx,
    endpoint_id: UUID,
    change: EndpointChange,
    if_match: IfMatch = None,
) -> EndpointView:
    """Changes an endpoint, or switches it on or off."""
    require_match(if_match, EndpointView.model_validate(await endpoints.find(session, endpoint_id)))
    given = {name: getattr(change, name) for name in change.model_fields_set}
    row = await endpoints.change(session, endpoint_id, **given)
    await audit.record(session, request, by, "changed", "webhook", endpoint_id, fields=sorted(given))
    return _tagged(response, row)


@router.delete("/{endpoint_id}", status_code=204)
async def remove_endpoint(request: Request, by: Owner, session: Tx, endpoint_id: UUID) -> None:
    """Takes an endpoint away, and its log with it."""
    await endpoints.remove(session, endpoint_id)
    await audit.record(session, request, by, "removed", "webhook", endpoint_id)


@router.post("/{endpoint_id}/secret")
async def new_secret(request: Request, by: Owner, session: Tx, endpoint_id: UUID) -> EndpointSecret:
    """Another secret; the old one signs nothing from now on."""
    row = await endpoints.new_secret_for(session, endpoint_id)
    await audit.record(session, request, by, "made a secret for", "webhook", endpoint_id)
    return EndpointSecret.model_validate(row)


@router.get("/{endpoint_id}/deliveries")
async def list_deliveries(
    _by: Owner,
    session: Tx,
    endpoint_id: UUID,
    state: DeliveryState | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[DeliveryView]:
    """What an endpoint was sent, or is to be, the newest first."""
    await endpoints.find(session, endpoint_id)
    rows = await endpoints.deliveries(session, endpoint_id, state=state, after=paging.number(cursor), limit=limit + 1)
    return page_of(rows, limit, lambda row: _view(*row), lambda row: [row[0].id])


@router.post("/{endpoint_id}/replay")
async def replay_failed(request: Request, by: Owner, session: Tx, endpoint_id: UUID) -> Replayed:
    """Sends again whatever failed."""
    number = await endpoints.replay_failed(session, endpoint_id)
    await audit.record(session, request, by, "replayed", "webhook", endpoint_id, deliveries=number)
    return Replayed(deliveries=number)


@router.get("/deliveries/{delivery_id}")
async def get_delivery(_by: Owner, session: Tx, delivery_id: DeliveryId) -> DeliveryStory:
    """One delivery, with its message."""
    row, happening = await endpoints.delivery(session, delivery_id)
    return DeliveryStory(**_view(row, happening).model_dump(), payload=await delivering.payload(session, happening))


@router.post("/deliveries/{delivery_id}/replay")
async def replay_delivery(request: Request, by: Owner, session: Tx, delivery_id: DeliveryId) -> DeliveryView:
    """Sends it again, now, whatever became of it."""
    row, happening = await endpoints.replay(session, delivery_id)
    await audit.record(session, request, by, "replayed", "delivery", delivery_id)
    return _view(row, happening)


def _view(row: Delivery, happening: Happening) -> DeliveryView:
    told = {name: getattr(happening, name) for name in ("kind", "subject_id", "at")}
    kept = {name: getattr(row, name) for name in DeliveryView.model_fields if name not in told}
    return DeliveryView(**kept, **told)


def _tagged(response: Response, row: Endpoint) -> EndpointView:
    view = EndpointView.model_validate(row)
    tag(response, view)
    return view
