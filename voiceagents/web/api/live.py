"""Live events for programs (SSE), and whether this process is fit to serve."""

import json
from collections.abc import AsyncGenerator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import text
from sse_starlette import EventSourceResponse, ServerSentEvent

from voiceagents.web import events
from voiceagents.web.api.dependencies import Data, View
from voiceagents.web.auth import Viewer
from voiceagents.web.problems import invalid

router = APIRouter(tags=["events"])
health = APIRouter(tags=["health"])

_PING = 15
"""Seconds between signs of life, well under what proxies cut off."""


class Healthy(View):
    """This process serves, and its database answers."""

    status: str


@router.get("/events", response_class=EventSourceResponse)
async def stream(
    _by: Viewer,
    request: Request,
    data: Data,
    kinds: Annotated[str, Query(max_length=200, description="Some of call,turn,campaign,import,delivery.")] = "",
) -> EventSourceResponse:
    """What has just changed, as server-sent events: `event` the kind, `data` `{"id", "campaign"}`. Read the thing
    itself to see how it is now. `ready` comes first: what happens from then on is told. `missed` says that others may
    have been missed: read everything again."""
    wanted = [kind.strip() for kind in kinds.split(",") if kind.strip()] or list(events.KINDS)
    if unknown := set(wanted) - set(events.KINDS):
        raise invalid("kinds", f"There is no {', '.join(sorted(unknown))}; there are {', '.join(events.KINDS)}.")

    async def lines() -> AsyncGenerator[ServerSentEvent]:
        async with events.listening(data, wanted) as changes:
            yield ServerSentEvent("{}", event="ready")
            while True:
                event = await changes.next()
                told = {"id": event.id, "campaign": event.campaign}
                yield ServerSentEvent(json.dumps(told), event=event.kind)

    return EventSourceResponse(lines(), ping=_PING)


@health.get("/healthz")
async def get_health(data: Data) -> Healthy:
    """Whether this process serves and its database answers; 503 when it does not. Needs no sign-in."""
    async with data.transaction() as session:
        await session.execute(text("SELECT 1"))
    return Healthy(status="ok")
