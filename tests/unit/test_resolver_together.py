"""Calls that come in the same moment share a question to the database, and nobody's trouble is another's."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants.together import Together

pytestmark = pytest.mark.unit

SESSION = cast("AsyncSession", object())


@dataclass
class Database:
    """Takes one transaction after another once its door is open."""

    transactions: int = 0
    asked: list[str] = field(default_factory=list[str])
    door: asyncio.Event = field(default_factory=asyncio.Event)
    away: bool = False
    refuses: str = ""

    async def ask(self, question: Callable[[AsyncSession], Awaitable[str]]) -> str:
        await self.door.wait()
        self.transactions += 1
        if self.away:
            raise ConnectionError("away")
        return await question(SESSION)

    async def answers(self, session: AsyncSession, questions: Sequence[str]) -> Mapping[str, str]:
        await asyncio.sleep(0)
        self.asked += questions
        if self.refuses and self.refuses in questions:
            raise ValueError(self.refuses)
        return {question: f"answer {question}" for question in questions}

    def call(self, together: Together[str, str], question: str) -> "asyncio.Task[str]":
        return asyncio.create_task(together.ask(self.ask, question))


def both() -> tuple[Database, Together[str, str]]:
    database = Database()
    return database, Together(database.answers)


async def test_ten_at_once_are_one_transaction_and_the_same_question_is_asked_once() -> None:
    database, together = both()
    calls = [database.call(together, key) for key in "aabbcabcac"]
    await asyncio.sleep(0)
    database.door.set()
    assert await asyncio.gather(*calls) == [f"answer {key}" for key in "aabbcabcac"]
    assert (database.transactions, database.asked) == (1, ["a", "b", "c"])


async def test_one_after_the_other_each_is_asked_anew() -> None:
    database, together = both()
    database.door.set()
    assert [await database.call(together, "a") for _ in range(3)] == ["answer a"] * 3
    assert database.asked == ["a", "a", "a"]


async def test_who_comes_while_the_answer_is_read_asks_for_himself_and_waits_for_nobody() -> None:
    reading, read = asyncio.Event(), asyncio.Event()
    said = iter(["old", "new"])

    async def answers(session: AsyncSession, questions: Sequence[str]) -> Mapping[str, str]:
        answer = next(said)
        if answer == "old":
            reading.set()
            await read.wait()
        return dict.fromkeys(questions, answer)

    database, together = Database(), Together(answers)
    database.door.set()
    first = database.call(together, "a")
    await reading.wait()
    assert await database.call(together, "a") == "new"
    read.set()
    assert await first == "old"


@pytest.mark.parametrize("bad", [0, 1, 2])
async def test_a_question_that_is_refused_costs_nobody_else_an_answer(bad: int) -> None:
    database, together = both()
    keys = "abc"
    database.refuses = keys[bad]
    calls = [database.call(together, key) for key in keys]
    await asyncio.sleep(0)
    database.door.set()
    said = await asyncio.gather(*calls, return_exceptions=True)
    for n, key in enumerate(keys):
        assert isinstance(said[n], ValueError) if n == bad else said[n] == f"answer {key}"


async def test_when_the_database_is_away_everybody_hears_so_and_the_next_are_answered() -> None:
    database, together = both()
    database.away = True
    calls = [database.call(together, key) for key in "ab"]
    await asyncio.sleep(0)
    database.door.set()
    assert [type(one) for one in await asyncio.gather(*calls, return_exceptions=True)] == [ConnectionError] * 2
    database.away = False
    assert await database.call(together, "c") == "answer c"


@pytest.mark.parametrize("leaver", [0, 1])
async def test_who_gives_up_before_the_database_answers_leaves_the_others_theirs(leaver: int) -> None:
    database, together = both()
    calls = [database.call(together, key) for key in "ab"]
    await asyncio.sleep(0)
    calls[leaver].cancel()
    await asyncio.wait({calls[leaver]})
    database.door.set()
    assert await calls[1 - leaver] == f"answer {'ab'[1 - leaver]}"
    assert await database.call(together, "c") == "answer c"


async def test_calls_of_several_threads_go_together() -> None:
    database, together = both()
    loop = asyncio.get_running_loop()

    async def ask(question: Callable[[AsyncSession], Awaitable[str]]) -> str:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(database.ask(question), loop))

    def call(n: int) -> str:
        return asyncio.run(together.ask(ask, str(n)))

    with ThreadPoolExecutor(5) as pool:
        calls = [loop.run_in_executor(pool, call, n) for n in range(5)]
        async with asyncio.timeout(20):
            # Those who wait for their place tell nobody.
            while len(together._next or ()) < 4:  # noqa: ASYNC110  # pyright: ignore[reportPrivateUsage]
                await asyncio.sleep(0.005)
            database.door.set()
            assert await asyncio.gather(*calls) == [f"answer {n}" for n in range(5)]
    assert database.transactions == 1
