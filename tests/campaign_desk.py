"""A campaign's life on a real database, with nobody on the telephone: what engines and agents write, step by step.

    desk = Desk(database)
    campaign = await desk.campaign(contacts=5, max_concurrent=2)
    first, second = await desk.feed(campaign)
    assert await desk.claim(first) is Claim.GRANTED
    await desk.end(first, Outcome.BUSY)
    await desk.settle()

The time is the desk's own and stands still until a test moves it. A pytest plugin, too: `desk`, and `wide`, another
process's view of the same database.
"""

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest_asyncio
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.calls import history, presence
from voiceagents.calls.history import Claim, Objection
from voiceagents.calls.models import Call
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import CallEnded, StateReached
from voiceagents.calls.states import CallState, EndedBy, Outcome
from voiceagents.campaigns import decisions, feeding, lifecycle, settling
from voiceagents.campaigns.feeding import Fed
from voiceagents.campaigns.gate import may_dial
from voiceagents.campaigns.models import Campaign, Contact, DecisionRecord, Installation, TrunkLimits
from voiceagents.campaigns.states import CampaignState
from voiceagents.db import Database

ALWAYS = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}
OFFICE = {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")}
TUESDAY_AT_NOON = datetime(2026, 3, 10, 16, 0, tzinfo=UTC)
"""12:00 in New York, which is where the desk's numbers are."""

_numbers = (f"+1212{exchange}{line:04}" for exchange in range(200, 999) for line in range(10_000))
_names = itertools.count(1)


class Desk:
    """One database, with as many agents as are needed."""

    def __init__(self, database: Database, *, now: datetime = TUESDAY_AT_NOON, agent_places: int = 1_000) -> None:
        self.database = database
        self.now = now
        self.agent_places = agent_places
        self.random = Random(7)
        clock.set_source(lambda: self.now)

    def close(self) -> None:
        """Gives the clock back."""
        clock.set_source(None)

    def later(self, **duration: float) -> datetime:
        """Moves the time on."""
        self.now += timedelta(**duration)
        return self.now

    # What people do

    async def campaign(self, contacts: int | Iterable[str] = 1, **fields: Any) -> UUID:
        """A running campaign without limits of its own but for those given, and its contacts."""
        phones = list(itertools.islice(_numbers, contacts)) if isinstance(contacts, int) else list(contacts)
        columns: dict[str, Any] = {
            "name": f"campaign {next(_names)}",
            "prompt": "Hello {name}.",
            "state": CampaignState.RUNNING,
            "started_at": self.now,
            "trunk_id": "ST_desk",
            "time_zone": "America/New_York",
            "window": ALWAYS,
            "max_concurrent": None,
            "calls_per_second": None,
            "attempts_per_day": None,
            "minimum_gap_seconds": 0,
        }
        async with self.database.transaction() as session:
            campaign = Campaign(**columns | fields)
            session.add(campaign)
            await session.flush()
            for phone in phones:
                session.add(Contact(campaign_id=campaign.id, phone=phone, next_at=self.now))
                await session.flush()  # one by one, so that they stand in this order
        return campaign.id

    async def set_trunk(self, trunk_id: str = "ST_desk", **limits: Any) -> None:
        """Limits of a trunk; those not given do not apply."""
        columns = {"max_concurrent": None, "calls_per_second": None} | limits
        async with self.database.transaction() as session:
            statement = insert(TrunkLimits).values(trunk_id=trunk_id, **columns)
            await session.execute(statement.on_conflict_do_update(index_elements=["trunk_id"], set_=columns))

    async def set_installation(self, **limits: Any) -> None:
        columns = {"max_concurrent": None, "kept_for_inbound": 0} | limits
        async with self.database.transaction() as session:
            statement = insert(Installation).values(id=1, **columns)
            await session.execute(statement.on_conflict_do_update(index_elements=["id"], set_=columns))

    async def edit(self, campaign_id: UUID, **columns: Any) -> None:
        async with self.database.transaction() as session:
            await session.execute(update(Campaign).where(Campaign.id == campaign_id).values(**columns))

    # What an engine does

    async def look(self, campaign_id: UUID, *, database: Database | None = None) -> tuple[Fed, list[UUID]]:
        """One feeding, and the calls that it deferred for dispatch."""
        deferred: list[UUID] = []

        async def defer(_: AsyncSession, call_ids: Sequence[UUID]) -> None:
            deferred.extend(call_ids)

        async with (database or self.database).transaction() as session:
            await self.beat(session)
            fed = await feeding.feed(session, campaign_id, self.now, defer)
        assert fed.calls == len(deferred)
        return fed, deferred

    async def feed(self, campaign_id: UUID) -> list[UUID]:
        """One feeding: the calls that it deferred for dispatch."""
        return (await self.look(campaign_id))[1]

    async def settle(self) -> set[UUID]:
        """Settles all that ended, and answers the campaigns that may dial again."""
        campaigns: set[UUID] = set()
        while True:
            async with self.database.transaction() as session:
                settled = await settling.settle(session, self.now, self.random)
            campaigns |= settled.campaigns
            if settled.calls == 0:
                return campaigns

    # What an agent does

    async def beat(self, session: AsyncSession) -> None:
        """The agents say that they live."""
        if self.agent_places:
            await presence.beat(
                session, "agent", "here", 1, max_calls=self.agent_places, active_calls=0, accepting=True
            )

    async def claim(self, call_id: UUID, *, database: Database | None = None) -> Claim | Objection:
        """An agent asks for the right to dial."""
        async with (database or self.database).transaction() as session:
            call = await session.get_one(Call, call_id)
            return await history.claim(
                session,
                call_id,
                room_name=call.room_name or "",
                to_number=call.to_number or "",
                trunk_id=call.trunk_id or "",
                worker_id="agent",
                at=self.now,
                gate=may_dial,
            )

    async def dial(self, call_id: UUID) -> None:
        """An agent dials; nobody answers yet."""
        answer = await self.claim(call_id)
        assert answer is Claim.GRANTED, answer

    async def end(self, call_id: UUID, outcome: Outcome, cause: str = "", **fields: Any) -> None:
        """An agent says how the call ended."""
        ending = Ending(outcome, cause or outcome.value, fields.pop("ended_by", EndedBy.CARRIER), **fields)
        async with self.database.transaction() as session:
            if outcome in (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.COMPLETED, Outcome.HUNG_UP):
                await history.write(session, StateReached(call_id=call_id, state=CallState.RINGING, at=self.now))
            await history.end(session, CallEnded.of(call_id, ending, self.now))

    async def dialled(self, call_ids: Sequence[UUID], outcome: Outcome, cause: str = "") -> None:
        """Calls that were dialled, ended so, and are settled."""
        for call_id in call_ids:
            await self.dial(call_id)
            await self.end(call_id, outcome, cause)
        await self.settle()

    # What there is

    async def contacts(self, campaign_id: UUID) -> list[Contact]:
        async with self.database.transaction() as session:
            found = await session.scalars(
                select(Contact).where(Contact.campaign_id == campaign_id).order_by(Contact.position)
            )
            return list(found)

    async def states(self, campaign_id: UUID) -> dict[str, int]:
        """How many contacts are in each state."""
        return dict(Counter(contact.state.value for contact in await self.contacts(campaign_id)))

    async def state(self, campaign_id: UUID) -> Campaign:
        async with self.database.transaction() as session:
            return await session.get_one(Campaign, campaign_id)

    async def call(self, call_id: UUID) -> Call:
        async with self.database.transaction() as session:
            return await session.get_one(Call, call_id)

    async def calls(self, **match: Any) -> list[Call]:
        async with self.database.transaction() as session:
            rows = (await session.scalars(select(Call).order_by(Call.created_at))).all()
        return [row for row in rows if all(getattr(row, key) == value for key, value in match.items())]

    async def contact_of(self, call_id: UUID) -> Contact:
        async with self.database.transaction() as session:
            found = (await session.scalars(select(Contact).where(Contact.call_id == call_id))).one()
            return found

    async def why(self, contact: Contact) -> list[DecisionRecord]:
        """Everything decided about a contact, in order."""
        async with self.database.transaction() as session:
            return list(await decisions.of_contact(session, contact.id))

    async def holds(self, campaign_id: UUID) -> list[DecisionRecord]:
        """What held the campaign as a whole, in order."""
        async with self.database.transaction() as session:
            found = await session.scalars(
                select(DecisionRecord)
                .where(DecisionRecord.campaign_id == campaign_id, DecisionRecord.contact_id.is_(None))
                .order_by(DecisionRecord.id)
            )
            return list(found)

    async def deadlocks(self) -> int:
        """Deadlocks that PostgreSQL has resolved in this database."""
        async with self.database.transaction() as session:
            asked = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            return await session.scalar(asked) or 0

    async def pause(self, campaign_id: UUID) -> None:
        async with self.database.transaction() as session:
            await lifecycle.pause(session, campaign_id)

    async def resume(self, campaign_id: UUID) -> None:
        with suppress(lifecycle.CampaignProblem):
            async with self.database.transaction() as session:
                await lifecycle.resume(session, campaign_id, self.now)


@pytest_asyncio.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    opened = Desk(database)
    for trunk in ("ST_desk", "ST_other"):
        await opened.set_trunk(trunk)
    await opened.set_installation()
    yield opened
    opened.close()


@pytest_asyncio.fixture
async def wide(database_url: str) -> AsyncIterator[Database]:
    """Another process's view of the same database, with many connections."""
    opened = Database(database_url, pool_size=24, wait=30)
    yield opened
    await opened.close()
