"""When will this campaign be finished?

A steady-flow estimate: the dials still to make, at the rate that the limits allow, in the hours that the window
leaves. Pure; the history of the campaign goes in as counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil, log
from zoneinfo import ZoneInfo

from voiceagents.windows import CallingWindow

# What is assumed before the campaign has calls of its own; outweighed after a few dozen.
_PRIOR_CALLS, _PRIOR_ANSWER_RATE = 10, 0.3
_PRIOR_ANSWERED_SECONDS, _PRIOR_UNANSWERED_SECONDS = 90.0, 25.0
_HORIZON = timedelta(days=366)


@dataclass(frozen=True)
class Observed:
    """What the campaign's calls took so far."""

    answered: int = 0
    answered_seconds: float = 0.0
    """From the dial to the end, all answered calls together."""

    unanswered: int = 0
    unanswered_seconds: float = 0.0

    @property
    def answer_rate(self) -> float:
        return (self.answered + _PRIOR_CALLS * _PRIOR_ANSWER_RATE) / (self.answered + self.unanswered + _PRIOR_CALLS)

    @property
    def seconds_per_call(self) -> float:
        """How long a call holds its place, answered or not."""
        answered = _mean(self.answered, self.answered_seconds, _PRIOR_ANSWERED_SECONDS)
        unanswered = _mean(self.unanswered, self.unanswered_seconds, _PRIOR_UNANSWERED_SECONDS)
        return self.answer_rate * answered + (1 - self.answer_rate) * unanswered


@dataclass(frozen=True)
class Limits:
    """How fast the campaign may dial."""

    concurrent: int
    calls_per_second: float | None = None
    daily_cap: int | None = None
    attempts: int = 3
    """Most attempts for one contact."""

    retry_delay: timedelta = timedelta()
    """The usual wait before the next attempt."""


@dataclass(frozen=True)
class Forecast:
    """`finish` None: not within a year, or never; the words say what stands in the way."""

    finish: datetime | None
    dials: int
    per_hour: int
    """Dials in an open hour."""

    limited_by: str
    words: str


def forecast(
    waiting: Mapping[int, int],
    observed: Observed,
    limits: Limits,
    window: CallingWindow,
    zones: Sequence[ZoneInfo],
    now: datetime,
    dialled_today: int = 0,
) -> Forecast:
    """The expected end.

    Args:
        waiting: how many contacts wait, by the attempts they had.
        observed: the calls so far.
        limits: those that apply; the lower of campaign's and trunk's.
        window: when calls may go out.
        zones: the zone of the campaign, or the few that most contacts are in.
        now: the present.
        dialled_today: what is used up of the daily cap.
    """
    answer_rate = observed.answer_rate
    dials, rounds = 0.0, 0
    for made, contacts in waiting.items():
        left = max(0, limits.attempts - made)
        if contacts > 0 and left > 0:
            dials += contacts * (1 - (1 - answer_rate) ** left) / answer_rate
            # After this many attempts less than one of them is expected to be unanswered still.
            rounds = max(rounds, min(left, 1 + ceil(log(contacts) / -log(1 - answer_rate))))
    total = round(dials)
    rate, limited_by = _rate(observed, limits)
    per_hour = round(rate * 3600)
    if total == 0:
        return Forecast(now, 0, per_hour, "nothing", "nothing is left to dial")
    if rate <= 0:
        return Forecast(None, total, 0, limited_by, f"never: {limited_by} is 0")
    last_dial, capped = _walk(dials, rate, limits.daily_cap, dialled_today, window, zones, now)
    if last_dial is None:
        by = "the daily cap" if capped else "the calling window"
        return Forecast(None, total, per_hour, by, f"not within a year: {by} leaves too little time")
    if capped:
        limited_by = "the daily cap"
    retries_end = window.next_opening(now + (rounds - 1) * limits.retry_delay, *zones)
    if retries_end is not None and retries_end > last_dial:
        last_dial, limited_by = retries_end, "the wait between attempts"
    finish = last_dial + timedelta(seconds=observed.seconds_per_call)
    words = (
        f"about {total} more dials at up to {per_hour} an hour while the window is open, "
        f"{answer_rate:.0%} answered; limited by {limited_by}"
    )
    return Forecast(finish, total, per_hour, limited_by, words)


def _rate(observed: Observed, limits: Limits) -> tuple[float, str]:
    by_places = limits.concurrent / max(1.0, observed.seconds_per_call)
    if limits.calls_per_second is not None and limits.calls_per_second < by_places:
        return limits.calls_per_second, "calls per second"
    return by_places, "calls at once"


def _walk(
    dials: float,
    rate: float,
    daily_cap: int | None,
    dialled_today: int,
    window: CallingWindow,
    zones: Sequence[ZoneInfo],
    now: datetime,
) -> tuple[datetime | None, bool]:
    """When the last dial goes out, and whether the daily cap ever stood in the way."""
    left, capped = dials, False
    day, room_today = None, float("inf")
    for start, end in window.openings(now, *zones, horizon=_HORIZON):
        local = start.astimezone(zones[0]).date()
        if daily_cap is not None and local != day:
            used = dialled_today if local == now.astimezone(zones[0]).date() else 0
            day, room_today = local, max(0.0, daily_cap - used)
        possible = rate * (end - start).total_seconds()
        if left <= min(possible, room_today):
            return start + timedelta(seconds=left / rate), capped
        capped = capped or room_today < possible
        left -= min(possible, room_today)
        room_today -= min(possible, room_today)
    return None, capped


def _mean(count: int, total: float, prior: float) -> float:
    return (total + _PRIOR_CALLS * prior) / (count + _PRIOR_CALLS)
