"""What a person sees of `campaign`, `dnc` and `limits` without any server: help, errors, and how things are drawn."""

import os
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console
from typer.testing import CliRunner

from voiceagents.campaigns.forecast import Forecast
from voiceagents.campaigns.lifecycle import Progress
from voiceagents.campaigns.models import Campaign, Contact, DecisionRecord
from voiceagents.campaigns.rules import Decision
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict
from voiceagents.campaigns.status import Hold, Status
from voiceagents.campaigns.why import Story
from voiceagents.campaigns.zones import ContactZones, ZoneSource
from voiceagents.cli import campaign_contacts, campaign_views, campaign_why
from voiceagents.cli.app import app
from voiceagents.doctor.agent import judged_engines
from voiceagents.doctor.findings import State

pytestmark = pytest.mark.unit

COMMANDS = [
    "engine", "campaign", "campaign create", "campaign edit", "campaign import", "campaign export", "campaign start",
    "campaign pause", "campaign resume", "campaign cancel", "campaign archive", "campaign duplicate", "campaign list",
    "campaign status", "campaign watch", "campaign why", "dnc", "dnc add", "dnc remove", "dnc import", "dnc check",
    "dnc list", "limits", "limits show", "limits set", "limits trunk",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("LIVEKIT_", "OPENAI_", "SIP_", "LK_", "DATABASE_URL", "VOICEAGENTS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("VOICEAGENTS_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def drawn(renderable: object) -> str:
    console = Console(width=160, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    status, out, _ = run(*command.split(), "--help")
    assert status == 0
    assert re.search(r"Usage: .*" + command.split()[-1], out)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["campaign", "create", "x", "--window", "mon 25:00-26:00"], "--window: mon"),
        (["campaign", "create", "x", "--priority", "99"], "--priority: "),
        (["campaign", "create", "x", "--cps", "fast"], "--cps: "),
        (["campaign", "create", "x", "--gap", "5"], "--gap: "),
        (["campaign", "create", "x", "--region", "Atlantis"], "--region: "),
        (["campaign", "create", "x", "--time-zone", "CET+1"], "--time-zone: "),
        (["campaign", "create", "x", "--holidays", "Narnia"], "--holidays: "),
        (["campaign", "create", "x", "--blackout", "xmas"], "--blackout: "),
        (["campaign", "create", "x", "--start", "soon"], "--start: "),
        (["campaign", "create", "x", "--retry", "{oops"], "--retry: "),
        (["campaign", "create", "x", "--retry", "@nowhere.json"], "--retry @nowhere.json cannot be read"),
        (["campaign", "create", ""], "NAME: "),
        (["campaign", "create", "x", "--prompt", "a", "--prompt-file", "b"], "give one of them"),
        (["campaign", "create", "x", "--prompt-file", "nowhere.txt"], "nowhere.txt cannot be read"),
        (["campaign", "edit", "x"], "Nothing to change was given"),
        (["campaign", "import", "x", "f.csv", "--map", "Mobile"], "write it as WHAT=COLUMN"),
        (["campaign", "duplicate", "x", "y", "--outcome", " , "], "names no outcome"),
        (["dnc", "add", "hello"], "characters that no telephone number has"),
        (["dnc", "add", "2025550143"], "no country code"),
        (["dnc", "check", "12"], "no country code"),
        (["dnc", "remove", "+12025550143", "--reason", " "], "must say why"),
        (["limits", "set"], "Nothing to set"),
        (["limits", "set", "--concurrent", "-3"], "--concurrent -3"),
        (["limits", "trunk", "ST_x"], "Nothing to set"),
        (["limits", "trunk", "ST_x", "--cps", "0"], "--cps 0"),
        (["limits", "trunk", "+12025550143", "--cps", "1"], "a trunk id looks like"),
        (["engine"], "LIVEKIT_URL"),
    ],
)
def test_a_wrong_word_is_named_with_its_mend(
    arguments: list[str], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    status, out, err = run(*arguments)
    assert status == 2
    assert words in err + caplog.text
    assert out == ""
    assert "Traceback" not in err


def test_all_wrong_words_are_named_at_once() -> None:
    _, _, err = run("campaign", "create", "x", "--priority", "99", "--gap", "5")
    assert "--priority" in err
    assert "--gap" in err


def test_an_existing_file_is_not_written_over(tmp_path: Path) -> None:
    (tmp_path / "out.csv").write_text("mine")
    status, _, err = run("campaign", "export", "x", "out.csv")
    assert (status, "--force" in err) == (2, True)
    assert (tmp_path / "out.csv").read_text() == "mine"


def test_columns_are_named_by_what_they_are() -> None:
    assert campaign_contacts.changes_of(["phone=Mobile", "name=Full name", "tool=A=B"]) == {
        "Mobile": "phone",
        "Full name": "name",
        "A=B": "tool",
    }


def status(**fields: Any) -> Status:
    campaign = Campaign(id=uuid4(), name="Spring [sale]", state=CampaignState.RUNNING)
    counts = Progress(10, 4, 1, 3, 1, 1, {"completed": 2, "busy": 1})
    values: dict[str, Any] = {"in_flight": [], "hold": None, "forecast": None, "agents": 1, "engines": 1}
    return Status(campaign=campaign, progress=counts, **(values | fields))


def test_a_status_shows_counts_that_add_up_with_their_sum() -> None:
    text = drawn(campaign_views.picture(status()))
    assert "4 waiting + 1 calling + 3 done + 1 skipped + 1 cancelled = 10" in text
    assert "completed 2, busy 1" in text
    assert "Spring [sale]" in text


def test_a_status_says_what_holds_the_campaign_and_when_it_will_be_finished() -> None:
    at = datetime(2026, 3, 10, 16, 0, tzinfo=UTC)
    finish = Forecast(at + timedelta(days=1), 4, 100, "the daily cap", "about 4 more dials; limited by the daily cap")
    text = drawn(campaign_views.picture(status(hold=Hold("the trunk rests: [503]", at), forecast=finish)))
    assert "the trunk rests: [503], until" in text
    assert "limited by the daily cap" in text


def test_a_line_says_the_same_where_nobody_sees_a_picture() -> None:
    line = campaign_views._in_a_line(status(hold=Hold("no agent runs")))  # pyright: ignore[reportPrivateUsage]
    assert line == (
        "running: 10 contacts: 4 waiting, 1 calling, 3 done, 1 skipped, 1 cancelled; completed 2, busy 1; "
        "waits: no agent runs"
    )


def test_a_next_time_is_told_by_both_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    at = datetime(2026, 3, 10, 16, 0, tzinfo=UTC)
    text = campaign_why.both_clocks(at, [ZoneInfo("America/New_York")])
    assert "Tue 10 Mar 12:00 in America/New_York" in text


def test_why_tells_each_decision_with_rule_words_inputs_and_next_time() -> None:
    at = datetime(2026, 3, 10, 16, 0, tzinfo=UTC)
    contact = Contact(
        id=uuid4(), campaign_id=uuid4(), phone="+12025550143", name="Ana [x]", state=ContactState.WAITING, attempts=1,
        last_outcome="busy",
    )  # fmt: skip
    record = DecisionRecord(
        id=1, campaign_id=contact.campaign_id, contact_id=contact.id, call_id=uuid4(), at=at, verdict=Verdict.RETRY,
        rule="retry_policy", words="busy: attempt 1 of 4, again after 15m",
        inputs={"sip_status": 486, "zones": ["a", "b"]},
        next_at=at + timedelta(minutes=15),
    )  # fmt: skip
    zones = ContactZones((ZoneInfo("America/New_York"),), ZoneSource.NUMBER, "the time zone of the number")
    now = Decision(Verdict.DEFER, "contact_is_due", "the next attempt is due", {}, at + timedelta(minutes=15))
    campaign = Campaign(id=contact.campaign_id, name="Spring", state=CampaignState.RUNNING)
    console = Console(width=160, highlight=False)
    with console.capture() as capture:
        campaign_why._tell(console, Story(campaign, contact, zones, [record], now, None))  # pyright: ignore[reportPrivateUsage]
    text = capture.get()
    assert "+12025550143 (Ana [x]) in Spring, which is running" in text
    assert "retry   busy: attempt 1 of 4, again after 15m; next Tue 10 Mar 12:15 in America/New_York" in text
    assert "(retry_policy)" in text
    assert "sip_status=486  zones=a|b" in text
    assert f"call {str(record.call_id)[:8]}" in text
    assert "Now it would be decided so" in text
    assert "contact_is_due" in text


@pytest.mark.parametrize(
    ("living", "campaigns", "state"),
    [(0, ["Spring"], State.BROKEN), (0, [], State.UNKNOWN), (1, ["Spring"], State.OK), (2, [], State.OK)],
)
def test_the_doctor_misses_an_engine_only_when_a_campaign_needs_one(
    living: int, campaigns: list[str], state: State
) -> None:
    finding = judged_engines(living, campaigns)
    assert finding.state is state
    if state is State.BROKEN:
        assert "Spring" in finding.detail
        assert finding.mend == "start one: voiceagents engine"


def test_an_import_shows_an_example_of_each_column() -> None:
    contact = SimpleNamespace(phone="+12025550143", name="Ana", email="", time_zone=None, variables={"Tool": "rake"})
    looked = SimpleNamespace(contacts=[(2, contact)], mapping=SimpleNamespace(variables={2: "Tool"}))
    example = campaign_contacts._example  # pyright: ignore[reportPrivateUsage]
    assert [example(cast(Any, looked), *column) for column in ((0, "phone"), (1, "email"), (2, "{Tool}"))] == [
        "+12025550143", "", "rake",
    ]  # fmt: skip
