"""Which times may be booked? Working hours less what is taken: pure arithmetic on instants in UTC.

Working hours are local time and become stretches of UTC first, so that 9 o'clock stays 9 o'clock when the clocks
change; within a stretch of one day slots follow each other in real minutes, so that none is skipped or comes twice.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import groupby

from voiceagents.calendars.base import Slot
from voiceagents.calendars.rules import Rules

Busy = tuple[datetime, datetime]
"""From one instant to another, the end not included."""


def offered(rules: Rules, now: datetime, start: datetime, end: datetime) -> Iterator[Slot]:
    """The slots that begin in [start, end), whether taken or not: by working hours, notice and horizon."""
    first = max(start, now + timedelta(minutes=rules.notice_minutes)).astimezone(UTC)
    last = min(end, now + timedelta(days=rules.horizon_days)).astimezone(UTC)
    if first >= last:
        return
    midnight = datetime.combine(first.astimezone(rules.place).date(), time.min, rules.place).astimezone(UTC)
    # A day longer than asked for: the last slot may end after the last start.
    openings = rules.week.openings(midnight, rules.place, horizon=last - midnight + timedelta(days=1))
    for _, of_one_day in groupby(openings, key=lambda stretch: stretch[0].astimezone(rules.place).date()):
        for opens, closes in _joined(of_one_day):
            passed = max(0, -((opens - first) // rules.step)) if opens < first else 0
            at = opens + passed * rules.step
            while at < last and at + rules.length <= closes:
                yield Slot(at, at + rules.length)
                at += rules.step
            if opens >= last:
                return


def free(rules: Rules, now: datetime, start: datetime, end: datetime, busy: Iterable[Busy]) -> Iterator[Slot]:
    """The offered slots that, with their buffers, touch nothing that is taken."""
    taken = _merged(busy)
    ends = [until for _, until in taken]
    for slot in offered(rules, now, start, end):
        place = bisect_right(ends, slot.start - rules.before)
        if place == len(taken) or taken[place][0] >= slot.end + rules.after:
            yield slot


def why_refused(rules: Rules, now: datetime, start: datetime) -> str | None:
    """Why a slot at this instant is not offered, taken or not; None when it is."""
    if next(offered(rules, now, start, start + timedelta(microseconds=1)), None) is not None:
        return None
    if start < now:
        return "that time is past"
    if start < now + timedelta(minutes=rules.notice_minutes):
        return f"that is too soon: bookings need {_spoken(rules.notice_minutes)} notice"
    if start >= now + timedelta(days=rules.horizon_days):
        return f"that is too far ahead: bookings are taken {rules.horizon_days} days ahead at most"
    if reason := rules.week.closed.why_closed(start.astimezone(rules.place).date()):
        return f"nothing can be booked on that day: {reason}"
    if not rules.week.is_open(start, rules.place):
        return f"that is outside the working hours ({rules.week}, {rules.zone})"
    return "no appointment begins at that time"


def _spoken(minutes: int) -> str:
    if minutes % 1440 == 0:
        return f"{minutes // 1440} days'" if minutes > 1440 else "a day's"
    if minutes % 60 == 0:
        return f"{minutes // 60} hours'" if minutes > 60 else "an hour's"
    return f"{minutes} minutes'"


def _joined(stretches: Iterable[Busy]) -> Iterator[Busy]:
    """Stretches, in order, those that meet or overlap made one."""
    current: Busy | None = None
    for opens, closes in stretches:
        if current is not None and opens <= current[1]:
            current = (current[0], max(current[1], closes))
            continue
        if current is not None:
            yield current
        current = (opens, closes)
    if current is not None:
        yield current


def _merged(busy: Iterable[Busy]) -> list[Busy]:
    stretches = sorted((from_.astimezone(UTC), until.astimezone(UTC)) for from_, until in busy)
    return list(_joined(stretch for stretch in stretches if stretch[1] > stretch[0]))
