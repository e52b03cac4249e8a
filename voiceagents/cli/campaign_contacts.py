"""`voiceagents campaign import` and `export`: contacts in, results out."""

import asyncio
import os
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Table

from voiceagents.cli.history import console
from voiceagents.cli.problems import Problem
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

if TYPE_CHECKING:
    from voiceagents.campaigns.contacts import Preview
    from voiceagents.campaigns.import_report import ImportReport
    from voiceagents.campaigns.models import Campaign
    from voiceagents.campaigns.tabular import Reading
    from voiceagents.db import Database

Name = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its name, its id, or how its id begins.")]

_SHOWN = 10
"""Refused rows that are printed; the file has them all."""


def import_file(
    campaign: Name,
    file: Annotated[Path, typer.Argument(help="CSV or .xlsx; - for pasted text on standard input.")],
    mapping: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="WHAT=COLUMN",
            help="What a column is, where the guess is wrong: phone=Mobile, name='Full name', email=, time_zone=, "
            "country=, ignore=, or a variable of your own. Several times.",
        ),
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what would be imported.")] = False,
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing", help="Add nobody when a single row is refused.")
    ] = False,
    region: Annotated[
        str | None, typer.Option(help="Country of numbers without a country code. [default: the campaign's]")
    ] = None,
    refused: Annotated[
        Path | None, typer.Option(help="Where refused rows go, with line and reason. [default: a temporary file]")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a text file. [default: found out]")] = None,
    delimiter: Annotated[
        str | None, typer.Option(help="Between the columns of a text file. [default: found out]")
    ] = None,
    header: Annotated[
        bool | None, typer.Option("--header/--no-header", help="Whether the first row is a header.", show_default=False)
    ] = None,
) -> None:
    """Add the contacts of a file to a campaign. Importing a file again adds nobody twice.

    Exit status 1 when rows were refused.
    """
    from voiceagents.campaigns.tabular import Reading

    order = ImportOrder(file, changes_of(mapping or []), Reading(header, encoding, delimiter), region)
    raise typer.Exit(run(_import(campaign, order, preview=preview, all_or_nothing=all_or_nothing, refused=refused)))


class ImportOrder:
    """What to read, and how."""

    def __init__(self, file: Path, changes: dict[str, str], reading: "Reading", region: str | None) -> None:
        from voiceagents.campaigns.tabular import Pasted

        self.source = Pasted(sys.stdin.read()) if str(file) == "-" else file
        self.changes = changes
        self.reading = reading
        self.region = region

    async def previewed(self, campaign: "Campaign") -> "Preview":
        """The first rows as contacts, with the columns as asked for."""
        from voiceagents.campaigns import contacts

        def look() -> "Preview":
            region = self.region_for(campaign)
            guessed = contacts.preview(self.source, default_region=region, reading=self.reading)
            if not self.changes:
                return guessed
            mapping = guessed.mapping.edited(self.changes)
            return contacts.preview(self.source, mapping=mapping, default_region=region, reading=self.reading)

        return await asyncio.to_thread(look)

    def region_for(self, campaign: "Campaign") -> str | None:
        """The country that numbers without a country code belong to."""
        return self.region or campaign.default_region


def changes_of(mapping: list[str]) -> dict[str, str]:
    """What was asked for with --map, by column.

    Raises:
        Problem: not written as WHAT=COLUMN.
    """
    changes: dict[str, str] = {}
    for text in mapping:
        what, separator, column = text.partition("=")
        if not separator or not what.strip() or not column.strip():
            raise Problem(f"--map {text}: write it as WHAT=COLUMN, such as phone=Mobile.")
        changes[column.strip()] = what.strip()
    return changes


async def _import(
    reference: str, order: ImportOrder, *, preview: bool, all_or_nothing: bool, refused: Path | None
) -> int:
    from voiceagents.campaigns import lifecycle

    async with database(load()) as opened:
        async with opened.transaction() as session:
            campaign = await lifecycle.find(session, reference)
        looked = await order.previewed(campaign)
        out = console()
        out.print(_columns(looked))
        for note in looked.notes:
            out.print(f"note: {escape(note)}", soft_wrap=True)
        if preview:
            _show_preview(out, looked)
            return 1 if looked.refused else 0
        report = await _imported(opened, campaign, order, looked, all_or_nothing=all_or_nothing, refused=refused)
        _show_report(out, report, campaign)
        return 1 if report.refused else 0


async def _imported(
    opened: "Database",
    campaign: "Campaign",
    order: ImportOrder,
    looked: "Preview",
    *,
    all_or_nothing: bool,
    refused: Path | None,
) -> "ImportReport":
    from voiceagents.campaigns import contacts

    with _bar() as bar:
        task = bar.add_task("reading", total=1.0, rows="")

        def progress(report: "ImportReport") -> None:
            bar.update(task, completed=report.share_read, rows=f"{report.read:,} rows, {report.added:,} added")

        return await contacts.import_contacts(
            opened,
            campaign.id,
            order.source,
            looked.mapping,
            default_region=order.region_for(campaign),
            all_or_nothing=all_or_nothing,
            progress=progress,
            error_file=refused,
            reading=order.reading,
        )


