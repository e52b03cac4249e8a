"""Is the business open now, by the clock of its own time zone? A pure decision; what cannot be understood is closed.

Business hours are a week as campaigns' calling windows are (`voiceagents.windows`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from voiceagents.windows import CallingWindow
from voiceagents.zones import UnknownZone, zone_named


@dataclass(frozen=True)
class Opening:
    """Whether the business is open at an instant."""

    is_open: bool
    why: str = ""
    """Why it is closed, in words; empty when it is open."""

    zone: ZoneInfo | None = None
    opens_at: datetime | None = None
    """When it opens next (UTC); None when it is open, or when that is not known."""

    @property
    def opens_at_local(self) -> datetime | None:
        """When it opens next, by its own clock."""
        return self.opens_at.astimezone(self.zone) if self.opens_at and self.zone else None


def opening(business_hours: Mapping[str, Any] | None, time_zone: str | None, instant: datetime) -> Opening:
    """Whether the business is open at this instant.

    Without business hours it always is. Hours or a zone that cannot be understood, or hours without a zone, close it:
    a caller is rather told that nobody is there than that somebody is who is not.

    Args:
        business_hours: `{"mon": [["09:00", "17:00"]]}`; a span that ends before it starts runs over midnight.
        time_zone: IANA name ("Europe/Berlin").
        instant: an aware time.

    Raises:
        ValueError: the instant does not say its zone.
    """
    if business_hours is None:
        return Opening(True)
    if not time_zone:
        return Opening(False, "the business hours have no time zone")
    try:
        zone = zone_named(time_zone)
    except UnknownZone as error:
        return Opening(False, f"the time zone of the business hours cannot be used: {error}")
    week = CallingWindow.stored(business_hours)
    if week.problem is not None:
        return Opening(False, f"the business hours cannot be understood: {week.problem}", zone)
    closed = week.why_closed(instant, zone)
    if closed is None:
        return Opening(True, zone=zone)
    return Opening(False, closed, zone, week.next_opening(instant, zone))
