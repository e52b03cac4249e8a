"""How does the agent answer a call? Finds out which number was dialled and whose it is, and answers with that
assistant.

A call is always answered: a source that is down costs the assistant's own words, never the answer.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from voiceagents import logs
from voiceagents.assistants import dialled, sources
from voiceagents.calls import history
from voiceagents.calls.metadata import JobMetadata, RoomContext, did_in_room, is_outbound_room
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.recorder import HistoryUnavailable
from voiceagents.calls.records import CallOpened
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome
from voiceagents.calls.understanding import Question
from voiceagents.livekit import outbound, sip
from voiceagents.livekit.aftermath import Aftermath
from voiceagents.livekit.full_agent import Caller, FullAgent, full_agent
from voiceagents.livekit.job import Job
from voiceagents.livekit.line import Line

log = logging.getLogger("voiceagents.inbound")

_CALLER_SEEN = 10.0
"""Seconds within which the caller's phone must be in the room; rooms are made for it, so it is nearly always there
first."""

_PICKED_UP = 15.0
"""Seconds from our audio track to an active line; the SIP service answers as soon as it sees the track."""


async def run(job: Job, metadata: JobMetadata, context: RoomContext) -> None:
    """Answers the call in this job's room and stays until it is over."""
    await job.ctx.connect()
    async with AsyncExitStack() as held:
        await _follow(job, metadata, context, held)


async def _follow(job: Job, metadata: JobMetadata, context: RoomContext, held: AsyncExitStack) -> None:
    """The call from its ringing to its end and to what it came to; what it uses is `held` until then."""
    call_id = job.own_call_id()
    line = Line(
        call_id=call_id,
        room=job.ctx.room,
        control=job.control,
        recorder=job.worker.recorder,
        max_call_duration=job.worker.settings.max_call_duration,
        inbound=True,
        discretion=job.discretion,
    )
    ending = Ending(Outcome.FAILED, "the agent failed", EndedBy.SYSTEM)
    opened = False
    agent: FullAgent | None = None
    aftermath: Aftermath | None = None
    try:
        phone = await line.present(_CALLER_SEEN)
        if phone is None:
            log.warning(
                "NO_CALLER | room=%s | nobody was in the room after %.0f s", logs.room(job.room_name), _CALLER_SEEN
            )
            if is_outbound_room(job.room_name):
                # A dispatcher made this room to dial somebody and forgot to say whom.
                await outbound.refuse_unreadable(job, context, "the job metadata names no phone_number")
            return
        called = _called(phone.attributes.get("sip.trunkPhoneNumber"), job.room_name)
        assistant = await sources.resolver(job.worker.settings).inbound(
            lambda question: job.worker.recorder.ask(question, seconds=1.0, after_writes=False),
            job_assistant_id=metadata.agent_id,
            room_assistant_id=context.assistant_id,
            did=called,
        )
        call = sip.InboundCall.of(phone.attributes, did=assistant.number or sip.with_plus(called))
        log.info(
            "%s", logs.event("ASSISTANT_ID", value=assistant.id, source=assistant.source, resolver=assistant.resolver)
        )
        opened = await _open(
            job,
            CallOpened(
                call_id=call_id,
                at=datetime.now(UTC),
                direction=Direction.INBOUND,
                state=CallState.RINGING,
                from_number=call.caller,
                to_number=call.did,
                room_name=job.room_name,
                trunk_id=phone.attributes.get("sip.trunkID"),
                assistant_id=assistant.id,
                assistant_name=assistant.name,
                assistant_version=assistant.version,
                campaign_id=metadata.campaign_id or context.campaign_id,
                contact_name=context.contact_name or None,
                worker_id=job.worker.worker_id,
                details={"sip_call_id": call.sip_call_id} if call.sip_call_id else {},
            ),
        )
        if opened:
            caller = Caller(phone.identity, call.caller)
            agent = await held.enter_async_context(full_agent(job, context, assistant, caller))
            question = Question(Direction.INBOUND, metadata.extraction)
            aftermath = Aftermath(job, call_id, agent.conversation, agent.models, question)
            ending = await _answer(job, line, agent, aftermath)
    except asyncio.CancelledError:
        ending = job.control.stopped()
        raise
    except Exception as error:
        log.exception("INBOUND_CALL_BROKE | call=%s", call_id)
        ending = Ending(Outcome.FAILED, f"the agent failed: {type(error).__name__}: {error}", EndedBy.SYSTEM)
    finally:
        line.release()
        if opened:
            log.info(
                "%s",
                logs.event(
                    "🏁 INBOUND_CALL_ENDED",
                    outcome=ending.outcome.value,
                    ended_by=ending.ended_by.value,
                    cause=ending.cause,
                ),
            )
            await job.end(call_id, ending)
        else:
            await job.delete_room_if_unused()
    if agent is not None and aftermath is not None:
        await agent.recording.finish()
        await aftermath.sum_up(ending)


def _called(told: str | None, room: str) -> str | None:
    """What was dialled, in the carrier's spelling ("020 7946 0123"): what SIP tells goes first, if it is a number."""
    return next((one for one in (told, did_in_room(room)) if one and dialled.ending(one)), told)


async def _open(job: Job, opened: CallOpened) -> bool:
    """Makes the call's row.

    False when another agent answers this call already.
    """
    try:
        if await job.worker.recorder.ask(lambda session: history.open_call(session, opened), seconds=1.0):
            return True
    except HistoryUnavailable as error:
        log.warning("HISTORY_LATER | call=%s | cause=%s", opened.call_id, error)
        job.worker.recorder.write(opened)
        return True
    log.warning("SECOND_DISPATCH_REFUSED | room=%s | cause=another agent answers this call", logs.room(job.room_name))
    return False


async def _answer(job: Job, line: Line, agent: FullAgent, aftermath: Aftermath) -> Ending:
    log.info(
        "STARTING_SESSION (INBOUND) | instructions_length=%d | has_calendar=%s",
        len(agent.instructions),
        agent.has_calendar,
    )
    await agent.start()
    log.info("SESSION_STARTED (INBOUND) | session_active=True")
    if not await line.answered(_PICKED_UP):
        if job.control.ended.done():
            return job.control.ended.result()
        return Ending(Outcome.HUNG_UP, "the caller was gone before we picked up", EndedBy.PERSON)
    await agent.recording.begin()
    too_long = asyncio.create_task(agent.end_when_too_long())
    try:
        ending = await agent.conversation.hold()
    finally:
        too_long.cancel()
    if ending.ended_by is not EndedBy.PERSON:
        await job.hang_up()
    await agent.conversation.close()
    return await aftermath.conclude(ending)
