"""Is the assistant's calendar there? It is opened for one call and must answer at once: one that does not is left out,
so that nobody is promised what it would have to keep."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from voiceagents import clock
from voiceagents.assistants.resolver import Resolved
from voiceagents.calendars import store
from voiceagents.calendars.base import Calendar, CalendarDown, CalendarProblem
from voiceagents.db import Database

log = logging.getLogger("voiceagents.tools")

ANSWERS_WITHIN = 2.5
"""Seconds: longer, and the caller would wait for the calendar before they hear a word."""


def has_calendar(assistant: Resolved) -> bool:
    """Whether the assistant is to have one, be it there or not."""
    return assistant.calendar_id is not None or assistant.calendar is not None


@asynccontextmanager
async def open_calendar(assistant: Resolved, database_url: str) -> AsyncGenerator[Calendar | None]:
    """The calendar while the block lasts; None when there is none, or it is away."""
    async with AsyncExitStack() as stack:
        yield await _opened(assistant, database_url, stack) if has_calendar(assistant) else None


async def _opened(assistant: Resolved, database_url: str, stack: AsyncExitStack) -> Calendar | None:
    try:
        async with asyncio.timeout(ANSWERS_WITHIN):
            calendar = await _of(assistant, database_url, stack)
            stack.push_async_callback(calendar.aclose)
            now = clock.now()
            await calendar.free(now, now + timedelta(minutes=1))
    except (CalendarDown, CalendarProblem, TimeoutError) as error:
        name = assistant.calendar_id or "of the assistant"
        log.warning("CALENDAR_AWAY | calendar=%s | cause=%s", name, error or "it does not answer in time")
        return None
    return calendar


async def _of(assistant: Resolved, database_url: str, stack: AsyncExitStack) -> Calendar:
    if assistant.calendar_id is None:
        given = assistant.calendar or {}
        name = f"{assistant.name}'s calendar"
        return store.opened(assistant.id or "calendar", name, str(given.get("provider")), given.get("settings") or {})
    # Connections belong to an event loop, and each call has one of its own.
    database = Database(database_url, pool_size=2, wait=ANSWERS_WITHIN)
    stack.push_async_callback(database.close)
    return await store.calendar_of(database, assistant.calendar_id)
