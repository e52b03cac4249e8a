"""`voiceagents campaign list`, `status`, `watch`: how campaigns are doing."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from voiceagents.cli.history import console
from voiceagents.cli.problems import INTERRUPTED
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

if TYPE_CHECKING:
    from voiceagents.calls.models import Call
    from voiceagents.campaigns.lifecycle import Progress
    from voiceagents.campaigns.status import Status
    from voiceagents.db import Database

Name = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its name, its id, or how its id begins.")]

_STATES = ("waiting", "calling", "done", "skipped", "cancelled")
_COLOUR = {"waiting": "white", "calling": "cyan", "done": "green", "skipped": "yellow", "cancelled": "dim"}
_OVER = ("completed", "cancelled", "archived")
_BAR = 60
_PERIOD = 1.0
"""Seconds between two looks while watching; more when looking takes long, as with a very long list."""


def list_campaigns(
    everything: Annotated[bool, typer.Option("--all", help="Archived ones, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List campaigns, the newest first, with how far each has come."""
    from voiceagents.campaigns import status as statuses

    async def work() -> "list[statuses.Line]":
        async with database(load()) as opened, opened.transaction() as session:
            return await statuses.overview(session, archived=everything)

    lines = run(work())
    if as_json:
        typer.echo(json.dumps([_line_record(line) for line in lines], indent=2))
        return
    if not lines:
        typer.echo("No campaigns yet. Create one:  voiceagents campaign create NAME --prompt '…'")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("id", "name", "state"):
        table.add_column(title, no_wrap=True)
    for title in ("contacts", *_STATES):
        table.add_column(title, justify="right")
    for line in lines:
        counts = [str(line.counts.get(state, 0)) for state in _STATES]
        table.add_row(
            str(line.campaign.id)[:8],
            escape(line.campaign.name),
            line.campaign.state.value,
            str(line.contacts),
            *counts,
        )
    console().print(table)


