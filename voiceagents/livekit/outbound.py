"""How does the agent place a call? Checks, the claim, one dial, a light conversation without tools, and a clean end
whatever happens.

The order is the promise: nothing is dialled before number, trunk and claim are good, and nobody is left in a room
afterwards.
"""

import asyncio
import logging
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from livekit import api

from voiceagents import clock, logs, phone
from voiceagents.calls import history, outcomes
from voiceagents.calls.history import Claim
from voiceagents.calls.metadata import JobMetadata, RoomContext, number_in_room
from voiceagents.calls.outcomes import Ending, Trouble
from voiceagents.calls.recorder import HistoryUnavailable
from voiceagents.calls.records import CallEnded, CallOpened, Happened, StateReached
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome
from voiceagents.calls.understanding import Question
from voiceagents.livekit import sip
from voiceagents.livekit.aftermath import Aftermath
from voiceagents.livekit.job import Job
from voiceagents.livekit.line import Line
from voiceagents.livekit.preparing import Prepared, get_ready, prepare

log = logging.getLogger("voiceagents.outbound")

_ANSWER_SEEN = 5.0
"""Seconds within which the phone must be in the room, active, after LiveKit said that it was answered."""

_TURNS = 5
_LATE = 0.05
"""Seconds after its turn at which a call takes another, a few times."""

_ROOM_END_SEEN = 0.5
"""Seconds within which we hear that our room was deleted, after the dial in it was given up."""


async def run(job: Job, metadata: JobMetadata, context: RoomContext) -> None:
    """Places the call of one job and stays until it is over."""
    settings = job.worker.settings
    asked = metadata.phone_number or ""
    call_id = metadata.call_id or job.own_call_id()
    trunk_id = metadata.outbound_trunk_id or settings.sip_trunk_id
    opened = CallOpened(
        call_id=call_id,
        at=datetime.now(UTC),
        direction=Direction.OUTBOUND,
        state=CallState.DISPATCHED,
        to_number=asked or None,
        room_name=job.room_name,
        trunk_id=trunk_id,
        assistant_id=metadata.agent_id,
        campaign_id=metadata.campaign_id or context.campaign_id,
        contact_id=metadata.contact_id,
        contact_name=metadata.contact_name or context.contact_name or None,
        attempt=metadata.attempt,
        worker_id=job.worker.worker_id,
    )
    try:
        number = phone.dialable(asked)
    except phone.InvalidPhoneNumber as error:
        await _refuse(job, opened, Ending(Outcome.INVALID_NUMBER, f"not dialled: {error}", EndedBy.SYSTEM))
        return
    if trunk_id is None:
        cause = "not dialled: no trunk; put outbound_trunk_id into the job metadata or set SIP_TRUNK_ID"
        await _refuse(job, opened, Ending(Outcome.FAILED, cause, EndedBy.SYSTEM))
        return
    await job.ctx.connect()
    if sip.phone_in(job.ctx.room) is not None:
        log.warning(
            "SECOND_DISPATCH_REFUSED | room=%s | cause=a phone is in the room already", logs.room(job.room_name)
        )
        job.worker.recorder.write(_second_dispatch(call_id, "a phone was in the room already"))
        return
    try:
        prepared = await prepare(job, metadata, context, opened, number)
    except Exception as error:
        log.exception("OUTBOUND_CALL_BROKE | call=%s", call_id)
        cause = f"not dialled: the agent failed: {type(error).__name__}: {error}"
        await _refuse(job, opened, Ending(Outcome.FAILED, cause, EndedBy.SYSTEM))
        return
    try:
        if await _turn_came(job, opened, trunk_id) and await _claimed(job, opened, number, trunk_id):
            await _call(job, opened, prepared, number, trunk_id)
    finally:
        await prepared.recording.finish()
        await prepared.models.aclose()


async def refuse_unreadable(job: Job, context: RoomContext, cause: str) -> None:
    """Records the call of a dispatch that nobody can read, under the number in the room's name."""
    opened = CallOpened(
        call_id=job.own_call_id(),
        at=datetime.now(UTC),
        direction=Direction.OUTBOUND,
        state=CallState.DISPATCHED,
        to_number=number_in_room(job.room_name),
        room_name=job.room_name,
        campaign_id=context.campaign_id,
        worker_id=job.worker.worker_id,
    )
    await _refuse(job, opened, Ending(Outcome.FAILED, f"not dialled: {cause}", EndedBy.SYSTEM))


