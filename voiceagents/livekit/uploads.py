"""How do recordings get from the folder into the bucket, whatever goes wrong in between?

A file stays in the folder until the bucket has all of it, so that nothing is lost with a process or a network: whoever
runs an agent on this folder next goes on. A recording of which retention or `voiceagents forget` has had the call
cleared meanwhile goes nowhere and is deleted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls import recordings
from voiceagents.calls.bucket import BucketProblem
from voiceagents.calls.models import Call
from voiceagents.calls.recorder import HistoryUnavailable
from voiceagents.calls.recording_store import RecordingStore

log = logging.getLogger("voiceagents.recordings")

Cleared = dict[UUID, bool]
Ask = Callable[[Callable[[AsyncSession], Awaitable[Cleared]]], Awaitable[Cleared]]

_LOOK = 5.0
"""Seconds between two looks into the folder. Recordings end in other threads and processes, and are seldom urgent."""

_LONGEST_PAUSE = 60.0
"""Seconds after which a bucket that refused is asked again at the latest."""


class Uploads:
    """Takes recordings into the bucket.

    Args:
        store: folder and bucket.
        ask: asks the history, in a transaction.

    Raises:
        ValueError: the store has no bucket.
    """

    def __init__(self, store: RecordingStore, ask: Ask) -> None:
        if store.bucket is None:
            raise ValueError("recordings stay in the folder: there is no bucket to take them to")
        self._store, self._data, self._bucket = store, store.data, store.bucket
        self._ask = ask

    async def run(self) -> None:
        """Uploads what there is and what comes, until it is cancelled."""
        pause, said = _LOOK, ""
        while True:
            try:
                await self.once()
                pause, said = _LOOK, ""
            except (BucketProblem, HistoryUnavailable, OSError) as error:
                pause = min(pause * 2, _LONGEST_PAUSE)
                # Which file it was that met the trouble first is no news.
                trouble = (error.mend if isinstance(error, BucketProblem) else "") or str(error)
                if trouble != said:
                    said = trouble
                    log.warning("RECORDINGS_WAITING | they stay in the folder until then | cause=%s", error)
            await asyncio.sleep(pause)

    async def once(self) -> int:
        """Uploads all recordings that are whole. Answers how many got there.

        Raises:
            BucketProblem: the bucket refused one; it and those behind it are still in the folder.
            HistoryUnavailable: so are they when the database is away.
        """
        waiting = recordings.all_whole(self._data)
        if not waiting:
            return 0
        cleared = await self._cleared(waiting)
        # A call that the history does not know yet waits for its facts.
        known = [call_id for call_id in waiting if call_id in cleared]
        done = [call_id for call_id in known if await self._upload(call_id, cleared=cleared[call_id])]
        if done:
            log.info("RECORDINGS_STORED | recordings=%d | in=%s", len(done), self._bucket.place)
        return len(done)

    async def _upload(self, call_id: UUID, *, cleared: bool) -> bool:
        with recordings.whole(self._data, call_id) as file:
            if file is None:
                return False
            if not cleared:
                await self._bucket.put(recordings.file_name(call_id), file)
            # Whoever clears a call holds its row until the files are deleted: from here on it is either done or sees
            # what we have stored.
            try:
                cleared = (await self._cleared([call_id], hold=True)).get(call_id, False)
            except HistoryUnavailable:
                await self._bucket.delete([recordings.file_name(call_id)])  # next time
                raise
            if cleared:
                await self._store.delete([call_id])
            else:
                recordings.delete(self._data, [call_id])
            return not cleared

    async def _cleared(self, call_ids: Sequence[UUID], *, hold: bool = False) -> Cleared:
        """Of those calls that are known, whether they were cleared."""
        asked = select(Call.id, Call.cleared_at.is_not(None)).where(Call.id.in_(call_ids))

        async def question(session: AsyncSession) -> Cleared:
            found = (await session.execute(asked.with_for_update(read=True) if hold else asked)).all()
            return {call_id: cleared for call_id, cleared in found}

        return await self._ask(question)
