"""Does the gateway carry sound both ways in every codec, soon, at an even pace, and without drift?"""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from itertools import pairwise

import numpy as np
import pytest

from tests.stack.gateway_desk import PHONE_NUMBER, Desk, new_number, new_room, open_desk, wait
from tests.stack.phone_audio import CODECS, FRAME_TICKS, Codec, Pcm, PhoneAudio, share_of, silence, tone
from tests.stack.room_observer import RATE, RoomObserver
from tests.stack.sip_phone import PhoneCall, session_description
from voiceagents.lab import Lab

pytestmark = pytest.mark.stack

DRIFT_S = float(os.environ.get("GATEWAY_DRIFT_S", "20"))
LATENCY_S = 0.2
"""Most delay of one direction, with LiveKit's server, the agent's SDK and its jitter buffer in it."""


@pytest.fixture
async def desk(lab: Lab) -> AsyncIterator[Desk]:
    async with open_desk(lab) as opened:
        yield opened


@pytest.fixture
def room() -> str:
    return new_room()


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
async def test_the_phone_is_heard_in_the_room(desk: Desk, room: str, codec: Codec) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room, codec.name)
        await observer.track(PHONE_NUMBER)
        await call.audio.say(tone(900, 1.5, codec.rate), codec, call.audio_peer)
        loud = await observer.sound(lambda sound: np.abs(sound.pcm).max() > 3000)
        await wait(0.3)
        heard = observer.heard(loud.at + 0.1)[:RATE]
        assert share_of(900, heard, RATE) > 0.9
        assert np.abs(heard).max() == pytest.approx(10000, rel=0.25)


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
async def test_the_room_is_heard_on_the_phone(desk: Desk, room: str, codec: Codec) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room, codec.name)
        await call.audio.packets(25)
        spoken_at = await observer.say(tone(900, 1.5, RATE))
        await wait(0.3)
        loud_at = call.audio.first_loud(codec, spoken_at)
        assert loud_at
        heard = call.audio.heard(codec, loud_at + 0.1)[: codec.rate]
        assert share_of(900, heard, codec.rate) > 0.9
        assert np.abs(heard).max() == pytest.approx(10000, rel=0.25)
        assert {p.payload_type for p in call.audio.received} == {codec.payload}
        assert {len(p.payload) for p in call.audio.received} == {160}


async def test_g722_carries_what_g711_cannot(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room, "G722")
        await call.audio.packets(25)
        spoken_at = await observer.say(tone(5500, 1.0, RATE))
        await wait(0.3)
        heard = call.audio.heard(CODECS["G722"], spoken_at + 0.3)[:8000]
        assert share_of(5500, heard, 16000) > 0.8


@pytest.mark.parametrize("order", [("PCMU", "PCMA"), ("PCMA", "PCMU"), ("G722", "PCMU")])
async def test_the_phones_first_choice_is_used(desk: Desk, room: str, order: tuple[str, ...]) -> None:
    call = await desk.answered(room, *order)
    (packet,) = await call.audio.packets(1)
    assert packet.payload_type == CODECS[order[0]].payload


async def test_sound_starts_with_the_answer_and_keeps_an_even_pace(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room):
        call = await desk.answered(room)
        ack = await call.request("ACK")
        packets = await call.audio.packets(150)
        assert packets[0].at - ack.at < 0.1
        assert packets[0].marker
        assert not any(p.marker for p in packets[1:])
        assert all(b.sequence - a.sequence in (1, -65535) for a, b in pairwise(packets))
        assert {(b.timestamp - a.timestamp) % 2**32 for a, b in pairwise(packets)} == {FRAME_TICKS}
        assert packets[-1].at - packets[0].at == pytest.approx(149 * 0.02, abs=0.03)
        steps = np.diff([p.at for p in packets])
        assert np.median(steps) == pytest.approx(0.02, abs=0.001)
        assert {p.source for p in packets} == {call.audio_peer}


async def test_everybody_in_the_room_is_heard_at_once(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room, "one") as one, RoomObserver(desk.lab, room, "two") as two:
        call = await desk.answered(room)
        await call.audio.packets(25)
        start = time.monotonic()
        await asyncio.gather(one.say(tone(600, 1.5, RATE, 6000)), two.say(tone(1500, 1.5, RATE, 6000)))
        await wait(0.2)
        heard = call.audio.heard(CODECS["PCMU"], start + 0.5)[:6400]
        assert share_of(600, heard, 8000) > 0.3
        assert share_of(1500, heard, 8000) > 0.3


async def test_who_joins_later_is_heard_too(desk: Desk, room: str) -> None:
    call = await desk.answered(room)
    async with RoomObserver(desk.lab, room) as observer:
        spoken_at = await observer.say(np.concatenate([silence(1.0, RATE), tone(900, 1.0, RATE)]))
        await wait(0.3)
        assert call.audio.first_loud(CODECS["PCMU"], spoken_at)


async def test_a_phone_may_send_from_another_port_than_it_listens_on(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room)
        await observer.track(PHONE_NUMBER)
        other = await PhoneAudio.open()
        await other.say(tone(900, 1.0, 8000), CODECS["PCMU"], call.audio_peer)
        await observer.sound(lambda sound: np.abs(sound.pcm).max() > 3000)
        other.close()
        assert call.audio.received
        assert not other.received, "sound goes where the phone said it listens"


