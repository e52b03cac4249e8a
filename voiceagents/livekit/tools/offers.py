"""Which time does the caller mean, and is it free? What was offered in this call is kept, so that "the nine thirty" is
one of the times that were read out."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from livekit.agents.llm import ToolError

from voiceagents.calendars import spoken
from voiceagents.calendars.base import Calendar, Slot, SlotRefused
from voiceagents.calendars.spoken import Moment, Stretch, Unclear

_LOOK_AHEAD = timedelta(days=14)
_LATER_THAN_DAY = timedelta(days=1)
_PLACES = {"first": 0, "1st": 0, "earliest": 0, "second": 1, "2nd": 1, "third": 2, "3rd": 2, "fourth": 3, "4th": 3,
           "last": -1, "latest": -1}  # fmt: skip
_PICK = re.compile(
    rf"(?:(?:yes|yeah|ok|okay|um|uh|so|then|please|i|i'd|i'll|we'll|like|take|want|would|have|book|me)\s+)*(?:the\s+)?"
    rf"({'|'.join(_PLACES)})(?:\s+(?:one|slot|time|option|appointment|of\s+(?:them|those)))"
    r"(?:\s+(?:please|then|is\s+(?:fine|good)))*"
)
_TODAY = re.compile(r"\b(?:today|tonight|this|now)\b", re.IGNORECASE)


class Offers:
    """The free times of one calendar, as one call has heard of them.

    Args:
        count: times named at once.
        now: the present instant.
    """

    def __init__(self, calendar: Calendar, count: int, now: Callable[[], datetime]) -> None:
        self._calendar = calendar
        self._count = count
        self._now = now
        self._zone = calendar.zone
        self._offered: dict[datetime, Slot] = {}
        self._last: list[Slot] = []
        self.caller_zone: ZoneInfo | None = None
        """The zone the caller has said they are in; times are theirs from then on, and are said in both."""

    async def free_times(self, words: str) -> str:
        """What is free then, in a sentence that asks the caller to choose.

        Raises:
            ToolError: no time is meant, or more than one.
        """
        now = self._now()
        match self.understood(words):
            case Moment(start=start):
                exact = await self._calendar.free(start, start + timedelta(minutes=1))
                if exact:
                    self.offer(exact)
                    return f"{self.say(start)} is free. Does that suit you?"
                near = await self._near(start)
                return f"{self.say(start)} is not free. " + self._offered_words(near)
            case Stretch(start=start, end=end):
                begin = max(start, now)
                free = await self._calendar.free(begin, end) if begin < end else []
                if free:
                    return self._offered_words(free)
                later = await self._calendar.free(max(end, now), max(end, now) + _LOOK_AHEAD)
                return "Nothing is free then. " + self._offered_words(later)

    def _offered_words(self, slots: list[Slot]) -> str:
        few = _spread(slots, self._count)
        if not few:
            return "Nothing is free in the two weeks after that either. Offer to take a message or a callback."
        self.offer(few)
        return f"Free: {self.say_all(few)}. Which time suits you?"

    async def _near(self, start: datetime) -> list[Slot]:
        """Free slots around a time, those of the same day first."""
        now = self._now()
        free = await self._calendar.free(max(start - _LATER_THAN_DAY, now), start + _LOOK_AHEAD)
        return sorted(sorted(free, key=lambda slot: abs(slot.start - start))[: self._count])

    def offer(self, slots: Sequence[Slot]) -> None:
        """From now on the caller knows of these."""
        self._offered.update({slot.start: slot for slot in slots})
        self._last = list(slots) or self._last

    async def slot(self, words: str) -> Slot:
        """The slot that is meant: one that was offered, or one that is free and is offered by being read back.

        Raises:
            ToolError: no time is meant, or more than one.
            SlotRefused: it is not free; `next_slots` has others.
        """
        if (offered := self._of_those_offered(words)) is not None:
            return offered
        match self.understood(words):
            case Moment(start=start):
                if start in self._offered:
                    return self._offered[start]
                exact = await self._calendar.free(start, start + timedelta(minutes=1))
                if not exact:
                    raise SlotRefused(f"{self.say(start)} is not free", await self._near(start))
                self.offer(exact)
                return exact[0]
            case Stretch(start=start, end=end):
                free = await self._calendar.free(max(start, self._now()), end)
                raise SlotRefused("that is no exact time yet", _spread(free, self._count))

    def _of_those_offered(self, words: str) -> Slot | None:
        """ "The 9:30", "the Tuesday one" and "the last one" name one of the times that were offered."""
        if picked := _PICK.fullmatch(" ".join(re.sub(r"[^\w']", " ", words.lower()).split())):
            place = _PLACES[picked[1]]
            return self._last[place] if place < len(self._last) and self._last else None
        meant: set[datetime] = set()
        for start in self._offered:
            understood = spoken.understand(words, self._morning(start), self._theirs)
            if _holds(understood, start) and (isinstance(understood, Moment) or not _TODAY.search(words)):
                meant.add(start)
        exact = spoken.understand(words, self._now(), self._theirs)
        if isinstance(exact, Moment) and exact.start in meant:
            return self._offered[exact.start]
        return self._offered[meant.pop()] if len(meant) == 1 else None

    def named(self, instants: Sequence[datetime], words: str) -> list[datetime]:
        """Which of these instants are meant, reckoned from now, or else ("the nine o'clock one") from their days."""
        self.caller_zone = spoken.zone_named(words) or self.caller_zone
        meant = [one for one in instants if _holds(spoken.understand(words, self._now(), self._theirs), one)]
        return meant or [
            one for one in instants if _holds(spoken.understand(words, self._morning(one), self._theirs), one)
        ]

    def _morning(self, instant: datetime) -> datetime:
        return instant.astimezone(self._theirs).replace(hour=0, minute=0, second=0, microsecond=0)

    def understood(self, words: str) -> Moment | Stretch:
        """The time that is meant.

        Raises:
            ToolError: none, or more than one.
        """
        self.caller_zone = spoken.zone_named(words) or self.caller_zone
        understood = spoken.understand(words, self._now(), self._theirs)
        if not isinstance(understood, Unclear):
            return understood
        choices = " or ".join(self.say(choice.start) for choice in understood.choices[:3])
        more = f" It may be {choices}: ask which." if choices else " Ask the caller for the day and the time."
        raise ToolError(f"{understood.why.rstrip('.')}.{more}")

    def say(self, instant: datetime) -> str:
        """With weekday and zone: "Thursday, November 26 at 3 PM, New York time"."""
        said = spoken.say(instant, self._theirs, now=self._now(), also=self._zone)
        # Where two clocks differ it names them both itself.
        return said if said.endswith(" time") else f"{said}, {_zone_words(self._theirs)}"

    def say_all(self, slots: Sequence[Slot]) -> str:
        """Several, a day's together, and the zone once."""
        said = spoken.say_slots([slot.start for slot in slots], self._theirs, now=self._now())
        return f"{said}, {_zone_words(self._theirs)}"

    @property
    def _theirs(self) -> ZoneInfo:
        return self.caller_zone or self._zone


def _holds(understood: Moment | Stretch | Unclear, instant: datetime) -> bool:
    """Whether the instant is what was said, or one of the things that may have been meant."""
    readings = understood.choices if isinstance(understood, Unclear) else (understood,)
    return any(one.holds(instant) if isinstance(one, Stretch) else one.start == instant for one in readings)


def _spread(slots: list[Slot], count: int) -> list[Slot]:
    """A few of many, from all over the time asked for."""
    if len(slots) <= count:
        return list(slots)
    step = (len(slots) - 1) / max(count - 1, 1)
    return [slots[round(place * step)] for place in range(count)]


def _zone_words(zone: ZoneInfo) -> str:
    """ "New York time".

    >>> _zone_words(ZoneInfo("America/New_York"))
    'New York time'
    """
    return f"{zone.key.rpartition('/')[2].replace('_', ' ')} time"
