"""Does an agent in the room see of a phone call what LiveKit's own SIP service was measured to show?"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from livekit import api, rtc

from tests.stack.gateway_desk import PHONE_NUMBER, Desk, error_of, new_room, open_desk, wait
from tests.stack.room_observer import RoomObserver
from tests.stack.sip_phone import PhoneCall, tag_of
from voiceagents.lab import Lab

pytestmark = pytest.mark.stack

CLIENT_INITIATED = rtc.DisconnectReason.CLIENT_INITIATED
USER_REJECTED = rtc.DisconnectReason.USER_REJECTED
USER_UNAVAILABLE = rtc.DisconnectReason.USER_UNAVAILABLE


@pytest.fixture
async def desk(lab: Lab) -> AsyncIterator[Desk]:
    async with open_desk(lab) as opened:
        yield opened


@pytest.fixture
def room() -> str:
    return new_room()


async def test_a_call_goes_through_dialing_ringing_and_active(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        dialled = desk.dial(room)
        call = await desk.phone.rung()
        await observer.status(PHONE_NUMBER, "dialing")
        call.ring()
        await observer.status(PHONE_NUMBER, "ringing")
        call.answer()
        await dialled
        returned_at = time.monotonic()
        active = await observer.status(PHONE_NUMBER, "active")
        assert abs(active.at - returned_at) < 0.2
        changes = [e.detail for e in observer.events if e.kind == "attributes"]
        assert changes == [
            {"sip.callStatus": "ringing"},
            {"sip.callIDFull": call.call_id, "sip.callTag": tag_of(call.local)},
            {"sip.callStatus": "active"},
        ]


async def test_a_key_pressed_on_the_phone_is_one_event(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room)
        for key in "5#":
            await call.audio.press(key, call.audio_peer)
        await observer.event(lambda e: e.kind == "key" and e.detail == (11, "#"))
        await wait(0.3)
        assert [e.detail for e in observer.events if e.kind == "key"] == [(5, "5"), (11, "#")]


async def test_a_key_pressed_in_the_room_reaches_the_phone(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room)
        await observer.room.local_participant.publish_dtmf(code=7, digit="7")
        await call.audio.packets(15, payload_type=101)
        await wait(0.1)
        presses = call.audio.key_presses()
        assert {p.key for p in presses} == {"7"}
        assert [p.duration for p in presses if p.end] == [2080] * 3
        assert len({p.packet.timestamp for p in presses}) == 1
        assert [p.packet.marker for p in presses] == [True] + [False] * (len(presses) - 1)


async def test_digits_given_with_the_call_are_sent_after_the_answer(desk: Desk, room: str) -> None:
    call = await desk.answered(room, dtmf="1w2")
    await call.audio.packets(30, payload_type=101)
    starts = [p for p in call.audio.key_presses() if p.packet.marker]
    assert [p.key for p in starts] == ["1", "2"]
    assert starts[1].packet.at - starts[0].packet.at > 0.9, "half a second of pause between them"


async def test_a_removed_participant_is_hung_up(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room)
        removed_at = time.monotonic()
        await desk.livekit.room.remove_participant(api.RoomParticipantIdentity(room=room, identity=PHONE_NUMBER))
        left = await observer.left(PHONE_NUMBER)
        assert left.detail == rtc.DisconnectReason.PARTICIPANT_REMOVED
        assert 0.1 < (await call.request("BYE")).at - removed_at < 0.6


async def test_a_deleted_room_hangs_up_at_once(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room)
        deleted_at = time.monotonic()
        await desk.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        closed = await observer.event(lambda e: e.kind == "closed")
        assert closed.detail == rtc.DisconnectReason.ROOM_DELETED
        assert (await call.request("BYE")).at - deleted_at < 0.2


async def test_a_phone_that_hangs_up_is_seen_to(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room)
        await observer.track(PHONE_NUMBER)  # LiveKit is slow to tell of somebody who leaves without having had one
        hung_up_at = time.monotonic()
        call.hang_up()
        left = await observer.left(PHONE_NUMBER)
        assert left.at - hung_up_at < 0.3
        assert left.detail == CLIENT_INITIATED
        assert observer.statuses(PHONE_NUMBER)[-1] == "hangup"
        assert (await call.response("BYE")).status == 200


@pytest.mark.parametrize(
    ("status", "reason"),
    [(486, USER_REJECTED), (603, USER_REJECTED), (404, USER_UNAVAILABLE), (503, CLIENT_INITIATED)],
)
async def test_a_refusal_nobody_waits_for_shows_as_the_reason_of_leaving(
    desk: Desk, room: str, status: int, reason: int
) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        await desk.dial(room, wait=False)
        call = await desk.phone.rung()
        call.ring()
        await observer.status(PHONE_NUMBER, "ringing")
        call.respond(status)
        assert (await observer.left(PHONE_NUMBER)).detail == reason
        assert observer.statuses(PHONE_NUMBER)[-1] == "ringing"


async def test_a_480_nobody_waits_for_shows_late(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        await desk.dial(room, wait=False)
        call = await desk.phone.rung()
        call.ring()
        await observer.status(PHONE_NUMBER, "ringing")
        call.respond(480)
        refused_at = time.monotonic()
        assert (await observer.left(PHONE_NUMBER)).at - refused_at > 0.7


async def test_a_ring_out_nobody_waits_for_is_cancelled(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        await desk.dial(room, wait=False, ringing_timeout=Duration(seconds=1))
        call = await desk.phone.rung()
        call.ring()
        assert (await observer.left(PHONE_NUMBER)).detail == USER_UNAVAILABLE
        await call.request("CANCEL")
        await call.request("ACK")


async def test_the_same_identity_dialled_again_cuts_off_the_first_call(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        first = await desk.answered(room)
        second = await desk.answered(room)
        await first.request("BYE")
        assert second.call_id != first.call_id
        await observer.left(PHONE_NUMBER)
        await wait(0.3)
        assert second.requests("BYE") == []
        assert await desk.participant(room)


async def test_the_phone_stays_when_the_agent_leaves(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room):
        call = await desk.answered(room)
    await wait(2.0)
    assert await desk.participant(room)
    assert call.requests("BYE") == []
    await desk.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
    await call.request("BYE")


# --- transfer ---


@asynccontextmanager
async def transfer(desk: Desk, room: str, **fields: Any) -> AsyncIterator[tuple[PhoneCall, asyncio.Task[Any]]]:
    """A call that is being transferred, up to the phone's 202."""
    call = await desk.answered(room)
    request = api.TransferSIPParticipantRequest(
        participant_identity=PHONE_NUMBER, room_name=room, transfer_to="tel:+12025550777", **fields
    )
    transferring = asyncio.create_task(desk.livekit.sip.transfer_sip_participant(request))
    refer = await call.request("REFER")
    assert refer["refer-to"] == "tel:+12025550777"
    desk.phone.respond(refer, call.peer, 202, refer["to"])
    yield call, transferring


