"""How does a calendar answer whose rules we keep ourselves? Rules less what is taken; where that is read is its own."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from voiceagents import clock
from voiceagents.calendars import slots
from voiceagents.calendars.base import Slot, SlotRefused, SlotTaken
from voiceagents.calendars.rules import Rules

OFFERED = 3
"""Slots offered in place of one that cannot be had."""

LOOKED_AHEAD = timedelta(days=14)


class RuledCalendar(ABC):
    """What the built-in calendar and one on a CalDAV server have in common."""

    def __init__(self, calendar_id: str, name: str, rules: Rules) -> None:
        self._id = calendar_id
        self._name = name
        self.rules = rules

    @property
    def id(self) -> str:
        return self._id

    @property
    def name(self) -> str:
        return self._name

    @property
    def zone(self) -> ZoneInfo:
        return self.rules.place

    @abstractmethod
    async def _busy(self, start: datetime, end: datetime) -> Sequence[slots.Busy]:
        """What is taken in [start, end), in any order."""

    async def free(self, start: datetime, end: datetime) -> list[Slot]:
        now = clock.now()
        wide = self.rules.before + self.rules.after + self.rules.length
        start = max(start, now)
        end = min(end, now + timedelta(days=self.rules.horizon_days))
        if start >= end:
            return []
        busy = await self._busy(start - wide, end + wide)
        return list(slots.free(self.rules, now, start, end, busy))

    async def next_slots(self, start: datetime) -> list[Slot]:
        """A few free slots from an instant on, or from now on where that is past or too far ahead."""
        now = clock.now()
        if not now < start < now + timedelta(days=self.rules.horizon_days):
            start = now
        for from_ in (start, start + LOOKED_AHEAD):
            if found := await self.free(from_, from_ + LOOKED_AHEAD):
                return list(islice(found, OFFERED))
        return []

    async def _require_offered(self, start: datetime) -> None:
        """Refuses a time that the rules do not offer, whoever has it."""
        if why := slots.why_refused(self.rules, clock.now(), start):
            raise SlotRefused(why, await self.next_slots(start))

    async def _taken(self, start: datetime) -> SlotTaken:
        """The refusal of a slot that somebody else has."""
        return SlotTaken([slot for slot in await self.next_slots(start) if slot.start != start])

    def _slot_at(self, start: datetime) -> Slot:
        return Slot(start, start + self.rules.length)
