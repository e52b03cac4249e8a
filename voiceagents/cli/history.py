"""`voiceagents calls …`: what happened on the phone."""

import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voiceagents.calls.states import CallState, Direction, Outcome, Speaker
from voiceagents.cli.problems import Commands, Problem
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from voiceagents.calls.models import Call, CallEvent, Message, ToolCall, Turn

app = typer.Typer(cls=Commands, invoke_without_command=True, help="The history: list calls, or show one.")

_COLOUR = {
    Outcome.COMPLETED: "green",
    Outcome.CALLBACK_REQUESTED: "green",
    Outcome.FAILED: "red",
    Outcome.NO_CAPACITY: "red",
    Outcome.INVALID_NUMBER: "red",
}
_WIDE = 160
"""Columns of a table that nobody watches: a pipe has no width."""

_BAR = 30
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@app.callback()
def list_calls(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10000, help="How many, the newest first.")] = 20,
    campaign: Annotated[str | None, typer.Option(help="Only calls of this campaign: its name or id.")] = None,
    direction: Annotated[Direction | None, typer.Option(help="Only calls in this direction.")] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only calls with this outcome.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """The history: list calls, or show one."""
    if context.invoked_subcommand is not None:
        return
    from voiceagents.calls import history

    async def work() -> "Sequence[Call]":
        async with database(load()) as opened, opened.transaction() as session:
            campaign_id = await _campaign_id(session, campaign) if campaign is not None else None
            page = history.Page(limit=limit, campaign_id=campaign_id, direction=direction, outcome=outcome)
            return await history.calls(session, page)

    found = run(work())
    if as_json:
        typer.echo(json.dumps([record(call) for call in found], indent=2, default=_plain))
    elif found:
        console().print(calls_table(found))
        typer.echo("Show one:  voiceagents calls show ID")
    elif campaign or direction or outcome:
        typer.echo("No call fits. Without filters:  voiceagents calls")
    else:
        typer.echo("No calls yet. Place one:  voiceagents call +1… --prompt '…'    Or try it all:  voiceagents demo")


async def _campaign_id(session: "AsyncSession", reference: str) -> str:
    """The id of one of our campaigns, or else what was typed: a dispatcher of one's own has ids of its own."""
    from voiceagents.campaigns import lifecycle

    with suppress(lifecycle.CampaignProblem):
        return str((await lifecycle.find(session, reference)).id)
    return reference


