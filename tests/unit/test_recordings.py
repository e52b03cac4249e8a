"""How do recordings get into their folder whole, and out of it? And who is recorded at all?"""

import asyncio
import os
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit import api, rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice import io

from tests.agent import until
from voiceagents.calls import recordings
from voiceagents.calls.bucket import Bucket, BucketProblem
from voiceagents.calls.models import Call
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.calls.records import FACT, CallRecorded, Fact, Happened
from voiceagents.livekit import uploads
from voiceagents.livekit.egress import EgressRecording
from voiceagents.livekit.recording import CallRecording
from voiceagents.settings import Settings, SettingsError, load
from voiceagents.web.recordings import ByteRange, recording_of

pytestmark = pytest.mark.unit


def made(data: Path, call_id: UUID, sound: bytes = b"OggS") -> recordings.Unfinished:
    unfinished = recordings.Unfinished(data, call_id)
    unfinished.path.write_bytes(sound)
    return unfinished


def names(data: Path) -> list[str]:
    return sorted(path.name for path in recordings.folder(data).iterdir())


def test_a_recording_has_its_name_only_once_it_is_whole(tmp_path: Path) -> None:
    call_id = uuid4()
    unfinished = made(tmp_path, call_id)
    assert names(tmp_path) == [f"{call_id}.ogg.part"]
    assert unfinished.keep()
    assert names(tmp_path) == [f"{call_id}.ogg"]


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        made(tmp_path, call_id := uuid4()).keep()
    finally:
        os.umask(umask)
    place = recordings.folder(tmp_path)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / recordings.file_name(call_id)).stat().st_mode) == 0o600


def test_of_a_call_in_which_nothing_was_recorded_no_file_stays(tmp_path: Path) -> None:
    assert not made(tmp_path, uuid4(), b"").keep()
    assert names(tmp_path) == []


def test_a_call_is_recorded_once_at_a_time(tmp_path: Path) -> None:
    call_id = uuid4()
    first = made(tmp_path, call_id)
    with pytest.raises(BlockingIOError):
        recordings.Unfinished(tmp_path, call_id)
    assert first.keep()


def test_what_is_being_recorded_is_left_alone_and_what_a_killed_process_left_is_kept(tmp_path: Path) -> None:
    mine, orphan = uuid4(), uuid4()
    unfinished = made(tmp_path, mine)
    dies = (
        "import os, sys, uuid, pathlib\nfrom voiceagents.calls import recordings\n"
        "made = recordings.Unfinished(pathlib.Path(sys.argv[1]), uuid.UUID(sys.argv[2]))\n"
        "made.path.write_bytes(b'OggS')\nos.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", dies, str(tmp_path), str(orphan)], check=False)
    assert recordings.salvage(tmp_path) == [orphan]
    assert names(tmp_path) == sorted([f"{mine}.ogg.part", f"{orphan}.ogg"])
    assert recordings.salvage(tmp_path) == []
    assert unfinished.keep()


def test_files_that_are_no_recording_stay_as_they_are(tmp_path: Path) -> None:
    place = recordings.folder(tmp_path)
    place.mkdir()
    (place / "notes.ogg.part").write_bytes(b"x")
    assert recordings.salvage(tmp_path) == []
    assert names(tmp_path) == ["notes.ogg.part"]


def test_without_a_folder_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert recordings.salvage(tmp_path) == []
    assert recordings.delete(tmp_path, [uuid4()]) == 0
    assert recordings.existing(tmp_path, [uuid4()]) == []


def test_one_that_is_deleted_while_it_is_made_does_not_come_back(tmp_path: Path) -> None:
    whole, making, other = uuid4(), uuid4(), uuid4()
    made(tmp_path, whole).keep()
    made(tmp_path, other).keep()
    unfinished = made(tmp_path, making)
    assert recordings.existing(tmp_path, [whole, making, uuid4()]) == [whole, making]
    assert recordings.delete(tmp_path, [whole, making, uuid4()]) == 2
    assert not unfinished.keep()
    assert names(tmp_path) == [f"{other}.ogg"]


async def test_a_call_that_is_not_to_be_recorded_is_left_alone(tmp_path: Path) -> None:
    facts: list[Fact] = []
    recording = CallRecording(uuid4(), None, facts.append)
    await recording.begin()
    await recording.finish()
    assert facts == []


