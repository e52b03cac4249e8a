"""Who answered the call that we placed, and what are they told first?

Decided by livekit-agents' answering machine detection (`livekit.agents.voice.amd`), by our own rules on the words and
by tones, whichever is certain first; none of them counts a second before the answer. A short hello is answered at once
with an opening that was made while the phone rang, while the words of the hello are still being read: if they turn out
to be a recording's, we fall silent and do what the campaign wants of machines. When in doubt it is a person.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any, Protocol

import numpy as np
from livekit import rtc
from livekit.agents import AMD, AgentSession, stt
from livekit.agents.voice import SpeechHandle

from voiceagents.calls.states import AnsweredBy, Outcome
from voiceagents.livekit import answering
from voiceagents.livekit.answer.machines import Machines, Plan
from voiceagents.livekit.answer.prepared import Prepared, given_words, opening_words
from voiceagents.livekit.answer.tones import Kind, Tone, ToneListener
from voiceagents.livekit.answer.verdict import Verdict
from voiceagents.livekit.control import CallControl
from voiceagents.livekit.endings import wish_of
from voiceagents.livekit.speech import CallVAD, SessionModels

log = logging.getLogger("voiceagents.conversation")

_LONGEST_HELLO = 2.5
"""Seconds. Who talks longer than that before we spoke may be a recording: the words are waited for."""

_PAUSE_AFTER_HELLO = 0.25
"""Seconds of quiet that end the first words; later turns are given more."""

_UNDECIDED = 5.0
"""Seconds from the answer after which an open question means that it is a person."""

_OPENING_TAKES = 4.0
"""Seconds after a hello for which an opening that is being made is waited for: it has a lead over any other answer."""

_BEEP_IS_FRESH = 4.0
"""Seconds for which a beep still counts for a voicemail whose words were read late."""

_GREETING_WORDS = 4
"""A beep after fewer words may be a second call that knocks while a person says hello."""

_DECIDED_AFTER_TURNS = 2
"""Turns of ours after which whoever is on the line has listened: nobody looks for machines any more."""

_CATEGORIES = {
    "machine-vm": AnsweredBy.VOICEMAIL,
    "machine-unavailable": AnsweredBy.ANNOUNCEMENT,
    "machine-ivr": AnsweredBy.MENU,
}


class _Phase(Enum):
    WAITING = auto()
    COVERED = auto()
    """The opening plays, or will in a moment; the words that it answers are still being read."""

    TALKING = auto()
    MACHINE = auto()


class Desk(Protocol):
    """What the reception needs of the conversation."""

    session: AgentSession[None]
    room: rtc.Room
    control: CallControl

    @property
    def agent_turns(self) -> int: ...

    async def person_said(self, text: str, at: datetime, latencies: dict[str, float]) -> None:
        """Writes down words that do not go to the model as a turn of their own."""
        ...

    async def quiet(self, seconds: float, at_most: float) -> None:
        """Waits until the other side has been quiet for so long, or `at_most` is over."""
        ...


class Reception:
    """The first seconds of one call, and all of them where a machine answered."""

    def __init__(
        self,
        *,
        plan: Plan,
        instructions: str,
        models: SessionModels,
        vad: CallVAD,
        phone_identity: str,
        greeting: str | None,
        greeting_delay: float,
        prepare: bool,
    ) -> None:
        self._plan = plan
        self._instructions = instructions
        self._models = models
        self._vad = vad
        self._phone_identity = phone_identity
        self._greeting_words = greeting
        self._greeting_delay = greeting_delay
        self._prepare = prepare
        self._opening: Prepared | None = None
        self._greeting: Prepared | None = None
        self._phase = _Phase.WAITING
        self._heard: list[str] = []
        self._segments = 0
        self._speaking = False
        self._spoken = 0
        """Stretches of speech that have begun; `_segments` of them went on to be read, `_read` are known."""
        self._read = 0
        self._spoken_before_beep = 0
        self._opening_due = False
        """Whether a hello waits for the opening."""
        self.hello_ended_at: float | None = None
        """Unix time at which a hello ended that the opening answers."""
        self._answered_at = 0.0
        self._tones = ToneListener()
        self._beeped_at = 0.0
        self._machines: Machines | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.opened_with: SpeechHandle | None = None
        self.verdicts: list[Verdict] = []

    # Before the answer

    def ring(self) -> None:
        """The phone rings: what will be said first is made now."""
        if not self._prepare or self._opening is not None:
            return
        self._opening = Prepared(self._models, lambda: opening_words(self._models.llm, self._instructions))
        if self._greeting_words:
            words = self._greeting_words
            self._greeting = Prepared(self._models, lambda: given_words(words))

    def drop(self) -> None:
        """Nobody will hear what is not said by now."""
        for line in (self._opening, self._greeting):
            if line is not None:
                line.drop()
        for task in self._tasks:
            task.cancel()
        if self._machines is not None:
            self._machines.stop()

    # From the answer on

    @property
    def answered_by(self) -> AnsweredBy | None:
        """Who answered, as far as that was decided."""
        return self.verdicts[-1].answered_by if self.verdicts else None

    @property
    def evidence(self) -> list[dict[str, Any]]:
        """What each decision rests on, in their order."""
        return [verdict.evidence for verdict in self.verdicts]

    @property
    def with_machine(self) -> bool:
        """Whether a machine is on the line now, so that the conversation keeps quiet."""
        return self._phase is _Phase.MACHINE

    @property
    def greeting(self) -> Prepared | None:
        """The greeting for who stays silent, where it can be played at once."""
        return self._greeting if self._greeting is not None and self._greeting.ready else None

    def answered(self, desk: Desk) -> None:
        """Somebody answered: all clocks start now."""
        self._desk = desk
        self._answered_at = time.time()
        self._machines = Machines(self._plan, self._models, desk, self._opening, lambda: self._read < self._spoken)
        self._vad.pause_after(_PAUSE_AFTER_HELLO)
        self._go(self._detect())

    async def _detect(self) -> None:
        session = self._desk.session
        detector = AMD(
            session,
            llm=self._models.llm,
            stt=None,
            interrupt_on_machine=True,
            ivr_detection=False,
            participant_identity=self._phone_identity,
            suppress_compatibility_warning=True,
            detection_options={
                "human_speech_threshold": _LONGEST_HELLO,
                "human_silence_threshold": _PAUSE_AFTER_HELLO,
                "machine_silence_threshold": 0.8,
                "no_speech_threshold": max(0.1, self._greeting_delay - 0.1),
                "timeout": _UNDECIDED,
                "max_endpointing_delay": 1.0,
            },
            wait_until_finished=False,
        )
        try:
            async with detector:
                result = await detector.execute()
        except (RuntimeError, ValueError) as error:
            log.info("ANSWER_UNDECIDED | cause=%s", error)
            self._vad.pause_after(None)
            return
        log.debug("AMD | category=%s | reason=%s | delay=%.2f", result.category.value, result.reason, result.delay)
        if self._phase is _Phase.WAITING:
            if result.is_human and result.reason == "short_greeting":
                self._answer_hello()
            elif result.is_machine:
                self._machine_by_model(_CATEGORIES[result.category.value])
            elif result.is_human and not self.verdicts:
                self._decide(AnsweredBy.PERSON, "model")
        self._vad.pause_after(None)

    def _answer_hello(self) -> None:
        self._decide(AnsweredBy.PERSON, "hello")
        opening = self._opening
        if opening is None or opening.failed or self._desk.agent_turns:
            return
        self._phase = _Phase.COVERED
        self._opening_due = True
        self.hello_ended_at = time.time() - _PAUSE_AFTER_HELLO
        if opening.ready:
            self._open_with(opening)
        else:
            self._go(self._open_when_begun(opening))

    def _open_with(self, opening: Prepared) -> None:
        self._opening_due = False
        self.opened_with = self._desk.session.say(opening.text, audio=opening.frames())

    async def _open_when_begun(self, opening: Prepared) -> None:
        """Who picks up at once hears the opening as soon as it has a sound, unless their words are answered instead."""
        begun = False
        with suppress(TimeoutError):
            async with asyncio.timeout(_OPENING_TAKES):
                begun = await opening.begun()
        if not self._opening_due:
            return
        if begun:
            self._open_with(opening)
            return
        self._opening_due = False
        self.hello_ended_at = None
        if self._phase is _Phase.COVERED:
            self._phase = _Phase.TALKING  # their words are still to come, and are answered then
        else:
            self._desk.session.generate_reply()

    def _machine_by_model(self, what: AnsweredBy) -> None:
        heard = " ".join(self._heard)
        if answering.listens(heard):
            # The detection has silenced the answer that was on its way.
            self._decide(AnsweredBy.PERSON, "words")
            self._desk.session.generate_reply()
            return
        by_words = answering.answered_by(heard)
        if by_words is not AnsweredBy.PERSON:
            what = by_words
        self._machine(what, "model")

    # What is heard

    def hears(self, frame: rtc.AudioFrame) -> None:
        """Listens for tones, as long as it is open who answered or a machine is on the line."""
        if not self._answered_at or (self._settled and not self.with_machine):
            return
        speaking = self._desk.session.user_state == "speaking"
        self._spoken += speaking and not self._speaking
        self._speaking = speaking
        samples = np.frombuffer(frame.data, np.int16)[:: frame.num_channels]
        for tone in self._tones.hear(samples, frame.sample_rate):
            self._on_tone(tone)

    def _on_tone(self, tone: Tone) -> None:
        log.info("TONE | kind=%s | hz=%.0f | seconds=%.2f", tone.kind, tone.hz, tone.seconds)
        if tone.kind is Kind.FAX:
            if not self.with_machine:
                self._machine(AnsweredBy.FAX, "tone")
            return
        self._beeped_at = time.time()
        self._spoken_before_beep = self._spoken
        if self.answered_by is AnsweredBy.ANNOUNCEMENT and self.with_machine:
            # "… is not available", and a beep: a voicemail, unless it says that there is no such number.
            if answering.what_network_said(" ".join(self._heard)) is not Outcome.INVALID_NUMBER:
                self._machine(AnsweredBy.VOICEMAIL, "tone")
        elif self.with_machine and self._machines is not None:
            self._machines.beeped()
        elif self._greets:
            self._machine(AnsweredBy.VOICEMAIL, "tone")

    @property
    def _greets(self) -> bool:
        """Whether a beep after these words makes a voicemail: nobody who listens beeps."""
        words = " ".join(self._heard)
        return not self._settled and len(words.split()) >= _GREETING_WORDS and not answering.listens(words)

    @property
    def _settled(self) -> bool:
        return self._desk.agent_turns >= _DECIDED_AFTER_TURNS

    def keeps(self, event: stt.SpeechEvent) -> bool:
        """Reads every transcript first; true for those that must not become a turn of the conversation."""
        if event.type is stt.SpeechEventType.END_OF_SPEECH:
            self._segments += 1
        if event.type is not stt.SpeechEventType.FINAL_TRANSCRIPT or not self._answered_at:
            return False
        self._read = self._segments
        text = event.alternatives[0].text.strip() if event.alternatives else ""
        if not text:
            return False
        if self._phase is _Phase.MACHINE and self._machines is not None:
            return self._from_machine(text, event)
        if not self._settled:
            self._heard.append(text)
            # Both what was said just now and all of it: a person may take over from a machine that was not noticed.
            what, by = answering.answered_by(" ".join(self._heard)), "words"
            if what is AnsweredBy.PERSON and self._segments <= self._spoken_before_beep and self._greets:
                # It beeped while these words were still being read.
                what, by = AnsweredBy.VOICEMAIL, "tone"
            if what is not AnsweredBy.PERSON:
                self._machine(what, by)
                self._note(text, event)
                return True
        if not self.verdicts:
            self._decide(AnsweredBy.PERSON, "words")
        covered = self._phase is _Phase.COVERED and self._segments <= 1
        if self._phase is _Phase.COVERED or self._settled:
            self._phase = _Phase.TALKING  # till then the model may still say what the rules do not see
        wish = wish_of(text)
        # Nobody begins a call with a goodbye: a "bye" that is the first word was a "hi".
        if covered and (wish is None or wish.outcome is Outcome.COMPLETED):
            self._note(text, event)
            return True
        self._opening_due = False
        return False

    def _from_machine(self, text: str, event: stt.SpeechEvent) -> bool:
        assert self._machines is not None
        self._heard.append(text)
        # What is still heard after the end changes nothing any more.
        if self._desk.control.ended.done() or self._machines.hears(text):
            if self._machines.what is not self.answered_by:
                self._decide(self._machines.what, "words")
            self._note(text, event)
            return True
        # A person has come to the phone.
        self._machines.stop()
        self._phase = _Phase.TALKING
        self._heard = [text]
        self._decide(AnsweredBy.PERSON, "words")
        return False

    # Deciding

    def _machine(self, what: AnsweredBy, by: str) -> None:
        assert self._machines is not None
        self._phase = _Phase.MACHINE
        self._opening_due = False
        self._decide(what, by)
        with suppress(RuntimeError):
            self._desk.session.interrupt(force=True)
        self._machines.take(what, self._heard)
        if what is AnsweredBy.VOICEMAIL and time.time() - self._beeped_at < _BEEP_IS_FRESH:
            # It beeped while its words were still being read.
            self._machines.beeped()

    def _decide(self, what: AnsweredBy, by: str) -> None:
        verdict = Verdict(what, by, " ".join(self._heard)[-500:], round(time.time() - self._answered_at, 2))
        self.verdicts.append(verdict)
        log.info("ANSWERED_BY | what=%s | by=%s | seconds=%.2f", what, by, verdict.seconds)

    def _note(self, text: str, event: stt.SpeechEvent) -> None:
        now = time.time()
        ended = event.speech_end_time or now
        latencies = {"transcription_delay": round(now - ended, 4), "end_of_turn_delay": round(now - ended, 4)}
        if self.hello_ended_at:
            latencies["end_of_turn_delay"] = _PAUSE_AFTER_HELLO
        self._go(self._desk.person_said(text, datetime.fromtimestamp(ended, UTC), latencies))

    def _go(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
