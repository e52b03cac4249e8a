"""Does the recording of a call hold what was said in it? The carrier, which records for itself, is the witness.

One agent holds two calls: one that a program starts by the API and one that comes in. Their bucket is not there before
both are over.
"""

import asyncio
import signal
import stat
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import av
import httpx
import numpy as np
import numpy.typing as npt
import pytest
import pytest_asyncio
from fastapi import FastAPI

from tests.agent import Agent, Placed, Record, Speech, StartAgent, new_number, until
from tests.bucket import S3
from tests.stack.test_inbound_calls import route
from tests.web import EMAIL, PASSWORD, Browser, web_settings
from voiceagents.assistants.models import Assistant, Number
from voiceagents.calls import recordings
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.web import accounts, keys
from voiceagents.web.app import create_app
from voiceagents.web.models import Scope

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

Signal = npt.NDArray[np.float64]

RATE = 8000
CONSENT = "This call is recorded."
BUCKET = "made-later"
LISTENS = {"wait_for": "silence", "silence_ms": 1500, "timeout_ms": 20000}
HEARS_US = {"wait_for": "speech", "timeout_ms": 20000}


def says(line: str) -> dict[str, Any]:
    return {"say": line, "voice": "hibari"}


TALKS = [says("Hello, who is this?"), HEARS_US, LISTENS, says("I am not sure about that."), HEARS_US, LISTENS]
STAYS = [says("Hello, who is this?"), HEARS_US, LISTENS, {"wait_for": "silence", "silence_ms": 60000}]


@dataclass(frozen=True)
class Recorded:
    """What there is of the two calls."""

    agent: Agent
    app: FastAPI
    key: str
    placed: Record
    placed_witness: Path
    came_in: Record
    came_in_witness: Path

    @property
    def data(self) -> Path:
        return self.agent.folder / "data"

    def path(self, record: Record) -> Path:
        return recordings.folder(self.data) / record.row.details["recording"]["file"]

    def api(self) -> httpx.AsyncClient:
        """A program with a key."""
        return program(self.app, self.key)


def program(app: FastAPI, key: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://localhost/api/v1", timeout=30,
        headers={"Authorization": f"Bearer {key}"},
    )  # fmt: skip


@pytest_asyncio.fixture(scope="module")
async def recorded(start_agent: StartAgent, s3: S3) -> Recorded:
    agent = await start_agent(RECORD_CALLS="true", **s3.settings("lab") | {"RECORDINGS_BUCKET": BUCKET})
    data = agent.folder / "data"
    settings = {name.lower(): value for name, value in agent.lab.env().items()}
    app = create_app(
        web_settings(agent.database.url, **settings | {"voiceagents_data": data, "lk_agent_name": agent.name}),
        agent.database,
    )
    token = await accounts.first_owner_link(agent.database)
    assert token is not None
    owner = await accounts.accept(
        agent.database, app.state.passwords, token, email=EMAIL, name="Olga", password=PASSWORD
    )
    async with agent.database.transaction() as session:
        _, key = await keys.make(session, owner.id, name="dialler", scope=Scope.WRITE, expires_at=None)
    number, did, caller = new_number(), new_number(), new_number()
    async with agent.database.transaction() as session:
        session.add(
            Assistant(
                id="rec", name="Rec", prompt="You answer.", first_message="Rose Garden Tools, how can I help you?",
                record=True, consent_line=CONSENT,
            )
        )  # fmt: skip
        await session.flush()
        session.add(Number(e164=did, assistant_id="rec"))
    await route(agent, did)
    hangs_up = {"hangup": True}
    await agent.lab.carrier.put_phones({number: {"steps": [*TALKS, hangs_up], "ring_ms": 1000}})

    async def place() -> tuple[Record, Path]:
        order = {"phone": number, "name": "Ana", "prompt": "Hello {name}, this is about our new garden tools."}
        order["trunk_id"] = agent.lab.outbound_trunk_id
        began = time.time()
        async with program(app, key) as api:
            answer = await api.post("/calls", json=order, headers={"Idempotency-Key": "ana-1"})
            assert answer.status_code == 201, answer.text
            again = await api.post("/calls", json=order, headers={"Idempotency-Key": "ana-1"})
            assert (again.status_code, again.json()["id"]) == (201, answer.json()["id"])
        placed = Placed(agent, UUID(answer.json()["id"]), answer.json()["room_name"], number, began)
        record = await placed.over()
        return record, Path((await placed.witness())["recording"])

    async def come_in() -> tuple[Record, Path]:
        steps = [HEARS_US, LISTENS, says("When do you open tomorrow?"), HEARS_US, LISTENS, hangs_up]
        call = await agent.lab.carrier.place_call(did, {"steps": steps, "max_ms": 45000}, caller=caller)
        witness = await agent.lab.carrier.wait_until_over(call, within=90)
        return await agent.recorded(sip_call_id=call, within=30), Path(witness["recording"])

    (placed, placed_witness), (came_in, came_in_witness) = await asyncio.gather(place(), come_in())
    await _whole(data, placed)
    await _whole(data, came_in)
    return Recorded(agent, app, key, placed, placed_witness, came_in, came_in_witness)