def test_the_fact_of_a_recording_survives_the_spool() -> None:
    fact = CallRecorded.model_validate({"call_id": uuid4(), "file": "a.ogg", "started_at": "2026-11-25T17:00:00+00:00"})
    assert FACT.validate_json(FACT.dump_json(fact)) == fact


@pytest.mark.parametrize("days", ["0", "-1", "soon"])
def test_a_retention_that_makes_no_sense_is_refused_by_name(days: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_DAYS", days)
    with pytest.raises(SettingsError, match="RETENTION_DAYS"):
        load()


def test_by_default_nothing_is_recorded_and_everything_kept() -> None:
    fields = Settings.model_fields
    assert fields["record_calls"].default is False
    assert fields["retention_days"].default is None


# --- what a browser gets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kept",
    [
        {}, {"recording": None}, {"recording": "a.ogg"}, {"recording": {}}, {"recording": {"file": ""}},
        {"recording": {"file": "gone.ogg"}}, {"recording": {"file": "../secret"}}, {"recording": {"file": "{secret}"}},
        {"recording": {"file": "link.ogg"}}, {"recording": {"file": "."}},
    ],
    ids=str,
)  # fmt: skip
async def test_nothing_outside_the_folder_is_played(kept: dict[str, Any], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("key")
    recordings.folder(tmp_path).mkdir()
    (recordings.folder(tmp_path) / "link.ogg").symlink_to(secret)
    if isinstance(found := kept.get("recording"), dict) and found.get("file") == "{secret}":
        kept = {"recording": {"file": str(secret)}}
    assert await recording_of(RecordingStore(tmp_path), Call(details=kept)) is None


async def test_a_recording_is_found_where_the_agent_puts_it(tmp_path: Path) -> None:
    call_id = uuid4()
    made(tmp_path, call_id).keep()
    details = {"recording": {"file": recordings.file_name(call_id), "started_at": "2026-11-25T17:00:00+00:00"}}
    found = await recording_of(RecordingStore(tmp_path), Call(details=details))
    assert found is not None
    assert found.place == recordings.folder(tmp_path) / recordings.file_name(call_id)
    assert found.started_at is not None


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-", (0, 1000)), ("bytes=0-0", (0, 1)), ("bytes=10-19", (10, 20)), ("bytes=990-5000", (990, 1000)),
        ("bytes=-10", (990, 1000)), ("bytes=-5000", (0, 1000)), ("bytes= 5 - 6", (5, 7)),
        ("bytes=1000-", None), ("bytes=-0", None),
    ],
)  # fmt: skip
def test_a_part_of_a_recording_is_what_the_header_says(header: str, part: tuple[int, int] | None) -> None:
    asked = ByteRange.parse(header)
    assert asked is not None
    assert asked.within(1000) == part


@pytest.mark.parametrize(
    "header", [None, "", "bytes", "bytes=-", "bytes=2-1", "bytes=0-1,5-6", "lines=1-2", "bytes=a-b"]
)
def test_a_range_that_we_do_not_serve_asks_for_everything(header: str | None) -> None:
    assert ByteRange.parse(header) is None


