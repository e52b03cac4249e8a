"""What becomes of calls to our numbers: who answers, with what words, and what is recorded.

Every call comes from the carrier through SIP, LiveKit and a real worker. All calls run together: each is started once,
by the first test that needs any, and a test waits for its own.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from livekit import api, rtc

from tests.agent import Agent, Record, StartAgent, new_number, until
from tests.openai_contract import Contract, ToolCall, serve
from tests.stories import Stories, Told
from voiceagents.assistants.models import Assistant, Number
from voiceagents.calls.states import Direction, EndedBy, Outcome
from voiceagents.campaigns import do_not_call

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

HEARS_US = {"wait_for": "speech", "timeout_ms": 15000}
LISTENS = {"wait_for": "silence", "silence_ms": 1800, "timeout_ms": 20000}
HANGS_UP = {"hangup": True}
HOURS = "You answer for Rose Garden Tools. Our opening hours are nine to five on weekdays. Parking is free."


def says(line: str) -> dict[str, Any]:
    return {"say": line, "voice": "hibari"}


@dataclass(frozen=True)
class Answered(Record):
    """A call that came in and is over."""

    agent_: Agent
    did: str
    caller: str
    witness: Mapping[str, Any]

    @property
    def log(self) -> list[str]:
        """The agent's lines between the dispatch of this call and its end, of all calls."""
        lines = self.agent_.log().splitlines()
        first = next(i for i, line in enumerate(lines) if "DISPATCH_RECEIVED" in line and self.did in line)
        return lines[first:]


async def route(agent: Agent, did: str, *, job: str = "", room: str = "") -> None:
    """Lets a number be called, with metadata for the agent's job and for the caller's room."""
    trunk = await agent.livekit.sip.create_inbound_trunk(
        api.CreateSIPInboundTrunkRequest(trunk=api.SIPInboundTrunkInfo(name=did, numbers=[did]))
    )
    await agent.livekit.sip.create_dispatch_rule(
        api.CreateSIPDispatchRuleRequest(
            dispatch_rule=api.SIPDispatchRuleInfo(
                name=did,
                rule=api.SIPDispatchRule(
                    dispatch_rule_individual=api.SIPDispatchRuleIndividual(room_prefix=f"did-{did}")
                ),
                trunk_ids=[trunk.sip_trunk_id],
                room_config=api.RoomConfiguration(
                    metadata=room, agents=[api.RoomAgentDispatch(agent_name=agent.name, metadata=job)]
                ),
            )
        )
    )


async def hire(agent: Agent, name: str, *numbers: str, greeting: str = "", prompt: str = HOURS) -> None:
    """An assistant, and the numbers it answers."""
    greeting = greeting or f"Hello, this is {name}. How can I help you?"
    async with agent.database.transaction() as session:
        session.add(Assistant(id=name.lower(), name=name, prompt=prompt, first_message=greeting))
        await session.flush()
        session.add_all(Number(e164=number, assistant_id=name.lower()) for number in numbers)


async def call_in(
    agent: Agent, did: str, *steps: Mapping[str, Any], caller: str | None = None, dialled: str | None = None
) -> Answered:
    """Calls a number of ours from the carrier, and answers with all there is once the call is over."""
    number = new_number() if caller is None else caller
    placed = await agent.lab.carrier.place_call(dialled or did, {"steps": list(steps), "max_ms": 45000}, caller=number)
    witness = await agent.lab.carrier.wait_until_over(placed, within=90)
    record = await agent.recorded(sip_call_id=placed, within=30)
    assert record.row.room_name is not None
    await agent.room_gone(record.row.room_name)
    return Answered(record.row, record.turns, record.timeline, agent, did, number, witness)


# --- the calls --------------------------------------------------------------------------------------------------------

STORIES = Stories(at_once=5)


@pytest_asyncio.fixture(scope="module")
async def calls(agent: Agent, start_agent: StartAgent) -> AsyncIterator[Told]:
    """Every call of this module, under way."""
    async with STORIES.told(agent, start_agent) as told:
        yield told


@STORIES
async def question(agent: Agent, _: StartAgent) -> Answered:
    did = new_number()
    caller = new_number()
    await hire(agent, "Rose", did)
    await hire(agent, "Other", caller)  # the caller, too, is a number that somebody of ours answers
    await route(agent, did)
    asks = [LISTENS, says("What are your opening hours?"), LISTENS, says("Thank you, goodbye."), LISTENS]
    return await call_in(agent, did, *asks, caller=caller)


