"""What does the campaign engine cost, and how fast is it? Decisions, edits, dispatches, idleness.

    python -m bench.engine                      all of it, on an embedded PostgreSQL
    python -m bench.engine --only decisions     one part: decisions, edits, dispatch, idle
    python -m bench.engine --database URL       on another PostgreSQL (an empty database)

- decisions: one feeding and one settling of a campaign of 10,000, 100,000 and 1,000,000 contacts, each of whom was
  called before, per dial. Baseline: the smallest list.
- edits: how long an edit holds a campaign up that was put off as a whole. Baseline: the same in one piece.
- dispatch: real engines and a real livekit-server; the agent is nothing but its wire and ends each call at once.
  Baseline: a plain loop that creates the same rooms and dispatches, one after the other and eight at a time.
- idle: CPU and transactions of an engine over a hundred paused campaigns. Baseline: the same database without it.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import psutil
import psycopg
from livekit import api
from sqlalchemy import text

from voiceagents import clock
from voiceagents.calls.dispatch import OutboundCall
from voiceagents.calls.metadata import outbound_room
from voiceagents.campaigns import editing, feeding, reopening, settling
from voiceagents.campaigns.models import Campaign, Installation, TrunkLimits
from voiceagents.campaigns.terms import Terms
from voiceagents.db import Database
from voiceagents.lab import Lab
from voiceagents.postgres import EmbeddedPostgres
from voiceagents.processes import Process, spawn
from voiceagents.schema import migrate

ALWAYS = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
AT_ONCE, ROUNDS = 20, 60
AIM = 50.0
"""Calls a second that two processors should bear."""

AGENT = "wire"
RETRY = {"busy": {"attempts": 1}}


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


async def campaign(database: Database, contacts: int, *, spread: float = 0.0, **fields: Any) -> UUID:
    """A running campaign; its contacts fall due one after the other over `spread` seconds from now."""
    columns: dict[str, Any] = {
        "name": f"bench {uuid4().hex[:8]}", "prompt": "Hello {name}.", "state": "running", "trunk_id": "ST_bench",
        "window": ALWAYS, "time_zone": "America/New_York", "max_concurrent": None, "calls_per_second": None,
        "attempts_per_day": None, "minimum_gap_seconds": 0, "retry": RETRY, "started_at": clock.now(),
    }  # fmt: skip
    async with database.transaction() as session:
        made = Campaign(**columns | fields)
        session.add(made)
        await session.flush()
        await session.merge(TrunkLimits(trunk_id="ST_bench", max_concurrent=None, calls_per_second=None))
        await session.merge(Installation(id=1, max_concurrent=None, kept_for_inbound=0))
        for first in range(0, contacts, 100_000):
            await session.execute(
                text(
                    "INSERT INTO contacts (campaign_id, phone, name, zones, next_at)"
                    " SELECT :campaign, '+1' || (2020000000 + CAST(:base AS bigint) + n), 'P' || n,"
                    " (ARRAY['America/New_York', 'America/Chicago', 'America/Los_Angeles'])[1 + n % 3],"
                    " now() + make_interval(secs => CAST(:spread AS float8) * n / :contacts)"
                    " FROM generate_series(CAST(:first AS bigint), :last) AS n"
                ),
                {
                    "campaign": made.id, "base": int(uuid4()) % 6_000_000_000 // 10 * 10, "spread": spread,
                    "contacts": contacts, "first": first, "last": min(first + 100_000, contacts) - 1,
                },
            )  # fmt: skip
    return made.id


async def decisions(database: Database, sizes: Iterable[int]) -> None:
    """What one dial costs to decide and to follow up, by the length of the list. All lists take turns, so that noise
    meets them alike."""
    print(f"\nDecisions: milliseconds per dial ({ROUNDS} feedings of {AT_ONCE} calls each, and their settling)\n")
    lists = {size: await campaign(database, size, max_concurrent=AT_ONCE) for size in sizes}
    async with database.transaction() as session:
        for id_ in lists.values():
            await session.execute(text(_CALLED_BEFORE), {"id": id_})
        await session.execute(text("ANALYZE contacts, calls"))
    feedings: dict[int, list[float]] = {size: [] for size in lists}
    settlings: dict[int, list[float]] = {size: [] for size in lists}
    for _ in range(ROUNDS + 5):
        async with database.transaction() as session:
            await session.execute(
                text(
                    "INSERT INTO workers (id, host, pid, max_calls) VALUES ('bench', 'here', 1, 1000)"
                    " ON CONFLICT (id) DO UPDATE SET seen_at = now()"
                )
            )
        for size, id_ in lists.items():
            started = time.perf_counter()
            async with database.transaction() as session:
                fed = await feeding.feed(session, id_, clock.now(), _no_dispatch)
            feedings[size].append((time.perf_counter() - started) / max(1, fed.calls) * 1000)
            assert fed.calls == AT_ONCE
            async with database.transaction() as session:
                await session.execute(text(_ENDED))
            started = time.perf_counter()
            async with database.transaction() as session:
                settled = await settling.settle(session, clock.now(), Random(1))
            settlings[size].append((time.perf_counter() - started) / max(1, settled.calls) * 1000)
            assert settled.calls == AT_ONCE
    print(f"{'contacts':>10}{'feeding':>9}{'p95':>7}{'ratio':>7}{'settling':>11}{'p95':>7}{'ratio':>7}")
    for size in lists:
        print(f"{size:>10,}", end="")
        for costs, width in ((feedings, 9), (settlings, 11)):
            baseline = statistics.median(next(iter(costs.values()))[5:])
            measured = costs[size][5:]
            median = statistics.median(measured)
            print(f"{median:>{width}.2f}{percentile(measured, 0.95):>7.2f}{median / baseline:>7.2f}", end="")
        print(flush=True)
    async with database.transaction() as session:
        await session.execute(text("TRUNCATE calls, contacts, decisions, campaigns CASCADE"))


_CALLED_BEFORE = """
    INSERT INTO calls (id, direction, state, to_number, room_name, campaign_id, contact_id, created_at, dialing_at,
                       ended_at, settled_at, outcome)
    SELECT gen_random_uuid(), 'outbound', 'ended', phone, 'call-' || id, CAST(campaign_id AS text), CAST(id AS text),
           long_ago, long_ago, long_ago, long_ago, 'no_answer'
    FROM contacts, (SELECT now() - interval '30 days' AS long_ago) AS times WHERE campaign_id = :id
