"""What must be ready before somebody is dialled, and what while the phone rings?

All that takes time is made before the claim, so that the last word is spoken in the moment of the dial. The first words
and the session are made while the phone rings: they cost nothing for phones that are busy.
"""

import logging
from dataclasses import dataclass
from typing import Any

from voiceagents.assistants import resolver, sources
from voiceagents.assistants.prompts import (
    build_campaign_outbound_instructions,
    contact_values,
    fill,
    outbound_greeting,
)
from voiceagents.calls.metadata import JobMetadata, RoomContext
from voiceagents.calls.records import CallOpened
from voiceagents.livekit.answer.ears import HearingAgent
from voiceagents.livekit.answer.machines import Plan
from voiceagents.livekit.answer.reception import Reception
from voiceagents.livekit.conversation import Conversation, Manners
from voiceagents.livekit.egress import EgressRecording
from voiceagents.livekit.job import Job
from voiceagents.livekit.line import Line
from voiceagents.livekit.recording import CallRecording
from voiceagents.livekit.speech import CallVAD, SessionModels

log = logging.getLogger("voiceagents.outbound")


@dataclass(frozen=True)
class Prepared:
    """All that takes time, made before the claim, so that the last word is spoken in the moment of the dial."""

    name: str | None
    instructions: str
    models: SessionModels
    reception: Reception
    conversation: Conversation
    extraction: dict[str, Any] | None
    recording: CallRecording | EgressRecording


async def prepare(job: Job, metadata: JobMetadata, context: RoomContext, opened: CallOpened, number: str) -> Prepared:
    settings = job.worker.settings
    name = metadata.contact_name or context.contact_name
    values = contact_values(
        name=name, email=metadata.email or context.contact_email, phone=number, variables=metadata.variables
    )
    instructions = build_campaign_outbound_instructions(
        name, metadata.campaign_prompt or context.campaign_prompt, values
    )
    voice = await _voice_of(job, metadata.agent_id)
    models = job.worker.speech.session_models(
        llm_model=voice.llm_model, voice=voice.voice, temperature=voice.temperature, language=voice.language
    )
    vad = CallVAD.beside(job.worker.vad)
    greeting = outbound_greeting(name)
    reception = Reception(
        plan=Plan(
            voicemail_message=fill(metadata.voicemail_message, values) if metadata.voicemail_message else None,
            menu_path=metadata.menu_path,
        ),
        instructions=instructions,
        models=models,
        vad=vad,
        phone_identity=number,
        greeting=greeting if settings.force_first_message else None,
        greeting_delay=settings.greeting_delay,
        prepare=settings.prepare_opening,
    )
    conversation = Conversation(
        call_id=opened.call_id,
        room=job.ctx.room,
        phone_identity=number,
        control=job.control,
        recorder=job.worker.recorder,
        models=models,
        vad=vad,
        agent=HearingAgent(instructions=instructions, listener=reception),
        manners=Manners(
            greeting=greeting,
            greeting_by_model=not settings.force_first_message,
            greeting_delay=settings.greeting_delay,
        ),
        reception=reception,
    )
    recording = job.recording(opened.call_id, wanted=settings.record_calls or voice.record)
    return Prepared(name, instructions, models, reception, conversation, metadata.extraction, recording)


async def get_ready(line: Line, prepared: Prepared) -> None:
    """Makes the first words and starts the session while the phone rings; listens from the moment of the answer."""
    await line.alerting()
    prepared.reception.ring()
    await prepared.conversation.start(listening=False)
    prepared.recording.attach(prepared.conversation.session)
    await line.active()
    await prepared.recording.begin()
    prepared.conversation.listen()


async def _voice_of(job: Job, assistant_id: str | None) -> resolver.Resolved:
    """The campaign's assistant lends its voice and model, wherever it is kept.

    Without it the settings' own serve: that must not stop a call.
    """
    if assistant_id is None:
        return resolver.MINIMAL
    chain = sources.resolver(job.worker.settings)
    found = await chain.named(lambda question: job.worker.recorder.ask(question, after_writes=False), assistant_id)
    if found is None:
        log.warning("ASSISTANT_UNKNOWN | assistant=%s | the settings' own voice and model serve", assistant_id)
    return found or resolver.MINIMAL
