"""Nothing that was true of a call is lost or doubled, whatever the database does, and no call ever waits for it."""

import asyncio
import stat
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import make_url, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls import history
from voiceagents.calls.history import Claim
from voiceagents.calls.models import Call
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.recorder import HistoryUnavailable, Recorder
from voiceagents.calls.records import FACT, CallEnded, CallOpened, Fact, Happened, StateReached, TurnSpoken
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome, Speaker
from voiceagents.db import Database

pytestmark = pytest.mark.stack

START = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
ANA = "+12025550143"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def opened(call_id: UUID, number: str = ANA, **more: Any) -> CallOpened:
    values: dict[str, Any] = {"at": at(0), "direction": Direction.OUTBOUND, "state": CallState.DISPATCHED} | more
    return CallOpened(call_id=call_id, to_number=number, **values)


def ended(call_id: UUID, seconds: float, outcome: Outcome = Outcome.COMPLETED, cause: str = "x") -> CallEnded:
    return CallEnded.of(call_id, Ending(outcome, cause, EndedBy.PERSON, 200, "OK"), at(seconds))


def life(call_id: UUID, number: str = ANA) -> list[Fact]:
    """Every kind of fact of one answered call."""
    return [
        opened(call_id, number, contact_name="Ana", attempt=1, campaign_id="c", contact_id=str(call_id)),
        StateReached(call_id=call_id, state=CallState.DIALING, at=at(1)),
        StateReached(call_id=call_id, state=CallState.RINGING, at=at(2), sip_call_id="SCL_1", from_number="+1"),
        StateReached(call_id=call_id, state=CallState.ANSWERED, at=at(8)),
        TurnSpoken(call_id=call_id, item_id="a", speaker=Speaker.PERSON, text="Hello?", started_at=at(9)),
        TurnSpoken(call_id=call_id, item_id="b", speaker=Speaker.AGENT, text="Hi Ana,", started_at=at(10)),
        Happened(call_id=call_id, kind="dtmf", at=at(11), detail={"digit": "1"}),
        Happened(call_id=call_id, kind="dtmf", at=at(11.1), detail={"digit": "1"}),
        ended(call_id, 18),
    ]


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def recorder(database_url: str, spool: Path) -> Generator[Recorder]:
    running = Recorder(database_url, spool)
    running.start()
    yield running
    running.close(seconds=5)


async def written(database: Database, call_id: UUID) -> dict[str, Any] | None:
    """All that the database knows of a call."""
    async with database.transaction() as session:
        call = await session.get(Call, call_id)
        if call is None:
            return None
        turns = [(t.item_id, t.speaker, t.text, t.interrupted) for t in await history.transcript(session, call_id)]
        events = [(e.kind, e.at, e.detail) for e in await history.timeline(session, call_id)]
        row = {column.key: getattr(call, column.key) for column in Call.__table__.columns}
        return {**row, "turns": turns, "events": events, "talk_seconds": call.talk_seconds}


async def known(database: Database, call_id: UUID) -> dict[str, Any]:
    found = await written(database, call_id)
    assert found is not None
    return found


class Proxy:
    """A way to the database that can be cut."""

    def __init__(self, upstream: str) -> None:
        url = make_url(upstream)
        folder, port = url.query.get("host"), url.port or 5432
        self._socket = f"{folder}/.s.PGSQL.{url.query.get('port', port)}" if folder else None
        self._address = (url.host or "127.0.0.1", port)
        self._url = url
        self._server: asyncio.Server | None = None
        self._port = 0
        self._streams: set[asyncio.StreamWriter] = set()
        self.flows = asyncio.Event()
        self.flows.set()

    @property
    def url(self) -> str:
        through = self._url.set(host="127.0.0.1", port=self._port).difference_update_query(["host", "port"])
        return through.render_as_string(hide_password=False)

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for stream in self._streams:
            stream.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = asyncio.open_unix_connection(self._socket) if self._socket else asyncio.open_connection(*self._address)
        upstream_reader, upstream_writer = await there
        ours = {writer, upstream_writer}
        self._streams |= ours
        await asyncio.gather(self._pass(reader, upstream_writer), self._pass(upstream_reader, writer))
        self._streams -= ours

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self.flows.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@pytest.fixture
async def proxy(database_url: str) -> AsyncGenerator[Proxy]:
    way = Proxy(database_url)
    await way.mend()
    yield way
    await way.cut()


