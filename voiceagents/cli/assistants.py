"""`voiceagents assistants …` and `voiceagents numbers …`: who talks, and on which number."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from voiceagents import phone
from voiceagents.cli.problems import Commands
from voiceagents.cli.surroundings import database, run, text_of
from voiceagents.settings import load

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Assistants: who talks, with which prompt and voice.")
numbers = typer.Typer(cls=Commands, no_args_is_help=True, help="Numbers that people call, and who answers each.")


@app.command("add")
def add_assistant(
    name: Annotated[str, typer.Argument(help="What you call it, such as 'Front desk'.")],
    assistant_id: Annotated[str | None, typer.Option("--id", help="Its id. [default: made from the name]")] = None,
    prompt: Annotated[str | None, typer.Option(help="What it is to do, in plain words.")] = None,
    prompt_file: Annotated[Path | None, typer.Option(help="The same, from a file; - for standard input.")] = None,
    first_message: Annotated[str, typer.Option(help="What it says when it answers.")] = "",
    language: Annotated[str, typer.Option(help="Language it listens for.")] = "en",
    voice: Annotated[str | None, typer.Option(help="Voice. [default: OPENAI_TTS_VOICE]")] = None,
    llm_model: Annotated[str | None, typer.Option(help="Language model. [default: OPENAI_LLM_MODEL]")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, max=2, help="Temperature of the model.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the assistant that has this id.")] = False,
) -> None:
    """Add an assistant."""
    from voiceagents.assistants import store

    draft = store.AssistantDraft(
        id=assistant_id or store.id_of(name),
        name=name,
        prompt=text_of("--prompt", prompt, prompt_file),
        first_message=first_message,
        language=language,
        llm_model=llm_model,
        voice=voice,
        temperature=temperature,
    )

    async def work() -> None:
        async with database(load()) as opened, opened.transaction() as session:
            await (store.save(session, draft) if replace else store.add(session, draft))

    run(work())
    typer.echo(f"{draft.id}\nLet it answer a number:  voiceagents numbers add +1… --assistant {draft.id}")


@app.command("list")
def list_assistants() -> None:
    """List all assistants and their numbers."""
    from voiceagents.assistants import store

    async def work() -> Table | None:
        async with database(load()) as opened, opened.transaction() as session:
            table = Table("id", "name", "answers", "first message", box=None, pad_edge=False)
            bound = await store.numbers(session)
            for one in await store.assistants(session):
                mine = ", ".join(number.e164 for number in bound if number.assistant_id == one.id)
                table.add_row(one.id, one.name, mine or "-", one.first_message)
            return table if table.rows else None

    table = run(work())
    if table is None:
        typer.echo("No assistants yet. Add one:  voiceagents assistants add 'Front desk' --prompt '…'")
    else:
        Console(soft_wrap=True).print(table)


@app.command("show")
def show_assistant(assistant_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Show one assistant."""
    from voiceagents.assistants import store

    async def work() -> None:
        async with database(load()) as opened, opened.transaction() as session:
            one = await store.find(session, assistant_id)
            bound = await store.numbers(session, assistant_id)
        typer.echo(f"{one.name} ({one.id})")
        for label, value in (
            ("answers", ", ".join(number.e164 for number in bound) or "no number"),
            ("first message", one.first_message or "-"),
            ("language", one.language),
            ("voice", one.voice or "as OPENAI_TTS_VOICE"),
            ("model", one.llm_model or "as OPENAI_LLM_MODEL"),
            ("temperature", "the model's own" if one.temperature is None else str(one.temperature)),
        ):
            typer.echo(f"  {label:14} {value}")
        typer.echo(f"\n{one.prompt or '(no prompt)'}")

    run(work())


@app.command("remove")
def remove_assistant(assistant_id: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Remove an assistant; calls it had stay in the history."""
    from voiceagents.assistants import store

    async def work() -> str:
        async with database(load()) as opened, opened.transaction() as session:
            return ", ".join(await store.remove(session, assistant_id))

    orphaned = run(work())
    typer.echo(f"{assistant_id} is removed." + (f" Nobody answers {orphaned} now." if orphaned else ""))


@numbers.command("add")
def add_number(
    number: Annotated[str, typer.Argument(help="The number people call, in E.164: +12025550143.")],
    assistant: Annotated[str, typer.Option(help="Id of the assistant that answers it.")],
    label: Annotated[str, typer.Option(help="A word on what it is for.")] = "",
) -> None:
    """Let an assistant answer a number; one that has an assistant already changes over."""
    from voiceagents.assistants import store

    e164 = phone.dialable(number)

    async def work() -> None:
        async with database(load()) as opened, opened.transaction() as session:
            await store.bind(session, e164, assistant, label)

    run(work())
    typer.echo(f"{e164} is answered by {assistant}. Does LiveKit send its calls here?  voiceagents doctor")


@numbers.command("list")
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


@numbers.command("remove")
def remove_number(number: Annotated[str, typer.Argument(help="In E.164.")]) -> None:
    """Take a number away: who calls it hears that it is not in service."""
    from voiceagents.assistants import store

    async def work() -> None:
        async with database(load()) as opened, opened.transaction() as session:
            await store.release(session, number.strip())

    run(work())
    typer.echo(f"{number} is removed.")
