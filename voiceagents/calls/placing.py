"""How is one person called now? Everything that must be there is looked for first, so that a call that nobody could
place says why instead of waiting."""

from datetime import UTC, datetime

from livekit import api
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls import history, presence
from voiceagents.calls.dispatch import OutboundCall, dispatch
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import CallEnded
from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.db import Database


class CannotPlace(Exception):
    """Nobody could place this call. The message says what is missing."""


async def place(database: Database, livekit: api.LiveKitAPI, call: OutboundCall) -> None:
    """Makes the call's row and hands it to an agent.

    Args:
        database: of the row.
        livekit: where the room is made.
        call: whom to call; its trunk is given.

    Raises:
        CannotPlace: no agent runs, or LiveKit does not know the trunk.
        MetadataError: the prompt is longer than LiveKit takes.
        ServerError: LiveKit refused; the call has ended as failed.
    """
    async with database.transaction() as session:
        await require_agent(session)
    await require_trunk(livekit, call.trunk_id)
    await hand_over(database, livekit, call)


async def require_agent(session: AsyncSession) -> None:
    """Nothing, when an agent runs that could place a call.

    Raises:
        CannotPlace: none does.
    """
    if not await presence.living(session):
        raise CannotPlace("No agent runs, so nobody would place the call. Start one: voiceagents agent")


async def require_trunk(livekit: api.LiveKitAPI, trunk_id: str | None) -> None:
    """Nothing, when LiveKit has this outbound trunk.

    Raises:
        CannotPlace: it has not.
    """
    answer = await livekit.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())
    known = [item.sip_trunk_id for item in answer.items]
    if trunk_id not in known:
        there = f"it has {', '.join(known)}" if known else "it has none: create one with `lk sip outbound create`"
        raise CannotPlace(f"LiveKit has no outbound trunk {trunk_id!r}; {there}.")


async def hand_over(database: Database, livekit: api.LiveKitAPI, call: OutboundCall) -> str:
    """Makes the call's row, its room and its dispatch, and returns the room's name.

    One that fails half way is an ended call, which nobody dials.
    """
    try:
        call.metadata().to_json()  # what cannot be sent gets no row
        async with database.transaction() as session:
            await history.open_call(session, call.opened())
        return await dispatch(database, livekit, call)
    except Exception as error:
        # Whether an agent has the call by now or not: an ended row is one that nobody may dial.
        ending = Ending(Outcome.FAILED, f"not dispatched: {error or type(error).__name__}", EndedBy.SYSTEM)
        async with database.transaction() as session:
            await history.end(session, CallEnded.of(call.id, ending, datetime.now(UTC)))
        raise
