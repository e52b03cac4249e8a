"""How do calls that come in the same moment ask our database at little cost? Together: whoever comes while a question is
on its way to the database goes along with it, in one transaction.

Nothing is remembered, so that an assistant that was just changed is the one that answers. What fails together is asked
for again one by one: a question that the database refuses costs nobody else an answer.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

Q = TypeVar("Q", bound=Hashable)
T = TypeVar("T")
Ask = Callable[[Callable[[AsyncSession], Awaitable[T]]], Awaitable[T]]
"""Runs something in a short transaction of our database, anywhere."""


@dataclass(frozen=True, eq=False)
class _Passenger(Generic[Q, T]):
    """One who waits for an answer; None: there is none, ask alone."""

    question: Q
    answer: "Future[tuple[T] | None]" = field(default_factory=Future["tuple[T] | None"])

    def tell(self, answer: tuple[T] | None) -> None:
        """Only the first word counts, and only to one who still waits."""
        if not self.answer.done() and self.answer.set_running_or_notify_cancel():
            self.answer.set_result(answer)


class Together(Generic[Q, T]):
    """Questions of many calls, from any thread and any event loop.

    Args:
        answers: answers several questions, all different, in one transaction.
    """

    def __init__(self, answers: Callable[[AsyncSession, Sequence[Q]], Awaitable[Mapping[Q, T]]]) -> None:
        self._answers = answers
        self._lock = threading.Lock()
        self._next: list[_Passenger[Q, T]] | None = None
        """Who goes along with the question that is on its way to the database; None: there is none."""

    async def ask(self, ask: Ask[T], question: Q) -> T:
        """The answer to a question. Raises what `ask` raises."""
        me = _Passenger[Q, T](question)
        started: list[_Passenger[Q, T]] = []
        with self._lock:
            if self._next is None:
                self._next = journey = started
            else:
                journey = self._next
                journey.append(me)
        if journey is started:
            return await self._lead(ask, question, journey)
        answer = await asyncio.wrap_future(me.answer)
        return await self._alone(ask, question) if answer is None else answer[0]

    async def _lead(self, ask: Ask[T], question: Q, journey: list[_Passenger[Q, T]]) -> T:
        async def all_of_them(session: AsyncSession) -> T:
            along = self._depart(journey)
            try:
                answers = await self._answers(
                    session, list(dict.fromkeys([question, *(one.question for one in along)]))
                )
                for one in along:
                    one.tell((answers[one.question],))
                return answers[question]
            finally:
                _send_back(along)

        try:
            return await ask(all_of_them)
        except Exception:
            if not journey:
                raise
            return await self._alone(ask, question)
        finally:
            _send_back(self._depart(journey))

    async def _alone(self, ask: Ask[T], question: Q) -> T:
        async def only_this(session: AsyncSession) -> T:
            return (await self._answers(session, [question]))[question]

        return await ask(only_this)

    def _depart(self, journey: list[_Passenger[Q, T]]) -> list[_Passenger[Q, T]]:
        """Those who go along from here; nobody when it has begun already, or was given up."""
        with self._lock:
            if self._next is not journey:
                return []
            self._next = None
            return journey


def _send_back(passengers: Sequence[_Passenger[Q, T]]) -> None:
    for one in passengers:
        one.tell(None)
