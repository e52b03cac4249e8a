"""What happened in this call? Timeline, transcript beside the recording, latencies, the SIP ending, tool calls."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls import history
from voiceagents.calls.bucket import BucketProblem
from voiceagents.calls.models import Call, CallEvent, Turn
from voiceagents.calls.states import CallState, Direction, Speaker
from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.zones import ZoneSource, zones_of
from voiceagents.web import audit
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.pages import rooms
from voiceagents.web.pages.rendering import fragment, page, then
from voiceagents.web.pages.words import mend_of, of_outcome, plain
from voiceagents.web.problems import not_found
from voiceagents.web.recordings import Recording, recording_of
from voiceagents.web.state import database_of, recordings_of, settings_of

router = APIRouter(prefix="/calls/{call_id}")

_LATENCIES = (
    ("e2e_latency", "answer, all in all"),
    ("end_of_turn_delay", "end of turn"),
    ("transcription_delay", "transcription"),
    ("llm_ttft", "language model"),
    ("tts_ttfb", "voice"),
)
_KINDS = {"dtmf": "Key pressed"}
_STATES = (
    ("created_at", "queued"), ("dispatched_at", "dispatched"), ("dialing_at", "dialing"), ("ringing_at", "ringing"),
    ("answered_at", "answered"), ("ended_at", "ended"),
)  # fmt: skip


@dataclass(frozen=True)
class Moment:
    """A point of the timeline."""

    at: datetime
    title: str
    words: str = ""
    tone: str = ""


@router.get("")
async def show(request: Request, user: Viewer, call_id: UUID) -> Response:
    database = database_of(request)
    async with database.transaction() as session:
        call = await _call(session, call_id)
        turns = await history.transcript(session, call_id)
        events = await history.timeline(session, call_id)
        tools = await history.tool_calls(session, call_id)
        messages = await history.messages(session, call_id)
        campaign = await _campaign_of(session, call)
    recording, out_of_reach = await _recording(request, call)
    context: dict[str, Any] = {
        "call": call, "turns": turns, "moments": _moments(call, events), "tools": tools, "messages": messages,
        "campaign": campaign, "recording": recording, "out_of_reach": out_of_reach, "agent": Speaker.AGENT,
        "of_outcome": of_outcome,
        "zero": recording.started_at if recording and recording.started_at else call.answered_at or call.created_at,
        "mend": mend_of(call.outcome.value, call.sip_status) if call.outcome else "",
        "zone": _zone_of(call),
        "has_latencies": any(turn.latencies for turn in turns),
    }  # fmt: skip
    if "hx-request" in request.headers:
        return fragment(request, user, "calls/_call", **context)
    return page(request, user, "calls/call", nav="Calls", **context)


@router.get("/latencies")
async def latencies(request: Request, user: Viewer, call_id: UUID) -> Response:
    database = database_of(request)
    async with database.transaction() as session:
        turns = [turn for turn in await history.transcript(session, call_id) if turn.latencies]
    return JSONResponse(_plot(turns))


def _plot(turns: Sequence[Turn]) -> dict[str, object]:
    present = [(name, label) for name, label in _LATENCIES if any(name in turn.latencies for turn in turns)]
    return {
        "x": list(range(1, len(turns) + 1)),
        "x_label": "Turn",
        "unit": "s",
        "series": [{"label": label, "values": [turn.latencies.get(name) for turn in turns]} for name, label in present],
    }


@router.get("/recording")
async def play(request: Request, user: Viewer, call_id: UUID) -> Response:
    """The audio, with ranges, so that a player can jump."""
    database = database_of(request)
    async with database.transaction() as session:
        call = await _call(session, call_id)
    recording = await recording_of(recordings_of(request), call)
    if recording is None:
        raise not_found("This call has no recording.")
    return await recording.response(request.headers.get("range"))


@router.post("/hang-up")
async def hang_up(request: Request, user: Editor, call_id: UUID) -> Response:
    database = database_of(request)
    async with database.transaction() as session:
        call = await _call(session, call_id)
        await audit.record(session, request, user, "ended", "call", call_id)
    if call.state is CallState.ENDED or not call.room_name:
        return then(request, f"/calls/{call_id}", "The call has ended already.")
    stuck = await rooms.hang_up(settings_of(request), [call.room_name])
    return then(
        request, f"/calls/{call_id}", "LiveKit did not delete the room; try again." if stuck else "The call is hung up."
    )


async def _recording(request: Request, call: Call) -> tuple[Recording | None, str]:
    """The recording, and what keeps it from us; the page is shown all the same."""
    try:
        return await recording_of(recordings_of(request), call), ""
    except BucketProblem as error:
        return None, str(error)


async def _call(session: AsyncSession, call_id: UUID) -> Call:
    call = await session.get(Call, call_id)
    if call is None:
        raise not_found("There is no such call.")
    return call


async def _campaign_of(session: AsyncSession, call: Call) -> Campaign | None:
    try:
        return await session.get(Campaign, UUID(call.campaign_id)) if call.campaign_id else None
    except ValueError:
        return None  # another dispatcher's campaign


def _zone_of(call: Call) -> str | None:
    """Where the person is, as far as their number says; None when it does not."""
    number = call.from_number if call.direction is Direction.INBOUND else call.to_number
    if number is None:
        return None
    zones = zones_of(None, number, "UTC")
    return zones.zones[0].key if zones.zones and zones.source is not ZoneSource.CAMPAIGN else None


def _moments(call: Call, events: Sequence[CallEvent]) -> list[Moment]:
    moments = [
        Moment(at, title.capitalize(), tone="busy" if title != "ended" else "good")
        for name, title in _STATES
        if (at := getattr(call, name)) is not None and not (title == "queued" and call.direction is Direction.INBOUND)
    ]
    moments += [
        Moment(
            event.at,
            _KINDS.get(event.kind) or plain(event.kind).capitalize(),
            _detail(event),
            "bad" if "fail" in event.kind else "wait",
        )
        for event in events
    ]
    return sorted(moments, key=lambda moment: moment.at)


def _detail(event: CallEvent) -> str:
    return "; ".join(f"{plain(name)}: {value}" for name, value in event.detail.items())