def spooled(spool: Path) -> dict[str, list[bytes]]:
    """The lines of every file in the spool."""
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in spool.glob("*"))
    return {file.suffix: file.read_bytes().splitlines() for file in spool.glob("*")}


def left_behind(spool: Path, *lines: bytes) -> None:
    """What an earlier process could not write."""
    spool.mkdir(mode=0o700)
    file = spool / "1-a.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    file.chmod(0o600)


# One after the other


async def test_a_calls_whole_life_is_written(recorder: Recorder, database: Database) -> None:
    call = uuid4()
    for fact in life(call):
        recorder.write(fact)
    assert await recorder.flushed()
    found = await known(database, call)
    times = [found[f"{name}_at"] for name in ("created", "dispatched", "dialing", "ringing", "answered", "ended")]
    assert times == [at(0), at(0), at(1), at(2), at(8), at(18)]
    assert (found["state"], found["outcome"], found["ended_by"]) == (CallState.ENDED, Outcome.COMPLETED, EndedBy.PERSON)
    assert (found["cause"], found["sip_status"], found["sip_reason"]) == ("x", 200, "OK")
    assert (found["sip_call_id"], found["from_number"], found["to_number"]) == ("SCL_1", "+1", ANA)
    assert [turn[:3] for turn in found["turns"]] == [
        ("a", Speaker.PERSON, "Hello?"),
        ("b", Speaker.AGENT, "Hi Ana,"),
    ]
    assert found["events"] == [("dtmf", at(11), {"digit": "1"}), ("dtmf", at(11.1), {"digit": "1"})]


async def test_a_fact_written_twice_changes_nothing(recorder: Recorder, database: Database) -> None:
    call = uuid4()
    for fact in life(call):
        recorder.write(fact)
    assert await recorder.flushed()
    once = await known(database, call)
    for fact in life(call):
        recorder.write(fact)
        recorder.write(fact)
    assert await recorder.flushed()
    assert await known(database, call) == once


async def test_facts_survive_the_way_through_a_file() -> None:
    for fact in life(uuid4()):
        assert FACT.validate_json(FACT.dump_json(fact)) == fact


async def test_states_only_go_forward_and_a_late_one_fills_in_its_time(recorder: Recorder, database: Database) -> None:
    call = uuid4()
    recorder.write(opened(call))
    recorder.write(StateReached(call_id=call, state=CallState.ANSWERED, at=at(8)))
    recorder.write(StateReached(call_id=call, state=CallState.RINGING, at=at(2)))
    recorder.write(StateReached(call_id=call, state=CallState.DIALING, at=at(1)))
    recorder.write(StateReached(call_id=call, state=CallState.ANSWERED, at=at(9)))
    assert await recorder.flushed()
    found = await known(database, call)
    assert found["state"] is CallState.ANSWERED
    assert (found["dialing_at"], found["ringing_at"], found["answered_at"]) == (at(1), at(2), at(8))
    recorder.write(ended(call, 10))
    recorder.write(StateReached(call_id=call, state=CallState.ANSWERED, at=at(11)))
    assert await recorder.flushed()
    assert (await known(database, call))["state"] is CallState.ENDED


async def test_the_first_word_on_the_ending_stands(recorder: Recorder, database: Database) -> None:
    call = uuid4()
    recorder.write(opened(call))
    recorder.write(ended(call, 5, Outcome.NO_ANSWER, "first"))
    recorder.write(ended(call, 9, Outcome.FAILED, "second"))
    assert await recorder.flushed()
    found = await known(database, call)
    assert (found["outcome"], found["cause"], found["ended_at"]) == (Outcome.NO_ANSWER, "first", at(5))


