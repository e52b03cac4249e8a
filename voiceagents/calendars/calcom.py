"""A calendar at Cal.com, by its API v2. Hours, buffers, notice and horizon are those of the event type there.

Cal.com itself sees to it that a slot is booked once. Each booking carries the wish that made it in its metadata, so
that a wish that is sent again, or whose answer was lost, is found and not booked a second time.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import httpx
from pydantic import Field, SecretStr

from voiceagents import clock
from voiceagents.calendars.base import (
    Attendee,
    Booking,
    BookingStatus,
    CalendarDown,
    CalendarProblem,
    NoSuchBooking,
    Slot,
    SlotRefused,
    SlotTaken,
    require_contact,
)
from voiceagents.calendars.ruled import LOOKED_AHEAD, OFFERED
from voiceagents.calendars.rules import ZonedSettings

_SLOTS = {"cal-api-version": "2024-09-04"}
_BOOKINGS = {"cal-api-version": "2024-08-13"}
_UID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PAGE = 100
_MOST_PAGES = 20
_STANDING = ("accepted", "pending")
_LONGEST = timedelta(days=1, minutes=1)
"""No booking is longer than a day."""

_MOST_MOVES = 20
_WISH = "voiceagentsWish"
_PHONE = "voiceagentsPhone"
_LONGEST_METADATA = 500
"""Characters of a value; Cal.com refuses more."""

# Cal.com tells these apart by words only.
_TAKEN = re.compile(
    r"already has booking|not available|no available users|no_available_users|unavailable|already booked|conflict", re.I
)
_REFUSED = re.compile(r"too soon|too far|out of bounds|out_of_bounds|in the past|minimum booking notice", re.I)


class CalComSettings(ZonedSettings):
    """Which event type at Cal.com, and how to get in."""

    event_type_id: int = Field(gt=0)
    api_key: str = Field(min_length=1)
    """Better `env:NAME`: read from the environment, not kept."""
    api_url: str = Field(default="https://api.cal.com", pattern=r"^https?://[^\s/]+(/\S*)?$")
    slot_minutes: int | None = Field(default=None, ge=1, le=24 * 60)
    """Where the event type offers several lengths; None: its own."""
    language: str = Field(default="en", pattern=r"^[a-z]{2}(-[A-Z]{2})?$")
    """Of what Cal.com writes to the person."""
    timeout_seconds: int = Field(default=8, ge=1, le=60)


class _Refusal(Exception):
    """Cal.com does not do what was asked."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class CalComCalendar:
    """One event type at Cal.com. An id of a booking is its uid there."""

    def __init__(self, calendar_id: str, name: str, settings: CalComSettings) -> None:
        self._id = calendar_id
        self._name = name
        self._settings = settings
        self._key = SecretStr(settings.api_key)
        self._client: httpx.AsyncClient | None = None

    @property
    def id(self) -> str:
        return self._id

    @property
    def name(self) -> str:
        return self._name

    @property
    def zone(self) -> ZoneInfo:
        return self._settings.place

    async def free(self, start: datetime, end: datetime) -> list[Slot]:
        start = max(start, clock.now())
        if start >= end:
            return []
        asked: dict[str, Any] = {
            "eventTypeId": self._settings.event_type_id,
            "start": _instant(start),
            "end": _instant(end),
            "timeZone": "UTC",
            "format": "range",
        }
        if self._settings.slot_minutes:
            asked["duration"] = self._settings.slot_minutes
        try:
            found = await self._ask("GET", "/v2/slots", _SLOTS, query=asked)
        except _Refusal as refusal:
            raise self._problem(refusal) from None
        days = cast(Mapping[str, Sequence[Mapping[str, Any]]], found)
        slots = (Slot(_time(one["start"]), _time(one["end"])) for day in days.values() for one in day)
        return sorted(slot for slot in slots if start <= slot.start < end)

    async def book(self, start: datetime, attendee: Attendee, *, key: str, notes: str = "") -> Booking:
        require_contact(attendee)
        start = start.astimezone(UTC)
        wish = f"{key} {_instant(start)}"[-_LONGEST_METADATA:]
        if made := await self._made(start, wish):
            return made
        await self._require_future(start)
        body: dict[str, Any] = {
            "eventTypeId": self._settings.event_type_id,
            "start": _instant(start),
            "attendee": _attendee(attendee, self._settings),
            "metadata": {_WISH: wish, **({_PHONE: attendee.phone} if attendee.phone else {})},
        }
        if notes:
            body["bookingFieldsResponses"] = {"notes": notes}
        if self._settings.slot_minutes:
            body["lengthInMinutes"] = self._settings.slot_minutes
        try:
            return _booking(_first(await self._ask("POST", "/v2/bookings", _BOOKINGS, body=body)))
        except _Refusal as refusal:
            if made := await self._made(start, wish):
                return made
            raise await self._explained(refusal, start) from None

    async def reschedule(self, booking_id: str, start: datetime, *, key: str) -> Booking:
        start = start.astimezone(UTC)
        found = await self._get(booking_id)
        if moved_to := found.get("rescheduledToUid"):
            # The answer to an earlier request may have been lost.
            moved = _booking(await self._get(str(moved_to)))
            if moved.start == start and moved.status is not BookingStatus.CANCELLED:
                return moved
        booking = _standing(found)
        if booking.start == start:
            return booking
        await self._require_future(start)
        try:
            moved = _booking(
                _first(
                    await self._ask(
                        "POST", f"/v2/bookings/{booking_id}/reschedule", _BOOKINGS, body={"start": _instant(start)}
                    )
                )
            )
        except _Refusal as refusal:
            raise await self._explained(refusal, start) from None
        return replace(moved, attendee=booking.attendee, notes=moved.notes or booking.notes)

    async def cancel(self, booking_id: str, *, reason: str = "") -> Booking:
        found = await self._get(booking_id)
        booking = _booking(found)
        if booking.status is BookingStatus.CANCELLED and not found.get("rescheduledToUid"):
            return booking
        _standing(found)
        body = {"cancellationReason": reason or "Cancelled by phone"}
        await self._tried("POST", f"/v2/bookings/{booking_id}/cancel", body)
        return replace(booking, status=BookingStatus.CANCELLED)

    async def confirm(self, booking_id: str) -> Booking:
        booking = _standing(await self._get(booking_id))
        if booking.status is BookingStatus.REQUESTED:
            await self._tried("POST", f"/v2/bookings/{booking_id}/confirm", {})
        return replace(booking, status=BookingStatus.BOOKED)

    async def bookings_of(self, *, phone: str | None = None, email: str | None = None) -> list[Booking]:
        mail = (email or "").strip().lower()
        if not phone and not mail:
            return []
        return [
            one
            for one in await self._select(afterStart=_instant(clock.now() - timedelta(days=1)))
            if one.end > clock.now()
            and ((phone and one.attendee.phone == phone) or (mail and (one.attendee.email or "").lower() == mail))
        ]

    async def bookings(self, start: datetime, end: datetime) -> list[Booking]:
        found = await self._select(afterStart=_instant(start - timedelta(days=1)))
        return [one for one in found if one.start < end and one.end > start]

    async def check(self) -> str:
        now = clock.now()
        coming = await self._select(afterStart=_instant(now))
        free = await self.free(now, now + timedelta(days=7))
        return (
            f"Cal.com event type {self._settings.event_type_id}, {len(coming)} bookings to come, "
            f"{len(free)} free slots within a week"
        )

    async def aclose(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _select(self, **filters: str) -> list[Booking]:
        """The bookings of the event type that stand, in order."""
        return [_booking(one) for one in await self._rows(**filters) if one.get("status") in _STANDING]

    async def _rows(self, **filters: str) -> list[Mapping[str, Any]]:
        rows: list[Mapping[str, Any]] = []
        query: dict[str, Any] = {
            "eventTypeId": self._settings.event_type_id,
            "status": "upcoming,unconfirmed",
            "sortStart": "asc",
            "take": _PAGE,
            **filters,
        }
        for page in range(_MOST_PAGES):
            try:
                found = await self._ask("GET", "/v2/bookings", _BOOKINGS, query={**query, "skip": page * _PAGE})
            except _Refusal as refusal:
                raise self._problem(refusal) from None
            rows += found
            if len(found) < _PAGE:
                break
        return sorted(rows, key=lambda row: _time(row["start"]))

    async def _made(self, start: datetime, wish: str) -> Booking | None:
        """The booking that this wish has made already, wherever it has been moved since."""
        rows = await self._rows(
            status="upcoming,unconfirmed,cancelled",
            afterStart=_instant(start - timedelta(minutes=1)),
            beforeEnd=_instant(start + _LONGEST),
        )
        for row in rows:
            if _metadata(row).get(_WISH) == wish and (stands := await self._at_last(row)) is not None:
                return stands
        return None

    async def _at_last(self, row: Mapping[str, Any]) -> Booking | None:
        """What has become of a booking: Cal.com cancels one that is moved, and names the one in its place."""
        for _ in range(_MOST_MOVES):
            if row.get("status") in _STANDING:
                return _booking(row)
            if not (moved_to := row.get("rescheduledToUid")):
                return None
            row = await self._get(str(moved_to))
        return None

    async def _get(self, uid: str) -> Mapping[str, Any]:
        if not _UID.fullmatch(uid):
            raise NoSuchBooking(f"there is no booking {uid!r}")
        return await self._tried("GET", f"/v2/bookings/{uid}", None)

    async def _tried(self, method: str, path: str, body: Mapping[str, Any] | None) -> Mapping[str, Any]:
        """A request about one booking."""
        try:
            return _first(await self._ask(method, path, _BOOKINGS, body=body))
        except _Refusal as refusal:
            if refusal.status == 404:
                raise NoSuchBooking("there is no such booking at Cal.com") from None
            raise self._problem(refusal) from None

    async def _require_future(self, start: datetime) -> None:
        if start <= clock.now():
            raise SlotRefused("that time is past", await self._next(clock.now()))

    async def _next(self, start: datetime) -> list[Slot]:
        found = await self.free(start, start + LOOKED_AHEAD)
        return [slot for slot in found if slot.start != start][:OFFERED]

    async def _explained(self, refusal: _Refusal, start: datetime) -> CalendarProblem:
        """What a refused booking means: taken, never offered, or something to mend."""
        if refusal.status == 409 or (refusal.status == 400 and _TAKEN.search(refusal.message)):
            return SlotTaken(await self._next(start))
        if refusal.status == 400 and _REFUSED.search(refusal.message):
            return SlotRefused(f"that time is not offered: {refusal.message}", await self._next(clock.now()))
        return self._problem(refusal)

    def _problem(self, refusal: _Refusal) -> CalendarProblem:
        return CalendarProblem(
            f"Cal.com refuses ({refusal.status}): {refusal.message or 'without a reason'}"
            f" [event type {self._settings.event_type_id}]"
        )

    async def _ask(
        self,
        method: str,
        path: str,
        version: Mapping[str, str],
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> Any:
        """The data of an answer.

        Raises:
            CalendarDown: no answer, no entry, too many requests, or a fault of theirs.
            _Refusal: any other error.
        """
        if self._client is None:
            self._client = httpx.AsyncClient(
                base_url=self._settings.api_url.rstrip("/"), timeout=self._settings.timeout_seconds
            )
        headers = {**version, "Authorization": f"Bearer {self._key.get_secret_value()}"}
        try:
            answer = await self._client.request(method, path, params=query, json=body, headers=headers)
        except httpx.HTTPError as error:
            raise CalendarDown(f"{self._settings.api_url} cannot be reached ({type(error).__name__})") from None
        if answer.status_code in (401, 403):
            raise CalendarDown(f"{self._settings.api_url} does not let us in; is the api_key right?")
        if answer.status_code == 429 or answer.status_code >= 500:
            raise CalendarDown(f"{self._settings.api_url} answers {answer.status_code}")
        try:
            whole: Any = answer.json()
        except ValueError:
            raise CalendarDown(f"{self._settings.api_url} does not answer as Cal.com does") from None
        if answer.status_code >= 400:
            raise _Refusal(answer.status_code, _message(whole))
        return whole["data"]


def _first(found: Any) -> Mapping[str, Any]:
    """The booking of an answer; of an event type that recurs, where all of its times come, the first of them."""
    return cast(Mapping[str, Any], found[0] if isinstance(found, list) and found else found)


def _message(whole: Any) -> str:
    """Why Cal.com refused, from `{"error": {"message": …}}`, or `{"error": …}` as gateways have it."""
    try:
        error: Any = whole["error"]
        return str(error["message"])[:300]
    except (KeyError, TypeError):
        return str(whole)[:300]


def _attendee(attendee: Attendee, settings: CalComSettings) -> dict[str, str]:
    given = {"email": attendee.email, "phoneNumber": attendee.phone}
    return {
        "name": attendee.name,
        "timeZone": attendee.zone or settings.zone,
        "language": settings.language,
        **{name: value for name, value in given.items() if value},
    }


def _standing(found: Mapping[str, Any]) -> Booking:
    booking = _booking(found)
    if booking.status is BookingStatus.CANCELLED:
        raise NoSuchBooking("this booking has been cancelled")
    if booking.end <= clock.now():
        raise NoSuchBooking("this booking is over")
    return booking


def _booking(found: Mapping[str, Any]) -> Booking:
    people = cast(Sequence[Mapping[str, Any]], found.get("attendees") or [{}])
    who = people[0]
    metadata = _metadata(found)
    fields = cast(Mapping[str, Any], found.get("bookingFieldsResponses") or {})
    status = {"accepted": BookingStatus.BOOKED, "pending": BookingStatus.REQUESTED}
    return Booking(
        id=str(found["uid"]),
        start=_time(found["start"]),
        end=_time(found["end"]),
        attendee=Attendee(
            str(who.get("name") or ""),
            who.get("phoneNumber") or metadata.get(_PHONE),
            who.get("email"),
            who.get("timeZone"),
        ),
        status=status.get(str(found.get("status")), BookingStatus.CANCELLED),
        title=str(found.get("title") or ""),
        notes=str(fields.get("notes") or ""),
    )


def _metadata(found: Mapping[str, Any]) -> Mapping[str, Any]:
    return cast(Mapping[str, Any], found.get("metadata") or {})


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _instant(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