def report(call: PhoneCall, status: str) -> None:
    headers = ("Event: refer", "Subscription-State: active", "Content-Type: message/sipfrag;version=2.0")
    call.send("NOTIFY", f"SIP/2.0 {status}\r\n", "message/sipfrag;version=2.0", headers[:2])


async def test_a_transfer_returns_when_the_new_number_has_answered(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer, transfer(desk, room) as (call, transferring):
        report(call, "180 Ringing")
        await wait(0.4)
        assert not transferring.done()
        report(call, "200 OK")
        await transferring
        answered_at = time.monotonic()
        assert (await call.request("BYE")).at - answered_at == pytest.approx(1.0, abs=0.3)
        assert (await observer.left(PHONE_NUMBER)).detail == CLIENT_INITIATED
        assert observer.statuses(PHONE_NUMBER)[-1] == "hangup"


async def test_a_failed_transfer_leaves_the_call_as_it_was(desk: Desk, room: str) -> None:
    async with transfer(desk, room) as (call, transferring):
        report(call, "486 Busy Here")
        error = await error_of(transferring)
        assert error.metadata["sip_status_code"] == "486"
        await wait(1.5)
        assert call.requests("BYE") == []
        assert await desk.participant(room)


async def test_who_is_not_there_cannot_be_transferred(desk: Desk, room: str) -> None:
    request = api.TransferSIPParticipantRequest(
        participant_identity="nobody", room_name=room, transfer_to="tel:+12025550777"
    )
    error = await error_of(asyncio.create_task(desk.livekit.sip.transfer_sip_participant(request)))
    assert error.code == "not_found"
    assert "participant does not exist" in error.message
