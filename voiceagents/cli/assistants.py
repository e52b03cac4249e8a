"""`voiceagents assistants …`: who talks, with what prompt, voice, tools and hours, and every version of it."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from voiceagents.cli import assistant_options as options
from voiceagents.cli.problems import Commands
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Assistants: who talks, with which prompt and voice.")

Id = Annotated[str, typer.Argument(metavar="ID")]
IfVersion = Annotated[
    int | None, typer.Option(help="Only if it is still at this version: else somebody else's change would be lost.")
]


@app.command("add")
def add_assistant(
    name: Annotated[str, typer.Argument(help="What you call it, such as 'Front desk'.")],
    assistant_id: Annotated[str | None, typer.Option("--id", help="Its id. [default: made from the name]")] = None,
    prompt: options.Prompt = None,
    prompt_file: options.PromptFile = None,
    first_message: options.FirstMessage = None,
    language: options.Language = None,
    voice: options.Voice = None,
    llm_model: options.LlmModel = None,
    stt_model: options.SttModel = None,
    temperature: options.Temperature = None,
    turn: options.TurnSettings = None,
    max_duration: options.MaxDuration = None,
    ask_after: options.AskAfter = None,
    hang_up_after: options.HangUpAfter = None,
    background_sound: options.BackgroundSound = None,
    record: options.Record = None,
    consent_line: options.ConsentLine = None,
    end_message: options.EndMessage = None,
    tool: options.Tools = None,
    calendar: options.Calendar = None,
    transfer: options.Transfers = None,
    hours: options.Hours = None,
    time_zone: options.TimeZone = None,
    after_hours: options.AfterHours = None,
    after_hours_message: options.AfterHoursMessage = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the assistant that has this id.")] = False,
) -> None:
    """Add an assistant."""
    given: dict[str, Any] = dict(locals())
    from voiceagents.assistants import store
    from voiceagents.assistants.draft import read

    draft = read(options.changed({"id": assistant_id or store.id_of(name)}, given))

    async def work() -> int:
        async with database(load()) as opened, opened.transaction() as session:
            return await (store.save(session, draft) if replace else store.add(session, draft))

    version = run(work())
    typer.echo(f"{draft.id}" if version == 1 else f"{draft.id}, version {version}")
    typer.echo(f"Let it answer a number:  voiceagents numbers add +1… --assistant {draft.id}")


@app.command("edit")
def edit_assistant(
    assistant_id: Id,
    name: Annotated[str | None, typer.Option(help="What you call it.")] = None,
    prompt: options.Prompt = None,
    prompt_file: options.PromptFile = None,
    first_message: options.FirstMessage = None,
    language: options.Language = None,
    voice: options.Voice = None,
    llm_model: options.LlmModel = None,
    stt_model: options.SttModel = None,
    temperature: options.Temperature = None,
    turn: options.TurnSettings = None,
    max_duration: options.MaxDuration = None,
    ask_after: options.AskAfter = None,
    hang_up_after: options.HangUpAfter = None,
    background_sound: options.BackgroundSound = None,
    record: options.Record = None,
    consent_line: options.ConsentLine = None,
    end_message: options.EndMessage = None,
    tool: options.Tools = None,
    without_tool: options.WithoutTools = None,
    calendar: options.Calendar = None,
    transfer: options.Transfers = None,
    without_transfer: options.WithoutTransfers = None,
    hours: options.Hours = None,
    time_zone: options.TimeZone = None,
    after_hours: options.AfterHours = None,
    after_hours_message: options.AfterHoursMessage = None,
    clear: options.Clear = None,
    if_version: IfVersion = None,
) -> None:
    """Change an assistant: what is not named stays. Calls under way keep the version they run with."""
    given: dict[str, Any] = dict(locals())
    from voiceagents.assistants import store
    from voiceagents.assistants.draft import read

    async def work() -> tuple[int, int]:
        async with database(load()) as opened, opened.transaction() as session:
            before = await store.find(session, assistant_id)
            values = store.draft_of(before).model_dump(mode="json")
            draft = read(options.changed(values, given))
            expected = before.version if if_version is None else if_version
            return expected, await store.save(session, draft, expected_version=expected)

    before, version = run(work())
    typer.echo(f"{assistant_id} is at version {version}." if version != before else _unchanged(assistant_id, version))


@app.command("list")
def list_assistants() -> None:
    """List all assistants and their numbers."""
    from voiceagents.assistants import store

    async def work() -> Table | None:
        async with database(load()) as opened, opened.transaction() as session:
            table = Table("id", "name", "answers", "version", "first message", box=None, pad_edge=False)
            bound = await store.numbers(session)
            for one in await store.assistants(session):
                mine = ", ".join(number.e164 for number in bound if number.assistant_id == one.id)
                table.add_row(one.id, one.name, mine or "-", str(one.version), one.first_message)
            return table if table.rows else None

    table = run(work())
    if table is None:
        typer.echo("No assistants yet. Add one:  voiceagents assistants add 'Front desk' --prompt '…'")
    else:
        Console(soft_wrap=True).print(table)


@app.command("show")
def show_assistant(
    assistant_id: Id,
    version: Annotated[int | None, typer.Option(help="As it was in this version. [default: as it is now]")] = None,
) -> None:
    """Show one assistant."""
    from voiceagents.assistants import store
    from voiceagents.assistants.draft import AssistantDraft, read
    from voiceagents.cli.assistant_views import lines_of

    async def work() -> tuple[AssistantDraft, int, list[str]]:
        async with database(load()) as opened, opened.transaction() as session:
            bound = [number.e164 for number in await store.numbers(session, assistant_id)]
            if version is not None:
                return read((await store.version(session, assistant_id, version)).snapshot), version, bound
            one = await store.find(session, assistant_id)
            return store.draft_of(one), one.version, bound

    draft, at, bound = run(work())
    for line in lines_of(draft, at, bound):
        typer.echo(line)


@app.command("versions")
def list_versions(assistant_id: Id) -> None:
    """List all versions of an assistant and what changed in each. A call's record names the one it ran with."""
    from voiceagents.assistants import store
    from voiceagents.cli.assistant_views import changes_between

    async def work() -> list[str]:
        async with database(load()) as opened, opened.transaction() as session:
            kept = await store.versions(session, assistant_id)
        lines: list[str] = []
        for newer, older in zip(kept, [*kept[1:], None], strict=True):
            what = changes_between(older.snapshot, newer.snapshot) if older else "the first that is kept"
            lines.append(f"{newer.version:4}  {newer.created_at.astimezone():%Y-%m-%d %H:%M:%S}  {what}")
        return lines

    for line in run(work()):
        typer.echo(line)


