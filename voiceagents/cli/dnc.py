"""`voiceagents dnc …`: who must not be called."""

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn
from rich.table import Table

from voiceagents import phone
from voiceagents.cli.history import console
from voiceagents.cli.problems import Commands, Problem
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from voiceagents.campaigns.do_not_call_import import Imported
    from voiceagents.campaigns.models import DoNotCall

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="The do-not-call list: numbers that nobody calls, or one campaign does not. Read right before every dial.",
)

Number = Annotated[str, typer.Argument(help="The number, in any form.")]
OfCampaign = Annotated[str | None, typer.Option("--campaign", help="The list of this campaign. [default: everybody's]")]
Region = Annotated[str | None, typer.Option(help="Country of numbers without a country code, such as US.")]

_SHOWN = 10


@app.command()
def add(
    number: Number,
    reason: Annotated[str, typer.Option(help="Why, for whoever asks later.")] = "",
    campaign: OfCampaign = None,
    region: Region = None,
) -> None:
    """Put a number on the list; from this moment it is not dialled."""
    from voiceagents.campaigns import do_not_call

    e164 = phone.normalize(number, region)

    async def work() -> tuple[bool, str]:
        async with database(load()) as opened, opened.transaction() as session:
            campaign_id, whose = await _list_of(session, campaign)
            return await do_not_call.add(session, e164, campaign_id, reason.strip()), whose

    added, whose = run(work())
    typer.echo(f"{e164} is on {whose} do-not-call list{'' if added else ' already'}.")


@app.command()
def remove(
    number: Number,
    reason: Annotated[str, typer.Option(help="Why it may be called again; stays on record.")],
    campaign: OfCampaign = None,
    region: Region = None,
) -> None:
    """Take a number off the list. Its entry stays on record, with the reason."""
    from voiceagents.campaigns import do_not_call

    e164 = phone.normalize(number, region)
    if not reason.strip():
        raise Problem("--reason must say why the number may be called again.")

    async def work() -> str:
        async with database(load()) as opened, opened.transaction() as session:
            campaign_id, whose = await _list_of(session, campaign)
            if not await do_not_call.remove(session, e164, campaign_id, reason.strip()):
                raise Problem(f"{e164} is not on {whose} do-not-call list; `voiceagents dnc check` looks on all lists.")
            return whose

    typer.echo(f"{e164} is off {run(work())} do-not-call list. Contacts that were skipped for it stay skipped.")


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="CSV or .xlsx; - for pasted text on standard input.")],
    reason: Annotated[str, typer.Option(help="Of rows without a reason column.")] = "",
    column: Annotated[str | None, typer.Option(help="The column of the numbers. [default: found out]")] = None,
    campaign: OfCampaign = None,
    region: Region = None,
) -> None:
    """Put all numbers of a file on the list. Importing it again changes nothing.

    Exit status 1 when rows were refused.
    """
    from voiceagents.campaigns import do_not_call_import
    from voiceagents.campaigns.tabular import Pasted

    source = Pasted(sys.stdin.read()) if str(file) == "-" else file

    async def work() -> "tuple[Imported, str]":
        async with database(load()) as opened:
            async with opened.transaction() as session:
                campaign_id, whose = await _list_of(session, campaign)
            errors = Console(stderr=True)
            with Progress(
                BarColumn(), TaskProgressColumn(), console=errors, transient=True, disable=not errors.is_terminal
            ) as bar:
                task = bar.add_task("reading", total=1.0)
                done = await do_not_call_import.import_table(
                    opened,
                    source,
                    campaign_id=campaign_id,
                    region=region,
                    column=column,
                    reason=reason.strip(),
                    progress=lambda share: bar.update(task, completed=share),
                )
            return done, whose

    done, whose = run(work())
    typer.echo(
        f"{done.rows:,} rows: {done.added:,} numbers added to {whose} do-not-call list, "
        f"{done.known:,} stood there, {done.refused:,} refused."
    )
    for refused in done.refusals[:_SHOWN]:
        typer.echo(f"  line {refused.line}: {refused.text!r}: {refused.reason}", err=True)
    if done.refused > _SHOWN:
        typer.echo(f"  … and {done.refused - _SHOWN:,} more", err=True)
    raise typer.Exit(1 if done.refused else 0)