"""
_ENDED = """
    UPDATE calls SET state = 'ended', dialing_at = now(), ringing_at = now(), ended_at = now(), outcome = 'busy'
    WHERE state <> 'ended'
"""


async def edits(database: Database, size: int) -> None:
    """How long an edit holds up a campaign that waits as a whole, and the steps that engines take afterwards."""
    print(f"\nEdits: seconds under the lock of a campaign whose {size:,} contacts were all put off\n")
    id_ = await campaign(database, size, state="paused", minimum_gap_seconds=7200)
    step = reopening.AT_ONCE
    lengths: dict[str, list[float]] = {"in one piece": [], "the edit": [], "each step after it": []}
    try:
        for minutes, at_once in ((5, size + 1), (6, step)):
            async with database.transaction() as session:
                await session.execute(text(_PUT_OFF), {"id": id_})
                await session.execute(text("UPDATE contacts SET next_at = now() + interval '2 h'"))
            async with database.transaction() as session:
                await session.execute(text("ANALYZE contacts, decisions"))
            reopening.AT_ONCE = at_once
            started = time.perf_counter()
            async with database.transaction() as session:
                given = Terms.model_validate({"minimum_gap": f"{minutes}m"})
                await editing.edit(session, id_, given, clock.now())
            lengths["in one piece" if at_once > size else "the edit"].append(time.perf_counter() - started)
        more = True
        while more:
            started = time.perf_counter()
            async with database.transaction() as session:
                more = (await feeding.feed(session, id_, clock.now(), _no_dispatch)).again_at is not None
            lengths["each step after it"].append(time.perf_counter() - started)
    finally:
        reopening.AT_ONCE = step
    whole = lengths["in one piece"][0]
    print(f"{'':<22}{'median':>9}{'longest':>9}{'ratio':>9}")
    for what, measured in lengths.items():
        print(f"{what:<22}{statistics.median(measured):>9.3f}{max(measured):>9.3f}{max(measured) / whole:>9.4f}")
    print(f"{len(lengths['each step after it'])} steps, {sum(lengths['each step after it']):.1f} s in all", flush=True)
    async with database.transaction() as session:
        await session.execute(text("TRUNCATE calls, contacts, decisions, campaigns CASCADE"))


_PUT_OFF = """
    INSERT INTO decisions (campaign_id, contact_id, at, verdict, rule, words, next_at)
    SELECT campaign_id, id, now(), 'defer', 'minimum_gap_has_passed', 'the number was tried at noon', now()
    FROM contacts WHERE campaign_id = :id
