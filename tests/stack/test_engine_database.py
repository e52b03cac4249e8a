"""Does the engine's state machine hold on a real PostgreSQL? The last word at the claim, what follows a call, crashes,
odd clocks, locks; nobody dials."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from livekit import api
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from tests.campaign_desk import OFFICE, Desk
from voiceagents.calls import history, presence
from voiceagents.calls import watcher as watcher_module
from voiceagents.calls.history import Claim, Objection
from voiceagents.calls.models import Call, Worker
from voiceagents.calls.records import CallOpened
from voiceagents.calls.states import CallState, Direction, Outcome
from voiceagents.calls.watcher import Watcher
from voiceagents.campaigns import do_not_call, feeding, lifecycle, limits, pacing, turns
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.states import CampaignState, Verdict
from voiceagents.db import Database

pytestmark = pytest.mark.stack


# The last word at the claim


def words(answer: Claim | Objection) -> str:
    assert isinstance(answer, Objection), answer
    return answer.words


async def test_a_pause_between_pick_and_dial_stops_the_dial_and_costs_no_attempt(desk: Desk) -> None:
    campaign = await desk.campaign(1)
    (call,) = await desk.feed(campaign)
    await desk.pause(campaign)
    assert words(await desk.claim(call)) == "the campaign is paused: paused by a person"
    await desk.settle()
    (contact,) = await desk.contacts(campaign)
    assert (contact.state, contact.attempts, contact.last_outcome) == ("waiting", 0, None)
    assert [decision.verdict for decision in await desk.why(contact)] == [Verdict.DIAL, Verdict.HOLD]
    assert await desk.feed(campaign) == []
    await desk.resume(campaign)
    (again,) = await desk.feed(campaign)
    assert again == feeding.call_id_of(campaign, contact.id, 2)
    await desk.dial(again)


async def test_a_number_listed_between_pick_and_dial_is_not_dialled_by_any_campaign(desk: Desk) -> None:  # TC-058
    one, other = await desk.campaign(["+12025550143"]), await desk.campaign(["+12025550143"])
    (call,) = await desk.feed(one)
    async with desk.database.transaction() as session:
        await do_not_call.add(session, "+12025550143", None, "asked by mail")
    assert words(await desk.claim(call)) == "the number is on the do-not-call list (asked by mail)"
    await desk.settle()
    assert await desk.feed(other) == []
    for campaign in (one, other):
        (contact,) = await desk.contacts(campaign)
        assert (contact.state, contact.attempts) == ("skipped", 0)
        decision = (await desk.why(contact))[-1]
        assert decision.rule == "number_may_be_called"
        assert "asked by mail" in decision.words
        await desk.feed(campaign)
        assert (await desk.state(campaign)).state is CampaignState.COMPLETED


async def test_a_number_listed_between_attempt_and_retry_is_not_dialled_again(desk: Desk) -> None:  # TC-058
    campaign = await desk.campaign(["+12025550143"], retry={"busy": {"delays": ["10m"]}})
    await desk.dialled(await desk.feed(campaign), Outcome.BUSY)
    async with desk.database.transaction() as session:
        await do_not_call.add(session, "+12025550143", campaign, "not this campaign")
    desk.later(hours=1)
    assert await desk.feed(campaign) == []
    assert await desk.states(campaign) == {"skipped": 1}


async def test_a_window_that_shuts_between_pick_and_dial_stops_the_dial(desk: Desk) -> None:
    campaign = await desk.campaign(1, window=OFFICE)
    desk.now = desk.now.replace(hour=20, minute=59, second=59)  # 16:59:59 in New York
    (call,) = await desk.feed(campaign)
    desk.later(seconds=2)
    assert "it is Tuesday 17:00" in words(await desk.claim(call))
    await desk.settle()
    (contact,) = await desk.contacts(campaign)
    assert (contact.state, contact.attempts) == ("waiting", 0)
    assert contact.next_at.isoformat() == "2026-03-11T13:00:00+00:00"


async def test_a_call_of_no_campaign_is_stopped_by_the_list_for_everybody(desk: Desk) -> None:
    opened = CallOpened(
        call_id=uuid4(), at=desk.now, direction=Direction.OUTBOUND, state=CallState.DISPATCHED,
        to_number="+12025550143", room_name="call-1", trunk_id="ST_desk",
    )  # fmt: skip
    async with desk.database.transaction() as session:
        await history.open_call(session, opened)
        await do_not_call.add(session, "+12025550143", None, "")
    assert words(await desk.claim(opened.call_id)) == "the number is on the do-not-call list"


async def test_one_number_in_two_campaigns_rings_once_at_a_time(desk: Desk) -> None:  # TC-052
    one = await desk.campaign(["+12025550143"])
    other = await desk.campaign(["+12025550143"], trunk_id="ST_other")
    (call,) = await desk.feed(one)
    assert await desk.feed(other) == []
    (contact,) = await desk.contacts(other)
    assert contact.state == "waiting"
    (decision,) = await desk.why(contact)
    assert (decision.verdict, decision.rule) == (Verdict.DEFER, "number_is_in_no_other_call")
    await desk.dialled([call], Outcome.NO_ANSWER)
    desk.now = contact.next_at
    assert len(await desk.feed(other)) == 1


async def test_two_claims_on_one_number_at_once_let_one_through(desk: Desk, wide: Database) -> None:  # TC-052
    """As two dispatchers that know nothing of each other would."""
    ids = [uuid4(), uuid4()]
    async with desk.database.transaction() as session:
        for call_id in ids:
            opened = CallOpened(
                call_id=call_id, at=desk.now, direction=Direction.OUTBOUND, state=CallState.DISPATCHED,
                to_number="+12025550143", room_name=f"call-{call_id}", trunk_id="ST_desk",
            )  # fmt: skip
            await history.open_call(session, opened)
    answers = await asyncio.gather(*(desk.claim(call_id, database=wide) for call_id in ids))
    assert sorted(str(answer) for answer in answers) == ["granted", "number_busy"]


# What follows a call


async def test_only_what_was_dialled_is_an_attempt(desk: Desk) -> None:  # TC-046
    campaign = await desk.campaign(1, retry={"busy": {"attempts": 3, "delays": ["300s"], "jitter": 0}})
    for _ in range(2):
        (call,) = await desk.feed(campaign)
        await desk.end(call, Outcome.NO_CAPACITY, "not dialled: LiveKit could not be reached")
        await desk.settle()
        for _ in range(10):
            desk.later(seconds=60)
            if (await desk.contacts(campaign))[0].next_at <= desk.now:
                break
        async with desk.database.transaction() as session:  # the rest that the refusals brought is over
            await session.execute(text("UPDATE installation SET hold_until = NULL"))
    (contact,) = await desk.contacts(campaign)
    assert contact.attempts == 0
    started = desk.now
    await desk.dialled(await desk.feed(campaign), Outcome.BUSY)
    (contact,) = await desk.contacts(campaign)
    assert contact.attempts == 1
    for _ in range(4):
        desk.later(seconds=60)
        assert await desk.feed(campaign) == [], desk.now - started
    desk.later(seconds=60)
    assert len(await desk.feed(campaign)) == 1


async def test_settling_twice_or_by_two_engines_at_once_concludes_once(desk: Desk, wide: Database) -> None:
    campaign = await desk.campaign(30)
    for call in await desk.feed(campaign):
        await desk.dial(call)
        await desk.end(call, Outcome.BUSY)
    other = Desk(wide, now=desk.now)
    await asyncio.gather(desk.settle(), other.settle(), desk.settle())
    assert {contact.attempts for contact in await desk.contacts(campaign)} == {1}
    for contact in await desk.contacts(campaign):
        assert [decision.verdict for decision in await desk.why(contact)] == [Verdict.DIAL, Verdict.RETRY]


async def test_who_asks_not_to_be_called_is_listed_for_everybody(desk: Desk) -> None:
    campaign = await desk.campaign(["+12025550143"])
    await desk.dialled(await desk.feed(campaign), Outcome.OPTED_OUT)
    async with desk.database.transaction() as session:
        (entry,) = await do_not_call.check(session, "+12025550143")
    assert entry.campaign_id is None
    assert "asked in call" in entry.reason


async def test_a_campaign_ends_by_itself_when_its_last_contact_is_done(desk: Desk) -> None:
    campaign = await desk.campaign(3, retry={"no_answer": {"attempts": 1}})
    calls = await desk.feed(campaign)
    await desk.dialled(calls[:2], Outcome.NO_ANSWER)
    fed, _ = await desk.look(campaign)
    assert not fed.completed
    await desk.dialled(calls[2:], Outcome.COMPLETED)
    fed, _ = await desk.look(campaign)
    assert fed.completed
    found = await desk.state(campaign)
    assert (found.state, found.finished_at, found.wake_at) == (CampaignState.COMPLETED, desk.now, None)
    assert await desk.states(campaign) == {"done": 3}


async def test_a_campaign_whose_last_day_is_over_skips_who_is_left_whatever_the_hour(desk: Desk) -> None:
    campaign = await desk.campaign(4, max_concurrent=1, window=OFFICE, expires_at=desk.now + timedelta(hours=12))
    (call,) = await desk.feed(campaign)
    await desk.dial(call)
    desk.later(hours=12)
    await desk.feed(campaign)
    assert await desk.states(campaign) == {"calling": 1, "skipped": 3}
    await desk.end(call, Outcome.BUSY)
    await desk.settle()
    for _ in range(2):
        fed, _ = await desk.look(campaign)
    assert fed.completed
    assert await desk.states(campaign) == {"skipped": 4}
    for contact in await desk.contacts(campaign):
        assert (await desk.why(contact))[-1].rule == "campaign_has_not_expired"


async def test_a_retry_policy_that_cannot_be_read_gives_way_to_the_defaults(desk: Desk) -> None:
    campaign = await desk.campaign(1, retry={"busy": {"delays": ["soon"]}, "nonsense": 3})
    await desk.dialled(await desk.feed(campaign), Outcome.BUSY)
    (contact,) = await desk.contacts(campaign)
    assert (contact.state, contact.attempts) == ("waiting", 1)


async def test_a_call_that_nobody_understands_does_not_hold_up_the_others(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    campaign = await desk.campaign(3)
    calls = await desk.feed(campaign)
    broken = await desk.contact_of(calls[0])
    async with desk.database.transaction() as session:
        await session.execute(update(Contact).where(Contact.id == broken.id).values(zones="Nowhere/Atlantis"))
    await desk.dialled(calls, Outcome.BUSY)
    assert await desk.states(campaign) == {"done": 1, "waiting": 2}
    assert "could not be worked out" in (await desk.why(broken))[-1].words


# Rests and breaks


async def test_a_trunk_that_is_congested_rests_longer_each_time_and_recovers(desk: Desk) -> None:  # TC-040
    campaign = await desk.campaign(12, max_concurrent=3)
    elsewhere = await desk.campaign(1, trunk_id="ST_other")
    await desk.dialled(await desk.feed(campaign), Outcome.CONGESTION, "503 Service Unavailable")
    fed, calls = await desk.look(campaign)
    assert calls == []
    assert fed.again_at == desk.now + timedelta(seconds=pacing.FIRST_HOLD)  # three refusals at once are one
    (hold,) = await desk.holds(campaign)
    assert hold.words == "the trunk rests: 503 Service Unavailable"
    assert len(await desk.feed(elsewhere)) == 1

    desk.now = fed.again_at
    await desk.dialled(await desk.feed(campaign), Outcome.CONGESTION, "503 Service Unavailable")
    fed, _ = await desk.look(campaign)
    assert fed.again_at == desk.now + timedelta(seconds=2 * pacing.FIRST_HOLD)
    desk.now = fed.again_at
    calls = await desk.feed(campaign)
    await desk.dialled(calls, Outcome.BUSY)
    assert len(await desk.feed(campaign)) == 3
    assert {contact.attempts for contact in await desk.contacts(campaign)} == {0, 1}
    assert sum(contact.attempts for contact in await desk.contacts(campaign)) == 3  # congestion uses up none


async def test_lack_of_agents_rests_the_installation(desk: Desk) -> None:
    campaign, elsewhere = await desk.campaign(2), await desk.campaign(2, trunk_id="ST_other")
    for call in await desk.feed(campaign):
        await desk.end(call, Outcome.NO_CAPACITY, "not dialled: no agent took the call within 90 s")
    await desk.settle()
    assert await desk.feed(elsewhere) == []
    assert "no agent took the call" in (await desk.holds(elsewhere))[0].words


@pytest.mark.parametrize("lacking_last", [True, False])
async def test_of_calls_that_are_settled_together_the_last_says_whether_the_installation_rests(
    desk: Desk, lacking_last: bool
) -> None:
    campaign, elsewhere = await desk.campaign(2), await desk.campaign(2, trunk_id="ST_other")
    lacking, through = await desk.feed(campaign)
    await desk.dial(through)
    endings = [(through, Outcome.BUSY), (lacking, Outcome.NO_CAPACITY)]
    for call, outcome in endings if lacking_last else reversed(endings):
        desk.later(seconds=1)
        await desk.end(call, outcome)
    await desk.settle()
    assert len(await desk.feed(elsewhere)) == (0 if lacking_last else 2)


async def test_a_campaign_whose_calls_fail_for_one_cause_is_paused_with_the_cause(desk: Desk) -> None:
    campaign, healthy = await desk.campaign(20), await desk.campaign(20)
    calls = await desk.feed(campaign)
    for call in calls[:10]:
        await desk.dial(call)
        await desk.end(call, Outcome.FAILED, "the carrier refuses the trunk's credentials (403 Forbidden)")
    await desk.settle()
    found = await desk.state(campaign)
    assert found.state is CampaignState.PAUSED
    assert found.pause_cause is not None
    assert "403 Forbidden" in found.pause_cause
    assert [hold.rule for hold in await desk.holds(campaign)] == ["circuit_breaker"]
    assert "the campaign is paused" in words(await desk.claim(calls[10]))
    await desk.dialled(await desk.feed(healthy), Outcome.BUSY)
    assert (await desk.state(healthy)).state is CampaignState.RUNNING
    desk.later(minutes=1)
    await desk.resume(campaign)
    await desk.dialled((await desk.feed(campaign))[:1], Outcome.FAILED, "once more")
    assert (await desk.state(campaign)).state is CampaignState.RUNNING  # what was mended does not count


# Crashes


async def test_an_engine_that_is_cancelled_while_it_feeds_takes_nothing_with_it(desk: Desk) -> None:  # TC-055
    campaign = await desk.campaign(4, max_concurrent=2, retry={"no_answer": {"attempts": 1}})

    async def cancelled(_session: AsyncSession, _calls: Sequence[UUID]) -> None:
        raise asyncio.CancelledError

    async def feed_and_be_cancelled() -> None:
        async with desk.database.transaction() as session:
            await desk.beat(session)
            await feeding.feed(session, campaign, desk.now, cancelled)

    with pytest.raises(asyncio.CancelledError):
        await feed_and_be_cancelled()
    assert await desk.calls() == []
    first = await desk.feed(campaign)
    assert len(first) == 2
    await desk.dialled(first, Outcome.NO_ANSWER)
    assert len(await desk.feed(campaign)) == 2


class Rooms:
    """LiveKit, as a watcher sees it."""

    def __init__(self, *, talking_in: str | None) -> None:
        self.room = self
        self._names = [talking_in] if talking_in else []
        self.deleted: list[str] = []

    async def list_rooms(self, _: api.ListRoomsRequest) -> api.ListRoomsResponse:
        return api.ListRoomsResponse(rooms=[api.Room(name=name) for name in self._names])

    async def list_participants(self, _: api.ListParticipantsRequest) -> api.ListParticipantsResponse:
        kind = api.ParticipantInfo.Kind
        phone = api.ParticipantInfo(kind=kind.SIP, attributes={"sip.callStatus": "active"})
        return api.ListParticipantsResponse(participants=[phone, api.ParticipantInfo(kind=kind.AGENT)])

    async def delete_room(self, request: api.DeleteRoomRequest) -> api.DeleteRoomResponse:
        self.deleted.append(request.room)
        return api.DeleteRoomResponse()


async def test_calls_that_a_crash_left_days_ago_are_swept_and_leave_their_places(desk: Desk) -> None:  # TC-056
    campaign = await desk.campaign(5, max_concurrent=3, retry={"failed": {"attempts": 1}})
    old_one, old_other, live = await desk.feed(campaign)
    for call in (old_one, old_other, live):
        await desk.dial(call)
    async with desk.database.transaction() as session:
        await session.execute(
            text("UPDATE calls SET worker_id = 'died', created_at = now() - interval '3 days',"
                 " dialing_at = now() - interval '3 days' WHERE id IN (:one, :other)"),
            {"one": old_one, "other": old_other},
        )  # fmt: skip
        await session.execute(
            text("UPDATE calls SET created_at = now() - interval '20 s', dialing_at = now() - interval '20 s'"
                 " WHERE id = :live"),
            {"live": live},
        )  # fmt: skip
    assert await desk.feed(campaign) == []
    rooms: Any = Rooms(talking_in=(await desk.call(live)).room_name)
    watcher = Watcher(desk.database, rooms)
    await watcher.look(0.0)
    assert (await desk.call(old_one)).state is CallState.DIALING, "with the first look nobody is known to be silent"
    await watcher.look(presence.SILENT + 1)
    await desk.settle()
    assert (await desk.call(old_one)).outcome is Outcome.FAILED
    assert (await desk.call(live)).state is CallState.DIALING
    assert (await desk.call(live)).room_name not in rooms.deleted
    assert len(await desk.feed(campaign)) == 2


# Odd campaigns and odd clocks


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_of_the_database_that_is_set_makes_no_living_agent_a_dead_one(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    campaign = await desk.campaign(1)
    (call,) = await desk.feed(campaign)
    await desk.dial(call)
    rooms: Any = Rooms(talking_in=(await desk.call(call)).room_name)
    watcher = Watcher(desk.database, rooms)
    await watcher.look(0.0)
    await watcher.look(100.0)
    # That the database's clock is set is the same as that all other times move.
    monkeypatch.setattr(watcher_module, "monotonic", lambda: time.monotonic() - hours * 3600)
    async with desk.database.transaction() as session:
        await session.execute(update(Worker).values(seen_at=Worker.seen_at - timedelta(hours=hours)))
        assert await presence.living(session) == set()
        assert (await presence.places(session)).total == 0
    await watcher.look(101.0)
    await watcher.look(102.0)
    assert (await desk.call(call)).state is CallState.DIALING
    async with desk.database.transaction() as session:
        await desk.beat(session)
    await watcher.look(101.0 + presence.SILENT + 1)
    assert (await desk.call(call)).state is CallState.DIALING
    async with desk.database.transaction() as session:
        await session.execute(update(Worker).values(seen_at=Worker.seen_at - timedelta(hours=hours)))
    await watcher.look(120.0)
    assert (await desk.call(call)).outcome is Outcome.FAILED, "one that stays silent is dead all the same"


async def test_a_campaign_with_a_malformed_window_dials_nobody_and_disturbs_nobody(desk: Desk) -> None:  # TC-092
    broken = await desk.campaign(3, window={"mon": "nine to five"})
    healthy = await desk.campaign(3)
    for _ in range(3):
        assert await desk.feed(broken) == []
        desk.later(minutes=5)
    assert len(await desk.feed(healthy)) == 3
    (hold,) = await desk.holds(broken)  # once, not each time
    assert hold.rule == "window_can_be_read"
    assert await desk.states(broken) == {"waiting": 3}
    await desk.edit(broken, window=OFFICE)
    assert len(await desk.feed(broken)) == 3


async def test_contacts_are_called_where_the_window_is_open_and_the_others_when_theirs_opens(desk: Desk) -> None:
    desk.now = desk.now.replace(hour=13, minute=30)  # 9:30 in New York, 6:30 in Los Angeles
    campaign = await desk.campaign(["+12125550101", "+13105550101", "+12125550102"], window=OFFICE)
    fed, calls = await desk.look(campaign)
    assert [(await desk.call(call)).to_number for call in calls] == ["+12125550101", "+12125550102"]
    assert fed.again_at is not None
    assert fed.again_at.isoformat() == "2026-03-10T16:00:00+00:00"
    desk.now = fed.again_at
    (call,) = await desk.feed(campaign)
    assert (await desk.call(call)).to_number == "+13105550101"


async def test_with_no_zone_open_nobody_is_called_until_the_first_opens(desk: Desk) -> None:
    campaign = await desk.campaign(3, window={"wed": [["10:00", "11:00"]]})
    fed, calls = await desk.look(campaign)
    assert calls == []
    assert fed.again_at is not None
    assert fed.again_at.isoformat() == "2026-03-11T14:00:00+00:00"
    desk.now = fed.again_at
    assert len(await desk.feed(campaign)) == 3


async def test_a_window_that_never_opens_again_is_said_once(desk: Desk) -> None:
    campaign = await desk.campaign(2, window={"sun": [["02:15", "02:45"]]}, blackout=["2026-01-01..2030-12-31"])
    for _ in range(3):
        await desk.feed(campaign)
        desk.later(hours=1)
    assert len(await desk.holds(campaign)) == 1


async def test_a_scheduled_campaign_starts_at_its_time(desk: Desk) -> None:
    starts_at = desk.now + timedelta(hours=2)
    campaign = await desk.campaign(2, state=CampaignState.SCHEDULED, starts_at=starts_at)
    fed, calls = await desk.look(campaign)
    assert (calls, fed.again_at) == ([], starts_at)
    desk.now = starts_at
    assert len(await desk.feed(campaign)) == 2
    assert (await desk.state(campaign)).state is CampaignState.RUNNING


async def test_a_clock_that_jumps_back_or_forth_calls_nobody_twice(desk: Desk) -> None:
    retry = {"busy": {"delays": ["1h"], "jitter": 0}}
    campaign = await desk.campaign(4, max_concurrent=1, window=OFFICE, retry=retry)
    noon = desk.now
    (call,) = await desk.feed(campaign)
    called = await desk.contact_of(call)
    desk.now = noon - timedelta(days=1)
    assert await desk.feed(campaign) == []  # it is on its way, whatever the clock says
    assert "is due at 2026-03-10T16:00" in words(await desk.claim(call))
    await desk.settle()
    assert await desk.feed(campaign) == []

    desk.now = noon
    (call,) = await desk.feed(campaign)
    assert (await desk.contact_of(call)).id == called.id
    await desk.dial(call)
    desk.now = noon + timedelta(days=42)
    await desk.end(call, Outcome.BUSY)
    await desk.settle()
    called = await desk.contact_of(call)
    assert called.attempts == 1
    assert called.next_at == desk.now + timedelta(hours=1)
    desk.now = noon
    (other,) = await desk.feed(campaign)
    assert (await desk.contact_of(other)).id != called.id
    desk.now = noon.replace(hour=23)
    assert "it is Tuesday 19:00" in words(await desk.claim(other))


async def test_a_list_of_people_who_may_not_be_called_is_gone_through_in_large_steps(desk: Desk) -> None:
    campaign = await desk.campaign(700, max_concurrent=1)
    async with desk.database.transaction() as session:
        phones = [contact.phone for contact in await desk.contacts(campaign)]
        await do_not_call.add_all(session, [(phone, "") for phone in phones[:690]], None)
    looks, calls = 0, []
    while not calls:
        fed, calls = await desk.look(campaign)
        assert fed.again_at is not None
        looks += 1
    assert looks <= 3
    assert await desk.states(campaign) == {"skipped": 690, "calling": 1, "waiting": 9}


async def test_counts_add_up_whatever_happens(desk: Desk) -> None:
    campaign = await desk.campaign(20, max_concurrent=6, retry={"busy": {"attempts": 1}})
    calls = await desk.feed(campaign)
    await desk.dialled(calls[:3], Outcome.BUSY)
    await desk.feed(campaign)
    async with desk.database.transaction() as session:
        await lifecycle.cancel(session, campaign, desk.now)
    await desk.settle()
    async with desk.database.transaction() as session:
        progress = await lifecycle.progress(session, campaign)
    assert progress.contacts == 20
    assert (progress.done, progress.waiting, progress.calling) == (3, 0, 0)
    assert progress.done + progress.skipped + progress.cancelled == 20


# Locks


async def test_all_that_engines_agents_and_people_do_at_once_ends_in_no_deadlock(desk: Desk, wide: Database) -> None:
    await desk.set_trunk(max_concurrent=12, calls_per_second=500)
    await desk.set_trunk("ST_other", max_concurrent=12)
    await desk.set_installation(max_concurrent=16)
    retry = {
        "busy": {"attempts": 90, "delays": ["10s"], "jitter": 0},
        "no_capacity": {"attempts": 90, "delays": ["10s"]},
    }
    shared = [f"+1303555{line:04}" for line in range(40)]
    campaigns = [
        await desk.campaign(shared, retry=retry),
        await desk.campaign(shared, retry=retry, trunk_id="ST_other"),
        await desk.campaign(60, retry=retry, priority=9),
    ]
    everybody = Desk(wide, now=desk.now)
    queue: asyncio.Queue[UUID] = asyncio.Queue()
    done: Counter[str] = Counter()
    loop = asyncio.get_running_loop()
    enough, over = loop.time() + 5.0, loop.time() + 60.0

    async def again(name: str, step: Any) -> None:
        number = 0
        while loop.time() < enough or (min(done[each] for each in everything) < 5 and loop.time() < over):
            await step(number)
            number += 1
            done[name] += 1

    async def feed(number: int) -> None:
        everybody.later(seconds=0.5)
        for call in await everybody.feed(campaigns[number % 3]):
            queue.put_nowait(call)

    async def agent(number: int) -> None:
        try:
            call = await asyncio.wait_for(queue.get(), 0.2)
        except TimeoutError:
            return
        async with wide.transaction() as session:
            await turns.take(session, call, "ST_desk")
        if await everybody.claim(call) is Claim.GRANTED:
            outcome = (Outcome.BUSY, Outcome.CONGESTION, Outcome.NO_CAPACITY, Outcome.BUSY)[number % 4]
            await everybody.end(call, outcome)
        else:
            await everybody.end(call, Outcome.CANCELLED)

    async def settle(_: int) -> None:
        await everybody.settle()

    async def pause(number: int) -> None:
        await everybody.edit(campaigns[number % 3], pause_cause=None)
        try:
            await everybody.pause(campaigns[number % 3])
        except lifecycle.CampaignProblem:
            done["not paused"] += 1
        await everybody.resume(campaigns[number % 3])

    async def bring(number: int) -> None:
        async with wide.transaction() as session:
            for line in range(20):
                phone = f"+1404555{(number * 7 + line) % 200:04}"
                await session.execute(
                    text("INSERT INTO contacts (campaign_id, phone) VALUES (:campaign, :phone) ON CONFLICT DO NOTHING"),
                    {"campaign": campaigns[number % 3], "phone": phone},
                )

    async def limit(number: int) -> None:
        async with wide.transaction() as session:
            await limits.set_trunk(session, ("ST_desk", "ST_other")[number % 2], max_concurrent=6 + number % 9)
        async with wide.transaction() as session:
            await limits.set_installation(session, max_concurrent=10 + number % 9)

    async def cancel(number: int) -> None:
        doomed = await everybody.campaign(5, retry=retry)
        for call in await everybody.feed(doomed):
            queue.put_nowait(call)
        async with wide.transaction() as session:
            await lifecycle.cancel(session, doomed, everybody.now)

    steps = {"feed": feed, "settle": settle, "pause": pause, "bring": bring, "limit": limit, "cancel": cancel}
    everything = (*steps, "agent")
    workers = [again(name, step) for name, step in steps.items()]
    workers += [again("feed", feed), again("settle", settle), *(again("agent", agent) for _ in range(6))]
    await asyncio.gather(*workers)
    print(done)
    assert await desk.deadlocks() == 0
    assert all(done[name] >= 5 for name in everything), done
    async with desk.database.transaction() as session:
        underway = await session.scalar(
            text("SELECT count(*) FROM contacts WHERE state = 'calling' AND call_id NOT IN (SELECT id FROM calls)")
        )
    assert underway == 0
    for campaign in campaigns:
        async with desk.database.transaction() as session:
            total = await session.scalar(
                select(text("count(*)")).select_from(Contact).where(Contact.campaign_id == campaign)
            )
            progress = await lifecycle.progress(session, campaign)
        assert progress.contacts == total


async def test_an_import_that_takes_long_does_not_hold_up_the_campaign(desk: Desk, wide: Database) -> None:
    campaign = await desk.campaign(3)
    async with wide.transaction() as session:
        session.add(Contact(campaign_id=campaign, phone="+13035550100", next_at=desk.now))
        await session.flush()  # not committed yet
        calls = await asyncio.wait_for(desk.feed(campaign), 2)
        assert len(calls) == 3
        await asyncio.wait_for(desk.dialled(calls, Outcome.BUSY), 2)
        await asyncio.wait_for(desk.edit(campaign, priority=7), 2)
        await asyncio.wait_for(desk.pause(campaign), 2)
        await asyncio.wait_for(desk.resume(campaign), 2)
    assert (await desk.state(campaign)).priority == 7
    assert len(await desk.feed(campaign)) == 1


def test_every_column_that_the_desk_sets_is_one_of_the_campaigns() -> None:
    assert {"waits_for", "served", "last_turn_at"} <= set(Campaign.__table__.columns.keys())
    assert "last_turn_at" in Call.metadata.tables["trunk_limits"].columns
