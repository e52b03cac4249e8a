"""What tools did and what callers left is written once, however often it comes, and found again."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from voiceagents.calls import history
from voiceagents.calls.records import FACT, CallOpened, Fact, MessageTaken, StateReached, ToolUsed
from voiceagents.calls.states import CallState, Direction, MessageKind, ToolStatus
from voiceagents.db import Database

pytestmark = pytest.mark.stack

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ANA = "+12025550143"


def opened(call_id: UUID, minutes: int = 0, *, outbound: bool = False, number: str = ANA) -> list[Fact]:
    """A call with this number that was answered."""
    at = NOON + timedelta(minutes=minutes)
    direction = Direction.OUTBOUND if outbound else Direction.INBOUND
    numbers: dict[str, Any] = {"to_number" if outbound else "from_number": number}
    return [
        CallOpened(call_id=call_id, at=at, direction=direction, state=CallState.RINGING, **numbers),
        StateReached(call_id=call_id, state=CallState.ANSWERED, at=at),
    ]


def used(call_id: UUID, status: ToolStatus, result: str | None = None) -> ToolUsed:
    return ToolUsed(
        call_id=call_id,
        tool_call_id="call_1",
        tool="order_status",
        arguments={"order": "A-17", "note": "\x00half \ud83d"},
        status=status,
        result=result,
        started_at=NOON,
        ended_at=None if status is ToolStatus.RUNNING else NOON + timedelta(seconds=2),
    )


async def write(database: Database, *facts: Fact) -> None:
    async with database.transaction() as session:
        for fact in facts:
            # As the spool keeps them: every fact survives being written down.
            await history.write(session, FACT.validate_json(FACT.dump_json(fact)))


async def test_a_tool_has_one_row_with_its_end_whichever_comes_last(database: Database) -> None:
    call_id = uuid4()
    begun, done = used(call_id, ToolStatus.RUNNING), used(call_id, ToolStatus.ERROR, "It did not answer.")
    await write(database, *opened(call_id), begun, done, begun, done)
    async with database.transaction() as session:
        (row,) = await history.tool_calls(session, call_id)
    assert (row.status, row.result) == (ToolStatus.ERROR, "It did not answer.")
    assert row.arguments == {"order": "A-17", "note": "half \N{REPLACEMENT CHARACTER}"}
    assert row.ended_at is not None


async def test_a_tool_whose_call_broke_off_stays_as_running(database: Database) -> None:
    call_id = uuid4()
    await write(database, *opened(call_id), used(call_id, ToolStatus.RUNNING))
    async with database.transaction() as session:
        (row,) = await history.tool_calls(session, call_id)
    assert (row.status, row.ended_at) == (ToolStatus.RUNNING, None)


async def test_a_message_that_comes_twice_is_one_message(database: Database) -> None:
    call_id = uuid4()
    message = MessageTaken(
        call_id=call_id,
        message_id=uuid4(),
        kind=MessageKind.CALLBACK,
        at=NOON,
        text="The fence",
        wanted_when="tomorrow",
    )
    await write(database, *opened(call_id), message, message)
    async with database.transaction() as session:
        (row,) = await history.messages(session, call_id)
    assert (row.kind, row.text, row.wanted_when, row.handled_at) == (
        MessageKind.CALLBACK,
        "The fence",
        "tomorrow",
        None,
    )


async def test_facts_about_a_call_without_a_row_are_dropped(database: Database) -> None:
    call_id = uuid4()
    message = MessageTaken(call_id=call_id, message_id=uuid4(), kind=MessageKind.MESSAGE, at=NOON, text="x")
    await write(database, used(call_id, ToolStatus.DONE), message)
    async with database.transaction() as session:
        assert await history.tool_calls(session, call_id) == []
        assert await history.messages(session, call_id) == []


async def test_a_caller_is_known_by_answered_calls_in_both_directions_and_not_by_this_one(database: Database) -> None:
    now, earlier, ours, other, missed = (uuid4() for _ in range(5))
    await write(
        database,
        *opened(earlier, 1),
        *opened(ours, 2, outbound=True),
        *opened(other, 3, number="+12025550199"),
        opened(missed, 4)[0],
        *opened(now, 5),
    )
    async with database.transaction() as session:
        found = await history.earlier_calls(session, ANA, before=now)
        newest = await history.earlier_calls(session, ANA, before=now, limit=1)
    assert [row.id for row in found] == [ours, earlier]
    assert [row.id for row in newest] == [ours]
