"""Which commands are there?"""

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from voiceagents.cli import (
    assistants,
    calendars,
    call,
    campaign,
    dnc,
    forget,
    history,
    lab,
    limits,
    numbers,
    retention,
    running,
    simulate,
    trunks,
    web,
)
from voiceagents.cli.problems import Commands

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Self-hosted AI phone calls on LiveKit.",
    epilog="Try it without any account: voiceagents demo. What does not work, and how to mend it: voiceagents doctor.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"voiceagents {version('voiceagents')}")
        raise typer.Exit


@app.callback()
def options(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Options of the program itself."""


@app.command()
def demo(
    folder: Annotated[
        Path | None,
        typer.Option(help="Where history, recordings and logs go. [default: VOICEAGENTS_DATA, else ./.voiceagents]"),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running afterwards.")] = False,
    go_on: Annotated[
        bool | None,
        typer.Option(
            "--go-on/--no-go-on",
            help="Then run a longer campaign, to be looked at in the browser until Ctrl-C. [default: on a terminal]",
        ),
    ] = None,
) -> None:
    """Dial eight simulated people and answer one, live, on this machine, with no account anywhere.

    Exit status 0 when every call ended as its person's behaviour asks for, 1 when one did not.
    """
    from voiceagents.demo import run

    raise typer.Exit(run.main(folder, keep=keep, go_on=sys.stdout.isatty() if go_on is None else go_on))


@app.command()
def doctor(
    passive: Annotated[
        bool,
        typer.Option(
            "--passive", help="Only look: create no room and hand no job to the agent (then less can be known)."
        ),
    ] = False,
) -> None:
    """Check everything that a call needs, and say how to mend what is broken. Nobody is dialled.

    Exit status 1 when something is broken.
    """
    from voiceagents.cli import checks

    raise typer.Exit(checks.run(passive=passive))


@app.command()
def agent() -> None:
    """Start the agent, which holds the calls (the same as `python main.py`)."""
    from voiceagents.agent import main

    raise typer.Exit(main())


@app.command()
def engine() -> None:
    """Start the campaign engine, which decides whom to dial and when. Any number of them share the work."""
    from voiceagents.engine import main

    raise typer.Exit(main())


app.command()(running.up)
app.command()(running.down)
app.command()(web.web)
app.command()(call.call)
app.command()(simulate.simulate)
app.add_typer(campaign.app, name="campaign")
app.add_typer(dnc.app, name="dnc")
app.command()(forget.forget)
app.add_typer(retention.app, name="retention")
app.add_typer(limits.app, name="limits")
app.add_typer(history.app, name="calls")
app.add_typer(assistants.app, name="assistants")
app.add_typer(numbers.app, name="numbers")
app.add_typer(trunks.app, name="trunks")
app.add_typer(calendars.app, name="calendars")
app.add_typer(lab.app, name="lab")
