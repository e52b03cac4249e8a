"""What came of the demo? Outcomes, what was said, where everything is, and the agent's own lines about it."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from voiceagents.calls.states import Speaker
from voiceagents.demo.servers import Servers

if TYPE_CHECKING:
    from voiceagents.demo.run import Result

_SPEC_LINES = re.compile("(OUTBOUND|INBOUND|DISPATCH)")


def show(console: Console, results: "Sequence[Result]", servers: Servers, campaign: str) -> None:
    """Prints it all."""
    console.print("\n[bold]What was said[/]")
    for result in results:
        if result.last is not None and result.last.turns:
            _transcript(console, result)
    console.print("\n[bold]The agent's log[/], by " + escape(f'grep -E "{_SPEC_LINES.pattern}" {servers.agent_log}'))
    for line in servers.agent_log.read_text(errors="replace").splitlines():
        if _SPEC_LINES.search(line):
            console.print(line, markup=False, soft_wrap=True)
    console.print("\n[bold]How each call ended[/] (INVITEs: how often the carrier saw the number dialled)")
    console.print(_outcomes(results))
    _where(console, servers, campaign)
    unexpected = [result for result in results if not result.as_expected]
    if not unexpected:
        console.print(f"\n[bold green]All {len(results)} calls ended as expected.[/]")
    for result in unexpected:
        console.print(f"[bold red]Not as expected:[/] {escape(_difference(result))}", soft_wrap=True)


def show_kept(console: Console, servers: Servers) -> None:
    """How to use and to end what was left running."""
    console.print("\n[bold]Everything still runs.[/] To use it in a shell:")
    for name, value in {"VOICEAGENTS_DATA": str(servers.folder), **servers.lab.env()}.items():
        console.print(f"  export {name}={value}", markup=False, soft_wrap=True)
    console.print(
        "To call somebody:  voiceagents call +12025550101 --name Ana --prompt 'Hello {name}, …'", markup=False
    )
    console.print(f"To end it:  VOICEAGENTS_DATA={servers.folder} voiceagents down", markup=False, soft_wrap=True)


def _transcript(console: Console, result: "Result") -> None:
    assert result.last is not None
    console.print(f"\n  [bold]{result.row.name}[/] {result.row.number}: {result.row.behaviour}")
    for turn in result.last.turns:
        ours = turn.speaker is Speaker.AGENT
        speaker = "[magenta]agent[/]" if ours else f"[blue]{result.row.name.split()[0]}[/]"
        cut = " [dim](interrupted)[/]" if turn.interrupted else ""
        console.print(
            f"    {turn.started_at.astimezone():%H:%M:%S}  {speaker}: {escape(turn.text)}{cut}", soft_wrap=True
        )


def _outcomes(results: "Sequence[Result]") -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
    for title in ("who", "number", "behaviour", "outcome"):
        table.add_column(title, no_wrap=True)
    table.add_column("talk", justify="right", no_wrap=True)
    table.add_column("INVITEs", justify="right", no_wrap=True)
    table.add_column("cause", no_wrap=True, overflow="ellipsis", ratio=1)
    for result in results:
        call = result.last.call if result.last is not None else None
        colour = "green" if result.as_expected else "red"
        table.add_row(
            result.row.name,
            result.row.number,
            result.row.behaviour,
            f"[{colour}]{result.row.state}[/]",
            f"{call.talk_seconds:.0f} s" if call is not None and call.answered_at else "",
            str(result.invites),
            escape(call.cause or "") if call is not None else "",
        )
    return table


def _where(console: Console, servers: Servers, campaign: str) -> None:
    carrier = servers.lab.folder / "carrier"
    console.print()
    for label, place in (
        ("history", f"VOICEAGENTS_DATA={servers.folder} voiceagents calls"),
        ("campaign", f"VOICEAGENTS_DATA={servers.folder} voiceagents campaign status '{campaign}'"),
        ("why, for David", f"VOICEAGENTS_DATA={servers.folder} voiceagents campaign why +12025550104"),
        ("recordings", f"{carrier / 'recordings'} (WAV; left what the phone heard, right what it said)"),
        ("what was dialled", str(carrier / "invites.jsonl")),
        ("agent's log", str(servers.agent_log)),
        ("engine's log", str(servers.engine_log)),
    ):
        console.print(f"[bold]{label:17}[/]{escape(place)}", soft_wrap=True)


def _difference(result: "Result") -> str:
    who = f"{result.row.name} ({result.row.behaviour})"
    if result.last is None:
        return f"{who}: the agent never took the call"
    if not result.last.ended:
        return f"{who}: the call did not end; it is {result.last.call.state.value}"
    call = result.last.call
    found = f"{call.outcome.value if call.outcome else 'no outcome'} ({call.cause})"
    if call.outcome is not result.expected:
        return f"{who}: {found} instead of {result.expected.value}; `voiceagents calls show {str(call.id)[:8]}`"
    return f"{who}: the carrier saw {result.invites} INVITEs instead of {result.invites_expected}"
