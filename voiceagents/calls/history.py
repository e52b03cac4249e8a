"""What is true of a call? The one place that writes calls, turns and timelines, and the questions that others ask of
them.

States only move forward, the first ending stands, and every write may come twice: after a crash nobody knows which
came through.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Call, CallEvent, Message, ToolCall, Turn
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import (
    CallEnded,
    CallOpened,
    CallRecorded,
    CallUnderstood,
    Fact,
    Happened,
    MessageTaken,
    ModelsUsed,
    StateReached,
    ToolUsed,
    TurnSpoken,
)
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome

_TIME_OF = {
    CallState.DISPATCHED: Call.dispatched_at,
    CallState.DIALING: Call.dialing_at,
    CallState.RINGING: Call.ringing_at,
    CallState.ANSWERED: Call.answered_at,
    CallState.ENDED: Call.ended_at,
}


class Claim(StrEnum):
    """The answer to "may I dial this call?"."""

    GRANTED = "granted"
    TAKEN = "taken"
    """The call was dialled already, is being dialled or has ended: this is a second dispatch of it."""

    ROOM_BUSY = "room_busy"
    """Another call is going on in the room."""

    NUMBER_BUSY = "number_busy"
    """Another call of ours is ringing or talking on this number."""


@dataclass(frozen=True)
class Objection:
    """Why a call must not be dialled after all; the call has ended with these words."""

    words: str


Gate = Callable[[AsyncSession, UUID, str], Awaitable[Objection | None]]
"""Asked with call and number inside the claim's transaction: the last word on whether this may be dialled now."""

ENDED_CHANNEL = "voiceagents_call_ended"
"""PostgreSQL notifies on this channel when a call has ended (payload: its id)."""


CANCELLED_BY_USER = "cancelled_by_user"
"""Key in the details of a call that a person of ours told to be hung up."""

_CUT_OFF = (Outcome.COMPLETED, Outcome.HUNG_UP, Outcome.FAILED)
"""How a call seems to have ended that was hung up from outside: its agent sees the phone or the room go, no more."""


async def open_call(session: AsyncSession, opened: CallOpened) -> bool:
    """Makes the call's row if it is not there yet, and no other call is going on in its room.

    True when it was made now.
    """
    statement = insert(Call).values(_row(opened)).on_conflict_do_nothing().returning(Call.id)
    return (await session.execute(statement)).scalar_one_or_none() is not None


async def open_calls(session: AsyncSession, opened: Sequence[CallOpened]) -> None:
    """`open_call` for several, in one go."""
    if opened:
        await session.execute(insert(Call).values([_row(call) for call in opened]).on_conflict_do_nothing())


def _row(opened: CallOpened) -> dict[str, Any]:
    values = opened.model_dump(exclude={"call_id", "fact", "at", "state"})
    values |= {"id": opened.call_id, "state": opened.state, "created_at": opened.at}
    if (time := _TIME_OF.get(opened.state)) is not None:
        values[time.key] = opened.at
    return values


async def claim(
    session: AsyncSession,
    call_id: UUID,
    *,
    room_name: str,
    to_number: str,
    trunk_id: str,
    worker_id: str,
    at: datetime,
    gate: Gate | None = None,
) -> Claim | Objection:
    """Takes the one right to dial this call: `queued` or `dispatched` becomes `dialing`, for exactly one caller,
    ever.

    The row must exist. Two unique indexes stand behind it: one call at a time in a room, one outbound call at a time
    on a number. A gate that objects ends the call.
    """
    not_dialed = select(Call.id).where(Call.id == call_id, Call.state.in_([CallState.QUEUED, CallState.DISPATCHED]))
    if await session.scalar(not_dialed.with_for_update()) is None:
        return Claim.TAKEN
    if gate is not None and (objection := await gate(session, call_id, to_number)) is not None:
        words = f"not dialled: {objection.words}"
        ended = Ending(Outcome.CANCELLED, words, EndedBy.SYSTEM)
        await session.flush()
        await end(session, CallEnded.of(call_id, ended, at))
        return objection
    statement = (
        update(Call)
        .where(Call.id == call_id)
        .values(
            state=CallState.DIALING,
            dialing_at=at,
            dispatched_at=func.coalesce(Call.dispatched_at, at),
            room_name=room_name,
            to_number=to_number,
            trunk_id=trunk_id,
            worker_id=worker_id,
        )
    )
    try:
        async with session.begin_nested():
            await session.execute(statement)
    except IntegrityError as error:
        return Claim.NUMBER_BUSY if "uq_calls_number_underway" in str(error.orig) else Claim.ROOM_BUSY
    return Claim.GRANTED