def _bar() -> Progress:
    """A progress bar on a terminal; nothing elsewhere."""
    errors = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rows]}"))
    return Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal)


def _columns(looked: "Preview") -> Table:
    """How the columns are understood."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("column", "is", "such as"):
        table.add_column(title, no_wrap=True)
    for index, (header, role) in enumerate(looked.mapping.roles()):
        table.add_row(escape(header), escape(role), escape(_example(looked, index, role)))
    return table


def _example(looked: "Preview", column: int, role: str) -> str:
    for _, contact in looked.contacts:
        match role:
            case "phone" | "email" | "time_zone" | "name":
                value = getattr(contact, role)
            case _:
                value = contact.variables.get(looked.mapping.variables.get(column, ""))
        if value:
            return str(value)[:40]
    return ""


def _show_preview(out: Console, looked: "Preview") -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("line", "phone", "name", "email", "time zone", "variables"):
        table.add_column(title, no_wrap=True)
    for line, contact in looked.contacts:
        variables = ", ".join(f"{name}={value}" for name, value in contact.variables.items())
        cells = (contact.phone, contact.name, contact.email, contact.time_zone or "", variables)
        table.add_row(str(line), *(escape(cell) for cell in cells))
    out.print()
    out.print(table)
    for row in looked.refused:
        out.print(f"[red]line {row.line}[/]: {escape(f'{row.value!r}: {row.reason}')}", soft_wrap=True)
    out.print("\nThe first rows. Nothing was imported (--preview).")


def _show_report(out: Console, report: "ImportReport", campaign: "Campaign") -> None:
    rate = f" in {report.seconds:.1f} s" if report.seconds >= 1 else ""
    parts = [f"{report.added:,} contacts added"]
    for number, words in (
        (report.held_back, "held back, because others were refused (--all-or-nothing)"),
        (report.duplicates_in_list, "in the list before"),
        (report.duplicates_in_file, "repeats in the file"),
        (report.refused, "refused"),
    ):
        if number:
            parts.append(f"{number:,} {words}")
    out.print(f"{report.read:,} rows{rate}: {', '.join(parts)}.", soft_wrap=True)
    for row in report.refused_rows[:_SHOWN]:
        out.print(f"  [red]line {row.line}[/]: {escape(f'{row.value!r}: {row.reason}')}", soft_wrap=True)
    if report.error_file is not None:
        out.print(
            f"All refused rows: {escape(str(report.error_file))}\nMend them there, and import that file.",
            soft_wrap=True,
        )
    for notice in report.warnings[:_SHOWN]:
        out.print(f"  line {notice.line}: {escape(notice.words)}", soft_wrap=True)
    if report.unknown_placeholders:
        names = ", ".join(f"{{{name.strip('{}')}}}" for name in report.unknown_placeholders)
        out.print(
            f"[yellow]No column fills {escape(names)} in the script of {escape(campaign.name)}:[/] "
            "it would be said as it stands there.",
            soft_wrap=True,
        )


def export(
    campaign: Name,
    file: Annotated[Path, typer.Argument(help="The CSV file to write; - for standard output.")],
    contacts_only: Annotated[
        bool, typer.Option("--contacts-only", help="Only the contacts as they were imported, without results.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False,
) -> None:
    """Write all contacts with what came of each to a CSV file, safe to open in a spreadsheet."""
    if str(file) != "-" and file.exists() and not force:
        raise Problem(f"{file} is there already; take another name, or --force.")
    rows = run(_export(campaign, file, contacts_only=contacts_only))
    if str(file) != "-":
        typer.echo(f"{rows:,} contacts are in {file}.")


async def _export(reference: str, file: Path, *, contacts_only: bool) -> int:
    from voiceagents.campaigns import contacts, lifecycle, results

    async with database(load()) as opened:
        async with opened.transaction() as session:
            campaign = await lifecycle.find(session, reference)
            count = (await lifecycle.progress(session, campaign.id)).contacts
        with _opened(file) as target:
            if contacts_only:
                async for block in contacts.export_contacts(opened, campaign.id):
                    target.write(block)
            else:
                target.write("\N{BYTE ORDER MARK}".encode())  # Excel reads UTF-8 only with it
                async with opened.transaction() as session:
                    async for piece in results.as_csv(session, campaign.id):
                        target.write(piece.encode("utf-8", "replace"))
    return count


def _opened(file: Path) -> IO[bytes]:
    if str(file) == "-":
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    try:
        return file.open("wb")
    except OSError as error:
        raise Problem(f"{file} cannot be written: {error.strerror}") from None
