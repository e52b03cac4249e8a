"""Who is it that answers a call? The full agent: an assistant with all that is set on it, ready for one call.

What cannot be had in time (a calendar that is away, a sound that will not play) is left out: the caller is answered
all the same.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from livekit.agents import Agent, AudioConfig, BackgroundAudioPlayer, BuiltinAudioClip, vad

from voiceagents import clock, storage
from voiceagents.assistants.draft import AfterHours
from voiceagents.assistants.hours import Opening, opening
from voiceagents.assistants.prompts import with_campaign_context
from voiceagents.assistants.resolver import OUT_OF_SERVICE, Resolved
from voiceagents.calendars.base import Calendar
from voiceagents.calls.metadata import RoomContext
from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.livekit.conversation import Conversation, Manners
from voiceagents.livekit.egress import EgressRecording
from voiceagents.livekit.endings import is_farewell
from voiceagents.livekit.job import Job
from voiceagents.livekit.recording import CallRecording
from voiceagents.livekit.speech import CallVAD, SessionModels
from voiceagents.livekit.tools import Equipment, InCall, tools_for
from voiceagents.livekit.tools.guard import Guard
from voiceagents.livekit.tools.instructions import closed_words, with_tools
from voiceagents.livekit.tools.open_calendar import open_calendar
from voiceagents.zones import UnknownZone, zone_named

log = logging.getLogger("voiceagents.inbound")

GOODBYE = "Goodbye."
_GREETING = "Hello, how can I help you?"
_CLOSED = "Thank you for calling. We are closed now, please call again during our business hours."
_CLOSED_PROMPT = "You answer for a business that is closed. Say so in one sentence, and say goodbye. Do nothing else."
_TIME_IS_UP = "I am sorry, this call has reached its longest time."
_AMBIENCE = 0.4
"""Volume of the background sound, beside a voice at 1."""


@dataclass(frozen=True)
class Caller:
    """The other end."""

    identity: str
    """The phone in the room."""
    number: str | None
    """E.164; None when it is hidden."""
    called: str | None = None
    """The number of ours that was called, in E.164, where that is known."""


@dataclass(frozen=True)
class Hours:
    """Whether the business is open, and what a caller meets when it is not."""

    opening: Opening
    after: AfterHours

    @classmethod
    def of(cls, assistant: Resolved) -> "Hours":
        """Now, by the assistant's own clock."""
        now = opening(assistant.business_hours, assistant.time_zone, clock.now())
        return cls(now, AfterHours() if now.is_open else AfterHours.model_validate(assistant.after_hours or {}))

    @property
    def shut(self) -> bool:
        """Nothing but a word that it is closed."""
        return not self.opening.is_open and self.after.mode == "close"

    @property
    def takes_messages(self) -> bool:
        return not self.opening.is_open and self.after.mode == "message"


@dataclass(frozen=True)
class FullAgent:
    """An assistant in one call."""

    conversation: Conversation
    models: SessionModels
    instructions: str
    has_calendar: bool
    longest: float
    """Seconds after which the call ends."""
    farewell: str
    sound: BackgroundAudioPlayer | None
    recording: CallRecording | EgressRecording

    async def start(self) -> None:
        """Publishes the voice and what is heard behind it, and starts to listen."""
        await self.conversation.start()
        self.recording.attach(self.conversation.session)
        if self.sound is not None:
            session = self.conversation.session
            await self.sound.start(  # pyright: ignore[reportUnknownMemberType]
                room=self.conversation.room, agent_session=session
            )

    async def end_when_too_long(self) -> None:
        """Says goodbye when the longest time is over; cancelled when the call ends before."""
        await asyncio.sleep(self.longest)
        how = f"the longest call time of {self.longest:.0f} s was reached"
        session = self.conversation.session
        session.interrupt(force=True)
        try:
            async with asyncio.timeout(10):
                words = f"{_TIME_IS_UP} {self.farewell}"
                await session.say(words, allow_interruptions=False).wait_for_playout()
        except (TimeoutError, RuntimeError) as error:
            log.warning("GOODBYE_NOT_HEARD | cause=%s", error or "it took too long")
        self.conversation.finish(EndedBy.SYSTEM, how)


@asynccontextmanager
async def full_agent(job: Job, context: RoomContext, assistant: Resolved, caller: Caller) -> AsyncGenerator[FullAgent]:
    """The assistant, ready for this call; all its connections end with the block."""
    hours = Hours.of(assistant)
    async with AsyncExitStack() as stack:
        calendar = None
        if not hours.shut:
            url = storage.database_url(job.worker.settings)
            calendar = await stack.enter_async_context(open_calendar(assistant, url))
        agent = await _made(job, context, assistant, caller, hours, calendar)
        stack.push_async_callback(agent.models.aclose)
        stack.push_async_callback(agent.recording.finish)
        if agent.sound is not None:
            stack.push_async_callback(agent.sound.aclose)
        yield agent


