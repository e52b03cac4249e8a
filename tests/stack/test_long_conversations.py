"""Callers who take longer, with real sound: handed over with an introduction, typing on their keypad, talking until
their time is up."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.agent import Agent, Speech, StartAgent, new_number
from tests.stack.test_conversations import Left, hire, ring
from tests.stack.test_inbound_calls import HANGS_UP, HEARS_US, LISTENS, says
from tests.stories import Stories, Told
from voiceagents.calls.states import EndedBy, MessageKind, Outcome, ToolStatus

pytestmark = [pytest.mark.stack, pytest.mark.slow, pytest.mark.timeout(280)]

STORIES = Stories(at_once=4)


@pytest_asyncio.fixture(scope="module")
async def calls(agent: Agent, start_agent: StartAgent) -> AsyncIterator[Told]:
    """Every call of this module, under way."""
    async with STORIES.told(agent, start_agent) as told:
        yield told


@STORIES
async def not_transferred(agent: Agent, _: StartAgent) -> Left:
    did = await hire(
        agent,
        "Busy",
        tools={"transfer": {}, "take_message": {}},
        transfer_targets=[{"name": "Front desk", "number": new_number()}],
    )
    return await ring(
        agent,
        did,
        LISTENS,
        says("Please transfer me to the front desk."),
        LISTENS,
        says("I want to leave a message."),
        LISTENS,
        says("Please tell them that the garden fence is broken."),
        LISTENS,
        says("My name is Ana."),
        LISTENS,
        HANGS_UP,
        transfer=486,
    )


async def test_a_transfer_that_fails_keeps_the_caller_who_is_told_and_leaves_a_message(calls: Told) -> None:
    left: Left = await calls["not_transferred"]
    print(left)
    (use,) = left.used("transfer_call")
    assert use.status is ToolStatus.ERROR
    assert use.result is not None
    assert use.result.startswith("Front desk is on another call.")
    assert "another call" in left.said(), "the caller is told"
    (event,) = [event for event in left.timeline if event.kind == "transfer_failed"]
    assert (event.detail["target"], event.detail["sip_status"]) == ("Front desk", 486)
    (message,) = left.messages
    assert message.kind is MessageKind.MESSAGE
    assert "fence" in message.text.lower()


@STORIES
async def introduced(agent: Agent, _: StartAgent) -> tuple[Left, str]:
    target = new_number()
    desk = [LISTENS, says("Hello Ana, here is the front desk. How may I help you?"), {"pause_ms": 4000}, HANGS_UP]
    await agent.lab.carrier.put_phones({target: {"steps": desk}})
    did = await hire(
        agent,
        "Warm",
        tools={"transfer": {"mode": "warm", "trunk_id": agent.lab.outbound_trunk_id}},
        transfer_targets=[{"name": "Front desk", "number": target}],
    )
    left = await ring(
        agent,
        did,
        LISTENS,
        says("Please transfer me to the front desk."),
        LISTENS,
        says("It is about the garden fence."),
        {"pause_ms": 40000},
        target=target,
    )
    (invite,) = left.invites
    return left, (await agent.lab.carrier.call(invite["sip_call_id"]))["recording"]


async def test_a_caller_is_introduced_to_a_person_and_left_alone_with_them(calls: Told, speech: Speech) -> None:
    left, recording = await calls["introduced"]
    print(left)
    (use,) = left.used("transfer_call")
    assert use.status is ToolStatus.DONE
    assert "fence" in use.arguments["summary"].lower()
    assert (left.row.outcome, left.row.ended_by) == (Outcome.COMPLETED, EndedBy.AGENT)
    assert left.row.cause == "handed over to Front desk, who hung up"
    introduction = await speech.heard(recording)
    print(introduction)
    assert "fence" in introduction.lower(), "the person hears what it is about"
    heard = await speech.heard(left.witness["recording"])
    print(heard)
    assert "here is the front desk" in heard.lower(), "and the caller hears the person"


@STORIES
async def unanswered(agent: Agent, _: StartAgent) -> Left:
    target = new_number()
    await agent.lab.carrier.put_phones({target: {"reject": 486}})
    did = await hire(
        agent,
        "Alone",
        tools={"transfer": {"mode": "warm", "trunk_id": agent.lab.outbound_trunk_id}},
        transfer_targets=[{"name": "Front desk", "number": target}],
    )
    return await ring(
        agent,
        did,
        LISTENS,
        says("Please transfer me to the front desk."),
        LISTENS,
        says("It is about the garden fence."),
        LISTENS,
        says("Is parking free?"),
        LISTENS,
        HANGS_UP,
        target=target,
    )


async def test_when_the_person_is_on_another_call_the_caller_stays_with_the_agent(calls: Told) -> None:
    left: Left = await calls["unanswered"]
    print(left)
    assert len(left.invites) == 1
    (use,) = left.used("transfer_call")
    assert (use.status, (use.result or "").split(".")[0]) == (ToolStatus.ERROR, "Front desk is on another call")
    assert "arking is free" in left.said(), "the conversation goes on"


@STORIES
async def types(agent: Agent, _: StartAgent) -> Left:
    did = await hire(agent, "Keys", tools={"collect_digits": {"timeout": 2, "secret": True}})
    return await ring(
        agent,
        did,
        LISTENS,
        says("I want to type in my four digit code."),
        LISTENS,
        {"dtmf": "4711"},
        LISTENS,
        HANGS_UP,
    )


async def test_secret_digits_typed_on_the_keypad_reach_the_tool_and_stay_out_of_all_that_is_kept(calls: Told) -> None:
    left: Left = await calls["types"]
    print(left)
    (use,) = left.used("collect_digits")
    assert use.arguments["count"] == 4
    assert (use.status, use.result) == (ToolStatus.DONE, "***")
    assert [event.detail["digit"] for event in left.timeline if event.kind == "dtmf"] == ["***"] * 4
    assert "4711" not in str(left)


@STORIES
async def too_long(agent: Agent, _: StartAgent) -> Left:
    did = await hire(agent, "Short", max_call_duration=10, background_sound="office-ambience")
    return await ring(agent, did, HEARS_US, {"pause_ms": 40000})


async def test_a_call_that_reaches_the_assistants_longest_time_ends_with_a_goodbye(calls: Told) -> None:
    left: Left = await calls["too_long"]
    print(left)
    assert left.row.cause is not None
    assert "the longest call time of 10 s was reached" in left.row.cause
    assert left.row.ended_by is EndedBy.SYSTEM
    assert left.agent[-1].text == "I am sorry, this call has reached its longest time. Goodbye."
    assert 9 < left.row.talk_seconds < 25
