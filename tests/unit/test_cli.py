"""What a person sees of the command line without any server: help, errors, exit statuses, and how things are drawn."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest
from livekit import api
from rich.console import Console
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

from voiceagents.assistants.store import AssistantProblem, id_of
from voiceagents.calls.metadata import MetadataError
from voiceagents.calls.models import Call, CallEvent, Turn
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome, Speaker
from voiceagents.cli.app import app
from voiceagents.cli.history import Story, bar, calls_table, record
from voiceagents.cli.problems import Problem, explained, livekit_trouble
from voiceagents.db import DatabaseUnavailable
from voiceagents.lab import LabError
from voiceagents.settings import SettingsError

pytestmark = pytest.mark.unit

COMMANDS = [
    "", "demo", "doctor", "agent", "up", "down", "call", "calls", "calls show", "assistants", "assistants add",
    "assistants list", "assistants show", "assistants remove", "numbers", "numbers add", "numbers list",
    "numbers remove", "lab", "lab up", "lab down", "lab status", "lab env",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith(("LIVEKIT_", "OPENAI_", "SIP_", "LK_", "DATABASE_URL", "VOICEAGENTS_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("VOICEAGENTS_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, **environment: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of one command."""
    result = CliRunner().invoke(app, list(arguments), env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    status, out, _ = run(*command.split(), "--help")
    assert status == 0
    assert "Usage:" in out


def test_the_version_is_the_packages_own() -> None:
    status, out, _ = run("--version")
    assert status == 0
    assert out.startswith("voiceagents 0.")


def test_an_unknown_command_is_a_mistake_in_usage() -> None:
    status, _, err = run("cal")
    assert status == 2
    assert "call" in err


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("12025550101", "E.164"),
        ("202-555-0101", "E.164"),
        ("", "empty"),
        ("+120255501011", "too many digits"),
        ("+99912345678", "country code"),
    ],
)
def test_a_number_that_cannot_be_dialled_is_refused_with_its_reason(number: str, reason: str) -> None:
    status, out, err = run("call", number)
    assert status == 2
    assert out == ""
    assert reason in err
    assert "Traceback" not in err


def test_without_livekit_a_call_says_which_variables_are_missing_and_how_to_go_on() -> None:
    status, _, err = run("call", "+12025550101")
    assert status == 2
    assert "LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET are not set" in err
    assert "voiceagents lab up" in err


def test_without_a_trunk_a_call_says_where_one_is_given() -> None:
    configured = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}
    status, _, err = run("call", "+12025550101", **configured)
    assert status == 2
    assert "--trunk" in err
    assert "SIP_TRUNK_ID" in err


def test_a_wrong_value_in_the_environment_names_its_variable() -> None:
    status, _, err = run("calls", RINGING_TIMEOUT="soon")
    assert status == 2
    assert "RINGING_TIMEOUT" in err


def test_the_doctor_says_that_the_settings_are_broken_and_stops() -> None:
    status, out, _ = run("doctor", RINGING_TIMEOUT="soon")
    assert status == 1
    assert out.startswith("✗ settings")
    assert "RINGING_TIMEOUT" in out


def test_a_prompt_cannot_be_given_twice(tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("Hello")
    status, _, err = run("call", "+12025550101", "--prompt", "Hi", "--prompt-file", "prompt.txt")
    assert status == 2
    assert "twice" in err


def test_a_prompt_file_that_is_not_there_is_named() -> None:
    status, _, err = run("call", "+12025550101", "--prompt-file", "nothing.txt")
    assert status == 2
    assert "nothing.txt" in err


def test_a_lab_that_does_not_run_has_no_environment_and_says_how_to_start_one(tmp_path: Path) -> None:
    status, out, err = run("lab", "env", "--folder", str(tmp_path / "my lab"))
    assert status == 2
    assert out == ""
    assert f"voiceagents lab up --folder '{tmp_path / 'my lab'}'" in err


def test_the_status_of_a_lab_that_does_not_run_is_one() -> None:
    status, out, _ = run("lab", "status")
    assert status == 1
    assert "voiceagents lab up" in out


def test_down_with_nothing_running_is_no_error() -> None:
    status, out, _ = run("down")
    assert status == 0
    assert out.startswith("Nothing runs in")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SettingsError("set it"), "set it"),
        (DatabaseUnavailable("gone"), "gone"),
        (LabError("not built"), "not built"),
        (MetadataError("too long"), "too long"),
        (AssistantProblem("none"), "none"),
        (Problem("mend it"), "mend it"),
        (OperationalError("SELECT", {}, Exception("server closed\nmore")), "The database did not do its part"),
        (aiohttp.ClientConnectionError("refused"), "cannot be reached (refused)"),
        (TimeoutError(), "cannot be reached (no answer in time)"),
        (api.ServerError("unknown", "", status=401), "check LIVEKIT_API_KEY and LIVEKIT_API_SECRET"),
        (api.ServerError("not_found", "no such room", status=404), "no such room (not_found)"),
    ],
)
def test_errors_that_a_person_can_mend_become_one_message(error: Exception, message: str) -> None:
    told = explained(error)
    assert told is not None
    assert message in told


