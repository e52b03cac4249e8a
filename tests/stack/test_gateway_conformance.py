"""Does the gateway dial as LiveKit's own SIP service was measured to, through LiveKit's API and on the wire?

Each test is a row of what was measured. The phone is the other side's witness: it keeps every message as it arrived.
"""

import asyncio
import base64
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import status_pb2
from livekit import api

from tests.stack.gateway_desk import PHONE_NUMBER, TRUNK_NUMBER, Desk, error_of, new_room, open_desk, wait
from tests.stack.phone_audio import CODECS, tone
from tests.stack.room_observer import RoomObserver
from tests.stack.sip_phone import REASONS, tag_of
from voiceagents.lab import Lab

pytestmark = pytest.mark.stack


@pytest.fixture
async def desk(lab: Lab) -> AsyncIterator[Desk]:
    async with open_desk(lab) as opened:
        yield opened


@pytest.fixture
def room() -> str:
    return new_room()


# --- outbound, waiting for the answer ---


async def test_an_answer_returns_who_and_where(desk: Desk, room: str) -> None:
    dialled = desk.dial(room)
    call = await desk.phone.rung()
    call.ring()
    await wait(0.3)
    assert not dialled.done()
    call.answer()
    result = await asyncio.wait_for(dialled, 1)
    assert result.participant_identity == PHONE_NUMBER
    assert result.room_name == room
    assert result.participant_id.startswith("PA_")
    assert result.sip_call_id.startswith("SCL_")