async def test_an_opening_that_comes_late_takes_nothing_back(recorder: Recorder, database: Database) -> None:
    call = uuid4()
    for fact in life(call):
        recorder.write(fact)
    recorder.write(opened(call, "+442079460123", state=CallState.QUEUED))
    assert await recorder.flushed()
    found = await known(database, call)
    assert (found["state"], found["to_number"]) == (CallState.ENDED, ANA)


async def test_facts_of_a_call_that_nobody_opened_are_dropped_and_hold_up_nothing(
    recorder: Recorder, database: Database
) -> None:
    stray, call = uuid4(), uuid4()
    for fact in life(stray)[1:]:
        recorder.write(fact)
    for fact in life(call):
        recorder.write(fact)
    assert await recorder.flushed()
    assert await written(database, stray) is None
    assert (await known(database, call))["state"] is CallState.ENDED
    for fact in life(stray):
        recorder.write(fact)
    assert await recorder.flushed()
    assert (await known(database, stray))["talk_seconds"] == 10


async def test_a_turn_that_was_corrected_is_one_turn(recorder: Recorder, database: Database) -> None:
    call = uuid4()
    turn = TurnSpoken(call_id=call, item_id="a", speaker=Speaker.AGENT, text="Hi Ana, this is", started_at=at(9))
    recorder.write(opened(call))
    recorder.write(turn)
    recorder.write(turn.model_copy(update={"text": "Hi Ana,", "interrupted": True}))
    assert await recorder.flushed()
    assert (await known(database, call))["turns"] == [("a", Speaker.AGENT, "Hi Ana,", True)]


@pytest.mark.parametrize(
    ("facts", "outcome", "seconds"),
    [
        pytest.param(
            lambda call: [
                StateReached(call_id=call, state=CallState.RINGING, at=at(1)),
                ended(call, 31, Outcome.NO_ANSWER),
            ],
            Outcome.NO_ANSWER,
            0,
            id="TC-059-a-rings-30-s",
        ),
        pytest.param(
            lambda call: [StateReached(call_id=call, state=CallState.ANSWERED, at=at(8)), ended(call, 18)],
            Outcome.COMPLETED,
            10,
            id="TC-059-b-talks-10-s",
        ),
        pytest.param(
            lambda call: [StateReached(call_id=call, state=CallState.ANSWERED, at=at(8))], None, 0, id="still-talking"
        ),
        pytest.param(
            lambda call: [StateReached(call_id=call, state=CallState.ANSWERED, at=at(8)), ended(call, 7.9)],
            Outcome.COMPLETED,
            0,
            id="clocks-that-disagree",
        ),
    ],
)
async def test_a_call_lasts_from_the_answer_to_the_end(
    recorder: Recorder, database: Database, facts: Any, outcome: Outcome | None, seconds: float
) -> None:
    call = uuid4()
    recorder.write(opened(call))
    for fact in facts(call):
        recorder.write(fact)
    assert await recorder.flushed()
    found = await known(database, call)
    assert (found["outcome"], found["talk_seconds"]) == (outcome, seconds)


# The claim


async def claim(database: Database, call: UUID, *, room: str | None = None, number: str = ANA) -> Any:
    async with database.transaction() as session:
        return await history.claim(
            session, call, room_name=room or f"call-{number}-{call}", to_number=number, trunk_id="ST_1",
            worker_id="w", at=at(1),
        )  # fmt: skip


@pytest.fixture
async def crowd(database_url: str) -> AsyncGenerator[Database]:
    """Connections for many at once."""
    many = Database(database_url, pool_size=25, wait=30)
    yield many
    await many.close()


async def make(database: Database, *calls: CallOpened) -> None:
    async with database.transaction() as session:
        for call in calls:
            await history.open_call(session, call)


async def test_of_fifty_who_claim_a_call_exactly_one_may_dial(crowd: Database) -> None:
    for state in (CallState.QUEUED, CallState.DISPATCHED):
        call = uuid4()
        number = f"+1202555{call.int % 10000:04}"
        await make(crowd, opened(call, number, state=state))
        answers = await asyncio.gather(*(claim(crowd, call, number=number) for _ in range(50)))
        assert sorted(answers) == [Claim.GRANTED] + [Claim.TAKEN] * 49
        assert (await known(crowd, call))["state"] is CallState.DIALING


