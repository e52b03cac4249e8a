"""What does a person see of a simulation? Two confusion matrices, times, costs, and every call that went wrong."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from voiceagents.simulation.judging import Figures, Gate, Judged, matrix, percentiles

_WIDE = 150
_MOST_WRONG = 25


def show(judged: Sequence[Judged], gate: Gate, console: Console | None = None) -> int:
    """Prints the report. 0 when the gate opens, 1 when it does not."""
    console = console or Console(highlight=False, width=_WIDE)
    figures = Figures.of(judged)
    console.print(_matrix("Who answered (rows: really)", [(call.answers, call.decided) for call in judged]))
    console.print(_matrix("Outcomes (rows: persona)", [(call.persona, call.outcome) for call in judged]))
    console.print(_times(judged))
    kept = _share(figures.people_kept, figures.people)
    console.print(
        f"{figures.calls} calls, {figures.right} ended as they must ({_share(figures.right, figures.calls)}); "
        f"people not hung up on: {figures.people_kept} of {figures.people} ({kept}); "
        f"voicemails found: {figures.voicemails_found} of {figures.voicemails} "
        f"({_share(figures.voicemails_found, figures.voicemails)}); "
        f"opt-outs heeded: {figures.opt_outs_heeded} of {figures.opt_outs}"
    )
    console.print(
        f"costs: {sum(call.talk_seconds for call in judged) / 60:.1f} min of talk, "
        f"{sum(call.model_turns for call in judged)} answers of the model, "
        f"{sum(call.words_spoken for call in judged)} words spoken"
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
        ("end of the first words to our first sound, people", [call.seconds_to_first_audio for call in people]),
        ("end of our last words to BYE, where we ended it", [call.seconds_to_bye for call in judged]),
    ):
        known = [value for value in values if value is not None]
        spread = percentiles(known)
        table.add_row(what, str(len(known)), *(f"{spread[p]:.2f}" if spread else "" for p in ("p50", "p95")))
    return table


def _share(count: int, of: int) -> str:
    return f"{count / of:.1%}" if of else "none"