async def test_early_media_is_no_answer_but_is_heard(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        dialled = desk.dial(room)
        call = await desk.phone.rung()
        call.early("PCMU")
        await observer.status(PHONE_NUMBER, "ringing")
        await call.audio.say(tone(700, 1.5, 8000), CODECS["PCMU"], call.audio_peer)
        await observer.sound(lambda sound: abs(sound.pcm).max() > 3000)
        assert not dialled.done()
        assert observer.statuses(PHONE_NUMBER)[-1] == "ringing"
        call.answer()
        await asyncio.wait_for(dialled, 1)


async def test_an_answer_need_not_repeat_what_early_media_agreed_on(desk: Desk, room: str) -> None:
    dialled = desk.dial(room)
    call = await desk.phone.rung()
    call.early("PCMA")
    await wait(0.1)
    call.respond(200)
    await dialled
    (packet,) = await call.audio.packets(1)
    assert packet.payload_type == CODECS["PCMA"].payload


@pytest.mark.parametrize(
    ("status", "code", "http", "words"),
    [
        (486, "resource_exhausted", 429, "INVITE failed"),
        (480, "resource_exhausted", 429, "INVITE failed"),
        (404, "not_found", 404, "INVITE failed"),
        (488, "invalid_argument", 400, "INVITE failed"),
        (484, "invalid_argument", 400, "unexpected status from INVITE response"),
        (403, "permission_denied", 403, "unexpected status from INVITE response"),
        (603, "permission_denied", 403, "unexpected status from INVITE response"),
        (408, "deadline_exceeded", 408, "unexpected status from INVITE response"),
        (500, "failed_precondition", 412, "unexpected status from INVITE response"),
        (503, "failed_precondition", 412, "unexpected status from INVITE response"),
        (600, "resource_exhausted", 429, "unexpected status from INVITE response"),
    ],
)
async def test_a_refusal_carries_its_sip_status(
    desk: Desk, room: str, status: int, code: str, http: int, words: str
) -> None:
    dialled = desk.dial(room)
    call = await desk.phone.rung()
    call.ring()
    call.respond(status)
    refused_at = time.monotonic()
    error = await error_of(dialled)
    assert time.monotonic() - refused_at < 0.5
    assert isinstance(error, api.SipCallError)
    reason = REASONS[status]
    assert (error.code, error.status) == (code, http)
    assert error.message == f"twirp error unknown: {words}: sip status: {status}: {reason}"
    assert error.metadata["sip_status_code"] == str(status)
    assert error.metadata["sip_status"] == reason
    details = status_pb2.Status.FromString(base64.b64decode(error.metadata["error_details"]))
    assert [d.type_url for d in details.details] == ["type.googleapis.com/livekit.SIPStatus"]
    await call.request("ACK")


async def test_after_a_failure_the_participant_is_gone_and_the_room_stays(desk: Desk, room: str) -> None:
    dialled = desk.dial(room)
    (await desk.phone.rung()).respond(486)
    await error_of(dialled)
    await desk.gone(room)
    rooms = (await desk.livekit.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms
    assert [r.name for r in rooms] == [room]


async def test_a_phone_that_rings_on_is_given_up_after_the_ringing_timeout(desk: Desk, room: str) -> None:
    start = time.monotonic()
    dialled = desk.dial(room, ringing_timeout=Duration(seconds=2))
    call = await desk.phone.rung()
    call.ring()
    error = await error_of(dialled)
    assert 1.9 < time.monotonic() - start < 2.6
    assert not isinstance(error, api.SipCallError)
    assert (error.code, error.status) == ("canceled", 408)
    assert error.message == "twirp error unknown: sip request timed out"
    assert error.metadata == {}
    await call.request("CANCEL")
    await call.request("ACK")


async def test_a_dead_carrier_looks_like_a_phone_that_rings_on(desk: Desk, room: str) -> None:
    start = time.monotonic()
    error = await error_of(desk.dial(room, ringing_timeout=Duration(seconds=2)))
    assert 1.9 < time.monotonic() - start < 2.6
    assert (error.code, error.message) == ("canceled", "twirp error unknown: sip request timed out")
    call = await desk.phone.rung()
    assert call.requests("CANCEL") == [], "nothing may be cancelled that was never answered at all"


async def test_a_carrier_that_wakes_up_late_is_cancelled(desk: Desk, room: str) -> None:
    dialled = desk.dial(room, ringing_timeout=Duration(seconds=1))
    call = await desk.phone.rung()
    await error_of(dialled)
    call.ring()
    await call.request("CANCEL")
    await call.request("ACK")


async def test_a_phone_that_answers_too_late_is_hung_up(desk: Desk, room: str) -> None:
    dialled = desk.dial(room, ringing_timeout=Duration(seconds=1))
    call = await desk.phone.rung()
    await error_of(dialled)
    call.answer()
    await call.request("ACK")
    await call.request("BYE")


async def test_a_room_deleted_while_it_rings_takes_the_call_back(desk: Desk, room: str) -> None:
    dialled = desk.dial(room)
    call = await desk.phone.rung()
    call.ring()
    await wait(0.3)
    deleted_at = time.monotonic()
    await desk.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
    error = await error_of(dialled)
    assert time.monotonic() - deleted_at < 0.5
    assert (error.code, error.message, error.metadata) == ("canceled", "twirp error unknown: sip request timed out", {})
    assert (await call.request("CANCEL")).at - deleted_at < 0.5


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"sip_trunk_id": "ST_unknown"}, "not_found", "requested sip trunk does not exist"),
        ({"number": ""}, "invalid_argument", "missing sip callee number"),
        (
            {"number": "sip:+12025550200@127.0.0.1"},
            "invalid_argument",
            "SipCallTo should be a phone number or SIP user, not a full SIP URI",
        ),
    ],
)
async def test_a_request_that_cannot_be_meant_is_refused_at_once(
    desk: Desk, room: str, fields: dict[str, str], code: str, message: str
) -> None:
    error = await error_of(desk.dial(room, **fields))
    assert (error.code, error.message, error.metadata) == (code, message, {})


async def test_above_its_limit_the_service_says_that_it_is_exhausted(desk: Desk, room: str) -> None:
    call = await desk.answered(room)
    async with httpx.AsyncClient(base_url=desk.lab.gateway_url) as gateway:
        try:
            (await gateway.post("/limit", json={"max_calls": 1})).raise_for_status()
            error = await error_of(desk.dial(room + "-2"))
        finally:
            (await gateway.post("/limit", json={"max_calls": 0})).raise_for_status()
        assert (await gateway.post("/limit", json={"max_calls": -1})).status_code == 400
    assert (error.code, error.message) == ("unavailable", "twirp error unknown: cpu exhausted")
    call.hang_up()


async def test_max_call_duration_counts_from_the_request(desk: Desk, room: str) -> None:
    start = time.monotonic()
    dialled = desk.dial(room, max_call_duration=Duration(seconds=2))
    call = await desk.phone.rung()
    call.ring()
    await wait(0.8)
    call.answer()
    await dialled
    assert (await call.request("BYE")).at - start == pytest.approx(2.1, abs=0.3)
    await desk.gone(room)


async def test_not_waiting_returns_at_once(desk: Desk, room: str) -> None:
    start = time.monotonic()
    result = await desk.dial(room, wait=False)
    assert time.monotonic() - start < 0.5
    assert result.participant_id.startswith("PA_")
    (await desk.phone.rung()).respond(486)
    await desk.gone(room)


