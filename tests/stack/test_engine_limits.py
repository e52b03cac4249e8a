"""How many calls does the engine let out, how fast, and whose come first? On a real PostgreSQL; nobody dials."""

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text

from tests.campaign_desk import Desk
from voiceagents.calls import history, presence
from voiceagents.calls.history import Claim
from voiceagents.calls.records import CallOpened
from voiceagents.calls.states import CallState, Direction, Outcome
from voiceagents.campaigns import feeding, pacing, places, turns
from voiceagents.campaigns.models import Contact, TrunkLimits
from voiceagents.campaigns.states import CampaignState, Scarce
from voiceagents.db import Database

pytestmark = pytest.mark.stack


# How many at once


async def test_a_campaign_has_no_more_calls_at_once_than_its_limit(desk: Desk) -> None:
    campaign = await desk.campaign(5, max_concurrent=2)
    first, second = await desk.feed(campaign)
    assert await desk.feed(campaign) == []
    await desk.dialled([first], Outcome.NO_ANSWER)
    assert len(await desk.feed(campaign)) == 1
    await desk.dial(second)
    assert await desk.feed(campaign) == []


async def test_campaigns_on_one_trunk_have_no_more_calls_at_once_than_the_trunk(desk: Desk) -> None:
    await desk.set_trunk(max_concurrent=3)
    one, other = await desk.campaign(5, max_concurrent=2), await desk.campaign(5)
    elsewhere = await desk.campaign(5, trunk_id="ST_other")
    assert len(await desk.feed(one)) == 2
    assert len(await desk.feed(other)) == 1
    assert await desk.feed(other) == []
    assert len(await desk.feed(elsewhere)) == 5


async def test_the_installation_has_no_more_calls_at_once_than_its_limit(desk: Desk) -> None:
    await desk.set_installation(max_concurrent=4)
    one, other = await desk.campaign(3), await desk.campaign(3, trunk_id="ST_other")
    assert len(await desk.feed(one)) == 3
    assert len(await desk.feed(other)) == 1


async def test_places_are_kept_for_people_who_call(desk: Desk) -> None:
    await desk.set_installation(max_concurrent=5, kept_for_inbound=2)
    campaign = await desk.campaign(9)
    assert len(await desk.feed(campaign)) == 3
    async with desk.database.transaction() as session:  # one of them is used now, and keeps no further place free
        opened = CallOpened(call_id=uuid4(), at=desk.now, direction=Direction.INBOUND, state=CallState.ANSWERED)
        await history.open_call(session, opened)
    assert await desk.feed(campaign) == []
    await desk.set_installation(max_concurrent=6, kept_for_inbound=2)
    assert len(await desk.feed(campaign)) == 1


async def test_no_more_calls_are_made_than_the_agents_can_take(database: Database) -> None:
    desk = Desk(database, agent_places=3)
    await desk.set_trunk()
    await desk.set_installation()
    campaign = await desk.campaign(9)
    first, *_ = await desk.feed(campaign)
    assert len(await desk.calls()) == 3
    await desk.dial(first)  # an agent has it now; it is still a place
    assert await desk.feed(campaign) == []
    await desk.end(first, Outcome.BUSY)
    assert len(await desk.feed(campaign)) == 1
    desk.close()


async def test_without_agents_nobody_is_called_and_the_campaign_says_so_and_looks_again_soon(
    database: Database,
) -> None:
    desk = Desk(database, agent_places=0)
    await desk.set_installation()
    campaign = await desk.campaign(3)
    fed, calls = await desk.look(campaign)
    assert calls == []
    assert fed.again_at is not None
    assert fed.again_at - desk.now <= timedelta(seconds=2)
    (hold,) = await desk.holds(campaign)
    assert hold.words == "places in agent processes: 0 of 0 in use"
    desk.agent_places = 2
    assert len(await desk.feed(campaign)) == 2
    desk.close()


async def test_an_agent_that_fell_silent_or_takes_no_more_calls_has_no_places(desk: Desk) -> None:
    desk.agent_places = 0
    campaign = await desk.campaign(9)
    async with desk.database.transaction() as session:
        for name, accepting in (("lives", True), ("stops", False), ("silent", True)):
            await presence.beat(session, name, "here", 1, max_calls=2, active_calls=0, accepting=accepting)
        await session.execute(text("UPDATE workers SET seen_at = now() - interval '1 minute' WHERE id = 'silent'"))
    assert len(await desk.feed(campaign)) == 2


