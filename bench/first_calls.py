"""One call and a few: dispatch → INVITE, answer → first audio, end of "hello" → first audio, memory a call; and 200
in a row.

Everything is real (livekit-server, gateway, RTP); times are read off the carrier's ledger and recordings. Baselines,
in the same run: for the dispatch, LiveKit's own API dialling without an agent; for memory and first audio, a process
per job (`AGENT_JOB_EXECUTOR=process`), the framework's default.
"""

import argparse
import asyncio
import os
import statistics
import tempfile
import time
import wave
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from livekit import api
from rich.console import Console
from rich.table import Table

from tests.agent import Agent, Speech, new_number
from voiceagents.lab import Lab
from voiceagents.livekit.speech import LocalSpeechServer, shared_endpoint
from voiceagents.postgres import EmbeddedPostgres
from voiceagents.schema import migrate

HELLO = {"say": "Hello, who is calling please?", "voice": "hibari"}
SILENT = {"ring_ms": 200, "steps": [], "max_ms": 60_000}
SPEAKING = {"ring_ms": 200, "steps": [HELLO], "max_ms": 60_000}
BUSY = {"reject": 486, "ring_ms": 0, "progress": 0}

console = Console(width=110)


@asynccontextmanager
async def stage(**environment: str) -> AsyncIterator[Agent]:
    """A lab, a database and one agent, all of their own and gone afterwards."""

    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voiceagents-bench-")))
        os.chmod(folder, 0o755)  # the database runs as a user of its own
        postgres = EmbeddedPostgres(folder / "postgres")
        url = postgres.start()
        stack.callback(postgres.stop)
        migrate(url)
        speech = shared_endpoint()
        assert speech is not None
        assert speech.base_url is not None
        lab = await stack.enter_async_context(Lab(folder / "lab"))
        given = Speech(speech.base_url, speech.api_key).environment | environment
        yield await stack.enter_async_context(Agent(lab, url, folder / "agent", given))


def spread(values: Sequence[float], unit: str = "ms") -> str:
    """Median and 95th percentile."""
    ordered = sorted(values)
    scale = 1000 if unit == "ms" else 1
    p95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return f"p50 {statistics.median(ordered) * scale:.0f} {unit}, p95 {p95 * scale:.0f} {unit}"


