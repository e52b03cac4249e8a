"""Does the demo show what it promises, seen from the database, from the carrier and from the ears of the phones?"""

import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.agent import Record, Speech
from tests.database import end_servers, open_folder
from tests.stack.command_line import Command, Ran, nothing_left_of, run
from voiceagents.calls import history
from voiceagents.calls.states import Direction, Outcome
from voiceagents.db import Database
from voiceagents.demo import people
from voiceagents.postgres import EmbeddedPostgres

pytestmark = [pytest.mark.stack, pytest.mark.phones, pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Demo:
    """One demo that has run, and all it left."""

    ran: Ran
    data: Path
    calls: list[Record]
    welcome: int
    """HTTP status of the page behind the link that makes the owner's account."""

    def all_of(self, name: str) -> list[Record]:
        """The calls to this person, the newest first."""
        return [call for call in self.calls if call.row.contact_name == name]

    def of(self, name: str) -> Record:
        """The one call to this person."""
        (found,) = self.all_of(name)
        return found

    @property
    def answered(self) -> Record:
        """The call that came in."""
        (found,) = [call for call in self.calls if call.row.direction is Direction.INBOUND]
        return found

    def ledger(self) -> list[dict[str, Any]]:
        """Everything the carrier witnessed."""
        lines = (self.data / "lab" / "carrier" / "invites.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def dialled(self, number: str) -> list[dict[str, Any]]:
        return [line for line in self.ledger() if line["event"] == "invite" and number in (line["to"], line["from"])]

    def recording(self, number: str) -> Path:
        """What the carrier recorded of the one call with this number."""
        (invite,) = self.dialled(number)
        return self.data / "lab" / "carrier" / "recordings" / f"{invite['sip_call_id']}.wav"


@pytest_asyncio.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Demo]:
    """The demo, run once for all tests of this module."""
    data = open_folder() / "data"
    try:
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        # What is configured on the machine must not reach the demo.
        (elsewhere / ".env").write_text("OPENAI_API_KEY=sk-nobody\nLIVEKIT_URL=wss://nowhere.invalid\n")
        command = await Command.start("demo", "--go-on", folder=elsewhere, VOICEAGENTS_DATA=str(data))
        await command.says("A campaign of 60 contacts is running now", within=240)
        link = (await command.says("/welcome/")).split()[-1]
        async with httpx.AsyncClient() as browser:
            welcome = await browser.get(link)
        command.interrupt()
        ran = await command.over()
        await nothing_left_of(data)
        postgres = EmbeddedPostgres(data / "postgres")
        database = Database(postgres.start())
        async with database.transaction() as session:
            rows = await history.calls(session, history.Page(limit=100))
            # Without those of the longer campaign, which is cut short.
            names = {person.name for person in people.contacts()} | {people.caller().name, None}
            calls = [
                Record(row, await history.transcript(session, row.id), await history.timeline(session, row.id))
                for row in rows
                if row.contact_name in names
            ]
        await database.close()
        yield Demo(ran, data, calls, welcome.status_code)
    finally:
        end_servers(data.parent)


def plain(words: str) -> str:
    return " ".join(re.findall(r"[a-z]+", words.lower()))


def test_the_demo_succeeds_and_tells_the_whole_story(demo: Demo) -> None:
    assert demo.ran.status == 0, demo.ran
    assert "All 9 calls ended as expected" in demo.ran.out
    for said in ("What was said", "recordings", "voiceagents campaign why +12025550104", "agent.log"):
        assert said in demo.ran.out
    assert "Traceback" not in demo.ran.out + demo.ran.err


def test_it_ends_with_the_pages_open_and_a_campaign_running_until_ctrl_c(demo: Demo) -> None:
    assert demo.welcome == 200


def test_every_call_ended_as_its_person_behaves(demo: Demo) -> None:
    outcomes = {person.name: {call.row.outcome for call in demo.all_of(person.name)} for person in people.contacts()}
    assert {name: outcome for name, (outcome,) in outcomes.items()} == {
        "Ana Torres": Outcome.COMPLETED,
        "Ben Okafor": Outcome.NOT_INTERESTED,
        "Carla Weiss": Outcome.WRONG_NUMBER,
        "David Kim": Outcome.BUSY,
        "Elena Rossi": Outcome.NO_ANSWER,
        "Frank Moreau": Outcome.VOICEMAIL,
        "Grace Lin": Outcome.HUNG_UP,
        "Hugo Berg": Outcome.INVALID_NUMBER,
    }
    assert demo.answered.row.outcome is Outcome.COMPLETED
    assert demo.answered.row.assistant_id == people.ASSISTANT_ID
    assert len(demo.calls) == 10


def test_every_number_was_dialled_once_who_was_busy_once_more_and_the_invalid_one_never(demo: Demo) -> None:
    dialled = {contact.name: len(demo.dialled(contact.number)) for contact in people.contacts()}
    assert dialled.pop("Hugo Berg") == 0
    assert dialled.pop("David Kim") == 2
    second, first = demo.all_of("David Kim")
    assert (second.row.created_at - first.row.created_at).total_seconds() >= 10
    assert set(dialled.values()) == {1}, dialled
    assert len(demo.dialled(people.caller().number)) == 1


async def test_the_phones_heard_their_names_and_the_farewell_to_its_end(demo: Demo, speech: Speech) -> None:
    for name, first, last in (
        ("Ana Torres", "garden shop", "thank you for your time goodbye"),
        ("Ben Okafor", "garden shop", "goodbye"),
        ("Carla Weiss", "garden shop", "goodbye"),
    ):
        contact = next(contact for contact in people.contacts() if contact.name == name)
        heard = plain(await speech.heard(demo.recording(contact.number)))
        assert first in heard, heard
        assert heard.replace("good bye", "goodbye").endswith(last), heard
        assert name.split()[0].lower()[1:3] in heard, heard  # Ana may be written as Ona
        assert contact.variables["tool"].split()[-1][:5] in heard, heard


async def test_who_called_in_heard_the_answer_to_the_question(demo: Demo, speech: Speech) -> None:
    heard = plain(await speech.heard(demo.recording(people.caller().number)))
    assert "good morning" in heard, heard
    assert "monday to saturday" in heard, heard
    assert heard.replace("good bye", "goodbye").endswith("goodbye"), heard


def test_the_agents_log_has_the_lines_of_both_directions_and_the_demo_shows_them(demo: Demo) -> None:
    log = (demo.data / "agent.log").read_text()
    for line in (
        "🎯 DISPATCH_RECEIVED | count=1 | room=call-+1202555",
        "🔥 OUTBOUND_CALL_DETECTED | phone_number=+12025550101",
        "📞 OUTBOUND_CALL_START | phone_number=+12025550101 | trunk_id=ST_",
        "✅ OUTBOUND_CALL_CONNECTED | phone_number=+12025550101 | result=",
        "❌ OUTBOUND_CALL_FAILED | phone_number=+12025550104",
        "📞 INBOUND_CALL_DETECTED | phone_number=None",
        "SESSION_STARTED (INBOUND) | session_active=True",
    ):
        assert line in log
        assert line in demo.ran.out


async def test_the_history_stays_for_the_command_line(demo: Demo, tmp_path: Path) -> None:
    env = {"VOICEAGENTS_DATA": str(demo.data)}
    listed = await run("calls", "--json", folder=tmp_path, **env)
    assert {str(call.row.id) for call in demo.calls} <= {call["id"] for call in json.loads(listed.out)}, listed
    shown = await run("calls", "show", str(demo.of("Ana Torres").row.id)[:8], folder=tmp_path, **env)
    assert "Transcript" in shown.out, shown


async def test_the_contacts_were_a_campaign_that_is_over_and_can_say_why(demo: Demo, tmp_path: Path) -> None:
    env = {"VOICEAGENTS_DATA": str(demo.data)}
    listed = json.loads((await run("campaign", "list", "--json", folder=tmp_path, **env)).out)
    cancelled, campaign = sorted(listed, key=lambda campaign: campaign["state"])
    assert cancelled["state"] == "cancelled", "the longer one, when the demo ended"
    assert (campaign["state"], campaign["contacts"], campaign["done"]) == ("completed", 8, 8)
    assert "campaign of 8 contacts: 0 waiting, 0 calling, 8 done, 0 skipped" in demo.ran.out
    (story,) = json.loads((await run("campaign", "why", "+12025550104", "--json", folder=tmp_path, **env)).out)
    assert [decision["verdict"] for decision in story["decisions"]] == ["dial", "retry", "dial", "finish"]