async def test_an_agent_that_is_still_tidying_up_has_no_place_yet(desk: Desk) -> None:
    desk.agent_places = 0
    campaign = await desk.campaign(9)
    async with desk.database.transaction() as session:
        await presence.beat(session, "lives", "here", 1, max_calls=4, active_calls=3, accepting=True)
    assert len(await desk.feed(campaign)) == 1


async def test_limits_that_change_are_felt_at_the_next_look(desk: Desk) -> None:
    await desk.set_trunk(max_concurrent=1)
    campaign = await desk.campaign(9)
    assert len(await desk.feed(campaign)) == 1
    await desk.set_trunk(max_concurrent=4)
    assert len(await desk.feed(campaign)) == 3
    await desk.set_trunk(max_concurrent=2)
    assert await desk.feed(campaign) == []
    await desk.edit(campaign, max_concurrent=0)
    await desk.set_trunk(max_concurrent=None)
    assert await desk.feed(campaign) == []


# How many a second


async def test_calls_set_out_as_their_turns_come_near(desk: Desk) -> None:
    await desk.set_trunk(calls_per_second=2)
    campaign = await desk.campaign(20)
    fed, calls = await desk.look(campaign)
    assert len(calls) == pacing.turns(100, [pacing.Pace(2.0)]).calls
    assert fed.again_at is not None
    assert timedelta() < fed.again_at - desk.now < timedelta(seconds=1)
    assert await desk.feed(campaign) == []  # those are on their way
    desk.later(seconds=30)  # and these have lost it: they no longer stand in the way
    assert await desk.feed(campaign) != []


async def turns_taken(wide: Database, calls: list[UUID], trunk: str = "ST_desk") -> list[float]:
    """All calls ask for their turn at once, as agents on several machines; answers the turns, in seconds."""

    async def take(call_id: UUID) -> float:
        async with wide.transaction() as session:
            await turns.take(session, call_id, trunk)
            turn = select(TrunkLimits.last_turn_at).where(TrunkLimits.trunk_id == trunk)
            at = (await session.execute(turn)).scalar_one()
        assert at is not None
        return at.timestamp()

    return sorted(await asyncio.gather(*(take(call_id) for call_id in calls)))


async def test_turns_of_a_trunk_are_exact_whoever_asks_and_however_many_at_once(desk: Desk, wide: Database) -> None:
    one, other = await desk.campaign(20), await desk.campaign(20)
    calls = await desk.feed(one) + await desk.feed(other)
    await desk.set_trunk(calls_per_second=10)
    taken = await turns_taken(wide, calls)
    assert len(taken) == 40
    assert all(b - a > pacing.gap(10) - 0.001 for a, b in pairwise(taken))
    assert taken[-1] - taken[0] < 40 * pacing.gap(10) + 0.5
    assert all(b - a > 1.0 for a, b in zip(taken, taken[10:], strict=False))


async def test_a_campaign_has_turns_of_its_own_within_those_of_its_trunk(desk: Desk, wide: Database) -> None:
    slow, fast = await desk.campaign(4, calls_per_second=2), await desk.campaign(12)
    of_slow, of_fast = await desk.feed(slow), await desk.feed(fast)
    await desk.set_trunk(calls_per_second=20)
    slow_turns, fast_turns = await asyncio.gather(turns_taken(wide, of_slow), turns_taken(wide, of_fast))
    assert all(b - a > pacing.gap(2) - 0.001 for a, b in pairwise(slow_turns))
    assert all(b - a > pacing.gap(20) - 0.001 for a, b in pairwise(sorted(slow_turns + fast_turns)))


async def test_a_call_of_no_campaign_keeps_to_its_trunks_limit_too(desk: Desk, wide: Database) -> None:
    await desk.set_trunk(calls_per_second=5)
    taken = await turns_taken(wide, [uuid4(), uuid4(), uuid4()])
    assert all(b - a > pacing.gap(5) - 0.001 for a, b in pairwise(taken))
    async with wide.transaction() as session:
        assert await turns.take(session, uuid4(), "ST_nobody_set_limits") == 0


async def test_a_new_rate_holds_from_the_next_turn_on(desk: Desk, wide: Database) -> None:
    await desk.set_trunk(calls_per_second=0.01)
    assert len(await turns_taken(wide, [uuid4()])) == 1
    await desk.set_trunk(calls_per_second=10)
    before = (await turns_taken(wide, [uuid4()]))[0]
    after = (await turns_taken(wide, [uuid4()]))[0]
    assert after - before == pytest.approx(pacing.gap(10), abs=0.05)


