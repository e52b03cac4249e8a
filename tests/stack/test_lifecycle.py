"""A campaign's life on a real database: every step happens once, at the right time or not at all, and counts add up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from sqlalchemy import update

from tests.campaign_desk import ALWAYS, OFFICE, Desk
from voiceagents.calls.history import Claim, Objection
from voiceagents.calls.states import Outcome
from voiceagents.campaigns import do_not_call, editing, feeding, lifecycle, limits, reopening, status
from voiceagents.campaigns.editing import Edited
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.models import Campaign, Contact, DecisionRecord
from voiceagents.campaigns.states import CampaignState
from voiceagents.campaigns.terms import Terms
from voiceagents.db import Database

pytestmark = pytest.mark.stack


@pytest_asyncio.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    at = Desk(database)
    await at.set_trunk()
    yield at
    at.close()


async def create(desk: Desk, contacts: int = 0, **terms: Any) -> UUID:
    """A draft as a person makes it."""
    given = {"name": "Spring", "prompt": "Hello {name}.", "trunk_id": "ST_desk", "window": ALWAYS} | terms
    async with desk.database.transaction() as session:
        campaign = await editing.create(session, Terms.model_validate(given))
        for number in range(contacts):
            session.add(Contact(campaign_id=campaign.id, phone=f"+1202555{number:04}", next_at=desk.now))
            await session.flush()
    return campaign.id


async def edit(desk: Desk, campaign_id: UUID, **terms: Any) -> Edited:
    async with desk.database.transaction() as session:
        return await editing.edit(session, campaign_id, Terms.model_validate(terms), desk.now)


async def start(desk: Desk, campaign_id: UUID, **options: Any) -> Campaign:
    async with desk.database.transaction() as session:
        return await lifecycle.start(session, campaign_id, desk.now, **options)


async def step(desk: Desk, campaign_id: UUID, what: str) -> Campaign:
    async with desk.database.transaction() as session:
        match what:
            case "start":
                return await lifecycle.start(session, campaign_id, desk.now)
            case "pause":
                return await lifecycle.pause(session, campaign_id)
            case "resume":
                return await lifecycle.resume(session, campaign_id, desk.now)
            case "cancel":
                await lifecycle.cancel(session, campaign_id, desk.now)
                return await session.get_one(Campaign, campaign_id)
            case "archive":
                return await lifecycle.archive(session, campaign_id)
            case _:
                given = Terms.model_validate({"priority": 9})
                return (await editing.edit(session, campaign_id, given, desk.now)).campaign


async def progress(desk: Desk, campaign_id: UUID) -> lifecycle.Progress:
    async with desk.database.transaction() as session:
        counted = await lifecycle.progress(session, campaign_id)
    states = counted.waiting + counted.calling + counted.done + counted.skipped + counted.cancelled
    assert states == counted.contacts
    return counted


# Creating and naming


async def test_what_is_not_given_has_the_defaults_and_no_limit_is_no_limit(desk: Desk) -> None:
    given = await desk.state(await create(desk))
    assert (given.max_concurrent, given.calls_per_second, given.attempts_per_day) == (5, 1, 2)
    without = await desk.state(await create(desk, name="b", max_concurrent=None, attempts_per_day="none"))
    assert (without.max_concurrent, without.calls_per_second, without.attempts_per_day) == (None, 1, None)


async def test_a_campaign_without_a_window_of_its_own_calls_by_day_only(desk: Desk) -> None:
    async with desk.database.transaction() as session:
        campaign = await editing.create(session, Terms.model_validate({"name": "x"}))
    assert campaign.window["sun"] == [["09:00", "20:00"]]
    assert campaign.state is CampaignState.DRAFT


async def test_a_name_is_had_once_until_its_campaign_is_archived(desk: Desk) -> None:
    first = await create(desk, name="Spring")
    with pytest.raises(CampaignProblem, match="already"):
        await create(desk, name=" spring ")
    other = await create(desk, name="Autumn")
    with pytest.raises(CampaignProblem, match="already"):
        await edit(desk, other, name="SPRING")
    with pytest.raises(CampaignProblem, match="already"):
        async with desk.database.transaction() as session:
            await lifecycle.duplicate(session, other, "spring")
    await step(desk, first, "archive")
    assert await create(desk, name="Spring")


async def test_a_campaign_is_found_by_name_id_or_how_its_id_begins(desk: Desk) -> None:
    campaign_id = await create(desk, name="Spring 100%")
    async with desk.database.transaction() as session:
        for reference in ("Spring 100%", "spring 100%", str(campaign_id), str(campaign_id)[:8], str(campaign_id)[:4]):
            assert (await lifecycle.find(session, reference)).id == campaign_id
        for reference in ("Spring", str(campaign_id)[:3], "%", "____", "", str(campaign_id)[:8] + "%"):
            with pytest.raises(CampaignProblem, match="There is no campaign"):
                await lifecycle.find(session, reference)


async def test_a_name_means_the_campaign_that_is_not_archived(desk: Desk) -> None:
    first = await create(desk)
    await step(desk, first, "archive")
    second = await create(desk)
    async with desk.database.transaction() as session:
        assert (await lifecycle.find(session, "Spring")).id == second


async def test_a_campaign_does_not_expire_before_it_starts(desk: Desk) -> None:
    with pytest.raises(CampaignProblem, match="expire before it starts"):
        await create(desk, starts_at="2026-05-01", expires_at="2026-04-01")


# Steps


async def test_a_start_that_is_refused_names_everything_that_is_missing(desk: Desk) -> None:
    campaign_id = await create(desk, prompt="  ", trunk_id=None, expires_at="2026-01-01")
    with pytest.raises(CampaignProblem) as refused:
        await start(desk, campaign_id)
    for missing in ("script is empty", "no contacts", "no trunk", "expired"):
        assert missing in str(refused.value)
    assert (await desk.state(campaign_id)).state is CampaignState.DRAFT


async def test_a_start_takes_the_installations_trunk_where_the_campaign_has_none(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=1, trunk_id=None)
    assert (await start(desk, campaign_id, default_trunk="ST_default")).trunk_id == "ST_default"


async def test_a_double_click_on_start_starts_once(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=3)
    await asyncio.gather(*(start(desk, campaign_id) for _ in range(3)))
    started = await desk.state(campaign_id)
    assert (started.state, started.started_at) == (CampaignState.RUNNING, desk.now)
    desk.later(minutes=5)
    await start(desk, campaign_id)
    assert (await desk.state(campaign_id)).started_at == started.started_at
    assert len(await desk.feed(campaign_id)) + len(await desk.feed(campaign_id)) <= 3


ILLEGAL = [
    ("draft", ["pause", "resume"]),
    ("running", ["resume", "archive"]),
    ("paused", ["start", "pause", "archive"]),
    ("completed", ["start", "pause", "resume", "cancel", "edit"]),
    ("cancelled", ["start", "pause", "resume", "cancel", "edit"]),
    ("archived", ["start", "pause", "resume", "cancel", "archive", "edit"]),
]


@pytest.mark.parametrize(("state", "what"), [(state, what) for state, steps in ILLEGAL for what in steps])
async def test_a_step_that_is_not_possible_changes_nothing_and_says_why(desk: Desk, state: str, what: str) -> None:
    campaign_id = await create(desk, contacts=1)
    await desk.edit(campaign_id, state=state)
    with pytest.raises(CampaignProblem, match=f"is {state}; only a campaign that is"):
        await step(desk, campaign_id, what)
    assert (await desk.state(campaign_id)).state.value == state
    assert await desk.states(campaign_id) == {"waiting": 1}


async def test_two_people_who_pause_and_cancel_at_once_are_both_heard_or_told(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=1)
    await start(desk, campaign_id)
    answers = await asyncio.gather(
        *(step(desk, campaign_id, what) for what in ("pause", "pause", "cancel", "cancel")), return_exceptions=True
    )
    assert all(isinstance(answer, Campaign | CampaignProblem) for answer in answers)
    assert (await desk.state(campaign_id)).state is CampaignState.CANCELLED


async def test_a_pause_stops_dials_and_lets_calls_end_and_resume_goes_on(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=4, max_concurrent=2, calls_per_second=None, minimum_gap="0")
    await start(desk, campaign_id)
    talking, picked = await desk.feed(campaign_id)
    await desk.dial(talking)
    await step(desk, campaign_id, "pause")
    assert await desk.feed(campaign_id) == []
    assert await desk.claim(picked) is not Claim.GRANTED
    await desk.end(talking, Outcome.COMPLETED)
    await desk.settle()
    assert (await progress(desk, campaign_id)).done == 1
    assert await desk.feed(campaign_id) == []
    await step(desk, campaign_id, "resume")
    assert len(await desk.feed(campaign_id)) == 2
    assert (await progress(desk, campaign_id)).calling == 2


async def test_a_campaign_that_is_paused_before_its_start_is_scheduled_again(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=1, starts_at="2026-03-11")
    assert (await start(desk, campaign_id)).state is CampaignState.SCHEDULED
    await step(desk, campaign_id, "pause")
    assert (await step(desk, campaign_id, "resume")).state is CampaignState.SCHEDULED
    desk.later(days=2)
    await step(desk, campaign_id, "pause")
    assert (await step(desk, campaign_id, "resume")).state is CampaignState.RUNNING


async def test_cancelling_withdraws_what_was_not_dialled_and_answers_with_what_goes_on(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=4, max_concurrent=2, calls_per_second=None)
    await start(desk, campaign_id)
    talking, picked = await desk.feed(campaign_id)
    await desk.dial(talking)
    async with desk.database.transaction() as session:
        going_on = await lifecycle.cancel(session, campaign_id, desk.now)
    assert [call.id for call in going_on] == [talking]
    assert (await desk.call(picked)).outcome is Outcome.CANCELLED
    assert await desk.claim(picked) is Claim.TAKEN
    await desk.settle()
    counted = await progress(desk, campaign_id)
    assert (counted.cancelled, counted.calling) == (3, 1)
    words = [record.words for record in await desk.why(await desk.contact_of(picked))]
    assert words[-1] == "the campaign was cancelled before the dial"
    # The call that goes on has an ending of its own, and no other call follows it.
    await desk.end(talking, Outcome.BUSY)
    await desk.settle()
    counted = await progress(desk, campaign_id)
    assert (counted.calling, counted.waiting, counted.outcomes) == (0, 0, {"busy": 1})


@pytest.mark.parametrize(
    ("reported", "stands"),
    [
        (Outcome.COMPLETED, Outcome.CANCELLED),
        (Outcome.HUNG_UP, Outcome.CANCELLED),
        (Outcome.FAILED, Outcome.CANCELLED),
        (Outcome.CANCELLED, Outcome.CANCELLED),
        # What the person said, and what the carrier said first, stays true.
        (Outcome.OPTED_OUT, Outcome.OPTED_OUT),
        (Outcome.BUSY, Outcome.BUSY),
    ],
)
async def test_who_is_hung_up_on_was_cancelled_and_is_not_called_again(
    desk: Desk, reported: Outcome, stands: Outcome
) -> None:
    campaign_id = await create(desk, contacts=1)
    await start(desk, campaign_id)
    (talking,) = await desk.feed(campaign_id)
    await desk.dial(talking)
    async with desk.database.transaction() as session:
        await lifecycle.cancel(session, campaign_id, desk.now, hang_up=True)
    await desk.end(talking, reported)
    await desk.settle()
    assert (await desk.call(talking)).outcome is stands
    counted = await progress(desk, campaign_id)
    assert (counted.done, counted.waiting, counted.outcomes) == (1, 0, {stands.value: 1})


@pytest.mark.parametrize("state", [CampaignState.CANCELLED, CampaignState.ARCHIVED])
async def test_who_was_refused_in_the_last_moment_for_the_campaign_was_over_is_cancelled(
    desk: Desk, state: CampaignState
) -> None:
    campaign_id = await create(desk, contacts=1)
    await start(desk, campaign_id)
    (picked,) = await desk.feed(campaign_id)
    await desk.edit(campaign_id, state=state)
    assert isinstance(await desk.claim(picked), Objection)
    await desk.settle()
    counted = await progress(desk, campaign_id)
    assert (counted.cancelled, counted.skipped) == (1, 0)


async def test_who_is_not_to_be_called_is_skipped_whatever_became_of_the_campaign(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=1)
    await start(desk, campaign_id)
    (picked,) = await desk.feed(campaign_id)
    (contact,) = await desk.contacts(campaign_id)
    async with desk.database.transaction() as session:
        await do_not_call.add(session, contact.phone, None, "asked by mail")
    assert isinstance(await desk.claim(picked), Objection)
    await desk.edit(campaign_id, state=CampaignState.CANCELLED)
    await desk.settle()
    counted = await progress(desk, campaign_id)
    assert (counted.cancelled, counted.skipped) == (0, 1)


# Copies


async def test_a_copy_has_the_same_settings_and_none_of_the_life(desk: Desk) -> None:
    original = await create(
        desk, contacts=2, max_concurrent=None, daily_cap=7, attempts_per_day=None, retry={"busy": {"attempts": 2}}
    )
    await start(desk, original)
    async with desk.database.transaction() as session:
        copy = await lifecycle.duplicate(session, original, "Copy")
    assert (copy.max_concurrent, copy.daily_cap, copy.attempts_per_day) == (None, 7, None)
    assert copy.retry == {"busy": {"attempts": 2}}
    assert (copy.state, copy.started_at) == (CampaignState.DRAFT, None)
    assert (await progress(desk, copy.id)).contacts == 0


async def test_redialling_takes_only_those_whose_last_call_ended_so(desk: Desk) -> None:
    original = await create(desk, contacts=4, max_concurrent=4, calls_per_second=None)
    await start(desk, original)
    calls = await desk.feed(original)
    for call_id, outcome in zip(
        calls, (Outcome.BUSY, Outcome.NO_ANSWER, Outcome.COMPLETED, Outcome.WRONG_NUMBER), strict=True
    ):
        await desk.dialled([call_id], outcome)
    async with desk.database.transaction() as session:
        redial = await lifecycle.duplicate(session, original, "Redial", outcomes=["busy", "no_answer"])
        everybody = await lifecycle.duplicate(session, original, "Everybody", contacts=True)
        with pytest.raises(CampaignProblem, match="no outcome bizzy; the outcomes are"):
            await lifecycle.duplicate(session, original, "x", outcomes=["bizzy"])
    before = await desk.contacts(original)
    again = await desk.contacts(redial.id)
    assert [contact.phone for contact in again] == [contact.phone for contact in before[:2]]
    assert {contact.state.value for contact in again} == {"waiting"}
    assert not {contact.id for contact in again} & {contact.id for contact in before}
    # A number that belongs to somebody else is in no copy.
    assert [contact.phone for contact in await desk.contacts(everybody.id)] == [c.phone for c in before[:3]]


# Edits


async def test_an_edit_says_what_changed_and_takes_effect_at_the_next_decision(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=6, max_concurrent=1, calls_per_second=None)
    await start(desk, campaign_id)
    assert len(await desk.feed(campaign_id)) == 1
    edited = await edit(desk, campaign_id, max_concurrent="3", priority="5")
    assert edited.changed == ["max_concurrent"]
    assert len(await desk.feed(campaign_id)) == 2
    assert (await edit(desk, campaign_id, max_concurrent=3)).changed == []


async def test_a_campaign_that_slept_is_due_again_after_an_edit_or_a_new_limit(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=1)
    await start(desk, campaign_id)
    for change in ("edit", "limits"):
        await desk.edit(campaign_id, wake_at=desk.now + timedelta(hours=1))
        if change == "edit":
            await edit(desk, campaign_id, priority=7)
        else:
            async with desk.database.transaction() as session:
                await limits.set_trunk(session, "ST_desk", max_concurrent=3)
        assert (await desk.state(campaign_id)).wake_at is None


async def test_who_was_put_off_by_the_window_is_called_as_soon_as_it_is_wider(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=1, window=OFFICE)
    await start(desk, campaign_id)
    (call_id,) = await desk.feed(campaign_id)  # at noon
    desk.later(hours=8)  # the agent comes to it at eight in the evening only
    assert await desk.claim(call_id) is not Claim.GRANTED
    await desk.settle()
    assert await desk.feed(campaign_id) == []
    (contact,) = await desk.contacts(campaign_id)
    assert contact.next_at > desk.now + timedelta(hours=10)
    edited = await edit(desk, campaign_id, window="daily 09:00-21:00")
    assert edited.reopened == 1
    assert len(await desk.feed(campaign_id)) == 1
    rules = [record.rule for record in await desk.why(contact)]
    assert rules == ["all", "window_is_open", "campaign_was_edited", "all"]


async def test_who_was_skipped_since_no_hour_suits_all_zones_waits_again_in_a_wider_window(desk: Desk) -> None:
    # A number of the whole United States, and an hour that is never open from New York to Honolulu at once.
    campaign_id = await create(desk, window="daily 09:00-10:00")
    async with desk.database.transaction() as session:
        session.add(Contact(campaign_id=campaign_id, phone="+15005550006", next_at=desk.now))
    await start(desk, campaign_id)
    await desk.feed(campaign_id)
    assert await desk.states(campaign_id) == {"skipped": 1}
    await desk.edit(campaign_id, state="running")
    edited = await edit(desk, campaign_id, window="daily 00:00-24:00")
    assert edited.reopened == 1
    assert (await progress(desk, campaign_id)).waiting == 1


async def test_a_longer_gap_was_waited_for_and_a_shorter_one_is_not(desk: Desk) -> None:
    first = await create(desk, contacts=1, minimum_gap="4h", calls_per_second=None)
    second = await create(desk, name="b", contacts=1, minimum_gap="4h", calls_per_second=None)
    await start(desk, first)
    await start(desk, second)
    await desk.dialled(await desk.feed(first), Outcome.COMPLETED)
    desk.later(minutes=10)
    assert await desk.feed(second) == []
    assert (await edit(desk, second, minimum_gap="5m")).reopened == 1
    assert len(await desk.feed(second)) == 1


async def test_a_retry_keeps_its_delay_through_an_edit(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=1, minimum_gap="0", calls_per_second=None)
    await start(desk, campaign_id)
    await desk.dialled(await desk.feed(campaign_id), Outcome.BUSY)
    desk.later(minutes=1)
    assert (await edit(desk, campaign_id, window="daily 00:00-23:00", minimum_gap="1m")).reopened == 0
    assert await desk.feed(campaign_id) == []


async def test_more_attempts_for_a_number_bring_back_who_had_used_them_up(desk: Desk) -> None:
    first = await create(desk, contacts=1, attempts_per_number=1, calls_per_second=None, minimum_gap="0")
    second = await create(desk, name="b", contacts=2, attempts_per_number=1, calls_per_second=None, minimum_gap="0")
    await start(desk, first)
    await start(desk, second)
    await desk.dialled(await desk.feed(first), Outcome.COMPLETED)
    assert len(await desk.feed(second)) == 1
    assert await desk.states(second) == {"skipped": 1, "calling": 1}
    assert (await edit(desk, second, attempts_per_number="none")).reopened == 1
    assert await desk.states(second) == {"waiting": 1, "calling": 1}


async def put_off(desk: Desk, contacts: int, **terms: Any) -> UUID:
    """A running campaign whose contacts were all put off by a gap, as each was called an hour ago by another."""
    first = await create(desk, name="a", contacts=contacts, max_concurrent=None, calls_per_second=None)
    given: dict[str, Any] = {"minimum_gap": "4h", "calls_per_second": None, "max_concurrent": None} | terms
    second = await create(desk, name="b", contacts=contacts, **given)
    await start(desk, first)
    await start(desk, second)
    await desk.dialled(await desk.feed(first), Outcome.COMPLETED)
    desk.later(hours=1)
    assert await desk.feed(second) == []
    return second


async def waits(desk: Desk, campaign_id: UUID) -> int:
    """How many contacts are due now, or have a call."""
    return sum(contact.next_at <= desk.now for contact in await desk.contacts(campaign_id))


async def test_an_edit_of_a_long_list_is_short_and_the_engine_does_the_rest_in_steps(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "AT_ONCE", 2)
    campaign_id = await put_off(desk, 5)
    edited = await edit(desk, campaign_id, minimum_gap="5m")
    assert (edited.reopened, edited.campaign.reopening is not None) == (2, True)
    assert await waits(desk, campaign_id) == 2
    dialled: list[UUID] = []
    for due in (4, 5):
        fed, calls = await desk.look(campaign_id)
        dialled += calls
        assert await waits(desk, campaign_id) == due
        assert fed.again_at == desk.now or due == 5, "the next step is at once"
    assert (await desk.state(campaign_id)).reopening is None
    assert len(dialled) == 5, "nobody waited for the whole list"
    for contact in await desk.contacts(campaign_id):
        assert [record.rule for record in await desk.why(contact)].count("campaign_was_edited") == 1


async def test_a_step_that_is_cut_short_is_taken_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reopening, "AT_ONCE", 2)
    campaign_id = await put_off(desk, 5)
    await edit(desk, campaign_id, minimum_gap="5m")

    async def dies(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with desk.database.transaction() as session:
            await feeding.feed(session, campaign_id, desk.now, dies)
    assert await waits(desk, campaign_id) == 2
    assert sum([len(await desk.feed(campaign_id)) for _ in range(3)]) == 5


async def test_a_campaign_does_not_end_while_somebody_may_still_be_found_who_was_skipped(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "AT_ONCE", 1)
    campaign_id = await put_off(desk, 4, attempts_per_number=1, minimum_gap="0")
    assert await desk.states(campaign_id) == {"skipped": 4}
    async with desk.database.transaction() as session:
        # Only the last in the list had not been skipped for this.
        first = (await desk.contacts(campaign_id))[:3]
        await session.execute(
            update(DecisionRecord)
            .where(DecisionRecord.contact_id.in_([contact.id for contact in first]))
            .values(rule="number_may_be_called")
        )
    await desk.edit(campaign_id, state="running")
    assert (await edit(desk, campaign_id, attempts_per_number="2")).reopened == 0
    dialled = [await desk.feed(campaign_id) for _ in range(4)]
    assert [len(calls) for calls in dialled] == [0, 0, 1, 0]
    assert (await desk.state(campaign_id)).state is CampaignState.RUNNING


async def test_what_one_edit_left_to_do_is_done_with_what_the_next_asks_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "AT_ONCE", 2)
    campaign_id = await put_off(desk, 5)
    await edit(desk, campaign_id, minimum_gap="5m")
    await edit(desk, campaign_id, attempts_per_number=9)
    assert sum([len(await desk.feed(campaign_id)) for _ in range(4)]) == 5


async def test_the_list_of_a_paused_campaign_is_looked_through_too_and_nobody_is_called(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reopening, "AT_ONCE", 2)
    campaign_id = await put_off(desk, 5)
    await step(desk, campaign_id, "pause")
    await edit(desk, campaign_id, minimum_gap="5m")
    assert [await desk.feed(campaign_id) for _ in range(3)] == [[], [], []]
    assert await waits(desk, campaign_id) == 5
    assert (await desk.state(campaign_id)).reopening is None


async def test_of_a_campaign_that_is_over_nobody_is_looked_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reopening, "AT_ONCE", 2)
    campaign_id = await put_off(desk, 5)
    await edit(desk, campaign_id, minimum_gap="5m")
    await step(desk, campaign_id, "cancel")
    assert (await desk.state(campaign_id)).reopening is None
    assert await desk.states(campaign_id) == {"cancelled": 5}


async def test_a_new_zone_is_looked_up_for_contacts_without_a_place(desk: Desk) -> None:
    campaign_id = await create(desk, time_zone="Europe/Berlin", calls_per_second=None, max_concurrent=None)
    async with desk.database.transaction() as session:
        for phone in ("+18005550199", "+12125550199"):  # toll free, which is nowhere; New York
            session.add(Contact(campaign_id=campaign_id, phone=phone, next_at=desk.now + timedelta(hours=1)))
    await start(desk, campaign_id)
    await desk.feed(campaign_id)
    assert {contact.zones for contact in await desk.contacts(campaign_id)} == {"Europe/Berlin", "America/New_York"}
    await edit(desk, campaign_id, time_zone="America/Chicago")
    await desk.feed(campaign_id)
    assert {contact.zones for contact in await desk.contacts(campaign_id)} == {"America/Chicago", "America/New_York"}


async def test_a_start_that_is_moved_to_now_starts_and_one_that_is_past_cannot_be_moved(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=1, starts_at="2026-04-01")
    assert (await start(desk, campaign_id)).state is CampaignState.SCHEDULED
    assert (await edit(desk, campaign_id, starts_at="none")).campaign.state is CampaignState.RUNNING
    with pytest.raises(CampaignProblem, match="has started already"):
        await edit(desk, campaign_id, starts_at="2026-05-01")


# How it is doing


async def test_a_status_says_what_a_campaign_waits_for(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=2, window=OFFICE, daily_cap=1, calls_per_second=None)

    async def hold() -> str | None:
        async with desk.database.transaction() as session:
            now = await status.read(session, await session.get_one(Campaign, campaign_id), desk.now)
        return now.hold.words if now.hold else None

    assert "not started" in (await hold() or "")
    await start(desk, campaign_id)
    assert "no engine runs" in (await hold() or "")
    await step(desk, campaign_id, "pause")
    assert "paused by a person" in (await hold() or "")


async def test_a_forecast_is_there_as_long_as_somebody_is_to_be_called(desk: Desk) -> None:
    campaign_id = await create(desk, contacts=2, calls_per_second=None)
    async with desk.database.transaction() as session:
        campaign = await session.get_one(Campaign, campaign_id)
        before = await status.read(session, campaign, desk.now)
        assert before.forecast is not None
        assert before.forecast.finish is not None
        assert before.forecast.finish > desk.now
        await lifecycle.cancel(session, campaign_id, desk.now)
        assert (await status.read(session, campaign, desk.now)).forecast is None


async def test_a_list_of_campaigns_counts_each_ones_contacts(desk: Desk) -> None:
    first = await create(desk, contacts=3)
    await create(desk, name="Empty")
    await step(desk, first, "cancel")
    await step(desk, first, "archive")
    async with desk.database.transaction() as session:
        assert [(line.campaign.name, line.contacts) for line in await status.overview(session)] == [("Empty", 0)]
        everything = {line.campaign.name: line.counts for line in await status.overview(session, archived=True)}
    assert everything == {"Empty": {}, "Spring": {"cancelled": 3}}