async def refuse(session: AsyncSession, opened: CallOpened, ended: CallEnded) -> bool:
    """Records a call that ended before it was dialled.

    False, and nothing changed, when the call is already further than that.
    """
    await open_call(session, opened)
    not_dialed = select(Call.id).where(
        Call.id == ended.call_id, Call.state.in_([CallState.QUEUED, CallState.DISPATCHED])
    )
    if (await session.execute(not_dialed.with_for_update())).scalar_one_or_none() is None:
        return False
    return await end(session, ended)


async def write(session: AsyncSession, fact: Fact) -> None:
    """Writes one fact.

    A fact about a call that has no row is dropped: its opening is itself a fact and comes first. So is what was said in
    a call whose words were deleted since.
    """
    match fact:
        case CallOpened():
            await open_call(session, fact)
        case StateReached():
            await _advance(session, fact)
        case TurnSpoken():
            await _write_turn(session, fact)
        case Happened():
            await _write_event(session, fact)
        case ToolUsed():
            await _write_tool(session, fact)
        case MessageTaken():
            await _write_message(session, fact)
        case CallUnderstood():
            await _understand(session, fact)
        case ModelsUsed():
            await _add_detail(session, Call.id == fact.call_id, {"usage": fact.models})
        case CallRecorded():
            await _record(session, fact)
        case CallEnded():
            await end(session, fact)


async def end(session: AsyncSession, ended: CallEnded) -> bool:
    """Ends the call, once. One that was hung up on our behalf was cancelled, unless it had brought something to light.

    True when this was the word that ended it.
    """
    values: dict[str, Any] = ended.model_dump(include={"outcome", "cause", "ended_by", "sip_status", "sip_reason"})
    if ended.outcome in _CUT_OFF:
        hung_up = Call.details[CANCELLED_BY_USER].as_boolean()
        cancelled = {"outcome": Outcome.CANCELLED, "cause": "hung up: it was cancelled", "ended_by": EndedBy.SYSTEM}
        for name, value in cancelled.items():
            kind = getattr(Call, name).type
            values[name] = case((hung_up, literal(value, kind)), else_=literal(values[name], kind))
    statement = (
        update(Call)
        .where(Call.id == ended.call_id, Call.state != CallState.ENDED)
        .values(state=CallState.ENDED, ended_at=ended.at, **values)
        .returning(Call.id)
    )
    if (await session.execute(statement)).scalar_one_or_none() is None:
        return False
    await session.execute(select(func.pg_notify(ENDED_CHANNEL, str(ended.call_id))))
    return True


async def _advance(session: AsyncSession, fact: StateReached) -> None:
    time = _TIME_OF[fact.state]
    earlier = [state for state in CallState if state.rank < fact.state.rank]
    kept: dict[str, Any] = {}
    if fact.from_number:
        kept["from_number"] = func.coalesce(Call.from_number, fact.from_number)
    if fact.sip_call_id:
        # Until the answer only LiveKit's own id is known; from then on the SIP Call-ID, which the carrier knows too.
        kept["sip_call_id"] = case(
            (Call.sip_call_id.is_(None) | Call.state.in_(earlier), fact.sip_call_id), else_=Call.sip_call_id
        )
    await session.execute(
        update(Call)
        .where(Call.id == fact.call_id, time.is_(None))
        .values({time: fact.at})
        .execution_options(synchronize_session=False)
    )
    if kept:
        await session.execute(update(Call).where(Call.id == fact.call_id).values(kept))
    await session.execute(update(Call).where(Call.id == fact.call_id, Call.state.in_(earlier)).values(state=fact.state))


async def _understand(session: AsyncSession, fact: CallUnderstood) -> None:
    given = fact.model_dump(include={"answered_by", "evidence", "summary", "extracted"})
    values = {name: value for name, value in given.items() if value}
    if values:
        await session.execute(update(Call).where(_takes_words(fact.call_id)).values(values))


async def _record(session: AsyncSession, fact: CallRecorded) -> None:
    found = {"recording": {"file": fact.file, "started_at": fact.started_at.isoformat()}}
    await _add_detail(session, _takes_words(fact.call_id), found)


async def _add_detail(session: AsyncSession, of: ColumnElement[bool], found: dict[str, Any]) -> None:
    values = {"details": Call.details.concat(literal(found, Call.details.type))}
    await session.execute(update(Call).where(of).values(values).execution_options(synchronize_session=False))


def _takes_words(call_id: UUID) -> ColumnElement[bool]:
    return (Call.id == call_id) & Call.cleared_at.is_(None)


