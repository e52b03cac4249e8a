"""How does a program that is told to stop put everything away first?

Ctrl-C, SIGTERM and a closed terminal all cancel its work, once; what it has in `finally` then runs undisturbed.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_interrupted(work: Coroutine[Any, Any, T], again: Callable[[], None] | None = None) -> T | None:
    """The result of the work, or None when a signal ended it; a second signal only calls `again`."""
    task = asyncio.ensure_future(work)
    interrupted = False

    def interrupt() -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            task.cancel()
        elif again is not None:
            again()

    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, interrupt)
    try:
        return await task
    except asyncio.CancelledError:
        if not interrupted:
            raise
        return None
    finally:
        for number in SIGNALS:
            loop.remove_signal_handler(number)


async def completely(step: Awaitable[T]) -> T:
    """The result of a step that cannot be left half done: when cancelled, it is waited for, and then cancelled."""
    task = asyncio.ensure_future(step)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
