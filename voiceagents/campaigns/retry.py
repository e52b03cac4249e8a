"""A call has ended: is the contact done, or when is it dialled again?

A table with a row for each cause. Pure: the end of the call, the policy, the time and a source of chance go in, a
decision in words comes out. It says when to try again at the earliest; whether the call is then allowed is for the
rules, which read everything again.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from random import Random
from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError

from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.windows import CallingWindow, Stretch, at_local


class PolicyError(ValueError):
    """The text or JSON is no retry policy.

    The message says which row is wrong and how to mend it.
    """


class Failure(StrEnum):
    """Two kinds of `failed` that are worth a row of their own."""

    CARRIER = "carrier_failure"
    """The carrier gave an error of its own."""

    AGENT = "agent_failure"
    """The person answered, and our side broke down."""


Cause = Outcome | Failure
CAUSES: tuple[Cause, ...] = (*Outcome, *Failure)

NEVER_AGAIN = frozenset(
    {Outcome.OPTED_OUT, Outcome.WRONG_NUMBER, Outcome.INVALID_NUMBER, Outcome.COMPLETED, Outcome.NOT_INTERESTED}
)
"""Final whatever a policy says."""

UNCOUNTED = frozenset({Outcome.CONGESTION, Outcome.NO_CAPACITY})
"""No phone rang for lack of a line: these use up no attempt of the contact."""

_NEVER_AGAIN_WORDS = {
    Outcome.OPTED_OUT: "the person asked not to be called again",
    Outcome.WRONG_NUMBER: "it is the number of somebody else",
    Outcome.INVALID_NUMBER: "there is no such number",
    Outcome.COMPLETED: "the conversation took place",
    Outcome.NOT_INTERESTED: "the person is not interested",
}

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DELAY = re.compile(r"\s*(\d{1,6})\s*([smhd])\s*")
_SHORTEST, _LONGEST = timedelta(seconds=10), timedelta(days=90)


def read_delay(value: object) -> timedelta:
    """A delay as people write it: 90s, 30m, 4h, 1d.

    Raises:
        ValueError: with the mend in the message.
    """
    if isinstance(value, timedelta):
        delay = value
    elif isinstance(value, str) and (match := _DELAY.fullmatch(value)):
        delay = timedelta(seconds=int(match[1]) * _UNITS[match[2]])
    else:
        raise ValueError(f'"{value}" is not a delay; write it as 90s, 30m, 4h or 1d')
    if not _SHORTEST <= delay <= _LONGEST:
        bounds = f"between {in_words(_SHORTEST)} and {in_words(_LONGEST)}"
        raise ValueError(f'the delay "{in_words(delay)}" must be {bounds}')
    return delay


def in_words(delay: timedelta) -> str:
    """A delay in the largest unit that divides it: 90s, 30m, 4h, 1d."""
    seconds = round(delay.total_seconds())
    unit = next((u for u in "dhm" if seconds and seconds % _UNITS[u] == 0), "s")
    return f"{seconds // _UNITS[unit]}{unit}"


Delay = Annotated[timedelta, BeforeValidator(read_delay), PlainSerializer(in_words, return_type=str)]


class Row(BaseModel):
    """What follows one cause."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(ge=1, le=100)
    """Attempts in all after which this cause is final; for uncounted causes, such endings in a row."""

    delays: tuple[Delay, ...] = Field(min_length=1, max_length=20)
    """The least wait after the first attempt, the second, …; the last one stands for all that follow."""

    jitter: float = Field(default=0.2, ge=0, le=1)
    """How much is added to the delay by chance, as a share of it, so that retries do not come in a wave."""

    other_time_of_day: bool = False
    """Prefer a part of the day (morning, afternoon, evening) in which this contact was tried least."""


def _row(attempts: int, *delays: str, jitter: float = 0.2, other_time_of_day: bool = False) -> Row:
    return Row(
        attempts=attempts,
        delays=tuple(read_delay(delay) for delay in delays),
        jitter=jitter,
        other_time_of_day=other_time_of_day,
    )


_FINAL = _row(1, "1d")

