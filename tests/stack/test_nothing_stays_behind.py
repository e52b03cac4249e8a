"""Does a worker hold anything of calls that are over? Rooms, threads, file handles, connections."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.agent import Agent, new_number, until
from voiceagents.calls.states import Outcome

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

BUSY: dict[str, Any] = {"reject": 486, "ring_ms": 0}
ANSWERS: dict[str, Any] = {
    "ring_ms": 0,
    "steps": [
        {"say": "Hello, who is this?", "voice": "hibari"},
        {"wait_for": "speech", "timeout_ms": 10000},
        {"pause_ms": 300},
        {"hangup": True},
    ],
}
IDLE = 10
"""Thread pools grow to their bounds, and threads that wait for calls may be a few more or fewer."""


def held(agent: Agent) -> Counter[str]:
    """What the worker holds, by kind."""
    process = psutil.Process(agent.pid)
    return Counter(
        threads=process.num_threads(),
        files=process.num_fds(),
        connections=len([c for c in process.net_connections() if c.status != "CLOSE_WAIT"]),
        children=len(process.children()),
        # LiveKit's native client plays each voice on a thread of its own.
        voices=sum(name.startswith("AudioSource") for name in thread_names(agent.pid)),
    )


def thread_names(pid: int) -> list[str]:
    """The names of its threads; Linux keeps fifteen letters of each."""
    return [file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/comm")]


async def calls(agent: Agent, phone: dict[str, Any], count: int, *, at_once: int) -> list[Outcome | None]:
    """Calls phones that all behave the same, some at a time."""
    turn = asyncio.Semaphore(at_once)

    async def one() -> Outcome | None:
        async with turn:
            number = new_number()
            await agent.lab.carrier.put_phones({number: phone})
            return (await (await agent.dial(number)).over()).row.outcome

    return await asyncio.gather(*(one() for _ in range(count)))


async def test_twenty_five_calls_leave_no_room_no_thread_and_no_file_behind(fresh_agent: Agent) -> None:
    agent = fresh_agent
    # The first calls load what is loaded once.
    assert set(await calls(agent, ANSWERS, 2, at_once=2)) == {Outcome.COMPLETED}
    assert set(await calls(agent, BUSY, 4, at_once=4)) == {Outcome.BUSY}
    before = await settled(agent)
    assert before["threads"] < 60, "a call that is over holds no thread"
    assert set(await calls(agent, BUSY, 20, at_once=5)) == {Outcome.BUSY}
    assert set(await calls(agent, ANSWERS, 5, at_once=3)) == {Outcome.COMPLETED}
    after = await settled(agent)
    print(f"before {dict(before)}\nafter  {dict(after)}")
    for kind in before:
        assert after[kind] <= before[kind] + IDLE, kind
    assert after["voices"] <= 3, "of seven calls that were answered; the last wait for Python's garbage collector"
    assert await agent.rooms() == []


async def settled(agent: Agent) -> Counter[str]:
    """What the worker holds once that no longer shrinks: what a call held is let go a moment after its end."""
    seen = [held(agent)]

    async def steady() -> bool | None:
        seen.append(held(agent))
        # Half a dozen looks, a tenth of a second apart, without a change.
        return True if len(seen) > 20 and all(look == seen[-1] for look in seen[-20:]) else None

    await until(steady, within=20, what="an end of changes")
    return seen[-1]


async def test_the_worker_may_open_as_many_files_as_the_system_lets_it(agent: Agent) -> None:
    soft, hard = psutil.Process(agent.pid).rlimit(psutil.RLIMIT_NOFILE)
    assert soft == hard
