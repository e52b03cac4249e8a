"""Does the command line do on real servers what it says?"""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.agent import Agent, Speech, new_number, until
from tests.database import end_servers, open_folder
from tests.stack.command_line import Command, Ran, nothing_left_of, run, surroundings
from voiceagents.calls.states import Outcome
from voiceagents.lab import Lab

pytestmark = [pytest.mark.stack, pytest.mark.patient, pytest.mark.timeout(240)]

TALKS: Mapping[str, Any] = {
    "ring_ms": 500,
    "steps": [
        {"say": "Hello, this is Ana speaking.", "voice": "hibari"},
        {"wait_for": "silence", "silence_ms": 1200, "timeout_ms": 20000},
        {"say": "No thank you, I am not interested.", "voice": "flite"},
    ],
}
SCRIPT = "Hello {name}, this is the garden shop. Would you like to hear about our new rake?"


async def phone(lab: Lab, behaviour: Mapping[str, Any]) -> str:
    """A new number that behaves like this."""
    number = new_number()
    await lab.carrier.put_phones({number: behaviour})
    return number


def mended(ran: Ran, *words: str) -> None:
    """It ended with one message that names these, and with no traceback."""
    assert ran.status == 2, ran
    assert ran.err.startswith("voiceagents: "), ran
    assert "Traceback" not in ran.err, ran
    for word in words:
        assert word in ran.err, ran


@pytest.mark.phones
async def test_a_call_is_followed_until_its_end_and_told_afterwards(agent: Agent, lab: Lab, tmp_path: Path) -> None:
    number, env = await phone(lab, TALKS), surroundings(agent)
    ran = await run("call", number, "--name", "Ana", "--prompt", SCRIPT, folder=tmp_path, within=90, **env)
    assert ran.status == 0, ran
    for words in ("answered", "Ana: ", "agent: ", "garden shop", "not_interested: ", "Goodbye"):
        assert words in ran.out, ran
    call_id = ran.out.split()[1]

    listed = await run("calls", "--limit", "50", folder=tmp_path, **env)
    assert listed.status == 0, listed
    assert f"{call_id[:8]}" in listed.out, listed

    as_json = await run("calls", "--json", "--outcome", "not_interested", folder=tmp_path, **env)
    found = {row["id"]: row for row in json.loads(as_json.out)}
    assert found[call_id]["to_number"] == number
    assert found[call_id]["talk_seconds"] > 1

    shown = await run("calls", "show", call_id[:13], folder=tmp_path, **env)
    for words in ("Timeline", "ringing", "answered", "Transcript", "How fast we answered", "ended by", call_id):
        assert words in shown.out, shown
    story = json.loads((await run("calls", "show", call_id, "--json", folder=tmp_path, **env)).out)
    assert [line["what"] for line in story["timeline"]][-1] == "ended"
    assert {turn["speaker"] for turn in story["transcript"]} == {"agent", "person"}
    assert any("e2e_latency" in turn["latencies"] for turn in story["transcript"])
    assert len(lab.carrier.invites(to=number)) == 1


async def test_a_busy_line_is_exit_status_one(agent: Agent, lab: Lab, tmp_path: Path) -> None:
    number = await phone(lab, {"reject": 486})
    ran = await run("call", number, folder=tmp_path, **surroundings(agent))
    assert ran.status == 1, ran
    assert "busy: the line was busy (486 Busy Here)" in ran.out


async def test_without_waiting_it_says_how_to_follow_the_call(agent: Agent, lab: Lab, tmp_path: Path) -> None:
    number = await phone(lab, {"reject": 603})
    ran = await run("call", number, "--no-wait", folder=tmp_path, **surroundings(agent))
    assert ran.status == 0, ran
    assert "voiceagents calls show" in ran.out
    await agent.recorded(to_number=number)


async def test_ctrl_c_leaves_the_call_alone(agent: Agent, lab: Lab, tmp_path: Path) -> None:
    number = await phone(lab, {"ring_ms": 4000, "steps": [{"pause_ms": 300}, {"hangup": True}]})
    command = await Command.start("call", number, folder=tmp_path, **surroundings(agent))
    await command.says("ringing")
    command.interrupt()
    ran = await command.over()
    assert ran.status == 130, ran
    assert "The call goes on without you" in ran.err
    call = await agent.recorded(to_number=number)
    assert call.row.answered_at is not None, "the call was not left alone"