@app.command()
def check(number: Number, region: Region = None) -> None:
    """Tell whether a number may be called, as far as the list goes. Exit status 1 when it is on a list."""
    from voiceagents.campaigns import do_not_call

    e164 = phone.normalize(number, region)

    async def work() -> "tuple[Sequence[DoNotCall], dict[UUID, str]]":
        async with database(load()) as opened, opened.transaction() as session:
            listed = await do_not_call.check(session, e164)
            return listed, await _names(session, listed)

    listed, names = run(work())
    if not listed:
        typer.echo(f"{e164} is on no do-not-call list.")
        return
    for entry in listed:
        whose = f'the campaign "{names[entry.campaign_id]}"\'s' if entry.campaign_id is not None else "everybody's"
        reason = f": {entry.reason}" if entry.reason else ""
        typer.echo(f"{e164} is on {whose} do-not-call list, since {entry.added_at.astimezone():%Y-%m-%d %H:%M}{reason}")
    raise typer.Exit(1)


@app.command("list")
def list_entries(
    campaign: Annotated[str | None, typer.Option(help="Only this campaign's own list.")] = None,
    removed: Annotated[bool, typer.Option("--removed", help="Those that were taken off, and why.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1_000_000, help="How many, the newest first.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the newest entries."""
    from voiceagents.campaigns import do_not_call

    async def work() -> "tuple[Sequence[DoNotCall], dict[UUID, str], int]":
        async with database(load()) as opened, opened.transaction() as session:
            campaign_id, _ = await _list_of(session, campaign)
            found = await do_not_call.entries(session, campaign_id=campaign_id, removed=removed, limit=limit)
            return found, await _names(session, found), await do_not_call.count(session)

    found, names, total = run(work())
    if as_json:
        typer.echo(json.dumps([_record(entry) for entry in found], indent=2, default=_plain))
        return
    if not found:
        typer.echo("Nothing was taken off." if removed else "The list is empty. Add a number:  voiceagents dnc add +1…")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("number", "list", "since", "reason", *(("removed", "because") if removed else ())):
        table.add_column(title, no_wrap=title != "reason")
    for entry in found:
        cells = [
            entry.phone,
            escape(names[entry.campaign_id]) if entry.campaign_id is not None else "everybody's",
            f"{entry.added_at.astimezone():%Y-%m-%d %H:%M}",
            escape(entry.reason),
        ]
        if removed and entry.removed_at is not None:
            cells += [f"{entry.removed_at.astimezone():%Y-%m-%d %H:%M}", escape(entry.removed_because or "")]
        table.add_row(*cells)
    console().print(table)
    if not removed and total > len(found):
        typer.echo(f"{len(found):,} of {total:,}; more with --limit.")


async def _list_of(session: "AsyncSession", campaign: str | None) -> tuple[UUID | None, str]:
    """Whose list is meant, by id and in words."""
    if campaign is None:
        return None, "everybody's"
    from voiceagents.campaigns import lifecycle

    found = await lifecycle.find(session, campaign)
    return found.id, f'the campaign "{found.name}"\'s'


async def _names(session: "AsyncSession", entries: "Sequence[DoNotCall]") -> dict[UUID, str]:
    """Names of the campaigns whose own lists these entries are on."""
    from sqlalchemy import select

    from voiceagents.campaigns.models import Campaign

    ids = {entry.campaign_id for entry in entries if entry.campaign_id is not None}
    rows = await session.execute(select(Campaign.id, Campaign.name).where(Campaign.id.in_(ids)))
    return {id_: name for id_, name in rows}


def _record(entry: "DoNotCall") -> dict[str, object]:
    return {column.key: getattr(entry, column.key) for column in entry.__table__.columns}


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
