"""Who ends a call? Whoever is first: one future that says how it ended, for all who hold the call."""

import asyncio
from datetime import UTC, datetime

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.states import EndedBy, Outcome


class CallControl:
    """The one future that says how a call ended.

    Whoever ends the call first is right; safe to set from any thread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[Ending] = self._loop.create_future()
        self.ended_at: datetime | None = None

    def end(self, ending: Ending) -> None:
        """Ends the call, unless it has ended already; to be called on the call's own loop."""
        if not self.ended.done():
            self.ended_at = datetime.now(UTC)
            self.ended.set_result(ending)

    def stopped(self) -> Ending:
        """The ending of a call whose job is cancelled: what ended it before, or else that."""
        self.end(Ending(Outcome.FAILED, "the worker was stopped during the call", EndedBy.SYSTEM))
        return self.ended.result()

    def end_from_outside(self, ending: Ending) -> None:
        """Ends the call from another thread."""
        self._loop.call_soon_threadsafe(self.end, ending)
