"""Who answers this call? An ordered chain of sources; the first that knows decides, and a call is always answered by
somebody.

In order: the assistant that the job's metadata names, the one that the room's metadata names, the assistant of the
dialled number, and minimal defaults that promise nothing. Each is looked up in our database, then in Supabase where
that is configured. A source that fails is logged and the next one tried; within `PATIENCE` there is an answer.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants import dialled
from voiceagents.assistants.memory import Memory
from voiceagents.assistants.models import Assistant, Number
from voiceagents.assistants.resolved import MINIMAL as MINIMAL
from voiceagents.assistants.resolved import OUT_OF_SERVICE as OUT_OF_SERVICE
from voiceagents.assistants.resolved import Resolved as Resolved
from voiceagents.assistants.resolved import from_row

log = logging.getLogger("voiceagents.resolver")

PATIENCE = 0.9
"""Seconds after which the caller is answered, by whoever is known by then: nobody hears a second of silence for it."""

OURS_HOLDS = 1.0
"""Seconds for which an answer of our database holds: a change counts after that, and a rush of calls to one number costs one
look a second."""

_FOR_OUR_DATABASE = 5 / 9
"""How much of that our database has when another source waits behind it."""

_LONGEST_ID = 200


class By(StrEnum):
    """What an assistant is asked for by."""

    ID = "id"
    NUMBER = "number"


@dataclass(frozen=True)
class Wanted:
    """One thing to look up: an assistant's id, or a number as it was dialled."""

    by: By
    value: str
    named_by: str | None = None
    """Where an id came from."""


Answers = Mapping[Wanted, Resolved | None]
Ask = Callable[[Callable[[AsyncSession], Awaitable[Answers]]], Awaitable[Answers]]
"""Runs a question in a short transaction of our database."""


LookUp = Callable[[Sequence[Wanted]], Awaitable[Answers]]


class Source(Protocol):
    """Another place that knows assistants and numbers."""

    name: str

    async def look_up(self, wanted: Sequence[Wanted]) -> Answers:
        """What it knows of each; raises when it cannot say."""
        ...


