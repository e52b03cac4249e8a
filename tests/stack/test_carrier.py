"""Does each phone of the carrier do what its scenario says, and does the ledger hold what happened?

Two carriers stand face to face: one has the phones, the other's phones dial them. Where single packets matter a bare
SIP socket takes the caller's place.
"""

import asyncio
import json
import time
import wave
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
import pytest

from tests.sip_probe import Address, Probe
from voiceagents import voices
from voiceagents.carrier import Call, Carrier, CarrierError
from voiceagents.lab import program
from voiceagents.processes import Process, free_ports, spawn

pytestmark = pytest.mark.stack

FRAME = 160
HANG_UP = {"hangup": True}


@dataclass
class Pair:
    """`phones` are dialled, `callers` dial them."""

    phones: Carrier
    callers: Carrier
    sip: Address
    folder: Path

    async def dial(self, number: str, phone: dict[str, Any], caller: dict[str, Any] | None = None) -> tuple[Call, Call]:
        """Let a caller call a phone to the end; answers the call as each side saw it."""
        await self.phones.put_phones({number: {"ring_ms": 40, **phone}})
        call_id = await self.callers.place_call(number, caller, caller="+12025550100")
        theirs = await self.callers.wait_until_over(call_id)
        return await self.phones.wait_until_over(call_id), theirs

    def tone(self, hz: int, seconds: float) -> str:
        path = self.folder / f"{hz}-{seconds}.wav"
        samples = 8000 * np.sin(2 * np.pi * hz * np.arange(int(8000 * seconds)) / 8000)
        voices.write_wav(path, samples.astype(np.int16), 8000)
        return str(path)


