"""How do facts get from a call into the database without the call ever waiting for it?

One recorder per process, with one thread, one small pool and one ordered outbox for all calls. Facts are written in
the order they happened. While the database is away they wait; when the process must end before it is back, they go to
a file that the next recorder of this machine reads.
"""

import asyncio
import fcntl
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar
from uuid import uuid4

from pydantic import ValidationError
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError
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
        self._taken_up: list[tuple[Path, BinaryIO]] = []
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
        self._flush_soon(seconds).result()
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result()
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
        await asyncio.wait({self._writer}, timeout=2)
        if self._outbox:
            self._spool_rest()
        with suppress(SQLAlchemyError, OSError, TimeoutError):
            async with asyncio.timeout(2):
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
            except Exception as error:  # noqa: BLE001  whatever goes wrong with one batch, the facts wait and the writer lives
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
        except (SQLAlchemyError, ValueError, TypeError) as error:
            if not _blames_the_fact(error):
                raise
        for fact in batch:
            try:
                async with self._database.transaction() as session:
                    await history.write(session, fact)
            except (SQLAlchemyError, ValueError, TypeError) as error:
                if not _blames_the_fact(error):
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
        # A file is deleted only when its facts are in the database, so that a crash in between reads it again. Until
        # then it is locked, and the lock goes with the process.
        for path in sorted(self._spool.glob("*.jsonl")):
            file = _taken(path)
            if file is None:
                continue
            facts: list[Fact] = []
            unreadable: list[bytes] = []
            for line in file.read().splitlines():
                try:
                    facts.append(FACT.validate_json(line))
                except ValidationError:
                    unreadable.append(line)
            if unreadable:
                kept = path.with_suffix(".unreadable")
                kept.touch(mode=0o600)
                kept.write_bytes(b"\n".join(unreadable) + b"\n")
                log.error("HISTORY_UNREADABLE | lines=%d | kept_in=%s", len(unreadable), kept)
            self._outbox.extend(facts)
            self._taken_up.append((path, file))
            log.info("HISTORY_RESUMED | facts=%d | file=%s", len(facts), path)
        if not self._outbox:
            self._forget_spool()

    def _forget_spool(self) -> None:
        while self._taken_up:
            path, file = self._taken_up.pop()
            path.unlink(missing_ok=True)
            file.close()


def _taken(path: Path) -> BinaryIO | None:
    """The file, locked for us; None when another recorder of this machine has it, or has just done with it."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(file.fileno()).st_nlink:
            return file
    except BlockingIOError:
        pass
    file.close()
    return None


def _blames_the_fact(error: Exception) -> bool:
    """True when the fact can never be written, whoever tries; False when it is worth waiting."""
    if not isinstance(error, DBAPIError):
        return isinstance(error, (StatementError, ValueError, TypeError))
    if error.connection_invalidated:
        return False
    sqlstate: str | None = getattr(error.orig, "sqlstate", None)
    # Class 22: the data, 23: a constraint, 54: too long for an index.
    return isinstance(error, (DataError, IntegrityError)) or (sqlstate or "")[:2] in ("22", "23", "54")


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "orig", None) or error).strip()
    return (text.splitlines() or [type(error).__name__])[0][:200] or type(error).__name__
