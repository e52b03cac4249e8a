"""What becomes of a call on its way to an agent, when LiveKit or the agent dies under it?"""

import asyncio
import sys
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from livekit import api
from sqlalchemy import update

from tests.agent import until
from tests.campaign_desk import Desk
from tests.stack.room_observer import RoomObserver
from voiceagents import clock
from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState
from voiceagents.campaigns.dispatcher import CLAIMS_WITHIN, LOST, Dispatcher
from voiceagents.lab import Lab
from voiceagents.processes import spawn
from voiceagents.settings import Settings

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


async def dispatched_ago(desk: Desk, call_id: UUID, age: timedelta) -> None:
    async with desk.database.transaction() as session:
        await session.execute(update(Call).where(Call.id == call_id).values(dispatched_at=clock.now() - age))


async def has_agent(livekit: api.LiveKitAPI, room: str) -> bool | None:
    """True when LiveKit says that an agent is in the room."""
    people = (await livekit.room.list_participants(api.ListParticipantsRequest(room=room))).participants
    return True if any(person.kind == api.ParticipantInfo.Kind.AGENT for person in people) else None


async def test_an_agent_that_a_dead_livekit_left_in_its_records_keeps_no_call_from_the_living(
    fresh_lab: Lab, desk: Desk, database_url: str, tmp_path: Path
) -> None:
    """livekit-server dies with an agent in the room, before the claim: to the next one the agent is still there."""
    name = f"wire-{time.monotonic_ns()}"
    environment = {**fresh_lab.env(), "LK_AGENT_NAME": name}
    settings = Settings.model_validate({key.lower(): value for key, value in environment.items()})
    campaign = await desk.campaign(1)
    (call_id,) = await desk.feed(campaign)
    room = (await desk.call(call_id)).room_name
    assert room is not None
    wire = None
    async with fresh_lab.livekit() as livekit:
        dispatcher = Dispatcher(settings, desk.database, livekit, asyncio.Event())
        try:
            await dispatcher.run(call_id)
            assert (await desk.call(call_id)).state is CallState.DISPATCHED
            async with RoomObserver(fresh_lab, room, speaks=False):
                await until(lambda: has_agent(livekit, room), within=20, what="an agent in the room")
                await fresh_lab.kill("livekit-server")
            await fresh_lab.restart("livekit-server")
            assert await has_agent(livekit, room)
            wire = spawn(
                "wire",
                [sys.executable, "-m", "bench._wire_agent", name],
                {**environment, "DATABASE_URL": database_url.replace("+psycopg", "", 1)},
                tmp_path / "wire.log",
                outlives_starter=False,
            )

            async def ready() -> bool | None:
                return True if "READY" in wire.log_tail() else None

            await until(ready, within=30, what="an agent")
            # One that just came is given the time to get ready.
            await dispatched_ago(desk, call_id, LOST + timedelta(seconds=1))
            await dispatcher.run(call_id)
            assert (await desk.call(call_id)).state is CallState.DISPATCHED

            async def over() -> bool | None:
                await dispatched_ago(desk, call_id, CLAIMS_WITHIN + timedelta(seconds=1))
                await dispatcher.run(call_id)
                return True if (await desk.call(call_id)).state is CallState.ENDED else None

            await until(over, within=60, what="an agent that takes the call")
            assert (await desk.call(call_id)).worker_id == "wire"
        finally:
            if wire is not None:
                await asyncio.to_thread(wire.kill)
