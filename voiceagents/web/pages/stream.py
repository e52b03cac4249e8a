"""How does a page hear that something has changed? As one word for everything that changed in half a second."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing

from sse_starlette import EventSourceResponse, ServerSentEvent

from voiceagents.db import Database
from voiceagents.web.events import MISSED, Event, events

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
        async with aclosing(events(database, kinds)) as heard:
            async for event in heard:
                if event.kind == MISSED or meant(event):
                    changed.set()

    hearing = asyncio.create_task(hear(), name="page hears")
    try:
        while True:
            await changed.wait()
            changed.clear()
            yield ServerSentEvent(data="{}", event="changed")
            await asyncio.sleep(PAUSE)
    finally:
        hearing.cancel()