@pytest.mark.parametrize("fault", [ValueError("x"), KeyError("x"), AssertionError(), ZeroDivisionError()])
def test_a_fault_of_ours_is_not_explained_away(fault: Exception) -> None:
    assert explained(fault) is None


def test_livekits_address_is_named_where_it_is_known() -> None:
    assert "ws://host:7880" in (livekit_trouble(TimeoutError(), "ws://host:7880") or "")


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Front desk", "front-desk"), ("Jürgen's Café", "jurgens-cafe"), ("  A  &  B ", "a-b"), ("日本", "")],
)
def test_an_assistants_id_is_its_name_as_one_can_type_it(name: str, expected: str) -> None:
    assert id_of(name) == expected


NOON = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)


def a_call(**fields: object) -> Call:
    values: dict[str, object] = {
        "id": uuid4(),
        "direction": Direction.OUTBOUND,
        "state": CallState.ENDED,
        "to_number": "+12025550101",
        "from_number": "+15550100000",
        "contact_name": "Ana [bold]Torres",
        "created_at": NOON,
        "answered_at": NOON + timedelta(seconds=3),
        "ended_at": NOON + timedelta(seconds=15),
        "outcome": Outcome.COMPLETED,
        "cause": "the agent said goodbye",
        "ended_by": EndedBy.AGENT,
        "details": {},
    }
    return Call(**values | fields)


def drawn(renderable: object) -> str:
    console = Console(width=160)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_the_table_of_calls_shows_number_name_outcome_and_talk() -> None:
    shown = drawn(calls_table([a_call()]))
    for part in ("+12025550101", "Ana [bold]Torres", "completed", "12 s", "the agent said goodbye"):
        assert part in shown


def test_the_table_shows_the_state_of_a_call_under_way_and_a_hidden_caller() -> None:
    shown = drawn(
        calls_table([
            a_call(state=CallState.RINGING, outcome=None, ended_at=None, answered_at=None, cause=None),
            a_call(direction=Direction.INBOUND, from_number=None),
        ])
    )  # fmt: skip
    assert "ringing …" in shown
    assert "hidden" in shown


def test_a_calls_record_for_json_holds_every_column_and_its_talk() -> None:
    values = json.loads(json.dumps(record(a_call()), default=str))
    assert values["outcome"] == "completed"
    assert values["talk_seconds"] == 12.0
    assert set(values) > {column.key for column in Call.__table__.columns} - {"id"}


def test_the_story_of_a_call_tells_states_events_words_and_latencies_in_order() -> None:
    call = a_call()
    turns = [
        Turn(item_id="1", speaker=Speaker.PERSON, text="Hello?", started_at=NOON, interrupted=False, latencies={}),
        Turn(
            item_id="2", speaker=Speaker.AGENT, text="Hi Ana", started_at=NOON, interrupted=True,
            latencies={"e2e_latency": 1.25, "llm_ttft": 0.5, "tts_ttfb": 0.25},
        ),
    ]  # fmt: skip
    events = [CallEvent(at=NOON + timedelta(seconds=5), kind="dtmf", detail={"digit": "1"})]
    story = Story(call, turns, events)
    console = Console(width=120)
    with console.capture() as capture:
        story.print(console)
    shown = capture.get()
    assert [what for _, what, _ in story.timeline()] == ["queued", "answered", "dtmf", "ended"]
    for part in ("digit=1", "Hello?", "Hi Ana (interrupted)", "1.25 s", "model 0.50, voice 0.25", "ended by", "agent"):
        assert part in shown
    assert story.record()["transcript"][1]["latencies"]["e2e_latency"] == 1.25


@pytest.mark.parametrize(("share", "length"), [(0.0, 0), (0.5, 5), (1.0, 10), (7.0, 10), (-1.0, 0)])
def test_a_bar_is_as_long_as_its_share(share: float, length: int) -> None:
    assert len(bar(share, 10)) == length
