"""A machine answered: what do we do with it, as the campaign wants?

Voicemail: hang up, or leave the message after the beep, once, heard whole. Call screening: say who calls and why, and
wait. A menu: press the keys of the campaign's path, or give up. A carrier's announcement: the outcome it means. A fax:
hang up. At any moment a person may come to the phone; then it is a conversation.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.states import AnsweredBy, EndedBy, Outcome
from voiceagents.livekit import answering
from voiceagents.livekit.answer.prepared import Prepared, given_words
from voiceagents.livekit.speech import SessionModels
from voiceagents.livekit.troubles import TAIL

if TYPE_CHECKING:
    from voiceagents.livekit.answer.reception import Desk

_GREETING_OVER = 3.0
"""Seconds of quiet after which a voicemail listens, whether we heard its beep or not."""

_LONGEST_GREETING = 45.0
_ANNOUNCEMENT_OVER = 2.0
_READING_TAKES = 4.0
"""Seconds for which words that were heard are waited for: they may turn an announcement into a voicemail."""

_SCREENER_PATIENCE = 30.0
_PROMPT_OVER = 0.9
_LONGEST_PROMPT = 12.0
_CODES = {**{str(digit): digit for digit in range(10)}, "*": 10, "#": 11}
"""RFC 4733, section 3.2."""

_HOLDING = re.compile(
    r"\b(one moment|just a (moment|second)|hold (on|the line)|please (hold|wait|stay)|stay on the line"
    r"|connect(ing)? you|thank you|thanks|checking|see if)\b",
    re.IGNORECASE,
)
_REFUSED = re.compile(
    r"\b(not (available|accepting)|unavailable|can'?t (take|come)|cannot (take|come)|goodbye|try again later)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Plan:
    """What a campaign wants of machines. Texts are filled with the contact's values."""

    voicemail_message: str | None = None
    menu_path: str | None = None


