"""Do real engines, a real agent and a real phone network do what campaigns ask for? The carrier's ledger decides."""

import asyncio
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from sqlalchemy import select, text, update

from tests.agent import Agent, StartAgent, new_number, until
from tests.campaign_desk import ALWAYS
from tests.stack.command_line import surroundings
from voiceagents.calls import presence
from voiceagents.calls.dispatch import OutboundCall
from voiceagents.calls.models import Call
from voiceagents.calls.placing import hand_over
from voiceagents.calls.states import CallState
from voiceagents.campaigns import decisions, lifecycle, limits
from voiceagents.campaigns.engine import LISTENER
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict
from voiceagents.processes import Process, spawn

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

BUSY = {"ring_ms": 200, "reject": 486}
DEAD = {"ring_ms": 100, "reject": 404}
SILENT = {"no_answer": True}
RUDE = {"ring_ms": 200, "record": False, "steps": [{"pause_ms": 300}, {"hangup": True}]}
PATIENT = {"ring_ms": 200, "record": False, "steps": [], "max_ms": 60_000}
ONCE = {cause: {"attempts": 1} for cause in ("busy", "no_answer", "hung_up", "failed", "agent_failure")}


class Floor:
    """One agent, and as many engines as a test starts, on the session's lab."""

    def __init__(self, agent: Agent, folder: Path) -> None:
        self.agent = agent
        self.folder = folder
        self.trunk_id = agent.lab.outbound_trunk_id
        self._engines: list[Process] = []

    async def engines(self, count: int) -> None:
        """As many engines run from now on as that; they are ready."""
        while len(self._engines) > count:
            await asyncio.to_thread(self._engines.pop().stop, 20)
        while len(self._engines) < count:
            log = self.folder / f"engine-{time.monotonic_ns()}.log"
            command = [sys.executable, "-m", "voiceagents.engine"]
            self._engines.append(spawn("engine", command, surroundings(self.agent), log, outlives_starter=False))

        async def ready() -> bool | None:
            return True if all("ENGINE_READY" in engine.log_tail(1_000_000) for engine in self._engines) else None

        await until(ready, within=30, what="that all engines are ready")

    async def campaign(self, phones: Mapping[str, Mapping[str, Any]], **fields: Any) -> UUID:
        """A campaign that was started, with these people in its list."""
        await self.agent.lab.carrier.put_phones(phones)
        columns: dict[str, Any] = {
            "name": f"campaign {time.monotonic_ns()}", "prompt": "Hello {name}.", "window": ALWAYS, "retry": ONCE,
            "trunk_id": self.trunk_id, "max_concurrent": None, "calls_per_second": None, "attempts_per_day": None,
            "minimum_gap_seconds": 0,
        }  # fmt: skip
        async with self.agent.database.transaction() as session:
            campaign = Campaign(**columns | fields)
            session.add(campaign)
            await session.flush()
            session.add_all(Contact(campaign_id=campaign.id, phone=phone, name="Ana") for phone in phones)
            await session.flush()
            await lifecycle.start(session, campaign.id, datetime.now(UTC))
        return campaign.id

    async def set_trunk(self, **columns: Any) -> None:
        async with self.agent.database.transaction() as session:
            await limits.set_trunk(
                session, self.trunk_id, **{"max_concurrent": None, "calls_per_second": None} | columns
            )

    async def state(self, campaign_id: UUID) -> Campaign:
        async with self.agent.database.transaction() as session:
            return await session.get_one(Campaign, campaign_id)

    async def ended(self, campaign_id: UUID, *, within: float = 120.0) -> lifecycle.Progress:
        """The counts of the campaign, once it has ended by itself."""

        async def over() -> bool | None:
            found = await self.state(campaign_id)
            assert found.state is not CampaignState.PAUSED, found.pause_cause
            return True if found.state is CampaignState.COMPLETED else None

        await until(over, within=within, what="the end of the campaign")
        async with self.agent.database.transaction() as session:
            return await lifecycle.progress(session, campaign_id)

    async def calls(self, campaign_id: UUID, *states: CallState) -> list[Call]:
        async with self.agent.database.transaction() as session:
            found = await session.scalars(select(Call).where(Call.campaign_id == str(campaign_id)))
            return [call for call in found if not states or call.state in states]

    def invites(self, phones: Iterable[str]) -> list[dict[str, Any]]:
        """What the carrier was really asked to dial, in order."""
        numbers = set(phones)
        return [invite for invite in self.agent.lab.carrier.invites() if invite["to"] in numbers]


@pytest_asyncio.fixture(scope="module")
async def floor(start_agent: StartAgent, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Floor]:
    running = Floor(await start_agent(RINGING_TIMEOUT="3"), tmp_path_factory.mktemp("engines"))
    yield running
    await running.engines(0)