@app.command("restore")
def restore_version(
    assistant_id: Id,
    version: Annotated[int, typer.Argument(help="Which version it shall be like again.")],
    if_version: IfVersion = None,
) -> None:
    """Set an assistant, even a removed one, to what an earlier version of it was; that makes a new version."""
    from voiceagents.assistants import store

    async def work() -> int:
        async with database(load()) as opened, opened.transaction() as session:
            return await store.restore(session, assistant_id, version, expected_version=if_version)

    now = run(work())
    typer.echo(f"{assistant_id} is as in version {version} again; that is version {now}.")


@app.command("remove")
def remove_assistant(assistant_id: Id) -> None:
    """Remove an assistant; its versions and the calls it had stay in the history."""
    from voiceagents.assistants import store

    async def work() -> str:
        async with database(load()) as opened, opened.transaction() as session:
            return ", ".join(await store.remove(session, assistant_id))

    orphaned = run(work())
    typer.echo(f"{assistant_id} is removed." + (f" Nobody answers {orphaned} now." if orphaned else ""))


@app.command("export")
def export_assistants(
    assistant_ids: Annotated[list[str] | None, typer.Argument(metavar="[ID]...", help="Which. [default: all]")] = None,
    form: Annotated[Literal["yaml", "json"], typer.Option("--format", help="Form of the text.")] = "yaml",
) -> None:
    """Write assistants to standard output, in the form that `import` reads."""
    from voiceagents.assistants import store
    from voiceagents.cli.assistant_files import written

    async def work() -> str:
        async with database(load()) as opened, opened.transaction() as session:
            if assistant_ids:
                found = [await store.find(session, one) for one in assistant_ids]
            else:
                found = list(await store.assistants(session))
            return written([store.draft_of(one) for one in found], as_json=form == "json")

    typer.echo(run(work()), nl=False)


@app.command("import")
def import_assistants(
    file: Annotated[Path, typer.Argument(help="YAML or JSON as `export` writes it; - for standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
) -> None:
    """Add and change assistants as a file says: all of them or none. Twice the same file changes nothing."""
    from voiceagents.assistants import store
    from voiceagents.cli.assistant_files import drafts_in

    drafts = drafts_in(file)

    async def work() -> list[str]:
        lines: list[str] = []
        async with database(load()) as opened, opened.transaction() as session:
            before = {one.id: one.version for one in await store.assistants(session)}
            for draft in drafts:
                version = await store.save(session, draft)
                if before.get(draft.id) == version:
                    lines.append(_unchanged(draft.id, version))
                else:
                    lines.append(f"{draft.id} {'would be' if dry_run else 'is'} at version {version}.")
            if dry_run:
                await session.rollback()
        return lines

    for line in run(work()):
        typer.echo(line)


def _unchanged(assistant_id: str, version: int) -> str:
    return f"{assistant_id} is that already: nothing changed, it stays at version {version}."
