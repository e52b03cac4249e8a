"""The specification's script: it runs by itself, says what it checked, and fails when the code is broken."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

SCRIPT = Path(__file__).parents[2] / "voiceagents" / "livekit" / "test-outbound-handling.py"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """As the specification says: in its folder, here with nothing in the environment."""
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=SCRIPT.parent, env={"PYTHONUTF8": "1"}, capture_output=True, text=True, timeout=60, check=False
    )


def run_with(breakage: str) -> subprocess.CompletedProcess[str]:
    """The script on code with one thing broken."""
    code = f"import sys; sys.path.insert(0, {str(SCRIPT.parents[2])!r})\n{breakage}\n"
    return run("-c", f"{code}import runpy; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')")


def test_it_runs_by_itself_and_says_what_it_checked() -> None:
    ran = run(SCRIPT.name)
    assert (ran.returncode, ran.stderr) == (0, "")
    *checks, last = ran.stdout.splitlines()
    assert checks
    assert all(check.startswith("✓ ") for check in checks)
    assert last == f"{len(checks)} passed, 0 failed"
    for part in ("metadata", "means outbound", "instructions", "an inbound call gets the campaign's script", "E.164"):
        assert part in ran.stdout


@pytest.mark.parametrize(
    ("breakage", "noticed"),
    [
        pytest.param(
            "from voiceagents.assistants import prompts; prompts.fill = lambda template, values: template",
            "✗ outbound instructions hold the manners, the name and the script",
            id="placeholders-are-not-filled",
        ),
        pytest.param(
            "from voiceagents import phone; phone.dialable = lambda text: text",
            "✗ anything else is refused before the dial",
            id="any-number-is-dialled",
        ),
        pytest.param(
            "from voiceagents.calls import metadata; metadata.JobMetadata.is_outbound = False",
            "✗ phone_number in the job metadata means outbound",
            id="outbound-is-not-detected",
        ),
        pytest.param(
            "from voiceagents.calls import metadata\n"
            "def broken(raw): raise AttributeError('no get')\n"
            "metadata._object = broken",
            "✗ job metadata is read, and survives the way to the agent",
            id="parsing-crashes",
        ),
        pytest.param(
            "from voiceagents import logs; logs.metadata = lambda raw: raw",
            "✗ the log shows the metadata without numbers, names and scripts",
            id="numbers-in-the-log",
        ),
    ],
)
def test_it_fails_when_the_code_is_broken(breakage: str, noticed: str) -> None:
    ran = run_with(breakage)
    assert ran.returncode == 1, ran.stderr
    assert noticed in ran.stdout
    failed = sum(line.startswith("✗ ") for line in ran.stdout.splitlines())
    assert re.fullmatch(rf"\d+ passed, {failed} failed", ran.stdout.splitlines()[-1])


def test_without_the_project_installed_it_says_what_to_do() -> None:
    ran = run_with("sys.modules['phonenumbers'] = None")
    assert ran.returncode == 1
    assert "phonenumbers is not installed" in ran.stderr
    assert "make setup" in ran.stderr
