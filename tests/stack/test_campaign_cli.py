"""Campaigns as a person at a terminal runs them: on a real database, and once with a real engine, agent and phones."""

import asyncio
import csv
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.agent import Agent, new_number, until
from tests.stack.command_line import Command, Ran, run, surroundings
from voiceagents.cli.app import app

pytestmark = pytest.mark.stack

CONTACTS = "Mobile;First name;Tool\n202-555-0143;Ana;rake\n(202) 555-0144;Ben;=1+1\n12;Carl;x\n2025550143;Ana;rake\n"

Say = Callable[..., Ran]


@pytest.fixture
def say(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Types a command in a folder of its own, on a database of its own, with no LiveKit."""
    monkeypatch.chdir(tmp_path)
    environment = {
        "DATABASE_URL": database_url,
        "VOICEAGENTS_DATA": str(tmp_path / "data"),
        "LIVEKIT_URL": "",
        "SIP_TRUNK_ID": "",
    }
    (tmp_path / "contacts.csv").write_text(CONTACTS)

    def typed(*arguments: str, status: int = 0) -> Ran:
        result = CliRunner().invoke(app, list(arguments), env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        ran = Ran(result.exit_code, result.stdout, result.stderr)
        assert ran.status == status, ran
        return ran

    return typed


@pytest.fixture
def spring(say: Say) -> Say:
    """With a campaign "Spring" that has two contacts."""
    say("campaign", "create", "Spring", "--prompt", "Hello {name}", "--trunk", "ST_x", "--region", "US")
    say("campaign", "import", "Spring", "contacts.csv", status=1)
    return say


def test_a_first_campaign_is_led_from_step_to_step(say: Say) -> None:
    assert "campaign create" in say("campaign", "list").out
    created = say("campaign", "create", "Spring sale", "--prompt", "Hello {name}", "--region", "US")
    assert "voiceagents campaign import 'Spring sale' FILE" in created.out
    assert "09:00-20:00, by the contact's clock" in created.out
    refused = say("campaign", "start", "Spring sale", status=2)
    assert refused.err == (
        'voiceagents: "Spring sale" cannot start:\n'
        "  there are no contacts; import some with `voiceagents campaign import`\n"
        "  no trunk is set; give one with --trunk or SIP_TRUNK_ID\n"
    )
    say("campaign", "edit", "Spring sale", "--trunk", "ST_x")
    imported = say("campaign", "import", "Spring sale", "contacts.csv", status=1)
    assert "4 rows: 2 contacts added, 1 repeats in the file, 1 refused." in imported.out
    started = say("campaign", "start", "Spring sale")
    assert '"Spring sale" runs.' in started.out
    assert "voiceagents engine" in started.err
    assert "voiceagents agent" in started.err


def test_an_import_shows_how_it_understood_the_file_and_can_be_told_otherwise(spring: Say, tmp_path: Path) -> None:
    shown = spring("campaign", "import", "Spring", "contacts.csv", "--preview", status=1)
    assert re.search(r"Mobile +phone +\+12025550143", shown.out)
    assert "Nothing was imported" in shown.out
    told = spring("campaign", "import", "Spring", "contacts.csv", "--map", "gadget=Tool", "--preview", status=1)
    assert re.search(r"Tool +\{gadget\} +rake", told.out)
    assert "no column" in spring("campaign", "import", "Spring", "contacts.csv", "--map", "phone=Home", status=2).err
    assert "cannot be opened" in spring("campaign", "import", "Spring", "nowhere.csv", status=2).err
    assert spring("campaign", "import", "Autumn", "contacts.csv", status=2).err.startswith("voiceagents: There is no")


def test_refused_rows_are_in_a_file_that_can_be_mended_and_imported(spring: Say, tmp_path: Path) -> None:
    spring("campaign", "create", "b", "--region", "US")
    spring("campaign", "import", "b", "contacts.csv", "--refused", "refused.csv", status=1)
    (row,) = csv.DictReader((tmp_path / "refused.csv").read_text("utf-8-sig").splitlines())
    assert (row["refused: line"], row["Mobile"]) == ("4", "12")
    mended = (tmp_path / "refused.csv").read_text("utf-8-sig").replace(",12,", ",2025550145,")
    (tmp_path / "mended.csv").write_text(mended)
    assert "1 rows: 1 contacts added." in spring("campaign", "import", "b", "mended.csv").out


def test_all_or_nothing_adds_nobody_when_a_row_is_refused(say: Say) -> None:
    say("campaign", "create", "Spring", "--region", "US")
    report = say("campaign", "import", "Spring", "contacts.csv", "--all-or-nothing", status=1)
    assert "0 contacts added, 2 held back" in report.out
    assert json.loads(say("campaign", "list", "--json").out)[0]["contacts"] == 0


def test_an_export_is_a_table_with_results_that_no_spreadsheet_runs(spring: Say, tmp_path: Path) -> None:  # TC-017
    assert "2 contacts are in out.csv." in spring("campaign", "export", "Spring", "out.csv").out
    spring("campaign", "export", "Spring", "out.csv", status=2)
    spring("campaign", "export", "Spring", "out.csv", "--force")
    ana, ben = csv.DictReader((tmp_path / "out.csv").read_text("utf-8-sig").splitlines())
    assert (ana["phone"], ana["name"], ana["result: state"]) == ("'+12025550143", "Ana", "waiting")
    assert ben["Tool"] == "'=1+1"
    spring("campaign", "export", "Spring", "list.csv", "--contacts-only")
    spring("campaign", "create", "again")
    assert "2 rows: 2 contacts added." in spring("campaign", "import", "again", "list.csv").out


def test_the_life_of_a_campaign_from_the_keyboard(spring: Say) -> None:
    spring("campaign", "start", "spring")
    spring("campaign", "start", "spring")
    assert "paused" in spring("campaign", "pause", "Spring").out
    assert "is paused; only a campaign that is" in spring("campaign", "pause", "Spring", status=2).err
    assert json.loads(spring("campaign", "status", "Spring", "--json").out)["hold"]["words"] == "paused by a person"
    assert "running again" in spring("campaign", "resume", "Spring").out
    assert "draft with 2 contacts" in spring("campaign", "duplicate", "Spring", "Copy", "--contacts").out
    assert "draft with 0 contacts" in spring("campaign", "duplicate", "Spring", "Redial", "--outcome", "busy").out
    assert "is cancelled" in spring("campaign", "cancel", "Spring", "--hang-up").out
    assert "is archived" in spring("campaign", "archive", "Spring").out
    assert "Spring" not in spring("campaign", "list").out
    assert "Spring" in spring("campaign", "list", "--all").out
    watched = spring("campaign", "watch", "Spring")
    assert "archived: 2 contacts: 0 waiting, 0 calling, 0 done, 0 skipped, 2 cancelled" in watched.out


def test_an_edit_names_what_it_changed(spring: Say) -> None:
    changed = spring("campaign", "edit", "Spring", "--window", "mon-fri 10:00-16:00", "--concurrent", "none")
    assert "changed --concurrent, --window." in changed.out
    assert "mon-fri 10:00-16:00" in changed.out
    assert "unlimited calls at once" in changed.out
    assert "nothing has changed" in spring("campaign", "edit", "Spring", "--concurrent", "none").out
    assert "already" in spring("campaign", "create", "SPRING", status=2).err


def test_why_finds_a_person_by_any_form_of_the_number_and_by_id(spring: Say) -> None:
    told = spring("campaign", "why", "(202) 555-0143").out
    assert "+12025550143 (Ana) in Spring, which is draft" in told
    assert "the campaign was not started yet" in told
    (record,) = json.loads(spring("campaign", "why", "2025550143", "--json").out)
    assert (record["decisions"], record["now"]["rule"]) == ([], "campaign_is_running")
    contact_id = record["contact"]["id"]
    assert contact_id in spring("campaign", "why", contact_id).out
    spring("campaign", "duplicate", "Spring", "Copy", "--contacts")
    assert len(json.loads(spring("campaign", "why", "+12025550143", "--json").out)) == 2
    assert len(json.loads(spring("campaign", "why", "+12025550143", "--campaign", "Copy", "--json").out)) == 1
    assert len(json.loads(spring("campaign", "why", "Copy", "+12025550143", "--json").out)) == 1
    assert "needs quotes" in spring("campaign", "why", "202", "555", "0143", status=2).err
    for nobody in ("+12025550199", "deadbeef", "Ana", "12"):
        assert f'no contact "{nobody}"' in spring("campaign", "why", nobody, status=2).err


def test_the_do_not_call_list_from_the_keyboard(spring: Say, tmp_path: Path) -> None:
    assert "is on everybody's" in spring("dnc", "add", "202-555-0143", "--region", "US", "--reason", "by mail").out
    assert "already" in spring("dnc", "add", "+12025550143").out
    assert "by mail" in spring("dnc", "check", "+1 202 555 0143", status=1).out
    assert "on no do-not-call list" in spring("dnc", "check", "+12025550144").out
    spring("campaign", "start", "Spring")
    assert "on the do-not-call list (by mail)" in spring("campaign", "why", "+12025550143").out
    (tmp_path / "list.txt").write_text("+12025550144\n+12025550143\n12\n")
    brought = spring("dnc", "import", "list.txt", "--campaign", "Spring", status=1)
    assert (
        '3 rows: 2 numbers added to the campaign "Spring"\'s do-not-call list, 0 stood there, 1 refused.' in brought.out
    )
    assert "line 3: '12'" in brought.err
    entries = json.loads(spring("dnc", "list", "--json").out)
    assert len(entries) == 3
    assert "Spring" in spring("dnc", "list", "--campaign", "Spring").out
    spring("dnc", "remove", "+12025550143", "--reason", "a mistake")
    assert "is not on everybody's" in spring("dnc", "remove", "+12025550143", "--reason", "x", status=2).err
    assert "a mistake" in spring("dnc", "list", "--removed").out


def test_limits_from_the_keyboard(say: Say) -> None:
    assert "50 calls at once" in say("limits", "show").out
    say("limits", "set", "--concurrent", "20", "--kept-for-inbound", "2")
    say("limits", "trunk", "ST_x", "--concurrent", "none", "--cps", "2.5")
    say("limits", "trunk", "ST_x", "--cps", "3")
    shown = say("limits", "show").out
    assert "20 calls at once, 2 kept free" in shown
    assert re.search(r"ST_x +unlimited +0 +3", shown)


async def test_an_engine_waits_for_what_it_needs_and_ends_when_told(tmp_path: Path) -> None:
    nowhere = "postgresql://nobody:secret@127.0.0.1:1/nothing"
    environment = {"DATABASE_URL": nowhere, "VOICEAGENTS_DATA": str(tmp_path), "LIVEKIT_URL": "ws://127.0.0.1:1"}
    environment |= {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}
    engine = await Command.start("engine", folder=tmp_path, **environment)
    await asyncio.sleep(3)
    engine.interrupt()
    ended = await engine.over(within=20)
    assert ended.status == 0, ended
    assert ended.err.count("WAITING_FOR_DATABASE") == 1, ended
    assert "secret@" not in ended.err
    wrong = await run("engine", folder=tmp_path, **environment | {"DATABASE_URL": "mysql://x"})
    assert (wrong.status, "DATABASE_URL" in wrong.err) == (2, True), wrong


@asynccontextmanager
async def engine_of(agent: Agent, folder: Path) -> AsyncIterator[None]:
    engine = await Command.start("engine", folder=folder, **surroundings(agent))
    try:
        yield
    finally:
        engine.interrupt()
        ended = await engine.over(within=30)
    assert ended.status == 0, ended
    assert "ENGINE_STOPPED" in ended.err, ended


@pytest.mark.timeout(240)
async def test_a_campaign_from_list_to_results_with_real_calls(fresh_agent: Agent, tmp_path: Path) -> None:
    busy, nobody, talker, waiting = (new_number() for _ in range(4))
    talk = {"ring_ms": 200, "steps": [{"wait_for": "silence", "silence_ms": 60_000, "timeout_ms": 60_000}]}
    phones = {busy: {"reject": 486}, nobody: {"reject": 404}, talker: talk, waiting: {"reject": 486}}
    await fresh_agent.lab.carrier.put_phones(phones)
    (tmp_path / "list.csv").write_text("phone,name\n" + "".join(f"{number},P\n" for number in phones))
    around = surroundings(fresh_agent)

    async def typed(*arguments: str, status: int = 0) -> str:
        ran = await run(*arguments, folder=tmp_path, **around)
        assert ran.status == status, ran
        return ran.out

    await typed(
        "campaign", "create", "Spring", "--prompt", "Hello {name}.", "--window", "daily 00:00-24:00", "--cps", "5"
    )
    await typed("limits", "trunk", fresh_agent.lab.outbound_trunk_id, "--cps", "5")
    await typed("campaign", "import", "Spring", "list.csv")
    await typed("dnc", "add", waiting, "--reason", "asked by mail")
    async with engine_of(fresh_agent, tmp_path):
        watching = await Command.start("campaign", "watch", "Spring", folder=tmp_path, **around)
        await typed("campaign", "start", "Spring")

        async def talking() -> bool | None:
            now = json.loads(await typed("campaign", "status", "Spring", "--json"))
            states = [call["state"] for call in now["in_flight"] if call["number"] == talker]
            done = now["counts"]["outcomes"].get("busy") and now["counts"]["done"]
            return True if states == ["answered"] and done else None

        await until(talking, within=40, what="the call in which somebody talks")
        cancelled = await typed("campaign", "cancel", "Spring", "--hang-up")
        assert "1 calls were hung up." in cancelled
        watched = await watching.over(within=30)
    assert watched.status == 0, watched
    assert "cancelled: 4 contacts: 0 waiting, 0 calling," in watched.out.splitlines()[-1]
    await typed("campaign", "export", "Spring", "out.csv")
    rows = {
        row["phone"].lstrip("'"): row
        for row in csv.DictReader((tmp_path / "out.csv").read_text("utf-8-sig").splitlines())
    }
    results = {number: (row["result: state"], row["result: outcome"]) for number, row in rows.items()}
    assert results == {
        busy: ("cancelled", "busy"),
        nobody: ("done", "invalid_number"),
        talker: ("done", rows[talker]["result: outcome"]),
        waiting: ("skipped", ""),
    }
    assert "cancelled by a person" in rows[talker]["result: decision"]
    told = await typed("campaign", "why", busy)
    assert re.search(r"dial +no rule objects", told)
    assert re.search(r"retry +busy: attempt 1 of 4, again after 15m; next .* in America/", told)
    assert "asked by mail" in await typed("campaign", "why", waiting)
    assert len(fresh_agent.lab.carrier.invites(to=waiting)) == 0
    assert len(fresh_agent.lab.carrier.invites(to=busy)) == 1
