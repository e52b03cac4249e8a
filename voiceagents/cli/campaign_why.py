"""`voiceagents campaign why CONTACT`: why somebody was called or not, and what comes next."""

import json
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Any, cast
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.markup import escape

from voiceagents.cli.history import console
from voiceagents.cli.problems import Problem
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

if TYPE_CHECKING:
    from voiceagents.campaigns.why import Story

_COLOUR = {"dial": "green", "retry": "cyan", "defer": "yellow", "hold": "yellow", "skip": "red", "finish": "bold"}
_SAID_ALREADY = {"now", "due", "zone_words", "local_time"}
"""Inputs that the line itself tells."""


def why(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[CAMPAIGN] CONTACT",
            help="The number in any form, the contact's id or how it begins; before it, if you like, the campaign.",
        ),
    ],
    campaign: Annotated[
        str | None, typer.Option(help="In this campaign only; otherwise in all that have the contact.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell why a contact was called, put off or skipped, in order, and what would be decided now."""
    from voiceagents import clock
    from voiceagents.campaigns import lifecycle
    from voiceagents.campaigns import why as reasons

    if len(words) > 2 or (len(words) == 2 and campaign is not None):
        raise Problem("Give one contact, and at most one campaign; a number or name with blanks needs quotes.")
    contact = words[-1]
    campaign = words[0] if len(words) == 2 else campaign

    async def work() -> "Sequence[Story]":
        async with database(load()) as opened, opened.transaction() as session:
            where = await lifecycle.find(session, campaign) if campaign is not None else None
            return await reasons.stories(session, contact, where, clock.now())

    found = run(work())
    if as_json:
        typer.echo(json.dumps([_record(story) for story in found], indent=2, default=_plain))
        return
    out = console()
    for index, story in enumerate(found):
        if index:
            out.print()
        _tell(out, story)


def _tell(out: Console, story: "Story") -> None:
    contact, campaign = story.contact, story.campaign
    name = f" ({contact.name})" if contact.name else ""
    out.print(
        f"[bold]{escape(contact.phone + name)}[/] in [bold]{escape(campaign.name)}[/], which is {campaign.state.value}",
        soft_wrap=True,
    )
    state = contact.state.value
    if contact.last_outcome:
        state += f", last outcome {contact.last_outcome}"
    attempts = "1 attempt" if contact.attempts == 1 else f"{contact.attempts} attempts"
    for label, value in (
        ("contact", str(contact.id)),
        ("state", f"{state}, {attempts}"),
        ("time zone", f"{', '.join(story.zones.names) or 'unknown'} ({story.zones.words})"),
    ):
        out.print(f"  {label:10} {escape(value)}", soft_wrap=True)
    day: date | None = None
    for record in story.records:
        at = record.at.astimezone()
        if at.date() != day:
            day = at.date()
            out.print(f"\n[bold]{at:%A %d %B %Y}[/]")
        verdict, when = record.verdict.value, f"{at:%H:%M:%S}"
        _line(out, when, verdict, record.rule, record.words, record.next_at, story)
        details = _details(record.inputs)
        if record.call_id is not None:
            details = f"call {str(record.call_id)[:8]}  {details}"
        if details.strip():
            out.print(f"            [dim]{escape(details)}[/]", soft_wrap=True)
    _tell_now(out, story)


def _tell_now(out: Console, story: "Story") -> None:
    if story.now is None:
        if not story.records:
            out.print("\nNothing was decided about this contact yet.")
        return
    out.print("\n[bold]Now it would be decided so[/]")
    now = story.now
    _line(out, "now", now.verdict.value, now.rule, now.words, now.next_at, story)
    if details := _details(now.inputs):
        out.print(f"            [dim]{escape(details)}[/]", soft_wrap=True)
    if story.held is not None:
        at = f"{story.held.at.astimezone():%a %d %b %H:%M:%S}"
        out.print(f"            what last held the whole campaign ({at}): {escape(story.held.words)}", soft_wrap=True)


def _line(out: Console, when: str, verdict: str, rule: str, words: str, next_at: datetime | None, story: Any) -> None:
    then = f"; next {both_clocks(next_at, story.zones.zones)}" if next_at is not None else ""
    verdict_ = f"[{_COLOUR.get(verdict, 'white')}]{verdict:6}[/]"
    out.print(f"  {when:8}  {verdict_}  {escape(words + then)}  [dim]({escape(rule)})[/]", soft_wrap=True)


def both_clocks(at: datetime, zones: Sequence[ZoneInfo]) -> str:
    """An instant by the contact's clock and by the reader's, once where they agree."""
    mine = at.astimezone()
    if not zones:
        return f"{mine:%a %d %b %H:%M} here"
    theirs = at.astimezone(zones[0])
    if theirs.utcoffset() == mine.utcoffset():
        return f"{theirs:%a %d %b %H:%M} in {zones[0].key}"
    return f"{theirs:%a %d %b %H:%M} in {zones[0].key}, {mine:%a %d %b %H:%M} here"


def _details(inputs: dict[str, Any]) -> str:
    return "  ".join(
        f"{key}={_in_words(value)}"
        for key, value in inputs.items()
        if key not in _SAID_ALREADY and value not in (None, "", [])
    )


def _in_words(value: object) -> str:
    return "|".join(str(one) for one in cast("list[object]", value)) if isinstance(value, list) else str(value)


def _record(story: "Story") -> dict[str, Any]:
    contact = story.contact
    return {
        "contact": {
            "id": contact.id,
            "phone": contact.phone,
            "name": contact.name,
            "state": contact.state,
            "attempts": contact.attempts,
            "last_outcome": contact.last_outcome,
            "next_at": contact.next_at,
            "zones": story.zones.names,
            "zone_source": story.zones.source,
        },
        "campaign": {"id": story.campaign.id, "name": story.campaign.name, "state": story.campaign.state},
        "decisions": [
            {
                "at": one.at,
                "verdict": one.verdict,
                "rule": one.rule,
                "words": one.words,
                "inputs": one.inputs,
                "next_at": one.next_at,
                "call_id": one.call_id,
            }
            for one in story.records
        ],
        "now": {
            "verdict": story.now.verdict,
            "rule": story.now.rule,
            "words": story.now.words,
            "inputs": story.now.inputs,
            "next_at": story.now.next_at,
        }
        if story.now is not None
        else None,
    }


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
