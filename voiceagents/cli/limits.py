"""`voiceagents limits …`: how much may run at once, in all and by trunk."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from voiceagents.cli.history import console
from voiceagents.cli.problems import Commands, Problem
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

if TYPE_CHECKING:
    from voiceagents.campaigns.models import Installation, TrunkLimits

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Limits of the whole installation and of each trunk; changes are felt at once, also while calls run.",
)

_NONE = ("none", "unlimited")


@app.command()
def show() -> None:
    """Show all limits, and how much of each is in use."""
    from voiceagents.campaigns import limits

    async def work() -> "tuple[Installation, Sequence[TrunkLimits], dict[str | None, int]]":
        async with database(load()) as opened, opened.transaction() as session:
            whole = await limits.installation(session)
            return whole, await limits.trunks(session), await limits.in_use(session)

    whole, trunks, used = run(work())
    typer.echo(
        f"In all: {_most(whole.max_concurrent)} calls at once, {whole.kept_for_inbound} kept free for people who call "
        f"us; {sum(used.values())} in use."
    )
    if whole.hold_cause and whole.hold_until is not None:
        typer.echo(f"  rests until {whole.hold_until.astimezone():%H:%M:%S}: {whole.hold_cause}")
    if not trunks:
        typer.echo("No trunk was used or limited yet: each has 10 calls at once and 1 call a second.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("trunk", no_wrap=True)
    for title in ("at once", "in use", "calls a second"):
        table.add_column(title, justify="right")
    table.add_column("rests")
    for trunk in trunks:
        rests = ""
        if trunk.hold_until is not None:
            rests = f"until {trunk.hold_until.astimezone():%H:%M:%S}: {trunk.hold_cause}"
        table.add_row(
            trunk.trunk_id, _most(trunk.max_concurrent), str(used.get(trunk.trunk_id, 0)),
            _most(trunk.calls_per_second), rests,
        )  # fmt: skip
    console().print(table)


@app.command("set")
def set_installation(
    concurrent: Annotated[str | None, typer.Option(help="Most calls at once, inbound ones too, or none.")] = None,
    kept_for_inbound: Annotated[
        int | None, typer.Option(min=0, max=100_000, help="Places that campaigns leave free for people who call us.")
    ] = None,
) -> None:
    """Set the limits of the whole installation."""
    from voiceagents.campaigns import limits

    columns: dict[str, Any] = {}
    if concurrent is not None:
        columns["max_concurrent"] = _count("--concurrent", concurrent)
    if kept_for_inbound is not None:
        columns["kept_for_inbound"] = kept_for_inbound
    if not columns:
        raise Problem("Nothing to set was given: --concurrent N, --kept-for-inbound N.")

    async def work() -> "Installation":
        async with database(load()) as opened, opened.transaction() as session:
            return await limits.set_installation(session, **columns)

    whole = run(work())
    typer.echo(f"In all: {_most(whole.max_concurrent)} calls at once, {whole.kept_for_inbound} kept free for inbound.")


@app.command("trunk")
def set_trunk(
    trunk: Annotated[str, typer.Argument(metavar="ST_…", help="LiveKit's id of the SIP trunk.")],
    concurrent: Annotated[str | None, typer.Option(help="Most calls at once, or none.")] = None,
    cps: Annotated[str | None, typer.Option(help="Most calls started in a second, or none.")] = None,
) -> None:
    """Set the limits of one trunk, as its carrier has them."""
    from voiceagents.campaigns import limits
    from voiceagents.phone import is_e164

    if is_e164(trunk):
        raise Problem("This is a telephone number; a trunk id looks like ST_AbCdEf123 (`lk sip outbound list`).")
    columns: dict[str, Any] = {}
    if concurrent is not None:
        columns["max_concurrent"] = _count("--concurrent", concurrent)
    if cps is not None:
        columns["calls_per_second"] = _rate("--cps", cps)
    if not columns:
        raise Problem("Nothing to set was given: --concurrent N, --cps X.")

    async def work() -> "TrunkLimits":
        async with database(load()) as opened, opened.transaction() as session:
            return await limits.set_trunk(session, trunk, **columns)

    limited = run(work())
    typer.echo(
        f"{trunk}: {_most(limited.max_concurrent)} calls at once, {_most(limited.calls_per_second)} started a second."
    )


def _count(option: str, text: str) -> int | None:
    if text.strip().lower() in _NONE:
        return None
    try:
        number = int(text)
    except ValueError:
        number = 0
    if not 1 <= number <= 1_000_000:
        raise Problem(f"{option} {text}: give a whole number from 1 on, or none.")
    return number


def _rate(option: str, text: str) -> float | None:
    if text.strip().lower() in _NONE:
        return None
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number <= 1_000:
        raise Problem(f"{option} {text}: give a number above 0, such as 0.5 or 10, or none.")
    return number


def _most(limit: float | None) -> str:
    return "unlimited" if limit is None else f"{limit:g}"
