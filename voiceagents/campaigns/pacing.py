"""How many calls may start now, and whose are they? Pure arithmetic on limits and what is in use.

Places in use are counted from calls that have not ended, never kept as a counter: a counter can leak, a count cannot.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

FIRST_HOLD, LONGEST_HOLD = 2.0, 120.0
"""Seconds that a trunk rests after its first and after repeated congestion."""

LEAD = 1.5
"""Seconds before its turn at which a call may set out for an agent: about what an agent takes to get ready."""

JITTER = 0.25
"""Seconds by which the way of a dial may differ between two calls.

From the claim to the INVITE it takes 20 to 110 ms on an idle machine (the SIP service joins the room first), and some
300 ms on a busy one.
"""


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
class Claim:
    """A campaign's claim on a trunk that several want."""

    weight: int
    """Its priority, 1 to 10."""

    in_flight: int = 0
    served: float = 0.0
    """Calls that it was granted, each counted as one by its weight."""


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


def fair_places(mine: Claim, others: Sequence[Claim], free: int) -> int:
    """How many of `free` places this campaign takes when `others` wait for a place on the same trunk, too.

    Places go one by one to whoever has fewest for its weight, so that each has about its weight's part and nobody
    with a contact due is left without.
    """
    return _share(mine, others, free, lambda claim: (claim.in_flight / claim.weight, claim.served))


def fair_turns(mine: Claim, others: Sequence[Claim], free: int) -> int:
    """How many of `free` turns this campaign takes when `others` wait for a turn on the same trunk, too.

    Turns go one by one to whoever was granted fewest for its weight.
    """
    return _share(mine, others, free, lambda claim: (claim.served,))


def _share(mine: Claim, others: Sequence[Claim], free: int, had: Callable[[Claim], tuple[float, ...]]) -> int:
    if not others:
        return free
    rivals, taken = list(others), 0
    for _ in range(free):
        first = min(range(len(rivals)), key=lambda i: had(rivals[i]))
        if had(mine) <= had(rivals[first]):
            taken, mine = taken + 1, _granted(mine)
        else:
            rivals[first] = _granted(rivals[first])
    return taken


def _granted(claim: Claim) -> Claim:
    return replace(claim, in_flight=claim.in_flight + 1, served=claim.served + 1 / claim.weight)


@dataclass(frozen=True)
class Pace:
    """A limit on calls per second, and how it stands.

    Args:
        per_second: None when it does not apply.
        free_in: seconds until its next turn; in the past when nobody has dialled for a while.
        waiting: calls that are on their way to an agent and will take a turn each.
    """

    per_second: float | None
    free_in: float = 0.0
    waiting: int = 0


@dataclass(frozen=True)
class Turns:
    """How many calls may set out for their turn, and in how many seconds one more may (None: at once)."""

    calls: int
    more_in: float | None = None


def gap(per_second: float) -> float:
    """Seconds between two turns.

    A little more than the limit asks for: a dial is on its way for a varying time, and the carrier counts arrivals.
    """
    return 1 / per_second + JITTER / max(1.0, per_second)


def turns(most: int, paces: Sequence[Pace]) -> Turns:
    """How many of `most` calls may set out now, so that each has its turn within `LEAD` seconds.

    Not more, so that a pause, a new limit or a do-not-call entry finds few calls on their way; not fewer, so that an
    agent is there when the turn comes.
    """
    calls, more_in = most, 0.0
    for pace in paces:
        if not pace.per_second:
            continue
        step = gap(pace.per_second)
        time_left = LEAD - max(0.0, pace.free_in)
        # A little slack, or rounding decides whether a call sets out at its moment or one look later.
        fit = max(0, int(time_left / step + 1 + 1e-6) - pace.waiting) if time_left >= -1e-6 else 0
        calls = min(calls, fit)
    for pace in paces:
        if pace.per_second:
            # The turn of one more call comes within reach at this time.
            turn = max(0.0, pace.free_in) + (pace.waiting + calls) * gap(pace.per_second)
            more_in = max(more_in, turn - LEAD)
    return Turns(calls, more_in if more_in > 0 else None)


def level(served: float, others: Sequence[Claim]) -> float:
    """The account of a campaign that joins `others`, who wait already.

    It starts level with the one that had fewest, and does not catch up at their cost on what it did not want before.
    """
    return max(served, min((claim.served for claim in others), default=served))


def next_hold(previous_seconds: float) -> float:
    """Seconds to rest after one more refusal in a row."""
    return min(LONGEST_HOLD, max(FIRST_HOLD, previous_seconds * 2))