async def test_of_fifty_calls_to_one_person_exactly_one_rings(crowd: Database) -> None:  # TC-052
    calls = [uuid4() for _ in range(50)]
    await make(crowd, *(opened(call) for call in calls))
    answers = await asyncio.gather(*(claim(crowd, call) for call in calls))
    assert sorted(answers) == [Claim.GRANTED] + [Claim.NUMBER_BUSY] * 49
    granted = calls[answers.index(Claim.GRANTED)]
    async with crowd.transaction() as session:
        dialing = (await session.scalars(select(Call.id).where(Call.state == CallState.DIALING))).all()
    assert dialing == [granted]


async def test_a_room_with_a_call_in_it_takes_no_second_one(database: Database) -> None:  # TC-053
    first, second = uuid4(), uuid4()
    await make(database, opened(first), opened(second, "+12025550144"))
    assert await claim(database, first, room="r") is Claim.GRANTED
    assert await claim(database, second, room="r", number="+12025550144") is Claim.ROOM_BUSY
    async with database.transaction() as session:
        await history.end(session, ended(first, 9))
    assert await claim(database, second, room="r", number="+12025550144") is Claim.GRANTED


async def test_a_person_on_the_line_is_free_again_when_the_call_has_ended(database: Database) -> None:
    first, second = uuid4(), uuid4()
    await make(database, opened(first), opened(second))
    assert await claim(database, first) is Claim.GRANTED
    for state in (CallState.RINGING, CallState.ANSWERED):
        async with database.transaction() as session:
            await history.write(session, StateReached(call_id=first, state=state, at=at(3)))
        assert await claim(database, second) is Claim.NUMBER_BUSY
    async with database.transaction() as session:
        await history.end(session, ended(first, 9))
    assert await claim(database, second) is Claim.GRANTED


async def test_what_was_dialled_or_has_ended_is_never_dialled_again(database: Database) -> None:
    for state in (CallState.DIALING, CallState.RINGING, CallState.ANSWERED, CallState.ENDED):
        call = uuid4()
        number = f"+1202555{call.int % 10000:04}"
        await make(database, opened(call, number, state=state))
        assert await claim(database, call, number=number) is Claim.TAKEN
    assert await claim(database, uuid4()) is Claim.TAKEN


async def test_a_refused_call_ends_undialled_and_one_that_is_under_way_stays(database: Database) -> None:
    call = uuid4()
    async with database.transaction() as session:
        assert await history.refuse(session, opened(call), ended(call, 1, Outcome.INVALID_NUMBER))
        assert not await history.refuse(session, opened(call), ended(call, 2, Outcome.FAILED))
    assert (await known(database, call))["outcome"] is Outcome.INVALID_NUMBER
    other = uuid4()
    await make(database, opened(other))
    assert await claim(database, other) is Claim.GRANTED
    async with database.transaction() as session:
        assert not await history.refuse(session, opened(other), ended(other, 1))
    assert (await known(database, other))["state"] is CallState.DIALING


# The database goes away


