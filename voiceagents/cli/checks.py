"""What does `voiceagents doctor` print?"""

import logging
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape

from voiceagents.cli.surroundings import run as run_async
from voiceagents.cli.surroundings import settings_with_lab
from voiceagents.doctor.findings import Finding, State, broken
from voiceagents.settings import SettingsError

_COLOUR = {State.OK: "green", State.BROKEN: "red", State.UNKNOWN: "yellow"}


def run(*, passive: bool) -> int:
    """Prints every finding as it comes.

    Returns the exit status: 1 when something is broken.
    """
    console = Console(highlight=False)
    logging.getLogger().setLevel(logging.ERROR)  # the findings say it all
    try:
        settings = settings_with_lab()
    except SettingsError as error:
        said, _, mend = str(error).partition("\n")
        _print(console, broken("settings", said, mend))
        return 1

    from voiceagents.doctor.examination import examine

    async def work() -> int:
        status = 0
        async for finding in examine(settings, passive=passive):
            _print(console, finding)
            status |= finding.state is State.BROKEN
        return status

    return run_async(work())


def show(findings: Iterable[Finding]) -> None:
    """Prints findings as the doctor does."""
    console = Console(highlight=False)
    for finding in findings:
        _print(console, finding)


def _print(console: Console, finding: Finding) -> None:
    sign = f"[{_COLOUR[finding.state]}]{finding.state.value}[/]"
    console.print(f"{sign} [bold]{finding.subject:15}[/] {escape(finding.detail)}", soft_wrap=True)
    for line in finding.mend.splitlines():
        console.print(f"    → {escape(line.strip())}", soft_wrap=True)