async def test_a_held_phone_gets_no_sound_until_it_is_taken_back(desk: Desk, room: str) -> None:
    call = await desk.answered(room)
    await call.audio.packets(10)
    await renegotiate(call, session_description(call.audio.port, ("PCMU",), "sendonly"))
    await wait(0.1)
    so_far = len(call.audio.received)
    await wait(0.5)
    assert len(call.audio.received) == so_far
    await renegotiate(call, session_description(call.audio.port, ("PCMU",)))
    await call.audio.packets(so_far + 10)


async def test_a_phone_may_change_its_codec_during_the_call(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room, "PCMU")
        await call.audio.packets(10)
        await renegotiate(call, session_description(call.audio.port, ("G722",)))
        await call.audio.packets(10, payload_type=9)
        spoken_at = await observer.say(tone(900, 1.0, RATE))
        await wait(0.3)
        assert call.audio.first_loud(CODECS["G722"], spoken_at)


async def renegotiate(call: PhoneCall, body: str) -> None:
    assert call.invite
    call.local, call.remote = call.local, call.remote
    before = len([m for m in call.messages if m.status == 200 and m.method == "INVITE"])
    call.invite_with(body)
    async with asyncio.timeout(3):
        while len(answers := [m for m in call.messages if m.status == 200 and m.method == "INVITE"]) == before:
            await call.got(lambda m: m.status == 200 and m.method == "INVITE" and m not in answers)
    call.acknowledge(answers[-1])


async def test_an_inbound_call_is_heard_both_ways(desk: Desk) -> None:
    did = new_number()
    await desk.inbound(did)
    call = await desk.phone.call(did, "<sip:+12025550111@127.0.0.1>", desk.gateway, codecs=("PCMA", "PCMU"))
    found = await desk.room_of(f"did-{did}_")
    async with RoomObserver(desk.lab, found.name) as observer:
        answer = await call.response("INVITE")
        call.acknowledge(answer)
        assert answer.formats() == [0, 101], "µ-law is preferred to A-law"
        await observer.status("sip_+12025550111", "active")
        await asyncio.gather(
            call.audio.say(tone(900, 1.0, 8000), CODECS["PCMU"], answer.audio_at()), observer.say(tone(700, 1.0, RATE))
        )
        await observer.sound(lambda sound: np.abs(sound.pcm).max() > 3000)
        await wait(0.2)
        assert call.audio.first_loud(CODECS["PCMU"], 0.0)
        call.hang_up()


# --- latency and drift ---


async def latencies(call: PhoneCall, observer: RoomObserver) -> tuple[float, float]:
    """How long a beep takes from the phone to the agent, and from the agent to the phone."""
    pcmu = CODECS["PCMU"]
    sent_at = await call.audio.say(beep(8000), pcmu, call.audio_peer)
    heard = await observer.sound(lambda sound: sound.at > sent_at and np.abs(sound.pcm).max() > 3000)
    spoken_at = await observer.say(beep(RATE))
    await wait(0.5)
    loud_at = call.audio.first_loud(pcmu, spoken_at)
    assert loud_at
    return heard.at - sent_at - 0.1, loud_at - spoken_at - 0.1


def beep(rate: int) -> Pcm:
    return np.concatenate([silence(0.1, rate), tone(1000, 0.3, rate), silence(0.3, rate)])


async def test_each_direction_is_soon_heard(desk: Desk, room: str) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room)
        await observer.track(PHONE_NUMBER)
        await call.audio.packets(50)
        measured = np.array([await latencies(call, observer) for _ in range(3)])
        to_room, to_phone = np.median(measured, axis=0)
        print(f"phone to agent {to_room * 1000:.0f} ms, agent to phone {to_phone * 1000:.0f} ms")
        assert 0 < to_room < LATENCY_S
        assert 0 < to_phone < LATENCY_S


async def keep_talking(call: PhoneCall, observer: RoomObserver, seconds: float) -> None:
    quiet = 300
    await asyncio.gather(
        call.audio.say(tone(440, seconds, 8000, quiet), CODECS["PCMU"], call.audio_peer),
        observer.say(tone(440, seconds, RATE, quiet)),
    )


async def drift_over(desk: Desk, room: str, seconds: float) -> None:
    async with RoomObserver(desk.lab, room) as observer:
        call = await desk.answered(room)
        await observer.track(PHONE_NUMBER)
        first = (await call.audio.packets(1))[0]
        await call.audio.packets(50)
        before = np.median([await latencies(call, observer) for _ in range(3)], axis=0)
        await keep_talking(call, observer, seconds)
        after = np.median([await latencies(call, observer) for _ in range(3)], axis=0)
        last = call.audio.received[-1]
        elapsed, ticks = last.at - first.at, (last.timestamp - first.timestamp) % 2**32
        print(f"{elapsed:.1f} s: {ticks / 8000 - elapsed:+.3f} s; latencies {before} then {after}")
        assert ticks / 8000 == pytest.approx(elapsed, abs=0.04)
        assert len(call.audio.received) == pytest.approx(
            elapsed / 0.02, rel=0.01
        )  # a stalled machine leaves frames out
        # A buffer that grows adds its frames to each minute; a busy machine moves the latency by a few of them.
        assert np.abs(after - before).max() < 0.12
        assert after.max() < LATENCY_S


async def test_a_call_does_not_drift(desk: Desk, room: str) -> None:
    await drift_over(desk, room, DRIFT_S)


@pytest.mark.slow
@pytest.mark.timeout(420)
async def test_a_five_minute_call_does_not_drift(desk: Desk, room: str) -> None:
    await drift_over(desk, room, 300)
