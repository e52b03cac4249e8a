"""How do recordings get into a bucket, out of it, and what becomes of them when something is in the way? On a real S3
server and a real database."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from tests.agent import until
from tests.bucket import ACCESS_KEY, S3
from tests.stack.test_retention import ANA, BEN, DAY, NOW, call_with, row, run
from tests.web import EMAIL, PASSWORD, Browser, web_settings
from voiceagents import forget
from voiceagents.calls import recordings, retention
from voiceagents.calls.bucket import Bucket, BucketProblem
from voiceagents.calls.recorder import HistoryUnavailable
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.db import Database
from voiceagents.doctor import storage
from voiceagents.doctor.findings import State
from voiceagents.livekit.uploads import Uploads
from voiceagents.web import accounts
from voiceagents.web.app import create_app

pytestmark = [pytest.mark.stack, pytest.mark.timeout(90)]

SOUND = b"OggS" + bytes(range(256)) * 40
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    """A folder in the bucket for one test."""
    return f"{uuid4().hex[:8]}/calls"


def uploads(database: Database, store: RecordingStore) -> Uploads:
    async def ask(question: Callable[[AsyncSession], Awaitable[dict[UUID, bool]]]) -> dict[UUID, bool]:
        async with database.transaction() as session:
            return await question(session)

    return Uploads(store, ask)


async def recorded(database: Database, data: Path, number: str = ANA, **columns: Any) -> UUID:
    call_id = await call_with(database, data, number, **columns)
    (recordings.folder(data) / recordings.file_name(call_id)).write_bytes(SOUND)
    return call_id


def names(*call_ids: UUID) -> list[str]:
    return sorted(map(recordings.file_name, call_ids))


def here(data: Path) -> list[str]:
    return sorted(path.name for path in recordings.folder(data).iterdir())


async def test_a_recording_goes_into_the_bucket_and_then_out_of_the_folder(
    s3: S3, prefix: str, database: Database, tmp_path: Path
) -> None:
    one, other = await recorded(database, tmp_path), await recorded(database, tmp_path, BEN)
    making = recordings.Unfinished(tmp_path, uuid4())
    making.path.write_bytes(b"OggS")
    store = RecordingStore(tmp_path, s3.bucket(prefix))
    # Two agents on one folder do not get in each other's way.
    both = await asyncio.gather(*(uploads(database, store).once() for _ in range(2)))
    assert sum(both) == 2
    assert s3.objects(prefix) == names(one, other)
    assert here(tmp_path) == [making.path.name], "what is being recorded stays"
    assert await store.existing([one, uuid4(), other]) == [one, other]
    assert await uploads(database, store).once() == 0


async def test_nothing_is_lost_while_the_bucket_or_the_history_is_away(
    s3: S3, prefix: str, database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    call_id = await recorded(database, tmp_path)
    away = RecordingStore(tmp_path, s3.bucket(prefix, endpoint=NOWHERE))
    with pytest.raises(BucketProblem, match="AWS_ENDPOINT_URL"):
        await uploads(database, away).once()
    assert here(tmp_path) == names(call_id)

    asked = 0

    async def goes_away(question: Callable[[AsyncSession], Awaitable[dict[UUID, bool]]]) -> dict[UUID, bool]:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise HistoryUnavailable("the database did not answer")
        async with database.transaction() as session:
            return await question(session)

    store = RecordingStore(tmp_path, s3.bucket(prefix))
    with pytest.raises(HistoryUnavailable):
        await Uploads(store, goes_away).once()
    assert (here(tmp_path), s3.objects(prefix)) == (names(call_id), [])

    # Whoever comes next goes on, and says what is in the way only once.
    running = asyncio.create_task(uploads(database, store).run())

    async def stored() -> bool | None:
        return True if s3.objects(prefix) and not here(tmp_path) else None

    await until(stored, within=20, what="the recording in the bucket")
    running.cancel()
    assert s3.objects(prefix) == names(call_id)


async def test_of_a_call_that_the_history_does_not_know_yet_it_stays_in_the_folder(
    s3: S3, prefix: str, database: Database, tmp_path: Path
) -> None:
    unfinished = recordings.Unfinished(tmp_path, call_id := uuid4())
    unfinished.path.write_bytes(SOUND)
    unfinished.keep()
    assert await uploads(database, RecordingStore(tmp_path, s3.bucket(prefix))).once() == 0
    assert (here(tmp_path), s3.objects(prefix)) == (names(call_id), [])


async def test_who_was_forgotten_meanwhile_is_not_uploaded(
    s3: S3, prefix: str, database: Database, tmp_path: Path
) -> None:
    # The call was recorded on this machine and is forgotten on another, whose folder does not have the file.
    elsewhere = tmp_path / "other"
    call_id = await recorded(database, tmp_path)
    store = RecordingStore(tmp_path, s3.bucket(prefix))
    async with database.transaction() as session:
        await forget.forget(session, RecordingStore(elsewhere, store.bucket), ANA, NOW, by="tester")
    assert here(tmp_path) == names(call_id)
    assert await uploads(database, store).once() == 0
    assert (here(tmp_path), s3.objects(prefix)) == ([], [])


async def test_who_is_forgotten_during_the_upload_does_not_come_back(
    s3: S3, prefix: str, database: Database, tmp_path: Path
) -> None:
    call_id = await recorded(database, tmp_path)
    elsewhere = RecordingStore(tmp_path / "other", s3.bucket(prefix))
    store = RecordingStore(tmp_path, s3.bucket(prefix))
    asked, forgotten, stored = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def ask(question: Callable[[AsyncSession], Awaitable[dict[UUID, bool]]]) -> dict[UUID, bool]:
        if asked.is_set():
            stored.set()
        async with database.transaction() as session:
            answer = await question(session)
        asked.set()
        await forgotten.wait()
        return answer

    uploading = asyncio.create_task(Uploads(store, ask).once())
    await asked.wait()
    async with database.transaction() as session:
        await forget.forget(session, elsewhere, ANA, NOW, by="tester")
        forgotten.set()
        await stored.wait()
        assert s3.objects(prefix) == names(call_id), "nobody else has seen yet that the call is cleared"
    assert await uploading == 0
    assert (here(tmp_path), s3.objects(prefix)) == ([], [])


async def test_retention_and_forgetting_delete_it_in_the_bucket_or_nothing_at_all(
    s3: S3, prefix: str, database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await recorded(database, tmp_path, at=NOW - 31 * DAY)
    young = await recorded(database, tmp_path, BEN)
    store = RecordingStore(tmp_path, s3.bucket(prefix))
    assert await uploads(database, store).once() == 2
    before = retention.limit(NOW, 30)
    with pytest.raises(BucketProblem):
        await retention.clear_batch(
            database, RecordingStore(tmp_path, s3.bucket(prefix, endpoint=NOWHERE)), before, NOW
        )
    assert (await row(database, old)).cleared_at is None
    assert await retention.clear_batch(database, store, before, NOW) == 1
    assert s3.objects(prefix) == names(young)

    for name, value in s3.settings(prefix).items():
        monkeypatch.setenv(name, value)
    done = await run(database_url, tmp_path, "forget", BEN, "--yes")
    print(done)
    assert done.status == 0
    assert "recordings" in done.out
    assert s3.objects(prefix) == []


async def test_pages_and_programs_hear_it_from_any_place_and_strangers_do_not(
    s3: S3, prefix: str, database: Database, tmp_path: Path
) -> None:
    call_id = await recorded(database, tmp_path)
    settings = web_settings(
        database.url, voiceagents_data=tmp_path, **{name.lower(): value for name, value in s3.settings(prefix).items()}
    )
    app = create_app(settings, database)
    await uploads(database, RecordingStore.of(settings)).once()
    token = await accounts.first_owner_link(database)
    assert token is not None
    await accounts.accept(database, app.state.passwords, token, email=EMAIL, name="Olga", password=PASSWORD)
    for address in (f"/calls/{call_id}/recording", f"/api/v1/calls/{call_id}/recording"):
        async with Browser(app) as browser:
            assert b"OggS" not in (await browser.get(address)).content
            await browser.sign_in()
            whole = await browser.get(address)
            assert (whole.status_code, whole.headers["content-type"]) == (200, "audio/ogg")
            assert (whole.content, whole.headers["accept-ranges"]) == (SOUND, "bytes")
            part = await browser.get(address, headers={"Range": "bytes=1000-1999"})
            assert (part.status_code, part.content) == (206, SOUND[1000:2000])
            assert part.headers["content-range"] == f"bytes 1000-1999/{len(SOUND)}"
            assert (await browser.get(address, headers={"Range": "bytes=99999-"})).status_code == 416
            page = await browser.get(f"/calls/{call_id}")
            assert f'src="/calls/{call_id}/recording"' in page.text

    app.state.recordings = RecordingStore(tmp_path, s3.bucket(prefix, endpoint=NOWHERE))
    async with Browser(app) as browser:
        await browser.sign_in()
        page = await browser.get(f"/calls/{call_id}")
        assert page.status_code == 200
        assert "out of reach" in page.text
        assert (await browser.get(f"/api/v1/calls/{call_id}/recording")).status_code == 503


@pytest.mark.parametrize(
    ("wrong", "says", "mend"),
    [
        ({"access_key": (ACCESS_KEY, "wrong")}, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        ({"access_key": ("nobody", "wrong")}, "access key", "AWS_ACCESS_KEY_ID"),
        ({"name": "no-such-bucket"}, "NoSuchBucket", "RECORDINGS_BUCKET"),
        ({"endpoint": NOWHERE}, "127.0.0.1:9", "AWS_ENDPOINT_URL"),
    ],
    ids=["secret", "key", "bucket", "endpoint"],
)
async def test_the_doctor_says_what_is_wrong_with_the_bucket(
    wrong: dict[str, Any], says: str, mend: str, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Bucket, "of", lambda _: s3.bucket("doctor", **wrong))
    for passive in (False, True):
        finding = await storage.bucket(web_settings("postgresql://nowhere/x"), passive=passive)
        print(finding)
        assert finding is not None
        assert finding.state is State.BROKEN
        assert says in finding.detail
        assert mend in finding.mend


async def test_the_doctor_leaves_nothing_in_a_bucket_that_is_well(s3: S3) -> None:
    settings = web_settings("postgresql://nowhere/x", **{k.lower(): v for k, v in s3.settings("doctor").items()})
    for passive in (False, True):
        finding = await storage.bucket(settings, passive=passive)
        assert finding is not None
        assert (finding.state, s3.objects("doctor")) == (State.OK, [])
    assert await storage.bucket(web_settings("postgresql://nowhere/x"), passive=False) is None
