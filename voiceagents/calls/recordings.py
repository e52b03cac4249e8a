"""Where are the recordings of calls, and how do they get there whole?

A folder beside the history, one file a call, named after its id. While a call is recorded its file has another name
and is locked; the lock goes with the process, so that what a killed agent left is known and kept.
"""

import fcntl
import logging
import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

log = logging.getLogger("voiceagents.recordings")

SUFFIX = ".ogg"
"""Opus in Ogg, two channels: left the person, right the assistant."""

_UNFINISHED = f"{SUFFIX}.part"


def folder(data: Path) -> Path:
    """Where recordings are, in the data folder of an installation."""
    return data / "recordings"


def file_name(call_id: UUID) -> str:
    """The name of a call's recording in the folder."""
    return f"{call_id}{SUFFIX}"


class Unfinished:
    """A recording that is being made: a file that only its owner reads, locked until it is whole.

    Raises:
        OSError: the folder cannot be written, or the call is being recorded already.
    """

    def __init__(self, data: Path, call_id: UUID) -> None:
        place = folder(data)
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path = place / f"{call_id}{_UNFINISHED}"
        self._target = place / file_name(call_id)
        self._lock = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise

    def keep(self) -> bool:
        """Gives the file its name, in one step. False when nothing was recorded, or it was deleted meanwhile."""
        try:
            return _kept(self.path, self._target)
        finally:
            os.close(self._lock)


def salvage(data: Path) -> list[UUID]:
    """Keeps what processes that are gone had recorded of their calls."""
    kept: list[UUID] = []
    for path in folder(data).glob(f"*{_UNFINISHED}"):
        call_id = _call_of(path)
        try:
            lock = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if call_id is not None and _kept(path, path.with_name(file_name(call_id))):
                kept.append(call_id)
        except BlockingIOError:
            pass  # it is being made
        finally:
            os.close(lock)
    if kept:
        log.warning("RECORDINGS_SALVAGED | recordings=%d", len(kept))
    return kept


@contextmanager
def whole(data: Path, call_id: UUID) -> Generator[BinaryIO | None]:
    """The recording of a call, open and held against others who ask for it here; None when it is gone or held."""
    try:
        file = (folder(data) / file_name(call_id)).open("rb")
    except FileNotFoundError:
        yield None
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file if os.fstat(file.fileno()).st_nlink else None


def all_whole(data: Path) -> list[UUID]:
    """Of which calls the recording in the folder is whole."""
    found = (_call_of(path, SUFFIX) for path in folder(data).glob(f"*{SUFFIX}"))
    return [call_id for call_id in found if call_id is not None]


def existing(data: Path, call_ids: Iterable[UUID]) -> list[UUID]:
    """Of which of these calls a recording is there."""
    return [call_id for call_id in call_ids if any(path.exists() for path in _files(data, call_id))]


def delete(data: Path, call_ids: Iterable[UUID]) -> int:
    """Deletes the recordings of these calls, one that is just being made included. Answers how many there were."""
    deleted = 0
    for call_id in call_ids:
        there = [path for path in _files(data, call_id) if path.exists()]
        for path in there:
            path.unlink(missing_ok=True)
        deleted += bool(there)
    return deleted


def _files(data: Path, call_id: UUID) -> Iterator[Path]:
    place = folder(data)
    yield place / file_name(call_id)
    yield place / f"{call_id}{_UNFINISHED}"


def _call_of(path: Path, suffix: str = _UNFINISHED) -> UUID | None:
    try:
        return UUID(path.name.removesuffix(suffix))
    except ValueError:
        return None


def _kept(path: Path, target: Path) -> bool:
    try:
        if path.stat().st_size == 0:
            path.unlink(missing_ok=True)
            return False
        os.replace(path, target)
    except FileNotFoundError:
        return False
    return True