async def test_ctrl_c_hangs_up_when_it_is_asked_to(agent: Agent, lab: Lab, tmp_path: Path) -> None:
    number = await phone(lab, {"no_answer": True})
    command = await Command.start("call", number, "--hang-up-on-interrupt", folder=tmp_path, **surroundings(agent))
    await command.says("ringing")
    command.interrupt()
    await lab.carrier.wait_for("cancelled", within=10, to=number)
    ran = await command.over()
    assert ran.status == 130, ran
    assert "Hanging up" in ran.err
    assert (await agent.recorded(to_number=number)).row.outcome is Outcome.CANCELLED


async def test_what_cannot_work_is_said_before_anything_is_dialled(
    agent: Agent, lab: Lab, database_url: str, tmp_path: Path
) -> None:
    number = await phone(lab, {"reject": 486})
    cases: list[tuple[list[str], dict[str, str], list[str]]] = [
        (["--trunk", "ST_nothing"], {}, ["ST_nothing", lab.outbound_trunk_id]),
        (["--assistant", "nobody"], {}, ["no assistant 'nobody'"]),
        ([], {"LIVEKIT_API_SECRET": "w" * 40}, ["refuses the key", "LIVEKIT_API_SECRET"]),
        ([], {"LIVEKIT_URL": "ws://127.0.0.1:9"}, ["ws://127.0.0.1:9 cannot be reached", "LIVEKIT_URL"]),
        ([], {"DATABASE_URL": "postgresql://me:hidden@127.0.0.1:9/none"}, ["127.0.0.1", "DATABASE_URL"]),
        ([], {"DATABASE_URL": database_url}, ["No agent runs", "voiceagents agent"]),
        (["--prompt", "x" * 600_000], {}, ["metadata", "shorten"]),
    ]

    async def refused(arguments: list[str], changes: dict[str, str], words: list[str]) -> None:
        if "--prompt" in arguments:  # longer than an argument may be
            (tmp_path / "long.txt").write_text(arguments[1])
            arguments = ["--prompt-file", "long.txt"]
        ran = await run("call", number, *arguments, folder=tmp_path, **surroundings(agent, **changes))
        mended(ran, *words)
        assert "hidden" not in ran.err, "a password was shown"

    await asyncio.gather(*(refused(*case) for case in cases))
    assert lab.carrier.invites(to=number) == []


@pytest.mark.phones
async def test_an_assistant_of_the_command_line_answers_the_number_it_was_given(
    agent: Agent, lab: Lab, speech: Speech, tmp_path: Path
) -> None:
    did, env = new_number(), surroundings(agent)
    (tmp_path / "prompt.txt").write_text("You answer the phone of a flower shop. It opens at seven.")
    added = await run(
        "assistants", "add", "The Florist", "--prompt-file", "prompt.txt",
        "--first-message", "Flower shop, good morning. How can I help you?", folder=tmp_path, **env,
    )  # fmt: skip
    assert added.status == 0, added
    mended(await run("assistants", "add", "The Florist", folder=tmp_path, **env), "--replace")
    mended(await run("numbers", "add", did, "--assistant", "the-florst", folder=tmp_path, **env), "the-florist")
    assert (await run("numbers", "add", did, "--assistant", "the-florist", folder=tmp_path, **env)).status == 0
    assert did in (await run("numbers", "list", folder=tmp_path, **env)).out
    assert did in (await run("assistants", "show", "the-florist", folder=tmp_path, **env)).out

    await lab.add_inbound_number(did, agent_name=agent.name)
    steps = [{"wait_for": "silence", "silence_ms": 1200, "timeout_ms": 15000}, {"hangup": True}]
    sip_call_id = await lab.carrier.place_call(did, {"steps": steps})
    over = await lab.carrier.wait_until_over(sip_call_id)
    assert "flower shop" in (await speech.heard(over["recording"])).lower()
    call = await agent.recorded(to_number=did)
    assert call.row.assistant_id == "the-florist"

    removed = await run("assistants", "remove", "the-florist", folder=tmp_path, **env)
    assert f"Nobody answers {did} now" in removed.out
    assert (await run("numbers", "remove", did, folder=tmp_path, **env)).status == 0
    mended(await run("numbers", "remove", did, folder=tmp_path, **env), did)


