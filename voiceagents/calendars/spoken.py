"""Which time is meant by "next Thursday at three", and how is a time said aloud?

Code answers, not a model: models take a date for that of the year they were trained in, and count weekdays badly.
What may mean two things is said to, with both to choose from. English only.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import groupby
from zoneinfo import ZoneInfo

from voiceagents.calendars.spoken_days import LAST_YEAR, Days, days_in
from voiceagents.calendars.spoken_times import MIDNIGHT_AT_THE_END, Hours, NoSuchTime, hours_in
from voiceagents.calendars.spoken_words import plain
from voiceagents.calendars.spoken_zones import called, zone_in

_DAY = timedelta(days=1)
_MOST_CHOICES = 7
_ISO = re.compile(r"\s*(\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:[Zz]|[+-]\d{2}:?\d{2})?)\s*")
_COUNT = r"(?P<count>half an|(?:a |3 )?quarters? of an|\d{1,4}(?:\.\d+)?|(?:a )?couple of|an?)"
_SPAN = re.compile(
    rf"\b(?P<in>in (?:about )?)?{_COUNT}(?P<half> and a half)? (?P<unit>minute|min|hour)s?(?P<more> and a half)?"
    r"(?(in)(?: from now)?| from now)\b"
)
_CHANGE = re.compile(r"\b(before|after) the clocks change\b", re.IGNORECASE)
_NEGATIVE = re.compile(r"\b(?:not|never|no|except|cannot|\w+n't|but)\b")


@dataclass(frozen=True)
class Moment:
    """One instant."""

    start: datetime
    """Aware, in the zone it was meant in. Compare it as UTC: within one zone Python compares clocks, not instants."""


@dataclass(frozen=True)
class Stretch:
    """A time within which something is wished: a day, an afternoon, next week. The end is not included."""

    start: datetime
    end: datetime
    hours: tuple[time, time] | None = None
    """Only these hours of each day count, as in "next week in the afternoon"; the second is `time.max` for 24:00."""

    def holds(self, instant: datetime) -> bool:
        """Whether this instant lies in it."""
        if not self.start.astimezone(UTC) <= instant.astimezone(UTC) < self.end.astimezone(UTC):
            return False
        local = instant.astimezone(self.start.tzinfo)
        return self.hours is None or self.hours[0] <= local.timetz().replace(tzinfo=None) < self.hours[1]


@dataclass(frozen=True)
class Unclear:
    """No time, or more than one. Ask."""

    why: str
    """One sentence for the model or a log: "'next Thursday' may be the coming one or that of next week"."""
    choices: tuple["Moment | Stretch", ...] = ()
    """What may have been meant, the likeliest first; empty when nothing was understood or it is past."""


def understand(
    text: str, now: datetime, zone: ZoneInfo, *, day: date | None = None, earliest_hour: int = 7
) -> Moment | Stretch | Unclear:
    """What a person, or a model for them, said about a time.

    Args:
        text: "tomorrow at three", "Thursday afternoon", "the 5th at half past two", "in two weeks", "2026-10-15T16:00".
            A zone that the text names ("2 pm New York time") goes before `zone`.
        now: the present instant, aware.
        zone: the zone the person speaks of, unless they name one.
        day: the day that is being talked about, for "at three" alone; None: the next time it is three.
        earliest_hour: an hour without am, pm or part of the day is the first such o'clock from this hour on: with 7,
            "six" is 6 PM and "eight" is 8 AM.
    """
    if change := _CHANGE.search(text):
        reading = understand(text.replace(change[0], " "), now, zone, day=day, earliest_hour=earliest_hour)
        after = change[1].lower() == "after"
        said = [one for one in _choices(reading) if isinstance(one, Moment) and one.start.fold == after]
        return said[0] if len(said) == 1 else reading
    if named := zone_in(text):
        zone, text = named
    today = now.astimezone(zone)
    if match := _ISO.fullmatch(text):
        return _iso(match[1], today, zone)
    sentence = plain(text)
    if match := _SPAN.search(sentence):
        return Moment((now + _span(match)).astimezone(zone).replace(second=0, microsecond=0))
    parts = re.split(r"\bor\b", sentence)
    readings = [_read(part, today, day, earliest_hour) for part in parts]
    if len(parts) > 1 and len({len(_choices(reading)) for reading in readings} - {0}) > 0:
        readings = _filled_up(parts, readings, today, day, earliest_hour)
        return _one_of(f"{text.strip()!r} names several times", [c for r in readings for c in _choices(r)], today)
    return readings[0]


def _span(match: re.Match[str]) -> timedelta:
    """How long "an hour and a half" is."""
    said = match["count"]
    words = {"half": 0.5, "3 quarter": 0.75, "quarter": 0.25, "couple": 2.0}
    count = float(said) if said[0].isdigit() and " " not in said else 0.0
    count = count or next((worth for word, worth in words.items() if word in said), 1.0)
    count += 0.5 if match["half"] or match["more"] else 0.0
    return timedelta(hours=count) if match["unit"] == "hour" else timedelta(minutes=count)


def zone_named(text: str) -> ZoneInfo | None:
    """The time zone that a text names: "America/New_York", "New York", "Eastern time", "I am in London"."""
    named = zone_in(text)
    return named[0] if named else None


def say(instant: datetime, zone: ZoneInfo, *, now: datetime | None = None, also: ZoneInfo | None = None) -> str:
    """An instant as it is said aloud, with its weekday: "Thursday, November 26 at 3:30 PM".

    Args:
        instant: aware.
        zone: whose clock is read.
        now: with it the year is said where it is not plain.
        also: a second zone whose time is added where its clock shows another one: "Wednesday, July 15 at 2 PM New York
            time, that is 7 PM London time".
    """
    local = instant.astimezone(zone)
    said = f"{say_day(local.date(), now and now.astimezone(zone).date())} at {_clock(local)}{_which(local)}"
    if also is None:
        return said
    other = instant.astimezone(also)
    if other.replace(tzinfo=None) == local.replace(tzinfo=None):
        return said
    there = _clock(other) if other.date() == local.date() else f"{say_day(other.date())} at {_clock(other)}"
    return f"{said} {called(zone)}, that is {there} {called(also)}"


def say_day(day: date, today: date | None = None) -> str:
    """A date with its weekday, and its year where that is not plain: "Monday, August 16, 2027"."""
    far = today is not None and day.year != today.year and abs(day - today) > timedelta(days=90)
    return f"{day:%A, %B} {day.day}" + (f", {day.year}" if far else "")


def say_slots(starts: Sequence[datetime], zone: ZoneInfo, *, now: datetime | None = None) -> str:
    """Several instants as one phrase, a day's times together: "Thursday, November 26 at 9 AM, 9:30 AM or 2 PM"."""
    today = now.astimezone(zone).date() if now else None
    days = [
        f"{say_day(day, today)} at {_listed([_clock(local) for local in locals_])}"
        for day, locals_ in groupby((start.astimezone(zone) for start in starts), key=datetime.date)
    ]
    return "; or ".join(days)


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]