@app.command()
def show(
    call_id: Annotated[str, typer.Argument(metavar="ID", help="The call's id, or how it starts.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show one call: what happened when, what was said, and how fast we answered."""

    async def work() -> "Story":
        async with database(load()) as opened:
            return await _story(opened, call_id)

    story = run(work())
    if as_json:
        typer.echo(json.dumps(story.record(), indent=2, default=_plain))
    else:
        story.print(console())


def console() -> Console:
    """Standard output; wide when it is no terminal."""
    plain = Console(highlight=False)
    return plain if plain.is_terminal else Console(highlight=False, width=_WIDE)


def calls_table(calls: "Iterable[Call]") -> Table:
    """One line a call."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for title in ("id", "when", "way", "number", "name", "outcome"):
        table.add_column(title, no_wrap=True)
    table.add_column("talk", justify="right", no_wrap=True)
    table.add_column("cause", overflow="ellipsis", no_wrap=True, ratio=1)
    for call in calls:
        table.add_row(
            str(call.id)[:8],
            f"{call.created_at.astimezone():%b %d %H:%M:%S}",
            "out" if call.direction is Direction.OUTBOUND else "in",
            escape(other_end(call) or "hidden"),
            escape(call.contact_name or ""),
            outcome_of(call),
            f"{call.talk_seconds:.0f} s" if call.answered_at and call.ended_at else "",
            escape(call.cause or ""),
        )
    return table


def other_end(call: "Call") -> str | None:
    """The person's number."""
    return call.to_number if call.direction is Direction.OUTBOUND else call.from_number


def decided_by(call: "Call") -> str:
    """The words that the outcome rests on."""
    told = [each for each in call.evidence or [] if each.get("decided") == "outcome"]
    return f'"{told[-1]["text"]}"' if told else ""


def outcome_of(call: "Call") -> str:
    """Outcome or, of a call under way, its state, with its colour."""
    if call.outcome is None:
        return f"[cyan]{call.state.value} …[/]"
    return f"[{_COLOUR.get(call.outcome, 'yellow')}]{call.outcome.value}[/]"


def record(call: "Call") -> dict[str, Any]:
    """The call's row for JSON."""
    columns = {column.key: getattr(call, column.key) for column in call.__table__.columns}
    return columns | {"talk_seconds": round(call.talk_seconds, 3)}


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


@dataclass(frozen=True)
class Story:
    """One call with all that is known of it."""

    call: "Call"
    turns: "Sequence[Turn]"
    events: "Sequence[CallEvent]"
    tools: "Sequence[ToolCall]" = ()
    messages: "Sequence[Message]" = ()

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return {
            **record(self.call),
            "timeline": [{"at": at, "what": what, "detail": detail} for at, what, detail in self.timeline()],
            "messages": [
                {
                    "at": message.at,
                    "kind": message.kind,
                    "text": message.text,
                    "from_name": message.from_name,
                    "from_number": message.from_number,
                    "wanted_when": message.wanted_when,
                    "handled_at": message.handled_at,
                }
                for message in self.messages
            ],
            "transcript": [
                {
                    "speaker": turn.speaker,
                    "text": turn.text,
                    "started_at": turn.started_at,
                    "ended_at": turn.ended_at,
                    "interrupted": turn.interrupted,
                    "latencies": turn.latencies,
                }
                for turn in self.turns
            ],
        }

    def timeline(self) -> list[tuple[datetime, str, dict[str, Any]]]:
        """States, events and the use of tools, in order."""
        call = self.call
        times = {
            CallState.QUEUED: call.created_at,
            CallState.DISPATCHED: call.dispatched_at,
            CallState.DIALING: call.dialing_at,
            CallState.RINGING: call.ringing_at,
            CallState.ANSWERED: call.answered_at,
            CallState.ENDED: call.ended_at,
        }
        if call.direction is Direction.INBOUND:
            del times[CallState.QUEUED]
        lines = [(at, state.value, dict[str, Any]()) for state, at in times.items() if at is not None]
        lines += [(event.at, event.kind, event.detail) for event in self.events]
        lines += [(tool.started_at, f"tool {tool.tool}", tool_detail(tool)) for tool in self.tools]
        return sorted(lines, key=lambda line: line[0])

    def print(self, out: Console) -> None:
        """For a person."""
        call = self.call
        way = "to" if call.direction is Direction.OUTBOUND else "from"
        name = f" ({call.contact_name})" if call.contact_name else ""
        out.print(f"[bold]Call {way} {escape((other_end(call) or 'a hidden number') + name)}[/]  {outcome_of(call)}")
        for label, value in self._facts():
            if value:
                out.print(f"  {label:12} {escape(value)}", soft_wrap=True)
        out.print("\n[bold]Timeline[/]")
        start = self.timeline()[0][0]
        for at, what, detail in self.timeline():
            extra = "  ".join(f"{key}={value}" for key, value in detail.items())
            out.print(
                f"  {at.astimezone():%H:%M:%S}  +{(at - start).total_seconds():6.2f} s  {escape(f'{what}  {extra}')}",
                soft_wrap=True,
            )
        if self.messages:
            out.print("\n[bold]Messages[/]")
            for message in self.messages:
                out.print(f"  {escape(message_line(message))}", soft_wrap=True)
        if self.turns:
            out.print("\n[bold]Transcript[/]")
            for line in transcript_lines(self.turns, call.contact_name or "person"):
                out.print(f"  {line}", soft_wrap=True)
            self._print_latencies(out)
        elif call.answered_at:
            out.print("\nNothing was said, or nothing was understood.")

    def _facts(self) -> list[tuple[str, str]]:
        call = self.call
        assistant = " ".join(filter(None, (call.assistant_name, call.assistant_id and f"({call.assistant_id})")))
        sip = f"{call.sip_status} {call.sip_reason or ''}".strip() if call.sip_status else ""
        return [
            ("id", str(call.id)),
            ("cause", call.cause or ""),
            ("answered by", call.answered_by.value if call.answered_by else ""),
            ("decided by", decided_by(call)),
            ("summary", call.summary or ""),
            ("fields", json.dumps(call.extracted, ensure_ascii=False) if call.extracted else ""),
            ("ended by", call.ended_by.value if call.ended_by else ""),
            ("SIP status", sip),
            ("talk", f"{call.talk_seconds:.1f} s" if call.answered_at and call.ended_at else ""),
            ("our number", (call.from_number if call.direction is Direction.OUTBOUND else call.to_number) or ""),
            ("assistant", assistant),
            ("campaign", f"{call.campaign_id}, attempt {call.attempt or 1}" if call.campaign_id else ""),
            ("trunk", call.trunk_id or ""),
            ("room", call.room_name or ""),
            ("SIP call id", call.sip_call_id or str(call.details.get("sip_call_id", ""))),
        ]

    def _print_latencies(self, out: Console) -> None:
        answered = [turn for turn in self.turns if "e2e_latency" in turn.latencies]
        if not answered:
            return
        slowest = max(float(turn.latencies["e2e_latency"]) for turn in answered)
        out.print("\n[bold]How fast we answered[/] (from the person's last word to our first)")
        for turn in answered:
            seconds = float(turn.latencies["e2e_latency"])
            parts = ", ".join(
                f"{label} {float(turn.latencies[key]):.2f}"
                for key, label in (("llm_ttft", "model"), ("tts_ttfb", "voice"))
                if key in turn.latencies
            )
            at = f"{turn.started_at.astimezone():%H:%M:%S}"
            out.print(f"  {at}  [cyan]{bar(seconds / slowest):{_BAR}}[/] {seconds:5.2f} s  ({parts})", soft_wrap=True)


def tool_detail(tool: "ToolCall") -> dict[str, Any]:
    """How the use of a tool went, with what, and what came of it."""
    detail: dict[str, Any] = {"status": tool.status.value}
    if tool.ended_at is not None:
        detail["seconds"] = round((tool.ended_at - tool.started_at).total_seconds(), 2)
    given = {name: value for name, value in tool.arguments.items() if value is not None}
    return detail | {"arguments": given, "result": tool.result or ""}


def message_line(message: "Message") -> str:
    """A message or the wish for a callback, in one line."""
    who = " ".join(filter(None, (message.from_name, message.from_number))) or "a hidden number"
    when = f" ({message.wanted_when})" if message.wanted_when else ""
    done = "" if message.handled_at is None else "  [handled]"
    return f"{message.at.astimezone():%H:%M:%S}  {message.kind.value} from {who}{when}: {message.text or '-'}{done}"


def transcript_lines(turns: "Iterable[Turn]", person: str) -> list[str]:
    """One line a turn, with markup."""
    lines: list[str] = []
    for turn in turns:
        ours = turn.speaker is Speaker.AGENT
        speaker = "[magenta]agent[/]" if ours else f"[blue]{escape(person)}[/]"
        cut = " [dim](interrupted)[/]" if turn.interrupted else ""
        lines.append(f"{turn.started_at.astimezone():%H:%M:%S}  {speaker}: {escape(turn.text)}{cut}")
    return lines


def bar(share: float, width: int = _BAR) -> str:
    """A bar of block characters, `share` of `width` long."""
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip()


async def _story(opened: Any, prefix: str) -> Story:
    from voiceagents.calls import history

    async with opened.transaction() as session:
        call = await history.find_call(session, prefix.strip())
        if call is None:
            raise Problem(
                f"No call, or more than one, has an id that starts with {prefix!r}: `voiceagents calls` lists them."
            )
        return Story(
            call,
            await history.transcript(session, call.id),
            await history.timeline(session, call.id),
            await history.tool_calls(session, call.id),
            await history.messages(session, call.id),
        )
