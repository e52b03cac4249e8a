"""What happens between the answer and the end of a call? One conversation: it listens, speaks, writes the transcript,
and knows when it is over.

The same for outbound and inbound; what differs (who speaks first, instructions, tools) comes in from outside. It ends
with an `Ending`, whoever ends it.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from livekit import rtc
from livekit.agents import (
    Agent,
    AgentSession,
    AgentStateChangedEvent,
    CloseEvent,
    CloseReason,
    ConversationItemAddedEvent,
    ErrorEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
    inference,
)
from livekit.agents.llm import ChatMessage
from livekit.agents.vad import VAD
from livekit.agents.voice.room_io import RoomOptions

from voiceagents.calls.outcomes import Ending, of_conversation
from voiceagents.calls.recorder import Recorder
from voiceagents.calls.records import Happened, TurnSpoken
from voiceagents.calls.states import EndedBy, Outcome, Speaker
from voiceagents.livekit.answering import AnsweredBy, answered_by
from voiceagents.livekit.endings import is_farewell, wish_of
from voiceagents.livekit.speech import SessionModels

log = logging.getLogger("voiceagents.conversation")

# The last audio is still on its way through LiveKit, the SIP service's jitter buffer and the phone network when our
# side has played it out.
_TAIL = 0.6
_REPLY_TO_WISH = 10.0
# Who has spoken waits for an answer, not for a greeting: hearing and thinking may take so much longer.
_ANSWER_TAKES = 4.0
_LATENCIES = {
    "transcription_delay": "transcription_delay",
    "end_of_turn_delay": "end_of_turn_delay",
    "llm_node_ttft": "llm_ttft",
    "tts_node_ttfb": "tts_ttfb",
    "e2e_latency": "e2e_latency",
}
_PARTS = {"llm": "the language model", "stt": "speech recognition", "tts": "the voice"}


@dataclass(frozen=True)
class Manners:
    """How we behave on the line. Times in seconds."""

    opening: str | None = None
    """Said word for word as soon as the line is open; None: the person speaks first."""

    greeting: str = "Hello?"
    """Said once when the person who was to speak first stays silent."""

    greeting_by_model: bool = False
    """The model phrases opening and greeting itself; ours are its hints."""

    greeting_delay: float = 2.5
    silence_limit: float = 15.0
    """Silence on both sides after which we ask whether anybody is there; after as much again we say goodbye."""

    may_meet_machine: bool = False
    """Somebody else's voicemail may have picked up: true for calls that we place."""

    detect_wishes: bool = True


class CallControl:
    """The one future that says how a call ended.

    Whoever ends the call first is right; safe to set from any thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Ending] = self._loop.create_future()
        self.ended_at: datetime | None = None

    def end(self, ending: Ending) -> None:
        """Ends the call, unless it has ended already; to be called on the call's own loop."""
        if not self.ended.done():
            self.ended_at = datetime.now(UTC)
            self.ended.set_result(ending)

    def stopped(self) -> Ending:
        """The ending of a call whose job is cancelled: what ended it before, or else that."""
        self.end(Ending(Outcome.FAILED, "the worker was stopped during the call", EndedBy.SYSTEM))
        return self.ended.result()

    def end_from_outside(self, ending: Ending) -> None:
        """Ends the call from another thread."""
        self._loop.call_soon_threadsafe(self.end, ending)


