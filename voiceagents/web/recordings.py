"""How do browsers and programs get the recording of a call? From the folder or the bucket, in parts where asked for,
always through this application: who may not see the call does not hear it either.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from fastapi.responses import FileResponse, Response, StreamingResponse

from voiceagents.calls import recordings
from voiceagents.calls.bucket import Bucket
from voiceagents.calls.models import Call
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.calls.states import CallState
from voiceagents.web.problems import Problem

_TYPES = {".ogg": "audio/ogg", ".mp3": "audio/mpeg", ".wav": "audio/wav", ".mp4": "audio/mp4", ".m4a": "audio/mp4"}


@dataclass(frozen=True)
class ByteRange:
    """The bytes that are wanted: from the first to the last, or to the end; or the last so many."""

    first: int | None
    last: int | None

    @classmethod
    def parse(cls, header: str | None) -> "ByteRange | None":
        """What a `Range` header asks for (RFC 9110, 14.2); None, for everything, where it is none that we serve."""
        found = re.fullmatch(r"bytes=(\d{0,15})-(\d{0,15})", (header or "").replace(" ", ""))
        if found is None or not any(found.groups()):
            return None
        first, last = (int(number) if number else None for number in found.groups())
        if first is not None and last is not None and last < first:
            return None
        return cls(first, last)

    def within(self, size: int) -> tuple[int, int] | None:
        """Start and stop in a file of so many bytes; None where it has none of them."""
        if self.first is None:
            start, stop = max(0, size - (self.last or 0)), size
        else:
            start, stop = self.first, size if self.last is None else min(self.last + 1, size)
        return (start, stop) if start < stop else None


@dataclass(frozen=True)
class Recording:
    """A recording that is there: a file here, or so many bytes in the bucket."""

    name: str
    started_at: datetime | None
    place: Path | tuple[Bucket, int]

    async def response(self, wanted: str | None) -> Response:
        """The audio, or the part that a `Range` header wants.

        Raises:
            BucketProblem: it cannot be read.
            Problem: 416.
        """
        kind = _TYPES.get(Path(self.name).suffix, "application/octet-stream")
        if isinstance(self.place, Path):
            return FileResponse(self.place, media_type=kind)
        bucket, size = self.place
        asked = ByteRange.parse(wanted)
        part = (0, size) if asked is None else asked.within(size)
        if part is None:
            words = f"The recording has {size} bytes: ask for some of these, or leave out Range."
            raise Problem(
                416, "There is no such part", words, kind="range", headers={"Content-Range": f"bytes */{size}"}
            )
        start, stop = part
        headers = {"Accept-Ranges": "bytes", "Content-Length": str(stop - start)}
        if asked is not None:
            headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        chunks = await bucket.read(self.name, start, stop)
        return StreamingResponse(chunks, 200 if asked is None else 206, headers, media_type=kind)


async def recording_of(store: RecordingStore, call: Call) -> Recording | None:
    """The call's recording, if there is one.

    Raises:
        BucketProblem: the bucket does not say.
    """
    found = call.details.get("recording")
    if not isinstance(found, dict):
        return None
    kept = cast("dict[str, object]", found)
    started = kept.get("started_at")
    started_at = datetime.fromisoformat(started) if isinstance(started, str) else None
    folder = recordings.folder(store.data).resolve()
    path = (folder / str(kept.get("file", ""))).resolve()
    if path.parent != folder:
        return None
    name = path.name
    if path.is_file():
        return Recording(name, started_at, path)
    if store.bucket is None or call.state is not CallState.ENDED:
        return None
    size = await store.bucket.size(name)
    return None if not size else Recording(name, started_at, (store.bucket, size))