DEFAULTS: Mapping[Cause, Row] = {
    Outcome.BUSY: _row(4, "15m", "1h", "4h"),
    Outcome.NO_ANSWER: _row(4, "2h", "1d", other_time_of_day=True),
    Outcome.VOICEMAIL: _row(3, "4h", "1d", other_time_of_day=True),
    Outcome.SCREENED: _row(2, "1d", other_time_of_day=True),
    Outcome.MACHINE: _row(2, "1d"),
    Outcome.HUNG_UP: _row(2, "1d", other_time_of_day=True),
    Outcome.REJECTED: _row(2, "1d"),
    Outcome.UNREACHABLE: _row(3, "1h", "1d"),
    Outcome.CONGESTION: _row(30, "1m", "2m", "5m", "10m", jitter=0.5),
    Outcome.NO_CAPACITY: _row(30, "30s", "1m", "2m", "5m", jitter=0.5),
    Outcome.CALLBACK_REQUESTED: _row(6, "1d"),
    # Not known whether the phone rang: once more, and not soon.
    Outcome.FAILED: _row(2, "1h"),
    Failure.CARRIER: _row(3, "30m", "2h"),
    Failure.AGENT: _row(2, "1h"),
    Outcome.CANCELLED: _FINAL,
    **dict.fromkeys(sorted(NEVER_AGAIN), _FINAL),
}


@dataclass(frozen=True)
class RetryPolicy:
    """A row for each cause."""

    rows: Mapping[Cause, Row]

    @classmethod
    def parse(cls, value: object = None) -> "RetryPolicy":
        """A policy from JSON that names the rows, and in them the fields, which differ from the defaults.

        Such as `{"busy": {"attempts": 3, "delays": ["30m"]}}`.

        Raises:
            PolicyError: a line for each thing wrong.
        """
        if value is None:
            return cls(DEFAULTS)
        if not isinstance(value, Mapping):
            raise PolicyError('a retry policy is an object of causes, such as {"busy": {"delays": ["30m"]}}')
        rows, problems = dict(DEFAULTS), list[str]()
        for name, change in cast(Mapping[object, object], value).items():
            cause = next((cause for cause in CAUSES if cause.value == name), None)
            if cause is None:
                problems.append(f"{name}: no such cause; the causes are {', '.join(cause.value for cause in CAUSES)}")
            elif not isinstance(change, Mapping):
                problems.append(f'{name}: expected an object, such as {{"attempts": 3, "delays": ["30m", "2h"]}}')
            else:
                merged = {**DEFAULTS[cause].model_dump(), **cast(Mapping[str, object], change)}
                try:
                    rows[cause] = Row.model_validate(merged)
                except ValidationError as error:
                    problems.extend(_problems(cause, error))
                if cause in NEVER_AGAIN and rows[cause] != DEFAULTS[cause]:
                    problems.append(f"{name}: always final, so it cannot be changed")
        if problems:
            raise PolicyError("\n".join(problems))
        return cls(rows)

    def to_json(self) -> dict[str, dict[str, Any]]:
        """Every row, as it is shown and stored."""
        return {cause.value: self.rows[cause].model_dump(mode="json") for cause in CAUSES}


def _problems(cause: Cause, error: ValidationError) -> list[str]:
    return [
        f"{cause}, {'.'.join(str(part) for part in problem['loc'])}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in error.errors(include_input=False, include_url=False)
    ]


@dataclass(frozen=True)
class EndedCall:
    """What retrying asks of a call that ended."""

    outcome: Outcome
    ended_by: EndedBy
    dialled: bool
    """The call was claimed for dialling: the phone may have rung."""

    answered: bool
    attempts: int
    """Attempts of the contact that counted, this one included if it counts (see `counts`)."""

    in_a_row: int = 1
    """Calls to the contact up to and with this one that ended with this cause, one after the other."""

    callback_at: datetime | None = None
    """When the person asked to be called, if they named a time."""

    tried_at: Sequence[datetime] = ()
    """When the contact was dialled, this call included."""

    @property
    def cause(self) -> Cause:
        if self.outcome is Outcome.FAILED and self.answered:
            return Failure.AGENT
        if self.outcome is Outcome.FAILED and self.ended_by is EndedBy.CARRIER:
            return Failure.CARRIER
        return self.outcome


def counts(outcome: Outcome, *, dialled: bool) -> bool:
    """True when the call uses up an attempt: it was dialled, and not turned away for lack of a line."""
    return dialled and outcome not in UNCOUNTED


