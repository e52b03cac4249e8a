"""`voiceagents call +1…`: one call, followed on the terminal until it has ended."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from voiceagents import phone
from voiceagents.calls.states import CallState, Outcome, Speaker
from voiceagents.cli.problems import INTERRUPTED, Problem
from voiceagents.cli.surroundings import database, livekit, run, settings_with_lab, text_of
from voiceagents.settings import Settings

if TYPE_CHECKING:
    from livekit.api import LiveKitAPI

    from voiceagents.calls.dispatch import OutboundCall
    from voiceagents.calls.follow import Snapshot
    from voiceagents.db import Database

TALKED = {
    Outcome.COMPLETED,
    Outcome.NOT_INTERESTED,
    Outcome.CALLBACK_REQUESTED,
    Outcome.OPTED_OUT,
    Outcome.WRONG_NUMBER,
}
"""Outcomes of a call in which a person was talked with: exit status 0."""


@dataclass(frozen=True)
class Order:
    """What was typed."""

    number: str
    assistant: str | None
    name: str
    email: str
    prompt: str
    trunk: str | None
    wait: bool
    hang_up: bool


def call(
    number: Annotated[str, typer.Argument(help="Whom to call, in E.164: +12025550143.")],
    assistant: Annotated[str | None, typer.Option(help="Id of the assistant whose voice and model it uses.")] = None,
    name: Annotated[str, typer.Option(help="The person's name, {name} in the prompt.")] = "",
    email: Annotated[str, typer.Option(help="The person's email, {email} in the prompt.")] = "",
    prompt: Annotated[str | None, typer.Option(help="What to talk about. [default: the assistant's prompt]")] = None,
    prompt_file: Annotated[Path | None, typer.Option(help="The same, from a file; - for standard input.")] = None,
    trunk: Annotated[str | None, typer.Option(help="LiveKit's id of the SIP trunk. [default: SIP_TRUNK_ID]")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Follow the call until it has ended.")] = True,
    hang_up_on_interrupt: Annotated[
        bool, typer.Option("--hang-up-on-interrupt", help="Ctrl-C ends the call; otherwise it goes on.")
    ] = False,
) -> None:
    """Call a person, and follow the call until it has ended.

    Exit status 0 when a person was talked with, 1 when not, 2 when the call could not be placed, 130 after Ctrl-C.
    """
    order = Order(
        number=phone.dialable(number),
        assistant=assistant,
        name=name,
        email=email,
        prompt=text_of("--prompt", prompt, prompt_file),
        trunk=trunk,
        wait=wait,
        hang_up=hang_up_on_interrupt,
    )
    raise typer.Exit(run(_place(settings_with_lab(), order)))


async def _place(settings: Settings, order: Order) -> int:
    _ = settings.livekit  # complete, or an error that says what is missing
    trunk = order.trunk or settings.sip_trunk_id
    if trunk is None:
        raise Problem("No trunk to call through: give --trunk ST_… or set SIP_TRUNK_ID (`lk sip outbound list`).")
    from voiceagents.calls import placing

    async with livekit(settings) as lk, database(settings) as opened:
        await placing.require_trunk(lk, trunk)
        call = await _prepared(settings, order, opened, trunk)
        await placing.hand_over(opened, lk, call)
        typer.echo(f"call {call.id}")
        if not order.wait:
            typer.echo(f"Follow it:  voiceagents calls show {str(call.id)[:8]}")
            return 0
        try:
            return await _follow(opened, call, order.name or order.number)
        except asyncio.CancelledError:
            await _interrupted(opened, lk, call, hang_up=order.hang_up)
            return INTERRUPTED


async def _prepared(settings: Settings, order: Order, opened: "Database", trunk: str) -> "OutboundCall":
    """The call as it will be dispatched.

    Raises:
        AssistantProblem: there is no such assistant.
        CannotPlace: nobody is there to place it.
    """
    from voiceagents.assistants import store
    from voiceagents.calls import placing
    from voiceagents.calls.dispatch import OutboundCall

    prompt = order.prompt
    async with opened.transaction() as session:
        if order.assistant is not None:
            prompt = prompt or (await store.find(session, order.assistant)).prompt
        await placing.require_agent(session)
    return OutboundCall(
        id=uuid4(),
        number=order.number,
        agent_name=settings.lk_agent_name,
        trunk_id=trunk,
        assistant_id=order.assistant,
        contact_name=order.name,
        contact_email=order.email,
        prompt=prompt,
    )


async def _follow(opened: "Database", call: "OutboundCall", person: str) -> int:
    from voiceagents.calls.follow import follow

    shown: set[str] = set()
    state: CallState | None = None
    async for now in follow(opened, call.id):
        if now.call.state is not state and not now.ended:
            state = now.call.state
            typer.echo(f"{datetime.now():%H:%M:%S}  {state.value}")  # noqa: DTZ005  the clock on the wall
        _show_new_turns(now, person, shown)
        if now.ended:
            return _ended(now)
    return 1


def _show_new_turns(now: "Snapshot", person: str, shown: set[str]) -> None:
    for turn in now.turns:
        if turn.item_id not in shown:
            shown.add(turn.item_id)
            speaker = "agent" if turn.speaker is Speaker.AGENT else person
            typer.echo(f"{turn.started_at.astimezone():%H:%M:%S}  {speaker}: {turn.text}")


def _ended(now: "Snapshot") -> int:
    call = now.call
    outcome = call.outcome or Outcome.FAILED
    talked = f", {call.talk_seconds:.0f} s" if call.answered_at else ""
    typer.echo(f"{outcome.value}: {call.cause}{talked}")
    return 0 if call.answered_at is not None and outcome in TALKED else 1


async def _interrupted(opened: "Database", lk: "LiveKitAPI", call: "OutboundCall", *, hang_up: bool) -> None:
    from voiceagents.calls.metadata import outbound_room
    from voiceagents.livekit import sip

    show = f"voiceagents calls show {str(call.id)[:8]}"
    if not hang_up:
        typer.echo(f"\nThe call goes on without you. See it:  {show}", err=True)
        return
    typer.echo("\nHanging up.", err=True)
    await sip.delete_room(lk, outbound_room(call.number, call.id))
    from voiceagents.calls.follow import follow

    try:
        async with asyncio.timeout(15):
            async for now in follow(opened, call.id):
                if now.ended:
                    _ended(now)
    except TimeoutError:
        typer.echo(f"The agent has not said yet how it ended:  {show}", err=True)
