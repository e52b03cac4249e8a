"""When may people be called? The calling window: for each weekday the spans of local time in which calls may go out.

A window is kept as local time and read with the zone of the contact, so that the hours stay where the person expects
them when the clocks change: a local hour that does not exist is never open, one that exists twice is open twice.
Everything asked of a window beyond "now?" is answered from one primitive, the open stretches of a local date in UTC.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, reduce
from typing import cast
from zoneinfo import ZoneInfo

from voiceagents.closed_days import ClosedDays, ClosedDaysError

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HORIZON = timedelta(days=92)
"""How far ahead an opening is looked for; a window that stays shut for longer counts as never open."""

_DAY = 24 * 60
_ONE_DAY = timedelta(days=1)
_TIME = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)(?::00)?")
_GROUP = re.compile(r"(?P<days>[a-z][a-z\s,\-–]*?)\s+(?P<spans>\d.*)", re.IGNORECASE)
_GROUPS_OF_DAYS = {"daily": range(7), "weekdays": range(5), "weekend": range(5, 7)}

Span = tuple[int, int]
"""Minutes of the local day, end not included; past 1440 when the span runs over midnight."""

Week = tuple[tuple[Span, ...], ...]
"""Seven days, Monday first."""

Stretch = tuple[datetime, datetime]
"""Two instants in UTC, the end not included."""


class WindowError(ValueError):
    """The text or JSON is no calling window.

    The message says what is wrong and what to write instead.
    """


@dataclass(frozen=True)
class CallingWindow:
    """A week of open spans, less the closed days.

    With no zone given, and whenever `problem` is set, nothing is open: what cannot be understood calls nobody.
    """

    week: Week
    closed: ClosedDays = field(default_factory=ClosedDays)
    problem: str | None = None
    """Why a stored window cannot be used; None for a sound one."""

    @classmethod
    def parse(cls, value: object, blackout: object = (), holidays_of: str | None = None) -> "CallingWindow":
        """A window to be saved.

        Args:
            value: JSON `{"mon": [["09:00", "12:00"], ["13:00", "17:30"]], …}`, as an object or as text, or the short
                form `mon-fri 09:00-12:00, 13:00-17:30; sat 10:00-14:00` (`daily`, `weekdays` and `weekend` too). A
                span that ends before it starts runs over midnight.
            blackout: dates without calls, see `ClosedDays.parse`.
            holidays_of: country whose public holidays are kept.

        Raises:
            WindowError: with the mend in the message.
        """
        try:
            closed = ClosedDays.parse(blackout, holidays_of)
        except ClosedDaysError as error:
            raise WindowError(str(error)) from None
        return cls(_parse_week(value), closed)

    @classmethod
    def stored(cls, value: object, blackout: object = (), holidays_of: str | None = None) -> "CallingWindow":
        """A window as it was found in the database: one that cannot be understood is never open and says why."""
        try:
            return cls.parse(value, blackout, holidays_of)
        except WindowError as error:
            return cls(((),) * 7, problem=str(error))

    def to_json(self) -> dict[str, list[list[str]]]:
        """The week as it is stored."""
        return {
            name: [[_clock(start), _clock(end)] for start, end in spans]
            for name, spans in zip(WEEKDAYS, self.week, strict=True)
            if spans
        }

    def __str__(self) -> str:
        """The week in the short form, neighbouring days with the same spans together."""
        groups: list[tuple[int, int]] = []
        for day in range(7):
            if groups and self.week[groups[-1][1]] == self.week[day]:
                groups[-1] = (groups[-1][0], day)
            else:
                groups.append((day, day))
        return "; ".join(
            f"{_day_names(first, last)} {_span_words(self.week[first])}" for first, last in groups if self.week[first]
        )

    def is_open(self, instant: datetime, *zones: ZoneInfo) -> bool:
        """True when a person in any of these zones may be called at this instant."""
        return bool(zones) and self.why_closed(instant, *zones) is None

    def why_closed(self, instant: datetime, *zones: ZoneInfo) -> str | None:
        """Why nobody may be called at this instant, for the first zone that objects; None when the window is open."""
        _require_aware(instant)
        if self.problem is not None:
            return f"the calling window cannot be understood: {self.problem}"
        if not zones:
            return "no time zone is known"
        for zone in zones:
            local = instant.astimezone(zone)
            minute = local.hour * 60 + local.minute
            if not any(start <= minute < end for start, end in self._spans_of(local.date())):
                reason = self.closed.why_closed(local.date()) or f"outside {self}"
                return f"it is {local:%A %H:%M} in {zone.key}: {reason}"
        return None

    def next_opening(self, instant: datetime, *zones: ZoneInfo, horizon: timedelta = HORIZON) -> datetime | None:
        """The first instant from this one on (this one included) that is open in all zones; None within the horizon."""
        return next((start for start, _ in self.openings(instant, *zones, horizon=horizon)), None)

    def openings(self, instant: datetime, *zones: ZoneInfo, horizon: timedelta = HORIZON) -> Iterator[Stretch]:
        """The stretches of time from an instant on that are open in all zones, in order, each within one local date."""
        _require_aware(instant)
        if not zones or not any(self.week):
            return iter(())
        start = instant.astimezone(UTC)
        return reduce(_in_both, (self._openings_in(zone, start, start + horizon) for zone in dict.fromkeys(zones)))

    def _openings_in(self, zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[Stretch]:
        day = start.astimezone(zone).date()
        last = end.astimezone(zone).date()
        while day <= last:
            for opens, closes in self._open_on(day, zone):
                if max(opens, start) < min(closes, end):
                    yield max(opens, start), min(closes, end)
            day += _ONE_DAY

    def _open_on(self, day: date, zone: ZoneInfo) -> list[Stretch]:
        if not (spans := self._spans_of(day)):
            return []
        midnight = datetime.combine(day, time.min, UTC)
        stretches: list[Stretch] = []
        for begins, ends, offset in _offsets(day, zone):
            for start, end in spans:
                opens = max(midnight + timedelta(minutes=start) - offset, begins)
                closes = min(midnight + timedelta(minutes=end) - offset, ends)
                if opens < closes:
                    stretches.append((opens, closes))
        return stretches

    def _spans_of(self, day: date) -> list[Span]:
        """The open minutes of one local date; a span that began the evening before is that evening's."""
        if self.closed.why_closed(day):
            return []
        spans = [(start, min(end, _DAY)) for start, end in self.week[day.weekday()]]
        before = day - _ONE_DAY
        tail = max((end - _DAY for _, end in self.week[before.weekday()]), default=0)
        if tail > 0 and not self.closed.why_closed(before):
            spans.append((0, tail))
        return _merged(spans)


