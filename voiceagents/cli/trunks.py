"""`voiceagents trunks …`: the ways between LiveKit and carriers, in and out. No secret is ever printed."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from voiceagents import phone
from voiceagents.cli.problems import Commands, Problem
from voiceagents.cli.surroundings import database, livekit, run, settings_with_lab, text_of

if TYPE_CHECKING:
    from voiceagents.assistants.trunks import Login, Made

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Trunks: the ways between LiveKit and carriers.")

_PASSWORD = "Password, from a file; - for standard input. [default: SIP_AUTH_PASSWORD]"  # noqa: S105  words of the help

Username = Annotated[str, typer.Option("--auth-username", help="User name at the carrier.")]
PasswordFile = Annotated[Path | None, typer.Option("--auth-password-file", help=_PASSWORD)]
Password = Annotated[str, typer.Option(envvar="SIP_AUTH_PASSWORD", hidden=True)]
Name = Annotated[str, typer.Option(help="What you call it. [default: the number or address]")]


@app.command("list")
def list_trunks() -> None:
    """List the trunks that LiveKit has and where their calls go."""
    from livekit import api

    from voiceagents.assistants.trunks import agents, feeds

    async def work() -> Table | None:
        async with livekit(settings_with_lab()) as client:
            inbound = (await client.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())).items
            outbound = (await client.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())).items
            rules = (await client.sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())).items
        table = Table("id", "way", "name", "numbers", "leads to", "login", box=None, pad_edge=False)
        for trunk in inbound:
            led = [
                f"{', '.join(agents(rule)) or 'no agent'} by {rule.sip_dispatch_rule_id}"
                for rule in rules
                if feeds(rule, trunk.sip_trunk_id)
            ]
            numbers = ", ".join(trunk.numbers) or "every number"
            goes = "; ".join(led) or "nobody"
            table.add_row(trunk.sip_trunk_id, "in", trunk.name, numbers, goes, trunk.auth_username or "-")
        for way in outbound:
            numbers = ", ".join(way.numbers) or "none"
            table.add_row(way.sip_trunk_id, "out", way.name, numbers, way.address, way.auth_username or "-")
        return table if table.rows else None

    table = run(work())
    if table is None:
        typer.echo("LiveKit has no trunks. Add one:  voiceagents trunks add-inbound +1…, trunks add-outbound HOST +1…")
    else:
        Console(soft_wrap=True).print(table)


@app.command("add-inbound")
def add_inbound(
    number: Annotated[str, typer.Argument(help="The number people call, in E.164.")],
    assistant: Annotated[str | None, typer.Option(help="Id of the assistant that shall answer it.")] = None,
    agent: Annotated[str | None, typer.Option(help="The agent that takes its calls. [default: LK_AGENT_NAME]")] = None,
    name: Name = "",
    allow: Annotated[
        list[str] | None,
        typer.Option("--allow", metavar="ADDRESS", help="Take calls from this address or network only. Repeatable."),
    ] = None,
    username: Username = "",
    password_file: PasswordFile = None,
    password: Password = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Make a dispatch rule fit that sends its calls elsewhere.")
    ] = False,
) -> None:
    """Let a number be called: make its inbound trunk and the rule that sends our agent, if they are not there."""
    from voiceagents.assistants import store, trunks

    e164, settings = phone.dialable(number), settings_with_lab()
    wanted = trunks.Inbound(
        e164, agent or settings.lk_agent_name, name, tuple(allow or ()), _login(username, password_file, password)
    )

    async def work() -> "Made":
        if assistant is not None:
            async with database(settings) as opened, opened.transaction() as session:
                await store.bind(session, e164, assistant)
        async with livekit(settings) as client:
            return await trunks.add_inbound(client, wanted, replace=replace)

    made = run(work())
    _tell(made.done, f"{e164} is on the trunk {made.trunk_id}, and {made.rule_id} sends {wanted.agent_name!r} already")
    answered = f", answered by {assistant}" if assistant else ""
    typer.echo(f"Point the carrier's number at LiveKit's SIP address: then {e164} rings here{answered}.")


@app.command("add-outbound")
def add_outbound(
    address: Annotated[str, typer.Argument(help="The carrier's host, such as sip.example.com:5060.")],
    numbers: Annotated[list[str], typer.Argument(help="What people who are called see, in E.164.")],
    name: Name = "",
    username: Username = "",
    password_file: PasswordFile = None,
    password: Password = "",
    transport: Annotated[Literal["auto", "udp", "tcp", "tls"], typer.Option(help="How SIP travels.")] = "auto",
) -> None:
    """Make a way out to a carrier, if it is not there; give its id to calls as SIP_TRUNK_ID or to a campaign."""
    from voiceagents.assistants import trunks

    shown = tuple(phone.dialable(number) for number in numbers)
    login = _login(username, password_file, password)
    wanted = trunks.Outbound(address.strip(), shown, name, login, transport)

    async def work() -> "Made":
        async with livekit(settings_with_lab()) as client:
            return await trunks.add_outbound(client, wanted)

    made = run(work())
    _tell(made.done, f"The trunk {made.trunk_id} to {address} is there already")
    typer.echo(f"Call through it:  SIP_TRUNK_ID={made.trunk_id}")


@app.command("remove")
def remove_trunk(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Of a trunk or a dispatch rule.")],
) -> None:
    """Take a trunk away with the dispatch rules that are for it alone, or one dispatch rule. Live calls stay."""
    from voiceagents.assistants import trunks

    async def work() -> list[str]:
        async with livekit(settings_with_lab()) as client:
            return await trunks.remove(client, identifier)

    for line in run(work()):
        typer.echo(f"Removed {line}.")


@app.command("check")
def check_trunks(
    number: Annotated[str | None, typer.Argument(help="Only this number, in E.164. [default: all of ours]")] = None,
) -> None:
    """Check that who calls our numbers reaches our agent, and that we can call out. Exit status 1 if not."""
    from voiceagents.assistants import store
    from voiceagents.cli.checks import show
    from voiceagents.doctor import trunks
    from voiceagents.doctor.findings import Finding, State

    e164, settings = phone.dialable(number) if number else None, settings_with_lab()

    async def work() -> Sequence[Finding]:
        async with database(settings) as opened, opened.transaction() as session:
            bound = {one.e164: one.assistant_id for one in await store.numbers(session)}
        if e164 is not None:
            bound = {e164: bound.get(e164)}
        async with livekit(settings) as client:
            found = await trunks.inbound(client, list(bound), settings.lk_agent_name)
            outbound = [] if e164 else [await trunks.outbound(client, settings.sip_trunk_id)]
        return [*trunks.answered(bound), *found, *outbound]

    findings = run(work())
    show(findings)
    if any(finding.state is State.BROKEN for finding in findings):
        raise typer.Exit(1)


def _login(username: str, password_file: Path | None, password: str) -> "Login":
    from voiceagents.assistants.trunks import Login

    if password_file is not None:
        password = text_of("--auth-password", None, password_file).strip()
    if bool(username) and not password:
        raise Problem("--auth-username needs a password: --auth-password-file FILE, or SIP_AUTH_PASSWORD.")
    return Login(username, password if username else "")


def _tell(done: Sequence[str], otherwise: str) -> None:
    if not done:
        typer.echo(f"{otherwise}: nothing changed.")
    for line in done:
        typer.echo(f"{line[0].upper()}{line[1:]}.")