# Who comes first


async def test_contacts_are_called_in_the_order_of_the_list_and_retries_by_their_time(desk: Desk) -> None:
    campaign = await desk.campaign(3, max_concurrent=1, retry={"busy": {"delays": ["10m"], "jitter": 0}})
    order = [contact.id for contact in await desk.contacts(campaign)]
    called: list[UUID] = []
    for _ in range(3):
        (call,) = await desk.feed(campaign)
        called.append((await desk.contact_of(call)).id)
        await desk.dialled([call], Outcome.BUSY)
        desk.later(minutes=1)
    assert called == order
    assert await desk.feed(campaign) == []
    desk.later(minutes=7)
    (again,) = await desk.feed(campaign)
    assert (await desk.contact_of(again)).id == order[0]


async def play(desk: Desk, campaigns: list[UUID], rounds: int) -> list[Counter[UUID]]:
    """Engines feed the campaigns always in the same order; each round the longest call ends. Answers who was running,
    round by round."""
    running: list[tuple[UUID, UUID]] = []
    seen: list[Counter[UUID]] = []
    for _ in range(rounds):
        for campaign in campaigns:
            running += [(campaign, call) for call in await desk.feed(campaign)]
        seen.append(Counter(campaign for campaign, _ in running))
        _, call = running.pop(0)
        await desk.dialled([call], Outcome.NO_ANSWER)
        desk.later(seconds=1)
    return seen


async def test_two_campaigns_share_a_busy_trunk_by_halves(desk: Desk) -> None:
    await desk.set_trunk(max_concurrent=4)
    early, late = await desk.campaign(60), await desk.campaign(60)
    seen = await play(desk, [early, late], 30)
    assert all(sum(round_.values()) == 4 for round_ in seen)
    assert all(round_[early] == round_[late] == 2 for round_ in seen[10:])


async def test_priorities_divide_a_busy_trunk_and_leave_nobody_out(desk: Desk) -> None:
    await desk.set_trunk(max_concurrent=8)
    important, usual = await desk.campaign(150, priority=9), await desk.campaign(150, priority=3)
    seen = await play(desk, [usual, important], 40)
    assert all(sum(round_.values()) == 8 for round_ in seen)
    assert all(round_[important] == 6 and round_[usual] == 2 for round_ in seen[20:])


async def test_more_campaigns_than_places_take_turns(desk: Desk) -> None:
    await desk.set_trunk(max_concurrent=1)
    campaigns = [await desk.campaign(30) for _ in range(3)]
    seen = await play(desk, campaigns, 30)
    had = sum(seen, Counter[UUID]())
    assert all(had[campaign] == pytest.approx(10, abs=2) for campaign in campaigns), had


async def test_campaigns_on_different_trunks_share_the_places_of_the_installation(desk: Desk) -> None:
    await desk.set_installation(max_concurrent=4)
    one, other = await desk.campaign(60), await desk.campaign(60, trunk_id="ST_other")
    seen = await play(desk, [one, other], 30)
    assert all(round_[one] == round_[other] == 2 for round_ in seen[10:])


async def test_a_trunk_that_takes_few_calls_a_second_is_shared_by_priority(desk: Desk) -> None:
    """Calls are over at once, so that only the turns are scarce."""
    await desk.set_trunk(calls_per_second=0.5)
    usual, important = await desk.campaign(60, priority=2), await desk.campaign(60, priority=6)
    had: Counter[UUID] = Counter()
    for _ in range(80):
        for campaign in (usual, important):  # always in this order
            for call in await desk.feed(campaign):
                had[campaign] += 1
                await desk.dialled([call], Outcome.NO_ANSWER)
                async with desk.database.transaction() as session:  # the turn is taken, two seconds pass in a moment
                    await turns.take(session, call, "ST_desk")
        async with desk.database.transaction() as session:
            await session.execute(text("UPDATE trunk_limits SET last_turn_at = last_turn_at - interval '1 second'"))
        desk.later(seconds=1)
    assert had.total() >= 30
    assert had[important] / had.total() == pytest.approx(0.75, abs=0.1), had