async def _whole(data: Path, record: Record) -> None:
    """Returns when the recording has its name: a moment after the call's end."""
    path = recordings.folder(data) / recordings.file_name(record.row.id)

    async def there() -> bool | None:
        return True if path.exists() else None

    await until(there, within=20, what=f"the recording {path}")


def sides(path: Path) -> tuple[Signal, Signal]:
    """What the person said and what the assistant said, of one of our recordings."""
    left: list[Signal] = []
    with av.open(str(path)) as container:
        to_us = av.AudioResampler(format="fltp", layout="stereo", rate=RATE)
        for frame in container.decode(audio=0):
            left += [np.asarray(part.to_ndarray(), dtype=np.float64) for part in to_us.resample(frame)]
    both = np.concatenate(left, axis=1)
    return both[0], both[1]


def carriers(path: Path) -> tuple[Signal, Signal]:
    """What the phone said and what it heard, of one of the carrier's recordings."""
    with wave.open(str(path)) as file:
        assert file.getframerate() == RATE
        both = np.frombuffer(file.readframes(file.getnframes()), dtype=np.int16).reshape(-1, 2).astype(np.float64)
    return both[:, 1], both[:, 0]


def likeness(one: Signal, other: Signal) -> float:
    """How much two recordings are alike in when and how loud, from 0 to 1, wherever each of them begins."""
    # Both have gaps of their own where the machine was busy: a tenth of a second is fine enough.
    step = RATE // 10
    loud = [np.sqrt(np.add.reduceat(s**2, np.arange(0, len(s), step)) / step) for s in (one, other)]
    a, b = (s - s.mean() for s in loud)
    matches = np.correlate(a, b, mode="full")
    return float(matches.max() / (np.linalg.norm(a) * np.linalg.norm(b)))


def test_a_call_we_placed_is_recorded_with_both_sides_as_the_phone_had_them(recorded: Recorded) -> None:
    person, assistant = sides(recorded.path(recorded.placed))
    said, heard = carriers(recorded.placed_witness)
    print(recorded.placed, likeness(person, said), likeness(assistant, heard), likeness(person, heard))
    assert likeness(person, said) > 0.65
    assert likeness(assistant, heard) > 0.65
    assert likeness(person, heard) < 0.6, "the sides are not mixed"


def test_a_call_that_came_in_is_recorded_from_the_answer_and_the_consent_comes_first(recorded: Recorded) -> None:
    person, assistant = sides(recorded.path(recorded.came_in))
    said, heard = carriers(recorded.came_in_witness)
    print(recorded.came_in, likeness(person, said), likeness(assistant, heard))
    assert likeness(person, said) > 0.65
    assert likeness(assistant, heard) > 0.65
    assert recorded.came_in.agent[0].text == CONSENT
    assert np.abs(said[:RATE]).max() < 3000, "the caller waits for us"


async def test_the_recording_holds_the_words(recorded: Recorded, speech: Speech, tmp_path: Path) -> None:
    person, assistant = sides(recorded.path(recorded.came_in))
    words: list[str] = []
    for side in (person, assistant):
        with wave.open(str(tmp_path / "side.wav"), "wb") as file:
            file.setnchannels(2)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes((np.repeat(side, 2) * 32767).clip(-32768, 32767).astype(np.int16).tobytes())
        words.append((await speech.heard(tmp_path / "side.wav")).lower())
    print(words)
    assert "open" in words[0]
    assert "recorded" in words[1]
    assert "garden" in words[1]