async def _turn_came(job: Job, opened: CallOpened, trunk_id: str) -> bool:
    """Waits for the call's turn among the calls that its trunk takes in a second. False when the call is over first."""
    take_turn = job.worker.take_turn
    if take_turn is None:
        return True
    loop = asyncio.get_running_loop()
    for _ in range(_TURNS):
        try:
            seconds = await job.worker.recorder.ask(lambda session: take_turn(session, opened.call_id, trunk_id))
        except HistoryUnavailable as error:
            await _refuse(job, opened, Ending(Outcome.FAILED, f"not dialled: {error}", EndedBy.SYSTEM))
            return False
        turn = loop.time() + seconds
        await asyncio.wait({job.control.ended}, timeout=seconds)
        if job.control.ended.done():
            ending = job.control.ended.result()
            await _refuse(job, opened, replace(ending, cause=f"not dialled: {ending.cause}"))
            return False
        if loop.time() - turn < _LATE:
            break
        # This process is so busy that the turn is over: dialled now, the call would come on top of the next.
    return True


async def _claimed(job: Job, opened: CallOpened, number: str, trunk_id: str) -> bool:
    """Takes the right to dial, in the last moment before the dial.

    Everybody else leaves quietly.
    """
    call_id = opened.call_id

    async def claim(session: history.AsyncSession) -> Claim | history.Objection:
        await history.open_call(session, opened)
        return await history.claim(
            session,
            call_id,
            room_name=job.room_name,
            to_number=number,
            trunk_id=trunk_id,
            worker_id=job.worker.worker_id,
            at=clock.now(),
            gate=job.worker.gate,
        )

    try:
        answer = await job.worker.recorder.ask(claim)
    except HistoryUnavailable as error:
        # Whether the claim went through is unknown, so this call must not be dialled; the row ends as soon
        # as the database is back.
        await _refuse(job, opened, Ending(Outcome.FAILED, f"not dialled: {error}", EndedBy.SYSTEM))
        return False
    if answer is Claim.GRANTED:
        return True
    if isinstance(answer, history.Objection):
        _log_failure(number, Ending(Outcome.CANCELLED, f"not dialled: {answer.words}", EndedBy.SYSTEM))
        await job.delete_room_if_unused()
        return False
    log.warning("SECOND_DISPATCH_REFUSED | room=%s | claim=%s", logs.room(job.room_name), answer.value)
    if answer is Claim.TAKEN:
        job.worker.recorder.write(_second_dispatch(call_id, "the call had been dialled already"))
    else:
        where = "its room" if answer is Claim.ROOM_BUSY else "this number"
        await _refuse(
            job,
            opened,
            Ending(
                Outcome.CANCELLED,
                f"not dialled: another call was going on in {where}".replace("in this", "on this"),
                EndedBy.SYSTEM,
            ),
        )
    return False


def _second_dispatch(call_id: UUID, cause: str) -> Happened:
    return Happened(call_id=call_id, kind="second_dispatch_refused", at=datetime.now(UTC), detail={"cause": cause})


async def _refuse(job: Job, opened: CallOpened, ending: Ending) -> None:
    """Ends a call that must not be dialled: a row that says why, and no room."""
    ended = CallEnded.of(opened.call_id, ending, datetime.now(UTC))
    try:
        await job.worker.recorder.ask(lambda session: history.refuse(session, opened, ended))
    except HistoryUnavailable:
        job.worker.recorder.write(opened)
        job.worker.recorder.write(ended)
    _log_failure(opened.to_number, ending)
    await job.delete_room_if_unused()


async def _call(job: Job, opened: CallOpened, prepared: Prepared, number: str, trunk_id: str) -> None:
    call_id = opened.call_id
    line = Line(
        call_id=call_id,
        room=job.ctx.room,
        control=job.control,
        recorder=job.worker.recorder,
        max_call_duration=job.worker.settings.max_call_duration,
    )
    question = Question(Direction.OUTBOUND, prepared.extraction)
    aftermath = Aftermath(job, call_id, prepared.conversation, prepared.models, question)
    ending = Ending(Outcome.FAILED, "the agent failed", EndedBy.SYSTEM)
    try:
        log.info(
            "%s",
            logs.event(
                "📞 OUTBOUND_CALL_START",
                phone_number=logs.number(number),
                trunk_id=trunk_id,
                room=logs.room(job.room_name),
            ),
        )
        ending = await _dial_and_talk(job, line, prepared, aftermath, number, trunk_id)
    except asyncio.CancelledError:
        ending = job.control.stopped()
        raise
    except Exception as error:
        log.exception("OUTBOUND_CALL_BROKE | call=%s", call_id)
        ending = Ending(Outcome.FAILED, f"the agent failed: {type(error).__name__}: {error}", EndedBy.SYSTEM)
    finally:
        line.release()
        if line.answered_at is None:
            _log_failure(number, ending)
        else:
            _log_end(number, ending)
        await job.end(call_id, ending)
    await prepared.recording.finish()
    await aftermath.sum_up(ending)