def sounding(recording: str, channel: int, threshold: float = 200.0) -> list[tuple[float, float]]:
    """Stretches of sound in a recording's channel (0: what the phone heard), in seconds from the answer; gaps under
    0.4 s closed."""
    with wave.open(recording) as file:
        rate = file.getframerate()
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16).reshape(-1, 2)[:, channel].astype(float)
    frame = rate // 50
    loud = np.sqrt((samples[: len(samples) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)) > threshold
    stretches: list[tuple[float, float]] = []
    for index in np.flatnonzero(loud):
        at = index / 50
        if stretches and at - stretches[-1][1] < 0.4:
            stretches[-1] = (stretches[-1][0], at + 0.02)
        else:
            stretches.append((at, at + 0.02))
    return stretches


async def dispatch_to_invite(agent: Agent, calls: int) -> tuple[list[float], list[float]]:
    """Seconds from the request to the INVITE: with an agent, and by LiveKit's API alone."""
    ours: list[float] = []
    direct: list[float] = []
    for _ in range(calls):
        number = new_number()
        await agent.lab.carrier.put_phones({number: BUSY})
        started = time.time()
        placed = await agent.dial(number)
        await placed.over()
        ours.append(placed.invites[0]["time"] - started)
        number = new_number()
        await agent.lab.carrier.put_phones({number: BUSY})
        started = time.time()
        try:
            await agent.livekit.sip.create_sip_participant(
                api.CreateSIPParticipantRequest(
                    room_name=f"bench-{number}",
                    sip_trunk_id=agent.lab.outbound_trunk_id,
                    sip_call_to=number,
                    participant_identity=number,
                    wait_until_answered=True,
                )
            )
        except api.SipCallError:
            direct.append(agent.lab.carrier.invites(to=number)[0]["time"] - started)
        await agent.livekit.room.delete_room(api.DeleteRoomRequest(room=f"bench-{number}"))
    return ours, direct


async def first_audio(agent: Agent, phone: dict[str, Any], calls: int) -> list[float]:
    """Seconds until the agent is heard: from the answer for a silent phone, from the end of its words for one that
    speaks."""
    waits: list[float] = []
    for _ in range(calls):
        number = new_number()
        await agent.lab.carrier.put_phones({number: phone})
        placed = await agent.dial(
            number, prompt="Hello {name}, this is about garden tools. Would you like to hear more?"
        )
        answered = await agent.lab.carrier.wait_for("answered", to=number, within=20)
        await asyncio.sleep(8)
        await agent.lab.carrier.hang_up(answered["sip_call_id"])
        await placed.over()
        call = await agent.lab.carrier.call(answered["sip_call_id"])
        heard, said = sounding(call["recording"], 0), sounding(call["recording"], 1)
        if heard:
            waits.append(heard[0][0] - (said[0][1] if said else 0.0))
    return waits


def memory(agent: Agent) -> float:
    """MB of memory (PSS) of the agent's processes; the speech server and the watcher are not among them."""
    root = psutil.Process(agent.pid)
    family = [
        root,
        *(p for p in root.children(recursive=True) if "voiceagents.calls.watcher" not in " ".join(p.cmdline())),
    ]
    return sum(process.memory_full_info().pss for process in family) / 2**20


async def memory_per_call(agent: Agent, counts: Sequence[int]) -> dict[int, float]:
    """MB of the agent's processes with so many calls talking at once."""
    used: dict[int, float] = {}
    for count in counts:
        numbers = [new_number() for _ in range(count)]
        await agent.lab.carrier.put_phones({number: SPEAKING for number in numbers})
        placed = [await agent.dial(number, prompt="Hello {name}.") for number in numbers]
        answered = [await agent.lab.carrier.wait_for("answered", to=number, within=60) for number in numbers]
        await asyncio.sleep(6)
        used[count] = memory(agent)
        for event in answered:
            await agent.lab.carrier.hang_up(event["sip_call_id"])
        for call in placed:
            await call.over(within=120)
    return used


async def compare(calls: int, counts: Sequence[int]) -> None:
    """The latencies and the memory, threads against processes."""

    async with stage() as threads:
        idle = memory(threads)
        ours, direct = await dispatch_to_invite(threads, calls)
        greeting = await first_audio(threads, SILENT, max(3, calls // 4))
        reply = await first_audio(threads, SPEAKING, max(3, calls // 4))
        used = await memory_per_call(threads, counts)
    async with stage(AGENT_JOB_EXECUTOR="process") as processes:
        idle_p = memory(processes)
        reply_p = await first_audio(processes, SPEAKING, max(3, calls // 4))
        used_p = await memory_per_call(processes, counts)
    table = Table(title="First calls", title_justify="left")
    for column in ("what", "measured", "baseline", "baseline measured", "ratio"):
        table.add_column(column)
    median = statistics.median
    table.add_row(
        "dispatch → INVITE",
        spread(ours),
        "API call → INVITE, no agent",
        spread(direct),
        f"{median(ours) / median(direct):.1f}",
    )
    table.add_row(
        "answer → first audio, silent phone",
        spread(greeting),
        "GREETING_DELAY",
        "2500 ms",
        f"{median(greeting) / 2.5:.2f}",
    )
    table.add_row(
        'end of "hello" → first audio',
        spread(reply),
        "process per job",
        spread(reply_p),
        f"{median(reply) / median(reply_p):.2f}",
    )
    table.add_row("memory, no call", f"{idle:.0f} MB", "process per job", f"{idle_p:.0f} MB", f"{idle / idle_p:.2f}")
    for count in counts:
        mine, theirs = (used[count] - idle) / count, (used_p[count] - idle_p) / count
        table.add_row(
            f"memory a call, {count} at once",
            f"{mine:.1f} MB",
            "process per job",
            f"{theirs:.1f} MB",
            f"{mine / theirs:.2f}",
        )
    console.print(table)


def handles(pid: int) -> tuple[int, int, float]:
    """Open files, threads and MB of a process."""
    process = psutil.Process(pid)
    return process.num_fds(), process.num_threads(), process.memory_full_info().pss / 2**20


async def in_a_row(calls: int) -> None:
    """Many calls one after the other: every one has one row and one INVITE, and nothing is left behind."""
    phones: dict[str, dict[str, Any]] = {
        "busy": BUSY,
        "hangs up": {"ring_ms": 0, "steps": [{"pause_ms": 300}, {"hangup": True}]},
    }
    async with stage() as agent:
        gateway = agent.lab.processes["gateway"].pid
        numbers = {
            number: kind
            for number, kind in zip((new_number() for _ in range(calls)), ["busy", "hangs up"] * calls, strict=False)
        }
        await agent.lab.carrier.put_phones({number: phones[kind] for number, kind in numbers.items()})
        warm = list(numbers)[: max(4, calls // 10)]
        before: dict[str, tuple[int, int, float]] = {}
        wrong: list[str] = []
        started = time.monotonic()
        for done, number in enumerate(numbers):
            if done == len(warm):
                before = {"agent": handles(agent.pid), "gateway": handles(gateway)}
            record = await (await agent.dial(number)).over()
            invites = agent.lab.carrier.invites(to=number)
            expected = "busy" if numbers[number] == "busy" else "hung_up"
            if len(invites) != 1 or record.row.outcome != expected:
                wrong.append(f"{number}: {len(invites)} INVITEs, {record.row.outcome}")
        seconds = time.monotonic() - started
        rows = await agent.records()
        await asyncio.sleep(3)
        after = {"agent": handles(agent.pid), "gateway": handles(gateway)}
        table = Table(title=f"{calls} calls in a row ({calls / seconds:.1f} a second)", title_justify="left")
        for column in (
            "process",
            f"after {len(warm)} calls: files, threads, MB",
            f"after {calls}: files, threads, MB",
            "ratio of memory",
        ):
            table.add_column(column)
        for name in before:
            b, a = before[name], after[name]
            table.add_row(name, f"{b[0]}, {b[1]}, {b[2]:.0f}", f"{a[0]}, {a[1]}, {a[2]:.0f}", f"{a[2] / b[2]:.2f}")
        console.print(table)
        console.print(
            f"rows {len(rows)}, INVITEs {len(agent.lab.carrier.invites())}, "
            f"rooms left {len(await agent.rooms())}, wrong {len(wrong)}"
        )
        for line in wrong[:10]:
            console.print(f"  {line}")


def main() -> None:
    """Starts the offline speech server once, and measures."""
    parser = argparse.ArgumentParser(prog="python -m bench first_calls", description=__doc__)
    parser.add_argument("--calls", type=int, default=20, help="calls for each latency")
    parser.add_argument("--row", type=int, default=200, help="calls in a row; 0: leave that out")
    parser.add_argument("--at-once", type=int, nargs="*", default=[1, 5, 10], help="calls at once for the memory")
    arguments = parser.parse_args()
    speech = LocalSpeechServer(Path(tempfile.mkdtemp(prefix="voiceagents-bench-")))
    speech.start()
    try:
        if arguments.calls:
            asyncio.run(compare(arguments.calls, arguments.at_once))
        if arguments.row:
            asyncio.run(in_a_row(arguments.row))
    finally:
        speech.stop()


if __name__ == "__main__":
    main()
