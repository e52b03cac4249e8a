"""Which time is meant by "next Thursday at three", and how is a time said aloud?

Code answers, not a model: models take a date for that of the year they were trained in, and count weekdays badly.
What may mean two things is said to, with both to choose from.
"""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Moment:
    """One instant."""

    start: datetime
    """Aware, in the zone it was meant in."""


@dataclass(frozen=True)
class Stretch:
    """A time within which something is wished: a day, an afternoon, next week. The end is not included."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Unclear:
    """No time, or more than one. Ask."""

    why: str
    """One sentence for the model or a log: "'next Thursday' may mean two days"."""
    choices: tuple["Moment | Stretch", ...] = ()
    """What may have been meant, the likeliest first; empty when nothing was understood or it is past."""


def understand(text: str, now: datetime, zone: ZoneInfo, *, earliest_hour: int = 7) -> Moment | Stretch | Unclear:
    """What a person, or a model for them, said about a time.

    Args:
        text: "tomorrow at three", "Thursday afternoon", "the 5th at half past two", "in two weeks", "2026-10-15T16:00".
            A zone that the text names ("2 pm New York time") goes before `zone`.
        now: the present instant, aware.
        zone: the zone the person speaks of, unless they name one.
        earliest_hour: an hour without am, pm or part of the day is the first such o'clock from this hour on.
    """
    raise NotImplementedError


def zone_named(text: str) -> ZoneInfo | None:
    """The time zone that a text names: "America/New_York", "New York", "Eastern time", "I am in London"."""
    raise NotImplementedError


def say(instant: datetime, zone: ZoneInfo, *, now: datetime | None = None, also: ZoneInfo | None = None) -> str:
    """An instant as it is said aloud, with its weekday: "Thursday, November 26 at 3:30 PM".

    Args:
        instant: aware.
        zone: whose clock is read.
        now: with it the year is said where it is not plain.
        also: a second zone whose time is added where its clock shows another one: "… at 2 PM New York time, that is
            7 PM London time".
    """
    raise NotImplementedError


def say_slots(starts: list[datetime], zone: ZoneInfo, *, now: datetime | None = None) -> str:
    """Several instants as one phrase, a day's times together: "Thursday, November 26 at 9 AM, 9:30 AM or 2 PM"."""
    raise NotImplementedError