def status(
    campaign: Name,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show how a campaign is doing: counts, outcomes, calls, what holds it, and when it will be finished."""

    async def work() -> "Status":
        async with database(load()) as opened:
            return await _read(opened, campaign)

    now = run(work())
    if as_json:
        typer.echo(json.dumps(record(now), indent=2, default=_plain))
    else:
        console().print(picture(now))


def watch(campaign: Name) -> None:
    """Follow a campaign until it is over; on a terminal as a picture, else as lines. Ctrl-C stops only the watching.

    Exit status 0 when the campaign is over, 130 after Ctrl-C.
    """
    raise typer.Exit(run(_watch(campaign)))


async def _watch(reference: str) -> int:
    out = console()
    async with database(load()) as opened:
        try:
            if out.is_terminal:
                with Live(console=out, refresh_per_second=4) as live:
                    async for now in _looks(opened, reference):
                        live.update(picture(now))
            else:
                await _lines(opened, reference, out)
        except asyncio.CancelledError:
            typer.echo("The campaign goes on without you.", err=True)
            return INTERRUPTED
    return 0


async def _lines(opened: "Database", reference: str, out: Console) -> None:
    """A line whenever the counts change, and one for each call that ends."""
    said = ""
    async for now in _looks(opened, reference):
        if (line := _in_a_line(now)) != said:
            said = line
            out.print(f"{datetime.now():%H:%M:%S}  {line}", markup=False, soft_wrap=True)  # noqa: DTZ005  the wall clock


async def _looks(opened: "Database", reference: str) -> "AsyncGenerator[Status]":
    """The status now and about every second, until the campaign is over."""
    while True:
        started = time.monotonic()
        now = await _read(opened, reference)
        reference = str(now.campaign.id)  # a new name does not lose it
        yield now
        if now.campaign.state.value in _OVER and not now.in_flight:
            return
        took = time.monotonic() - started
        # Another process's work: there are events for the engines, none for every count.
        await asyncio.sleep(max(_PERIOD, 5 * took))


async def _read(opened: "Database", reference: str) -> "Status":
    from voiceagents import clock
    from voiceagents.campaigns import lifecycle
    from voiceagents.campaigns import status as statuses

    async with opened.transaction() as session:
        found = await lifecycle.find(session, reference)
        return await statuses.read(session, found, clock.now())


def picture(now: "Status") -> Group:
    """The status for a person."""
    campaign, counts = now.campaign, now.progress
    head = Text.assemble((campaign.name, "bold"), f"  {str(campaign.id)[:8]}  ", (campaign.state.value, "bold cyan"))
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column()
    if now.hold is not None:
        until = f", until {moment(now.hold.until)}" if now.hold.until is not None else ""
        facts.add_row("waits", escape(f"{now.hold.words}{until}"))
    facts.add_row("contacts", f"{_numbers(counts)} = {counts.contacts}")
    facts.add_row("", _bar(counts))
    if counts.outcomes:
        facts.add_row("outcomes", ", ".join(f"{outcome} {number}" for outcome, number in counts.outcomes.items()))
    if now.forecast is not None:
        at = moment(now.forecast.finish) if now.forecast.finish is not None else "not in sight"
        facts.add_row("finished", escape(f"{at}: {now.forecast.words}"))
    parts: list[Any] = [head, facts]
    if now.in_flight:
        parts += [Text(""), _calls(now.in_flight)]
    return Group(*parts)


def moment(at: datetime | None) -> str:
    """An instant by the reader's clock."""
    return f"{at.astimezone():%a %d %b %H:%M:%S}" if at is not None else "-"


def _numbers(counts: "Progress") -> str:
    return " + ".join(f"{getattr(counts, state)} {state}" for state in _STATES)


def _bar(counts: "Progress") -> Text:
    bar = Text()
    for state in ("done", "calling", "skipped", "cancelled", "waiting"):
        share = getattr(counts, state) / counts.contacts if counts.contacts else 0
        bar.append(("░" if state == "waiting" else "█") * round(share * _BAR), style=_COLOUR[state])
    return bar


def _calls(calls: "Any") -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("call", "number", "name", "state"):
        table.add_column(title, no_wrap=True)
    table.add_column("since", justify="right", no_wrap=True)
    for call in calls[:20]:
        table.add_row(
            str(call.id)[:8],
            escape(call.to_number or ""),
            escape(call.contact_name or ""),
            f"[cyan]{call.state.value}[/]",
            f"{_seconds_in_state(call):.0f} s",
        )
    if len(calls) > 20:
        table.add_row("…", f"and {len(calls) - 20} more", "", "", "")
    return table


def _seconds_in_state(call: "Call") -> float:
    from voiceagents import clock

    since = call.answered_at or call.ringing_at or call.dialing_at or call.dispatched_at or call.created_at
    return max(0.0, (clock.now() - since).total_seconds())


def _in_a_line(now: "Status") -> str:
    counts = now.progress
    outcomes = ", ".join(f"{outcome} {number}" for outcome, number in counts.outcomes.items())
    hold = f"; waits: {now.hold.words}" if now.hold is not None else ""
    return (
        f"{now.campaign.state.value}: {counts.contacts} contacts: {_numbers(counts).replace(' +', ',')}"
        + (f"; {outcomes}" if outcomes else "")
        + hold
    )


def record(now: "Status") -> dict[str, Any]:
    """The status for JSON."""
    campaign = now.campaign
    return {
        "id": campaign.id,
        "name": campaign.name,
        "state": campaign.state,
        "pause_cause": campaign.pause_cause,
        "starts_at": campaign.starts_at,
        "started_at": campaign.started_at,
        "finished_at": campaign.finished_at,
        "counts": asdict(now.progress),
        "in_flight": [
            {"call_id": call.id, "contact_id": call.contact_id, "number": call.to_number, "state": call.state}
            for call in now.in_flight
        ],
        "hold": asdict(now.hold) if now.hold is not None else None,
        "forecast": asdict(now.forecast) if now.forecast is not None else None,
        "agents": now.agents,
        "engines": now.engines,
    }


def _line_record(line: Any) -> dict[str, Any]:
    counts = {state: line.counts.get(state, 0) for state in _STATES}
    return {
        "id": str(line.campaign.id),
        "name": line.campaign.name,
        "state": line.campaign.state.value,
        "contacts": line.contacts,
        **counts,
    }


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
