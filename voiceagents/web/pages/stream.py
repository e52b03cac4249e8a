"""How does a page hear that something has changed? As one word for everything that changed in half a second."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection

from sse_starlette import EventSourceResponse, ServerSentEvent

from voiceagents.db import Database
from voiceagents.web.events import MISSED, Event, listening

PAUSE = 0.5
"""Seconds between two words at least; the last change is always told."""


def changes(
    database: Database, kinds: Collection[str], meant: Callable[[Event], bool] = lambda _: True
) -> EventSourceResponse:
    """Server-sent events named "changed", without end."""
    return EventSourceResponse(_told(database, kinds, meant), ping=15)


async def _told(
    database: Database, kinds: Collection[str], meant: Callable[[Event], bool]
) -> AsyncGenerator[ServerSentEvent]:
    changed = asyncio.Event()

    async def hear() -> None:
        while True:
            event = await heard.next()
            if event.kind == MISSED or meant(event):
                changed.set()

    async with listening(database, kinds) as heard:
        hearing = asyncio.create_task(hear(), name="page hears")
        try:
            while True:
                await changed.wait()
                changed.clear()
                yield ServerSentEvent(data="{}", event="changed")
                await asyncio.sleep(PAUSE)
        finally:
            hearing.cancel()
