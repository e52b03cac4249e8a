"""What becomes of calls that come when every place is taken? They wait for one, and none is lost."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
import pytest_asyncio

from tests.agent import Agent, StartAgent, new_number
from tests.stack.test_inbound_calls import hire, route
from voiceagents.calls.states import Outcome

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

TALKS: dict[str, Any] = {
    "ring_ms": 0,
    "steps": [
        {"say": "Hello, who is this?", "voice": "hibari"},
        {"wait_for": "silence", "silence_ms": 1000, "timeout_ms": 15000},
        {"hangup": True},
    ],
}


@pytest_asyncio.fixture(scope="module")
async def small_agent(start_agent: StartAgent) -> Agent:
    """An agent with one place."""
    return await start_agent(AGENT_MAX_CALLS="1")


async def test_calls_beyond_the_last_place_are_dialled_when_it_is_free_again(small_agent: Agent) -> None:
    agent = small_agent
    numbers = [new_number() for _ in range(3)]
    await agent.lab.carrier.put_phones(dict.fromkeys(numbers, TALKS))
    placed = await asyncio.gather(*(agent.dial(number, prompt="This is about roses.") for number in numbers))
    over = await asyncio.gather(*(call.over() for call in placed))
    print(*over, sep="\n")
    assert {record.row.outcome for record in over} == {Outcome.COMPLETED}
    assert [len(call.invites) for call in placed] == [1, 1, 1]
    talked = sorted((record.row.answered_at, record.row.ended_at) for record in over)
    assert all(earlier[1] < later[0] for earlier, later in pairwise(talked)), "one at a time"


async def test_who_calls_while_every_place_is_taken_hears_it_ring_and_is_answered(small_agent: Agent) -> None:
    agent = small_agent
    did, number = new_number(), new_number()
    await hire(agent, "Patient", did)
    await route(agent, did)
    await agent.lab.carrier.put_phones({number: TALKS})
    first = await agent.dial(number, prompt="This is about roses.")
    await agent.lab.carrier.wait_for("answered", to=number)
    called = await agent.lab.carrier.place_call(did, TALKS, caller=new_number())
    witness = await agent.lab.carrier.wait_until_over(called, within=60)
    record = await agent.recorded(sip_call_id=called)
    print(record)
    ended = (await first.over()).row.ended_at
    assert record.row.answered_at is not None
    assert ended is not None
    assert record.row.answered_at > ended
    assert record.row.assistant_id == "patient"
    assert witness["answered_at"] - witness["ringing_at"] > 2
