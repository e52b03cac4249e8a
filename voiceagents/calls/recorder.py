"""How do facts get from a call into the database without the call ever waiting for it?

One recorder per process, with one thread, one small pool and one ordered outbox for all calls. Facts are written in
the order they happened. While the database is away they wait; when the process must end before it is back, they go to
a file that the next recorder of this machine reads.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls import history
from voiceagents.calls.records import FACT, Fact
from voiceagents.db import Database

log = logging.getLogger("voiceagents.history")

T = TypeVar("T")
_BATCH = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0


class HistoryUnavailable(Exception):
    """The database did not answer in time.

    Nobody may be dialled on its behalf.
    """


class Recorder:
    """Writes facts in order, in the background.

    Safe to use from any thread and any event loop.
        Args:
            url: the database.
            spool: folder for facts that could not be written before the process ended.
            pool_size: connections kept at most.
    """

    def __init__(self, url: str, spool: Path, *, pool_size: int = 3) -> None:
        self._url = url
        self._spool = spool
        self._pool_size = pool_size
        self._outbox: deque[Fact] = deque()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="history", daemon=True)
        self._taken_up: list[Path] = []
        self._closing = False

    def start(self) -> None:
        """Starts the thread, and takes up what an earlier process left in the spool."""
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._prepare(), self._loop).result()

    def write(self, fact: Fact) -> None:
        """Puts a fact into the outbox.

        Returns at once and never fails.
        """
        self._loop.call_soon_threadsafe(self._append, fact)

    async def ask(
        self, question: Callable[[AsyncSession], Awaitable[T]], *, seconds: float = 5.0, after_writes: bool = True
    ) -> T:
        """Runs one transaction and returns its result.

        With `after_writes`, facts written before it are in the database by then.
                Raises:
                    HistoryUnavailable: no answer within `seconds`, or the database refused.
        """
        asked = asyncio.run_coroutine_threadsafe(self._answer(question, seconds, after_writes), self._loop)
        return await asyncio.wrap_future(asked)

    async def flushed(self, *, seconds: float = 10.0) -> bool:
        """Waits until everything written so far is in the database.

        False when time ran out.
        """
        return await asyncio.wrap_future(self._flush_soon(seconds))

    def close(self, *, seconds: float = 10.0) -> None:
        """Writes what is left, to the database or else to the spool, and stops the thread."""
        if self._closing:
            return
        self._closing = True
        if not self._flush_soon(seconds).result():
            self._spool_rest()
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(timeout=seconds)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=seconds)

    # Below, everything runs on the recorder's own loop.

    async def _prepare(self) -> None:
        self._database = Database(self._url, pool_size=self._pool_size, wait=5.0)
        self._changed = asyncio.Condition()
        self._read_spool()
        self._writer = asyncio.create_task(self._write_all())

    async def _stop(self) -> None:
        self._writer.cancel()
        with suppress(asyncio.CancelledError):
            await self._writer
        await self._database.close()

    def _append(self, fact: Fact) -> None:
        self._outbox.append(fact)
        self._wake = asyncio.ensure_future(self._notify())

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def _answer(self, question: Callable[[AsyncSession], Awaitable[T]], seconds: float, after: bool) -> T:
        try:
            async with asyncio.timeout(seconds):
                if after:
                    await self._flush()
                async with self._database.transaction() as session:
                    return await question(session)
        except (TimeoutError, SQLAlchemyError, OSError) as error:
            raise HistoryUnavailable(f"the database did not answer ({_reason(error)})") from error

    def _flush_soon(self, seconds: float) -> "Future[bool]":
        async def flush() -> bool:
            try:
                async with asyncio.timeout(seconds):
                    await self._flush()
            except TimeoutError:
                return False
            return True

        return asyncio.run_coroutine_threadsafe(flush(), self._loop)

    async def _flush(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: not self._outbox)

    async def _write_all(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._outbox))
            batch = [self._outbox[i] for i in range(min(_BATCH, len(self._outbox)))]
            try:
                written = await self._write_batch(batch)
            except (SQLAlchemyError, OSError) as error:
                log.warning(
                    "HISTORY_WAITING | facts=%d | retry_in=%.1fs | cause=%s", len(self._outbox), pause, _reason(error)
                )
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            for _ in range(written):
                self._outbox.popleft()
            if not self._outbox:
                self._forget_spool()
            await self._notify()

    async def _write_batch(self, batch: list[Fact]) -> int:
        """Writes the batch in one transaction, or, when one fact is refused for what it holds, all before it one by
        one."""
        try:
            async with self._database.transaction() as session:
                for fact in batch:
                    await history.write(session, fact)
            return len(batch)
        except DBAPIError as error:
            if _is_away(error):
                raise
        for fact in batch:
            try:
                async with self._database.transaction() as session:
                    await history.write(session, fact)
            except DBAPIError as error:
                if _is_away(error):
                    raise
                # A fact that the database will never take must not hold up all that come after it.
                log.exception("HISTORY_FACT_REFUSED | call=%s | fact=%s", fact.call_id, fact.fact)
        return len(batch)

    def _spool_rest(self) -> None:
        self._spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = self._spool / f"{time.time_ns()}-{uuid4().hex[:8]}.jsonl"
        unfinished = target.with_suffix(".part")
        with unfinished.open("wb") as file:
            unfinished.chmod(0o600)
            for fact in self._outbox:
                file.write(FACT.dump_json(fact) + b"\n")
        unfinished.rename(target)
        self._forget_spool()
        log.warning("HISTORY_SPOOLED | facts=%d | file=%s", len(self._outbox), target)

    def _read_spool(self) -> None:
        # A file is deleted only when its facts are in the database, so that a crash in between reads it again.
        for file in sorted(self._spool.glob("*.jsonl*")):
            mine = file.with_name(f"{file.name.split('.')[0]}.jsonl.{uuid4().hex[:8]}")
            try:
                file.rename(mine)
            except FileNotFoundError:
                continue  # another worker of this machine took it first
            facts = [FACT.validate_json(line) for line in mine.read_bytes().splitlines() if line.strip()]
            self._outbox.extend(facts)
            self._taken_up.append(mine)
            log.info("HISTORY_RESUMED | facts=%d | file=%s", len(facts), file)

    def _forget_spool(self) -> None:
        while self._taken_up:
            self._taken_up.pop().unlink(missing_ok=True)


def _is_away(error: DBAPIError) -> bool:
    """True when the server is not there, False when it is there and refuses what we wrote."""
    sqlstate: str | None = getattr(error.orig, "sqlstate", None)
    # Class 08: connection; 57: operator intervention (shutting down, starting up); 53: out of resources; 40:
    # serialisation, try again.
    return sqlstate is None or sqlstate[:2] in ("08", "57", "53", "40") or error.connection_invalidated


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "orig", None) or error).strip()
    return (text.splitlines() or [type(error).__name__])[0][:200] or type(error).__name__
