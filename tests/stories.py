"""How do tests that each watch a long story of their own fit into little time? The stories of a module run together.

STORIES = Stories(at_once=5)

@STORIES
async def hangs_up(agent: Agent) -> Record: ...

@pytest_asyncio.fixture(scope="module")
async def told(agent: Agent) -> AsyncIterator[Told]:
    async with STORIES.told(agent) as told:
        yield told

async def test_…(told: Told) -> None:
    record = await told["hangs_up"]
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

Story = TypeVar("Story", bound=Callable[..., Awaitable[Any]])
Told = Mapping[str, "asyncio.Task[Any]"]


class Stories:
    """The stories of one module, in the order they stand there."""

    def __init__(self, *, at_once: int) -> None:
        self._at_once = at_once
        self._stories: dict[str, Callable[..., Awaitable[Any]]] = {}

    def __call__(self, story: Story) -> Story:
        self._stories[story.__name__] = story
        return story

    @asynccontextmanager
    async def told(self, *given: Any) -> AsyncIterator[Told]:
        """Starts every story with these arguments. Awaiting one gives its end; those that nobody awaits are dropped."""
        turn = asyncio.Semaphore(self._at_once)

        async def tell(story: Callable[..., Awaitable[Any]]) -> Any:
            async with turn:
                return await story(*given)

        tasks = {name: asyncio.create_task(tell(story)) for name, story in self._stories.items()}
        try:
            yield tasks
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