async def test_the_assistant_of_the_dialled_number_answers_and_knows_its_prompt(calls: Told) -> None:
    call: Answered = await calls["question"]
    print(call)
    assert call.turns[0].text == "Hello, this is Rose. How can I help you?"
    assert "nine to five" in call.said()
    assert (call.row.assistant_id, call.row.assistant_name) == ("rose", "Rose")
    assert (call.row.outcome, call.row.ended_by) == (Outcome.COMPLETED, EndedBy.AGENT)
    assert call.agent[-1].text.endswith("Goodbye.")


async def test_the_row_of_an_inbound_call_tells_who_called_whom_and_when(calls: Told) -> None:
    call: Answered = await calls["question"]
    row = call.row
    assert row.direction is Direction.INBOUND
    assert (row.from_number, row.to_number) == (call.caller, call.did)
    assert row.ringing_at is not None
    assert row.answered_at is not None
    assert row.ended_at is not None
    assert row.ringing_at <= row.answered_at < row.ended_at
    assert row.dialing_at is None
    assert abs(row.talk_seconds - (call.witness["ended_at"] - call.witness["answered_at"])) < 1.5
    assert row.sip_call_id == call.witness["sip_call_id"]


async def test_the_log_tells_an_inbound_call_in_the_documented_lines(calls: Told) -> None:
    call: Answered = await calls["question"]
    room = re.escape(call.row.room_name or "")
    rest = iter(call.log)
    for pattern in (
        rf"🎯 DISPATCH_RECEIVED \| count=\d+ \| room={room} \| job_metadata=\{{\}}$",
        r"📞 INBOUND_CALL_DETECTED \| phone_number=None$",
        r"ASSISTANT_ID \| value=rose \| source=resolver.database \| resolver=resolver.database$",
        r"STARTING_SESSION \(INBOUND\) \| instructions_length=\d+ \| has_calendar=(True|False)$",
        r"SESSION_STARTED \(INBOUND\) \| session_active=True$",
    ):
        assert any(re.search(pattern, line) for line in rest), pattern


@STORIES
async def without_plus(agent: Agent, _: StartAgent) -> Answered:
    did = new_number()
    await hire(agent, "Plus", did)
    await route(agent, did)
    caller = new_number()
    call = await call_in(agent, did, LISTENS, HANGS_UP, caller=caller[1:], dialled=did[1:])
    return Answered(call.row, call.turns, call.timeline, agent, did, caller, call.witness)


async def test_numbers_that_come_without_plus_are_the_same_numbers(calls: Told) -> None:
    call: Answered = await calls["without_plus"]
    print(call)
    assert call.row.assistant_id == "plus"
    assert (call.row.from_number, call.row.to_number) == (call.caller, call.did)


@STORIES
async def hidden(agent: Agent, _: StartAgent) -> list[Answered]:
    did = new_number()
    await hire(agent, "Hidden", did)
    await route(agent, did)
    return await asyncio.gather(
        call_in(agent, did, LISTENS, says("What are your opening hours?"), LISTENS, HANGS_UP, caller=""),
        call_in(agent, did, LISTENS, says("Is there parking?"), LISTENS, HANGS_UP, caller="anonymous"),
    )


async def test_two_hidden_callers_at_once_each_have_their_own_conversation(calls: Told) -> None:
    first, second = await calls["hidden"]
    print(first, second, sep="\n")
    assert first.row.room_name != second.row.room_name
    assert (first.row.from_number, second.row.from_number) == (None, None)
    assert "nine to five" in first.said()
    assert "nine to five" not in second.said()
    assert "arking is free" in second.said()


@STORIES
async def unowned(agent: Agent, _: StartAgent) -> Answered:
    did = new_number()
    await route(agent, did)
    return await call_in(agent, did, LISTENS, {"pause_ms": 10000})


async def test_a_number_that_nobody_owns_says_so_and_hangs_up(calls: Told) -> None:
    call: Answered = await calls["unowned"]
    print(call)
    assert [turn.text for turn in call.turns] == ["Sorry, this number is not in service. Goodbye."]
    assert call.row.assistant_id is None
    assert call.witness["ended_by"] == "callee"
    assert call.row.talk_seconds < 12
    lines = [line for line in call.log if "ASSISTANT_ID" in line and "value=None" in line]
    assert lines
    assert "source=resolver.defaults" in lines[0]