@pytest.mark.parametrize("why", ["closed", "capped", "at its own limit", "paused"])
async def test_a_campaign_that_may_not_dial_keeps_no_place_from_another(desk: Desk, why: str) -> None:
    await desk.set_trunk(max_concurrent=4)
    fields: dict[str, dict[str, Any]] = {
        "closed": {"window": {"mon": [["01:00", "02:00"]]}},
        "capped": {"daily_cap": 0},
        "at its own limit": {"max_concurrent": 0},
        "paused": {"state": CampaignState.PAUSED},
    }
    idle = await desk.campaign(9, priority=10, **fields[why])
    busy = await desk.campaign(9, priority=1)
    for _ in range(2):
        await desk.feed(idle)
        assert (await desk.state(idle)).waits_for is None
        await desk.feed(busy)
    assert len(await desk.calls(campaign_id=str(busy))) == 4


async def test_whatever_ends_wakes_campaigns_that_wait_for_its_place(desk: Desk) -> None:
    await desk.set_installation(max_concurrent=2)
    one, other = await desk.campaign(9), await desk.campaign(9, trunk_id="ST_other")
    calls = await desk.feed(one)
    assert await desk.feed(other) == []
    assert (await desk.state(other)).waits_for is Scarce.INSTALLATION
    await desk.dialled(calls[:1], Outcome.BUSY)
    async with desk.database.transaction() as session:
        assert other in await places.waiting(session, 1)
    assert len(await desk.feed(other)) == 1


# Two engines at once


async def test_two_engines_that_feed_at_once_call_nobody_twice_and_keep_every_limit(desk: Desk, wide: Database) -> None:
    await desk.set_trunk(max_concurrent=30)
    await desk.set_installation(max_concurrent=40)
    campaigns = [await desk.campaign(40, max_concurrent=18), await desk.campaign(40, trunk_id="ST_other")]
    await asyncio.gather(*(desk.look(campaign, database=wide) for _ in range(8) for campaign in campaigns))
    calls = await desk.calls()
    assert len(calls) == 40
    assert len({call.contact_id for call in calls}) == 40
    assert sum(call.campaign_id == str(campaigns[0]) for call in calls) <= 18
    assert await desk.deadlocks() == 0


async def test_a_contact_that_somebody_else_holds_is_left_to_them_and_taken_later(desk: Desk, wide: Database) -> None:
    campaign = await desk.campaign(3)
    held = (await desk.contacts(campaign))[0]
    async with wide.transaction() as session:
        await session.execute(select(Contact).where(Contact.id == held.id).with_for_update())
        fed, calls = await desk.look(campaign)
        assert len(calls) == 2
        assert fed.again_at is not None
        assert fed.again_at - desk.now < timedelta(seconds=1)
    (call,) = await desk.feed(campaign)
    assert (await desk.contact_of(call)).id == held.id


async def test_the_daily_cap_is_not_exceeded_by_two_engines_at_once(desk: Desk, wide: Database) -> None:
    campaign = await desk.campaign(40, daily_cap=7)
    await asyncio.gather(*(desk.look(campaign, database=wide) for _ in range(6)))
    calls = await desk.calls()
    assert len(calls) == 7
    answers = await asyncio.gather(*(desk.claim(call.id, database=wide) for call in calls))
    assert answers == [Claim.GRANTED] * 7
    for call in calls:
        await desk.end(call.id, Outcome.NO_ANSWER)
    await desk.settle()
    fed, more = await desk.look(campaign)
    assert more == []
    assert fed.again_at is not None
    assert fed.again_at.isoformat() == "2026-03-11T04:00:00+00:00"  # midnight in New York, the window never shuts
    (hold,) = await desk.holds(campaign)
    assert hold.rule == "campaign_is_below_its_daily_cap"
    desk.now = fed.again_at
    assert len(await desk.feed(campaign)) == 7


async def test_a_call_has_the_same_id_whoever_makes_it(desk: Desk) -> None:
    campaign = await desk.campaign(1)
    (contact,) = await desk.contacts(campaign)
    (call,) = await desk.feed(campaign)
    assert call == feeding.call_id_of(campaign, contact.id, 1)
    assert (await desk.call(call)).attempt == 1


async def test_fifty_agents_claim_at_once_and_each_call_is_granted_once(desk: Desk, wide: Database) -> None:
    campaign = await desk.campaign(50)
    calls = await desk.feed(campaign)
    assert len(calls) == 50
    answers = await asyncio.gather(*(desk.claim(call, database=wide) for call in calls + calls))
    assert Counter(str(answer) for answer in answers) == {"granted": 50, "taken": 50}
    assert all(call.state is CallState.DIALING for call in await desk.calls())
