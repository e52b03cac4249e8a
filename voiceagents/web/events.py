"""What has just changed? PostgreSQL tells (NOTIFY), and every browser that looks hears of it.

One connection a process listens, however many browsers there are. An event says only what changed, not how: whoever
hears it reads the row, and so never shows what was not committed. Events of the same thing that come while a browser
is busy become one.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Collection
from contextlib import asynccontextmanager, suppress
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


@asynccontextmanager
async def listening(database: Database, kinds: Collection[str] = KINDS) -> AsyncGenerator["Subscriber"]:
    """Hears events of these kinds, and "missed" ones, from the moment the block begins:

    async with listening(database, {"call"}) as changes:
        … read how it is now …
        event = await changes.next()

    What is read inside the block and what is heard leave no gap. With the last block the connection ends.
    """
    hub = _hubs.setdefault(database, _Hub(database))
    subscriber = Subscriber(frozenset(kinds) | {MISSED})
    await hub.add(subscriber)
    try:
        yield subscriber
    finally:
        await hub.remove(subscriber)


async def events(database: Database, kinds: Collection[str] = KINDS) -> AsyncGenerator[Event]:
    """The same as a stream without end, that begins when the first event is asked for. Close it (`aclosing`)."""
    async with listening(database, kinds) as changes:
        while True:
            yield await changes.next()


class Subscriber:
    """Somebody who hears."""

    def __init__(self, kinds: frozenset[str]) -> None:
        self._kinds = kinds
        self._waiting: dict[Event, None] = {}
        self._some = asyncio.Event()

    def put(self, event: Event) -> None:
        """Tells it; what it was not asked for, or was told and has not yet taken, is nothing new."""
        if event.kind not in self._kinds:
            return
        if len(self._waiting) >= _MOST_WAITING:
            self._waiting.clear()
            event = Event(MISSED)
        self._waiting[event] = None
        self._some.set()

    async def next(self) -> Event:
        """The next event, once there is one."""
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
        self._subscribers: set[Subscriber] = set()
        self._task: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def add(self, subscriber: Subscriber) -> None:
        """Returns once nothing that happens from now on is missed, or the database is away (which is told later)."""
        self._subscribers.add(subscriber)
        if self._task is None:
            self._task = asyncio.create_task(self._listen(), name="web events")
        with suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._listening.wait()

    async def remove(self, subscriber: Subscriber) -> None:
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
