"""`voiceagents campaign …`: whom to call, with which script, when and how many at once."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from voiceagents.cli import campaign_contacts, campaign_life, campaign_views, campaign_why
from voiceagents.cli.problems import Commands, Problem
from voiceagents.cli.surroundings import database, run, text_of
from voiceagents.settings import load

if TYPE_CHECKING:
    from voiceagents.campaigns.models import Campaign
    from voiceagents.campaigns.terms import Terms

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="Campaigns: a script, an assistant, a trunk, a calling window, a retry policy and a list of contacts.",
    epilog="A campaign is named by its name, its id, or how its id begins.",
)

_OPTIONS = {
    "name": "NAME",
    "prompt": "--prompt",
    "assistant_id": "--assistant",
    "trunk_id": "--trunk",
    "default_region": "--region",
    "time_zone": "--time-zone",
    "window": "--window",
    "holidays_of": "--holidays",
    "blackout": "--blackout",
    "starts_at": "--start",
    "expires_at": "--expires",
    "max_concurrent": "--concurrent",
    "calls_per_second": "--cps",
    "priority": "--priority",
    "daily_cap": "--daily-cap",
    "attempts_per_day": "--attempts-per-day",
    "attempts_per_number": "--attempts-per-number",
    "minimum_gap": "--gap",
    "retry": "--retry",
    "voicemail_message": "--voicemail",
    "menu_path": "--menu",
    "extraction": "--fields",
}
"""Columns by the option that a person knows them by."""

_WHAT, _WHEN, _HOW_MANY = "What", "When", "How many"

Prompt = Annotated[
    str | None,
    typer.Option(
        help="What the assistant says and asks; {name}, {email}, {phone} and the list's own columns are filled in.",
        rich_help_panel=_WHAT,
    ),
]
PromptFile = Annotated[
    Path | None, typer.Option(help="The same, from a file; - for standard input.", rich_help_panel=_WHAT)
]
Assistant = Annotated[str | None, typer.Option(help="Id of the assistant that talks.", rich_help_panel=_WHAT)]
Trunk = Annotated[
    str | None, typer.Option(help="LiveKit's id of the SIP trunk. [default: SIP_TRUNK_ID]", rich_help_panel=_WHAT)
]
Region = Annotated[
    str | None,
    typer.Option(help="Country of numbers without a country code, such as US.", rich_help_panel=_WHAT),
]
TimeZone = Annotated[
    str | None,
    typer.Option(
        help="Of contacts whose number tells no place, and of the campaign's own day. [default: UTC]",
        rich_help_panel=_WHEN,
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        help='When people may be called, by their own clock: "mon-fri 09:00-12:00, 13:00-17:30; sat 10:00-14:00". '
        "[default: daily 09:00-20:00]",
        rich_help_panel=_WHEN,
    ),
]
Holidays = Annotated[
    str | None,
    typer.Option(help="Call nobody on the public holidays of this country: US, DE-BY.", rich_help_panel=_WHEN),
]
Blackout = Annotated[
    list[str] | None,
    typer.Option(
        help="Call nobody on this date (2026-12-24), or these (2026-12-24/2027-01-02). Several times, or none.",
        rich_help_panel=_WHEN,
    ),
]
Start = Annotated[str | None, typer.Option(help='Not before: 2026-11-02, "2026-11-02 09:00".', rich_help_panel=_WHEN)]
Expires = Annotated[
    str | None, typer.Option(help="The last day, or the moment after which nobody is called.", rich_help_panel=_WHEN)
]
Concurrent = Annotated[
    str | None, typer.Option(help="Most calls at once, or none. [default: 5]", rich_help_panel=_HOW_MANY)
]
Cps = Annotated[
    str | None, typer.Option(help="Most calls started in a second, or none. [default: 1]", rich_help_panel=_HOW_MANY)
]
Priority = Annotated[
    str | None,
    typer.Option(help="Share of a trunk that several campaigns want, 1 to 10. [default: 5]", rich_help_panel=_HOW_MANY),
]
DailyCap = Annotated[
    str | None, typer.Option(help="Most dials in a day, or none. [default: none]", rich_help_panel=_HOW_MANY)
]
AttemptsPerDay = Annotated[
    str | None,
    typer.Option(
        help="Most attempts a day on one number, all campaigns together, or none. [default: 2]",
        rich_help_panel=_HOW_MANY,
    ),
]
AttemptsPerNumber = Annotated[
    str | None,
    typer.Option(
        help="Most attempts ever on one number, all campaigns together, or none. [default: none]",
        rich_help_panel=_HOW_MANY,
    ),
]
Gap = Annotated[
    str | None,
    typer.Option(
        help="Least time between two attempts on one number: 90s, 30m, 4h, 1d. [default: 1h]",
        rich_help_panel=_HOW_MANY,
    ),
]
Retry = Annotated[
    str | None,
    typer.Option(
        help="What differs from the default retry policy, as JSON or @FILE: "
        '{"busy": {"attempts": 3, "delays": ["30m"]}}.',
        rich_help_panel=_HOW_MANY,
    ),
]
Voicemail = Annotated[
    str | None,
    typer.Option(
        help="Said after the beep of a voicemail, with placeholders; without it, or with none, nothing is left.",
        rich_help_panel=_WHAT,
    ),
]
Menu = Annotated[
    str | None,
    typer.Option(help='Keys through a phone menu, a group for each prompt: "2 1".', rich_help_panel=_WHAT),
]
Fields = Annotated[
    str | None,
    typer.Option(help="JSON schema, or @FILE, of what to read out of each conversation.", rich_help_panel=_WHAT),
]
Name = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its name, its id, or how its id begins.")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="What you call it, such as 'Spring sale'.")],
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    assistant: Assistant = None,
    trunk: Trunk = None,
    region: Region = None,
    time_zone: TimeZone = None,
    window: Window = None,
    holidays: Holidays = None,
    blackout: Blackout = None,
    start: Start = None,
    expires: Expires = None,
    concurrent: Concurrent = None,
    cps: Cps = None,
    priority: Priority = None,
    daily_cap: DailyCap = None,
    attempts_per_day: AttemptsPerDay = None,
    attempts_per_number: AttemptsPerNumber = None,
    gap: Gap = None,
    retry: Retry = None,
    voicemail: Voicemail = None,
    menu: Menu = None,
    fields: Fields = None,
) -> None:
    """Create a campaign, as a draft that dials nobody yet."""
    given = _given(
        name=name, prompt=_text(prompt, prompt_file), assistant_id=assistant, trunk_id=trunk, default_region=region,
        time_zone=time_zone, window=window, holidays_of=holidays, blackout=_dates(blackout), starts_at=start,
        expires_at=expires, max_concurrent=concurrent, calls_per_second=cps, priority=priority, daily_cap=daily_cap,
        attempts_per_day=attempts_per_day, attempts_per_number=attempts_per_number, minimum_gap=gap,
        retry=_json(retry, "--retry"), voicemail_message=voicemail, menu_path=menu,
        extraction=_json(fields, "--fields"),
    )  # fmt: skip

    async def work() -> "Campaign":
        from voiceagents.campaigns import editing

        async with database(load()) as opened, opened.transaction() as session:
            return await editing.create(session, given)

    campaign = run(work())
    quoted = shlex.quote(campaign.name)
    typer.echo(f'"{campaign.name}" is a draft, id {str(campaign.id)[:8]}.')
    _show_terms(campaign)
    typer.echo(f"Next:  voiceagents campaign import {quoted} FILE\nThen:  voiceagents campaign start {quoted}")


@app.command()
def edit(
    campaign: Name,
    name: Annotated[str | None, typer.Option(help="A new name.", rich_help_panel=_WHAT)] = None,
    prompt: Prompt = None,
    prompt_file: PromptFile = None,
    assistant: Assistant = None,
    trunk: Trunk = None,
    region: Region = None,
    time_zone: TimeZone = None,
    window: Window = None,
    holidays: Holidays = None,
    blackout: Blackout = None,
    start: Start = None,
    expires: Expires = None,
    concurrent: Concurrent = None,
    cps: Cps = None,
    priority: Priority = None,
    daily_cap: DailyCap = None,
    attempts_per_day: AttemptsPerDay = None,
    attempts_per_number: AttemptsPerNumber = None,
    gap: Gap = None,
    retry: Retry = None,
    voicemail: Voicemail = None,
    menu: Menu = None,
    fields: Fields = None,
) -> None:
    """Change a campaign, also while it runs: it takes effect from the next decision. What is not given stays.

    Limits, dates, holidays, assistant, trunk and region are taken away with the word none.
    """
    given = _given(
        name=name, prompt=_text(prompt, prompt_file), assistant_id=assistant, trunk_id=trunk, default_region=region,
        time_zone=time_zone, window=window, holidays_of=holidays, blackout=_dates(blackout), starts_at=start,
        expires_at=expires, max_concurrent=concurrent, calls_per_second=cps, priority=priority, daily_cap=daily_cap,
        attempts_per_day=attempts_per_day, attempts_per_number=attempts_per_number, minimum_gap=gap,
        retry=_json(retry, "--retry"), voicemail_message=voicemail, menu_path=menu,
        extraction=_json(fields, "--fields"),
    )  # fmt: skip
    if not given.model_fields_set:
        raise Problem("Nothing to change was given; see `voiceagents campaign edit --help`.")

    from voiceagents import clock
    from voiceagents.campaigns import editing, lifecycle

    async def work() -> editing.Edited:
        async with database(load()) as opened, opened.transaction() as session:
            found = await lifecycle.find(session, campaign)
            return await editing.edit(session, found.id, given, clock.now())

    edited = run(work())
    if not edited.changed:
        typer.echo(f'"{edited.campaign.name}" is like that already; nothing has changed.')
        return
    options = {**_OPTIONS, "name": "--name", "minimum_gap_seconds": "--gap"}
    typer.echo(f'"{edited.campaign.name}": changed {", ".join(options[column] for column in edited.changed)}.')
    _show_terms(edited.campaign)
    if edited.reopened:
        typer.echo(f"{edited.reopened} contacts that were put off or skipped are looked at again.")
    if edited.campaign.reopening:
        typer.echo("The engine looks through the rest of the list for others.")


def _given(**values: object) -> "Terms":
    """The terms that were typed.

    Raises:
        Problem: a line for each that cannot be used, with its option.
    """
    from voiceagents.campaigns.terms import Terms

    try:
        return Terms.model_validate({name: value for name, value in values.items() if value is not None})
    except ValidationError as error:
        lines = [
            f"{_OPTIONS[str(problem['loc'][0])]}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise Problem("\n  ".join(lines)) from None


def _text(prompt: str | None, prompt_file: Path | None) -> str | None:
    if prompt is None and prompt_file is None:
        return None
    return text_of("--prompt", prompt, prompt_file).strip()


def _dates(blackout: list[str] | None) -> list[str] | None:
    if not blackout:
        return None
    return [] if blackout == ["none"] else blackout


def _json(value: str | None, option: str) -> str | None:
    if value is None or not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{option} {value} cannot be read: {error}") from None


def _show_terms(campaign: "Campaign") -> None:
    from voiceagents.campaigns import facts

    window = facts.window_of(campaign)
    closed = [f"holidays of {campaign.holidays_of}"] if campaign.holidays_of else []
    closed += campaign.blackout
    lines = {
        "window": f"{window}, by the contact's clock (by {campaign.time_zone} where the number tells no place)"
        + (f"; not on {', '.join(closed)}" if closed else ""),
        "pace": f"{_most(campaign.max_concurrent)} calls at once, {_most(campaign.calls_per_second)} a second, "
        f"{_most(campaign.daily_cap)} a day; priority {campaign.priority}",
        "a number": f"{_most(campaign.attempts_per_day)} attempts a day, {_most(campaign.attempts_per_number)} ever, "
        f"{campaign.minimum_gap_seconds // 60} min between two",
        "trunk": campaign.trunk_id or "SIP_TRUNK_ID",
        "script": " ".join(campaign.prompt.split())[:100] or "none yet: --prompt or --prompt-file",
    }
    if campaign.starts_at is not None:
        lines["starts"] = f"{campaign.starts_at.astimezone():%Y-%m-%d %H:%M %Z}"
    if campaign.expires_at is not None:
        lines["expires"] = f"{campaign.expires_at.astimezone():%Y-%m-%d %H:%M %Z}"
    for label, line in lines.items():
        typer.echo(f"  {label:9} {line}")


def _most(limit: float | None) -> str:
    return "unlimited" if limit is None else f"{limit:g}"


app.command("import")(campaign_contacts.import_file)
app.command("export")(campaign_contacts.export)
app.command("start")(campaign_life.start)
app.command("pause")(campaign_life.pause)
app.command("resume")(campaign_life.resume)
app.command("cancel")(campaign_life.cancel)
app.command("archive")(campaign_life.archive)
app.command("duplicate")(campaign_life.duplicate)
app.command("list")(campaign_views.list_campaigns)
app.command("status")(campaign_views.status)
app.command("watch")(campaign_views.watch)
app.command("why")(campaign_why.why)
