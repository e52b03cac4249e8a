"""How do recordings get into their folder whole, and out of it? And who is recorded at all?"""

import os
import stat
import subprocess
import sys
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from voiceagents.calls import recordings
from voiceagents.calls.records import FACT, CallRecorded, Fact
from voiceagents.livekit.recording import CallRecording
from voiceagents.settings import Settings, SettingsError, load

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
