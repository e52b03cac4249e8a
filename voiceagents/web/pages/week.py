"""What does a calling window look like? Its spans for a drawing of the week, and in words when it opens next."""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from voiceagents.windows import WEEKDAYS, CallingWindow, WindowError
from voiceagents.zones import UnknownZone, zone_named

_DAY = 1440


@dataclass(frozen=True)
class Week:
    """A window, understood or not."""

    problem: str = ""
    days: tuple[tuple[str, tuple[tuple[int, int], ...]], ...] = ()
    """Each day's name and the minutes of its open spans, those over midnight cut in two."""

    words: str = ""
    open_now: bool = False
    opens_at: datetime | None = None
    zone: str = "UTC"


def of(window: object, time_zone: str, now: datetime) -> Week:
    """The window as it is typed in the short form."""
    try:
        zone = zone_named(time_zone)
        parsed = CallingWindow.parse(window)
    except (UnknownZone, WindowError) as error:
        return Week(problem=str(error))
    spans: list[list[tuple[int, int]]] = [[] for _ in WEEKDAYS]
    for day, open_spans in enumerate(parsed.week):
        for start, end in open_spans:
            spans[day].append((start, min(end, _DAY)))
            if end > _DAY:
                spans[(day + 1) % 7].append((0, end - _DAY))
    return Week(
        days=tuple((name.capitalize(), tuple(spans[day])) for day, name in enumerate(WEEKDAYS)),
        words=str(parsed),
        open_now=parsed.is_open(now, zone),
        opens_at=parsed.next_opening(now, zone),
        zone=zone.key,
    )


def zone_or_utc(name: str) -> ZoneInfo:
    """The zone of this name, or UTC for one that is unknown by now."""
    try:
        return zone_named(name)
    except UnknownZone:
        return ZoneInfo(UTC.tzname(None) or "UTC")
