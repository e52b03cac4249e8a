"""Which agent processes live? Each says so every second or two; one that falls silent has left its calls alone.

Times are the database's own, so that the clocks of several machines do not matter.
"""

from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Worker

BEAT = 1.5
"""Seconds between two signs of life."""

SILENT = 6.0
"""Seconds without one after which a worker counts as dead."""


async def beat(session: AsyncSession, worker_id: str, host: str, pid: int) -> None:
    """One sign of life."""
    statement = insert(Worker).values(id=worker_id, host=host, pid=pid)
    await session.execute(
        statement.on_conflict_do_update(index_elements=[Worker.id], set_={"seen_at": func.now(), "stopped_at": None})
    )


async def leave(session: AsyncSession, worker_id: str) -> None:
    """The worker has ended its calls and stops."""
    await session.execute(update(Worker).where(Worker.id == worker_id).values(stopped_at=func.now()))


async def living(session: AsyncSession) -> set[str]:
    """Ids of the workers that live."""
    recent = func.now() - timedelta(seconds=SILENT)
    return set(await session.scalars(select(Worker.id).where(Worker.stopped_at.is_(None), Worker.seen_at > recent)))
