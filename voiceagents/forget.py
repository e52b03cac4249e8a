"""What is held about one person, and how is it deleted everywhere? A person is whoever has this telephone number.

Calls stay as bare rows (when, how they ended) that name nobody; all else is deleted, in one transaction. The entry on
the do-not-call list stays unless it, too, is to go: without it the next import of a list would have us call again.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Text, case, cast, delete, func, literal, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calendars.models import Booking, Calendar
from voiceagents.calls import retention
from voiceagents.calls.models import Call, CallEvent, Message, ToolCall, Turn
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.calls.states import CallState, Direction, Outcome
from voiceagents.campaigns import do_not_call
from voiceagents.campaigns.models import Contact, ContactImport, DecisionRecord, DoNotCall
from voiceagents.web.models import AuditEntry, IdempotencyKey
from voiceagents.webhooks.models import Happening


class CallGoingOn(Exception):
    """The person is being called, is about to be, or is on the line."""


@dataclass(frozen=True)
class Held:
    """How much is held about a number, by kind."""

    calls: int = 0
    turns: int = 0
    recordings: int = 0
    tool_calls: int = 0
    messages: int = 0
    contacts: int = 0
    decisions: int = 0
    bookings: int = 0
    upcoming: int = 0
    """Bookings that are still to come, among the above."""
    webhook_events: int = 0
    jobs: int = 0
    answers: int = 0
    """Answers of the API that are kept for requests sent twice."""
    import_notes: int = 0
    """Import reports that repeat the number."""
    do_not_call: int = 0
    """Entries that stand."""
    taken_off: int = 0
    """Entries of the do-not-call list that stand no more."""
    elsewhere: tuple[str, ...] = ()
    """Calendars kept by others, in which there may be appointments that we cannot delete."""

    def anything(self, *, also_do_not_call: bool) -> bool:
        """Whether there is something to delete."""
        return any(
            number
            for name, number in asdict(self).items()
            if isinstance(number, int) and (name != "do_not_call" or also_do_not_call)
        )


@dataclass(frozen=True)
class _Found:
    calls: Sequence[UUID]
    contacts: Sequence[UUID]


async def held(session: AsyncSession, store: RecordingStore, number: str, now: datetime) -> Held:
    """What is held about a number (E.164)."""
    return await _count(session, store, number, await _find(session, number), now)


async def forget(
    session: AsyncSession, store: RecordingStore, number: str, now: datetime, *, by: str, also_do_not_call: bool = False
) -> Held:
    """Deletes all that is held about a number (E.164), in the caller's transaction. Answers what that was.

    Args:
        session: its transaction must end with this.
        store: where the recordings are.
        number: whose data it is.
        now: the present moment.
        by: who asked for it, for the audit log.
        also_do_not_call: whether the number may stand on no do-not-call list either.

    Raises:
        CallGoingOn: nothing was deleted.
        BucketProblem: the bucket of recordings refused; the transaction must not be kept.
    """
    # Whoever means to call these people waits for us, or we for them: then their calls are seen below.
    mine = select(Contact.id).where(Contact.phone == number).order_by(Contact.id)
    await session.execute(mine.with_for_update())
    if await session.scalar(select(func.count()).where(_with(number), Call.state != CallState.ENDED)):
        raise CallGoingOn("a call with this number is going on or about to be made")
    found = await _find(session, number)
    what = await _count(session, store, number, found, now)
    if not what.anything(also_do_not_call=also_do_not_call):
        return what
    await _keep_wish(session, number)
    await _forget_calls(session, store, number, found.calls, now)
    for statement in _deletions(number, found):
        await session.execute(statement)
    await session.execute(_JOBS_GONE, _job_parameters(number, found))
    await _clean_reports(session, number)
    gone = delete(DoNotCall).where(DoNotCall.phone == number)
    await session.execute(gone if also_do_not_call else gone.where(DoNotCall.removed_at.is_not(None)))
    session.add(
        AuditEntry(
            actor_kind="command",
            actor_name=by,
            action="forgot",
            subject_kind="person",
            subject_id=fingerprint(number),
            detail={name: number for name, number in asdict(what).items() if isinstance(number, int) and number},
        )
    )
    return what


def fingerprint(number: str) -> str:
    """What stands for a number in the audit log: the same for the same number, and slow to make, as there are too few
    numbers for a quick hash to hide them."""
    return hashlib.scrypt(number.encode(), salt=b"voiceagents.forget", n=2**14, r=8, p=1, dklen=16).hex()


def _with(number: str) -> ColumnElement[bool]:
    """Calls with this person: from them, or to them."""
    came_in = (Call.direction == Direction.INBOUND) & (Call.from_number == number)
    placed = (Call.direction == Direction.OUTBOUND) & (Call.to_number == number)
    return came_in | placed


async def _find(session: AsyncSession, number: str) -> _Found:
    calls = (await session.scalars(select(Call.id).where(_with(number)))).all()
    contacts = (await session.scalars(select(Contact.id).where(Contact.phone == number))).all()
    return _Found(calls, contacts)


async def _count(session: AsyncSession, store: RecordingStore, number: str, found: _Found, now: datetime) -> Held:
    async def rows(table: Any, *where: ColumnElement[bool]) -> int:
        return await session.scalar(select(func.count()).select_from(table).where(*where)) or 0

    booked = Booking.phone == number
    listed = DoNotCall.phone == number
    others = select(Calendar.name).where(Calendar.provider != "builtin").order_by(Calendar.name)
    return Held(
        calls=len(found.calls),
        turns=await rows(Turn, Turn.call_id.in_(found.calls)),
        recordings=len(await store.existing(found.calls)),
        tool_calls=await rows(ToolCall, ToolCall.call_id.in_(found.calls)),
        messages=await rows(Message, _messages(number, found)),
        contacts=len(found.contacts),
        decisions=await rows(DecisionRecord, _decisions(found)),
        bookings=await rows(Booking, booked),
        upcoming=await rows(Booking, booked, Booking.ends_at > now, Booking.status != "cancelled"),
        webhook_events=await rows(Happening, _told(number, found)),
        jobs=await session.scalar(_JOBS, _job_parameters(number, found)) or 0,
        answers=await rows(IdempotencyKey, _repeated(number)),
        import_notes=await rows(ContactImport, _reported(number)),
        do_not_call=await rows(DoNotCall, listed, DoNotCall.removed_at.is_(None)),
        taken_off=await rows(DoNotCall, listed, DoNotCall.removed_at.is_not(None)),
        elsewhere=tuple((await session.scalars(others)).all()),
    )


def _messages(number: str, found: _Found) -> ColumnElement[bool]:
    return Message.call_id.in_(found.calls) | (Message.from_number == number)


def _decisions(found: _Found) -> ColumnElement[bool]:
    return DecisionRecord.contact_id.in_(found.contacts) | DecisionRecord.call_id.in_(found.calls)


def _told(number: str, found: _Found) -> ColumnElement[bool]:
    subjects = [str(id_) for id_ in (*found.calls, *found.contacts)]
    return or_(Happening.subject_id.in_(subjects), Happening.data["phone"].as_string() == number)


def _repeated(number: str) -> ColumnElement[bool]:
    return func.position(literal(number.encode()).op("in")(IdempotencyKey.body)) > 0


def _reported(number: str) -> ColumnElement[bool]:
    return cast(ContactImport.report, Text).contains(number.removeprefix("+"), autoescape=True)


def _deletions(number: str, found: _Found) -> list[Any]:
    return [
        delete(ToolCall).where(ToolCall.call_id.in_(found.calls)),
        delete(CallEvent).where(CallEvent.call_id.in_(found.calls)),
        delete(Message).where(_messages(number, found)),
        delete(DecisionRecord).where(_decisions(found)),
        delete(Contact).where(Contact.id.in_(found.contacts)),
        delete(Booking).where(Booking.phone == number),
        delete(Happening).where(_told(number, found)),
        delete(IdempotencyKey).where(_repeated(number)),
    ]


async def _keep_wish(session: AsyncSession, number: str) -> None:
    """Who has just asked not to be called again is put on the list now, before the call that says so is nameless."""
    asked = await session.scalar(
        select(func.count()).where(_with(number), Call.outcome == Outcome.OPTED_OUT, Call.settled_at.is_(None))
    )
    if asked:
        await do_not_call.add(session, number, None, "asked in a call")


async def _forget_calls(
    session: AsyncSession, store: RecordingStore, number: str, calls: Sequence[UUID], now: datetime
) -> None:
    await retention.clear(session, store, calls, now)
    came_in = Call.direction == Direction.INBOUND
    nobody = {name: None for name in ("contact_id", "contact_name", "room_name", "sip_call_id", "sip_reason")}
    await session.execute(
        update(Call)
        .where(Call.id.in_(calls))
        .values(
            from_number=case((came_in, None), else_=Call.from_number),
            to_number=case((came_in, Call.to_number), else_=None),
            cause=func.replace(Call.cause, literal(number), "the number"),
            details={},
            settled_at=func.coalesce(Call.settled_at, now),
            **nobody,
        )
        .execution_options(synchronize_session=False)
    )


async def _clean_reports(session: AsyncSession, number: str) -> None:
    digits = number.removeprefix("+")
    for row in await session.scalars(select(ContactImport).where(_reported(number)).with_for_update()):
        row.report = {
            name: [item for item in value if digits not in str(item)] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
            for name, value in row.report.items()
        }


_OF_PERSON = """
    FROM procrastinate_jobs
    WHERE status <> 'doing' AND (args ->> 'call_id' = ANY(:calls) OR strpos(CAST(args AS text), :number) > 0)
"""
_JOBS = text(f"SELECT count(*) {_OF_PERSON}")
_JOBS_GONE = text(f"DELETE {_OF_PERSON}")


def _job_parameters(number: str, found: _Found) -> dict[str, Any]:
    return {"number": number, "calls": [str(id_) for id_ in found.calls]}
