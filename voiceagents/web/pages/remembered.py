"""What was known a moment ago? Counting a million contacts takes longer than a page may.

What is slow to read is read in the background, once for everybody who looks; a page shows the last that is known.

What is quick to read is read anew for every page.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast
from weakref import WeakKeyDictionary

T = TypeVar("T")

PATIENCE = 0.1
"""Seconds that a page waits for what is being read."""

SHARE = 10
"""What took a second is read again after so many seconds at the earliest: reading costs no more than a tenth."""

_AT_ONCE = 4
"""Things that are read at the same time: the other connections are for what pages cannot do without."""

_MOST = 500
_QUICK = 0.03


@dataclass
class _Kept:
    value: Any = None
    known: bool = False
    at: float = 0.0
    cost: float = 0.0
    reading: asyncio.Task[None] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Known(Generic[T]):
    """What is known; None when it was never read so far."""

    value: T | None
    age: float
    """Seconds since it was read."""


class Remembered:
    """The memory of one process."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, _Kept] = {}
        # One for each event loop: several applications may live in one process, as they do in tests.
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

    async def get(
        self, key: Hashable, read: Callable[[], Awaitable[T]], *, patience: float = PATIENCE, least_age: float = 0.0
    ) -> Known[T]:
        """The value, read anew if that is quick or due, within the patience of a page.

        Args:
            key: what it is.
            read: reads it; an error is raised to whoever waits, and forgotten.
            patience: seconds to wait at most.
            least_age: seconds for which a value is good, however quick reading it is.
        """
        kept = self._kept.setdefault(key, _Kept())
        age = time.monotonic() - kept.at
        due = not kept.known or age >= max(least_age, 0.0 if kept.cost < _QUICK else kept.cost * SHARE)
        if due and kept.reading is None:
            kept.reading = asyncio.create_task(self._read(kept, read))
        if kept.reading is not None and due:
            reading = kept.reading
            await asyncio.wait({reading}, timeout=patience)
            if reading.done() and not reading.cancelled() and (error := reading.exception()) is not None:
                raise error
        self._forget()
        return Known(cast("T | None", kept.value), time.monotonic() - kept.at if kept.known else 0.0)

    def drop_all(self, meant: Callable[[Hashable], bool]) -> None:
        """Forgets what somebody has just changed."""
        for key in [key for key in self._kept if meant(key)]:
            del self._kept[key]

    async def _read(self, kept: _Kept, read: Callable[[], Awaitable[Any]]) -> None:
        try:
            loop = asyncio.get_running_loop()
            async with self._turns.setdefault(loop, asyncio.Semaphore(_AT_ONCE)):
                began = time.monotonic()
                kept.value = await read()
                kept.known, kept.at, kept.cost = True, time.monotonic(), time.monotonic() - began
        finally:
            kept.reading = None

    def _forget(self) -> None:
        if len(self._kept) > _MOST:
            oldest = sorted((key for key in self._kept if self._kept[key].reading is None), key=self._age)
            for key in oldest[: len(self._kept) - _MOST]:
                del self._kept[key]

    def _age(self, key: Hashable) -> float:
        return self._kept[key].at
