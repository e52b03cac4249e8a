"""What becomes of a dispatch that is broken, comes twice, or meets another call?

Nothing is dialled that should not be, the row and the log say why, and nobody is left in a room.
"""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from livekit import api

from tests.agent import Agent, Record, StartAgent, new_number
from voiceagents.calls.metadata import MAX_BYTES, outbound_room
from voiceagents.calls.states import CallState, EndedBy, Outcome
from voiceagents.lab import Lab

pytestmark = pytest.mark.stack

TALKS: dict[str, Any] = {
    "steps": [
        {"say": "Hello, who is this?", "voice": "hibari"},
        {"wait_for": "silence", "silence_ms": 1200, "timeout_ms": 15000},
        {"hangup": True},
    ]
}


def call_room(number: str) -> str:
    """A room as a dispatcher names it for an outbound call."""
    return outbound_room(number, uuid4())


async def refused(agent: Agent, room: str, metadata: str) -> Record:
    """Dispatches and answers the call's row, once the room is gone and the carrier has been found to know nothing."""
    await agent.send(room, metadata)
    record = await agent.recorded(room_name=room, within=20)
    await agent.room_gone(room)
    print(record)
    assert record.row.answered_at is None
    assert record.row.dialing_at is None
    assert record.turns == []
    return record


def dialled(agent: Agent, number: str) -> int:
    """How often the carrier saw this number dialled."""
    return len(agent.lab.carrier.invites(to=number))


# --- metadata that cannot be read, in a room that a dispatcher made for a call ----------------------------------------

UNREADABLE = {
    "broken JSON": ('{{"phone_number": "{number}", "campaignId": "c1, "callType": "campaign"}}', "not JSON"),
    "a list": ("[]", "a JSON object is needed, this is a list"),
    "a number": ("123", "a JSON object is needed, this is a number"),
    "a bare phone number": ('"{number}"', "a JSON object is needed, this is a string"),
    "nothing at all": ("", "no phone_number"),
    "no number": ('{{"campaignId": "c1"}}', "no phone_number"),
    "null for a number": ('{{"phone_number": null}}', "no phone_number"),
    "nested without end": ("[" * 100_000, "nested too deep"),
}


