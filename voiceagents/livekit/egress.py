"""How is a call recorded by LiveKit Egress, where that runs? It is asked at the answer, and ends with the room.

With a bucket for recordings Egress is told to put its file there. Without one it writes into its own folder
LIVEKIT_EGRESS_FOLDER, which must be our folder of recordings, mounted there. Either way recordings are played, kept and
deleted like all others. Where Egress refuses, the agent records by itself.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import aiohttp
from livekit import api
from livekit.agents import AgentSession

from voiceagents.calls import recordings
from voiceagents.calls.records import CallRecorded, Fact
from voiceagents.livekit.recording import CallRecording
from voiceagents.settings import Settings

log = logging.getLogger("voiceagents.recordings")

_ANSWERS = 10.0
"""Seconds within which LiveKit must have started it."""


def request(room: str, call_id: UUID, settings: Settings) -> api.RoomCompositeEgressRequest:
    """What LiveKit is asked for: sound alone, the agent on a channel of its own, in a file that browsers play."""
    upload = _upload(settings)
    folder = settings.livekit_egress_folder if upload is None else settings.recordings_prefix
    file = api.EncodedFileOutput(
        file_type=api.EncodedFileType.OGG,
        filepath=f"{folder.rstrip('/')}/{recordings.file_name(call_id)}".removeprefix("" if upload is None else "/"),
        disable_manifest=True,
        s3=upload,
    )
    return api.RoomCompositeEgressRequest(
        room_name=room, audio_only=True, audio_mixing=api.AudioMixing.DUAL_CHANNEL_AGENT, file_outputs=[file]
    )


def _upload(settings: Settings) -> api.S3Upload | None:
    """Where Egress is to put its file by itself; without a key, by a key of its own."""
    if settings.recordings_bucket is None:
        return None
    key, secret = settings.aws_access_key or ("", "")
    return api.S3Upload(
        bucket=settings.recordings_bucket,
        region=settings.aws_region,
        endpoint=settings.aws_endpoint_url or "",
        force_path_style=settings.aws_endpoint_url is not None,
        access_key=key,
        secret=secret,
    )


class EgressRecording:
    """The recording of one call by LiveKit Egress.

    Args:
        call_id: whose recording it is.
        livekit: LiveKit's API.
        room: the call's room.
        settings: where recordings stay.
        write: takes the facts that are to be written down.
        otherwise: records when Egress does not.
    """

    def __init__(
        self,
        call_id: UUID,
        livekit: api.LiveKitAPI,
        room: str,
        settings: Settings,
        write: Callable[[Fact], None],
        otherwise: CallRecording,
    ) -> None:
        self._call_id = call_id
        self._livekit = livekit
        self._request = request(room, call_id, settings)
        self._write = write
        self._otherwise = otherwise
        self._starting: asyncio.Task[None] | None = None

    def attach(self, session: AgentSession[Any]) -> None:
        """Makes ready to record without Egress, should it come to that."""
        self._otherwise.attach(session)

    async def begin(self) -> None:
        """Somebody has answered: Egress is asked, and nobody waits for it."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())

    async def finish(self) -> None:
        """The call is over; Egress ends with the room. May be called again."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            await asyncio.wait({self._starting})
        await self._otherwise.finish()

    async def _start(self) -> None:
        started_at = datetime.now(UTC)
        try:
            async with asyncio.timeout(_ANSWERS):
                info = await self._livekit.egress.start_room_composite_egress(self._request)
        except (api.ServerError, aiohttp.ClientError, TimeoutError) as error:
            log.warning(
                "EGRESS_REFUSED | call=%s | the agent records by itself | cause=%s",
                self._call_id,
                str(error) or type(error).__name__,
            )
            await self._otherwise.begin()
            return
        log.info("EGRESS_STARTED | call=%s | egress=%s", self._call_id, info.egress_id)
        self._write(
            CallRecorded(call_id=self._call_id, file=recordings.file_name(self._call_id), started_at=started_at)
        )
