"""What runs on after its request was answered? Tasks of this process, which end with it."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger("voiceagents.web")


class Background:
    """Keeps tasks from being forgotten: what goes wrong in one is logged, and all are ended in order."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Begins the work."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """Ends what still runs."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("BACKGROUND_FAILED | task=%s", task.get_name(), exc_info=error)