async def _dial_and_talk(
    job: Job, line: Line, prepared: Prepared, aftermath: Aftermath, number: str, trunk_id: str
) -> Ending:
    conversation, call_id = prepared.conversation, aftermath.call_id
    getting_ready = asyncio.create_task(get_ready(line, prepared))
    try:
        failure = await _dial(job, line, number, trunk_id, prepared.name or "")
        if failure is not None:
            # It is over now, and not when the session that was being made ready is taken down again.
            job.control.end(failure)
            return conversation.verdict(failure)
        answered_at = line.answered_at or datetime.now(UTC)
        job.worker.recorder.write(StateReached(call_id=call_id, state=CallState.ANSWERED, at=answered_at))
        log.info(
            "STARTING_SESSION (OUTBOUND) | instructions_length=%d | has_calendar=False", len(prepared.instructions)
        )
        await getting_ready
        log.info("SESSION_STARTED (OUTBOUND) | session_active=True")
    finally:
        if not line.answered_at or not getting_ready.done():
            getting_ready.cancel()
            await asyncio.wait({getting_ready})
            await conversation.close()
    ending = await conversation.hold()
    if ending.ended_by is not EndedBy.PERSON:
        # The person hears our last word and then the line goes dead, not half a minute of transcription first.
        await job.hang_up()
    await conversation.close()
    return await aftermath.conclude(ending)


async def _dial(job: Job, line: Line, number: str, trunk_id: str, name: str) -> Ending | None:
    """Dials once: None when somebody answered and is on the line; else how the call ended."""
    settings = job.worker.settings
    dialling = asyncio.create_task(
        sip.dial(
            job.livekit,
            sip.Dial(
                room=job.room_name,
                number=number,
                trunk_id=trunk_id,
                name=name,
                ringing_timeout=settings.ringing_timeout,
                max_call_duration=settings.max_call_duration,
            ),
        )
    )
    try:
        await asyncio.wait({dialling, job.control.ended}, return_when=asyncio.FIRST_COMPLETED)
        if not dialling.done():
            # The room was deleted or the worker stops; the SIP service says within moments that the call is over.
            await job.hang_up()
            await asyncio.wait({dialling}, timeout=2)
        if not dialling.done():
            return job.control.ended.result()
        participant = dialling.result()
    except sip.NotAnswered as error:
        # A room that was deleted and a phone that rang out come back as the same error. What tells them apart is the
        # time, and word of the room's end, which may come a moment later.
        cut_short = error.failure.code == "canceled" and error.failure.seconds < settings.ringing_timeout - 1
        cancelled = await line.room_gone(_ROOM_END_SEEN if cut_short else 0) or cut_short
        if job.control.ended.done() and error.failure.sip_status is None:
            return job.control.ended.result()
        if error.failure.trouble in (Trouble.TIMEOUT, Trouble.CONNECTION):
            # The phone may still be ringing: it must not be picked up with nobody there.
            await job.hang_up()
        return outcomes.of_dial_failure(replace(error.failure, rang=line.rang, room_deleted=cancelled))
    finally:
        dialling.cancel()
        with suppress(asyncio.CancelledError, sip.NotAnswered):
            await dialling
    log.info(
        "%s",
        logs.event("✅ OUTBOUND_CALL_CONNECTED", phone_number=logs.number(number), result=_shown(participant)),
    )
    if not await line.answered(_ANSWER_SEEN):
        if job.control.ended.done():
            return job.control.ended.result()
        return Ending(Outcome.HUNG_UP, "the call was answered and gone at once", EndedBy.PERSON)
    return None


def _shown(participant: api.SIPParticipantInfo) -> str:
    return (
        f"SipParticipant(participant_id={participant.participant_id}, "
        f"participant_identity={logs.number(participant.participant_identity)}, "
        f"room_name={logs.room(participant.room_name)}, sip_call_id={participant.sip_call_id})"
    )


def _log_failure(number: str | None, ending: Ending) -> None:
    log.warning(
        "%s",
        logs.event(
            "❌ OUTBOUND_CALL_FAILED",
            phone_number=logs.number(number),
            outcome=ending.outcome.value,
            sip_status=ending.sip_status,
            cause=ending.cause,
        ),
    )


def _log_end(number: str, ending: Ending) -> None:
    log.info(
        "%s",
        logs.event(
            "🏁 OUTBOUND_CALL_ENDED",
            phone_number=logs.number(number),
            outcome=ending.outcome.value,
            ended_by=ending.ended_by.value,
            cause=ending.cause,
        ),
    )
