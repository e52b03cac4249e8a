"""`voiceagents retention`: what is older than it may be, deleted by hand."""

from typing import TYPE_CHECKING, Annotated

import typer

from voiceagents import clock
from voiceagents.cli.problems import Commands, Problem
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

if TYPE_CHECKING:
    from voiceagents.calls.retention import Due

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="How long recordings and words are kept: RETENTION_DAYS, and for ever without it. The engine looks hourly.",
)


@app.callback()
def options() -> None:
    """The group has one command, and may get others."""


@app.command("run")
def run_now(
    days: Annotated[
        int | None, typer.Option(min=1, max=36500, help="Keep this many days. [default: RETENTION_DAYS]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be deleted.")] = False,
) -> None:
    """Delete recordings, transcripts, summaries, messages and what tools were given, of calls older than that.

    The calls themselves stay in the history: with whom, when, and how they ended.
    """
    settings = load()
    kept = days or settings.retention_days
    if kept is None:
        raise Problem("RETENTION_DAYS is not set, so everything is kept for ever: set it, or say --days.")

    async def work() -> "tuple[Due, int]":
        from voiceagents.calls import retention
        from voiceagents.calls.recording_store import RecordingStore

        store = RecordingStore.of(settings)
        now = clock.now()
        before = retention.limit(now, kept)
        async with database(settings) as opened:
            async with opened.transaction() as session:
                found = await retention.due(session, before)
            cleared = 0
            while not dry_run and (some := await retention.clear_batch(opened, store, before, now)):
                cleared += some
            return found, cleared

    found, cleared = run(work())
    what = (
        f"{found.turns:,} turns, {found.recordings:,} recordings, {found.messages:,} messages and "
        f"{found.tool_calls:,} uses of tools"
    )
    if dry_run:
        typer.echo(f"Older than {kept} days: {found.calls:,} calls with {what}. Nothing was deleted.")
    elif cleared:
        typer.echo(f"Cleared {cleared:,} calls older than {kept} days: {what}.")
    else:
        typer.echo(f"Nothing is older than {kept} days.")