def _which(local: datetime) -> str:
    """Of a time that comes twice: the first or the second."""
    if local.replace(fold=0).utcoffset() == local.replace(fold=1).utcoffset():
        return ""
    return f", {'after' if local.fold else 'before'} the clocks change"


def _clock(local: datetime) -> str:
    if local.minute == 0 and local.hour in (0, 12):
        return "noon" if local.hour else "midnight"
    minutes = f":{local.minute:02}" if local.minute else ""
    return f"{(local.hour - 1) % 12 + 1}{minutes} {'AM' if local.hour < 12 else 'PM'}"


def _iso(text: str, today: datetime, zone: ZoneInfo) -> Moment | Stretch | Unclear:
    try:
        given = datetime.fromisoformat(text.upper())
    except ValueError:
        return Unclear(f"{text} is no date and time")
    if not 1900 <= given.year <= LAST_YEAR:
        return Unclear(f"{given.year} is no year to make an appointment in")
    if given.tzinfo is not None:
        return _one_of(text, [Moment(given.astimezone(zone))], today)
    return _one_of(text, [Moment(one) for one in _at(given.date(), given.time(), zone)], today)


def _read(sentence: str, today: datetime, day: date | None, earliest: int) -> Moment | Stretch | Unclear:
    named = days_in(sentence, today.date())
    if named is not None and not named.days:
        return Unclear(named.why)
    rest = named.rest if named else sentence
    # The part of the day may be in what names the day: "this evening at 8".
    if named and (part := re.search(r"\bthis (morning|afternoon|evening)\b|\b(tonight)\b", sentence)):
        rest = f"{rest} {part[1] or part[2]}"
    try:
        hours = hours_in(rest, earliest)
    except NoSuchTime as error:
        return Unclear(str(error))
    left = hours.rest if hours else rest
    if _NEGATIVE.search(left):
        return Unclear(f"{sentence!r} says which time is not wished; ask which one is")
    if named is None and hours is None:
        return Unclear(f"{sentence!r} names no day and no time")
    days = list(named.days) if named else [Days(day, day)] if day else _today_or_tomorrow(hours, today)
    choices = [choice for one in days for choice in _on(one, hours, today)]
    why = named.why if named and named.why else f"{sentence!r} may be several times"
    return _one_of(why, choices, today)