def at_local(local: datetime, zone: ZoneInfo) -> datetime:
    """The one instant meant by a local date and time.

    A time that the clock skips is read with the offset from before the change (02:30 becomes 03:30); of a time that
    comes twice, the first is meant.
    """
    return local.replace(tzinfo=zone, fold=0).astimezone(UTC)


def start_of_day(instant: datetime, *zones: ZoneInfo) -> datetime:
    """When the day of this instant began; with several possible zones the earliest, so that no call is left out."""
    return min(at_local(_midnight(instant, zone), zone) for zone in zones)


def start_of_next_day(instant: datetime, *zones: ZoneInfo) -> datetime:
    """When the day of this instant is over; with several possible zones when it is over in all of them."""
    return max(at_local(_midnight(instant, zone) + _ONE_DAY, zone) for zone in zones)


def _midnight(instant: datetime, zone: ZoneInfo) -> datetime:
    _require_aware(instant)
    return datetime.combine(instant.astimezone(zone).date(), time.min)


def _require_aware(instant: datetime) -> None:
    if instant.tzinfo is None:
        raise ValueError("an instant must say its zone: a time without one would be read as the server's")


@lru_cache(maxsize=32768)
def _offsets(day: date, zone: ZoneInfo) -> tuple[tuple[datetime, datetime, timedelta], ...]:
    """A local date as stretches of UTC with one offset each: one, or two on the day the clocks change."""
    start, end = (at_local(datetime.combine(d, time.min), zone) for d in (day, day + _ONE_DAY))
    if start >= end:  # a date that the zone skipped
        return ()
    first, last = start.astimezone(zone), (end - timedelta(seconds=1)).astimezone(zone)
    before, after = cast(timedelta, first.utcoffset()), cast(timedelta, last.utcoffset())
    if before == after:
        return ((start, end, before),)
    # zoneinfo does not tell when its transitions are; they are whole seconds.
    low, high = 0, int((end - start).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (start + timedelta(seconds=middle)).astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    change = start + timedelta(seconds=high)
    return ((start, change, before), (change, end, after))


def _in_both(left: Iterator[Stretch], right: Iterator[Stretch]) -> Iterator[Stretch]:
    a, b = next(left, None), next(right, None)
    while a is not None and b is not None:
        start, end = max(a[0], b[0]), min(a[1], b[1])
        if start < end:
            yield start, end
        if a[1] <= b[1]:
            a = next(left, None)
        else:
            b = next(right, None)


def _merged(spans: list[Span]) -> list[Span]:
    merged: list[Span] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _parse_week(value: object) -> Week:
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = cast(object, json.loads(value))
        except json.JSONDecodeError:
            raise WindowError(f"the calling window is broken JSON; write it such as {_EXAMPLE}") from None
    if isinstance(value, str):
        days = _from_text(value)
    elif isinstance(value, Mapping):
        days = _from_json(cast(Mapping[object, object], value))
    elif value is None:
        days = {}
    else:
        raise WindowError(f"a calling window is text or an object of weekdays, such as {_EXAMPLE}")
    week = tuple(tuple(sorted(set(days.get(day, [])))) for day in range(7))
    if not any(week):
        raise WindowError(f"the calling window is open on no weekday; write it such as {_EXAMPLE}")
    return week


_EXAMPLE = '"mon-fri 09:00-12:00, 13:00-17:30" or {"mon": [["09:00", "17:30"]]}'


def _from_json(value: Mapping[object, object]) -> dict[int, list[Span]]:
    days: dict[int, list[Span]] = {}
    for name, spans in value.items():
        if name not in WEEKDAYS:
            raise WindowError(f'"{name}" is not a weekday; the keys are {", ".join(WEEKDAYS)}')
        if not isinstance(spans, Sequence) or isinstance(spans, str | bytes):
            raise WindowError(f'{name}: expected a list of spans, such as [["09:00", "12:00"]]')
        for span in cast(Sequence[object], spans):
            ends = cast(Sequence[object], span) if isinstance(span, list | tuple) else ()
            if len(ends) != 2:
                raise WindowError(f'{name}: a span is a start and an end, such as ["09:00", "12:00"]')
            days.setdefault(WEEKDAYS.index(name), []).append(_span(ends[0], ends[1], name))
    return days


def _from_text(text: str) -> dict[int, list[Span]]:
    days: dict[int, list[Span]] = {}
    for group in filter(None, (part.strip() for part in re.split(r"[;\n]", text))):
        match = _GROUP.fullmatch(group)
        if match is None:
            raise WindowError(f'"{group}" must name weekdays and their hours, such as {_EXAMPLE}')
        spans = match["spans"].split(",")
        for day in _days(match["days"]):
            for span in spans:
                ends = re.split(r"[-–]", span)
                if len(ends) != 2:
                    raise WindowError(f'"{span.strip()}" is not a span of hours; write it as 09:00-17:30')
                days.setdefault(day, []).append(_span(ends[0], ends[1], match["days"]))
    return days


def _days(text: str) -> list[int]:
    days: list[int] = []
    for part in text.lower().split(","):
        if (word := part.strip()) in _GROUPS_OF_DAYS:
            days.extend(_GROUPS_OF_DAYS[word])
            continue
        ends = [_weekday(name) for name in re.split(r"[-–]", part)]
        if len(ends) > 2:
            raise WindowError(f'"{word}" is not a range of weekdays; write it as mon-fri')
        days.extend((ends[0] + n) % 7 for n in range((ends[-1] - ends[0]) % 7 + 1))
    return days


def _weekday(name: str) -> int:
    word = name.strip()
    for day, full in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")):
        if len(word) >= 3 and full.startswith(word):
            return day
    raise WindowError(f'"{word}" is not a weekday; write {", ".join(WEEKDAYS)}, daily, weekdays or weekend')


def _span(start: object, end: object, where: str) -> Span:
    opens, closes = _minute(start, where), _minute(end, where)
    if opens == closes:
        raise WindowError(
            f"{where}: {start}-{end} starts and ends at the same time; for the whole day write 00:00-24:00"
        )
    if opens == _DAY:
        raise WindowError(f"{where}: a span cannot start at 24:00; start it at 00:00 of the next day")
    return (opens, closes) if closes > opens else (opens, closes + _DAY)


def _minute(value: object, where: str) -> int:
    match = _TIME.fullmatch(value.strip()) if isinstance(value, str) else None
    minute = int(match[1]) * 60 + int(match[2]) if match else None
    if minute is None or minute > _DAY:
        raise WindowError(
            f'{where}: "{value}" is not a time of day; write it as HH:MM on the 24-hour clock, such as 09:00 or 17:30'
        )
    return minute


def _clock(minute: int) -> str:
    # A span to midnight ends at 24:00; one past midnight is written with the next day's hour.
    minute = minute if minute <= _DAY else minute - _DAY
    return f"{minute // 60:02}:{minute % 60:02}"


def _span_words(spans: Sequence[Span]) -> str:
    return ", ".join(f"{_clock(start)}-{_clock(end)}" for start, end in spans)


def _day_names(first: int, last: int) -> str:
    return WEEKDAYS[first] if first == last else f"{WEEKDAYS[first]}-{WEEKDAYS[last]}"
