"""How have a campaign's calls ended, hour by hour, and what went wrong? Counts for charts and for words."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Call
from voiceagents.calls.states import Outcome

FAILURES = (
    Outcome.FAILED, Outcome.CONGESTION, Outcome.NO_CAPACITY, Outcome.REJECTED, Outcome.UNREACHABLE,
    Outcome.INVALID_NUMBER,
)  # fmt: skip
"""Outcomes that somebody may be able to do something about."""


@dataclass(frozen=True)
class Ended:
    """Calls of one hour that were dialled and ended the same way."""

    hour: datetime
    outcome: str
    answered: int
    calls: int


@dataclass(frozen=True)
class Failure:
    """Calls that failed for the same reason."""

    outcome: str
    sip_status: int | None
    cause: str
    """Of one of them."""

    calls: int
    last_at: datetime


async def by_hour(session: AsyncSession, campaign_id: UUID, since: datetime) -> Sequence[Ended]:
    """The campaign's dialled calls that ended since then, by hour and outcome."""
    hour = func.date_trunc("hour", Call.ended_at, "UTC")
    rows = await session.execute(
        select(hour, Call.outcome, func.count(Call.answered_at), func.count())
        .where(
            Call.campaign_id == str(campaign_id),
            Call.ended_at >= since,
            Call.dialing_at.is_not(None),
            Call.outcome.is_not(None),
        )
        .group_by(hour, Call.outcome)
        .order_by(hour)
    )
    return [Ended(at, str(outcome), answered, calls) for at, outcome, answered, calls in rows]


async def failures(session: AsyncSession, campaign_id: UUID, since: datetime, limit: int = 8) -> Sequence[Failure]:
    """What went wrong since then, the most frequent first."""
    calls = func.count()
    rows = await session.execute(
        select(Call.outcome, Call.sip_status, func.max(Call.cause), calls, func.max(Call.ended_at))
        .where(Call.campaign_id == str(campaign_id), Call.ended_at >= since, Call.outcome.in_(FAILURES))
        .group_by(Call.outcome, Call.sip_status)
        .order_by(calls.desc())
        .limit(limit)
    )
    return [
        Failure(str(outcome), status, cause or "", count, at)
        for outcome, status, cause, count, at in rows
        if at is not None
    ]


def hours(ended: Sequence[Ended]) -> list[datetime]:
    """Every hour from the first to the last, also those without calls."""
    if not ended:
        return []
    first, last = ended[0].hour, ended[-1].hour
    return [first + timedelta(hours=n) for n in range(int((last - first).total_seconds() // 3600) + 1)]


def outcomes_over_time(ended: Sequence[Ended], most: int = 5) -> dict[str, list[int]]:
    """Calls by outcome for each of `hours`: the most frequent outcomes, and the others together."""
    frequent = [name for name, _ in _totals(ended).most_common(most)]
    at = {hour: index for index, hour in enumerate(hours(ended))}
    lines: dict[str, list[int]] = {}
    for entry in ended:
        name = entry.outcome if entry.outcome in frequent else "other"
        lines.setdefault(name, [0] * len(at))[at[entry.hour]] += entry.calls
    return {name: lines[name] for name in [*frequent, "other"] if name in lines}


def answer_rate_by_hour_of_day(ended: Sequence[Ended], zone: ZoneInfo) -> dict[int, tuple[int, int]]:
    """Answered and all dialled calls for each hour of the day in which any ended."""
    counted: dict[int, tuple[int, int]] = {}
    for entry in ended:
        hour = entry.hour.astimezone(zone).hour
        answered, calls = counted.get(hour, (0, 0))
        counted[hour] = answered + entry.answered, calls + entry.calls
    return dict(sorted(counted.items()))


def _totals(ended: Sequence[Ended]) -> Counter[str]:
    totals: Counter[str] = Counter()
    for entry in ended:
        totals[entry.outcome] += entry.calls
    return totals
