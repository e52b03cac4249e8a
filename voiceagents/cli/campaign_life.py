"""`voiceagents campaign start`, `pause`, `resume`, `cancel`, `archive`, `duplicate`: what is done with a whole
campaign."""

import shlex
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from voiceagents.cli.problems import Problem
from voiceagents.cli.surroundings import database, livekit, run, settings_with_lab
from voiceagents.settings import Settings, load

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from voiceagents.calls.models import Call
    from voiceagents.campaigns.models import Campaign

T = TypeVar("T")

Name = Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its name, its id, or how its id begins.")]


def start(campaign: Name) -> None:
    """Start a campaign, or schedule it when its start lies ahead. One that runs already runs on."""
    from voiceagents import clock
    from voiceagents.campaigns import lifecycle
    from voiceagents.campaigns.states import CampaignState

    settings = settings_with_lab()

    async def work(session: "AsyncSession", found: "Campaign") -> "Campaign":
        return await lifecycle.start(session, found.id, clock.now(), default_trunk=settings.sip_trunk_id)

    started, hints = run(_with_hints(settings, campaign, work))
    if started.state is CampaignState.SCHEDULED and started.starts_at is not None:
        typer.echo(f'"{started.name}" starts at {started.starts_at.astimezone():%Y-%m-%d %H:%M %Z}.')
    else:
        typer.echo(f'"{started.name}" runs.')
    for hint in hints:
        typer.echo(hint, err=True)
    typer.echo(f"Watch it:  voiceagents campaign watch {shlex.quote(started.name)}")


def pause(campaign: Name) -> None:
    """Dial nobody until the campaign is resumed. Calls that are going on go on."""
    from voiceagents.campaigns import lifecycle

    paused = run(_with_campaign(campaign, lambda session, found: lifecycle.pause(session, found.id)))
    typer.echo(f'"{paused.name}" is paused. To go on:  voiceagents campaign resume {shlex.quote(paused.name)}')


def resume(campaign: Name) -> None:
    """Go on with a paused campaign."""
    from voiceagents import clock
    from voiceagents.campaigns import lifecycle

    async def work(session: "AsyncSession", found: "Campaign") -> "Campaign":
        return await lifecycle.resume(session, found.id, clock.now())

    resumed, hints = run(_with_hints(load(), campaign, work))
    typer.echo(f'"{resumed.name}" is {resumed.state.value} again.')
    for hint in hints:
        typer.echo(hint, err=True)


def cancel(
    campaign: Name,
    hang_up: Annotated[bool, typer.Option("--hang-up", help="End the calls that are going on, too.")] = False,
) -> None:
    """End a campaign for good. Calls that are going on go on, unless told otherwise."""
    settings = settings_with_lab()
    name, calls, stuck = run(_cancelled(settings, campaign, hang_up=hang_up))
    typer.echo(f'"{name}" is cancelled.')
    if calls and not hang_up:
        typer.echo(f"{len(calls)} calls go on until they end by themselves.")
    elif calls:
        typer.echo(f"{len(calls) - len(stuck)} calls were hung up.")
    if stuck:
        raise Problem(f"LiveKit did not delete these rooms, so their calls may go on: {', '.join(stuck)}")


def archive(campaign: Name) -> None:
    """Put a campaign that is over, or was never started, out of sight. Its history stays."""
    from voiceagents.campaigns import lifecycle

    archived = run(_with_campaign(campaign, lambda session, found: lifecycle.archive(session, found.id)))
    typer.echo(f'"{archived.name}" is archived. To see it:  voiceagents campaign list --all')


def duplicate(
    campaign: Name,
    new: Annotated[str, typer.Argument(help="Name of the copy.")],
    contacts: Annotated[
        bool, typer.Option("--contacts", help="With the same people, but for those whom nobody may call again.")
    ] = False,
    outcome: Annotated[
        str | None,
        typer.Option(help="To redial: only with people whose last call ended so, such as busy,no_answer."),
    ] = None,
) -> None:
    """Make a new draft with the same settings, with or without its contacts."""
    from voiceagents.campaigns import lifecycle

    outcomes = [word.strip().lower() for word in (outcome or "").split(",") if word.strip()]
    if outcome is not None and not outcomes:
        raise Problem("--outcome names no outcome; give one or more, such as busy,no_answer.")

    async def work(session: "AsyncSession", found: "Campaign") -> "tuple[Campaign, int]":
        copy = await lifecycle.duplicate(session, found.id, new.strip(), contacts=contacts, outcomes=outcomes)
        return copy, (await lifecycle.progress(session, copy.id)).contacts

    copy, people = run(_with_campaign(campaign, work))
    typer.echo(f'"{copy.name}" is a draft with {people} contacts, id {str(copy.id)[:8]}.')


async def _with_campaign(reference: str, work: "Callable[[AsyncSession, Campaign], Awaitable[T]]") -> T:
    from voiceagents.campaigns import lifecycle

    async with database(load()) as opened, opened.transaction() as session:
        return await work(session, await lifecycle.find(session, reference))


async def _with_hints(
    settings: Settings, reference: str, work: "Callable[[AsyncSession, Campaign], Awaitable[Campaign]]"
) -> "tuple[Campaign, list[str]]":
    """What the work answers, and what is missing around it."""
    from voiceagents.calls import presence
    from voiceagents.campaigns import engines, lifecycle

    async with database(settings) as opened, opened.transaction() as session:
        campaign = await work(session, await lifecycle.find(session, reference))
        hints: list[str] = []
        if not await engines.living(session):
            hints.append("No engine runs, so nobody is dialled yet. Start one:  voiceagents engine")
        if not await presence.living(session):
            hints.append("No agent runs, so nobody is dialled yet. Start one:  voiceagents agent")
    return campaign, hints


async def _cancelled(settings: Settings, reference: str, *, hang_up: bool) -> "tuple[str, Sequence[Call], list[str]]":
    """The campaign's name, the calls that were going on, and the rooms that could not be deleted."""
    from voiceagents import clock
    from voiceagents.campaigns import lifecycle

    async with database(settings) as opened, opened.transaction() as session:
        campaign = await lifecycle.find(session, reference)
        calls = await lifecycle.cancel(session, campaign.id, clock.now(), hang_up=hang_up)
        if hang_up and calls:
            _ = settings.livekit  # complete, or an error before anything is done
    stuck = await _hung_up(settings, [call.room_name for call in calls if call.room_name]) if hang_up and calls else []
    return campaign.name, calls, stuck


async def _hung_up(settings: Settings, rooms: Sequence[str]) -> list[str]:
    import asyncio

    from voiceagents.livekit import sip

    async with livekit(settings) as lk:
        gone = await asyncio.gather(*(sip.delete_room(lk, room) for room in rooms))
    return [room for room, deleted in zip(rooms, gone, strict=True) if not deleted]
