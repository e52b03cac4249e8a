"""livekit-agents' judges on a conversation that is over, by a configured OpenAI-compatible server."""

import json

import pytest

from tests.openai_contract import Contract, Fault, ToolCall, serve
from voiceagents.livekit.speech import SpeechEndpoint
from voiceagents.simulation import judges
from voiceagents.simulation.judging import Judged

pytestmark = pytest.mark.stack

FIVE = 5
PASSED = ToolCall("submit_verdict", {"verdict": "pass", "reasoning": "Polite."})
FAILED = ToolCall("submit_verdict", {"verdict": "fail", "reasoning": "It went on after a no."})


def a_call(**fields: object) -> Judged:
    values: dict[str, object] = {"persona": "busy", "number": "+12025550100", "is_person": True, "answers": "person"}
    told: dict[str, object] = {"decided": "person", "expected": ["completed"], "outcome": "completed"}
    said = ["agent: Hi Ana, do the roses bloom?", "person: Yes: all of them."]
    return Judged.model_validate({**values, **told, "said": said, **fields})


def speech(contract: Contract, url: str) -> SpeechEndpoint:
    return SpeechEndpoint(contract.api_key, url, "some-model", "ears", "voice", "alloy")


async def test_every_judge_reads_what_was_said_and_what_the_agent_was_to_do() -> None:
    contract = Contract([FAILED, *[PASSED] * (FIVE - 1)])
    person, voicemail = a_call(), a_call(is_person=False, answers="voicemail")
    async with serve(contract) as url:
        await judges.judge(speech(contract, url), "Ask whether the roses bloom.", [person, voicemail])
    assert sorted(each.verdict for each in person.verdicts) == ["fail", *["pass"] * (FIVE - 1)]
    assert len({each.judge for each in person.verdicts}) == FIVE
    assert "It went on after a no." in [each.reasoning for each in person.verdicts]
    assert person.unjudged == 0
    assert voicemail.verdicts == [], "nobody talks well or badly with a recording"
    asked = [json.dumps(chat["messages"]) for chat in contract.chats]
    assert len(asked) == FIVE
    assert all("user: Yes: all of them." in words and "assistant: Hi Ana" in words for words in asked)
    assert any("Ask whether the roses bloom." in words for words in asked)


async def test_a_judge_whose_model_does_not_answer_is_counted_and_costs_the_others_nothing() -> None:
    contract = Contract([PASSED] * FIVE)
    contract.fail("chat", Fault.BAD_REQUEST)
    person = a_call()
    async with serve(contract) as url:
        await judges.judge(speech(contract, url), "Ask whether the roses bloom.", [person])
    assert len(person.verdicts) == FIVE - 1
    assert person.unjudged == 1