@STORIES
async def fired(agent: Agent, _: StartAgent) -> Answered:
    did = new_number()
    async with agent.database.transaction() as session:
        session.add(Number(e164=did, assistant_id=None))
    await route(agent, did, job=json.dumps({"agentId": "deleted-long-ago"}))
    return await call_in(agent, did, LISTENS, HANGS_UP)


async def test_when_the_named_assistant_is_gone_minimal_defaults_answer_and_promise_nothing(calls: Told) -> None:
    call: Answered = await calls["fired"]
    print(call)
    assert call.turns[0].text.startswith("Hello, thank you for calling.")
    assert call.row.outcome is Outcome.HUNG_UP


@STORIES
async def campaign(agent: Agent, _: StartAgent) -> Answered:
    did = new_number()
    await hire(agent, "Callback", did)
    context = {
        "campaignPrompt": "Hello {name}, our summer sale has started. It ends in August.",
        "contactInfo": {"name": "John Doe", "email": "john@example.com", "phone": "+12025550188"},
        "assistantId": "callback",
        "campaignId": "campaign-456",
    }
    await route(agent, did, room=json.dumps(context))
    return await call_in(agent, did, LISTENS, says("Has the summer sale started?"), LISTENS, HANGS_UP)


async def test_a_campaign_in_the_rooms_metadata_is_part_of_the_conversation_and_of_the_row(calls: Told) -> None:
    call: Answered = await calls["campaign"]
    print(call)
    assert (call.row.campaign_id, call.row.contact_name) == ("campaign-456", "John Doe")
    assert call.row.assistant_id == "callback"
    assert "sale" in call.said()
    assert any("source=room.metadata" in line for line in call.log)


@STORIES
async def keypad(agent: Agent, _: StartAgent) -> Answered:
    did = new_number()
    await hire(agent, "Keys", did)
    await route(agent, did)
    return await call_in(
        agent, did, HEARS_US, {"dtmf": "*011#"}, LISTENS, says("What are your opening hours?"), LISTENS, HANGS_UP
    )


async def test_keys_pressed_while_we_speak_are_kept_in_order_and_stop_nothing(calls: Told) -> None:
    call: Answered = await calls["keypad"]
    print(call)
    assert "".join(event.detail["digit"] for event in call.timeline if event.kind == "dtmf") == "*011#"
    assert "nine to five" in call.said(), "the call went on"


LONG = (
    "Hello and welcome to Rose Garden Tools, the oldest house for garden tools and seeds and flowers and trees between "
    "the mountains and the sea, where everybody has been served with a smile for more than one hundred years."
)


@STORIES
async def mid_sentence(agent: Agent, _: StartAgent) -> Answered:
    did = new_number()
    await hire(agent, "Long", did, greeting=LONG)
    await route(agent, did)
    return await call_in(agent, did, HEARS_US, {"pause_ms": 2500}, HANGS_UP)


async def test_a_caller_who_hangs_up_in_mid_sentence_leaves_an_interrupted_turn(calls: Told) -> None:
    call: Answered = await calls["mid_sentence"]
    print(call)
    (turn,) = call.agent
    assert turn.interrupted
    assert turn.text.startswith("Hello and welcome")
    assert "hundred years" not in turn.text
    assert call.row.ended_by is EndedBy.PERSON


@STORIES
async def gives_up(agent: Agent, _: StartAgent) -> tuple[list[Record], list[str]]:
    did = new_number()
    await hire(agent, "Missed", did)
    await route(agent, did)
    placed = await agent.lab.carrier.place_call(did, {}, caller=new_number())
    await agent.lab.carrier.wait_for("ringing", sip_call_id=placed)
    await agent.lab.carrier.hang_up(placed)
    await agent.lab.carrier.wait_until_over(placed)
    await agent.logged(rf"DISPATCH_RECEIVED .*did-\{did}")
    rooms = await agent.rooms(f"did-{did}")
    for room in rooms:
        await agent.room_gone(room, within=20)
    return await agent.records(to_number=did), await agent.rooms(f"did-{did}")


async def test_a_caller_who_gives_up_while_it_rings_leaves_no_room_and_no_open_call(calls: Told) -> None:
    records, rooms = await calls["gives_up"]
    assert rooms == []
    for record in records:
        print(record)
        assert record.turns == []
        assert (record.row.outcome, record.row.ended_by) == (Outcome.HUNG_UP, EndedBy.PERSON)


@STORIES
async def model_opens(_: Agent, start_agent: StartAgent) -> Answered:
    agent = await start_agent(FORCE_FIRST_MESSAGE="false")
    did = new_number()
    await hire(agent, "Model", did)
    await route(agent, did)
    return await call_in(agent, did, LISTENS, HANGS_UP)


