"""How many calls may start now, and at what moment each? Pure arithmetic on limits and what is in use.

Places in use are counted from calls that have not ended, never kept as a counter: a counter can leak, a count cannot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_HOLD, LONGEST_HOLD = 2.0, 120.0
"""Seconds that a trunk rests after its first and after repeated congestion."""


@dataclass(frozen=True)
class Place:
    """A limit on calls at once, and how many there are."""

    name: str
    limit: int | None
    used: int

    @property
    def free(self) -> int | None:
        """Calls that may be added; None: any number."""
        return None if self.limit is None else max(0, self.limit - self.used)


@dataclass(frozen=True)
class Hold:
    """A rest until a time, with its cause in words."""

    name: str
    until: datetime | None
    cause: str | None


@dataclass(frozen=True)
class Room:
    """How many calls may start, and what stands in the way of more."""

    calls: int
    blocked_by: str
    until: datetime | None = None
    """When it is worth to look again by itself; None: when a call ends or a limit changes."""


@dataclass(frozen=True)
class Share:
    """A campaign's claim on a trunk that several want. Weight is its priority, 1 to 10."""

    weight: int
    in_flight: int


def room(places: Sequence[Place], holds: Sequence[Hold], now: datetime) -> Room:
    """The room that all places together leave, unless something rests."""
    for hold in holds:
        if hold.until is not None and hold.until > now:
            return Room(0, f"{hold.name} rests: {hold.cause}", hold.until)
    limited = [(place.free, place) for place in places if place.free is not None]
    if not limited:
        return Room(1_000, "nothing")
    free, tightest = min(limited, key=lambda pair: pair[0] or 0)
    return Room(free or 0, f"{tightest.name}: {tightest.used} of {tightest.limit} in use")


def fair_share(mine: Share, others: Sequence[Share], free: int, total: int | None) -> int:
    """How many of `free` places this campaign takes, when `others` with due contacts want the same trunk.

    Each campaign is entitled to its weight's part of all places that campaigns have (in use or free); what it is owed
    and not yet using comes first. Places that others are not owed are anybody's. Two campaigns that both have contacts
    due never starve each other, whatever their weights.

    Args:
        total: places of the trunk; None when it has no limit, then everybody takes what is free.
    """
    if total is None or not others or free <= 0:
        return free
    weights = mine.weight + sum(share.weight for share in others)
    pool = free + mine.in_flight + sum(share.in_flight for share in others)
    owed_to_others = sum(max(0, _entitled(share.weight, weights, pool) - share.in_flight) for share in others)
    owed_to_me = max(0, _entitled(mine.weight, weights, pool) - mine.in_flight)
    return max(min(free, owed_to_me), free - owed_to_others, 0)


def _entitled(weight: int, weights: int, pool: int) -> int:
    return max(1, round(pool * weight / weights))


def slots(
    count: int, rates: Sequence[tuple[float | None, datetime | None]], now: datetime, horizon: timedelta
) -> list[datetime]:
    """The moments at which up to `count` calls may start, none later than `horizon` from now.

    Args:
        rates: for each limit on calls per second, the limit (None: none) and the earliest moment it has free.
    """
    moments: list[datetime] = []
    next_free = [max(now, free or now) for _, free in rates]
    for _ in range(count):
        moment = max([now, *next_free])
        if moment - now > horizon:
            break
        moments.append(moment)
        next_free = [
            moment + timedelta(seconds=1 / rate) if rate else moment
            for (rate, _), _old in zip(rates, next_free, strict=True)
        ]
    return moments


def next_hold(previous_seconds: float) -> float:
    """Seconds to rest after one more refusal in a row."""
    return min(LONGEST_HOLD, max(FIRST_HOLD, previous_seconds * 2))
