"""What is true of a call? The one place that writes calls, turns and timelines, and the questions that others ask of
them.

States only move forward, the first ending stands, and every write may come twice: after a crash nobody knows which
came through.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, literal, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Call, CallEvent, Turn
from voiceagents.calls.records import CallEnded, CallOpened, Fact, Happened, StateReached, TurnSpoken
from voiceagents.calls.states import CallState

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


async def open_call(session: AsyncSession, opened: CallOpened) -> bool:
    """Makes the call's row if it is not there yet.

    True when it was made now.
    """
    values = opened.model_dump(exclude={"call_id", "fact", "at", "state"}, exclude_none=True)
    statement = (
        insert(Call)
        .values(id=opened.call_id, state=opened.state, created_at=opened.at, **values)
        .on_conflict_do_nothing(index_elements=[Call.id])
    )
    if (time := _TIME_OF.get(opened.state)) is not None:
        statement = (
            insert(Call)
            .values(
                {Call.id: opened.call_id, Call.state: opened.state, Call.created_at: opened.at, time: opened.at}
                | values
            )
            .on_conflict_do_nothing(index_elements=[Call.id])
        )
    return (await session.execute(statement.returning(Call.id))).scalar_one_or_none() is not None


async def claim(
    session: AsyncSession, call_id: UUID, *, room_name: str, to_number: str, trunk_id: str, worker_id: str, at: datetime
) -> Claim:
    """Takes the one right to dial this call: `queued` or `dispatched` becomes `dialing`, for exactly one caller,
    ever.

    The row must exist. Two unique indexes stand behind it: one call at a time in a room, one outbound call at a time
    on a number.
    """
    statement = (
        update(Call)
        .where(Call.id == call_id, Call.state.in_([CallState.QUEUED, CallState.DISPATCHED]))
        .values(
            state=CallState.DIALING,
            dialing_at=at,
            dispatched_at=func.coalesce(Call.dispatched_at, at),
            room_name=room_name,
            to_number=to_number,
            trunk_id=trunk_id,
            worker_id=worker_id,
        )
        .returning(Call.id)
    )
    try:
        async with session.begin_nested():
            taken = (await session.execute(statement)).scalar_one_or_none()
    except IntegrityError as error:
        return Claim.NUMBER_BUSY if "uq_calls_number_underway" in str(error.orig) else Claim.ROOM_BUSY
    return Claim.GRANTED if taken is not None else Claim.TAKEN


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

    A fact about a call that has no row is dropped: its opening is itself a fact and comes first.
    """
    match fact:
        case CallOpened():
            await open_call(session, fact)
        case StateReached():
            await _advance(session, fact)
        case TurnSpoken():
            await _write_turn(session, fact)
        case Happened():
            values = select(
                literal(fact.call_id), literal(fact.at), literal(fact.kind), literal(fact.detail, CallEvent.detail.type)
            ).where(select(Call.id).where(Call.id == fact.call_id).exists())
            await session.execute(insert(CallEvent).from_select(["call_id", "at", "kind", "detail"], values))
        case CallEnded():
            await end(session, fact)


async def end(session: AsyncSession, ended: CallEnded) -> bool:
    """Ends the call, once.

    True when this was the word that ended it.
    """
    statement = (
        update(Call)
        .where(Call.id == ended.call_id, Call.state != CallState.ENDED)
        .values(
            state=CallState.ENDED,
            ended_at=ended.at,
            **ended.model_dump(include={"outcome", "cause", "ended_by", "sip_status", "sip_reason"}),
        )
        .returning(Call.id)
    )
    return (await session.execute(statement)).scalar_one_or_none() is not None


async def _advance(session: AsyncSession, fact: StateReached) -> None:
    time = _TIME_OF[fact.state]
    earlier = [state for state in CallState if state.rank < fact.state.rank]
    kept = {
        name: func.coalesce(getattr(Call, name), value)
        for name, value in (("sip_call_id", fact.sip_call_id), ("from_number", fact.from_number))
        if value
    }
    await session.execute(
        update(Call)
        .where(Call.id == fact.call_id, time.is_(None))
        .values({time: fact.at})
        .execution_options(synchronize_session=False)
    )
    if kept:
        await session.execute(update(Call).where(Call.id == fact.call_id).values(kept))
    await session.execute(update(Call).where(Call.id == fact.call_id, Call.state.in_(earlier)).values(state=fact.state))


async def _write_turn(session: AsyncSession, fact: TurnSpoken) -> None:
    values = fact.model_dump(exclude={"fact"})
    known = (await session.execute(select(Call.id).where(Call.id == fact.call_id))).scalar_one_or_none()
    if known is None:
        return
    statement = insert(Turn).values(**values)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=[Turn.call_id, Turn.item_id],
            set_={name: statement.excluded[name] for name in ("text", "ended_at", "interrupted", "latencies")},
        )
    )


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
