"""What the reception makes of what it hears: which words stay with it, when it falls silent, when it gives way.

The session is a stand-in that only remembers; no sound is made. Whole calls are in tests/stack/test_answering.py.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import pytest_asyncio
from livekit import rtc
from livekit.agents import stt

from voiceagents.calls.states import AnsweredBy, Outcome
from voiceagents.livekit.answer.machines import Plan
from voiceagents.livekit.answer.reception import Reception
from voiceagents.livekit.control import CallControl

pytestmark = pytest.mark.unit


class FakeSession:
    def __init__(self) -> None:
        self.interrupted = 0
        self.said: list[str] = []
        self.replies = 0
        self.user_state = "listening"

    async def _nothing(self) -> None:
        return None

    def interrupt(self, *, force: bool = False) -> None:
        self.interrupted += 1

    def generate_reply(self) -> None:
        self.replies += 1

    def say(self, text: str, **_: Any) -> Any:
        self.said.append(text)
        return SimpleNamespace(wait_for_playout=self._nothing)


class FakeDesk:
    """A conversation that only remembers."""

    def __init__(self) -> None:
        self.session = FakeSession()
        self.room = SimpleNamespace()
        self.control = CallControl()
        self.agent_turns = 0
        self.kept: list[str] = []

    async def person_said(self, text: str, at: datetime, latencies: dict[str, float]) -> None:
        self.kept.append(text)

    async def quiet(self, seconds: float, at_most: float) -> None:
        await asyncio.sleep(0)


class Answered:
    """A reception in the moment after the answer."""

    def __init__(self, plan: Plan, voice: Any = None) -> None:
        vad = SimpleNamespace(pause_after=lambda _: None)
        self.desk = FakeDesk()
        self.reception = Reception(
            plan=plan,
            instructions="",
            models=cast(Any, SimpleNamespace(llm=None, tts=voice)),
            vad=cast(Any, vad),
            phone_identity="+12025550100",
            greeting=None,
            greeting_delay=2.5,
            prepare=voice is not None,
        )
        self.reception.ring()
        self.reception.answered(cast(Any, self.desk))

    def hears(self, text: str) -> bool:
        """Whether the reception keeps these words for itself."""
        self.reception.keeps(stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH))
        data = stt.SpeechData(language=cast(Any, "en"), text=text)
        return self.reception.keeps(stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[data]))

    def sounds(self, hz: float, seconds: float) -> None:
        at = np.arange(int(seconds * 24000)) / 24000
        tone = (8000 * np.sin(2 * np.pi * hz * at)).astype(np.int16)
        for piece in (tone, np.zeros(6000, np.int16)):
            self.reception.hears(rtc.AudioFrame(piece.tobytes(), 24000, 1, piece.size))

    def speaks(self) -> None:
        """Sound in which the detector of voices finds speech, and then quiet."""
        for state in ("speaking", "listening"):
            self.desk.session.user_state = state
            self.reception.hears(rtc.AudioFrame(bytes(4800), 24000, 1, 2400))

    async def outcome(self) -> Outcome:
        return (await asyncio.wait_for(asyncio.shield(self.desk.control.ended), 5)).outcome


@pytest_asyncio.fixture
async def answered(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Answered]:
    async def no_detection(_: Reception) -> None:
        return None

    monkeypatch.setattr(Reception, "_detect", no_detection)
    at = Answered(Plan())
    yield at
    at.reception.drop()


async def test_a_persons_words_go_to_the_conversation(answered: Answered) -> None:
    assert not answered.hears("Hello, who is this?")
    assert answered.reception.answered_by is AnsweredBy.PERSON
    assert answered.desk.session.interrupted == 0


async def test_a_voicemails_words_are_kept_and_we_fall_silent(answered: Answered) -> None:
    assert not answered.hears("Hi, this is Frank.")
    assert answered.hears("I can't come to the phone, please leave a message after the tone.")
    assert answered.desk.session.interrupted == 1
    assert await answered.outcome() is Outcome.VOICEMAIL
    assert [each["value"] for each in answered.reception.evidence] == ["person", "voicemail"]


async def test_a_greeting_and_a_beep_are_a_voicemail_whatever_the_words(answered: Answered) -> None:
    answered.hears("Hi, this is Frank.")
    answered.sounds(1000, 0.5)
    assert answered.reception.answered_by is AnsweredBy.VOICEMAIL
    assert await answered.outcome() is Outcome.VOICEMAIL


async def test_a_beep_counts_for_the_words_that_are_read_only_after_it(answered: Answered) -> None:
    answered.speaks()
    answered.sounds(850, 0.3)
    assert answered.reception.answered_by is None
    assert answered.hears("You have reached bands, even I am an umber.")
    assert answered.reception.answered_by is AnsweredBy.VOICEMAIL
    assert await answered.outcome() is Outcome.VOICEMAIL


async def test_a_beep_says_nothing_of_the_words_that_follow_it(answered: Answered) -> None:
    answered.sounds(850, 0.3)
    answered.speaks()
    assert not answered.hears("Hello, this is Ana Lopez speaking.")
    assert answered.reception.answered_by is AnsweredBy.PERSON


async def test_a_second_call_that_knocks_makes_no_machine_of_a_short_hello(answered: Answered) -> None:
    answered.hears("Yes, hello.")
    answered.sounds(440, 0.3)
    assert answered.reception.answered_by is AnsweredBy.PERSON


async def test_a_beep_does_not_make_a_machine_of_somebody_who_listens(answered: Answered) -> None:
    answered.hears("Hello, how can I help you?")
    answered.sounds(1000, 0.5)
    assert answered.reception.answered_by is AnsweredBy.PERSON


async def test_a_beep_or_a_model_makes_no_machine_of_somebody_who_says_that_they_are_speaking(
    answered: Answered,
) -> None:
    answered.hears("Hello, you have reached the Lopez family. This is Jonas speaking.")
    answered.sounds(1000, 0.5)
    answered.reception._machine_by_model(AnsweredBy.VOICEMAIL)  # pyright: ignore[reportPrivateUsage]
    assert answered.reception.answered_by is AnsweredBy.PERSON
    assert answered.desk.session.replies == 1


async def test_a_fax_is_known_by_its_tone_alone(answered: Answered) -> None:
    answered.sounds(2100, 1.5)
    assert await answered.outcome() is Outcome.MACHINE
    assert answered.reception.answered_by is AnsweredBy.FAX


async def test_after_two_turns_of_ours_nobody_looks_for_machines_any_more(answered: Answered) -> None:
    answered.hears("Hello?")
    answered.desk.agent_turns = 2
    assert not answered.hears("Then please leave a message after the tone, as they say.")
    answered.sounds(1000, 0.5)
    assert answered.reception.answered_by is AnsweredBy.PERSON


async def test_the_person_behind_a_screener_is_given_to_the_conversation(answered: Answered) -> None:
    assert answered.hears("Please say your name and why you are calling.")
    assert answered.reception.with_machine
    assert answered.hears("Thank you. Please stay on the line.")
    assert not answered.hears("Hello, this is Ana, what is it?")
    assert not answered.reception.with_machine
    assert answered.reception.answered_by is AnsweredBy.PERSON


async def test_a_screener_that_puts_nobody_through_is_an_outcome(answered: Answered) -> None:
    answered.hears("Please say your name and why you are calling.")
    answered.hears("Sorry, this person is not available. Goodbye.")
    assert await answered.outcome() is Outcome.SCREENED


async def test_what_is_heard_after_the_end_makes_no_person_of_a_menu(answered: Answered) -> None:
    answered.hears("For sales, press one. For service, press two.")
    assert await answered.outcome() is Outcome.MACHINE
    assert answered.hears("Hello?")
    assert answered.reception.answered_by is AnsweredBy.MENU


async def test_an_announcement_that_goes_on_as_a_voicemail_is_one(answered: Answered) -> None:
    assert answered.hears("The person you are calling is not available.")
    assert answered.hears("Please leave a message after the tone.")
    assert [each["value"] for each in answered.reception.evidence] == ["announcement", "voicemail"]
    assert await answered.outcome() is Outcome.VOICEMAIL


async def test_an_announcement_and_a_beep_are_a_voicemail_before_its_words_are_read(answered: Answered) -> None:
    assert answered.hears("The person you are calling is not available.")
    answered.sounds(1000, 0.4)
    assert answered.reception.answered_by is AnsweredBy.VOICEMAIL
    assert await answered.outcome() is Outcome.VOICEMAIL


async def test_the_tones_before_a_number_is_said_to_be_out_of_service_make_no_voicemail(answered: Answered) -> None:
    assert answered.hears("The number you have dialed is not in service.")
    for hz in (950, 1400, 1777):
        answered.sounds(hz, 0.33)
    assert answered.reception.answered_by is AnsweredBy.ANNOUNCEMENT
    assert await answered.outcome() is Outcome.INVALID_NUMBER


async def test_an_announcement_waits_for_words_that_were_heard_and_are_still_being_read(answered: Answered) -> None:
    answered.speaks()
    assert answered.hears("The person you are calling is not available.")
    answered.speaks()
    await settled()
    assert not answered.desk.control.ended.done(), "quiet, but not all is read"
    assert answered.hears("Please leave a message after the tone.")
    assert await answered.outcome() is Outcome.VOICEMAIL


async def test_who_came_to_the_phone_behind_a_screener_is_not_cut_off_by_its_patience(
    answered: Answered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceagents.livekit.answer.machines._SCREENER_PATIENCE", 0.05)
    assert answered.hears("Please say your name and why you are calling.")
    await settled()
    assert not answered.hears("Hello, this is Ana, what is it?")
    await asyncio.sleep(0.2)
    assert not answered.desk.control.ended.done()


async def test_the_message_is_left_once_after_the_beep(monkeypatch: pytest.MonkeyPatch) -> None:
    async def no_detection(_: Reception) -> None:
        return None

    monkeypatch.setattr(Reception, "_detect", no_detection)
    at = Answered(Plan(voicemail_message="Please call us back."))

    async def never_quiet(seconds: float, at_most: float) -> None:
        await asyncio.sleep(60)

    at.desk.quiet = never_quiet  # type: ignore[method-assign]
    at.hears("Please leave a message after the tone.")
    await asyncio.sleep(0)
    assert at.desk.session.said == []
    at.sounds(850, 0.4)
    at.sounds(850, 0.4)
    assert await at.outcome() is Outcome.VOICEMAIL
    assert at.desk.session.said == ["Please call us back."]
    at.reception.drop()


class SlowVoice:
    """A voice whose sound begins when it is told to, or never comes."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.broken = False

    def synthesize(self, _: str) -> Any:
        return self

    async def __aenter__(self) -> "SlowVoice":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def __aiter__(self) -> AsyncIterator[Any]:
        await self.go.wait()
        if self.broken:
            raise OSError("no voice")
        yield SimpleNamespace(frame=rtc.AudioFrame(np.full(2400, 900, np.int16).tobytes(), 24000, 1, 2400))


