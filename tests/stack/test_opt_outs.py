"""Whoever asked not to be called again, or at another time: what follows in the same moment, on a real database."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from tests.campaign_desk import Desk
from voiceagents.calls import history
from voiceagents.calls.records import CallOpened, CallUnderstood
from voiceagents.calls.states import CallState, Direction, Outcome
from voiceagents.campaigns import do_not_call
from voiceagents.campaigns.states import ContactState

pytestmark = pytest.mark.stack

ANA = "+12025550143"


async def listed(desk: Desk, number: str) -> bool:
    async with desk.database.transaction() as session:
        return bool(await do_not_call.check(session, number))


async def test_another_campaign_does_not_call_before_anybody_has_settled_the_opt_out(desk: Desk) -> None:
    first, second = await desk.campaign([ANA]), await desk.campaign([ANA])
    (call_id,) = await desk.feed(first)
    await desk.dial(call_id)
    await desk.end(call_id, Outcome.OPTED_OUT)
    assert not await listed(desk, ANA), "nobody has settled it"
    assert await desk.feed(second) == []
    assert await desk.states(second) == {"skipped": 1}
    await desk.settle()
    assert await listed(desk, ANA)


async def test_an_opt_out_in_a_call_of_no_campaign_counts_for_all_at_once(desk: Desk) -> None:
    async def opened(direction: Direction, **numbers: Any) -> CallOpened:
        call = CallOpened(
            call_id=uuid4(), at=desk.now, direction=direction, state=CallState.QUEUED, room_name="room", **numbers
        )
        async with desk.database.transaction() as session:
            await history.open_call(session, call)
        return call

    caller = await opened(Direction.INBOUND, from_number=ANA, to_number="+15550100000")
    await desk.end(caller.call_id, Outcome.OPTED_OUT)
    placed = await opened(Direction.OUTBOUND, to_number=ANA, trunk_id="ST_desk")
    answer = await desk.claim(placed.call_id)
    assert isinstance(answer, history.Objection)
    assert "do-not-call" in answer.words
    await desk.settle()
    assert await listed(desk, ANA)
    assert not await listed(desk, "+15550100000")


async def test_a_callback_becomes_a_dated_attempt_on_the_contacts_own_clock(desk: Desk) -> None:
    campaign = await desk.campaign([ANA])
    (call_id,) = await desk.feed(campaign)
    await desk.dial(call_id)
    words = {"decided": "outcome", "value": "callback_requested", "by": "words", "text": "Call me tomorrow at three."}
    async with desk.database.transaction() as session:
        await history.write(session, CallUnderstood(call_id=call_id, evidence=[words], summary="Busy."))
    await desk.end(call_id, Outcome.CALLBACK_REQUESTED)
    await desk.settle()
    contact = (await desk.contacts(campaign))[0]
    assert contact.state is ContactState.WAITING
    assert contact.callback_at is not None
    local = contact.callback_at.astimezone(UTC)
    day = desk.now.astimezone(UTC).date()
    assert (local.date() - day).days == 1
    assert contact.next_at == contact.callback_at
    assert local == datetime(local.year, local.month, local.day, 20 if _winter(local) else 19, tzinfo=UTC)


def _winter(at: datetime) -> bool:
    """Whether Washington is five hours behind UTC."""
    from zoneinfo import ZoneInfo

    offset = at.astimezone(ZoneInfo("America/New_York")).utcoffset()
    return offset is not None and offset.total_seconds() == -5 * 3600
