"""What becomes of a call when something dies under it? Each process of the stack in turn, killed without a warning.

Nobody is dialled a second time, nobody is left listening to silence, and the row says what happened.
"""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import pytest_asyncio

from tests.agent import Agent, Placed, Record, Speech, new_number, until
from tests.database import Server, open_folder
from tests.stories import Stories, Told
from voiceagents.calls.states import CallState, EndedBy, Outcome
from voiceagents.lab import Lab
from voiceagents.postgres import EmbeddedPostgres
from voiceagents.processes import free_ports
from voiceagents.schema import migrate

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]

SAYS_HELLO = {"say": "Hello, who is this?", "voice": "hibari"}
LISTENS = {"wait_for": "silence", "silence_ms": 1200, "timeout_ms": 15000}
STAYS: dict[str, Any] = {"steps": [SAYS_HELLO, LISTENS, {"pause_ms": 60000}]}
RINGS: dict[str, Any] = {"no_answer": True}
BUSY: dict[str, Any] = {"reject": 486}
PROMPT = "This is about our new garden tools. Would you like to hear more?"

STORIES = Stories(at_once=3)


@dataclass(frozen=True)
class Stage:
    """What stories are told with."""

    lab: Lab
    postgres: Server
    speech: Speech
    folder: Path

    @asynccontextmanager
    async def agent(
        self, *, lab: Lab | None = None, database: str | None = None, name: str = "agent", **environment: str
    ) -> AsyncIterator[Agent]:
        """An agent that the story may kill, with a database of its own."""
        async with AsyncExitStack() as stack:
            if database is None:
                database = self.postgres.create()
                stack.callback(self.postgres.drop, database)
            folder = self.folder / f"{name}-{time.monotonic_ns()}"
            yield await stack.enter_async_context(
                Agent(lab or self.lab, database, folder, self.speech.environment | environment)
            )

    @asynccontextmanager
    async def own_lab(self) -> AsyncIterator[Lab]:
        """A lab whose servers the story may kill."""
        async with Lab(self.folder / f"lab-{time.monotonic_ns()}") as lab:
            yield lab


@pytest_asyncio.fixture(scope="module")
async def told(
    lab: Lab, postgres: Server, speech: Speech, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Told]:
    """Every story of this module, under way."""
    async with STORIES.told(Stage(lab, postgres, speech, tmp_path_factory.mktemp("faults"))) as told:
        yield told


async def dial(agent: Agent, phone: dict[str, Any], **fields: Any) -> Placed:
    """Calls a phone that behaves so."""
    number = new_number()
    await agent.lab.carrier.put_phones({number: phone})
    return await agent.dial(number, **({"prompt": PROMPT} | fields))


async def talking(agent: Agent, phone: dict[str, Any] = STAYS) -> Placed:
    """A call in which both sides have spoken."""
    placed = await dial(agent, phone)

    async def spoken() -> bool | None:
        record = await agent.record(placed.id)
        return True if record and record.agent and record.person else None

    await until(spoken, within=40, what="the first words")
    return placed


async def works(agent: Agent) -> bool:
    """Whether the agent takes and places another call."""
    return (await (await dial(agent, BUSY)).over(within=40)).row.outcome is Outcome.BUSY


@dataclass(frozen=True)
class Survived:
    """One call through a fault."""

    record: Record
    witness: dict[str, Any]
    invites: int
    fault_at: float
    extra: Any = None

    @property
    def seconds_left_alone(self) -> float:
        """From the fault to the end of the call on the wire."""
        return self.witness["ended_at"] - self.fault_at


async def survived(placed: Placed, fault_at: float, *, within: float = 60, extra: Any = None) -> Survived:
    """What was left of a call, once its row has ended and the carrier knows no more of it."""
    await placed.agent.lab.carrier.wait_for(
        "ended", "cancelled", "rejected", to=placed.number, since=placed.at, within=within
    )
    record = await placed.over(within=within)
    return Survived(record, await placed.witness(), len(placed.invites), fault_at, extra)


# --- the agent dies ---------------------------------------------------------------------------------------------------


@STORIES
async def killed(stage: Stage) -> tuple[Survived, Survived]:
    async with stage.agent() as agent:
        ringing = await dial(agent, RINGS)
        answered = await talking(agent)
        await ringing.reached(CallState.RINGING)
        at = time.time()
        agent.signal(signal.SIGKILL)
        return await survived(answered, at), await survived(ringing, at)