async def test_without_a_forced_first_message_the_model_opens_the_call(calls: Told) -> None:
    call: Answered = await calls["model_opens"]
    print(call)
    assert call.agent
    assert "llm_ttft" in call.agent[0].latencies


IN_OTHER_WORDS = "I would be happier if my telephone stayed quiet from your side."
FIELDS = {"type": "object", "properties": {"reason": {"type": "string"}}}


@STORIES
async def objects(_: Agent, start_agent: StartAgent) -> tuple[Answered, bool]:
    reading = ToolCall(
        "record_call",
        {"outcome": "opted_out", "turn": 2, "summary": "She wants no calls.", "fields": {"reason": "peace"}},
    )
    contract = Contract(["I understand, I am sorry for that.", reading], [IN_OTHER_WORDS])
    async with serve(contract) as base_url:
        agent = await start_agent(OPENAI_BASE_URL=base_url, OPENAI_API_KEY=contract.api_key)
        did = new_number()
        await hire(agent, "Peace", did)
        await route(agent, did, job=json.dumps({"extraction": FIELDS}))
        call = await call_in(agent, did, HEARS_US, LISTENS, says("Please be quiet."), HEARS_US, LISTENS, HANGS_UP)
        # The summary is written a moment after the end.
        record = await until(lambda: summed_up(agent, call.row.id), within=15, what="the summary")
        async with agent.database.transaction() as session:
            refused = call.caller in await do_not_call.just_asked(session, [call.caller])
    return Answered(record.row, record.turns, record.timeline, agent, did, call.caller, call.witness), refused


async def summed_up(agent: Agent, call_id: UUID) -> Record | None:
    record = await agent.record(call_id)
    return record if record is not None and record.row.details.get("usage") else None


async def test_a_call_that_came_in_is_read_by_the_model_and_an_opt_out_counts_at_once(calls: Told) -> None:
    call: Answered
    call, refused = await calls["objects"]
    print(call)
    assert call.row.outcome is Outcome.OPTED_OUT
    (evidence,) = call.row.evidence or []
    assert (evidence["by"], evidence["text"]) == ("model", IN_OTHER_WORDS)
    assert call.row.summary == "She wants no calls."
    assert call.row.extracted == {"reason": "peace"}
    assert refused, "nobody calls them again, from this moment on"


async def test_what_the_models_of_a_call_took_stands_in_its_row(calls: Told) -> None:
    call: Answered
    call, _ = await calls["objects"]
    used = {model["type"]: model for model in call.row.details["usage"]}
    assert used["llm_usage"]["input_tokens"] > 0
    assert used["tts_usage"]["characters_count"] >= len(call.agent[0].text)
    assert used["stt_usage"]["audio_duration"] > 0.5


async def test_without_a_model_a_call_that_came_in_has_a_plain_summary(calls: Told) -> None:
    call: Answered = await calls["mid_sentence"]
    record = await until(lambda: summed_up(call.agent_, call.row.id), within=15, what="the summary")
    assert (record.row.summary or "").startswith("The person hung up")


@STORIES
async def without_attributes(agent: Agent, _: StartAgent) -> Record:
    """A phone whose gateway says nothing about the numbers, so that only the room's name tells."""
    did = new_number()
    await hire(agent, "Room", did)
    name = f"did-{did}_Ab12"
    token = (
        api.AccessToken(agent.lab.api_key, agent.lab.api_secret)
        .with_identity("sip_phone")
        .with_kind("sip")
        .with_attributes({"sip.callStatus": "active"})
        .with_grants(api.VideoGrants(room_join=True, room=name))
    )
    phone = rtc.Room()
    await phone.connect(agent.lab.livekit_url, token.to_jwt())
    await agent.send(name, "")
    heard = asyncio.Event()
    phone.on("transcription_received", lambda *_: heard.set())
    phone.on("active_speakers_changed", lambda speakers: heard.set() if speakers else None)
    await asyncio.wait_for(heard.wait(), 20)
    await phone.disconnect()
    return await agent.recorded(room_name=name)


async def test_where_sip_says_nothing_the_rooms_name_tells_the_dialled_number(calls: Told) -> None:
    record: Record = await calls["without_attributes"]
    print(record)
    assert record.row.assistant_id == "room"
    assert record.row.from_number is None
    assert record.said().startswith("Hello")
