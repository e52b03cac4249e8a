"""What does an engine do when LiveKit dies under a call on its way, or when somebody sets the clock?

The agents are nothing but their wire: they end each call at once, as busy.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from livekit import api
from sqlalchemy import update

from tests.agent import until
from tests.campaign_desk import Desk
from tests.stack.room_observer import RoomObserver
from voiceagents import clock
from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState
from voiceagents.campaigns.dispatcher import CLAIMS_WITHIN, LOST, Dispatcher
from voiceagents.campaigns.engine import Engine
from voiceagents.campaigns.states import CampaignState
from voiceagents.lab import Lab
from voiceagents.processes import Process, spawn
from voiceagents.settings import Settings

pytestmark = [pytest.mark.stack, pytest.mark.patient, pytest.mark.timeout(180)]


class Wire:
    """An agent's surroundings, and the agent once it is started."""

    def __init__(self, lab: Lab, database_url: str, folder: Path) -> None:
        self.name = f"wire-{time.monotonic_ns()}"
        environment = {**lab.env(), "LK_AGENT_NAME": self.name}
        self.settings = Settings.model_validate({key.lower(): value for key, value in environment.items()})
        self._environment = {**environment, "DATABASE_URL": database_url.replace("+psycopg", "", 1)}
        self._log = folder / "wire.log"
        self._process: Process | None = None

    async def start(self) -> None:
        """Starts it; from now on LiveKit offers it jobs."""
        command = [sys.executable, "-m", "bench._wire_agent", self.name]
        process = self._process = spawn("wire", command, self._environment, self._log, outlives_starter=False)

        async def ready() -> bool | None:
            return True if "READY" in process.log_tail() else None

        await until(ready, within=30, what="an agent")

    async def stop(self) -> None:
        if self._process is not None:
            await asyncio.to_thread(self._process.kill)


@pytest_asyncio.fixture
async def wire(lab: Lab, database_url: str, tmp_path: Path) -> AsyncIterator[Wire]:
    made = Wire(lab, database_url, tmp_path)
    yield made
    await made.stop()


async def has_agent(livekit: api.LiveKitAPI, room: str) -> bool | None:
    """True when LiveKit says that an agent is in the room."""
    people = (await livekit.room.list_participants(api.ListParticipantsRequest(room=room))).participants
    return True if any(person.kind == api.ParticipantInfo.Kind.AGENT for person in people) else None


async def dispatched_ago(desk: Desk, call_id: UUID, age: timedelta) -> None:
    async with desk.database.transaction() as session:
        await session.execute(update(Call).where(Call.id == call_id).values(dispatched_at=clock.now() - age))


async def test_an_agent_that_a_dead_livekit_left_in_its_records_keeps_no_call_from_the_living(
    fresh_lab: Lab, desk: Desk, database_url: str, tmp_path: Path
) -> None:
    """livekit-server dies with an agent in the room, before the claim: to the next one the agent is still there."""
    wire = Wire(fresh_lab, database_url, tmp_path)
    campaign = await desk.campaign(1)
    (call_id,) = await desk.feed(campaign)
    room = (await desk.call(call_id)).room_name
    assert room is not None
    async with fresh_lab.livekit() as livekit:
        dispatcher = Dispatcher(wire.settings, desk.database, livekit, asyncio.Event())
        try:
            await dispatcher.run(call_id)
            assert (await desk.call(call_id)).state is CallState.DISPATCHED
            async with RoomObserver(fresh_lab, room, speaks=False):
                await until(lambda: has_agent(livekit, room), within=20, what="an agent in the room")
                await fresh_lab.kill("livekit-server")
            await fresh_lab.restart("livekit-server")
            assert await has_agent(livekit, room)
            await wire.start()
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
            await wire.stop()


async def test_an_engine_whose_clock_is_set_forward_and_back_calls_everybody_at_their_time_and_once(
    desk: Desk, wire: Wire, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    ahead = timedelta(minutes=1)
    clock.set_source(lambda: datetime.now(UTC) + ahead)
    busy = {"busy": {"attempts": 3, "delays": ["1h", "3h"], "jitter": 0}}
    desk.now = clock.now() - timedelta(days=8)  # the contacts are due, by any of the clocks
    campaign = await desk.campaign(6, retry=busy)
    engine = Engine(wire.settings, database_url)
    running = asyncio.create_task(engine.run())

    async def called(times: int) -> None:
        async def all_were() -> bool | None:
            assert not running.done()
            contacts = await desk.contacts(campaign)
            return True if all(contact.attempts >= times for contact in contacts) else None

        await until(all_were, within=60, what=f"attempt {times} at everybody")
        assert {contact.attempts for contact in await desk.contacts(campaign)} == {times}

    async def next_look() -> timedelta | None:
        wake_at = (await desk.state(campaign)).wake_at
        return None if wake_at is None else wake_at - clock.now()

    async def looked_at_soon() -> bool | None:
        rest = await next_look()
        return True if rest is not None and timedelta() < rest <= timedelta(minutes=5) else None

    try:
        await wire.start()
        await called(1)
        ahead = timedelta(hours=1, minutes=5)
        await called(2)
        # Back by a week: the campaign's next look would be a week away, and with it whoever is due meanwhile.
        ahead = timedelta(days=-7)
        await until(looked_at_soon, within=60, what="a look by the clock as it is now")
        await called(2)
        ahead = timedelta(hours=3, minutes=5)
        await called(3)
        calls = await desk.calls()
        assert len(calls) == len({(call.contact_id, call.attempt) for call in calls}) == 18

        async def completed() -> bool | None:
            return True if (await desk.state(campaign)).state is CampaignState.COMPLETED else None

        await until(completed, within=30, what="the end of the campaign")
        assert "CLOCK_OFF | this machine's clock is +6" in caplog.text
    finally:
        engine.stop()
        await running