"""


async def _no_dispatch(_session: object, _calls: Sequence[UUID]) -> None:
    pass


@asynccontextmanager
async def running(lab: Lab, url: str, folder: Path, engines: int) -> AsyncIterator[list[Process]]:
    """The wire agent and some engines, ready."""
    environment = {
        **lab.env(), "DATABASE_URL": url, "LK_AGENT_NAME": AGENT, "VOICEAGENTS_DATA": str(folder / "data"),
        "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
    }  # fmt: skip
    programs = [("agent", ["-m", "bench._wire_agent", AGENT], "READY")]
    programs += [(f"engine-{n}", ["-m", "voiceagents.engine"], "") for n in range(engines)]
    started: list[Process] = []
    try:
        for name, arguments, ready in programs:
            log = folder / f"{name}-{uuid4().hex[:6]}.log"
            started.append(spawn(name, [sys.executable, *arguments], environment, log, outlives_starter=False))
            while ready and ready not in started[-1].log_tail():
                assert started[-1].alive(), started[-1].log_tail()
                await asyncio.sleep(0.05)
        await _until_engines(url, engines)
        yield started
    finally:
        await asyncio.gather(*(asyncio.to_thread(process.kill) for process in started))


async def _until_engines(url: str, count: int) -> None:
    asked = "SELECT count(*) FROM procrastinate_workers WHERE last_heartbeat > now() - interval '3 seconds'"
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        for _ in range(300):
            row = await (await connection.execute(asked)).fetchone()
            if row is not None and row[0] >= count:
                return
            await asyncio.sleep(0.1)
    raise TimeoutError("the engines do not come up")


async def dispatches(database: Database, url: str, lab: Lab, folder: Path, calls: int) -> None:
    """How many calls a second get to an agent, and how long after they were due."""
    print(f"\nDispatch: {calls} calls, livekit-server and all processes on {len(os.sched_getaffinity(0))} processors\n")
    one = await plain_loop(lab, url, folder, calls // 2, at_once=1)
    eight = await plain_loop(lab, url, folder, calls // 2, at_once=8)
    print(f"{'':<34}{'calls/s':>9}{'ratio':>8}{'lag p50':>10}{'p99':>9}")
    print(f"{'plain loop, one after the other':<34}{one:>9.1f}{one / eight:>8.2f}")
    print(f"{'plain loop, eight at a time':<34}{eight:>9.1f}{1:>8.2f}", flush=True)
    for engines in (1, 2):
        async with running(lab, url, folder, engines):
            rate, _ = await run_campaign(database, calls, spread=0.0)
            what = f"{engines} engine{'s' * (engines > 1)}, all due at once"
            print(f"{what:<34}{rate:>9.1f}{rate / eight:>8.2f}", flush=True)
            for offered in (AIM, rate * 0.5, rate * 0.8):
                reached, lags = await run_campaign(database, calls, spread=calls / offered)
                what = f"  due at {offered:.0f} a second"
                p50, p99 = percentile(lags, 0.5) * 1000, percentile(lags, 0.99) * 1000
                print(f"{what:<34}{reached:>9.1f}{reached / eight:>8.2f}{p50:>7.0f} ms{p99:>6.0f} ms", flush=True)


async def run_campaign(database: Database, calls: int, *, spread: float) -> tuple[float, list[float]]:
    """Runs a campaign of so many calls to its end. Answers calls a second, and each call's seconds from due to
    dispatched."""
    id_ = await campaign(database, calls, spread=spread)
    async with database.transaction() as session:
        await session.execute(text("SELECT pg_notify('voiceagents_feed', :id)"), {"id": str(id_)})
    deadline = time.monotonic() + 300
    while True:
        async with database.transaction() as session:
            state = await session.scalar(text("SELECT state FROM campaigns WHERE id = :id"), {"id": id_})
        if state == "completed":
            break
        assert state == "running", state
        assert time.monotonic() < deadline, "the campaign does not end"
        await asyncio.sleep(0.2)
    async with database.transaction() as session:
        rows = (
            await session.execute(
                text(
                    "SELECT extract(epoch FROM dispatched_at), extract(epoch FROM dispatched_at - due.next_at)"
                    " FROM calls JOIN contacts AS due ON calls.contact_id = CAST(due.id AS text)"
                    " WHERE calls.campaign_id = :id"
                ),
                {"id": str(id_)},
            )
        ).all()
    moments = sorted(float(row[0]) for row in rows)
    assert len(moments) == calls
    # Without the first and last tenth, in which the pipe fills and empties.
    tenth = calls // 10
    middle = moments[tenth:-tenth]
    return (len(middle) - 1) / (middle[-1] - middle[0]), [float(row[1]) for row in rows]


async def plain_loop(lab: Lab, url: str, folder: Path, calls: int, *, at_once: int) -> float:
    """Rooms and dispatches of the same calls, created by the shortest program that does. Answers calls a second."""
    async with running(lab, url, folder, 0), lab.livekit() as livekit:
        left = iter(range(calls))

        async def loop() -> None:
            for number in left:
                call = OutboundCall(
                    id=uuid4(), number=f"+1202555{number:04}", agent_name=AGENT, trunk_id="ST_bench", prompt="Hello."
                )
                room = outbound_room(call.number, call.id)
                await livekit.room.create_room(
                    api.CreateRoomRequest(name=room, metadata=call.context().to_json(), empty_timeout=120)
                )
                await livekit.agent_dispatch.create_dispatch(
                    api.CreateAgentDispatchRequest(agent_name=AGENT, room=room, metadata=call.metadata().to_json())
                )

        started = time.perf_counter()
        await asyncio.gather(*(loop() for _ in range(at_once)))
        return calls / (time.perf_counter() - started)


async def idle(database: Database, url: str, lab: Lab, folder: Path, seconds: float) -> None:
    """What an engine costs that has nothing to do."""
    for _ in range(100):
        await campaign(database, 20, state="paused")
    print(f"\nIdle: 100 paused campaigns, {seconds:.0f} seconds\n")
    print(f"{'':<18}{'CPU, engine':>13}{'CPU, database':>15}{'transactions/s':>16}")
    for engines in (0, 1):
        async with running(lab, url, folder, engines) as started:
            await asyncio.sleep(3)
            before, processes = await _transactions(url), [psutil.Process(p.pid) for p in started[1:]]
            cpu = [sum(process.cpu_times()[:2]) for process in processes]
            database_cpu = _database_cpu()
            await asyncio.sleep(seconds)
            engine = sum(sum(p.cpu_times()[:2]) - was for p, was in zip(processes, cpu, strict=True)) / seconds
            server = (_database_cpu() - database_cpu) / seconds
            rate = (await _transactions(url) - before) / seconds
            what = f"{engines} engine" if engines else "without"
            print(f"{what:<18}{engine:>12.2%}{server:>15.2%}{rate:>16.1f}", flush=True)


async def _transactions(url: str) -> int:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        asked = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
        row = await (await connection.execute(asked)).fetchone()
        return row[0] if row else 0


def _database_cpu() -> float:
    """Seconds that all servers named postgres on this machine have used."""
    total = 0.0
    for process in psutil.process_iter(["name", "cpu_times"]):
        if process.info["name"] == "postgres" and process.info["cpu_times"] is not None:
            total += sum(process.info["cpu_times"][:2])
    return total


async def main(arguments: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="bench-engine-"))
    os.chmod(folder, 0o755)  # the database server runs as a user of its own
    embedded = None
    url = arguments.database
    if url is None:
        embedded = EmbeddedPostgres(folder / "postgres")
        url = await asyncio.to_thread(embedded.start)
    await asyncio.to_thread(migrate, url)
    database = Database(url)
    parts = [arguments.only] if arguments.only else ["decisions", "edits", "dispatch", "idle"]
    try:
        if "decisions" in parts:
            await decisions(database, arguments.sizes)
        if "edits" in parts:
            await edits(database, arguments.edited)
        if {"dispatch", "idle"} & set(parts):
            async with Lab(folder / "lab") as lab:
                if "dispatch" in parts:
                    await dispatches(database, url, lab, folder, arguments.calls)
                if "idle" in parts:
                    await idle(database, url, lab, folder, arguments.seconds)
    finally:
        await database.close()
        if embedded is not None:
            await asyncio.to_thread(embedded.stop)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m bench.engine", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("decisions", "edits", "dispatch", "idle"))
    parser.add_argument("--database", help="address of an empty PostgreSQL database")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--edited", type=int, default=100_000, help="contacts of the campaign that is edited")
    parser.add_argument("--calls", type=int, default=600)
    parser.add_argument("--seconds", type=float, default=30.0)
    asyncio.run(main(parser.parse_args()))
