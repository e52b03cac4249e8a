"""May this process take one more call? A hard limit, counted exactly.

The library's own limit is an estimate: it takes a place promised to a call that has not started yet for as much load as
all running calls have on average, or, in a process without calls, for all there is. Of several calls that come at once
to an idle process it would take one and refuse the others, and LiveKit offers a refused call to nobody a second time.
"""

import logging
import resource

from livekit.agents import AgentServer, JobRequest

from voiceagents import logs

log = logging.getLogger("voiceagents.worker")


def raise_file_limit() -> None:
    """Lets this process open as many files as it is allowed to: a call takes some fifty sockets, and many systems start
    processes with a limit of 1024 that each may raise itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Capacity:
    """The calls that one process may hold at a time."""

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        self._promised: set[str] = set()
        self._server: AgentServer | None = None

    def watch(self, server: AgentServer) -> None:
        """The server whose calls are counted."""
        self._server = server

    def taken(self) -> int:
        """Calls that run, and calls that were accepted and are about to run."""
        running = {info.job.id for info in self._server.active_jobs} if self._server else set[str]()
        return len(running | self._promised)

    def load(self) -> float:
        """The share of places taken, by which LiveKit chooses among workers; at 1 it offers nothing."""
        return min(1.0, self.taken() / self._max_calls)

    async def answer(self, request: JobRequest) -> None:
        """Accepts a call while there is a place for it; else another worker may have it."""
        if self.taken() >= self._max_calls:
            log.warning(
                "%s", logs.event("CALL_NOT_TAKEN", room=logs.room(request.room.name), cause="all places are taken")
            )
            await request.reject(terminate=False)
            return
        self._promised.add(request.id)
        try:
            await request.accept()
        finally:
            self._promised.discard(request.id)
