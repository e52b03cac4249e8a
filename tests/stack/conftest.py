"""How do many phone calls fit into little time? All calls that the tests of a module ask for are under way together.

    SILENT = Scenario({"steps": []})

    @calls(SILENT)
    async def test_who_says_nothing_is_greeted(call: Over) -> None:
        assert call.agent[0].text.startswith("Hi Ana")

A scenario that several tests ask for is one call. A test waits for its own calls only.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from tests.agent import Agent, Placed, Record, Speech, StartAgent, new_number
from voiceagents.lab import Lab

AT_ONCE = 3
"""Conversations at the same time; two cores hear and speak for all of them."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """A phone, what the agent is told about the call, and what else happens while it is under way."""

    name: str
    phone: Mapping[str, Any]
    meanwhile: Callable[[Placed], Awaitable[Any]] | None = None
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Of the agent; calls with the same settings share one."""
    call: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Fields of the call that differ from the usual."""

    def __str__(self) -> str:
        return self.name

    @property
    def talks(self) -> bool:
        return not {"reject", "no_answer", "dead"} & set(self.phone)


@dataclass(frozen=True, repr=False)
class Over(Record):
    """A call that is over, with all that anybody knows of it."""

    scenario: Scenario
    placed: Placed
    speech: Speech
    meanwhile: Any = None
    """What the scenario's `meanwhile` answered."""

    async def witness(self) -> dict[str, Any]:
        """The carrier's own account of the call."""
        return await self.placed.witness()

    async def heard(self) -> str:
        """What the phone really heard, in words."""
        return await self.speech.heard((await self.witness())["recording"])

    @property
    def log(self) -> list[str]:
        """The agent's log lines that name this call's room, number or id."""
        names = (self.placed.room, self.placed.number, str(self.row.id))
        return [line for line in self.placed.agent.log().splitlines() if any(name in line for name in names)]


def calls(*scenarios: Scenario) -> pytest.MarkDecorator:
    """The test runs once for each of these calls, given as `call`."""
    return pytest.mark.parametrize("call", scenarios, indirect=True, ids=str)


@pytest_asyncio.fixture(scope="module")
async def underway(
    request: pytest.FixtureRequest, lab: Lab, agent: Agent, start_agent: StartAgent, speech: Speech
) -> AsyncIterator[Mapping[Scenario, "asyncio.Task[Over]"]]:
    """Every call that a test of this module asks for, started."""
    asked = [
        item.callspec.params["call"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.module is request.module and hasattr(item, "callspec")
        if "call" in item.callspec.params
    ]
    scenarios: list[Scenario] = list(dict.fromkeys(asked))
    numbers = {scenario: new_number() for scenario in scenarios}
    await lab.carrier.put_phones({numbers[scenario]: scenario.phone for scenario in scenarios})
    agents = {frozenset[tuple[str, str]](): agent}
    for scenario in scenarios:
        key = frozenset(scenario.settings.items())
        if key not in agents:
            agents[key] = await start_agent(**scenario.settings)  # type: ignore[arg-type]
    # Who talks first does not wait while the agent loads what it loads once.
    first = new_number()
    await lab.carrier.put_phones({first: {"steps": [{"pause_ms": 500}, {"hangup": True}]}})
    await (await agent.dial(first)).over()
    talking, others = asyncio.Semaphore(AT_ONCE), asyncio.Semaphore(AT_ONCE)

    async def place(scenario: Scenario) -> Over:
        holder = agents[frozenset(scenario.settings.items())]
        async with talking if scenario.talks else others:
            placed = await holder.dial(numbers[scenario], **scenario.call)
            answer = await scenario.meanwhile(placed) if scenario.meanwhile else None
            record = await placed.over()
        return Over(record.row, record.turns, record.timeline, scenario, placed, speech, answer)

    tasks = {scenario: asyncio.create_task(place(scenario)) for scenario in scenarios}
    yield tasks
    for task in tasks.values():
        task.cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@pytest_asyncio.fixture
async def call(request: pytest.FixtureRequest, underway: Mapping[Scenario, "asyncio.Task[Over]"]) -> Over:
    """The call of the scenario that the test names, once it is over."""
    over = await underway[request.param]
    print(over)  # pytest shows it beside a test that fails
    return over