@pytest.fixture(scope="module")
async def pair(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    folder = tmp_path_factory.mktemp("carriers")
    sip, other_sip, http, other_http = free_ports(4)
    started: list[Process] = []
    carriers: list[Carrier] = []
    for name, own, other, web in (("phones", sip, other_sip, http), ("callers", other_sip, sip, other_http)):
        (folder / name).mkdir()
        addresses = ["--sip", f"127.0.0.1:{own}", "--gateway", f"127.0.0.1:{other}", "--http", f"127.0.0.1:{web}"]
        command = [program("carrier"), *addresses, "--dir", str(folder / name)]
        started.append(spawn(name, command, {}, folder / f"{name}.log", outlives_starter=False))
        carriers.append(Carrier(f"http://127.0.0.1:{web}", folder / name, folder / "voices"))
        await answers(web)
    yield Pair(carriers[0], carriers[1], ("127.0.0.1", sip), folder)
    for carrier, process in zip(carriers, started, strict=True):
        await carrier.aclose()
        process.stop(6)


async def answers(port: int) -> None:
    async with httpx.AsyncClient(transport=httpx.AsyncHTTPTransport(retries=5)) as http:
        (await http.get(f"http://127.0.0.1:{port}/healthz")).raise_for_status()


def recording(call: Call) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """What the phone heard and said, as samples."""
    with wave.open(call["recording"], "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 2, 2)
        both = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").reshape(-1, 2).astype(float)
    return both[:, 0], both[:, 1]


def loud(samples: npt.NDArray[np.float64]) -> tuple[float, float]:
    """When sound starts and ends, in seconds."""
    places = np.flatnonzero(np.abs(samples) > 1000)
    assert places.size, "nothing was heard"
    return places[0] / 8000, places[-1] / 8000


def pitch(samples: npt.NDArray[np.float64]) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * 8000 / len(samples))


async def test_both_sides_hear_what_the_other_says_on_one_clock(pair: Pair) -> None:
    phone = {"steps": [{"pause_ms": 200}, {"play": pair.tone(500, 0.5)}, {"pause_ms": 800}, HANG_UP]}
    called, caller = await pair.dial(
        "+12025550101", phone, {"steps": [{"pause_ms": 900}, {"play": pair.tone(900, 0.4)}]}
    )
    heard, said = recording(called)
    assert pitch(said) == pytest.approx(500, abs=5)
    assert pitch(heard) == pytest.approx(900, abs=5)
    assert loud(said) == pytest.approx((0.2, 0.7), abs=0.05)
    assert loud(heard) == pytest.approx((0.9, 1.3), abs=0.05)
    other_heard, other_said = recording(caller)
    assert pitch(other_heard) == pytest.approx(500, abs=5)
    assert pitch(other_said) == pytest.approx(900, abs=5)
    assert called["ended_by"] == "phone"
    assert caller["ended_by"] == "callee"
    assert called["rtp"]["lost"] == caller["rtp"]["lost"] == 0


async def test_frames_are_sent_every_20_ms_without_drift(pair: Pair) -> None:
    await pair.phones.put_phones({"+12025550102": {"ring_ms": 0, "steps": []}})
    async with Probe(pair.sip, "+12025550102") as probe:
        probe.invite()
        await probe.final_response()
        probe.request("ACK", 1)
        packets = [await probe.rtp.get() for _ in range(150)]
        probe.request("BYE", 2)
        await probe.final_response()
    elapsed = packets[-1].time - packets[0].time
    assert elapsed == pytest.approx(149 * 0.02, abs=0.02)
    assert all(len(packet.data) == 12 + FRAME for packet in packets)


@pytest.mark.parametrize("status", [404, 480, 486, 503, 603])
async def test_a_phone_that_rejects_answers_with_its_status(pair: Pair, status: int) -> None:
    called, caller = await pair.dial(f"+12025551{status}", {"reject": status})
    assert (called["state"], called["status"]) == ("rejected", status)
    assert (caller["state"], caller["status"]) == ("rejected", status)
    assert called["ringing_at"] is not None
    assert called["answered_at"] is None


async def test_a_phone_that_nobody_picks_up_rings_until_the_caller_gives_up(pair: Pair) -> None:
    called, caller = await pair.dial("+12025550103", {"no_answer": True}, {"patience_ms": 400})
    assert called["state"] == caller["state"] == "cancelled"
    assert called["ended_at"] - called["invited_at"] == pytest.approx(0.4, abs=0.2)
    kinds = [event["event"] for event in pair.phones.ledger() if event["sip_call_id"] == called["sip_call_id"]]
    assert kinds == ["invite", "ringing", "cancelled"]


async def test_a_dead_phone_sends_nothing_and_a_repeated_invite_is_one_call(pair: Pair) -> None:
    await pair.phones.put_phones({"+12025550104": {"dead": True}})
    async with Probe(pair.sip, "+12025550104") as probe:
        for _ in range(3):
            probe.invite()
        await pair.phones.wait_for("invite", sip_call_id=probe.call_id)
        with pytest.raises(TimeoutError):
            await probe.response(within=0.8)
        assert len(pair.phones.invites(sip_call_id=probe.call_id)) == 1


async def test_the_ledger_has_the_invite_before_anything_is_answered(pair: Pair) -> None:
    async with Probe(pair.sip, "+12025550105") as probe:
        probe.invite()
        first = await probe.response()
        assert first.status == 100
        assert len(pair.phones.invites(sip_call_id=probe.call_id, to="+12025550105")) == 1
        await pair.phones.hang_up(probe.call_id)


async def test_early_media_is_heard_before_the_answer(pair: Pair) -> None:
    await pair.phones.put_phones(
        {"+12025550106": {"progress": 183, "early_media": pair.tone(700, 0.5), "ring_ms": 700, "reject": 486}}
    )
    async with Probe(pair.sip, "+12025550106") as probe:
        probe.invite()
        statuses = [await probe.response() for _ in range(3)]
        assert [response.status for response in statuses] == [100, 183, 486]
        assert Probe.audio_port(statuses[1]) > 0
        early = [probe.rtp.get_nowait().data[12:] for _ in range(probe.rtp.qsize())]
    assert len(early) >= 25
    assert any(payload != early[-1] for payload in early), "silence after the recording, sound before"


async def test_keys_are_heard_on_both_sides(pair: Pair) -> None:
    phone = {"steps": [{"wait_dtmf": 3}, {"dtmf": "12#"}, {"pause_ms": 300}, HANG_UP]}
    called, caller = await pair.dial("+12025550107", phone, {"steps": [{"dtmf": "*0A"}]})
    assert called["dtmf"] == "*0A"
    assert caller["dtmf"] == "12#"


async def test_a_key_is_one_event_of_rfc_4733_with_three_end_packets(pair: Pair) -> None:
    await pair.phones.put_phones({"+12025550108": {"ring_ms": 0, "steps": [{"dtmf": "5"}, HANG_UP]}})
    async with Probe(pair.sip, "+12025550108") as probe:
        probe.invite()
        answer = await probe.final_response()
        assert "telephone-event/8000" in answer.body
        probe.request("ACK", 1)
        async with asyncio.timeout(5):
            while Probe.audio_port(answer) and (await probe.responses.get()).data[:3] != b"BYE":
                pass
        packets = [probe.rtp.get_nowait().data for _ in range(probe.rtp.qsize())]
    events = [packet for packet in packets if packet[1] & 0x7F == 101]
    assert {packet[12] for packet in events} == {5}
    assert len({packet[4:8] for packet in events}) == 1, "one timestamp"
    assert [packet[13] >> 7 for packet in events][-3:] == [1, 1, 1]
    assert events[0][1] & 0x80, "the marker starts the event"
    sequence = [int.from_bytes(packet[2:4], "big") for packet in packets]
    assert [(b - a) % 65536 for a, b in pairwise(sequence)] == [1] * (len(sequence) - 1)


async def test_a_phone_waits_until_the_other_side_has_finished(pair: Pair) -> None:
    phone = {"steps": [{"wait_for": "silence", "silence_ms": 500}, {"beep_ms": 200, "hz": 440}, HANG_UP]}
    line = {"steps": [{"pause_ms": 300}, {"say": "I would like to talk about your appointment.", "voice": "flite"}]}
    called, _ = await pair.dial("+12025550109", phone, line)
    heard, said = recording(called)
    assert loud(said)[0] - loud(heard)[1] == pytest.approx(0.5, abs=0.3)
    assert loud(said)[0] > loud(heard)[1]


async def test_a_wait_that_is_in_vain_goes_on_at_its_time_out(pair: Pair) -> None:
    phone = {"steps": [{"wait_for": "speech", "timeout_ms": 300}, {"wait_dtmf": 1, "timeout_ms": 200}, HANG_UP]}
    called, _ = await pair.dial("+12025550110", phone)
    assert called["ended_at"] - called["answered_at"] == pytest.approx(0.5, abs=0.15)


async def test_calls_above_the_limit_are_refused_with_503(pair: Pair) -> None:
    await pair.phones.put_phones({"+12025550112": {"ring_ms": 0, "steps": [HANG_UP]}})
    await asyncio.sleep(1)  # the calls of earlier tests leave the sliding second
    await pair.phones.limit(2)
    try:
        ids = [await pair.callers.place_call("+12025550112") for _ in range(3)]
        over = [await pair.callers.wait_until_over(call_id) for call_id in ids]
    finally:
        await pair.phones.limit(0)
    assert [call["status"] for call in over] == [200, 200, 503]


async def test_a_mute_phone_sends_no_audio(pair: Pair) -> None:
    phone = {"mute": True, "steps": [{"play": pair.tone(500, 0.2)}, HANG_UP]}
    called, caller = await pair.dial("+12025550113", phone)
    assert called["rtp"]["sent"] == caller["rtp"]["received"] == 0
    assert called["rtp"]["received"] > 0


async def test_a_phone_hangs_up_when_told_and_at_its_longest_time(pair: Pair) -> None:
    await pair.phones.put_phones({"+12025550114": {"ring_ms": 0, "steps": []}})
    call_id = await pair.callers.place_call("+12025550114")
    await pair.phones.wait_for("answered", sip_call_id=call_id)
    ended = await pair.phones.hang_up(call_id)
    assert (ended["state"], ended["ended_by"]) == ("ended", "phone")
    called, _ = await pair.dial("+12025550114", {"max_ms": 200})
    assert called["ended_at"] - called["answered_at"] == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("codec", ["PCMU", "PCMA", "G722"])
async def test_a_phone_speaks_the_codec_it_has(pair: Pair, codec: str) -> None:
    called, caller = await pair.dial(
        "+12025550115", {"codecs": [codec], "steps": [{"play": pair.tone(500, 0.3)}, HANG_UP]}
    )
    assert called["codec"] == caller["codec"] == codec
    assert pitch(recording(caller)[0]) == pytest.approx(500, abs=8)


async def test_no_codec_in_common_is_488(pair: Pair) -> None:
    async with Probe(pair.sip, "+12025550116", formats="3 101") as probe:
        probe.invite()
        assert (await probe.final_response()).status == 488


async def test_an_answer_can_carry_headers(pair: Pair) -> None:
    await pair.phones.put_phones({"+12025550117": {"ring_ms": 0, "answer_sip_headers": {"X-Screened": "yes"}}})
    async with Probe(pair.sip, "+12025550117") as probe:
        probe.invite()
        answer = await probe.final_response()
        assert (answer.status, answer.headers["x-screened"]) == (200, "yes")
        probe.request("ACK", 1)
        await pair.phones.hang_up(probe.call_id)


async def test_a_transfer_is_agreed_to_and_witnessed(pair: Pair) -> None:
    await pair.phones.put_phones({"+12025550118": {"ring_ms": 0, "steps": []}})
    async with Probe(pair.sip, "+12025550118") as probe:
        probe.invite()
        await probe.final_response()
        probe.request("ACK", 1)
        probe.request("REFER", 2, "", "", "Refer-To: <tel:+12025550199>")
        assert (await probe.response()).status == 202
        async with asyncio.timeout(5):
            notify = (await probe.responses.get()).data
        assert notify.startswith(b"NOTIFY")
        assert b"SIP/2.0 180 Ringing" in notify
        event = await pair.phones.wait_for("transferred", sip_call_id=probe.call_id)
        assert event["refer_to"] == "tel:+12025550199"
        probe.request("BYE", 3)


async def test_an_anonymous_caller_shows_no_number(pair: Pair) -> None:
    await pair.phones.put_phones({"+12025550119": {"reject": 486}})
    call_id = await pair.callers.place_call("+12025550119", caller="")
    called = await pair.phones.wait_until_over(call_id)
    assert called["from"] == "anonymous"


async def test_a_misspelt_behaviour_is_refused_with_its_name(pair: Pair) -> None:
    with pytest.raises(CarrierError, match="rejekt"):
        await pair.phones.put_phones({"+12025550120": {"rejekt": 486}})
    with pytest.raises(CarrierError, match="exactly one"):
        await pair.phones.put_phones({"+12025550120": {"steps": [{"hangup": True, "pause_ms": 1}]}})


async def test_the_ledger_keeps_times_in_order_and_one_line_an_event(pair: Pair) -> None:
    lines = pair.phones.invites_path.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert len(events) > 10
    for event in events:
        assert abs(event["time"] - time.time()) < 600
        assert event["direction"] == "outbound"