async def _made(
    job: Job, context: RoomContext, assistant: Resolved, caller: Caller, hours: Hours, calendar: Calendar | None
) -> FullAgent:
    settings = job.worker.settings
    # Tools act on the conversation, which is made with them.
    held: list[Conversation] = []
    call = InCall(
        call_id=job.own_call_id(),
        room=job.ctx.room,
        livekit=job.livekit,
        phone_identity=caller.identity,
        write=job.worker.recorder.write,
        ask=lambda question: job.worker.recorder.ask(question, seconds=2.0),
        end=job.control.end,
        wish=lambda outcome: held[0].wish(outcome),
        fall_silent=lambda: held[0].fall_silent(),
        session=lambda: held[0].session,
        caller_number=caller.number,
        called_number=caller.called,
        zone=_zone(assistant, calendar),
        transfer_targets=assistant.transfer_targets,
        trunk_id=settings.sip_trunk_id,
        end_call_message=assistant.end_call_message,
        guard=Guard.of(settings.tool_allowed_hosts),
        discretion=job.discretion,
    )
    if hours.shut:
        equipment = Equipment.none(call)
    else:
        equipment = await tools_for(assistant, call, calendar=calendar, message=hours.takes_messages)
    instructions = _instructions(assistant, context, hours, equipment, call)
    models = job.worker.speech.session_models(
        llm_model=assistant.llm_model,
        stt_model=assistant.stt_model,
        voice=assistant.voice,
        temperature=assistant.temperature,
        language=assistant.language,
    )
    conversation = Conversation(
        call_id=call.call_id,
        room=call.room,
        phone_identity=caller.identity,
        control=job.control,
        recorder=job.worker.recorder,
        models=models,
        vad=_detector(job.worker.vad, assistant.turn.get("vad", {})),
        agent=Agent(instructions=instructions, tools=equipment.tools),
        manners=_manners(job, assistant, hours),
        turn=assistant.turn,
    )
    held.append(conversation)
    conversation.transcript.discretion = job.discretion
    equipment.records.follow(conversation.session)
    return FullAgent(
        conversation=conversation,
        models=models,
        instructions=instructions,
        has_calendar=calendar is not None,
        longest=float(assistant.max_call_duration or settings.max_call_duration),
        farewell=assistant.end_call_message or GOODBYE,
        sound=_sound(assistant.background_sound),
        recording=job.recording(call.call_id, wanted=assistant.record),
    )


def _instructions(assistant: Resolved, context: RoomContext, hours: Hours, equipment: Equipment, call: InCall) -> str:
    if hours.shut:
        return _CLOSED_PROMPT
    prompt = with_campaign_context(
        assistant.prompt,
        campaign_prompt=context.campaign_prompt,
        name=context.contact_name,
        email=context.contact_email,
        phone=context.contact_phone or call.caller_number,
    )
    now = hours.opening
    return with_tools(
        prompt,
        now=call.now(),
        zone=call.zone,
        tools=bool(equipment.tools),
        missing=equipment.missing,
        keys=equipment.keys,
        closed="" if now.is_open else closed_words(now.why, now.opens_at_local),
    )


def _manners(job: Job, assistant: Resolved, hours: Hours) -> Manners:
    settings = job.worker.settings
    first = assistant.first_message or _GREETING
    if not hours.opening.is_open and hours.after.message:
        first = hours.after.message
    elif hours.shut:
        first = _CLOSED
    if hours.shut and not is_farewell(first):
        # The agent's goodbye is what ends a call.
        first = f"{first} {GOODBYE}"
    return Manners(
        opening=first,
        announcement=assistant.consent_line,
        greeting_by_model=not settings.force_first_message and assistant is not OUT_OF_SERVICE and not hours.shut,
        greeting_delay=settings.greeting_delay,
        silence_limit=assistant.silence_ask_after or Manners.silence_limit,
        hang_up_after=assistant.silence_hang_up_after,
        farewell=assistant.end_call_message or GOODBYE,
        # Whoever calls us wants something: their "no, thanks" answers a question of ours.
        unheeded=frozenset({Outcome.NOT_INTERESTED}),
    )


def _detector(shared: vad.VAD, choices: Mapping[str, Any]) -> vad.VAD:
    """The loaded detector, or one beside it with this assistant's choices."""
    if not choices:
        return shared
    own = CallVAD.beside(shared)
    own.update_options(**choices)
    return own


def _sound(name: str | None) -> BackgroundAudioPlayer | None:
    if name is None:
        return None
    clip = BuiltinAudioClip[name.upper().replace("-", "_")]
    config = AudioConfig(clip, volume=_AMBIENCE)
    if clip is BuiltinAudioClip.KEYBOARD_TYPING:
        return BackgroundAudioPlayer(thinking_sound=config)
    return BackgroundAudioPlayer(ambient_sound=config)


def _zone(assistant: Resolved, calendar: Calendar | None) -> ZoneInfo:
    if assistant.time_zone:
        try:
            return zone_named(assistant.time_zone)
        except UnknownZone as error:
            log.warning("ZONE_UNKNOWN | assistant=%s | cause=%s", assistant.id, error)
    return calendar.zone if calendar is not None else ZoneInfo("UTC")
