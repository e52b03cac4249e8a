"""What does an iCalendar object say is taken, and how is a booking written as one? RFC 5545, without any network.

Taken is what its owner would call taken: confirmed and tentative alike; not what is cancelled, declined by the owner or
marked as free ("transparent"). All-day and floating times are those of the calendar's zone.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast
from urllib.parse import quote, unquote
from zoneinfo import ZoneInfo

import icalendar
import recurring_ical_events  # pyright: ignore[reportMissingTypeStubs]

from voiceagents.calendars.base import Attendee, Booking, BookingStatus

log = logging.getLogger("voiceagents.calendars")

_AROUND = timedelta(days=1)
"""A date and a floating time name other instants in other zones, at most this far apart."""

_OURS = "X-VOICEAGENTS-"
_RULES = ("RRULE", "RDATE", "EXDATE", "EXRULE")


@dataclass(frozen=True)
class Event:
    """An appointment in somebody's calendar, once for each time it recurs."""

    start: datetime
    end: datetime
    """Both in UTC."""
    booking: Booking | None = None
    """Ours, when we made it."""
    key: str = ""
    """The wish that made it."""
    origin: str = ""
    """The wish that made it first, at the time it was made for: it stays when a booking is moved."""
    claim: bool = False
    """Written, but whoever writes it has not looked yet whether another came first."""


def events_between(
    text: str, href: str, start: datetime, end: datetime, zone: ZoneInfo, owner: str | None = None
) -> list[Event]:
    """What one calendar object takes up in [start, end).

    Args:
        text: the object; recurrences, exceptions to them and time zones are its own.
        href: its name in its collection, by which a booking is known.
        start: aware.
        end: aware.
        zone: the calendar's, for all-day and floating times.
        owner: email address of the calendar's owner; what this person has declined is free.
    """
    try:
        whole = icalendar.Calendar.from_ical(text)
        found = _expanded(whole, href, start - _AROUND, end + _AROUND)
        events = [event for one in found if (event := _event(one, href, zone, owner))]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        # Somebody else's program wrote it. One object that cannot be read must not close the calendar.
        log.warning("CALENDAR_OBJECT_UNREADABLE | href=%s | cause=%s", href, type(error).__name__)
        return []
    return sorted(
        (event for event in events if event.start < end and event.end > start), key=lambda e: (e.start, e.end)
    )


def _expanded(whole: Any, href: str, start: datetime, end: datetime) -> Sequence[Any]:
    """Every time of every event. A rule that cannot be read, or has no end of repetitions, costs these: the time that
    the event itself names is taken all the same."""
    for event in whole.walk("VEVENT"):
        unreadable = {str(name).upper() for name, _ in event.errors}
        if unreadable & set(_RULES) or not _usable(event.get("RRULE", {})):
            _without_rules(event, href)
    try:
        return recurring_ical_events.of(whole).between(start, end)
    except (recurring_ical_events.InvalidCalendar, ValueError, TypeError, AttributeError):
        for event in whole.walk("VEVENT"):
            _without_rules(event, href)
        return recurring_ical_events.of(whole, skip_bad_series=True).between(start, end)


def _usable(rule: Any) -> bool:
    """Whether a rule comes to an end when it is worked out: no appointment is one of each minute."""
    rules = cast("list[Any]", rule if isinstance(rule, list) else [rule])
    return all(
        min([*one.get("INTERVAL", []), 1]) > 0 and not {"SECONDLY", "MINUTELY"} & set(one.get("FREQ", []))
        for one in rules
    )


def _without_rules(event: Any, href: str) -> None:
    if dropped := [name for name in _RULES if event.pop(name, None) is not None]:
        log.warning("CALENDAR_RULE_UNREADABLE | href=%s | ignored=%s", href, ", ".join(dropped))