def people(*phones: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {new_number(): phone for phone in phones}


async def test_a_campaign_ends_by_itself_and_its_records_are_what_the_carrier_saw(floor: Floor) -> None:
    """Two engines share the work; busy people are tried twice."""
    await floor.set_trunk(max_concurrent=8)
    await floor.engines(2)
    phones = people(*[BUSY] * 10, *[DEAD] * 4, *[SILENT] * 3, *[RUDE] * 8)
    retry = ONCE | {"busy": {"attempts": 2, "delays": ["10s"], "jitter": 0}}
    campaign = await floor.campaign(phones, retry=retry)
    progress = await floor.ended(campaign)

    assert progress.contacts == progress.done == 25
    assert progress.outcomes.pop("busy") == 10
    assert progress.outcomes.pop("invalid_number") == 4
    assert progress.outcomes.pop("no_answer") == 3
    assert sum(progress.outcomes.values()) == 8

    calls = await floor.calls(campaign)
    assert all(call.state is CallState.ENDED and call.settled_at is not None for call in calls)
    dialled = Counter(call.to_number for call in calls if call.dialing_at is not None)
    seen = Counter(invite["to"] for invite in floor.invites(phones))
    assert seen == dialled
    assert {seen[number] for number, phone in phones.items() if phone is BUSY} == {2}
    assert {seen[number] for number, phone in phones.items() if phone is not BUSY} == {1}
    assert len({call.id for call in calls}) == len(calls) == 35

    async with floor.agent.database.transaction() as session:
        for contact in await session.scalars(select(Contact).where(Contact.campaign_id == campaign)):
            told = await decisions.of_contact(session, contact.id)
            attempts = seen[contact.phone]
            verdicts = [Verdict.DIAL, Verdict.RETRY] * (attempts - 1) + [Verdict.DIAL, Verdict.FINISH]
            assert [decision.verdict for decision in told] == verdicts, [decision.words for decision in told]
            assert (contact.state, contact.attempts) == (ContactState.DONE, attempts)
            mine = {call.id for call in calls if call.contact_id == str(contact.id)}
            assert {decision.call_id for decision in told} == mine
    assert await floor.agent.rooms("call-") == []


async def test_a_person_is_not_rung_again_before_the_first_call_is_over(floor: Floor) -> None:
    """Two campaigns, two engines, the same people."""
    await floor.set_trunk(max_concurrent=8)
    await floor.engines(2)
    phones = people(*[SILENT] * 4)
    both = [await floor.campaign(phones), await floor.campaign(phones)]

    async def rung() -> bool | None:
        return True if len(floor.invites(phones)) >= 4 else None

    await until(rung, within=40, what="four dials")
    waiting = await until(lambda: _over(floor, both), within=40, what="the end of the first calls")
    assert waiting is True
    times: dict[str, list[float]] = defaultdict(list)
    for event in floor.agent.lab.carrier.ledger():
        if event["to"] in phones and event["event"] in ("invite", "cancelled", "rejected", "ended"):
            times[event["to"]].append(event["time"] if event["event"] == "invite" else -event["time"])
    for number, moments in times.items():
        assert [moment > 0 for moment in moments] == [True, False] * (len(moments) // 2), (number, moments)
    for campaign in both:
        async with floor.agent.database.transaction() as session:
            with suppress(CampaignProblem):  # the people may have had all their attempts meanwhile
                await lifecycle.cancel(session, campaign, datetime.now(UTC))


async def _over(floor: Floor, campaigns: list[UUID]) -> bool | None:
    running = [call for campaign in campaigns for call in await floor.calls(campaign) if call.state != CallState.ENDED]
    return None if running else True


async def test_the_carrier_never_gets_more_calls_in_a_second_than_the_trunk_takes(floor: Floor) -> None:
    await floor.engines(2)
    await floor.set_trunk(calls_per_second=3)
    phones = people(*[BUSY] * 15)
    listed = list(phones)
    first = await floor.campaign({number: phones[number] for number in listed[:8]})
    second = await floor.campaign({number: phones[number] for number in listed[8:]})
    await floor.ended(first)
    await floor.ended(second)
    moments = [invite["time"] for invite in floor.invites(phones)]
    assert len(moments) == 15
    in_a_second = [sum(start <= moment < start + 1 for moment in moments) for start in moments]
    assert max(in_a_second) <= 3, [round(moment - moments[0], 2) for moment in moments]
    assert moments[-1] - moments[0] < 3 * 15 / 3, "the limit was not used"


async def test_a_pause_stops_new_dials_within_a_second_and_lets_calls_end(floor: Floor) -> None:
    await floor.engines(1)
    await floor.set_trunk(max_concurrent=6, calls_per_second=4)
    phones = people(*[PATIENT] * 2, *[BUSY] * 20)
    campaign = await floor.campaign(phones)

    async def talking() -> bool | None:
        return True if len(await floor.calls(campaign, CallState.ANSWERED)) == 2 else None

    await until(talking, within=40, what="two calls in which somebody talks")
    async with floor.agent.database.transaction() as session:
        await lifecycle.pause(session, campaign)
    paused_at = time.time()
    await asyncio.sleep(4)
    late = [invite["time"] - paused_at for invite in floor.invites(phones) if invite["time"] > paused_at + 1]
    assert late == []
    dialled = len(floor.invites(phones))
    assert 2 <= dialled < 22
    assert len(await floor.calls(campaign, CallState.ANSWERED)) == 2

    async with floor.agent.database.transaction() as session:
        await lifecycle.resume(session, campaign, datetime.now(UTC))
    resumed_at = time.time()

    async def dialled_again() -> bool | None:
        return True if len(floor.invites(phones)) > dialled else None

    await until(dialled_again, within=10, what="a dial after the campaign went on")
    assert min(i["time"] for i in floor.invites(phones) if i["time"] > paused_at + 1) - resumed_at < 5
    for call in await floor.calls(campaign, CallState.ANSWERED):
        for line in await floor.agent.lab.carrier.calls(to=call.to_number):
            await floor.agent.lab.carrier.hang_up(line["sip_call_id"])
    progress = await floor.ended(campaign)
    assert progress.done == progress.contacts == 22
    assert len(floor.invites(phones)) == 22


async def test_limits_that_change_while_it_runs_are_felt_at_once(floor: Floor) -> None:
    await floor.engines(1)
    await floor.set_trunk(max_concurrent=1)
    phones = people(*[SILENT] * 9)
    campaign = await floor.campaign(phones)
    underway = (CallState.DIALING, CallState.RINGING)

    async def at_once(count: int) -> bool | None:
        return True if len(await floor.calls(campaign, *underway)) >= count else None

    await until(lambda: at_once(1), within=20, what="a call")
    assert len(await floor.calls(campaign, *underway)) == 1
    await floor.set_trunk(max_concurrent=5)
    await until(lambda: at_once(4), within=8, what="four calls at once")
    assert (await floor.ended(campaign)).done == 9
    assert _most_at_once(floor, phones) <= 5


def _most_at_once(floor: Floor, phones: Iterable[str]) -> int:
    numbers, now, most = set(phones), 0, 0
    for event in floor.agent.lab.carrier.ledger():
        if event["to"] in numbers:
            now += (event["event"] == "invite") - (event["event"] in ("cancelled", "rejected", "ended"))
            most = max(most, now)
    return most


async def test_what_happened_while_an_engine_was_deaf_is_looked_at_as_soon_as_it_hears_again(floor: Floor) -> None:
    """An import whose notice was lost would wait until the campaign is looked at by itself, in minutes."""
    await floor.set_trunk()
    await floor.engines(1)
    phones = people(BUSY)
    campaign = await floor.campaign({new_number(): BUSY}, starts_at=datetime.now(UTC) + timedelta(days=1))
    async with floor.agent.database.transaction() as session:
        later = datetime.now(UTC) + timedelta(hours=2)
        await session.execute(update(Contact).where(Contact.campaign_id == campaign).values(next_at=later))
        await session.execute(update(Campaign).where(Campaign.id == campaign).values(starts_at=None, state="running"))
        await lifecycle.wake(session, campaign)

    async def sleeps() -> bool | None:
        wake_at = (await floor.state(campaign)).wake_at
        return True if wake_at is not None and wake_at > datetime.now(UTC) + timedelta(minutes=1) else None

    await until(sleeps, within=30, what="a campaign that has nothing to do")
    await floor.agent.lab.carrier.put_phones(phones)
    async with floor.agent.database.transaction() as session:
        session.add_all(Contact(campaign_id=campaign, phone=phone, name="Ana") for phone in phones)
    async with floor.agent.database.transaction() as session:
        ended = text(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = :listener"
        )
        assert await session.scalar(ended, {"listener": LISTENER}) == 1

    async def dialled() -> bool | None:
        return True if floor.invites(phones) else None

    await until(dialled, within=30, what="a dial of who was imported meanwhile")
    async with floor.agent.database.transaction() as session:
        await lifecycle.cancel(session, campaign, datetime.now(UTC))


async def test_an_engine_offers_a_call_again_that_no_agent_took_when_no_agent_has_a_watcher(floor: Floor) -> None:
    """LiveKit offers a call to the agents there are, once; this one comes when there is none of its name."""
    name = f"wire-{time.monotonic_ns()}"
    call = OutboundCall(uuid4(), new_number(), name, floor.trunk_id, prompt="Hello.")
    environment = {**surroundings(floor.agent), "LK_AGENT_NAME": name}
    programs = [
        spawn("engine", [sys.executable, "-m", "voiceagents.engine"], environment, floor.folder / "own.log",
              outlives_starter=False)
    ]  # fmt: skip
    try:
        await hand_over(floor.agent.database, floor.agent.livekit, call)
        wire = [sys.executable, "-m", "bench._wire_agent", name]
        environment |= {"DATABASE_URL": environment["DATABASE_URL"].replace("+psycopg", "", 1)}
        programs.append(spawn("wire", wire, environment, floor.folder / "wire.log", outlives_starter=False))
        record = await floor.agent.recorded(within=60, id=call.id)
        assert (record.row.state, record.row.worker_id) == (CallState.ENDED, "wire")
    finally:
        await asyncio.gather(*(asyncio.to_thread(program.stop, 20) for program in programs))
        async with floor.agent.database.transaction() as session:
            await presence.leave(session, "wire")
