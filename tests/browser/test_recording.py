"""Can somebody listen to a call in the browser, jump in it, and read along? From the folder and from a bucket."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import av
import numpy as np
import pytest
from playwright.async_api import Page, expect
from sqlalchemy.ext.asyncio import AsyncSession

from tests.browser.site import Site, picture
from tests.bucket import S3
from voiceagents.calls import recordings
from voiceagents.calls.models import Call, CallEvent, Turn
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome, Speaker
from voiceagents.livekit.uploads import Uploads
from voiceagents.web.models import Role

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

SECONDS = 60
RATE = 48_000
BEGAN = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=20)
WORDS = (
    (1.0, Speaker.AGENT, "Hello Ana, this is Garden Tools. Do you have a minute?"),
    (7.0, Speaker.PERSON, "Yes, go on."),
    (10.0, Speaker.AGENT, "Our shears are back in stock. Shall I put a pair aside for you?"),
    (42.0, Speaker.PERSON, "Please do. I will come by on Friday."),
    (49.0, Speaker.AGENT, "Done. See you on Friday, goodbye."),
)


@pytest.fixture
def surrounding_settings(s3: S3) -> dict[str, Any]:
    kept = {name.lower(): value for name, value in s3.settings("browser").items()}
    return {"livekit_url": None, "sip_trunk_id": None, **kept}


def sound(path: Path) -> None:
    """A minute of both sides, as the agent's recorder writes it: Opus in Ogg."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Noise, so that it is as large as speech and is fetched in parts.
    samples = (np.random.default_rng(1).standard_normal((1, SECONDS * RATE * 2)) * 3000).astype(np.int16)
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=RATE)
        stream.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


async def recorded_call(site: Site) -> UUID:
    call_id = uuid4()
    file = recordings.file_name(call_id)
    await asyncio.to_thread(sound, recordings.folder(site.settings.voiceagents_data) / file)
    call = Call(
        id=call_id, direction=Direction.OUTBOUND, state=CallState.ENDED, outcome=Outcome.COMPLETED,
        ended_by=EndedBy.PERSON, cause="the person said goodbye", to_number="+12025550101", contact_name="Ana Torres",
        created_at=BEGAN, dispatched_at=BEGAN, dialing_at=BEGAN, ringing_at=BEGAN + timedelta(seconds=1),
        answered_at=BEGAN + timedelta(seconds=6), ended_at=BEGAN + timedelta(seconds=6 + SECONDS),
        summary="Ana takes a pair of shears and collects it on Friday.",
        details={"recording": {"file": file, "started_at": (BEGAN + timedelta(seconds=6)).isoformat()}},
    )  # fmt: skip
    async with site.database.transaction() as session:
        session.add(call)
        await session.flush()
        for number, (second, speaker, text) in enumerate(WORDS):
            at = BEGAN + timedelta(seconds=6 + second)
            delays = {"e2e_latency": 0.7 + number / 10, "llm_ttft": 0.3, "tts_ttfb": 0.2, "end_of_turn_delay": 0.15}
            session.add(
                Turn(
                    call_id=call_id, item_id=str(number), speaker=speaker, text=text, started_at=at,
                    latencies=delays if speaker is Speaker.AGENT and number else {},
                )
            )  # fmt: skip
        session.add(CallEvent(call_id=call_id, kind="dtmf", detail={"digit": "1"}, at=BEGAN + timedelta(seconds=20)))
    return call_id


async def until_true(page: Page, asked: str) -> None:
    await page.wait_for_function(f"() => {{ const audio = document.querySelector('audio'); return {asked}; }}")


async def plays_and_jumps(page: Page) -> None:
    await expect(page.get_by_label("Recording of the call")).to_be_visible()
    await until_true(page, f"Math.abs(audio.duration - {SECONDS}) < 1 && !audio.error")
    # A line's time plays from there, and what is heard is marked.
    await page.get_by_role("button", name="Play from 42 seconds").click()
    await until_true(page, "!audio.paused && audio.currentTime > 42.2 && audio.currentTime < 50")
    await expect(page.locator(".transcript li.now")).to_contain_text("I will come by on Friday.")
    await page.evaluate("document.querySelector('audio').pause()")
    await page.evaluate("document.querySelector('audio').currentTime = 8")
    await expect(page.locator(".transcript li.now")).to_contain_text("Yes, go on.")
    await until_true(page, "audio.readyState >= 2 && Math.abs(audio.currentTime - 8) < 0.5")


async def test_a_recording_is_heard_beside_its_transcript_wherever_it_is_kept(site: Site, s3: S3) -> None:
    call_id = await recorded_call(site)
    page = await site.page(Role.VIEWER)
    await page.goto(f"/calls/{call_id}")
    await plays_and_jumps(page)
    await picture(page, "recording")

    async def ask(question: Callable[[AsyncSession], Awaitable[dict[UUID, bool]]]) -> dict[UUID, bool]:
        async with site.database.transaction() as session:
            return await question(session)

    assert await Uploads(RecordingStore.of(site.settings), ask).once() == 1
    assert recordings.existing(site.settings.voiceagents_data, [call_id]) == []
    parts: list[str] = []
    page.on("response", lambda answer: parts.append(f"{answer.status}") if "/recording" in answer.url else None)
    await page.reload()
    await plays_and_jumps(page)
    assert parts
    assert set(parts) == {"206"}, "a browser fetches it in parts"


async def test_a_call_that_ends_while_its_page_is_open_can_be_heard_there(site: Site) -> None:
    call_id = await recorded_call(site)
    async with site.database.transaction() as session:
        call = await session.get_one(Call, call_id)
        call.state, call.ended_at, call.outcome, call.room_name = CallState.ANSWERED, None, None, "call-x"
        call.details = {}
    page = await site.page(Role.VIEWER)
    await page.goto(f"/calls/{call_id}")
    await expect(page.get_by_role("heading", name="Right now")).to_be_visible()
    async with site.database.transaction() as session:
        call = await session.get_one(Call, call_id)
        call.state, call.ended_at, call.outcome = CallState.ENDED, datetime.now(UTC), Outcome.COMPLETED
        call.details = {"recording": {"file": recordings.file_name(call_id), "started_at": BEGAN.isoformat()}}
    await expect(page.get_by_role("heading", name="How it ended")).to_be_visible()
    await page.get_by_role("button", name="Play from 48 seconds").click()
    await until_true(page, "!audio.paused && audio.currentTime > 48")
