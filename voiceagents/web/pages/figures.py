"""What do the pages count? A campaign's progress, status and charts, as the last that is known of them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from voiceagents import clock
from voiceagents.campaigns import charts, lifecycle, status
from voiceagents.campaigns.charts import Ended, Failure
from voiceagents.campaigns.lifecycle import Progress
from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.status import Status
from voiceagents.db import Database
from voiceagents.web.pages.remembered import Known, Remembered

_memory = Remembered()

CHARTED = timedelta(days=7)
"""How far back charts look."""

FAILED_LATELY = timedelta(hours=24)


async def progress(database: Database, campaign_id: UUID) -> Known[Progress]:
    """Counts of contacts."""

    async def read() -> Progress:
        async with database.transaction() as session:
            return await lifecycle.progress(session, campaign_id)

    return await _memory.get((database, "progress", campaign_id), read, patience=0.04)


async def status_of(database: Database, campaign: Campaign) -> Known[Status]:
    """Counts, calls in flight, what holds the campaign, and the forecast."""

    async def read() -> Status:
        async with database.transaction() as session:
            return await status.read(session, campaign, clock.now())

    return await _memory.get((database, "status", campaign.id, campaign.state), read)


async def ended_by_hour(database: Database, campaign_id: UUID, now: datetime) -> Known[Sequence[Ended]]:
    """The calls of the last days."""

    async def read() -> Sequence[Ended]:
        async with database.transaction() as session:
            return await charts.by_hour(session, campaign_id, now - CHARTED)

    return await _memory.get((database, "ended", campaign_id), read)


async def failures(database: Database, campaign_id: UUID, now: datetime) -> Known[Sequence[Failure]]:
    """What went wrong lately."""

    async def read() -> Sequence[Failure]:
        async with database.transaction() as session:
            return await charts.failures(session, campaign_id, now - FAILED_LATELY)

    return await _memory.get((database, "failures", campaign_id), read)


def forget(campaign_id: UUID) -> None:
    """Somebody has just changed the campaign: what is shown next is read anew."""
    _memory.drop_all(lambda key: isinstance(key, tuple) and campaign_id in key)
