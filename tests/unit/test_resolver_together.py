"""Calls that come in the same moment share a question to the database, and nobody's trouble is another's."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants.together import Question, Together

pytestmark = pytest.mark.unit

SESSION = cast("AsyncSession", object())


@dataclass
class Database:
    """Takes one transaction after another once its door is open."""

    transactions: int = 0
    asked: list[str] = field(default_factory=list[str])
    door: asyncio.Event = field(default_factory=asyncio.Event)
    away: bool = False

    async def ask(self, question: Callable[[AsyncSession], Awaitable[str]]) -> str:
        await self.door.wait()
        self.transactions += 1
        if self.away:
            raise ConnectionError("away")
        return await question(SESSION)

    def who(self, key: str, error: Exception | None = None) -> Question[str]:
        async def question(session: AsyncSession) -> str:
            await asyncio.sleep(0)
            self.asked.append(key)
            if error is not None:
                raise error
            return f"answer {key}"

        return question

    def call(self, together: Together[str], key: str, error: Exception | None = None) -> "asyncio.Task[str]":
        return asyncio.create_task(together.ask(self.ask, key, self.who(key, error)))


async def test_ten_at_once_are_one_transaction_and_the_same_question_is_asked_once() -> None:
    database, together = Database(), Together[str]()
    calls = [database.call(together, key) for key in "aabbcabcac"]
    await asyncio.sleep(0)
    database.door.set()
    assert await asyncio.gather(*calls) == [f"answer {key}" for key in "aabbcabcac"]
    assert (database.transactions, database.asked) == (1, ["a", "b", "c"])


async def test_one_after_the_other_each_is_asked_anew() -> None:
    database, together = Database(), Together[str]()
    database.door.set()
    assert [await database.call(together, "a") for _ in range(3)] == ["answer a"] * 3
    assert database.asked == ["a", "a", "a"]


async def test_who_comes_while_the_answer_is_read_asks_for_himself_and_waits_for_nobody() -> None:
    database, together = Database(), Together[str]()
    database.door.set()
    reading, read = asyncio.Event(), asyncio.Event()

    async def slow(session: AsyncSession) -> str:
        reading.set()
        await read.wait()
        return "old"

    first = asyncio.create_task(together.ask(database.ask, "a", slow))
    await reading.wait()
    assert await database.call(together, "a") == "answer a"
    read.set()
    assert await first == "old"


@pytest.mark.parametrize("bad", [0, 1, 2])
async def test_a_question_that_is_refused_costs_nobody_else_an_answer(bad: int) -> None:
    database, together = Database(), Together[str]()
    keys = "abc"
    calls = [database.call(together, key, ValueError(key) if n == bad else None) for n, key in enumerate(keys)]
    await asyncio.sleep(0)
    database.door.set()
    said = await asyncio.gather(*calls, return_exceptions=True)
    for n, key in enumerate(keys):
        assert isinstance(said[n], ValueError) if n == bad else said[n] == f"answer {key}"


async def test_when_the_database_is_away_everybody_hears_so_and_the_next_are_answered() -> None:
    database, together = Database(away=True), Together[str]()
    calls = [database.call(together, key) for key in "ab"]
    await asyncio.sleep(0)
    database.door.set()
    assert [type(one) for one in await asyncio.gather(*calls, return_exceptions=True)] == [ConnectionError] * 2
    database.away = False
    assert await database.call(together, "c") == "answer c"


@pytest.mark.parametrize("leaver", [0, 1])
async def test_who_gives_up_before_the_database_answers_leaves_the_others_theirs(leaver: int) -> None:
    database, together = Database(), Together[str]()
    calls = [database.call(together, key) for key in "ab"]
    await asyncio.sleep(0)
    calls[leaver].cancel()
    await asyncio.wait({calls[leaver]})
    database.door.set()
    assert await calls[1 - leaver] == f"answer {'ab'[1 - leaver]}"
    assert await database.call(together, "c") == "answer c"


async def test_calls_of_several_threads_go_together() -> None:
    together = Together[str]()
    loop, open_door = asyncio.get_running_loop(), asyncio.Event()
    transactions: list[int] = []

    async def on_this_loop(question: Question[str]) -> str:
        await open_door.wait()
        transactions.append(1)
        return await question(SESSION)

    async def ask(question: Question[str]) -> str:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(on_this_loop(question), loop))

    async def answer(session: AsyncSession) -> str:
        return "yes"

    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda n=n: answers.append(asyncio.run(together.ask(ask, n, answer)))) for n in range(5)
    ]
    for thread in threads:
        thread.start()
    waiting = together._next  # pyright: ignore[reportPrivateUsage]
    async with asyncio.timeout(20):
        while waiting is None or len(waiting) < 4:
            await asyncio.sleep(0.005)
            waiting = together._next  # pyright: ignore[reportPrivateUsage]
        open_door.set()
        for thread in threads:
            await asyncio.to_thread(thread.join)
    assert answers == ["yes"] * 5
    assert transactions == [1]
