"""Which agent processes live? Each says so every second or two; one that falls silent has left its calls alone.

Times are the database's own, so that the clocks of several machines do not matter.
"""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Worker

BEAT = 1.5
"""Seconds between two signs of life."""

WORKER_ID = "VOICEAGENTS_WORKER_ID"
"""The environment variable in which an agent process passes its id to the processes that it starts."""

SILENT = 6.0
"""Seconds without one after which a worker counts as dead. A sign from so far in the future counts for nothing, either:
the clock was set back since."""


async def beat(
    session: AsyncSession, worker_id: str, host: str, pid: int, *, max_calls: int, active_calls: int, accepting: bool
) -> None:
    """One sign of life, with the room that is left."""
    load = {"max_calls": max_calls, "active_calls": active_calls, "accepting": accepting}
    statement = insert(Worker).values(id=worker_id, host=host, pid=pid, **load)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Worker.id], set_={"seen_at": func.now(), "stopped_at": None, **load}
        )
    )


@dataclass(frozen=True)
class Places:
    """Calls that the living agent processes can hold together."""

    total: int
    used: int
    """As the agents last said."""
    workers: frozenset[str]


async def places(session: AsyncSession) -> Places:
    """The room in all agent processes that live and take calls."""
    rows = (
        await session.execute(
            select(Worker.id, Worker.max_calls, Worker.active_calls).where(
                Worker.stopped_at.is_(None), _recently(), Worker.accepting
            )
        )
    ).all()
    return Places(sum(row[1] for row in rows), sum(row[2] for row in rows), frozenset(row[0] for row in rows))


async def leave(session: AsyncSession, worker_id: str) -> None:
    """The worker has ended its calls and stops."""
    await session.execute(update(Worker).where(Worker.id == worker_id).values(stopped_at=func.now()))


async def living(session: AsyncSession) -> set[str]:
    """Ids of the workers that live."""
    return set(await session.scalars(select(Worker.id).where(Worker.stopped_at.is_(None), _recently())))


def _recently() -> ColumnElement[bool]:
    moment = timedelta(seconds=SILENT)
    return Worker.seen_at.between(func.now() - moment, func.now() + moment)


async def silence(session: AsyncSession, worker_id: str) -> float:
    """Seconds since this worker's last sign of life; 0 for one that has stopped in good order or never lived."""
    age = func.extract("epoch", func.now() - Worker.seen_at)
    seconds = await session.scalar(select(age).where(Worker.id == worker_id, Worker.stopped_at.is_(None)))
    return float(seconds or 0.0)