def _filled_up(
    parts: list[str], readings: list[Moment | Stretch | Unclear], today: datetime, day: date | None, earliest: int
) -> list[Moment | Stretch | Unclear]:
    """ "Thursday at 3 or 4", "3 or 4 on Thursday": the day of the one that has a day is that of the others, too."""
    dated = [days_in(part, today.date()) is not None for part in parts]
    first = next((c for has, r in zip(dated, readings, strict=True) if has for c in _choices(r)), None)
    if first is None:
        return readings
    filled: list[Moment | Stretch | Unclear] = []
    for has_day, part, reading in zip(dated, parts, readings, strict=True):
        if not has_day:
            said = part if re.search(r"[a-z]", part) else f"at {part.strip()}"
            reading = _read(said, today, day or first.start.date(), earliest)
        filled.append(reading)
    return filled


def _today_or_tomorrow(hours: Hours | None, today: datetime) -> list[Days]:
    day = today.date()
    last = hours and (hours.until or hours.start)
    if last and last != MIDNIGHT_AT_THE_END and datetime.combine(day, last) <= today.replace(tzinfo=None):
        day += _DAY
    return [Days(day, day)]


def _on(days: Days, hours: Hours | None, today: datetime) -> list[Moment | Stretch]:
    zone = today.tzinfo
    assert isinstance(zone, ZoneInfo)
    if hours is not None and hours.until is None:
        each = [days.first + n * _DAY for n in range((days.last - days.first).days + 1)]
        if hours.midnight and len(each) == 1:
            each.append(each[0] + _DAY)
        return [Moment(at) for day in each for at in _at(day, hours.start, zone)]
    start = _at(days.first, hours.start if hours and days.first == days.last else time(0), zone)[0]
    until = hours.until if hours and days.first == days.last else MIDNIGHT_AT_THE_END
    if until is None or until == MIDNIGHT_AT_THE_END:
        end = _at(days.last + _DAY, time(0), zone)[0]
    else:
        end = _at(days.last, until, zone)[-1]
    only = (hours.start, hours.until) if hours and hours.until and days.first != days.last else None
    return [Stretch(max(start, today) if end > today else start, end, only)]


def _at(day: date, clock: time, zone: ZoneInfo) -> list[datetime]:
    """The instants at which a clock in the zone shows this: two in the hour that comes twice; in the hour that is
    skipped none, so the time after it that is as far from the change."""
    first, second = (datetime.combine(day, clock, zone).replace(fold=fold) for fold in (0, 1))
    instants = {one.astimezone(UTC) for one in (first, second)}
    if len(instants) == 1:
        return [first]
    there = sorted(one.astimezone(zone) for one in instants)
    exact = [one for one in sorted(instants) if one.astimezone(zone).replace(tzinfo=None) == first.replace(tzinfo=None)]
    return [one.astimezone(zone) for one in exact] or there[-1:]


def _choices(reading: Moment | Stretch | Unclear) -> list[Moment | Stretch]:
    return list(reading.choices) if isinstance(reading, Unclear) else [reading]


def _one_of(why: str, choices: list[Moment | Stretch], today: datetime) -> Moment | Stretch | Unclear:
    """The one choice that is still to come, or what to ask."""
    open_ = [choice for choice in choices if _end(choice).astimezone(UTC) > today.astimezone(UTC)]
    if not open_:
        past = f" ({say(choices[0].start, _zone(today))}, {choices[0].start.year})" if choices else ""
        return Unclear(f"that is past{past}; now it is {say(today, _zone(today))}, {today.year}")
    if len(open_) == 1:
        return open_[0]
    return Unclear(why, tuple(open_[:_MOST_CHOICES]))


def _zone(instant: datetime) -> ZoneInfo:
    assert isinstance(instant.tzinfo, ZoneInfo)
    return instant.tzinfo


def _end(choice: Moment | Stretch) -> datetime:
    return choice.start if isinstance(choice, Moment) else choice.end