async def test_the_doctor_finds_a_whole_stack_whole_and_dials_nobody(agent: Agent, lab: Lab, tmp_path: Path) -> None:
    did = new_number()
    await lab.add_inbound_number(did, agent_name=agent.name)
    env = surroundings(agent, VOICEAGENTS_DATA=str(tmp_path / "data"))
    await run("assistants", "add", "Doctor's", folder=tmp_path, **env)
    await run("numbers", "add", did, "--assistant", "doctors", folder=tmp_path, **env)
    dialled, before = lab.carrier.invites(), await agent.rooms()
    ran = await run("doctor", folder=tmp_path, within=90, **env)
    await run("assistants", "remove", "doctors", folder=tmp_path, **env)
    await run("numbers", "remove", did, folder=tmp_path, **env)
    assert ran.status == 0, ran
    assert "✗" not in ran.out, ran
    for found in ("database", "LiveKit", "version 1.", "clock", "agent's name", "SIP service", "outbound trunk", did):
        assert found in ran.out, ran
    assert "spoke and understood" in ran.out
    assert not [invite for invite in lab.carrier.invites() if invite not in dialled and "0000" in invite["to"]]
    assert not [room for room in await agent.rooms("doctor-") if room not in before], "a room was left behind"


async def test_the_doctor_names_what_is_broken_and_the_mend(fresh_lab: Lab, database_url: str, tmp_path: Path) -> None:
    await fresh_lab.kill("gateway")
    env = {**fresh_lab.env(), "DATABASE_URL": database_url, "VOICEAGENTS_DATA": str(tmp_path / "data")}
    ran = await run("doctor", folder=tmp_path, within=90, **(env | {"SIP_TRUNK_ID": "ST_nothing"}))
    assert ran.status == 1, ran
    for words in (
        "✗ agent", "→ start one: voiceagents agent", "✗ agent's name", "✗ SIP service", "none answers LiveKit",
        "✗ outbound trunk", "ST_nothing does not exist", fresh_lab.outbound_trunk_id, "✓ LiveKit", "✓ database",
    ):  # fmt: skip
        assert words in ran.out, ran
    down = await run("doctor", folder=tmp_path, within=90, **(env | {"LIVEKIT_URL": "ws://127.0.0.1:9"}))
    assert down.status == 1, down
    assert "✗ LiveKit" in down.out
    assert "Traceback" not in down.out + down.err
    key = await run("doctor", "--passive", folder=tmp_path, within=90, **(env | {"LIVEKIT_API_KEY": "APIwrong"}))
    assert "refuses the key APIwrong" in key.out, key


async def test_a_lab_is_started_used_and_ended_by_hand(tmp_path: Path) -> None:
    folder = tmp_path / "my lab"
    place = ("--folder", str(folder))
    started = await run("lab", "up", *place, folder=tmp_path)
    try:
        assert started.status == 0, started
        environment = (await run("lab", "env", *place, folder=tmp_path)).out
        for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "SIP_TRUNK_ID"):
            assert f"export {name}=" in environment
        status = await run("lab", "status", *place, folder=tmp_path)
        assert status.status == 0, status
        assert status.out.count(" runs ") == 4, status
        again = await run("lab", "up", *place, folder=tmp_path)
        assert again.status == 0, again
        assert environment == (await run("lab", "env", *place, folder=tmp_path)).out, "a running lab was changed"
    finally:
        ended = await run("lab", "down", *place, folder=tmp_path)
    assert ended.status == 0, ended
    assert (await run("lab", "status", *place, folder=tmp_path)).status == 1
    await nothing_left_of(folder)
    anew = await run("lab", "up", *place, folder=tmp_path)
    assert anew.status == 0, anew
    await run("lab", "down", *place, folder=tmp_path)


async def test_one_command_starts_all_and_ctrl_c_ends_all(speech: Speech, tmp_path: Path) -> None:
    data = open_folder() / "data"
    env = {"VOICEAGENTS_DATA": str(data), "WEB_PORT": "0", **speech.environment}
    try:
        up = await Command.start("up", folder=tmp_path, **env)

        async def whole() -> Ran | None:
            found = await run("doctor", folder=tmp_path, within=90, **env)
            return found if "✓ agent's name" in found.out else None

        found = await until(whole, within=90, what="a whole stack")
        assert "✗" not in found.out, found
        # No environment but the data folder: the lab in it is found.
        called = await run("call", "+12025550104", folder=tmp_path, **env)
        assert called.status == 1, called
        assert "busy" in called.out
        up.interrupt()
        ran = await up.over()
        assert ran.status == 0, ran
        await nothing_left_of(data)
        history = await run("calls", "--json", folder=tmp_path, **env)
        assert [row["outcome"] for row in json.loads(history.out)] == [Outcome.BUSY.value]
        ended = await run("down", folder=tmp_path, **env)
        assert "the database" in ended.out, ended
        await nothing_left_of(data)
    finally:
        end_servers(data.parent)
