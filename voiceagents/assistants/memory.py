"""What did a source last say, and how long ago? Answers of a source, kept for a while by every call of a process.

A fresh answer saves the question. An old one serves when the source does not answer any more: yesterday's assistant is
better than none.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

KEPT = 24 * 3600.0
"""Seconds for which an answer may stand in for a source that fails."""

_MOST = 10_000


@dataclass(frozen=True)
class Kept(Generic[T]):
    """An answer and its age in seconds."""

    value: T
    age: float


class Memory(Generic[T]):
    """Answers by question, safe to use from several threads."""

    def __init__(self, most: int = _MOST) -> None:
        self._kept: OrderedDict[Hashable, tuple[T, float]] = OrderedDict()
        self._lock = threading.Lock()
        self._most = most

    def keep(self, question: Hashable, answer: T) -> None:
        """Keeps an answer; the one that was not asked for longest makes room."""
        with self._lock:
            self._kept[question] = (answer, time.monotonic())
            self._kept.move_to_end(question)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)

    def recall(self, question: Hashable, seconds: float = KEPT) -> Kept[T] | None:
        """The last answer, if it is not older than so many seconds."""
        with self._lock:
            if (found := self._kept.get(question)) is None:
                return None
            age = time.monotonic() - found[1]
            if age > seconds:
                return None
            self._kept.move_to_end(question)
            return Kept(found[0], age)
