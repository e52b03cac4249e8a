"""`voiceagents lab …`: a whole phone network on this machine, to try calls with."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from voiceagents.cli.problems import Commands, Problem
from voiceagents.cli.surroundings import lab_folder, run
from voiceagents.settings import load

if TYPE_CHECKING:
    from voiceagents.lab import Lab

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="A phone network on this machine: LiveKit, a SIP gateway and simulated phones.",
)

Folder = Annotated[Path | None, typer.Option(help="The lab's folder. [default: lab in the data folder]")]


@app.command()
def up(
    folder: Folder = None,
    scenario: Annotated[
        Path | None,
        typer.Option(help="Phones and how they behave, as JSON (see lab/README.md). [default: those of the demo]"),
    ] = None,
) -> None:
    """Start a lab that runs until `voiceagents lab down`; a running one is left as it is."""
    place = _folder(folder)
    from voiceagents import lab as labs

    lab = labs.up(place, scenario=_scenario(scenario))
    if scenario is None:
        run(_bind_demo_number(lab))
    typer.echo(f"The lab runs in {place}: LiveKit at {lab.livekit_url}, SIP trunk {lab.outbound_trunk_id}.")
    typer.echo(f'To use it in a shell:  eval "$({_command("env", folder)})"    To end it:  {_command("down", folder)}')


@app.command()
def down(folder: Folder = None) -> None:
    """End the lab, and all calls in it."""
    from voiceagents import lab as labs

    place = _folder(folder)
    typer.echo("The lab has ended." if labs.down(place) else f"No lab runs in {place}.")


@app.command()
def status(folder: Folder = None) -> None:
    """Show what runs. Exit status 1 when no lab runs or part of it is gone."""
    from voiceagents import lab as labs

    place = _folder(folder)
    now = labs.status(place)
    if not now["processes"]:
        typer.echo(f"No lab runs in {place}. Start one:  {_command('up', folder)}")
        raise typer.Exit(1)
    table = Table("process", "pid", "state", "log", box=None, pad_edge=False)
    for name, process in now["processes"].items():
        table.add_row(name, str(process["pid"]), "runs" if process["alive"] else "is gone", process["log"])
    Console(soft_wrap=True).print(table)
    typer.echo(f"LiveKit: {now['livekit_url']}")
    if not now["running"]:
        typer.echo(f"Part of it is gone. Start it anew:  {_command('up', folder)}", err=True)
        raise typer.Exit(1)


@app.command()
def env(folder: Folder = None) -> None:
    """Print the lab's environment for a shell: eval "$(voiceagents lab env)"."""
    from voiceagents.lab import Lab

    place = _folder(folder)
    lab = Lab.remembered(place)
    if lab is None or not lab.running():
        raise Problem(f"No lab runs in {place}. Start one:  {_command('up', folder)}")
    for name, value in lab.env().items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _folder(given: Path | None) -> Path:
    return given.absolute() if given is not None else lab_folder(load())


def _command(verb: str, folder: Path | None) -> str:
    return f"voiceagents lab {verb}" + (f" --folder {shlex.quote(str(folder))}" if folder is not None else "")


def _scenario(path: Path | None) -> dict[str, Any]:
    if path is None:
        from voiceagents.demo.people import scenario

        return scenario()
    from voiceagents.carrier import read_scenario

    return read_scenario(path)


async def _bind_demo_number(lab: "Lab") -> None:
    from voiceagents.demo.people import DID

    if DID not in lab.inbound_numbers:
        await lab.add_inbound_number(DID, agent_name=load().lk_agent_name)
