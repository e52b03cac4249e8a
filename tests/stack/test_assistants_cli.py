"""`voiceagents assistants` and `numbers` on a real database: what is typed is kept, twice changes nothing, files go
round."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from voiceagents.cli.app import app

pytestmark = pytest.mark.stack

Typed = Callable[..., Result]


@pytest.fixture
def typed(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Types a command in an installation of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    runner = CliRunner()

    def type_it(*words: str, stdin: str | None = None, status: int = 0) -> Result:
        ran = runner.invoke(app, list(words), input=stdin)
        assert ran.exit_code == status, (ran.output, ran.exception)
        return ran

    return type_it


FULL = (
    "--prompt", "Be kind.", "--first-message", "Hello.", "--language", "de", "--voice", "echo", "--llm-model", "m",
    "--stt-model", "s", "--temperature", "0.3", "--turn", "endpointing.min_delay=0.3", "--turn",
    "interruption.enabled=false", "--max-duration", "600", "--ask-after", "8", "--hang-up-after", "12.5",
    "--background-sound", "office-ambience", "--record", "--consent-line", "This call is recorded.", "--end-message",
    "Goodbye.", "--tool", "end_call", "--tool", 'transfer={"mode": "warm"}', "--calendar", "main", "--transfer",
    "Ann=+1 202 555 0177: questions on bills", "--hours", "mon-fri 09:00-17:00; sat 10:00-14:00", "--time-zone",
    "europe/berlin", "--after-hours", "close", "--after-hours-message", "We are closed.",
)  # fmt: skip


def exported(typed: Typed, *words: str) -> list[dict[str, Any]]:
    return yaml.safe_load(typed("assistants", "export", *words).output)["assistants"]


def test_everything_that_can_be_set_is_kept_shown_and_comes_back_from_a_file(typed: Typed, tmp_path: Path) -> None:
    typed("assistants", "add", "Front desk", *FULL)
    (one,) = exported(typed)
    assert one == {
        "id": "front-desk", "name": "Front desk", "prompt": "Be kind.", "first_message": "Hello.", "language": "de",
        "llm_model": "m", "stt_model": "s", "voice": "echo", "temperature": 0.3,
        "turn": {"endpointing": {"min_delay": 0.3}, "interruption": {"enabled": False}},
        "max_call_duration": 600, "silence_ask_after": 8.0, "silence_hang_up_after": 12.5,
        "background_sound": "office-ambience", "record": True, "consent_line": "This call is recorded.",
        "end_call_message": "Goodbye.", "tools": {"end_call": {}, "transfer": {"mode": "warm"}}, "calendar_id": "main",
        "transfer_targets": [{"name": "Ann", "number": "+12025550177", "description": "questions on bills"}],
        "business_hours": {
            **{day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
            "sat": [["10:00", "14:00"]],
        },
        "time_zone": "Europe/Berlin", "after_hours": {"mode": "close", "message": "We are closed."},
    }  # fmt: skip
    shown = typed("assistants", "show", "front-desk").output
    for words in (
        "Front desk (front-desk), version 1", "no number", "echo", "0.3", "endpointing.min_delay=0.3", "600 s",
        "asks after 8 s, hangs up 12.5 s later", "office-ambience", "This call is recorded.",
        'transfer {"mode": "warm"}',
        "Ann +12025550177", "mon-fri 09:00-17:00; sat 10:00-14:00 (Europe/Berlin)", "close: We are closed.", "Be kind.",
    ):  # fmt: skip
        assert words in shown, words
    file = tmp_path / "assistants.yaml"
    file.write_text(typed("assistants", "export").output)
    assert "nothing changed, it stays at version 1" in typed("assistants", "import", str(file)).output
    typed("assistants", "remove", "front-desk")
    assert "front-desk is at version 2" in typed("assistants", "import", str(file)).output
    assert exported(typed) == [one]


def test_an_edit_changes_what_it_names_and_makes_a_version_only_then(typed: Typed) -> None:
    typed("assistants", "add", "Front desk", *FULL)
    before = exported(typed)[0]
    ran = typed("assistants", "edit", "front-desk", "--voice", "alloy", "--tool", "take_message",
                "--without-tool", "end_call", "--transfer", "Bob=sip:bob@pbx.example.com",
                "--turn", "vad.activation_threshold=0.6", "--clear", "temperature", "--no-record")  # fmt: skip
    assert "front-desk is at version 2" in ran.output
    after = exported(typed)[0]
    assert after["voice"] == "alloy"
    assert after["tools"] == {"transfer": {"mode": "warm"}, "take_message": {}}
    assert [one["name"] for one in after["transfer_targets"]] == ["Ann", "Bob"]
    assert after["turn"] == before["turn"] | {"vad": {"activation_threshold": 0.6}}
    assert not {"temperature", "record"} & set(after)
    untouched = set(before) - {"voice", "tools", "transfer_targets", "turn", "temperature", "record"}
    assert {name: after[name] for name in untouched} == {name: before[name] for name in untouched}
    assert "nothing changed" in typed("assistants", "edit", "front-desk", "--voice", "alloy").output

    listed = typed("assistants", "versions", "front-desk").output.splitlines()
    assert [line.split()[0] for line in listed] == ["2", "1"]
    assert 'voice "echo" → "alloy"' in listed[0]
    assert "tools" in listed[0]
    assert "version 3" in typed("assistants", "restore", "front-desk", "1").output
    assert exported(typed)[0] == before
    assert "alloy" in typed("assistants", "show", "front-desk", "--version", "2").output
    assert "echo" in typed("assistants", "show", "front-desk").output


def test_an_edit_made_from_an_old_version_is_refused(typed: Typed) -> None:
    typed("assistants", "add", "Front desk")
    typed("assistants", "edit", "front-desk", "--voice", "echo", "--if-version", "1")
    ran = typed("assistants", "edit", "front-desk", "--voice", "alloy", "--if-version", "1", status=2)
    assert "at version 2 by now, and your change was made from version 1" in ran.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("add", "Front desk"), "There is an assistant 'front-desk' already"),
        (("add", "!!!"), "needs a name"),
        (("add", "X", "--hours", "mon-fri 9-5", "--time-zone", "UTC"), "business_hours: "),
        (("add", "X", "--hours", "mon-fri 09:00-17:00"), "time_zone"),
        (("add", "X", "--tool", "sing"), "there is no tool 'sing'"),
        (("add", "X", "--tool", "transfer={"), "broken JSON"),
        (("add", "X", "--tool", "transfer=[1]"), "JSON object"),
        (("add", "X", "--turn", "min_delay=1"), "endpointing.min_delay=0.3"),
        (("add", "X", "--turn", "endpointing.speed=1"), "turn.endpointing.speed"),
        (("add", "X", "--transfer", "+12025550177"), "Ann=+12025550177"),
        (("add", "X", "--transfer", "Ann=555"), "E.164"),
        (("add", "X", "--max-duration", "5"), "max_call_duration: "),
        (("add", "X", "--prompt", "a", "--prompt-file", "b"), "twice"),
        (("edit", "gone", "--voice", "echo"), "no assistant 'gone'; known are: front-desk"),
        (("edit", "front-desk", "--clear", "colour"), "--clear colour"),
        (("edit", "front-desk", "--clear", "name"), "--clear name"),
        (("edit", "front-desk", "--without-tool", "sing"), "no such tool"),
        (("show", "gone"), "known are: front-desk"),
        (("show", "front-desk", "--version", "9"), "no version 9; it has 1"),
        (("versions", "gone"), "no assistant 'gone'"),
        (("restore", "front-desk", "9"), "no version 9"),
        (("remove", "gone"), "no assistant 'gone'"),
        (("export", "gone"), "no assistant 'gone'"),
        (("import", "gone.yaml"), "gone.yaml cannot be read"),
    ],
)
def test_what_cannot_be_done_gets_one_message_with_the_mend(typed: Typed, words: tuple[str, ...], says: str) -> None:
    typed("assistants", "add", "Front desk")
    ran = typed("assistants", *words, status=2)
    assert ran.output.startswith("voiceagents: ")
    assert says in ran.output
    assert "Traceback" not in ran.output


def test_a_file_is_read_whole_or_not_at_all(typed: Typed) -> None:
    good = {"id": "good", "name": "Good"}
    for content, says in (
        ([good, {"id": "bad", "name": "Bad", "temperature": 9}], "assistant bad: temperature: "),
        ([good, good], "assistant good: it is there twice"),
        ([good, "text"], "assistant 2: expected"),
        ({"assistants": []}, "no assistants"),
        ({"assistants": [good], "numbers": []}, "numbers"),
        ([], "no assistants"),
        (None, "no assistants"),
    ):
        ran = typed("assistants", "import", "-", stdin=json.dumps(content), status=2)
        assert says in ran.output, content
    for text in ("a: [", "{", "- &a [*a]", "!!python/object/apply:os.system ['true']"):
        assert typed("assistants", "import", "-", stdin=text, status=2).output.startswith("voiceagents: "), text
    assert "No assistants yet" in typed("assistants", "list").output


def test_yaml_as_people_write_it(typed: Typed) -> None:
    typed("assistants", "import", "-", stdin="""
        id: oslo
        name: Oslo
        language: no
        record: true
        temperature: 1
        business_hours: {mon: [[09:00, 17:00]], fri: [[9:00, 12:30]]}
        time_zone: Europe/Oslo
        prompt: |
          Be brief.
          Be kind.
        """)  # fmt: skip
    (one,) = exported(typed)
    assert (one["language"], one["record"], one["prompt"]) == ("no", True, "Be brief.\nBe kind.\n")
    assert one["business_hours"] == {"mon": [["09:00", "17:00"]], "fri": [["09:00", "12:30"]]}


def test_a_dry_run_says_what_would_change_and_changes_nothing(typed: Typed) -> None:
    typed("assistants", "add", "Front desk")
    file = json.dumps([{"id": "front-desk", "name": "Desk"}, {"id": "new", "name": "New"}])
    ran = typed("assistants", "import", "-", "--dry-run", stdin=file)
    assert ran.output.splitlines() == ["front-desk would be at version 2.", "new would be at version 1."]
    assert [one["name"] for one in exported(typed)] == ["Front desk"]
    assert json.loads(typed("assistants", "export", "front-desk", "--format", "json").output) == {
        "assistants": [{"id": "front-desk", "name": "Front desk"}]
    }


def test_a_header_of_a_tool_is_not_shown(typed: Typed) -> None:
    options = {"url": "https://x.test", "headers": {"Authorization": "Bearer hunter2"}}
    typed("assistants", "add", "Front desk", "--tool", f"mcp={json.dumps(options)}")
    shown = typed("assistants", "show", "front-desk").output
    assert "Authorization" in shown
    assert "hunter2" not in shown
    typed("assistants", "edit", "front-desk", "--without-tool", "mcp")
    assert "hunter2" not in typed("assistants", "versions", "front-desk").output


def test_numbers_are_bound_change_hands_and_go(typed: Typed) -> None:
    typed("assistants", "add", "Front desk")
    typed("assistants", "add", "Sales")
    assert "No numbers yet" in typed("numbers", "list").output
    assert "answered by front-desk." in typed("numbers", "add", "+12025550143", "--assistant", "front-desk").output
    assert "nothing changed" in typed("numbers", "add", "+12025550143", "--assistant", "front-desk").output
    ran = typed("numbers", "bind", "(202) 555-0143", "sales", "--region", "US", "--label", "main line")
    assert "answered by sales, no longer by front-desk." in ran.output
    listed = typed("numbers", "list").output
    assert "+12025550143" in listed
    assert "sales" in listed
    assert "main line" in listed
    assert "+12025550143" in typed("assistants", "show", "sales").output
    assert "Nobody answers +12025550143 now" in typed("assistants", "remove", "sales").output
    assert "nobody" in typed("numbers", "list").output
    assert "E.164" in typed("numbers", "bind", "202-555-0143", "front-desk", status=2).output
    assert "no assistant 'gone'" in typed("numbers", "bind", "+12025550143", "gone", status=2).output
    typed("numbers", "remove", "+12025550143")
    assert "none of our numbers" in typed("numbers", "remove", "+12025550143", status=2).output
