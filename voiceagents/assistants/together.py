"""How do calls that come in the same moment ask our database at little cost? Together: whoever comes while a question is
on its way to the database goes along with it, in one transaction.

Nothing is remembered, so that an assistant that was just changed is the one that answers. What fails together is asked
for again one by one: a question that the database refuses costs nobody else an answer.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

T = TypeVar("T")
Question = Callable[[AsyncSession], Awaitable[T]]
Ask = Callable[[Callable[[AsyncSession], Awaitable[T]]], Awaitable[T]]
"""Runs a question in a short transaction of our database, anywhere."""


@dataclass(frozen=True, eq=False)
class _Passenger(Generic[T]):
    """One who waits for an answer; None: there is none, ask alone."""

    key: Hashable
    question: Question[T]
    answer: "Future[tuple[T] | None]" = field(default_factory=Future["tuple[T] | None"])

    def tell(self, answer: tuple[T] | None) -> None:
        """Only the first word counts, and only to one who still waits."""
        if not self.answer.done() and self.answer.set_running_or_notify_cancel():
            self.answer.set_result(answer)


class Together(Generic[T]):
    """Questions of many calls, from any thread and any event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: list[_Passenger[T]] | None = None
        """Who goes along with the question that is on its way to the database; None: there is none."""

    async def ask(self, ask: Ask[T], key: Hashable, question: Question[T]) -> T:
        """The answer to a question; equal keys are the same question, which is asked once.

        Raises what `ask` raises.
        """
        me = _Passenger(key, question)
        started: list[_Passenger[T]] = []
        with self._lock:
            if self._next is None:
                self._next = journey = started
            else:
                journey = self._next
                journey.append(me)
        if journey is started:
            return await self._lead(ask, me, journey)
        answer = await asyncio.wrap_future(me.answer)
        return await ask(question) if answer is None else answer[0]

    async def _lead(self, ask: Ask[T], leader: _Passenger[T], journey: list[_Passenger[T]]) -> T:
        async def all_of_them(session: AsyncSession) -> T:
            along = self._depart(journey)
            try:
                answers = {leader.key: await leader.question(session)}
                for one in along:
                    if one.key not in answers:
                        answers[one.key] = await one.question(session)
                    one.tell((answers[one.key],))
                return answers[leader.key]
            finally:
                _send_back(along)

        try:
            return await ask(all_of_them)
        except Exception:
            if not journey:
                raise
            return await ask(leader.question)
        finally:
            _send_back(self._depart(journey))

    def _depart(self, journey: list[_Passenger[T]]) -> list[_Passenger[T]]:
        """Those who go along from here; nobody when it has begun already, or was given up."""
        with self._lock:
            if self._next is not journey:
                return []
            self._next = None
            return journey


def _send_back(passengers: list[_Passenger[T]]) -> None:
    for one in passengers:
        one.tell(None)
