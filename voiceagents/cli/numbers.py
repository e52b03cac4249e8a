"""`voiceagents numbers …`: which numbers are ours, and who answers each."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from voiceagents import phone
from voiceagents.cli.problems import Commands
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Numbers that people call, and who answers each.")

Number = Annotated[str, typer.Argument(help="The number people call, in E.164: +12025550143.")]
Region = Annotated[str | None, typer.Option(help="Country of a number written without its code, such as US.")]
Label = Annotated[str, typer.Option(help="A word on what it is for.")]


@app.command("add")
def add_number(
    number: Number,
    assistant: Annotated[str, typer.Option(help="Id of the assistant that answers it.")],
    label: Label = "",
    region: Region = None,
) -> None:
    """Let an assistant answer a number; one that has an assistant already changes over."""
    _bind(number, assistant, label, region)


@app.command("bind")
def bind_number(
    number: Number,
    assistant: Annotated[str, typer.Argument(metavar="ASSISTANT", help="Id of the assistant that answers it.")],
    label: Label = "",
    region: Region = None,
) -> None:
    """The same as `add`, in other words: +12025550143 front-desk."""
    _bind(number, assistant, label, region)


@app.command("list")
def list_numbers() -> None:
    """List all numbers and who answers each."""
    from voiceagents.assistants import store

    async def work() -> Table | None:
        async with database(load()) as opened, opened.transaction() as session:
            table = Table("number", "answered by", "label", box=None, pad_edge=False)
            for number in await store.numbers(session):
                table.add_row(number.e164, number.assistant_id or "nobody", number.label)
            return table if table.rows else None

    table = run(work())
    if table is None:
        typer.echo("No numbers yet. Add one:  voiceagents numbers add +1… --assistant ID")
    else:
        Console(soft_wrap=True).print(table)


@app.command("remove")
def remove_number(number: Number, region: Region = None) -> None:
    """Take a number away: who calls it hears that it is not in service."""
    from voiceagents.assistants import store

    e164 = _e164(number, region)

    async def work() -> None:
        async with database(load()) as opened, opened.transaction() as session:
            await store.release(session, e164)

    run(work())
    typer.echo(f"{e164} is removed.")


def _bind(number: str, assistant_id: str, label: str, region: str | None) -> None:
    from voiceagents.assistants import store

    e164 = _e164(number, region)

    async def work() -> str | None:
        async with database(load()) as opened, opened.transaction() as session:
            before = next((one for one in await store.numbers(session) if one.e164 == e164), None)
            same = before is not None and before.assistant_id == assistant_id and label in ("", before.label)
            answered = before.assistant_id if before else None
            await store.bind(session, e164, assistant_id, label)
            return None if same else f", no longer by {answered}" if answered not in (None, assistant_id) else ""

    instead = run(work())
    if instead is None:
        typer.echo(f"{e164} is answered by {assistant_id} already: nothing changed.")
    else:
        typer.echo(
            f"{e164} is answered by {assistant_id}{instead}. "
            f"Do its calls come here?  voiceagents trunks check, voiceagents trunks add-inbound {e164}"
        )


def _e164(number: str, region: str | None) -> str:
    return phone.dialable(number) if region is None else phone.dialable(phone.normalize(number, region))
