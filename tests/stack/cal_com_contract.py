"""What Cal.com's API v2 asks of a request and answers, as far as calendars use it. A server for tests, on loopback.

After the OpenAPI description of the API: versions 2024-09-04 of slots and 2024-08-13 of bookings, refusals in the
words of the real server. Whatever the real one would refuse is refused here, so that a test sees a wrong request.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import uuid4

import pytest_asyncio
import uvicorn
from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator

from voiceagents import clock
from voiceagents.calendars import slots
from voiceagents.calendars.rules import Rules

KEY = "cal_live_hush"
EVENT_TYPE = 4711
BUSY = "User either already has booking at this time or is not available"
OUT_OF_BOUNDS = (
    "The event type can't be booked at the \"start\" time provided. This could be because it's too soon (violating the "
    "minimum booking notice) or too far in the future (outside the event's scheduling window)."
)


class Refusal(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewAttendee(_Strict):
    name: str
    timeZone: str
    email: str | None = Field(default=None, pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")
    phoneNumber: str | None = Field(default=None, pattern=r"^\+[1-9]\d{7,14}$")
    language: str = "en"

    @model_validator(mode="after")
    def _can_be_reached(self) -> "NewAttendee":
        if not self.email and not self.phoneNumber:
            raise ValueError("At least one contact method (email or phone number) must be provided")
        return self


class NewBooking(_Strict):
    start: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    eventTypeId: int
    attendee: NewAttendee
    metadata: dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=500)]] = Field(
        default_factory=dict, max_length=50
    )
    bookingFieldsResponses: dict[str, Any] = Field(default_factory=dict)
    lengthInMinutes: int | None = None


class NewTime(_Strict):
    start: str
    reschedulingReason: str | None = None
    rescheduledBy: str | None = None


class Cancellation(_Strict):
    cancellationReason: str | None = None


@dataclass
class CalCom:
    """The server's state: one event type, and what is booked."""

    url: str = ""
    rules: Rules = field(default_factory=Rules)
    bookings: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: list[tuple[int, str]] = field(default_factory=list)
    """Answers to the next requests that would book, in place of the true ones."""
    loses_answers: int = 0
    """So many bookings are made, and the answer is lost."""
    recurs: bool = False
    """The event type recurs: a booking is answered with all of its times."""
    requests: list[str] = field(default_factory=list)

    def take(self, start: datetime) -> None:
        """Somebody books on Cal.com's own page."""
        self.put(NewBooking(start=f"{start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", eventTypeId=EVENT_TYPE,
                            attendee=NewAttendee(name="Web", timeZone="UTC", email="web@example.com")))  # fmt: skip

    def put(self, new: NewBooking, but: str | None = None, since: dict[str, Any] | None = None) -> dict[str, Any]:
        start = datetime.fromisoformat(new.start)
        now = clock.now()
        if start < now:
            raise Refusal(400, "Attempting to book a meeting in the past.")
        if why := slots.why_refused(self.rules, now, start):
            raise Refusal(400, OUT_OF_BOUNDS if "soon" in why or "ahead" in why else BUSY)
        if start not in [slot.start for slot in self.free(start, start + self.rules.length, but)]:
            raise Refusal(400, BUSY)
        uid = uuid4().hex[:22]
        who = new.attendee
        self.bookings[uid] = {
            "id": len(self.bookings) + 1, "uid": uid, "title": f"Appointment: {who.name}", "description": "",
            "hosts": [{"id": 1, "name": "Jane", "email": "jane@example.com", "username": "jane", "timeZone": "UTC"}],
            "status": "pending" if self.rules.needs_confirmation else "accepted",
            "start": f"{start:%Y-%m-%dT%H:%M:%S.000Z}", "end": f"{start + self.rules.length:%Y-%m-%dT%H:%M:%S.000Z}",
            "duration": self.rules.slot_minutes, "eventTypeId": EVENT_TYPE,
            "eventType": {"id": EVENT_TYPE, "slug": "visit"}, "location": "", "absentHost": False,
            "createdAt": now.isoformat(), "updatedAt": None, "metadata": new.metadata,
            "attendees": [{
                "name": who.name, "email": who.email or f"{who.phoneNumber}@sms.cal.com", "timeZone": who.timeZone,
                "language": who.language, "absent": False,
                **({"phoneNumber": who.phoneNumber} if who.phoneNumber else {}),
            }],
            "bookingFieldsResponses": {**new.bookingFieldsResponses, "name": who.name},
        } | (since or {})  # fmt: skip
        return self.bookings[uid]

    def free(self, start: datetime, end: datetime, but: str | None = None) -> list[Any]:
        busy = [
            (datetime.fromisoformat(one["start"]), datetime.fromisoformat(one["end"]))
            for uid, one in self.bookings.items()
            if one["status"] in ("accepted", "pending") and uid != but
        ]
        return list(slots.free(self.rules, clock.now(), start, end, busy))