@given(st.text(alphabet="bytes=0123456789-, ", max_size=30), st.integers(1, 10_000))
def test_a_part_lies_within_the_file(header: str, size: int) -> None:
    asked = ByteRange.parse(header)
    part = asked.within(size) if asked is not None else None
    assert part is None or 0 <= part[0] < part[1] <= size


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"RECORDINGS_BUCKET": "My Bucket"}, "RECORDINGS_BUCKET"),
        ({"RECORDINGS_PREFIX": "calls"}, "RECORDINGS_BUCKET"),
        ({"RECORDINGS_BUCKET": "calls", "RECORDINGS_PREFIX": "/calls"}, "RECORDINGS_PREFIX"),
        ({"RECORDINGS_BUCKET": "calls", "AWS_ACCESS_KEY_ID": "key"}, "AWS_SECRET_ACCESS_KEY"),
        ({"RECORDINGS_BUCKET": "calls", "AWS_ENDPOINT_URL": "s3.example.com"}, "AWS_ENDPOINT_URL"),
    ],
)
def test_half_a_bucket_is_refused_by_name(given: dict[str, str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=says):
        load()


# --- a session that is recorded ---------------------------------------------------------------------------------------

RATE = 24000
PERSON, ASSISTANT = 500, 1500


def tone(hertz: float, seconds: float) -> rtc.AudioFrame:
    samples = np.sin(2 * np.pi * hertz * np.arange(int(RATE * seconds)) / RATE) * 8000
    return rtc.AudioFrame(samples.astype(np.int16).tobytes(), RATE, 1, len(samples))


class Microphone(io.AudioInput):
    """Hums at one pitch, 50 frames a second."""

    def __init__(self) -> None:
        super().__init__(label="microphone")

    async def __anext__(self) -> rtc.AudioFrame:
        await asyncio.sleep(0.02)
        return tone(PERSON, 0.02)


class Earpiece(io.AudioOutput):
    """Plays what it is given in its time."""

    def __init__(self) -> None:
        super().__init__(label="earpiece", capabilities=io.AudioOutputCapabilities(pause=False))
        self._seconds = 0.0
        self._playing: asyncio.Task[None] | None = None

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if not self._seconds:
            self.on_playback_started(created_at=time.time())
        self._seconds += frame.duration

    def flush(self) -> None:
        super().flush()
        seconds, self._seconds = self._seconds, 0.0
        if seconds:
            self._playing = asyncio.create_task(self._play(seconds))

    async def _play(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.on_playback_finished(playback_position=seconds, interrupted=False)

    def clear_buffer(self) -> None:
        pass


def pitches(path: Path) -> list[float]:
    """The loudest pitch of each channel, in hertz."""
    with av.open(str(path)) as container:
        frames = [np.asarray(frame.to_ndarray(), dtype=np.float64) for frame in container.decode(audio=0)]
        rate = container.streams.audio[0].rate
    both = np.concatenate(frames, axis=1)
    return [float(np.argmax(np.abs(np.fft.rfft(side))) * rate / len(side)) for side in both]


async def test_a_running_session_is_recorded_from_the_answer_on_each_side_for_itself(tmp_path: Path) -> None:
    facts: list[Fact] = []
    call_id = uuid4()
    session: AgentSession[None] = AgentSession()
    session.input.audio, session.output.audio = Microphone(), Earpiece()
    await session.start(Agent(instructions=""), record=False)  # pyright: ignore[reportUnknownMemberType]
    recording = CallRecording(call_id, tmp_path, facts.append)
    recording.attach(session)
    assert not recordings.folder(tmp_path).exists(), "nobody has answered yet"
    await recording.begin()

    async def words() -> AsyncIterator[rtc.AudioFrame]:
        for _ in range(20):
            yield tone(ASSISTANT, 0.05)

    await session.say("Hm", audio=words()).wait_for_playout()
    await session.aclose()
    await recording.finish()
    await recording.finish()
    (fact,) = facts
    assert isinstance(fact, CallRecorded)
    assert names(tmp_path) == [fact.file] == [f"{call_id}.ogg"]
    left, right = pitches(recordings.folder(tmp_path) / fact.file)
    assert left == pytest.approx(PERSON, abs=10)
    assert right == pytest.approx(ASSISTANT, abs=10)


async def test_a_folder_that_cannot_be_written_costs_the_recording_and_not_the_call(tmp_path: Path) -> None:
    (tmp_path / "recordings").write_text("a file is in the way")
    facts: list[Fact] = []
    session: AgentSession[None] = AgentSession()
    session.input.audio, session.output.audio = Microphone(), Earpiece()
    recording = CallRecording(uuid4(), tmp_path, facts.append)
    recording.attach(session)
    await recording.begin()
    await recording.finish()
    (fact,) = facts
    assert isinstance(fact, Happened)
    assert fact.kind == "recording_failed"
    assert "cannot be written" in fact.detail["cause"]


# --- LiveKit Egress ---------------------------------------------------------------------------------------------------


@dataclass
class FakeEgress:
    """LiveKit's API, as far as it starts an egress; refuses with an error."""

    error: Exception | None = None
    asked: list[api.RoomCompositeEgressRequest] = field(default_factory=list[api.RoomCompositeEgressRequest])

    @property
    def egress(self) -> "FakeEgress":
        return self

    async def start_room_composite_egress(self, start: api.RoomCompositeEgressRequest) -> api.EgressInfo:
        self.asked.append(start)
        if self.error is not None:
            raise self.error
        return api.EgressInfo(egress_id="EG_1")


def by_egress(
    livekit: FakeEgress, data: Path, facts: list[Fact], call_id: UUID, **settings: Any
) -> tuple[EgressRecording, AgentSession[None]]:
    session: AgentSession[None] = AgentSession()
    session.input.audio, session.output.audio = Microphone(), Earpiece()
    own = CallRecording(call_id, data, facts.append)
    kept = Settings(_env_file=None, **settings)  # pyright: ignore[reportCallIssue]
    recording = EgressRecording(call_id, livekit, "call-x", kept, facts.append, own)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    recording.attach(session)
    return recording, session


async def happens(facts: list[Fact]) -> Fact:
    async def first() -> Fact | None:
        return facts[0] if facts else None

    return await until(first, within=10, what="a fact")


async def test_egress_is_asked_for_sound_alone_in_the_file_that_pages_play(tmp_path: Path) -> None:
    livekit, facts, call_id = FakeEgress(), list[Fact](), uuid4()
    recording, _ = by_egress(livekit, tmp_path, facts, call_id, livekit_egress_folder="/recordings/")
    await recording.begin()
    fact = await happens(facts)
    await recording.finish()
    assert isinstance(fact, CallRecorded)
    assert fact.file == f"{call_id}.ogg"
    (asked,) = livekit.asked
    assert (asked.room_name, asked.audio_only, asked.audio_mixing) == (
        "call-x",
        True,
        api.AudioMixing.DUAL_CHANNEL_AGENT,
    )
    (file,) = asked.file_outputs
    assert (file.file_type, file.filepath) == (api.EncodedFileType.OGG, f"/recordings/{call_id}.ogg")
    assert not recordings.folder(tmp_path).exists(), "the agent does not record beside it"


@pytest.mark.parametrize(("prefix", "path"), [("", "{}.ogg"), ("eu/calls/", "eu/calls/{}.ogg")])
async def test_egress_is_told_to_put_it_into_the_bucket_where_there_is_one(
    prefix: str, path: str, tmp_path: Path
) -> None:
    livekit, facts, call_id = FakeEgress(), list[Fact](), uuid4()
    recording, _ = by_egress(
        livekit, tmp_path, facts, call_id, recordings_bucket="calls", recordings_prefix=prefix,
        aws_endpoint_url="https://s3.example.com", aws_access_key_id="key", aws_secret_access_key="secret",
    )  # fmt: skip
    await recording.begin()
    await happens(facts)
    await recording.finish()
    ((file,),) = (asked.file_outputs for asked in livekit.asked)
    assert file.filepath == path.format(call_id)
    assert (file.s3.bucket, file.s3.endpoint, file.s3.force_path_style) == ("calls", "https://s3.example.com", True)
    assert (file.s3.access_key, file.s3.secret) == ("key", "secret")


async def test_the_agent_records_where_egress_refuses(tmp_path: Path) -> None:
    livekit, facts, call_id = FakeEgress(TimeoutError()), list[Fact](), uuid4()
    recording, session = by_egress(livekit, tmp_path, facts, call_id)
    await session.start(Agent(instructions=""), record=False)  # pyright: ignore[reportUnknownMemberType]
    await recording.begin()
    assert isinstance(await happens(facts), CallRecorded)
    await asyncio.sleep(0.5)  # some sound
    await session.aclose()
    await recording.finish()
    assert names(tmp_path) == [f"{call_id}.ogg"]


async def test_what_keeps_recordings_from_their_bucket_is_said_once_whichever_file_met_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    no_bucket = "make the bucket, or set RECORDINGS_BUCKET to one that exists"
    troubles = iter(
        [
            BucketProblem("a.ogg was not stored: NoSuchBucket", no_bucket),
            BucketProblem("b.ogg was not stored: NoSuchBucket", no_bucket),
            BucketProblem("b.ogg was not stored: AccessDenied", "check the keys"),
            asyncio.CancelledError(),
        ]
    )

    async def refused(_: uploads.Uploads) -> int:
        raise next(troubles)

    monkeypatch.setattr(uploads, "_LOOK", 0.0)
    monkeypatch.setattr(uploads.Uploads, "once", refused)
    bucket = Bucket("calls", prefix="", endpoint="http://127.0.0.1:9", region="us-east-1", access_key=("key", "secret"))
    with pytest.raises(asyncio.CancelledError):
        await uploads.Uploads(RecordingStore(tmp_path, bucket), ask_nobody).run()
    said = [record.getMessage() for record in caplog.records if "RECORDINGS_WAITING" in record.getMessage()]
    assert ["NoSuchBucket" in words for words in said] == [True, False]


async def ask_nobody(_: object) -> uploads.Cleared:
    return {}