async def _write_turn(session: AsyncSession, fact: TurnSpoken) -> None:
    values = fact.model_dump(exclude={"fact"})
    if not await _has_row(session, fact.call_id):
        return
    statement = insert(Turn).values(**values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Turn.call_id, Turn.item_id],
            set_={name: statement.excluded[name] for name in ("text", "ended_at", "interrupted", "latencies")},
        )
    )


async def _write_event(session: AsyncSession, fact: Happened) -> None:
    columns = {CallEvent.call_id: fact.call_id, CallEvent.at: fact.at, CallEvent.kind: fact.kind}
    detail = literal(fact.detail, CallEvent.detail.type)
    known = select(Call.id).where(_takes_words(fact.call_id)).exists()
    written = select(CallEvent.id).where(*(column == value for column, value in columns.items()))
    values = select(*(literal(value) for value in columns.values()), detail).where(
        known, ~written.where(CallEvent.detail == detail).exists()
    )
    await session.execute(insert(CallEvent).from_select([*columns, CallEvent.detail], values))


async def _has_row(session: AsyncSession, call_id: UUID) -> bool:
    return await session.scalar(select(Call.id).where(_takes_words(call_id))) is not None


async def _write_tool(session: AsyncSession, fact: ToolUsed) -> None:
    if not await _has_row(session, fact.call_id):
        return
    statement = insert(ToolCall).values(**fact.model_dump(exclude={"fact"}))
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[ToolCall.call_id, ToolCall.tool_call_id],
            set_={name: statement.excluded[name] for name in ("status", "result", "ended_at")},
            # Its beginning may be written again after its end.
            where=statement.excluded.ended_at.is_not(None),
        )
    )


async def _write_message(session: AsyncSession, fact: MessageTaken) -> None:
    if not await _has_row(session, fact.call_id):
        return
    values = fact.model_dump(exclude={"fact", "message_id"}) | {"id": fact.message_id}
    await session.execute(insert(Message).values(**values).on_conflict_do_nothing())


@dataclass(frozen=True)
class Page:
    """Which calls to list; the newest come first."""

    limit: int = 20
    campaign_id: str | None = None
    direction: str | None = None
    outcome: str | None = None


async def calls(session: AsyncSession, page: Page) -> Sequence[Call]:
    """The newest calls that fit."""
    query = select(Call).order_by(Call.created_at.desc(), Call.id.desc()).limit(page.limit)
    for column, value in (
        (Call.campaign_id, page.campaign_id),
        (Call.direction, page.direction),
        (Call.outcome, page.outcome),
    ):
        if value is not None:
            query = query.where(column == value)
    return (await session.scalars(query)).all()


async def find_call(session: AsyncSession, prefix: str) -> Call | None:
    """The call whose id starts with `prefix`, as a person copies it from a table; None when there is none or more
    than one."""
    found = (
        await session.scalars(
            select(Call).where(func.text(Call.id).startswith(prefix.lower(), autoescape=True)).limit(2)
        )
    ).all()
    return found[0] if len(found) == 1 else None


async def transcript(session: AsyncSession, call_id: UUID) -> Sequence[Turn]:
    """Every turn of the call in the order it was spoken."""
    return (await session.scalars(select(Turn).where(Turn.call_id == call_id).order_by(Turn.started_at, Turn.id))).all()


async def timeline(session: AsyncSession, call_id: UUID) -> Sequence[CallEvent]:
    """What happened beside states and turns, in order."""
    return (
        await session.scalars(
            select(CallEvent).where(CallEvent.call_id == call_id).order_by(CallEvent.at, CallEvent.id)
        )
    ).all()


async def tool_calls(session: AsyncSession, call_id: UUID) -> Sequence[ToolCall]:
    """What the agent did with its tools, in order."""
    return (
        await session.scalars(
            select(ToolCall).where(ToolCall.call_id == call_id).order_by(ToolCall.started_at, ToolCall.id)
        )
    ).all()


async def messages(session: AsyncSession, call_id: UUID) -> Sequence[Message]:
    """What the caller asked to pass on, in order."""
    return (
        await session.scalars(select(Message).where(Message.call_id == call_id).order_by(Message.at, Message.id))
    ).all()


async def earlier_calls(session: AsyncSession, number: str, *, before: UUID, limit: int = 5) -> Sequence[Call]:
    """The newest answered calls from or to this number (E.164), without the call `before`."""
    ours = (Call.from_number == number) & (Call.direction == Direction.INBOUND)
    theirs = (Call.to_number == number) & (Call.direction == Direction.OUTBOUND)
    query = select(Call).where(ours | theirs, Call.answered_at.is_not(None), Call.id != before)
    return (await session.scalars(query.order_by(Call.created_at.desc()).limit(limit))).all()