async def test_three_seconds_without_the_database_lose_nothing_and_nobody_waits(
    proxy: Proxy, spool: Path, database: Database
) -> None:
    async with AsyncExitStack() as stack:
        recorder = Recorder(proxy.url, spool)
        await asyncio.to_thread(recorder.start)
        stack.push_async_callback(asyncio.to_thread, recorder.close, seconds=5)
        calls = [uuid4() for _ in range(60)]
        facts = [fact for call in calls for fact in life(call, f"+1202555{calls.index(call):04}")]
        slowest = 0.0
        for count, fact in enumerate(facts):
            if count == len(facts) // 3:
                await proxy.cut()
            started = time.perf_counter()
            recorder.write(fact)
            slowest = max(slowest, time.perf_counter() - started)
            await asyncio.sleep(3 / (len(facts) * 2 / 3) if count >= len(facts) // 3 else 0)
        assert slowest < 0.5
        assert not await recorder.flushed(seconds=0.1)
        with pytest.raises(HistoryUnavailable):
            await recorder.ask(lambda session: session.scalar(text("SELECT 1")), seconds=0.3)
        await proxy.mend()
        assert await recorder.flushed(seconds=20)
        assert await recorder.ask(lambda session: session.scalar(text("SELECT 1"))) == 1
    for call in calls:
        found = await known(database, call)
        assert (found["state"], found["talk_seconds"]) == (CallState.ENDED, 10)
        assert len(found["turns"]) == len(found["events"]) == 2
    assert spooled(spool) == {}


async def test_facts_of_a_process_that_ends_meanwhile_are_written_by_the_next_one(
    proxy: Proxy, database_url: str, spool: Path, database: Database
) -> None:
    call, later = uuid4(), uuid4()
    first = Recorder(proxy.url, spool)
    await asyncio.to_thread(first.start)
    for fact in life(call)[:3]:
        first.write(fact)
    assert await first.flushed()
    await proxy.cut()
    for fact in life(call)[3:]:
        first.write(fact)
    await asyncio.to_thread(first.close, seconds=0.5)
    assert len(spooled(spool)[".jsonl"]) == len(life(call)) - 3
    assert (await known(database, call))["state"] is CallState.RINGING

    # The next process ends before the database is back, too.
    second = Recorder(proxy.url, spool)
    await asyncio.to_thread(second.start)
    second.write(opened(later, "+12025550144"))
    await asyncio.to_thread(second.close, seconds=0.5)
    assert len(spooled(spool)[".jsonl"]) == len(life(call)) - 3 + 1

    third = Recorder(database_url, spool)
    await asyncio.to_thread(third.start)
    assert await third.flushed()
    found = await known(database, call)
    assert (found["state"], found["talk_seconds"], len(found["turns"])) == (CallState.ENDED, 10, 2)
    assert (await known(database, later))["state"] is CallState.DISPATCHED
    await asyncio.to_thread(third.close)
    assert spooled(spool) == {}


async def test_a_database_that_hangs_does_not_keep_a_process_from_ending(proxy: Proxy, spool: Path) -> None:
    call = uuid4()
    recorder = Recorder(proxy.url, spool)
    await asyncio.to_thread(recorder.start)
    recorder.write(opened(call))
    assert await recorder.flushed()
    proxy.flows.clear()
    for fact in life(call):
        recorder.write(fact)
    started = time.monotonic()
    await asyncio.to_thread(recorder.close, seconds=0.5)
    assert time.monotonic() - started < 10
    assert len(spooled(spool)[".jsonl"]) == len(life(call))


async def test_a_recorder_that_starts_without_a_database_takes_facts_all_the_same(
    proxy: Proxy, spool: Path, database: Database
) -> None:
    await proxy.cut()
    recorder = Recorder(proxy.url, spool)
    await asyncio.to_thread(recorder.start)
    call = uuid4()
    for fact in life(call):
        recorder.write(fact)
    assert not await recorder.flushed(seconds=0.2)
    await proxy.mend()
    assert await recorder.flushed(seconds=20)
    assert (await known(database, call))["state"] is CallState.ENDED
    await asyncio.to_thread(recorder.close)


async def test_two_recorders_of_one_machine_do_not_write_each_others_spool_twice(
    database_url: str, spool: Path, database: Database
) -> None:
    call = uuid4()
    left_behind(spool, *(FACT.dump_json(fact) for fact in life(call)))
    recorders = [Recorder(database_url, spool) for _ in range(4)]
    await asyncio.gather(*(asyncio.to_thread(recorder.start) for recorder in recorders))
    for recorder in recorders:
        assert await recorder.flushed()
    assert len((await known(database, call))["events"]) == 2
    for recorder in recorders:
        await asyncio.to_thread(recorder.close)
    assert spooled(spool) == {}


async def test_a_spool_that_cannot_be_read_is_kept_and_keeps_nobody_from_starting(
    database_url: str, spool: Path, database: Database
) -> None:
    call = uuid4()
    unreadable = [b'{"fact": "from a later version"}', b"{cut o"]
    left_behind(spool, *unreadable, *(FACT.dump_json(fact) for fact in life(call)))
    recorder = Recorder(database_url, spool)
    await asyncio.to_thread(recorder.start)
    assert await recorder.flushed()
    assert (await known(database, call))["state"] is CallState.ENDED
    await asyncio.to_thread(recorder.close)
    assert spooled(spool) == {".unreadable": unreadable}


# Facts that the database will never take


@pytest.mark.parametrize(
    "poison",
    [
        pytest.param("nul \x00 in the middle", id="nul"),
        pytest.param("half an emoji \ud83d", id="lone-surrogate"),
    ],
)
async def test_words_that_postgresql_cannot_hold_cost_a_character_and_no_more(
    recorder: Recorder, database: Database, poison: str
) -> None:
    call = uuid4()
    recorder.write(opened(call, contact_name=poison))
    recorder.write(TurnSpoken(call_id=call, item_id="a", speaker=Speaker.AGENT, text=poison, started_at=at(9)))
    recorder.write(Happened(call_id=call, kind="llm_failed", at=at(10), detail={"cause": poison, "n": [poison]}))
    recorder.write(ended(call, 11, cause=poison))
    assert await recorder.flushed()
    found = await known(database, call)
    assert found["state"] is CallState.ENDED
    for words in (found["cause"], found["contact_name"], found["turns"][0][2], found["events"][0][2]["cause"]):
        assert words.startswith(poison[:3])


async def test_a_poison_fact_does_not_hold_up_the_others(
    recorder: Recorder, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    before, poisoned, after = uuid4(), uuid4(), uuid4()
    for fact in life(before):
        recorder.write(fact)
    recorder.write(opened(poisoned, "+12025550144"))
    recorder.write(ended(poisoned, 5).model_copy(update={"sip_status": 2**40}))  # no integer of PostgreSQL's
    recorder.write(ended(poisoned, 6, cause="after the poison"))
    for fact in life(after, "+12025550145"):
        recorder.write(fact)
    assert await recorder.flushed()
    for call in (before, after):
        assert len((await known(database, call))["turns"]) == 2
    assert (await known(database, poisoned))["cause"] == "after the poison"
    assert "HISTORY_FACT_REFUSED" in caplog.text


# Questions


async def test_a_question_sees_all_that_was_written_before_it(recorder: Recorder) -> None:
    call = uuid4()
    for fact in life(call):
        recorder.write(fact)

    async def state(session: AsyncSession) -> CallState | None:
        return await session.scalar(select(Call.state).where(Call.id == call))

    assert await recorder.ask(state) is CallState.ENDED


async def test_a_question_that_takes_too_long_is_given_up_and_the_recorder_goes_on(recorder: Recorder) -> None:
    started = time.monotonic()
    with pytest.raises(HistoryUnavailable):
        await recorder.ask(lambda session: session.scalar(text("SELECT pg_sleep(5)")), seconds=0.3)
    assert time.monotonic() - started < 3
    assert await recorder.ask(lambda session: session.scalar(text("SELECT 1"))) == 1


async def test_facts_may_come_from_any_thread_at_once(recorder: Recorder, database: Database) -> None:
    calls = [uuid4() for _ in range(8)]

    def talk(call: UUID) -> None:
        recorder.write(opened(call, f"+1202555{calls.index(call):04}"))
        for n in range(50):
            recorder.write(
                TurnSpoken(call_id=call, item_id=str(n), speaker=Speaker.AGENT, text=str(n), started_at=at(n))
            )

    await asyncio.gather(*(asyncio.to_thread(talk, call) for call in calls))
    assert await recorder.flushed()
    for call in calls:
        assert [turn[2] for turn in (await known(database, call))["turns"]] == [str(n) for n in range(50)]


async def test_closing_writes_what_is_left_and_may_be_done_twice(
    database_url: str, spool: Path, database: Database
) -> None:
    recorder = Recorder(database_url, spool)
    await asyncio.to_thread(recorder.start)
    call = uuid4()
    for fact in life(call):
        recorder.write(fact)
    await asyncio.to_thread(recorder.close)
    await asyncio.to_thread(recorder.close)
    recorder.write(life(call)[0])
    assert (await known(database, call))["state"] is CallState.ENDED
