"""Does a lab start whole, stand beside others, and leave nothing behind, however it ends?"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from livekit import api

from tests.agent import until
from voiceagents import lab as labs
from voiceagents import voices
from voiceagents.carrier import CarrierError, read_scenario
from voiceagents.lab import Lab, LabError
from voiceagents.processes import Process

pytestmark = pytest.mark.stack

NAMES = {"redis-server", "livekit-server", "gateway", "carrier"}


def taken(ports: Iterable[int]) -> list[int]:
    """The ports that somebody listens on, by TCP or UDP."""
    found: list[int] = []
    for port in ports:
        with contextlib.ExitStack() as sockets:
            try:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    bound = sockets.enter_context(socket.socket(socket.AF_INET, kind))
                    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a closed connection is not a server
                    bound.bind(("127.0.0.1", port))
            except OSError:
                found.append(port)
    return found


async def dial(lab: Lab, number: str, *, room: str) -> api.SIPParticipantInfo:
    ringing = Duration()
    ringing.FromTimedelta(timedelta(seconds=10))
    async with lab.livekit() as livekit:
        return await livekit.sip.create_sip_participant(
            api.CreateSIPParticipantRequest(
                sip_trunk_id=lab.outbound_trunk_id,
                sip_call_to=number,
                room_name=room,
                participant_identity=number,
                wait_until_answered=True,
                ringing_timeout=ringing,
            ),
            timeout=15,
        )


async def test_a_call_goes_through_livekit_to_a_phone(lab: Lab) -> None:
    number = "+12025550150"
    await lab.carrier.put_phones({number: {"ring_ms": 50, "steps": [{"say": "Hello?"}, {"hangup": True}]}})
    participant = await dial(lab, number, room="test-lab-outbound")
    assert participant.participant_identity == number
    invite = await lab.carrier.wait_for("invite", to=number)
    assert invite["from"] == labs.OUTBOUND_NUMBER
    call = await lab.carrier.wait_until_over(invite["sip_call_id"])
    assert (call["state"], call["ended_by"]) == ("ended", "phone")


async def test_a_busy_phone_is_an_error_with_its_sip_status(lab: Lab) -> None:
    await lab.carrier.put_phones({"+12025550151": {"ring_ms": 50, "reject": 486}})
    with pytest.raises(api.SipCallError) as caught:
        await dial(lab, "+12025550151", room="test-lab-busy")
    assert caught.value.sip_status_code == 486


async def test_a_call_to_a_did_opens_a_room_with_the_agent_dispatched(lab: Lab) -> None:
    inbound = await lab.add_inbound_number("+15550177701", agent_name="test-lab-agent")
    assert lab.inbound_numbers["+15550177701"] == inbound
    call_id = await lab.carrier.place_call("+15550177701", caller="+12025550152")
    await lab.carrier.wait_for("ringing", sip_call_id=call_id)
    async with lab.livekit() as livekit:

        async def dispatched() -> list[api.AgentDispatch] | None:  # it may ring a moment before the room is there
            rooms = await livekit.room.list_rooms(api.ListRoomsRequest())
            names = [room.name for room in rooms.rooms if room.name.startswith("did-+15550177701")]
            return await livekit.agent_dispatch.list_dispatch(names[0]) or None if names else None

        dispatches = await until(dispatched, within=20, what="a room with a dispatch")
    assert [dispatch.agent_name for dispatch in dispatches] == ["test-lab-agent"]
    assert (await lab.carrier.hang_up(call_id))["state"] == "cancelled"


async def test_two_labs_run_side_by_side(lab: Lab, fresh_lab: Lab) -> None:
    assert not set(lab.ports.values()) & set(fresh_lab.ports.values())
    assert lab.api_secret != fresh_lab.api_secret
    await fresh_lab.carrier.put_phones({"+12025550153": {"ring_ms": 0, "steps": [{"hangup": True}]}})
    await dial(fresh_lab, "+12025550153", room="test-lab-other")
    assert len(fresh_lab.carrier.invites(to="+12025550153")) == 1
    assert lab.carrier.invites(to="+12025550153") == []


async def test_a_stopped_lab_leaves_no_process_and_no_port() -> None:
    async with Lab() as running:
        processes, ports, folder = dict(running.processes), dict(running.ports), running.folder
        assert processes.keys() == NAMES
        assert all(process.alive() for process in processes.values())
    assert not any(process.alive() for process in processes.values())
    assert taken(ports.values()) == []
    assert not folder.exists()


async def test_a_killed_process_is_gone_and_comes_back_on_its_port(fresh_lab: Lab) -> None:
    for name in ("gateway", "carrier", "livekit-server"):
        before = fresh_lab.processes[name]
        await fresh_lab.kill(name)
        assert not before.alive()
        assert not fresh_lab.running()
        await fresh_lab.restart(name)
        assert fresh_lab.running()
        assert fresh_lab.processes[name].pid != before.pid
    await fresh_lab.carrier.put_phones({"+12025550154": {"ring_ms": 0, "steps": [{"hangup": True}]}})
    await dial(fresh_lab, "+12025550154", room="test-lab-again")


async def test_trunks_outlive_a_crash_of_redis(fresh_lab: Lab) -> None:
    await fresh_lab.add_inbound_number("+15550177702", agent_name="ai")
    await asyncio.sleep(1.1)  # redis writes its log to disk every second
    await fresh_lab.kill("redis-server")
    await fresh_lab.restart("redis-server")
    async with fresh_lab.livekit() as livekit:
        trunks = await livekit.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())
    assert [trunk.sip_trunk_id for trunk in trunks.items] == [fresh_lab.outbound_trunk_id]


async def test_a_lab_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from voiceagents.lab import Lab\n"
        "async def main():\n"
        "    async with Lab(sys.argv[1]):\n"
        "        print('up', flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path / "lab"), stdout=subprocess.PIPE
    )
    assert starter.stdout is not None
    assert await asyncio.wait_for(starter.stdout.readline(), 20) == b"up\n"
    remembered = Lab.remembered(tmp_path / "lab")
    assert remembered is not None
    assert remembered.running()
    starter.kill()
    await starter.wait()
    for process in remembered.processes.values():
        assert await asyncio.to_thread(process.wait, 10), f"{process.name} has stayed"
    assert taken(remembered.ports.values()) == []


def test_up_outlives_its_program_and_down_ends_it(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    script = f"from voiceagents import lab; print(lab.up({str(folder)!r}).livekit_url)"
    printed = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)
    try:
        remembered = Lab.remembered(folder)
        assert remembered is not None
        found = labs.status(folder)
        assert found["running"]
        assert found["livekit_url"] == printed.stdout.strip()
        assert found["processes"].keys() == NAMES
        assert stat.S_IMODE((folder / labs.STATE_FILE).stat().st_mode) == 0o600
        assert labs.up(folder).livekit_url == found["livekit_url"], "up again is the same lab"
    finally:
        assert labs.down(folder)
    assert not any(process.alive() for process in remembered.processes.values())
    assert taken(remembered.ports.values()) == []
    assert labs.status(folder) == {"running": False, "livekit_url": None, "processes": {}}
    assert not labs.down(folder)


def test_two_programs_that_start_the_same_lab_share_it(tmp_path: Path) -> None:
    script = f"from voiceagents import lab; print(lab.up({str(tmp_path)!r}).livekit_url)"
    both = [subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        first, second = (starter.communicate(timeout=30)[0] for starter in both)
        assert first == second == f"{labs.status(tmp_path)['livekit_url']}\n"
    finally:
        labs.down(tmp_path)


def test_up_mends_a_lab_that_has_lost_a_process(tmp_path: Path) -> None:
    first = labs.up(tmp_path)
    try:
        os.kill(first.processes["gateway"].pid, signal.SIGKILL)
        os.waitid(os.P_PID, first.processes["gateway"].pid, os.WEXITED | os.WNOWAIT)
        assert not labs.status(tmp_path)["running"]
        assert labs.up(tmp_path).running()
    finally:
        labs.down(tmp_path)


def test_down_never_ends_a_process_that_only_has_the_same_pid(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as bystander:
        Process("gateway", bystander.pid, started=1, log=tmp_path / "log").stop(1)
        assert bystander.poll() is None
        bystander.communicate(b"\n", timeout=10)
        assert bystander.returncode == 0


async def test_a_program_that_is_not_built_is_named_with_the_way_to_build_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEAGENTS_LAB_BIN", str(tmp_path))
    with pytest.raises(LabError, match="make lab"):
        await Lab(tmp_path / "lab").start()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="apt-get install redis-server"):
        labs.program("redis-server")


async def test_a_scenario_file_finds_its_recordings_beside_it(tmp_path: Path) -> None:
    voices.write_wav(tmp_path / "beep.wav", np.full(800, 9000, np.int16), 8000)
    phone = {"ring_ms": 0, "steps": [{"play": "beep.wav"}, {"hangup": True}]}
    (tmp_path / "scenario.json").write_text(json.dumps({"phones": {"+12025550156": phone}}))
    async with Lab(tmp_path / "lab", scenario=read_scenario(tmp_path / "scenario.json")) as lab:
        await dial(lab, "+12025550156", room="test-lab-scenario")
        over = await lab.carrier.wait_for("ended", to="+12025550156")
    assert over["by"] == "phone"
    (tmp_path / "scenario.json").write_text("{")
    with pytest.raises(CarrierError, match=r"scenario\.json"):
        read_scenario(tmp_path / "scenario.json")


async def test_a_process_that_cannot_start_shows_the_end_of_its_log(tmp_path: Path) -> None:
    phones = {"phones": {"+12025550155": {"steps": [{"play": "/no/such/file.wav"}]}}}
    with pytest.raises(LabError, match=r"carrier ended at its start(.|\n)*no/such/file.wav"):
        await Lab(tmp_path, scenario=phones).start()
    assert labs.status(tmp_path)["processes"] == {}