def application(cal: CalCom) -> FastAPI:
    """The API over this state."""
    app = FastAPI()

    async def version(request: Request, cal_api_version: Annotated[str, Header()] = "") -> None:
        cal.requests.append(f"{request.method} {request.url.path}")
        wanted = "2024-09-04" if "/slots" in request.url.path else "2024-08-13"
        if cal_api_version != wanted:
            raise Refusal(404, f"Cannot {request.method} {request.url.path}")

    async def entry(authorization: Annotated[str, Header()] = "") -> None:
        if authorization != f"Bearer {KEY}":
            raise Refusal(401, "Invalid API Key")

    def data(found: Any) -> dict[str, Any]:
        return {"status": "success", "data": found}

    def booking(uid: str) -> dict[str, Any]:
        if uid not in cal.bookings:
            raise Refusal(404, f"Booking with uid={uid} was not found in the database")
        return cal.bookings[uid]

    @app.exception_handler(Refusal)
    async def refused(request: Request, refusal: Refusal) -> JSONResponse:
        error = {"code": "BadRequestException", "message": refusal.message, "details": {"message": refusal.message}}
        return JSONResponse({"status": "error", "path": request.url.path, "error": error}, refusal.status)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return await refused(request, Refusal(400, f"property is invalid: {error.errors()[0]['loc']}"))

    @app.get("/v2/slots", dependencies=[Depends(version)])
    async def get_slots(
        eventTypeId: int, start: datetime, end: datetime, timeZone: str = "UTC", format: str = "time",
        duration: int | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        if eventTypeId != EVENT_TYPE:
            raise Refusal(404, f"Event Type with ID {eventTypeId} not found")
        days: dict[str, list[dict[str, str]]] = {}
        for slot in cal.free(start, end):
            one = {"start": f"{slot.start:%Y-%m-%dT%H:%M:%S.000Z}"}
            if format == "range":
                one["end"] = f"{slot.end:%Y-%m-%dT%H:%M:%S.000Z}"
            days.setdefault(f"{slot.start:%Y-%m-%d}", []).append(one)
        return data(days)

    both = [Depends(version), Depends(entry)]

    @app.post("/v2/bookings", status_code=201, dependencies=[Depends(version)])
    async def create(new: NewBooking) -> Any:
        if new.eventTypeId != EVENT_TYPE:
            raise Refusal(404, f"Event type with id {new.eventTypeId} not found.")
        if cal.broken:
            raise Refusal(*cal.broken.pop(0))
        made = cal.put(new)
        if cal.loses_answers:
            cal.loses_answers -= 1
            return JSONResponse({"status": "error", "error": {"message": "Bad gateway"}}, 502)
        return data([made] if cal.recurs else made)

    @app.get("/v2/bookings", dependencies=both)
    async def get_all(
        eventTypeId: int, status: str, afterStart: datetime, beforeEnd: datetime | None = None, sortStart: str = "asc",
        take: Annotated[int, Query(ge=1, le=250)] = 100, skip: Annotated[int, Query(ge=0)] = 0,
    ) -> dict[str, Any]:  # fmt: skip
        wanted = {"upcoming": "accepted", "unconfirmed": "pending", "cancelled": "cancelled"}
        states = {wanted[one] for one in status.split(",")}
        found = sorted(
            (
                one for one in cal.bookings.values()
                if one["status"] in states and datetime.fromisoformat(one["start"]) >= afterStart
                and (beforeEnd is None or datetime.fromisoformat(one["end"]) <= beforeEnd)
                and (one["status"] == "cancelled" or datetime.fromisoformat(one["end"]) >= clock.now())
            ),
            key=lambda one: one["start"], reverse=sortStart == "desc",
        )  # fmt: skip
        page = found[skip : skip + take]
        return data(page) | {"pagination": {"hasNextPage": skip + take < len(found), "totalItems": len(found)}}

    @app.get("/v2/bookings/{uid}", dependencies=both)
    async def get(uid: str) -> dict[str, Any]:
        return data(booking(uid))

    @app.post("/v2/bookings/{uid}/reschedule", status_code=201, dependencies=both)
    async def reschedule(uid: str, new: NewTime) -> dict[str, Any]:
        old = booking(uid)
        if old["status"] not in ("accepted", "pending"):
            raise Refusal(400, f"Can't reschedule booking with uid={uid} because it has been cancelled.")
        who = old["attendees"][0]
        moved = cal.put(
            NewBooking(
                start=new.start, eventTypeId=EVENT_TYPE, metadata=old["metadata"],
                attendee=NewAttendee(name=who["name"], timeZone=who["timeZone"], email=who["email"],
                                     phoneNumber=who.get("phoneNumber")),
                bookingFieldsResponses=old["bookingFieldsResponses"],
            ),
            but=uid, since={"rescheduledFromUid": uid},
        )  # fmt: skip
        old |= {"status": "cancelled", "rescheduledToUid": moved["uid"]}
        return data(moved)

    @app.post("/v2/bookings/{uid}/cancel", dependencies=both)
    async def cancel(uid: str, cancellation: Cancellation) -> dict[str, Any]:
        found = booking(uid)
        if found["status"] == "cancelled":
            raise Refusal(400, f"Can't cancel booking with uid={uid} because it has been cancelled already.")
        found |= {"status": "cancelled", "cancellationReason": cancellation.cancellationReason}
        return data(found)

    @app.post("/v2/bookings/{uid}/confirm", dependencies=both)
    async def confirm(uid: str) -> dict[str, Any]:
        found = booking(uid)
        found["status"] = "accepted"
        return data(found)

    return app


@pytest_asyncio.fixture
async def cal_com() -> AsyncIterator[CalCom]:
    """A fresh Cal.com on loopback."""
    cal = CalCom()
    # Listening from here on: requests wait until it serves.
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(cal), log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    cal.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield cal
    server.should_exit = True
    await serving