@pytest.mark.parametrize(("metadata", "cause"), UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_a_dispatch_that_cannot_be_read_is_refused_and_recorded(agent: Agent, metadata: str, cause: str) -> None:
    number = new_number()
    room = call_room(number)
    record = await refused(agent, room, metadata.replace("{{", "{").replace("}}", "}").replace("{number}", number))
    assert (record.row.outcome, record.row.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
    assert record.row.cause is not None
    assert record.row.cause.startswith("not dialled: job metadata cannot be used: ")
    assert cause in record.row.cause
    assert record.row.to_number == number, "the room's name says whom it was for"
    assert dialled(agent, number) == 0
    line = next(line for line in agent.log(holding="JOB_METADATA_REFUSED").splitlines() if room in line)
    assert cause in line


async def test_metadata_longer_than_livekit_takes_never_leaves_the_dispatcher(agent: Agent) -> None:
    with pytest.raises(Exception, match="LiveKit takes"):
        await agent.dial(new_number(), prompt="😀" * (MAX_BYTES // 4))


async def test_metadata_as_long_as_livekit_takes_is_dialled(agent: Agent) -> None:
    number = new_number()
    await agent.lab.carrier.put_phones({number: {"reject": 486}})
    placed = await agent.dial(number, prompt="😀" * (MAX_BYTES // 4 - 200))
    assert (await placed.over()).row.outcome is Outcome.BUSY


# --- metadata that can be mended --------------------------------------------------------------------------------------


async def test_metadata_encoded_twice_is_dialled_once(agent: Agent) -> None:
    number = new_number()
    room = call_room(number)
    await agent.lab.carrier.put_phones({number: {"reject": 486}})
    await agent.send(room, json.dumps(json.dumps(_as_specified(agent, number))))
    record = await agent.recorded(room_name=room)
    assert record.row.outcome is Outcome.BUSY
    assert dialled(agent, number) == 1


async def test_wrong_types_and_unknown_keys_are_reported_and_do_not_stop_the_call(agent: Agent) -> None:
    number = new_number()
    room = call_room(number)
    await agent.lab.carrier.put_phones({number: {"reject": 486}})
    odd = {"contactName": 17, "campaignPrompt": ["a"], "attempt": "first", "callId": "no uuid", "region": {"a": 1}}
    await agent.send(room, json.dumps(_as_specified(agent, number) | odd))
    record = await agent.recorded(room_name=room)
    assert (record.row.outcome, record.row.contact_name) == (Outcome.BUSY, "17")
    problems = [line for line in agent.log(holding="METADATA_PROBLEM").splitlines() if room in line]
    for key in ("contactName", "campaignPrompt", "attempt", "callId"):
        assert any(f"problem={key} is " in line for line in problems), problems


async def test_the_documented_metadata_is_enough_without_an_id_of_the_call(agent: Agent) -> None:
    number = new_number()
    room = f"call-{number}-1234567890"
    await agent.lab.carrier.put_phones({number: TALKS})
    await agent.send(room, json.dumps(_as_specified(agent, number)))
    record = await agent.recorded(room_name=room)
    assert record.row.outcome is Outcome.COMPLETED
    assert (record.row.campaign_id, record.row.contact_name) == ("campaign-456", "John Doe")
    assert "John" in record.said()
    assert dialled(agent, number) == 1


def _as_specified(agent: Agent, number: str) -> dict[str, Any]:
    return {
        "phone_number": number,
        "agentId": "assistant-123",
        "callType": "campaign",
        "campaignId": "campaign-456",
        "outbound_trunk_id": agent.lab.outbound_trunk_id,
        "contactName": "John Doe",
        "campaignPrompt": "Hello {name}, this is about our new product. Would you like to hear more?",
    }


# --- numbers and trunks -----------------------------------------------------------------------------------------------

NOT_DIALABLE = {
    "": "empty",
    "call me": "not E.164",
    "2025550143": "not E.164",
    "+0491570006": "not E.164",
    "sip:+12025550143@127.0.0.1": "not E.164",
    "+120255501430": "does not exist",
}


@pytest.mark.parametrize(("number", "cause"), NOT_DIALABLE.items())
async def test_what_is_no_number_is_never_dialled(agent: Agent, number: str, cause: str) -> None:
    room = f"call-{new_number()}-{uuid4().hex[:8]}"
    record = await refused(agent, room, json.dumps(_as_specified(agent, number)))
    assert (record.row.outcome, record.row.ended_by) == (Outcome.INVALID_NUMBER, EndedBy.SYSTEM)
    assert cause in (record.row.cause or "")


async def test_an_unknown_trunk_is_named_and_nothing_is_dialled(agent: Agent) -> None:
    number = new_number()
    placed = await agent.dial(number, trunk_id="ST_unknown")
    record = await placed.over()
    assert (record.row.outcome, record.row.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
    assert "trunk does not exist" in (record.row.cause or "")
    assert placed.invites == []


async def test_without_any_trunk_the_row_says_which_variable_to_set(start_agent: StartAgent) -> None:
    agent = await start_agent(SIP_TRUNK_ID="")
    number = new_number()
    metadata = _as_specified(agent, number)
    del metadata["outbound_trunk_id"]
    record = await refused(agent, call_room(number), json.dumps(metadata))
    assert record.row.outcome is Outcome.FAILED
    assert "SIP_TRUNK_ID" in (record.row.cause or "")
    assert dialled(agent, number) == 0


async def test_the_trunk_of_the_settings_serves_calls_that_name_none(agent: Agent) -> None:
    number = new_number()
    await agent.lab.carrier.put_phones({number: {"reject": 486}})
    record = await (await agent.dial(number, trunk_id=None)).over()
    assert record.row.outcome is Outcome.BUSY
    assert record.row.trunk_id == agent.lab.outbound_trunk_id


# --- a dispatch too many ----------------------------------------------------------------------------------------------


async def _again(agent: Agent, room: str) -> None:
    """Repeats the dispatch of a room, word for word."""
    first = next(d for d in await agent.livekit.agent_dispatch.list_dispatch(room) if d.agent_name == agent.name)
    await agent.livekit.agent_dispatch.create_dispatch(
        api.CreateAgentDispatchRequest(
            agent_name=agent.name, room=room, metadata=first.metadata, restart_policy=api.JobRestartPolicy.JRP_NEVER
        )
    )


async def test_two_dispatches_of_one_call_dial_once_and_speak_with_one_voice(agent: Agent) -> None:
    number = new_number()
    await agent.lab.carrier.put_phones({number: TALKS})
    placed = await agent.dial(number, prompt="This is about garden tools.")
    await asyncio.sleep(0.1)
    await _again(agent, placed.room)
    record = await placed.over()
    print(record)
    assert record.row.outcome is Outcome.COMPLETED
    assert len(placed.invites) == 1
    assert len(await agent.records(to_number=number)) == 1
    assert [event.kind for event in record.timeline] == ["second_dispatch_refused"]
    assert len([turn for turn in record.agent if "garden" in turn.text]) == 1


async def test_a_second_dispatch_does_not_cut_off_a_live_call(agent: Agent) -> None:
    number = new_number()
    steps = [{"say": "Hello, who is this?", "voice": "hibari"}, {"pause_ms": 6000}, {"hangup": True}]
    await agent.lab.carrier.put_phones({number: {"steps": steps}})
    placed = await agent.dial(number)
    await placed.reached(CallState.ANSWERED)
    await _again(agent, placed.room)
    await agent.logged(rf"SECOND_DISPATCH_REFUSED \| room={placed.room.replace('+', '.')}")
    record = await placed.over()
    print(record)
    assert record.row.ended_by is EndedBy.PERSON
    assert record.row.talk_seconds > 5.5
    assert (await placed.witness())["ended_by"] == "phone"


async def test_a_dispatch_without_metadata_does_not_bring_a_second_voice_into_a_call(agent: Agent) -> None:
    number = new_number()
    await agent.lab.carrier.put_phones({number: TALKS})
    placed = await agent.dial(number, prompt="This is about garden tools.")
    await placed.reached(CallState.ANSWERED)
    await agent.send(placed.room, "")
    record = await placed.over()
    print(record)
    assert record.row.outcome is Outcome.COMPLETED
    assert len(record.agent) == 1, "only one agent spoke"
    refused_room = placed.room.replace("+", ".")
    await agent.logged(rf"ROOM_KEPT \| room={refused_room}")


async def test_one_person_is_not_rung_twice_at_the_same_time(agent: Agent) -> None:
    number = new_number()
    await agent.lab.carrier.put_phones({number: {"no_answer": True}})
    first = await agent.dial(number)
    await first.reached(CallState.RINGING)
    second = await agent.dial(number)
    refused_second = await second.over()
    assert (refused_second.row.outcome, refused_second.row.ended_by) == (Outcome.CANCELLED, EndedBy.SYSTEM)
    assert "on this number" in (refused_second.row.cause or "")
    assert len(agent.lab.carrier.invites(to=number)) == 1
    assert (await first.reached(CallState.RINGING)).row.state is CallState.RINGING, "the first rings on"
    await agent.livekit.room.delete_room(api.DeleteRoomRequest(room=first.room))
    assert (await first.over()).row.outcome is Outcome.CANCELLED


async def test_a_job_for_a_room_whose_phone_is_not_ours_to_dial_leaves_it_alone(agent: Agent, lab: Lab) -> None:
    """A phone that somebody else dialled into the room is not cut off by a dispatch for the same room."""
    number = new_number()
    room = call_room(number)
    await lab.carrier.put_phones({number: {"steps": [{"pause_ms": 4000}, {"hangup": True}]}})
    await agent.livekit.sip.create_sip_participant(
        api.CreateSIPParticipantRequest(
            room_name=room,
            sip_trunk_id=lab.outbound_trunk_id,
            sip_call_to=number,
            participant_identity=number,
            wait_until_answered=True,
        )
    )
    await agent.send(room, json.dumps(_as_specified(agent, number)))
    await agent.logged(rf"SECOND_DISPATCH_REFUSED \| room={room.replace('+', '.')}")
    ended = await lab.carrier.wait_for("ended", to=number)
    assert ended["by"] == "phone"
    assert dialled(agent, number) == 1
    await agent.livekit.room.delete_room(api.DeleteRoomRequest(room=room))


# --- inbound rooms ----------------------------------------------------------------------------------------------------


async def test_a_dispatch_into_a_room_that_nobody_calls_ends_quietly(agent: Agent) -> None:
    async def dispatched(metadata: str) -> None:
        room = f"did-{new_number()}_{uuid4().hex[:8]}"
        await agent.send(room, metadata)
        await agent.logged(rf"NO_CALLER \| room={room.replace('+', '.')}", within=20)
        await agent.room_gone(room)
        assert await agent.records(room_name=room) == []

    await asyncio.gather(*(dispatched(metadata) for metadata in ["", "{}", "not JSON", "[]", '{"agentId": 5}']))