class Resolver:
    """The chain, with what its sources said before. One for all calls of a process, from any thread."""

    def __init__(self, further: Source | None = None, *, cache_seconds: float = 60.0) -> None:
        """A chain of our database, whose answers hold for a second at most, and after it `further`, whose hold for
        `cache_seconds`; with 0 nothing is remembered of sources that answer."""
        self._further = further
        self._cache_seconds = cache_seconds
        self._said: Memory[Resolved | None] = Memory()

    async def inbound(
        self, ask: Ask, *, job_assistant_id: str | None, room_assistant_id: str | None, did: str | None
    ) -> Resolved:
        """The assistant for an inbound call; never raises.

        Args:
            ask: the way to our database.
            job_assistant_id: `agentId` of the job's metadata.
            room_assistant_id: `assistantId` of the room's metadata.
            did: the dialled number, in any spelling; the caller's number is never asked for.
        """
        named = [("job.metadata", job_assistant_id), ("room.metadata", room_assistant_id)]
        wanted = [Wanted(By.ID, value, source) for source, value in named if value]
        if did and dialled.ending(did):
            wanted.append(Wanted(By.NUMBER, did))
        found, certain = await self._first_of(ask, wanted, PATIENCE)
        if found is not None:
            return found
        unowned = certain and did and not (job_assistant_id or room_assistant_id)
        return OUT_OF_SERVICE if unowned else MINIMAL

    async def named(self, ask: Ask, assistant_id: str, *, patience: float = 5.0) -> Resolved | None:
        """The assistant with this id, from whichever source knows it; None when none does. Never raises.

        Args:
            ask: the way to our database.
            assistant_id: `agentId` of the job's metadata.
            patience: seconds within which there is an answer. Before a dial nobody listens to silence yet.
        """
        return (await self._first_of(ask, [Wanted(By.ID, assistant_id, "job.metadata")], patience))[0]

    async def _first_of(self, ask: Ask, wanted: Sequence[Wanted], patience: float) -> tuple[Resolved | None, bool]:
        """The first of these that somebody knows, and whether every source that was asked did say."""
        deadline = time.monotonic() + patience
        certain = True
        answers: list[Answers] = []
        for name, look_up, share in self._sources(ask):
            missing = self._undecided(wanted, answers)
            if not missing:
                break
            seconds = max(0.05, min(patience * share, deadline - time.monotonic()))
            said, sure = await self._said_by(name, look_up, missing, seconds)
            answers.append(said)
            certain &= sure
        for one in wanted:
            if found := next((said[one] for said in answers if said.get(one)), None):
                return replace(found, source=one.named_by or found.resolver), certain
        for one in wanted:
            log.warning("RESOLVER_EMPTY | source=%s | nobody found", one.named_by or "number")
        return None, certain

    def _sources(self, ask: Ask) -> Iterable[tuple[str, LookUp, float]]:
        """What is asked, in order, and how much of the patience it may take."""

        async def database(wanted: Sequence[Wanted]) -> Answers:
            return await ask(lambda session: _in_database(session, wanted))

        yield "resolver.database", database, 1.0 if self._further is None else _FOR_OUR_DATABASE
        if self._further is not None:
            yield self._further.name, self._further.look_up, 1.0

    @staticmethod
    def _undecided(wanted: Sequence[Wanted], answers: Sequence[Answers]) -> list[Wanted]:
        """What is still to be asked for: nothing after the first that somebody knows."""
        found = {one for said in answers for one, assistant in said.items() if assistant is not None}
        first = next((place for place, one in enumerate(wanted) if one in found), len(wanted))
        return list(wanted[:first])

    async def _said_by(
        self,
        name: str,
        look_up: LookUp,
        wanted: Sequence[Wanted],
        seconds: float,
    ) -> tuple[Answers, bool]:
        """What a source says, fresh or remembered, and whether that is certain."""
        remembered: dict[Wanted, Resolved | None] = {}
        holds = min(OURS_HOLDS, self._cache_seconds) if name == "resolver.database" else self._cache_seconds
        for one in wanted:
            if kept := self._said.recall((name, one.by, one.value), holds):
                remembered[one] = kept.value
        unknown = [one for one in self._undecided(wanted, [remembered]) if one not in remembered]
        if not unknown:
            return remembered, True
        try:
            async with asyncio.timeout(seconds):
                said = await look_up(unknown)
        except Exception as error:  # noqa: BLE001  a source that fails, however it fails, must not keep the call from being answered
            late = f"no answer within {seconds:.1f} s" if isinstance(error, TimeoutError) else type(error).__name__
            log.warning("RESOLVER_FAILED | source=%s | cause=%s", name, str(error) or late)
            return {**self._last_words(name, unknown), **remembered}, False
        for one, assistant in said.items():
            self._said.keep((name, one.by, one.value), assistant)
        return {**said, **remembered}, True

    def _last_words(self, name: str, wanted: Sequence[Wanted]) -> Answers:
        """What a source that fails now said when it last answered."""
        said: dict[Wanted, Resolved | None] = {}
        for one in wanted:
            if (kept := self._said.recall((name, one.by, one.value))) and kept.value is not None:
                said[one] = kept.value
                known = kept.value.id
                log.warning("RESOLVER_REMEMBERED | source=%s | assistant=%s | from %.0f s ago", name, known, kept.age)
        return said


async def by_id(session: AsyncSession, assistant_id: str, source: str = "job.metadata") -> Resolved | None:
    """The assistant with this id in our database."""
    if "\x00" in assistant_id or len(assistant_id) > _LONGEST_ID:
        return None
    found = await session.get(Assistant, assistant_id)
    return from_row(found, source) if found else None


async def by_number(session: AsyncSession, number: str, source: str = "resolver.database") -> Resolved | None:
    """The assistant in our database that answers this number, in whichever spelling it was dialled."""
    query = select(Assistant).join(Number, Number.assistant_id == Assistant.id)
    if e164 := dialled.international(number):
        found = await session.scalar(query.where(Number.e164 == e164))
        if found is not None or "+" in dialled.spelled(number):
            return replace(from_row(found, source), number=e164) if found else None
    if not (end := dialled.ending(number)):
        return None
    ours = await session.scalars(select(Number.e164).where(Number.e164.endswith(end, autoescape=True)).limit(20))
    if meant := dialled.meant(number, ours):
        found = await session.scalar(query.where(Number.e164 == meant))
        return replace(from_row(found, source), number=meant) if found else None
    return None


async def _in_database(session: AsyncSession, wanted: Sequence[Wanted]) -> Answers:
    said: dict[Wanted, Resolved | None] = {}
    for one in wanted:
        said[one] = await (by_id if one.by is By.ID else by_number)(session, one.value)
        if said[one] is not None:
            break  # what stands behind it is not asked for
    return said