async def test_when_the_agent_is_killed_its_watcher_hangs_up_within_ten_seconds(told: Told) -> None:
    call, _ = await told["killed"]
    print(call.record, f"{call.seconds_left_alone:.1f} s")
    assert call.seconds_left_alone < 10
    assert (call.record.row.outcome, call.record.row.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
    assert call.record.row.cause == "the agent process that held the call died"
    assert call.invites == 1
    assert call.record.agent, "what was said before is kept"
    assert call.record.person


async def test_when_the_agent_is_killed_a_ringing_phone_stops_ringing(told: Told) -> None:
    _, call = await told["killed"]
    print(call.record)
    assert call.witness["state"] == "cancelled"
    assert call.seconds_left_alone < 10
    assert call.record.row.outcome is Outcome.FAILED
    assert call.record.row.answered_at is None
    assert call.invites == 1


@STORIES
async def killed_with_its_watcher(stage: Stage) -> tuple[Survived, bool]:
    database = stage.postgres.create()
    async with (
        stage.agent(database=database, name="first") as first,
        stage.agent(database=database, name="second") as second,
    ):
        placed = await talking(first)
        (watcher,) = first.watchers()
        at = time.time()
        watcher.kill()
        first.signal(signal.SIGKILL)
        end = await survived(placed, at)
        second_works = await works(second)
    stage.postgres.drop(database)
    return end, second_works


async def test_when_an_agent_dies_with_its_watcher_the_watcher_of_another_hangs_up(told: Told) -> None:
    call, second_works = await told["killed_with_its_watcher"]
    print(call.record)
    assert call.seconds_left_alone < 10
    assert call.record.row.cause == "the agent process that held the call died"
    assert call.invites == 1
    assert second_works, "and the other agent goes on"


@STORIES
async def job_killed(stage: Stage) -> tuple[Survived, bool]:
    async with stage.agent(AGENT_JOB_EXECUTOR="process") as agent:
        placed = await talking(agent)
        children = set(psutil.Process(agent.pid).children(recursive=True)) - set(agent.watchers())
        (job,) = [child for child in children if _is_in_a_room(child, agent.lab)]
        at = time.time()
        job.kill()
        return await survived(placed, at), await works(agent)


def _is_in_a_room(process: psutil.Process, lab: Lab) -> bool:
    peers = [connection.raddr for connection in process.net_connections("tcp") if connection.raddr]
    return any(peer.port == lab.ports["livekit"] for peer in peers)


async def test_when_one_job_process_dies_its_call_is_hung_up_and_the_worker_goes_on(told: Told) -> None:
    call, goes_on = await told["job_killed"]
    print(call.record, f"{call.seconds_left_alone:.1f} s")
    # Its worker lives and says so: only LiveKit can tell that the agent is gone, and it takes 21 s to notice.
    assert call.seconds_left_alone < 35
    assert call.record.row.outcome is Outcome.FAILED
    assert call.invites == 1
    assert goes_on


@STORIES
async def hangs(stage: Stage) -> tuple[Survived, int, str]:
    async with stage.agent() as agent:
        placed = await talking(agent)
        at = time.time()
        agent.signal(signal.SIGSTOP)
        end = await survived(placed, at)
        await until(lambda: _told_to_stop(agent), within=60, what="the signal to the agent that hangs")
        agent.signal(signal.SIGCONT)
        status = await agent.ended(within=60)
        return end, status, (agent.folder / "data" / "watcher.log").read_text()


async def _told_to_stop(agent: Agent) -> bool | None:
    return True if "AGENT_HANGS" in (agent.folder / "data" / "watcher.log").read_text() else None


async def test_when_the_agent_hangs_its_call_is_hung_up_within_ten_seconds(told: Told) -> None:
    call, _, _ = await told["hangs"]
    print(call.record, f"{call.seconds_left_alone:.1f} s")
    assert call.seconds_left_alone < 10
    assert (call.record.row.outcome, call.record.row.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)


async def test_an_agent_that_hangs_is_told_to_stop_so_that_it_takes_no_more_calls(told: Told) -> None:
    _, status, watcher_log = await told["hangs"]
    assert status == 0
    assert "AGENT_HANGS" in watcher_log


# --- the agent is told to stop ----------------------------------------------------------------------------------------


@STORIES
async def told_to_stop(stage: Stage) -> tuple[Survived, int, Record | None]:
    async with stage.agent() as agent:
        placed = await talking(agent, {"steps": [SAYS_HELLO, LISTENS, {"pause_ms": 3000}, {"hangup": True}]})
        at = time.time()
        agent.signal(signal.SIGTERM)
        await agent.logged("AGENT_STOPPING")
        late = await dial(agent, BUSY)
        end = await survived(placed, at)
        status = await agent.ended()
        return end, status, await agent.record(late.id)


async def test_an_agent_that_is_told_to_stop_lets_its_call_end_and_takes_no_other(told: Told) -> None:
    call, status, late = await told["told_to_stop"]
    print(call.record, late)
    assert status == 0
    assert (call.record.row.outcome, call.record.row.ended_by) == (Outcome.COMPLETED, EndedBy.PERSON)
    assert call.witness["ended_by"] == "phone"
    assert late.row.state is CallState.DISPATCHED


@STORIES
async def told_to_stop_twice(stage: Stage) -> tuple[Survived, int, float]:
    async with stage.agent() as agent:
        placed = await talking(agent)
        at = time.time()
        agent.signal(signal.SIGTERM)
        await agent.logged("AGENT_STOPPING")
        agent.signal(signal.SIGTERM)
        end = await survived(placed, at)
        status = await agent.ended()
        return end, status, time.time() - at


async def test_a_second_signal_ends_the_call_at_once_and_keeps_what_was_said(told: Told) -> None:
    call, status, seconds = await told["told_to_stop_twice"]
    print(call.record)
    assert status == 0
    assert call.seconds_left_alone < 5
    assert seconds < 15
    assert call.record.row.cause == "the worker was stopped during the call"
    assert call.record.row.ended_by is EndedBy.SYSTEM
    assert call.record.person
    assert call.record.agent


# --- the SIP service --------------------------------------------------------------------------------------------------


@STORIES
async def gateway(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with stage.own_lab() as lab, stage.agent(lab=lab, RINGING_TIMEOUT="5") as agent:
        first = await talking(agent)
        async with httpx.AsyncClient(trust_env=False) as http:
            (await http.post(f"{lab.gateway_url}/limit", json={"max_calls": 1})).raise_for_status()
            second = await dial(agent, BUSY)
            found["at its limit"] = await second.over(), len(second.invites)
            (await http.post(f"{lab.gateway_url}/limit", json={"max_calls": 0})).raise_for_status()
        ringing = await dial(agent, RINGS)
        await ringing.reached(CallState.RINGING)
        await lab.kill("gateway")
        at = time.time()
        absent = await dial(agent, BUSY)
        found["absent"] = await absent.over(within=20), len(absent.invites)
        found["killed in mid call"] = await first.over(within=60), time.time() - at
        found["killed while ringing"] = await ringing.over(within=60), len(ringing.invites)
        await lab.restart("gateway")
        found["works again"] = await works(agent)
    return found


async def test_a_gateway_at_its_limit_is_our_capacity_and_nobody_was_dialled(told: Told) -> None:
    record, invites = (await told["gateway"])["at its limit"]
    assert (record.row.outcome, record.row.ended_by) == (Outcome.NO_CAPACITY, EndedBy.SYSTEM)
    assert "CPU limit" in (record.row.cause or "")
    assert invites == 0


async def test_without_any_gateway_the_row_asks_whether_it_runs_within_seconds(told: Told) -> None:
    record, invites = (await told["gateway"])["absent"]
    assert record.row.outcome is Outcome.NO_CAPACITY
    assert "SIP service" in (record.row.cause or "")
    assert (record.row.ended_at - record.row.dialing_at).total_seconds() < 5
    assert invites == 0


async def test_when_the_gateway_dies_in_mid_call_the_row_ends_and_keeps_what_was_said(told: Told) -> None:
    record, seconds = (await told["gateway"])["killed in mid call"]
    print(record, f"{seconds:.1f} s")
    assert (record.row.outcome, record.row.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
    assert "LiveKit lost the phone" in (record.row.cause or "")
    assert record.agent
    assert record.person
    assert seconds < 45


async def test_when_the_gateway_dies_while_it_rings_the_row_says_that_nobody_knows(told: Told) -> None:
    record, invites = (await told["gateway"])["killed while ringing"]
    print(record)
    assert (record.row.outcome, record.row.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
    assert invites == 1, "not dialled again on a guess"


async def test_after_the_gateway_is_back_calls_work_again(told: Told) -> None:
    assert (await told["gateway"])["works again"]


# --- LiveKit and its Redis --------------------------------------------------------------------------------------------


@STORIES
async def redis(stage: Stage) -> tuple[Survived, bool]:
    async with stage.own_lab() as lab, stage.agent(lab=lab) as agent:
        placed = await talking(agent, {"steps": [SAYS_HELLO, LISTENS, {"pause_ms": 4000}, {"hangup": True}]})
        at = time.time()
        await lab.kill("redis-server")
        await lab.restart("redis-server")
        end = await survived(placed, at)
        return end, await works(agent)


async def test_a_call_outlives_redis_and_the_next_one_works(told: Told) -> None:
    call, next_works = await told["redis"]
    print(call.record)
    assert (call.record.row.outcome, call.record.row.ended_by) == (Outcome.COMPLETED, EndedBy.PERSON)
    assert call.witness["ended_by"] == "phone"
    assert call.invites == 1
    assert next_works


@STORIES
async def livekit_server(stage: Stage) -> tuple[Record, int, float, bool]:
    async with stage.own_lab() as lab, stage.agent(lab=lab) as agent:
        placed = await talking(agent)
        at = time.time()
        await lab.kill("livekit-server")
        record = await placed.reached(CallState.ENDED, within=60)
        seconds = time.time() - at
        await lab.restart("livekit-server")
        await agent.logged("AGENT_READY", times=2, within=40)
        return record, len(placed.invites), seconds, await works(agent)


async def test_when_livekit_dies_the_row_says_so_and_the_agent_comes_back_by_itself(told: Told) -> None:
    record, invites, seconds, next_works = await told["livekit_server"]
    print(record, f"{seconds:.1f} s")
    assert (record.row.outcome, record.row.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
    assert "LiveKit" in (record.row.cause or "")
    assert record.agent
    assert invites == 1
    assert next_works


# --- the database -----------------------------------------------------------------------------------------------------


@STORIES
async def database(stage: Stage) -> tuple[Record, Record, int]:
    server = EmbeddedPostgres(open_folder() / "stopped")
    url = server.start()
    migrate(url)
    async with stage.agent(database=url) as agent:
        steps = [SAYS_HELLO, LISTENS, {"say": "Yes, tell me more please.", "voice": "hibari"}, LISTENS]
        placed = await talking(agent, {"steps": [*steps, {"pause_ms": 1500}, {"hangup": True}]})
        waiting = await dial(agent, BUSY, trunk_id=None)
        await waiting.over()
        blocked = await _dispatched_without_agent(agent)
        await asyncio.to_thread(server.stop, "immediate")
        await _dispatch(agent, blocked)
        await agent.lab.carrier.wait_for("ended", to=placed.number, since=placed.at, within=60)
        await agent.logged("HISTORY_WAITING")
        await agent.room_gone(blocked.room, within=30)
        await asyncio.to_thread(server.start)
        talked = await placed.over(within=30)
        not_dialled = await blocked.reached(CallState.ENDED, within=30)
    await asyncio.to_thread(server.stop, "immediate")
    return talked, not_dialled, len(blocked.invites)


async def _dispatched_without_agent(agent: Agent) -> Placed:
    """A call whose row and room are there, and whose dispatch nobody takes."""
    return await dial(agent, BUSY, agent_name="nobody")


async def _dispatch(agent: Agent, placed: Placed) -> None:
    """Sends the agent to the call's room."""
    (waiting,) = [d for d in await agent.livekit.agent_dispatch.list_dispatch(placed.room) if d.agent_name == "nobody"]
    await agent.send(placed.room, waiting.metadata)


async def test_a_call_outlives_the_database_and_nothing_of_it_is_lost(told: Told) -> None:
    record, _, _ = await told["database"]
    print(record)
    assert record.row.outcome is Outcome.COMPLETED
    assert len(record.person) >= 2
    assert len(record.agent) >= 2
    assert record.row.answered_at is not None


async def test_without_a_database_nobody_is_dialled_and_the_row_says_so_afterwards(told: Told) -> None:
    _, record, invites = await told["database"]
    print(record)
    assert invites == 0
    assert record.row.dialing_at is None
    assert (record.row.cause or "").startswith("not dialled: the database did not answer")


# --- at the start -----------------------------------------------------------------------------------------------------


@STORIES
async def starts(stage: Stage) -> dict[str, Any]:
    (nowhere,) = free_ports(1)
    found: dict[str, Any] = {}
    unreachable = f"postgresql://nobody:secret@127.0.0.1:{nowhere}/none"
    agent = Agent(stage.lab, unreachable, stage.folder / "no-database", stage.speech.environment)
    agent.spawn()
    found["no database"] = await agent.ended(within=60), agent.log()
    await agent.__aexit__()
    async with stage.own_lab() as lab:
        await lab.kill("livekit-server")
        database = stage.postgres.create()
        agent = Agent(lab, database, stage.folder / "no-livekit", stage.speech.environment)
        agent.spawn()
        waiting = await agent.logged("failed to connect to livekit", within=40)
        await lab.restart("livekit-server")
        await agent.logged("AGENT_READY", within=40)
        found["no livekit"] = waiting, await works(agent)
        await agent.__aexit__()
        stage.postgres.drop(database)
    return found


async def test_an_agent_without_its_database_ends_with_a_line_that_names_it(told: Told) -> None:
    status, log = (await told["starts"])["no database"]
    assert status == 2
    assert "PostgreSQL at 127.0.0.1" in log
    assert "secret" not in log
    assert "Traceback" not in log


async def test_an_agent_that_finds_no_livekit_says_so_and_waits_for_it(told: Told) -> None:
    waiting, goes = (await told["starts"])["no livekit"]
    assert "livekit" in waiting
    assert goes
