"""Where is the recording of a call, and how does a browser get it?"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from fastapi.responses import FileResponse, Response
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Call
from voiceagents.settings import Settings

_TYPES = {".ogg": "audio/ogg", ".mp3": "audio/mpeg", ".wav": "audio/wav", ".mp4": "audio/mp4", ".m4a": "audio/mp4"}


@dataclass(frozen=True)
class Recording:
    """A recording on this machine."""

    path: Path
    started_at: datetime | None

    async def response(self) -> Response:
        """The file, with ranges."""
        return FileResponse(self.path, media_type=_TYPES.get(self.path.suffix, "application/octet-stream"))


async def recording_of(session: AsyncSession, settings: Settings, call: Call) -> Recording | None:
    """The call's recording, if there is one and its file lies in the data folder."""
    found = call.details.get("recording")
    if not isinstance(found, dict):
        return None
    kept = cast("dict[str, object]", found)
    folder = (settings.voiceagents_data / "recordings").resolve()
    path = (folder / str(kept.get("file", ""))).resolve()
    if not path.is_relative_to(folder) or not path.is_file():
        return None
    started = kept.get("started_at")
    return Recording(path, datetime.fromisoformat(started) if isinstance(started, str) else None)