# --- the participant ---


async def test_the_participant_is_there_before_the_answer_and_tells_about_the_call(desk: Desk, room: str) -> None:
    dialled = desk.dial(
        room, participant_name="Ann", participant_metadata="about her", participant_attributes={"contact": "7"}
    )
    call = await desk.phone.rung()
    dialling = await desk.participant(room)
    assert dialling
    assert dialling.kind == api.ParticipantInfo.Kind.SIP
    assert (dialling.identity, dialling.name, dialling.metadata) == (PHONE_NUMBER, "Ann", "about her")
    before = dict(dialling.attributes)
    assert before.pop("sip.callID").startswith("SCL_")
    assert before == {
        "contact": "7",
        "sip.callStatus": "dialing",
        "sip.hostname": desk.phone.address,
        "sip.phoneNumber": PHONE_NUMBER,
        "sip.trunkID": desk.trunk_id,
        "sip.trunkPhoneNumber": TRUNK_NUMBER,
    }
    call.ring()
    call.answer()
    result = await dialled
    active = await desk.active(room)
    async with asyncio.timeout(2):
        while not active.tracks:
            active = await desk.active(room)
    assert active.attributes["sip.callID"] == result.sip_call_id
    assert active.attributes["sip.callIDFull"] == call.call_id
    assert active.attributes["sip.callTag"] == tag_of(call.local)
    assert [(t.type, t.mime_type) for t in active.tracks] == [(api.TrackType.AUDIO, "audio/opus")]


async def test_a_hidden_number_is_not_told(desk: Desk, room: str) -> None:
    dialled = desk.dial(room, hide_phone_number=True)
    call = await desk.phone.rung()
    participant = await desk.participant(room)
    assert participant
    assert not {"sip.phoneNumber", "sip.trunkPhoneNumber", "sip.hostname"} & set(participant.attributes)
    call.respond(486)
    await error_of(dialled)


async def test_the_invite_names_the_trunks_number_and_offers_all_codecs(desk: Desk, room: str) -> None:
    dialled = desk.dial(room, headers={"X-Campaign": "spring"})
    call = await desk.phone.rung()
    invite = call.invite
    assert invite
    assert invite.uri == f"sip:{PHONE_NUMBER}@{desk.phone.address}"
    assert invite["from"].startswith(f'"{TRUNK_NUMBER}" <sip:{TRUNK_NUMBER}@127.0.0.1>;tag=')
    assert invite.formats() == [9, 0, 8, 101]
    assert "a=ptime:20" in invite.body
    assert invite["x-campaign"] == "spring"
    call.respond(486)
    await error_of(dialled)


async def test_an_invite_is_repeated_until_it_is_answered_and_one_call_results(desk: Desk, room: str) -> None:
    dialled = desk.dial(room)
    call = await desk.phone.rung()
    await wait(1.8)
    assert len(call.requests("INVITE")) == 3, "at 0, 0.5 and 1.5 s"
    call.ring()
    call.answer()
    await dialled
    await wait(1.0)
    assert len(call.requests("INVITE")) == 3
    assert len(desk.phone.calls) == 1


async def test_a_repeated_answer_is_acknowledged_again(desk: Desk, room: str) -> None:
    call = await desk.answered(room)
    call.answer()
    await call.count("ACK", 2)


async def test_the_trunks_password_is_given_when_asked_for(desk: Desk, room: str) -> None:
    trunk = api.SIPOutboundTrunkInfo(
        name="with password",
        address=desk.phone.address,
        numbers=[TRUNK_NUMBER],
        auth_username="lab",
        auth_password="secret",
    )
    created = await desk.livekit.sip.create_outbound_trunk(api.CreateSIPOutboundTrunkRequest(trunk=trunk))
    dialled = desk.dial(room, sip_trunk_id=created.sip_trunk_id)
    call = await desk.phone.rung()
    challenge = 'Proxy-Authenticate: Digest realm="carrier", nonce="abc", algorithm=MD5'
    call.respond(407, reason="Proxy Authentication Required", headers=(challenge,))
    again = await call.got(lambda m: m.method == "INVITE" and "proxy-authorization" in m.headers)
    assert 'username="lab"' in again["proxy-authorization"]
    assert again["cseq"] == "2 INVITE"
    call.invite = again
    call.answer()
    await dialled
    call.hang_up()
