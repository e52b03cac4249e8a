"""Does a caller find the room, the ringing and the answer that LiveKit's own SIP service was measured to give?"""

import hashlib
import time
from collections.abc import AsyncIterator

import pytest
from livekit import api, rtc

from tests.stack.gateway_desk import Desk, new_number, open_desk, wait
from tests.stack.room_observer import RoomObserver
from tests.stack.sip_phone import tag_of
from voiceagents.lab import Lab

pytestmark = pytest.mark.stack

CLIENT_INITIATED = rtc.DisconnectReason.CLIENT_INITIATED


@pytest.fixture
async def desk(lab: Lab) -> AsyncIterator[Desk]:
    async with open_desk(lab) as opened:
        yield opened


async def test_a_caller_gets_a_room_by_the_rule(desk: Desk) -> None:
    did = new_number()
    trunk_id, rule_id = await desk.inbound(did)
    call = await desk.phone.call(did, '"Ann" <sip:+12025550111@127.0.0.1>', desk.gateway)
    room = await desk.room_of(f"did-{did}_")
    assert room.name.startswith(f"did-{did}_+12025550111_")
    assert room.metadata == "of the room"
    caller = await desk.participant(room.name, "sip_+12025550111")
    assert caller
    assert caller.kind == api.ParticipantInfo.Kind.SIP
    assert (caller.name, caller.metadata) == ("Phone +12025550111", "from the rule")
    attributes = dict(caller.attributes)
    assert attributes.pop("sip.callID").startswith("SCL_")
    assert attributes == {
        "line": "support",
        "sip.callStatus": "ringing",
        "sip.ruleID": rule_id,
        "sip.trunkID": trunk_id,
        "sip.phoneNumber": "+12025550111",
        "sip.trunkPhoneNumber": did,
        "sip.callIDFull": call.call_id,
        "sip.callTag": tag_of(call.local),
        "sip.hostname": "127.0.0.1",
    }
    dispatches = await desk.livekit.agent_dispatch.list_dispatch(room.name)
    assert [(d.agent_name, d.metadata) for d in dispatches] == [("nobody", "job")]
    call.cancel()
    assert (await call.response("INVITE")).status == 487


async def test_a_caller_is_answered_when_an_agent_can_be_heard(desk: Desk) -> None:
    did = new_number()
    await desk.inbound(did)
    start = time.monotonic()
    call = await desk.phone.call(did, "<sip:+12025550111@127.0.0.1>", desk.gateway)
    room = await desk.room_of(f"did-{did}_")
    await wait(1.3)
    assert call.statuses() == [100, 180, 180]
    async with RoomObserver(desk.lab, room.name) as observer:
        joined_at = time.monotonic()
        answer = await call.response("INVITE")
        assert answer.status == 200
        assert answer.at - joined_at < 1.0
        assert answer.at - start > 1.3
        assert answer.formats() == [0, 101]
        call.acknowledge(answer)
        await observer.status("sip_+12025550111", "active")
        await wait(0.3)
        call.hang_up()
        assert (await call.response("BYE")).status == 200
        assert (await observer.left("sip_+12025550111")).detail == CLIENT_INITIATED
        assert observer.statuses("sip_+12025550111")[-1] == "hangup"


async def test_without_an_agent_it_rings_on_once_a_second(desk: Desk) -> None:
    did = new_number()
    await desk.inbound(did)
    call = await desk.phone.call(did, "<sip:+12025550111@127.0.0.1>", desk.gateway)
    await wait(3.5)
    assert call.statuses() == [100, 180, 180, 180, 180]
    room = await desk.room_of(f"did-{did}_")
    call.cancel()
    assert (await call.response("INVITE")).status == 487
    await desk.gone(room.name, "sip_+12025550111")


async def test_an_anonymous_caller_is_called_so(desk: Desk) -> None:
    did = new_number()
    await desk.inbound(did)
    call = await desk.phone.call(did, '"Anonymous" <sip:anonymous@anonymous.invalid>', desk.gateway)
    room = await desk.room_of(f"did-{did}_")
    assert room.name.startswith(f"did-{did}_anonymous_")
    caller = await desk.participant(room.name, "sip_anonymous")
    assert caller
    assert caller.attributes["sip.phoneNumber"] == "anonymous"
    assert caller.attributes["sip.hostname"] == "anonymous.invalid"
    call.cancel()


async def test_an_unknown_number_gets_no_final_response(desk: Desk) -> None:
    call = await desk.phone.call(new_number(), "<sip:+12025550111@127.0.0.1>", desk.gateway)
    await wait(4.0)
    assert call.statuses() == [100, 180]
    call.cancel()
    assert (await call.response("INVITE")).status == 487


async def test_a_number_without_plus_finds_its_trunk(desk: Desk) -> None:
    did = new_number()
    await desk.inbound(did)
    call = await desk.phone.call(did.removeprefix("+"), "<sip:12025550111@127.0.0.1>", desk.gateway)
    room = await desk.room_of(f"did-{did}_")
    assert room.name.startswith(f"did-{did}_12025550111_")
    caller = await desk.participant(room.name, "sip_12025550111")
    assert caller
    assert caller.attributes["sip.trunkPhoneNumber"] == did.removeprefix("+")
    call.cancel()


async def test_a_trunk_with_a_password_lets_in_who_knows_it(desk: Desk) -> None:
    did = new_number()
    await desk.inbound(did, auth_username="lab", auth_password="secret")

    def answer_to(challenge: str, password: str) -> str:
        realm, nonce = (challenge.split(f'{key}="')[1].split('"')[0] for key in ("realm", "nonce"))
        uri = f"sip:{did}@127.0.0.1:{desk.gateway[1]}"
        first = hashlib.md5(f"lab:{realm}:{password}".encode()).hexdigest()
        second = hashlib.md5(f"INVITE:{uri}".encode()).hexdigest()
        response = hashlib.md5(f"{first}:{nonce}:{second}".encode()).hexdigest()
        given = f'username="lab", realm="{realm}", nonce="{nonce}", uri="{uri}", response="{response}"'
        return f"Proxy-Authorization: Digest {given}, algorithm=MD5"

    stranger = await desk.phone.call(did, "<sip:+12025550111@127.0.0.1>", desk.gateway)
    refused = await stranger.response("INVITE")
    assert refused.status == 407
    guess = await desk.phone.call(
        did, "<sip:+12025550111@127.0.0.1>", desk.gateway, headers=(answer_to(refused["proxy-authenticate"], "guess"),)
    )
    assert (await guess.response("INVITE")).status == 407
    friend = await desk.phone.call(
        did, "<sip:+12025550111@127.0.0.1>", desk.gateway, headers=(answer_to(refused["proxy-authenticate"], "secret"),)
    )
    await desk.room_of(f"did-{did}_")
    assert 407 not in friend.statuses()
    friend.cancel()


async def test_whether_the_gateway_is_there_can_be_asked(desk: Desk) -> None:
    assert (await desk.phone.options(desk.gateway)).status == 200


async def test_a_call_without_a_common_codec_is_refused(desk: Desk) -> None:
    did = new_number()
    await desk.inbound(did)
    body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 18\r\n"
    call = await desk.phone.call(did, "<sip:+12025550111@127.0.0.1>", desk.gateway, body=body)
    assert (await call.response("INVITE")).status == 488
