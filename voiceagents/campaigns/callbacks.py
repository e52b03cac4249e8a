"""When did the person ask to be called? The words of a turn as a time in the contact's own zone. Pure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from voiceagents.calendars.spoken import Moment, Stretch, Unclear, understand
from voiceagents.calls.states import Outcome

_EARLIEST_HOUR = 8


def time_asked_for(
    evidence: Sequence[Mapping[str, Any]] | None, ended_at: datetime, zones: Sequence[ZoneInfo]
) -> datetime | None:
    """The instant after the call that the person named; None when they named none that is to come.

    Args:
        evidence: what the call's outcome rests on, as it stands in its row.
        ended_at: the call's end, aware: "tomorrow" is the day after.
        zones: those that the contact may be in; the first counts.
    """
    asked = [each for each in evidence or () if each.get("value") == Outcome.CALLBACK_REQUESTED.value]
    for each in reversed(asked):
        meant = understand(
            str(each.get("text", "")), ended_at, zones[0] if zones else ZoneInfo("UTC"), earliest_hour=_EARLIEST_HOUR
        )
        if (at := _start(meant)) is not None and at > ended_at:
            return at
    return None


def _start(meant: Moment | Stretch | Unclear) -> datetime | None:
    match meant:
        case Moment(start=start):
            return start
        case Stretch(start=start, hours=hours):
            return (
                datetime.combine(start.date(), hours[0], start.tzinfo) if hours and hours[0] > start.time() else start
            )
        case Unclear(choices=choices):
            return _start(choices[0]) if choices else None