class Machines:
    """What is done with the machine on one call."""

    def __init__(
        self,
        plan: Plan,
        models: SessionModels,
        desk: "Desk",
        opening: Prepared | None,
        unread: Callable[[], bool],
    ) -> None:
        """`unread` tells whether something was said whose words are not known yet."""
        self._plan = plan
        self._models = models
        self._desk = desk
        self._opening = opening
        self._unread = unread
        self._what = AnsweredBy.VOICEMAIL
        self._heard: list[str] = []
        self._beep = asyncio.Event()
        self._new_words = asyncio.Event()
        self._asked = 0
        self._message: Prepared | None = None
        self._message_begun = False
        self._groups = (plan.menu_path or "").split()
        self._task: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """The call is over, or a person has come to the phone."""
        if self._task is not None:
            self._task.cancel()
        if self._message is not None:
            self._message.drop()

    def beeped(self) -> None:
        """A beep has just ended."""
        self._beep.set()

    def take(self, what: AnsweredBy, heard: list[str]) -> None:
        """Deals with this machine, which has said so much so far."""
        self._heard = list(heard)
        self._begin(what)

    def hears(self, text: str) -> bool:
        """Takes the machine's next words. False when they are a person's, who has come to the phone."""
        self._heard.append(text)
        self._new_words.set()
        if self._message_begun:
            return True
        now = answering.answered_by(text)
        if self._what is AnsweredBy.SCREENING:
            return self._from_screener(text, now)
        if self._what is AnsweredBy.MENU and now is AnsweredBy.PERSON and self._pressed_all and len(text.split()) < 15:
            return False
        if self._what is not AnsweredBy.VOICEMAIL:
            # "… is not available", and a moment later: "please leave a message".
            whole = answering.answered_by(" ".join(self._heard))
            if whole in (AnsweredBy.VOICEMAIL, AnsweredBy.SCREENING):
                self._begin(whole)
        return not answering.listens(text)

    @property
    def what(self) -> AnsweredBy:
        """Which machine it is, as far as it has said so."""
        return self._what

    @property
    def _pressed_all(self) -> bool:
        return not self._groups

    def _from_screener(self, text: str, now: AnsweredBy) -> bool:
        if now is AnsweredBy.SCREENING:
            self._begin(AnsweredBy.SCREENING)
        elif now is AnsweredBy.VOICEMAIL:
            self._begin(AnsweredBy.VOICEMAIL)
        elif _REFUSED.search(text):
            self._end(Outcome.SCREENED, "a call screening service did not put us through", EndedBy.CARRIER)
        elif not _HOLDING.search(text):
            return False
        return True

    def _begin(self, what: AnsweredBy) -> None:
        self._what = what
        if self._task is not None:
            self._task.cancel()
        work: Coroutine[Any, Any, None]
        match what:
            case AnsweredBy.VOICEMAIL:
                work = self._voicemail()
            case AnsweredBy.SCREENING:
                work = self._screening()
            case AnsweredBy.MENU:
                work = self._menu()
            case AnsweredBy.ANNOUNCEMENT:
                work = self._announcement()
            case _:
                work = self._fax()
        self._task = asyncio.create_task(work)

    def _end(self, outcome: Outcome, cause: str, by: EndedBy = EndedBy.AGENT) -> None:
        self._desk.control.end(Ending(outcome, cause, by))

    # Voicemail

    async def _voicemail(self) -> None:
        message = self._plan.voicemail_message
        if not message or not answering.takes_message(" ".join(self._heard)):
            full = "; it takes none" if message else ""
            self._end(Outcome.VOICEMAIL, f"a voicemail answered; no message was left{full}")
            return
        if self._message is None:
            self._message = Prepared(self._models, lambda: given_words(message))
        by_beep = await self._greeting_over()
        if not answering.takes_message(" ".join(self._heard)):
            self._end(Outcome.VOICEMAIL, "a voicemail answered; no message was left; it takes none")
            return
        self._message_begun = True
        await self._say(message, self._message)
        how = "after the beep" if by_beep else "when it fell silent"
        self._end(Outcome.VOICEMAIL, f"a voicemail answered; the message was left {how}")

    async def _greeting_over(self) -> bool:
        """Waits until the voicemail listens. True when its beep was heard."""
        beep = asyncio.ensure_future(self._beep.wait())
        silence = asyncio.ensure_future(self._desk.quiet(_GREETING_OVER, _LONGEST_GREETING))
        try:
            await asyncio.wait({beep, silence}, return_when=asyncio.FIRST_COMPLETED)
            return beep.done()
        finally:
            beep.cancel()
            silence.cancel()

    # Screening

    async def _screening(self) -> None:
        self._asked += 1
        if self._asked > 2:
            self._end(Outcome.SCREENED, "a call screening service asked again and again")
            return
        await self._desk.quiet(_PROMPT_OVER, _LONGEST_PROMPT)
        await self._say(self._who_and_why(), None, ends=False)
        await asyncio.sleep(_SCREENER_PATIENCE)
        self._end(Outcome.SCREENED, f"a call screening service put nobody through in {_SCREENER_PATIENCE:.0f} s")

    def _who_and_why(self) -> str:
        words = self._opening.text if self._opening is not None else ""
        told = [line for line in re.split(r"(?<=[.!?])\s+", words) if line and not line.endswith("?")]
        return " ".join(told) or "Hello, this is a call for the owner of this phone."

    # Menus

    async def _menu(self) -> None:
        if not self._plan.menu_path:
            self._end(Outcome.MACHINE, "a phone menu answered, and the campaign has no path through it")
            return
        if self._pressed_all:
            self._end(Outcome.MACHINE, "the phone menu went on after the last key of the campaign's path")
            return
        while self._groups:
            await self._desk.quiet(_PROMPT_OVER, _LONGEST_PROMPT)
            keys = self._groups.pop(0)
            for key in keys:
                if (code := _CODES.get(key)) is not None:
                    await self._desk.room.local_participant.publish_dtmf(code=code, digit=key)
                    await asyncio.sleep(0.3)
            self._new_words.clear()
            if self._groups:
                await self._words_within(8.0)
        await self._words_within(_SCREENER_PATIENCE)
        if not self._new_words.is_set():
            self._end(Outcome.MACHINE, "nobody came to the phone after the last key of the campaign's path")

    async def _words_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._new_words.wait()
        except TimeoutError:
            return

    # Announcements and faxes

    async def _announcement(self) -> None:
        await self._desk.quiet(_ANNOUNCEMENT_OVER, _LONGEST_PROMPT)
        if self._unread():
            self._new_words.clear()
            await self._words_within(_READING_TAKES)
        outcome = answering.what_network_said(" ".join(self._heard)) or Outcome.UNREACHABLE
        words = " ".join(self._heard)[:120]
        self._end(outcome, f'the network said "{words}"', EndedBy.CARRIER)

    async def _fax(self) -> None:
        self._end(Outcome.MACHINE, "a fax answered")

    # Speaking and waiting

    async def _say(self, text: str, prepared: Prepared | None, *, ends: bool = True) -> None:
        session = self._desk.session
        if prepared is not None and prepared.ready:
            handle = session.say(text, audio=prepared.frames(), allow_interruptions=False)
        else:
            handle = session.say(text, allow_interruptions=False)
        await handle.wait_for_playout()
        if ends:
            await asyncio.sleep(TAIL)