def event_in(text: str, href: str, zone: ZoneInfo) -> Event | None:
    """The first event of a calendar object, not expanded; None when it takes no time, or cannot be read."""
    try:
        whole: Any = icalendar.Calendar.from_ical(text)
        found: list[Any] = whole.walk("VEVENT")
        return _event(found[0], href, zone, None) if found else None
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def origin_of(key: str, start: datetime) -> str:
    """The wish to have a booking at this time."""
    return f"{key} {start.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def written(
    booking: Booking, *, uid: str, key: str, now: datetime, origin: str = "", claim: bool = False, sequence: int = 0
) -> str:
    """A booking as an iCalendar object."""
    event: Any = icalendar.Event()
    event.add("UID", uid)
    event.add("DTSTAMP", now.astimezone(UTC))
    event.add("SEQUENCE", sequence)
    event.add("DTSTART", booking.start.astimezone(UTC))
    event.add("DTEND", booking.end.astimezone(UTC))
    event.add("SUMMARY", _printable(booking.title))
    sure = booking.status is BookingStatus.BOOKED and not claim
    event.add("STATUS", "CONFIRMED" if sure else "TENTATIVE")
    event.add("TRANSP", "OPAQUE")
    who = booking.attendee
    contact = [part for part in (who.name, who.phone, who.email) if part]
    event.add("CONTACT", _printable(", ".join(contact)))
    about = [*contact, *([f"Time zone: {who.zone}"] if who.zone else []), booking.notes]
    event.add("DESCRIPTION", "\n".join(_printable(line) for part in about for line in part.splitlines()))
    ours = {
        "KEY": key, "ORIGIN": origin or origin_of(key, booking.start), "STATUS": booking.status.value, "NAME": who.name,
        "PHONE": who.phone, "EMAIL": who.email, "ZONE": who.zone, "NOTES": booking.notes,
        "CLAIM": "1" if claim else None,
    }  # fmt: skip
    for name, value in ours.items():
        if value:
            # Nothing of the standard says how the text of a property of one's own is escaped.
            event.add(_OURS + name, quote(value, safe=" @+:,/"))
    calendar: Any = icalendar.Calendar()
    calendar.add("PRODID", "-//voiceagents//calendars//EN")
    calendar.add("VERSION", "2.0")
    calendar.add_component(event)
    return calendar.to_ical().decode()


def _printable(line: str) -> str:
    """A text without characters that RFC 5545 forbids in one, which a model may well produce."""
    return "".join(character if character.isprintable() else " " for character in line)


def _event(one: Any, href: str, zone: ZoneInfo, owner: str | None) -> Event | None:
    if not _takes_time(one, owner):
        return None
    start, end = _instants(one, zone)
    if end <= start:
        return None
    key = one.get(_OURS + "KEY")
    if key is None:
        return Event(start, end)
    key = unquote(str(key))
    # Bookings of earlier versions do not say what they came from.
    origin = unquote(str(one.get(_OURS + "ORIGIN", ""))) or origin_of(key, start)
    return Event(start, end, _booking(one, href, start, end), key, origin, claim=_OURS + "CLAIM" in one)


def _takes_time(one: Any, owner: str | None) -> bool:
    if str(one.get("STATUS", "")).upper() == "CANCELLED":
        return False
    if str(one.get("TRANSP", "")).upper() == "TRANSPARENT":
        return False
    if str(one.get("X-MICROSOFT-CDO-BUSYSTATUS", "")).upper() == "FREE":
        return False
    attendees = one.get("ATTENDEE", [])
    for attendee in cast(Iterable[Any], attendees if isinstance(attendees, list) else [attendees]):
        address = str(attendee).lower().removeprefix("mailto:")
        if owner and address == owner.lower() and str(attendee.params.get("PARTSTAT", "")).upper() == "DECLINED":
            return False
    return True


def _instants(one: Any, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first: date | datetime = one["DTSTART"].dt
    last: date | datetime
    if "DTEND" in one:
        last = one["DTEND"].dt
    elif "DURATION" in one:
        last = first + one["DURATION"].dt
    else:
        last = first
    if not isinstance(first, datetime) and last <= first:
        last = first + timedelta(days=1)
    start, end = _instant(first, zone), _instant(last, zone)
    if isinstance(first, datetime) and isinstance(last, datetime) and first.tzinfo == last.tzinfo:
        # Within the hour that the clocks skip an event lasts as long as its own clock says.
        end = max(end, start + (last - first)) if end <= start else end
    return start, end


def _instant(when: date | datetime, zone: ZoneInfo) -> datetime:
    if not isinstance(when, datetime):
        when = datetime.combine(when, time.min)
    return (when if when.tzinfo else when.replace(tzinfo=zone)).astimezone(UTC)


def _booking(one: Any, href: str, start: datetime, end: datetime) -> Booking:
    def said(name: str) -> str | None:
        value = one.get(_OURS + name)
        return unquote(str(value)) if value is not None else None

    # The owner agrees to a request, or takes an agreement back, in any calendar program: by the standard's own word.
    sure = str(one.get("STATUS", "CONFIRMED")).upper() != "TENTATIVE"
    if _OURS + "CLAIM" in one:  # tentative until it stands, whatever it will be
        sure = said("STATUS") == BookingStatus.BOOKED
    return Booking(
        id=href,
        start=start,
        end=end,
        attendee=Attendee(said("NAME") or "", said("PHONE"), said("EMAIL"), said("ZONE")),
        status=BookingStatus.BOOKED if sure else BookingStatus.REQUESTED,
        title=str(one.get("SUMMARY", "")),
        notes=said("NOTES") or "",
    )
