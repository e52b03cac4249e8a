"""Do phones that others have written get along with the gateway? SIPp and baresip each take a call and place one."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from livekit import api

from tests.stack.gateway_desk import PHONE_NUMBER, TRUNK_NUMBER, Desk, new_number, new_room, open_desk, wait
from tests.stack.phone_audio import share_of, tone
from tests.stack.room_observer import RATE, RoomObserver
from voiceagents import voices
from voiceagents.lab import Lab
from voiceagents.processes import free_ports

pytestmark = pytest.mark.stack

MODULES = Path("/usr/lib/baresip/modules")
SINE_HZ = 440
UDP, TCP = api.SIPTransport.SIP_TRANSPORT_UDP, api.SIPTransport.SIP_TRANSPORT_TCP

needs_sipp = pytest.mark.skipif(not shutil.which("sipp"), reason="sipp is not installed (Debian: sip-tester)")
needs_baresip = pytest.mark.skipif(not shutil.which("baresip"), reason="baresip is not installed")


@pytest.fixture
async def desk(lab: Lab) -> AsyncIterator[Desk]:
    async with open_desk(lab) as opened:
        yield opened


async def dial(desk: Desk, port: int, room: str, transport: api.SIPTransport = UDP) -> None:
    """Call a phone at a port, and return when it has answered."""
    trunk = api.SIPOutboundTrunkInfo(
        name="other phone", address=f"127.0.0.1:{port}", numbers=[TRUNK_NUMBER], transport=transport
    )
    created = await desk.livekit.sip.create_outbound_trunk(api.CreateSIPOutboundTrunkRequest(trunk=trunk))
    await asyncio.wait_for(desk.dial(room, sip_trunk_id=created.sip_trunk_id), 10)


async def hears_itself(observer: RoomObserver) -> None:
    """What the agent says comes back from a phone that echoes."""
    start = await observer.say(tone(900, 2.0, RATE))
    loud = await observer.sound(lambda sound: sound.at > start and np.abs(sound.pcm).max() > 3000)
    await wait(0.3)
    assert share_of(900, observer.heard(loud.at + 0.2)[: RATE // 2], RATE) > 0.8


@asynccontextmanager
async def program(folder: Path, *command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that runs until it ends by itself or the test is over. Its output is in `folder/output`."""
    with (folder / "output").open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


# --- SIPp ---


def sipp(*arguments: str, port: int, media: int) -> tuple[str, ...]:
    here = ("-i", "127.0.0.1", "-p", str(port), "-mi", "127.0.0.1", "-mp", str(media), "-rtp_echo")
    return "sipp", *arguments, *here, "-m", "1", "-timeout", "30", "-timeout_error", "-nostdin"


@needs_sipp
@pytest.mark.parametrize(("mode", "transport"), [("u1", UDP), ("t1", TCP)], ids=["udp", "tcp"])
async def test_sipp_takes_a_call_and_echoes(desk: Desk, tmp_path: Path, mode: str, transport: api.SIPTransport) -> None:
    port, media = free_ports(2)
    room = new_room()
    async with program(tmp_path, *sipp("-sn", "uas", "-t", mode, port=port, media=media)) as phone:
        async with RoomObserver(desk.lab, room) as observer:
            await dial(desk, port, room, transport)
            await observer.track(PHONE_NUMBER)
            await hears_itself(observer)
        await desk.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        assert await asyncio.wait_for(phone.wait(), 10) == 0, (tmp_path / "output").read_text()


@needs_sipp
@pytest.mark.parametrize("mode", ["u1", "t1"], ids=["udp", "tcp"])
async def test_sipp_places_a_call_and_hangs_up(desk: Desk, tmp_path: Path, mode: str) -> None:
    port, media = free_ports(2)
    did = new_number()
    await desk.inbound(did)
    target = f"{desk.gateway[0]}:{desk.gateway[1]}"
    command = sipp("-sn", "uac", "-t", mode, "-s", did, "-d", "4000", target, port=port, media=media)
    async with program(tmp_path, *command) as phone:
        room = await desk.room_of(f"did-{did}_")
        async with RoomObserver(desk.lab, room.name) as observer:
            await observer.present("sip_sipp", "active")
            await observer.track("sip_sipp")
            await hears_itself(observer)
            left = await observer.left("sip_sipp", within=8)
            assert observer.statuses("sip_sipp")[-1] == "hangup"
            assert left.detail == 1
        assert await asyncio.wait_for(phone.wait(), 10) == 0, (tmp_path / "output").read_text()


# --- baresip ---


def baresip(folder: Path, port: int, codec: str, *commands: str) -> tuple[str, ...]:
    """A baresip that answers by itself and plays a sine."""
    rate = int(codec.split("/")[1])
    voices.write_wav(folder / "sine.wav", tone(SINE_HZ, 30, rate), rate)
    config = [
        f"sip_listen 127.0.0.1:{port}",
        "net_interface 127.0.0.1",
        f"audio_source aufile,{folder / 'sine.wav'}",
        f"module_path {MODULES}",
        *(f"module {name}.so" for name in ("g711", "g722", "aufile")),
        "module_tmp account.so",
        "module_app menu.so",
    ]
    (folder / "config").write_text("\n".join(config) + "\n")
    account = f"<sip:{PHONE_NUMBER}@127.0.0.1;transport=udp>;regint=0;answermode=auto;audio_codecs={codec}"
    (folder / "accounts").write_text(account + "\n")
    return "baresip", "-4", "-f", str(folder), *(part for command in commands for part in ("-e", command))


async def hears_the_sine(observer: RoomObserver, identity: str) -> None:
    await observer.track(identity)
    loud = await observer.sound(lambda sound: np.abs(sound.pcm).max() > 1000, within=8)
    await wait(1.5)
    assert share_of(SINE_HZ, observer.heard(loud.at + 0.3)[: RATE // 2], RATE) > 0.8


@needs_baresip
@pytest.mark.parametrize("codec", ["PCMU/8000/1", "PCMA/8000/1", "G722/16000/1"])
async def test_baresip_takes_a_call(desk: Desk, tmp_path: Path, codec: str) -> None:
    (port,) = free_ports(1)
    room = new_room()
    async with program(tmp_path, *baresip(tmp_path, port, codec)), RoomObserver(desk.lab, room) as observer:
        await started(tmp_path)
        await dial(desk, port, room)
        await hears_the_sine(observer, PHONE_NUMBER)
        await said(tmp_path, "incoming rtp for 'audio' established")
        await desk.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        await said(tmp_path, "terminated")


@needs_baresip
async def test_baresip_places_a_call(desk: Desk, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    did = new_number()
    await desk.inbound(did)
    uri = f"sip:{did}@{desk.gateway[0]}:{desk.gateway[1]}"
    async with program(tmp_path, *baresip(tmp_path, port, "PCMU/8000/1", f"/dial {uri}")):
        room = await desk.room_of(f"did-{did}_")
        async with RoomObserver(desk.lab, room.name) as observer:
            await observer.present(f"sip_{PHONE_NUMBER}", "active")
            await hears_the_sine(observer, f"sip_{PHONE_NUMBER}")
            await desk.livekit.room.delete_room(api.DeleteRoomRequest(room=room.name))
        await said(tmp_path, "terminated")


async def said(folder: Path, words: str, within: float = 8.0) -> None:
    """Return when the program has written these words."""
    async with asyncio.timeout(within):
        while True:
            if words in (folder / "output").read_text(errors="replace"):
                return
            await asyncio.sleep(0.05)


async def started(folder: Path) -> None:
    await said(folder, "baresip is ready")
