"""What has just changed? PostgreSQL tells (NOTIFY), and every browser that looks hears of it.

One connection a process listens, however many browsers there are. An event says only what changed, not how: whoever
hears it reads the row, and so never shows what was not committed. Events of the same thing that come while a browser
is busy become one.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Collection
from contextlib import suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import psycopg
from sqlalchemy import make_url

from voiceagents.db import Database

log = logging.getLogger("voiceagents.web")

CHANNEL = "voiceagents_events"
"""PostgreSQL notifies on this channel, by triggers on the tables; the payload is `{"kind", "id", …}`."""

KINDS = ("call", "turn", "campaign", "import", "delivery")
MISSED = "missed"
"""The kind of the event that says that others may have been missed: read everything again."""

_PAUSE = 1.0
_MOST_WAITING = 1000


@dataclass(frozen=True)
class Event:
    """Something changed.

    `kind` "call": a call's state (`id` its id, `campaign` its campaign or empty); "turn": something was said (`id` of
    the call); "campaign": its state or terms; "import": an import's progress; "delivery": of a webhook; "missed".
    """

    kind: str
    id: str = ""
    campaign: str = ""


async def events(database: Database, kinds: Collection[str] = KINDS) -> AsyncGenerator[Event]:
    """Events of these kinds from now on, without end; "missed" ones always.

    Close it (`aclosing`) when nobody looks any more: with the last one the connection ends.
    """
    hub = _hubs.setdefault(database, _Hub(database))
    subscriber = _Subscriber(frozenset(kinds) | {MISSED})
    await hub.add(subscriber)
    try:
        while True:
            yield await subscriber.next()
    finally:
        await hub.remove(subscriber)


class _Subscriber:
    def __init__(self, kinds: frozenset[str]) -> None:
        self._kinds = kinds
        self._waiting: dict[Event, None] = {}
        self._some = asyncio.Event()

    def put(self, event: Event) -> None:
        if event.kind not in self._kinds:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.clear()
            event = Event(MISSED)
        self._waiting[event] = None
        self._some.set()

    async def next(self) -> Event:
        await self._some.wait()
        event = next(iter(self._waiting))
        del self._waiting[event]
        if not self._waiting:
            self._some.clear()
        return event


class _Hub:
    """Listens as long as somebody is there to hear."""

    def __init__(self, database: Database) -> None:
        self._url = make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._subscribers: set[_Subscriber] = set()
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def add(self, subscriber: _Subscriber) -> None:
        """Returns once nothing that happens from now on is missed, or the database is away (which is told later)."""
        self._subscribers.add(subscriber)
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="web events")
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._listening.wait()

    async def remove(self, subscriber: _Subscriber) -> None:
        self._subscribers.discard(subscriber)
        if not self._subscribers and self._task is not None:
            task, self._task = self._task, None
            self._listening.clear()
            task.cancel()
            await asyncio.wait({task})

    async def _listen(self) -> None:
        missed = False
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=5, application_name="voiceagents web events"
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._listening.set()
                    if missed:
                        self._tell(Event(MISSED))
                    async for notice in connection.notifies():
                        if (event := _read(notice.payload)) is not None:
                            self._tell(event)
            except (psycopg.Error, OSError) as error:
                log.warning("EVENTS_DEAF | cause=%s", (str(error).strip().splitlines() or [type(error).__name__])[0])
            missed = True
            self._listening.clear()
            await asyncio.sleep(_PAUSE)

    def _tell(self, event: Event) -> None:
        for subscriber in self._subscribers:
            subscriber.put(event)


def _read(payload: str) -> Event | None:
    try:
        values = json.loads(payload)
        return Event(str(values["kind"]), str(values.get("id") or ""), str(values.get("campaign") or ""))
    except (ValueError, TypeError, KeyError, AttributeError):
        log.warning("EVENT_UNREADABLE | payload=%s", payload[:200])
        return None


_hubs: WeakKeyDictionary[Database, _Hub] = WeakKeyDictionary()
