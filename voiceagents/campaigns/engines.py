"""Which engine processes live? Each says so in the job tables, every two seconds."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

SILENT = 10.0
"""Seconds without a sign of life after which an engine counts as dead."""


async def living(session: AsyncSession) -> int:
    """How many engines live."""
    return (
        await session.scalar(
            text(
                "SELECT count(*) FROM procrastinate_workers"
                " WHERE last_heartbeat > now() - make_interval(secs => :silent)"
            ),
            {"silent": SILENT},
        )
        or 0
    )