class Conversation:
    """One conversation with one phone in one room."""

    def __init__(
        self,
        *,
        call_id: UUID,
        room: rtc.Room,
        phone_identity: str,
        control: CallControl,
        recorder: Recorder,
        models: SessionModels,
        vad: VAD,
        agent: Agent,
        manners: Manners,
    ) -> None:
        self._call_id = call_id
        self._room = room
        self._phone_identity = phone_identity
        self._control = control
        self._recorder = recorder
        self._agent = agent
        self._manners = manners
        self._wishes: set[Outcome] = set()
        self._person_turns = 0
        self._agent_turns = 0
        self._heard: list[str] = []
        self._uncommitted: list[tuple[str, datetime]] = []
        self._ending_soon: asyncio.Task[None] | None = None
        self._asked_if_there = False
        self._person_spoke = False
        self._changed = asyncio.Event()
        self._session: AgentSession[None] = AgentSession(
            stt=models.stt,
            llm=models.llm,
            tts=models.tts,
            vad=vad,
            turn_handling={
                "turn_detection": inference.TurnDetector(version="v1-mini"),
                # Adaptive interruption needs LiveKit Cloud; plain voice activity works everywhere.
                "interruption": {"mode": "vad", "min_duration": 0.5},
            },
            user_away_timeout=None,
            aec_warmup_duration=None,
        )
        for event, handler in self._handlers():
            self._session.on(event, handler)  # pyright: ignore[reportUnknownMemberType]

    async def start(self) -> None:
        """Publishes our audio track and starts to listen."""
        await self._session.start(  # pyright: ignore[reportUnknownMemberType]
            self._agent,
            room=self._room,
            room_options=RoomOptions(
                participant_identity=self._phone_identity, text_input=False, delete_room_on_close=False
            ),
            record=False,
            # It would send every event of the session to everybody in the room: the phone has no use for them.
            session_host=False,
        )

    async def hold(self) -> Ending:
        """Opens the conversation and returns when the call is over, with how it ended."""
        quiet = asyncio.create_task(self._break_silences())
        try:
            if self._manners.opening:
                self._open(self._manners.opening)
            return await asyncio.shield(self._control.ended)
        finally:
            quiet.cancel()
            if self._ending_soon is not None:
                self._ending_soon.cancel()

    async def close(self) -> None:
        """Ends the session.

        The words in flight are still transcribed and written down.
        """
        try:
            async with asyncio.timeout(8):
                await self._session.aclose()
        except TimeoutError:
            log.warning("SESSION_CLOSE_TIMEOUT | call=%s", self._call_id)
        for text, at in self._uncommitted:
            self._recorder.write(
                TurnSpoken(
                    call_id=self._call_id,
                    item_id=f"heard-{at.timestamp():.3f}",
                    speaker=Speaker.PERSON,
                    text=text,
                    started_at=at,
                )
            )
        self._uncommitted.clear()

    def finish(self, ended_by: EndedBy, how: str) -> None:
        """Ends the call in good order; the outcome follows from what was said."""
        self._control.end(
            of_conversation(wishes=self._wishes, person_turns=self._spoken_turns, ended_by=ended_by, how=how)
        )

    def verdict(self, ending: Ending) -> Ending:
        """The ending with what is known by now: last words may have come in after the line went dead."""
        if ending.outcome in (Outcome.COMPLETED, Outcome.HUNG_UP) or ending.outcome in self._wishes:
            return replace(
                of_conversation(
                    wishes=self._wishes,
                    person_turns=self._spoken_turns,
                    ended_by=ending.ended_by,
                    how=ending.cause.split("; ")[-1],
                ),
                sip_status=ending.sip_status,
            )
        return ending

    @property
    def _spoken_turns(self) -> int:
        return self._person_turns + len(self._uncommitted)

    def _handlers(self) -> list[tuple[Any, Any]]:
        return [
            ("conversation_item_added", self._on_item),
            ("user_input_transcribed", self._on_transcript),
            ("user_state_changed", self._on_state),
            ("agent_state_changed", self._on_state),
            ("error", self._on_error),
            ("close", self._on_close),
        ]

    def _open(self, opening: str) -> None:
        if self._manners.greeting_by_model:
            self._session.generate_reply(
                instructions=f'Open the call now, in one or two short sentences like: "{opening}"'
            )
        else:
            self._session.say(opening)

    def _on_state(self, event: UserStateChangedEvent | AgentStateChangedEvent) -> None:
        self._person_spoke |= isinstance(event, UserStateChangedEvent) and event.new_state == "speaking"
        self._changed.set()

    def _on_transcript(self, event: UserInputTranscribedEvent) -> None:
        if not event.is_final or not event.transcript.strip():
            return
        self._uncommitted.append((event.transcript.strip(), datetime.now(UTC)))
        self._changed.set()
        if self._manners.may_meet_machine and self._agent_turns <= 1:
            self._heard.append(event.transcript)
            if answered_by(" ".join(self._heard)) is AnsweredBy.VOICEMAIL:
                self._control.end(Ending(Outcome.VOICEMAIL, "a voicemail answered; no message was left", EndedBy.AGENT))

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage) or item.role not in ("user", "assistant"):
            return
        text = (item.text_content or "").strip()
        if not text:
            return
        speaker = Speaker.PERSON if item.role == "user" else Speaker.AGENT
        metrics = cast("Mapping[str, float]", item.metrics)
        started = metrics.get("started_speaking_at") or item.created_at
        stopped = metrics.get("stopped_speaking_at")
        self._recorder.write(
            TurnSpoken(
                call_id=self._call_id,
                item_id=item.id,
                speaker=speaker,
                text=text,
                started_at=datetime.fromtimestamp(started, UTC),
                ended_at=datetime.fromtimestamp(stopped, UTC) if stopped else None,
                interrupted=bool(item.interrupted),
                latencies={
                    ours: round(float(metrics[theirs]), 4) for theirs, ours in _LATENCIES.items() if theirs in metrics
                },
            )
        )
        if speaker is Speaker.PERSON:
            self._uncommitted.clear()
            self._person_turns += 1
            self._heed(text)
        else:
            self._agent_turns += 1
            if is_farewell(text) and not item.interrupted:
                self._end_after_tail("the agent said goodbye")

    def _heed(self, text: str) -> None:
        """Acts on what the person asked for, beside the model that answers them."""
        wish = wish_of(text) if self._manners.detect_wishes else None
        if wish is None:
            return
        if wish.outcome is not Outcome.COMPLETED:
            self._wishes.add(wish.outcome)
        if wish.ends_call and self._ending_soon is None:
            self._ending_soon = asyncio.create_task(self._farewell())

    async def _farewell(self) -> None:
        """Lets the model say its farewell; says one itself when none comes; then the call is over."""
        turns = self._agent_turns
        deadline = time.monotonic() + _REPLY_TO_WISH
        while self._agent_turns == turns and (left := deadline - time.monotonic()) > 0:
            await self._next_change(left)
        last = self._session.history.items[-1] if self._session.history.items else None
        said = isinstance(last, ChatMessage) and last.role == "assistant" and is_farewell(last.text_content or "")
        if not said:
            await self._session.say("Goodbye.", allow_interruptions=False).wait_for_playout()
        await asyncio.sleep(_TAIL)
        self.finish(EndedBy.AGENT, "the agent said goodbye")

    def _end_after_tail(self, how: str) -> None:
        if self._ending_soon is None:
            self._ending_soon = asyncio.create_task(self._tail(how))
        self._changed.set()

    async def _tail(self, how: str) -> None:
        await asyncio.sleep(_TAIL)
        self.finish(EndedBy.AGENT, how)

    async def _break_silences(self) -> None:
        """Greets a person who says nothing, asks whether anybody is there, and ends a call that has gone dead."""
        while not self._control.ended.done():
            opened = self._agent_turns > 0 or self._manners.opening is not None
            greeting_delay = self._manners.greeting_delay + (_ANSWER_TAKES if self._person_spoke else 0)
            limit = self._manners.silence_limit if opened else greeting_delay
            if await self._next_change(limit):
                continue
            if not self._is_quiet() or self._ending_soon is not None:
                continue
            if not opened:
                self._manners = replace(self._manners, opening=self._manners.greeting)
                self._open(self._manners.greeting)
            elif not self._asked_if_there:
                self._asked_if_there = True
                self._session.say("Are you still there?")
            else:
                await self._session.say("I cannot hear you. Goodbye.", allow_interruptions=False).wait_for_playout()
                await asyncio.sleep(_TAIL)
                self.finish(EndedBy.AGENT, "the line stayed silent")

    def _is_quiet(self) -> bool:
        return self._session.agent_state == "listening" and self._session.user_state != "speaking"

    async def _next_change(self, seconds: float) -> bool:
        """Waits for either side to start or stop speaking.

        False when nothing changed for `seconds`.
        """
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _on_error(self, event: ErrorEvent) -> None:
        error: Any = cast("Any", event.error)  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        if getattr(error, "recoverable", False) or self._control.ended.done():
            return
        kind = str(getattr(error, "type", "speech_error")).removesuffix("_error")
        cause = f"{_PARTS.get(kind, kind)} failed: {_first_line(getattr(error, 'error', error))}"
        log.error("SPEECH_FAILED | call=%s | part=%s | cause=%s", self._call_id, kind, cause)
        self._recorder.write(
            Happened(call_id=self._call_id, kind=f"{kind}_failed", at=datetime.now(UTC), detail={"cause": cause})
        )
        if self._ending_soon is None:
            self._ending_soon = asyncio.create_task(self._apologize(cause, can_speak=kind != "tts"))

    async def _apologize(self, cause: str, *, can_speak: bool) -> None:
        if can_speak:
            try:
                async with asyncio.timeout(10):
                    await self._session.say(
                        "I am sorry, I have a technical problem and have to end this call. Goodbye.",
                        allow_interruptions=False,
                    ).wait_for_playout()
                    await asyncio.sleep(_TAIL)
            except (TimeoutError, RuntimeError) as error:
                log.warning("APOLOGY_NOT_HEARD | call=%s | cause=%s", self._call_id, _first_line(error))
        self._control.end(Ending(Outcome.FAILED, cause, EndedBy.AGENT))

    def _on_close(self, event: CloseEvent) -> None:
        if event.reason is CloseReason.ERROR:
            self._control.end(Ending(Outcome.FAILED, f"speech failed: {_first_line(event.error)}", EndedBy.AGENT))
        elif event.reason is CloseReason.TASK_COMPLETED or event.reason is CloseReason.USER_INITIATED:
            self.finish(EndedBy.AGENT, "the agent ended the call")


def _first_line(error: object) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:300]
