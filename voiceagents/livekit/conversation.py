"""What happens between the answer and the end of a call? One conversation: it listens, speaks, writes the transcript,
and knows when it is over.

The same for outbound and inbound; what differs (who speaks first, instructions, tools) comes in from outside. It ends
with an `Ending`, whoever ends it.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
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
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted, ToolExecutionUpdatedEvent
from livekit.agents.voice.room_io import RoomOptions

from voiceagents.calls.outcomes import Ending, of_conversation, of_machine
from voiceagents.calls.recorder import Recorder
from voiceagents.calls.records import Happened
from voiceagents.calls.states import EndedBy, Outcome, Speaker
from voiceagents.livekit.answer.reception import Reception
from voiceagents.livekit.control import CallControl
from voiceagents.livekit.endings import Wish, is_farewell, wish_of
from voiceagents.livekit.manners import Manners
from voiceagents.livekit.speech import SessionModels
from voiceagents.livekit.tools.keypad import REPORT
from voiceagents.livekit.transcript import Transcript
from voiceagents.livekit.troubles import TAIL, apologize, end_if_voiceless, first_line, say_last, trouble_of
from voiceagents.livekit.wishes import Wishes

__all__ = ["CallControl", "Conversation", "Manners"]

log = logging.getLogger("voiceagents.conversation")

_REPLY_TO_WISH = 10.0
_TOOL_STEPS = 6
"""Tools that a model may use one after the other before it must speak."""
_OPEN = (Outcome.COMPLETED, Outcome.HUNG_UP)
# Who has spoken waits for an answer, not for a greeting: hearing and thinking may take so much longer.
_ANSWER_TAKES = 4.0


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
        reception: Reception | None = None,
        turn: Mapping[str, Any] | None = None,
    ) -> None:
        self._call_id = call_id
        self.room = room
        self._phone_identity = phone_identity
        self.control = control
        self.reception = reception
        self._recorder = recorder
        self.transcript = Transcript(call_id, recorder)
        self._agent = agent
        self._manners = manners
        self.wishes = Wishes()
        self._person_turns = 0
        self._agent_turns = 0
        self._answers = 0
        self._uncommitted: list[tuple[str, datetime]] = []
        self._ending_soon: asyncio.Task[None] | None = None
        self._asked_if_there = False
        self._person_spoke = False
        self._silent = False
        self._tools_running: set[str] = set()
        self._changed = asyncio.Event()
        chosen = turn or {}
        # Adaptive interruption needs LiveKit Cloud; plain voice activity works everywhere.
        interruption: Any = {"mode": "vad", "min_duration": 0.5, **chosen.get("interruption", {})}
        self.session: AgentSession[None] = AgentSession(
            stt=models.stt,
            llm=models.llm,
            tts=models.tts,
            vad=vad,
            turn_handling={
                "turn_detection": inference.TurnDetector(version="v1-mini"),
                "interruption": interruption,
                "endpointing": chosen.get("endpointing", {}),
            },
            max_tool_steps=_TOOL_STEPS,
            user_away_timeout=None,
            aec_warmup_duration=None,
        )
        for event, handler in self._handlers():
            self.session.on(event, handler)  # pyright: ignore[reportUnknownMemberType]

    async def start(self, *, listening: bool = True) -> None:
        """Publishes our audio track and starts to listen; or not yet, when nobody has answered."""
        self.session.input.set_audio_enabled(listening)
        await self.session.start(  # pyright: ignore[reportUnknownMemberType]
            self._agent,
            room=self.room,
            room_options=RoomOptions(
                participant_identity=self._phone_identity, text_input=False, delete_room_on_close=False
            ),
            record=False,
            # It would send every event of the session to everybody in the room: the phone has no use for them.
            session_host=False,
        )

    def listen(self) -> None:
        """Somebody has answered: hears from now on what is said, and not the ringing before it."""
        self.session.input.set_audio_enabled(True)
        if self.reception is not None:
            self.reception.answered(self)

    async def hold(self) -> Ending:
        """Opens the conversation and returns when the call is over, with how it ended."""
        quiet = asyncio.create_task(self._break_silences())
        voiceless = asyncio.create_task(end_if_voiceless(self.room, self.control))
        try:
            if self._manners.announcement:
                self.session.say(self._manners.announcement, allow_interruptions=False)
            if self._manners.opening:
                self._open(self._manners.opening)
            return await asyncio.shield(self.control.ended)
        finally:
            for task in filter(None, (quiet, voiceless, self._ending_soon)):
                task.cancel()

    async def close(self) -> None:
        """Ends the session.

        The words in flight are still transcribed and written down.
        """
        if self.reception is not None:
            self.reception.drop()
        try:
            async with asyncio.timeout(8):
                await self.session.aclose()
        except TimeoutError:
            log.warning("SESSION_CLOSE_TIMEOUT | call=%s", self._call_id)
        for text, at in self._uncommitted:
            item_id = self.transcript.heard(text, at)
            # Who hangs up on their own last words has said them all the same.
            if (wish := self._wish_in(text)) is not None:
                self.wishes.note(wish, self.transcript.lines[-1].text, item_id)
        self._uncommitted.clear()

    async def person_said(self, text: str, at: datetime, latencies: dict[str, float]) -> None:
        """Writes down words that are no turn for the model to answer; it knows them from its next turn on."""
        self._person_turns += 1
        self.transcript.heard(text, at, latencies)
        context = self._agent.chat_ctx.copy()
        context.insert(ChatMessage(role="user", content=[text], created_at=at.timestamp()))
        await self._agent.update_chat_ctx(context)

    def wish(self, outcome: Outcome) -> None:
        """The person asked for something that the outcome must tell, whoever found out."""
        self.wishes.add(outcome)

    def fall_silent(self) -> None:
        """Others talk from now on: we neither listen nor speak, and stay until the call is over."""
        self._silent = True
        self.session.input.set_audio_enabled(False)

    def finish(self, ended_by: EndedBy, how: str) -> None:
        """Ends the call in good order; the outcome follows from what was said."""
        self.control.end(
            of_conversation(wishes=self.wishes, person_turns=self.person_turns, ended_by=ended_by, how=how)
        )

    def verdict(self, ending: Ending) -> Ending:
        """The ending with what is known by now: last words may have come in after the line went dead."""
        if self.reception is not None and self._with_machine and ending.outcome in _OPEN:
            return of_machine(self.reception.answered_by, ending)
        if ending.outcome in _OPEN or ending.outcome in self.wishes:
            return replace(
                of_conversation(
                    wishes=self.wishes,
                    person_turns=self.person_turns,
                    ended_by=ending.ended_by,
                    how=ending.cause.split("; ")[-1],
                ),
                sip_status=ending.sip_status,
            )
        return ending

    @property
    def agent_turns(self) -> int:
        """How often we have spoken."""
        return self._agent_turns

    @property
    def person_turns(self) -> int:
        """How often the person has spoken."""
        return self._person_turns + len(self._uncommitted)

    def _handlers(self) -> list[tuple[Any, Any]]:
        return [
            ("conversation_item_added", self._on_item),
            ("user_input_transcribed", self._on_transcript),
            ("user_state_changed", self._on_state),
            ("agent_state_changed", self._on_state),
            ("tool_execution_updated", self._on_tool),
            ("error", self._on_error),
            ("close", self._on_close),
        ]

    @property
    def _with_machine(self) -> bool:
        return self.reception is not None and self.reception.with_machine

    def _open(self, opening: str) -> None:
        greeting = self.reception.greeting if self.reception is not None else None
        if greeting is not None and not self._manners.greeting_by_model:
            self.session.say(greeting.text, audio=greeting.frames())
        elif self._manners.greeting_by_model:
            self.session.generate_reply(
                instructions=f'Open the call now, in one or two short sentences like: "{opening}"'
            )
        else:
            self.session.say(opening)

    def _on_state(self, event: UserStateChangedEvent | AgentStateChangedEvent) -> None:
        if isinstance(event, UserStateChangedEvent) and event.new_state == "speaking":
            self._person_spoke = True
            self.transcript.person_begins()
        self._changed.set()

    def _on_tool(self, event: ToolExecutionUpdatedEvent) -> None:
        match event.update:
            case ToolCallStarted(function_call=call):
                self._tools_running.add(call.call_id)
            case ToolCallEnded(call_id=call_id):
                self._tools_running.discard(call_id)
            case _:
                pass

    def _on_transcript(self, event: UserInputTranscribedEvent) -> None:
        if not event.is_final or not event.transcript.strip():
            return
        self._uncommitted.append((event.transcript.strip(), datetime.now(UTC)))
        self._changed.set()

    def _on_item(self, event: ConversationItemAddedEvent) -> None:
        item = event.item
        if not isinstance(item, ChatMessage) or item.role not in ("user", "assistant"):
            return
        text = (item.text_content or "").strip()
        if not text or REPORT in text:
            return
        speaker = Speaker.PERSON if item.role == "user" else Speaker.AGENT
        from_memory = self.reception is not None and self.reception.opened_with is not None
        is_opening = speaker is Speaker.AGENT and self._agent_turns == 0 and from_memory
        waited_since = self.reception.hello_ended_at if is_opening and self.reception is not None else None
        self.transcript.turn(item, speaker, text, waited_since)
        if speaker is Speaker.PERSON:
            self._uncommitted.clear()
            self._person_turns += 1
            self._asked_if_there = False
            self._heed(text, item.id)
        else:
            self._agent_turns += 1
            self._answers += not is_opening
            if is_farewell(text) and not item.interrupted and not self._with_machine:
                self._end_after_tail("the agent said goodbye")

    def _wish_in(self, text: str) -> Wish | None:
        wish = wish_of(text) if self._manners.detect_wishes else None
        return None if wish is None or wish.outcome in self._manners.unheeded else wish

    def _heed(self, text: str, item_id: str) -> None:
        """Acts on what the person asked for, beside the model that answers them."""
        wish = self._wish_in(text)
        if wish is None:
            return
        self.wishes.note(wish, self.transcript.lines[-1].text, item_id)
        if wish.ends_call and self._ending_soon is None:
            self._ending_soon = asyncio.create_task(self._farewell())

    async def _farewell(self) -> None:
        """Lets the model say its farewell; says one itself when none comes; then the call is over."""
        answers = self._answers
        deadline = time.monotonic() + _REPLY_TO_WISH
        while self._answers == answers and (left := deadline - time.monotonic()) > 0:
            await self._next_change(left)
        last = self.session.history.items[-1] if self.session.history.items else None
        said = isinstance(last, ChatMessage) and last.role == "assistant" and is_farewell(last.text_content or "")
        asks = isinstance(last, ChatMessage) and (last.text_content or "").rstrip().endswith("?")
        if self._tools_running or (asks and self._agent.tools) or self._with_machine:
            # "Cancel it, bye": something is still to be done or agreed to. A machine's words were no wish.
            self._ending_soon = None
            return
        if said:
            await asyncio.sleep(TAIL)
        else:
            await say_last(self.session, self._manners.farewell)
        self.finish(EndedBy.AGENT, "the agent said goodbye")

    def _end_after_tail(self, how: str) -> None:
        if self._ending_soon is None:
            self._ending_soon = asyncio.create_task(self._tail(how))
        self._changed.set()

    async def _tail(self, how: str) -> None:
        await asyncio.sleep(TAIL)
        if self._tools_running:
            # "I put you through. Goodbye!" is not over yet.
            self._ending_soon = None
        else:
            self.finish(EndedBy.AGENT, how)

    async def _break_silences(self) -> None:
        """Greets a person who says nothing, asks whether anybody is there, and ends a call that has gone dead."""
        while not self.control.ended.done():
            opened = self._agent_turns > 0 or self._manners.opening is not None
            greeting_delay = self._manners.greeting_delay + (_ANSWER_TAKES if self._person_spoke else 0)
            limit = self._manners.silence_limit if opened else greeting_delay
            if self._asked_if_there:
                limit = self._manners.hang_up_after or limit
            if await self._next_change(limit):
                continue
            if self._with_machine or self._silent or not self._is_quiet() or self._ending_soon is not None:
                continue
            if not opened:
                self._manners = replace(self._manners, opening=self._manners.greeting)
                self._open(self._manners.greeting)
            elif not self._asked_if_there:
                self._asked_if_there = True
                self.session.say("Are you still there?")
            else:
                await say_last(self.session, f"I cannot hear you. {self._manners.farewell}")
                self.finish(EndedBy.AGENT, "the line stayed silent")

    async def quiet(self, seconds: float, at_most: float) -> None:
        """Waits until the other side has been quiet for so long, or `at_most` is over."""
        deadline = time.monotonic() + at_most
        while (left := deadline - time.monotonic()) > 0:
            speaking = self.session.user_state == "speaking"
            if not await self._next_change(left if speaking else min(seconds, left)) and not speaking:
                return

    def _is_quiet(self) -> bool:
        return self.session.agent_state == "listening" and self.session.user_state != "speaking"

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
        trouble = trouble_of(event)
        if trouble is None or self.control.ended.done():
            return
        kind, cause = trouble
        log.error("SPEECH_FAILED | call=%s | part=%s | cause=%s", self._call_id, kind, cause)
        self._recorder.write(
            Happened(call_id=self._call_id, kind=f"{kind}_failed", at=datetime.now(UTC), detail={"cause": cause})
        )
        if self._ending_soon is None:
            self._ending_soon = asyncio.create_task(
                apologize(self.session, self.control, cause, can_speak=kind != "tts")
            )

    def _on_close(self, event: CloseEvent) -> None:
        if event.reason is CloseReason.ERROR:
            self.control.end(Ending(Outcome.FAILED, f"speech failed: {first_line(event.error)}", EndedBy.AGENT))
        elif event.reason is CloseReason.TASK_COMPLETED or event.reason is CloseReason.USER_INITIATED:
            self._end_after_tail("the agent ended the call")
