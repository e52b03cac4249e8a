"""Calls that speak, listen and think by a configured OpenAI-compatible server, and what its faults do to them.

The server is the stand-in of `tests/openai_contract.py`: strict, scripted, and failing on demand.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.agent import Agent, Placed, Record, StartAgent, new_number
from tests.openai_contract import Contract, Fault, serve
from tests.stories import Stories, Told
from voiceagents.calls.states import EndedBy, Outcome

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]

STORIES = Stories(at_once=3)
LISTENS = {"wait_for": "silence", "silence_ms": 1000, "timeout_ms": 15000}
SPEAKS = {"say": "Hello, who is this?", "voice": "hibari"}
APOLOGY = "I am sorry, I have a technical problem and have to end this call. Goodbye."
MANY = 12


@pytest_asyncio.fixture(scope="module")
async def told(start_agent: StartAgent) -> AsyncIterator[Told]:
    """Every call of this module, under way."""
    async with STORIES.told(start_agent) as told:
        yield told


@dataclass(frozen=True)
class Spoken:
    """A call that is over, and what the server was asked during it."""

    record: Record
    contract: Contract
    placed: Placed

    async def witness(self) -> dict[str, Any]:
        """The carrier's own account of the call."""
        return await self.placed.witness()

    @property
    def conversation(self) -> list[dict[str, Any]]:
        """What the light agent asked; another request, after the call, has the transcript read."""
        return [chat for chat in self.contract.chats if "campaign dialer" in chat["messages"][0]["content"]]


async def call(start_agent: StartAgent, contract: Contract, *steps: dict[str, Any], **environment: str) -> Spoken:
    """One call by an agent that is configured for this server."""
    async with serve(contract) as base_url:
        agent: Agent = await start_agent(
            OPENAI_BASE_URL=base_url, OPENAI_API_KEY=contract.api_key, OPENAI_LLM_MODEL="some-model", **environment
        )
        number = new_number()
        await agent.lab.carrier.put_phones({number: {"steps": list(steps) or [SPEAKS, LISTENS, SPEAKS, LISTENS]}})
        placed = await agent.dial(number, prompt="Ask {name} whether the roses bloom.")
        return Spoken(await placed.over(), contract, placed)


@STORIES
async def goes_well(start_agent: StartAgent) -> Spoken:
    replies = ["Hi Ana, do the roses bloom?", "That is good to hear. Goodbye."]
    return await call(start_agent, Contract(replies, ["Hello, who is this?", "Yes, they do."]))


async def test_the_light_agent_sends_no_tools_and_no_choice_of_tools(told: Told) -> None:
    chats = (await told["goes_well"]).conversation
    assert chats
    for chat in chats:
        assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(chat), "some servers refuse them without tools"
        assert chat["model"] == "some-model"


async def test_the_model_is_told_the_script_and_its_words_are_spoken_and_recorded(told: Told) -> None:
    spoken: Spoken = await told["goes_well"]
    print(spoken.record)
    # The opening is made while the phone rings; what the person said to it is known from the next turn on.
    told_first, told_then = (str(chat["messages"]) for chat in spoken.conversation)
    assert "Ask Ana whether the roses bloom." in told_first
    assert "Hello, who is this?" in told_then
    assert spoken.record.said() == (
        "Hello, who is this? Hi Ana, do the roses bloom? Yes, they do. That is good to hear. Goodbye."
    )
    assert "do the roses bloom" in " ".join(spoken.contract.spoken)
    assert (spoken.record.row.outcome, spoken.record.row.ended_by) == (Outcome.COMPLETED, EndedBy.AGENT)


@STORIES
async def stumbles(start_agent: StartAgent) -> Spoken:
    contract = Contract(["I am glad you asked. Goodbye."], ["Hello, who is this?"])
    contract.fail("chat", Fault.RATE_LIMIT, Fault.SERVER_ERROR)
    steps = [SPEAKS, {**LISTENS, "timeout_ms": 25000}, {"pause_ms": 8000}]
    return await call(start_agent, contract, *steps, PREPARE_OPENING="false")


async def test_a_model_that_fails_for_a_moment_does_not_end_the_call(told: Told) -> None:
    spoken: Spoken = await told["stumbles"]
    print(spoken.record)
    assert spoken.record.agent[-1].text == "I am glad you asked. Goodbye."
    assert spoken.record.row.outcome is Outcome.COMPLETED


@STORIES
async def thinks(start_agent: StartAgent) -> tuple[Spoken, float]:
    contract = Contract(["I had to think about that. Goodbye."], ["Hello, who is this?"])
    contract.slow_seconds = 8.0
    contract.fail("chat", Fault.SLOW_FIRST_TOKEN)
    spoken = await call(start_agent, contract, SPEAKS, {"pause_ms": 3500}, {"hangup": True}, PREPARE_OPENING="false")
    return spoken, (await spoken.witness())["ended_at"]


async def test_that_the_person_hung_up_is_noticed_at_once_while_the_model_thinks(told: Told) -> None:
    spoken, hung_up_at = await told["thinks"]
    print(spoken.record)
    assert spoken.record.agent == [], "it was still thinking"
    assert spoken.record.row.ended_at is not None
    assert abs(spoken.record.row.ended_at.timestamp() - hung_up_at) < 2, "hundredths, on a machine of its own"
    assert spoken.record.row.ended_by is EndedBy.PERSON


@STORIES
async def refuses(start_agent: StartAgent) -> Spoken:
    contract = Contract([], ["Hello, who is this?"])
    contract.fail("chat", *[Fault.BAD_REQUEST] * MANY)
    return await call(start_agent, contract)


async def test_a_model_that_refuses_ends_the_call_politely_and_is_named(told: Told) -> None:
    spoken: Spoken = await told["refuses"]
    print(spoken.record)
    assert [turn.text for turn in spoken.record.agent] == [APOLOGY]
    assert (spoken.record.row.outcome, spoken.record.row.ended_by) == (Outcome.FAILED, EndedBy.AGENT)
    assert (spoken.record.row.cause or "").startswith("the language model failed: ")
    assert "not to our liking" in (spoken.record.row.cause or "")
    assert [event.kind for event in spoken.record.timeline] == ["llm_failed"]
    assert spoken.record.row.talk_seconds < 20


@STORIES
async def is_deaf(start_agent: StartAgent) -> Spoken:
    contract = Contract()
    contract.fail("transcription", *[Fault.BAD_REQUEST] * MANY)
    return await call(start_agent, contract)


async def test_speech_recognition_that_fails_ends_the_call_politely_and_is_named(told: Told) -> None:
    spoken: Spoken = await told["is_deaf"]
    print(spoken.record)
    assert APOLOGY in [turn.text for turn in spoken.record.agent]
    assert spoken.record.row.outcome is Outcome.FAILED
    assert (spoken.record.row.cause or "").startswith("speech recognition failed: ")


@STORIES
async def is_mute(start_agent: StartAgent) -> Spoken:
    contract = Contract(["Hi Ana."] * MANY, ["Hello, who is this?"])
    contract.fail("speech", *[Fault.BAD_REQUEST] * MANY)
    return await call(start_agent, contract)


async def test_a_voice_that_fails_ends_the_call_instead_of_dead_air(told: Told) -> None:
    spoken: Spoken = await told["is_mute"]
    print(spoken.record)
    assert spoken.record.row.outcome is Outcome.FAILED
    assert (spoken.record.row.cause or "").startswith("the voice failed: ")
    assert spoken.record.row.talk_seconds < 20
