"""When does an engine send webhooks? As soon as the database says that something happened, and again when it is time.

What is due stands in the tables; jobs, one for each endpoint, carry it out, so that a receiver that is slow or down
holds up no other.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from random import Random
from uuid import UUID

import httpx

from voiceagents.db import Database
from voiceagents.webhooks import delivering

LONGEST = timedelta(minutes=1)
"""Time after which is looked anyway, should a notification have been lost or the clock have been set."""


class Deliveries:
    """What an engine knows of deliveries."""

    def __init__(self, database: Database, random: Random) -> None:
        self._database = database
        self._random = random
        self._look_at: datetime | None = None
        """None: now."""

    def hear(self) -> None:
        """Something happened."""
        self._look_at = None

    async def defer_due(self, now: datetime, defer: Callable[[UUID], Awaitable[None]]) -> datetime:
        """Defers a job for each endpoint with something due. Returns the next time at which to ask."""
        if self._look_at is not None and now < self._look_at <= now + LONGEST:
            return self._look_at
        self._look_at = now + LONGEST
        try:
            async with self._database.transaction() as session:
                due = await delivering.due(session, now)
            for endpoint_id in due.endpoints:
                await defer(endpoint_id)
        except BaseException:
            self._look_at = None
            raise
        if due.next_at is not None and self._look_at is not None:  # pyright: ignore[reportUnnecessaryComparison]  it may have heard meanwhile
            self._look_at = min(self._look_at, due.next_at)
        return self._look_at or now

    async def deliver(self, endpoint_id: UUID) -> None:
        """The job: sends what is due to one endpoint."""
        async with httpx.AsyncClient(follow_redirects=False, timeout=10) as client:
            while await delivering.deliver(self._database, client, endpoint_id, self._random):
                continue
        await delivering.forget(self._database, endpoint_id)
        # A retry may be due before the next look.
        self.hear()
