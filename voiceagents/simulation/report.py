"""What does a person see of a simulation? Two confusion matrices, times, costs, and every call that went wrong."""

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from voiceagents.simulation.costs import Used
from voiceagents.simulation.judging import Figures, Gate, Judged, matrix, percentiles

_WIDE = 150
_MOST_WRONG = 25
_VERDICTS = ("pass", "maybe", "fail")


def show(judged: Sequence[Judged], gate: Gate, console: Console | None = None) -> int:
    """Prints the report. 0 when the gate opens, 1 when it does not."""
    console = console or Console(highlight=False, width=_WIDE)
    figures = Figures.of(judged)
    console.print(_matrix("Who answered (rows: really)", [(call.answers, call.decided) for call in judged]))
    console.print(_matrix("Outcomes (rows: persona)", [(call.persona, call.outcome) for call in judged]))
    console.print(_times(judged))
    console.print(_costs(judged))
    if any(call.verdicts or call.unjudged for call in judged):
        _show_verdicts(judged, console)
    kept = _share(figures.people_kept, figures.people)
    console.print(
        f"{figures.calls} calls, {figures.right} ended as they must ({_share(figures.right, figures.calls)}); "
        f"people not hung up on: {figures.people_kept} of {figures.people} ({kept}); "
        f"voicemails found: {figures.voicemails_found} of {figures.voicemails} "
        f"({_share(figures.voicemails_found, figures.voicemails)}); "
        f"opt-outs heeded: {figures.opt_outs_heeded} of {figures.opt_outs}"
    )
    wrong = [call for call in judged if not call.right]
    for call in wrong[:_MOST_WRONG]:
        why = "; ".join(call.problems) or f"ended as {call.outcome}, not {' or '.join(call.expected)}"
        console.print(f"  {call.number} {call.persona}: {why} (taken for {call.decided})")
        for line in (*call.decisions, *call.said):
            console.print(f"      {line}", markup=False)
    if len(wrong) > _MOST_WRONG:
        console.print(f"  … and {len(wrong) - _MOST_WRONG} more")
    shortfalls = figures.short_of(gate)
    for shortfall in shortfalls:
        console.print(f"NOT REACHED: {shortfall}")
    return 1 if shortfalls else 0


def _matrix(title: str, pairs: Sequence[tuple[str, str]]) -> Table:
    rows, columns, counts = matrix(pairs)
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row, *(str(counts[row, column] or "·") for column in columns))
    return table


def _times(judged: Sequence[Judged]) -> Table:
    table = Table(title="Times (seconds)", title_justify="left")
    for column in ("what", "calls", "p50", "p95"):
        table.add_column(column, justify="left" if column == "what" else "right")
    people = [call for call in judged if call.is_person]
    machines = [call for call in judged if not call.is_person]
    for what, values in (
        ("answer to decision, people", [call.seconds_to_decide for call in people]),
        ("answer to decision, machines", [call.seconds_to_decide for call in machines]),
        (
            "end of a short hello to our first sound",
            [call.seconds_to_first_audio for call in people if call.said_hello],
        ),
        (
            "end of longer first words to our first sound",
            [call.seconds_to_first_audio for call in people if not call.said_hello],
        ),
        ("end of our last words to BYE, where we ended it", [call.seconds_to_bye for call in judged]),
    ):
        known = [value for value in values if value is not None]
        spread = percentiles(known)
        table.add_row(what, str(len(known)), *(f"{spread[p]:.2f}" if spread else "" for p in ("p50", "p95")))
    return table


def _costs(judged: Sequence[Judged]) -> Table:
    minutes = sum(call.talk_seconds for call in judged) / 60
    turns = sum(call.model_turns for call in judged)
    table = Table(title=f"Costs ({minutes:.1f} minutes of talk, {turns} answers of the model)", title_justify="left")
    for column in ("what", "all calls", "per call", "dearest call"):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name in Used.model_fields:
        each = [float(getattr(call.used, name)) for call in judged] or [0.0]
        figures = (sum(each), sum(each) / len(each), max(each))
        table.add_row(name.replace("_", " "), *(f"{figure:,.0f}" for figure in figures))
    return table


def _show_verdicts(judged: Sequence[Judged], console: Console) -> None:
    verdicts = [(call, each) for call in judged for each in call.verdicts]
    counts = Counter((each.judge, each.verdict) for _, each in verdicts)
    table = Table(title="livekit-agents' judges, of calls with people", title_justify="left")
    for column in ("judge", *_VERDICTS):
        table.add_column(column, justify="left" if column == "judge" else "right")
    for judge in dict.fromkeys(each.judge for _, each in verdicts):
        table.add_row(judge, *(str(counts[judge, verdict]) for verdict in _VERDICTS))
    console.print(table)
    failed = [(call, each) for call, each in verdicts if each.verdict == "fail"]
    for call, each in failed[:_MOST_WRONG]:
        console.print(f"  {call.number} {call.persona}, {each.judge}: {each.reasoning[:200]}", markup=False)
    if len(failed) > _MOST_WRONG:
        console.print(f"  … and {len(failed) - _MOST_WRONG} more")
    if unjudged := sum(call.unjudged for call in judged):
        console.print(f"  {unjudged} verdicts are missing: the model did not answer")


def _share(count: int, of: int) -> str:
    return f"{count / of:.1%}" if of else "none"