@pytest_asyncio.fixture
async def picked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Answered, SlowVoice]]:
    """Somebody has said a short hello before the opening had a sound."""

    async def hello(reception: Reception) -> None:
        reception._answer_hello()  # pyright: ignore[reportPrivateUsage]

    async def words(*_: object) -> str:
        return "This is the garden shop."

    monkeypatch.setattr(Reception, "_detect", hello)
    monkeypatch.setattr("voiceagents.livekit.answer.reception.opening_words", words)
    voice = SlowVoice()
    at = Answered(Plan(), voice)
    await settled()
    assert at.desk.session.said == []
    yield at, voice
    at.reception.drop()


async def settled() -> None:
    """Lets everything run that waits for nothing."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_hello_that_comes_before_the_opening_hears_it_as_soon_as_it_has_a_sound(
    picked_up_at_once: tuple[Answered, SlowVoice],
) -> None:
    at, voice = picked_up_at_once
    assert at.hears("Hello?"), "the opening is the answer to it"
    voice.go.set()
    await settled()
    assert at.desk.session.said == ["This is the garden shop."]
    assert at.desk.session.replies == 0


async def test_an_opening_that_is_late_gives_way_to_words_that_want_another_answer(
    picked_up_at_once: tuple[Answered, SlowVoice],
) -> None:
    at, voice = picked_up_at_once
    assert not at.hears("Stop calling me.")
    voice.go.set()
    await settled()
    assert at.desk.session.said == []


async def test_a_bye_that_is_the_first_word_was_a_hi(picked_up_at_once: tuple[Answered, SlowVoice]) -> None:
    at, voice = picked_up_at_once
    assert at.hears("Bye.")
    voice.go.set()
    await settled()
    assert at.desk.session.said == ["This is the garden shop."]


async def test_an_opening_that_is_late_gives_way_to_a_machine(picked_up_at_once: tuple[Answered, SlowVoice]) -> None:
    at, voice = picked_up_at_once
    assert at.hears("Please leave a message after the tone.")
    voice.go.set()
    await settled()
    assert at.desk.session.said == []


async def test_a_hello_whose_opening_fails_is_answered_by_the_model(
    picked_up_at_once: tuple[Answered, SlowVoice],
) -> None:
    at, voice = picked_up_at_once
    assert at.hears("Hello?")
    voice.broken = True
    voice.go.set()
    await settled()
    assert (at.desk.session.said, at.desk.session.replies) == ([], 1)


async def test_words_that_are_read_after_the_opening_failed_go_to_the_conversation(
    picked_up_at_once: tuple[Answered, SlowVoice],
) -> None:
    at, voice = picked_up_at_once
    voice.broken = True
    voice.go.set()
    await settled()
    assert not at.hears("Hello?")
    assert at.desk.session.replies == 0