def test_a_recording_is_for_its_owner_alone_and_begins_with_the_answer(recorded: Recorded) -> None:
    for record in (recorded.placed, recorded.came_in):
        path = recorded.path(record)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert record.row.answered_at is not None
        person, _ = sides(path)
        assert len(person) / RATE < record.row.talk_seconds + 12, "the ringing is not in it"
        assert path.name == f"{record.row.id}.ogg"


@pytest.mark.slow
async def test_what_a_killed_agent_had_recorded_is_kept_by_the_next(start_agent: StartAgent) -> None:
    agent, number = await start_agent(RECORD_CALLS="true"), new_number()
    await agent.lab.carrier.put_phones({number: {"steps": STAYS, "max_ms": 60000}})
    call = await agent.dial(number, prompt="Hello, this is about garden tools.")
    place = recordings.folder(agent.folder / "data")
    part, whole = place / f"{call.id}.ogg.part", place / f"{call.id}.ogg"

    async def written() -> bool | None:
        # What was said goes to the disk every few seconds.
        return True if part.exists() and part.stat().st_size > 60_000 else None

    await until(written, within=60, what="some of the recording on the disk")
    agent.signal(signal.SIGKILL)
    record = await call.over(within=60)
    assert record.row.details["recording"]["file"] == whole.name
    assert (part.exists(), whole.exists()) == (True, False)
    await agent.start()
    assert (part.exists(), whole.exists()) == (False, True)
    person, _ = sides(whole)
    assert len(person) / RATE > 2
    assert np.abs(person).max() > 0.01, "the person was heard"


async def test_a_program_that_started_a_call_reads_what_became_of_it(recorded: Recorded) -> None:
    async with recorded.api() as api:
        story = (await api.get(f"/calls/{recorded.placed.row.id}")).json()
        listed = (await api.get("/calls", params={"q": "garden tools", "direction": "outbound"})).json()["items"]
        sound = await api.get(f"/calls/{recorded.placed.row.id}/recording")
    print(story)
    assert (story["state"], story["direction"], story["contact_name"]) == ("ended", "outbound", "Ana")
    said = [(turn["speaker"], turn["text"].lower()) for turn in story["transcript"]]
    assert any(speaker == "agent" and "garden tools" in text for speaker, text in said)
    assert any(speaker == "person" for speaker, _ in said)
    assert [call["id"] for call in listed] == [story["id"]]
    assert (sound.status_code, sound.content[:4]) == (200, b"OggS")


async def test_the_page_of_the_call_plays_it_from_any_place_for_who_is_signed_in(recorded: Recorded) -> None:
    app = recorded.app
    address = f"/calls/{recorded.placed.row.id}"
    whole = recorded.path(recorded.placed).read_bytes()
    async with Browser(app) as browser:
        stranger = await browser.get(f"{address}/recording")
        assert stranger.status_code in (303, 401)
        assert b"OggS" not in stranger.content
        await browser.sign_in()
        assert f'src="{address}/recording"' in (await browser.get(address)).text
        played = await browser.get(f"{address}/recording")
        assert (played.status_code, played.headers["content-type"]) == (200, "audio/ogg")
        assert played.content == whole
        part = await browser.get(f"{address}/recording", headers={"Range": "bytes=1000-1999"})
        assert part.status_code == 206
        assert part.headers["content-range"] == f"bytes 1000-1999/{len(whole)}"
        assert part.content == whole[1000:2000]


async def test_recordings_that_waited_go_into_the_bucket_when_the_next_agent_starts(recorded: Recorded, s3: S3) -> None:
    whole = {path.name: path.read_bytes() for path in map(recorded.path, (recorded.placed, recorded.came_in))}
    assert recorded.agent.log().count("RECORDINGS_WAITING") == 1, "it is said once what is in the way"
    assert "NoSuchBucket" in recorded.agent.log()
    await recorded.agent.stop()
    (s3.folder / BUCKET).mkdir()
    await recorded.agent.start()

    async def stored() -> bool | None:
        return None if list(recordings.folder(recorded.data).iterdir()) else True

    await until(stored, within=30, what="the recordings in the bucket")
    place = s3.folder / BUCKET / "lab"
    assert {path.name: path.read_bytes() for path in place.iterdir()} == whole
    recorded.app.state.recordings = RecordingStore(recorded.data, s3.bucket("lab", name=BUCKET))
    async with recorded.api() as api:
        sound = await api.get(f"/calls/{recorded.placed.row.id}/recording")
    assert sound.content == whole[recorded.path(recorded.placed).name]
