"""`voiceagents forget`: one person's data, shown and then deleted everywhere."""

import getpass
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from voiceagents import clock, phone
from voiceagents.cli.history import console
from voiceagents.cli.problems import Problem
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import Settings, load

if TYPE_CHECKING:
    from voiceagents.forget import Held

_KINDS = (
    ("calls", "calls", "stay as bare rows that name nobody"),
    ("turns", "turns of transcripts", ""),
    ("recordings", "recordings", ""),
    ("tool_calls", "uses of tools", ""),
    ("messages", "messages", ""),
    ("contacts", "contacts in campaigns", ""),
    ("decisions", "decisions about them", ""),
    ("bookings", "bookings", ""),
    ("webhook_events", "webhook events", ""),
    ("jobs", "jobs that wait", ""),
    ("answers", "kept answers of the API", ""),
    ("import_notes", "import reports", "what repeats the number is taken out"),
    ("taken_off", "former do-not-call entries", ""),
)


def forget(
    number: Annotated[str, typer.Argument(help="Whose data it is, by telephone number in any form.")],
    region: Annotated[str | None, typer.Option(help="Country of a number without a country code, such as US.")] = None,
    also_do_not_call: Annotated[
        bool, typer.Option("--also-do-not-call", help="Take the number off every do-not-call list, too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Show what is held about a person, and delete it: transcripts, recordings, contacts, messages, bookings.

    Calls stay as rows without name or number. Doing it again changes nothing.
    """
    e164 = phone.normalize(number, region)
    settings = load()
    found = run(_held(settings, e164))
    if not found.anything(also_do_not_call=also_do_not_call):
        typer.echo(f"Nothing is held about {e164}{_listed(found)}.")
        return
    console().print(_table(found, also_do_not_call=also_do_not_call))
    for name in found.elsewhere:
        typer.echo(f'Appointments in the calendar "{name}" are kept by others: delete them there.')
    if not yes and not typer.confirm(f"Delete all this about {e164} for ever?"):
        raise Problem("Nothing was deleted.")
    listed = run(_forget(settings, e164, also_do_not_call=also_do_not_call))
    typer.echo(f"{e164} is forgotten.")
    if listed:
        typer.echo("Its do-not-call entry stays, so that nobody calls again (--also-do-not-call removes it, too).")
    else:
        typer.echo("It is on no do-not-call list: a list that is imported later may have it called again.")


def _listed(found: "Held") -> str:
    return " but that nobody may call it (--also-do-not-call removes that, too)" if found.do_not_call else ""


def _table(found: "Held", *, also_do_not_call: bool) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("what is held")
    table.add_column("how many", justify="right")
    table.add_column("")
    for name, words, note in _KINDS:
        if number := getattr(found, name):
            if name == "bookings" and found.upcoming:
                note = f"{found.upcoming} still to come"
            table.add_row(words, f"{number:,}", note)
    if found.do_not_call:
        table.add_row("do-not-call entries", f"{found.do_not_call:,}", "" if also_do_not_call else "stay")
    return table


async def _held(settings: Settings, number: str) -> "Held":
    from voiceagents import forget as service
    from voiceagents.calls.recording_store import RecordingStore

    async with database(settings) as opened, opened.transaction() as session:
        return await service.held(session, RecordingStore.of(settings), number, clock.now())


async def _forget(settings: Settings, number: str, *, also_do_not_call: bool) -> bool:
    """Whether the number stands on a do-not-call list afterwards."""
    from voiceagents import forget as service
    from voiceagents.calls.bucket import BucketProblem
    from voiceagents.calls.recording_store import RecordingStore
    from voiceagents.campaigns import do_not_call

    async with database(settings) as opened:
        try:
            async with opened.transaction() as session:
                await service.forget(
                    session,
                    RecordingStore.of(settings),
                    number,
                    clock.now(),
                    by=getpass.getuser(),
                    also_do_not_call=also_do_not_call,
                )
                return bool(await do_not_call.check(session, number))
        except service.CallGoingOn as error:
            raise Problem(f"Nothing was deleted: {error}. Wait until it is over, or pause its campaign.") from None
        except BucketProblem as error:
            raise Problem(f"Nothing was deleted: {error}") from None