@dataclass(frozen=True)
class RetryDecision:
    """`at` None is final."""

    at: datetime | None
    words: str

    @property
    def final(self) -> bool:
        return self.at is None


def after(
    call: EndedCall,
    policy: RetryPolicy,
    now: datetime,
    random: Random,
    *,
    window: CallingWindow,
    zones: Sequence[ZoneInfo],
) -> RetryDecision:
    """What follows a call that ended.

    Args:
        call: how it ended.
        policy: the campaign's.
        now: the instant delays are counted from: the end of the call.
        random: where chance comes from.
        window: a time to try again lies in it, or at the delay when it does not open again in reach.
        zones: where the contact may be.
    """
    cause = call.cause
    if call.outcome in NEVER_AGAIN:
        return RetryDecision(None, f"{cause}: final, {_NEVER_AGAIN_WORDS[call.outcome]}")
    # A call that never got to the dial says nothing about the person, whatever it is called.
    row = policy.rows[cause if call.dialled else Outcome.NO_CAPACITY]
    counted = counts(call.outcome, dialled=call.dialled)
    made = max(1, call.attempts if counted else call.in_a_row)
    if made >= row.attempts:
        in_a_row = "" if counted else " in a row"
        return RetryDecision(None, f"{cause}: final, attempt {made} of {row.attempts}{in_a_row}")
    if cause is Outcome.CALLBACK_REQUESTED and call.callback_at is not None and call.callback_at > now:
        return _again(f"{cause}: at the time the person named", call.callback_at, timedelta(), random, window, zones)
    delay = row.delays[min(made, len(row.delays)) - 1]
    earliest = now + delay * (1 + row.jitter * random.random())
    used = f"attempt {made} of {row.attempts}" if counted else "no attempt used up"
    words = f"{cause}: {used}, again after {in_words(delay)}"
    if row.other_time_of_day and (other := _less_tried(earliest, call.tried_at, window, zones)):
        part = _part_of_day(other[0], zones[0])
        return RetryDecision(_somewhere_in(other, random), f"{words}, in the {part}, when fewer calls were tried")
    return _again(words, earliest, delay * row.jitter, random, window, zones)


def _again(
    words: str,
    earliest: datetime,
    spread: timedelta,
    random: Random,
    window: CallingWindow,
    zones: Sequence[ZoneInfo],
) -> RetryDecision:
    opening = next(window.openings(earliest, *zones), None)
    if opening is None:
        return RetryDecision(earliest, f"{words}; the calling window does not open again in reach")
    start, end = opening
    if start <= earliest:
        return RetryDecision(earliest, words)
    # All that came due while the window was shut would otherwise be dialled in its first second.
    return RetryDecision(_somewhere_in((start, min(end, start + spread)), random), f"{words}, when the window opens")


def _somewhere_in(stretch: Stretch, random: Random) -> datetime:
    start, end = stretch
    return start + timedelta(seconds=int((end - start).total_seconds() * random.random()))


_PARTS = ((0, "morning"), (12, "afternoon"), (17, "evening"))
_LOOK_AHEAD = timedelta(days=3)


def _part_of_day(instant: datetime, zone: ZoneInfo) -> str:
    hour = instant.astimezone(zone).hour
    return next(name for start, name in reversed(_PARTS) if hour >= start)


def _less_tried(
    earliest: datetime, tried: Sequence[datetime], window: CallingWindow, zones: Sequence[ZoneInfo]
) -> Stretch | None:
    """The next open part of a day in which fewer calls were tried than in the one that comes first, if there is one."""
    pieces = [
        piece
        for stretch in window.openings(earliest, *zones, horizon=_LOOK_AHEAD)
        for piece in _by_part_of_day(stretch, zones[0])
    ]
    if not pieces:
        return None
    times = Counter(_part_of_day(instant, zones[0]) for instant in tried)
    best = min(pieces, key=lambda piece: (times[_part_of_day(piece[0], zones[0])], piece[0]))
    return best if best != pieces[0] else None


def _by_part_of_day(stretch: Stretch, zone: ZoneInfo) -> Iterator[Stretch]:
    start, end = stretch
    day = start.astimezone(zone).date()
    for hour, _ in _PARTS[1:]:
        cut = at_local(datetime.combine(day, time(hour)), zone)
        if start < cut < end:
            yield start, cut
            start = cut
    yield start, end
