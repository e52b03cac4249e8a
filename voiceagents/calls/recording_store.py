"""Where do the recordings of an installation stay? In the folder of recordings, and, where there is a bucket, in that:
then the folder only holds what has not got there yet.
"""

import asyncio
from collections.abc import Collection
from pathlib import Path
from uuid import UUID

from voiceagents.calls import recordings
from voiceagents.calls.bucket import Bucket
from voiceagents.settings import Settings

_AT_ONCE = 16
"""Questions to a bucket at the same time."""


class RecordingStore:
    """Folder and bucket together.

    Args:
        data: the data folder, in which the folder of recordings is.
        bucket: where recordings get after their call, if anywhere.
    """

    def __init__(self, data: Path, bucket: Bucket | None = None) -> None:
        self.data = data
        self.bucket = bucket

    @classmethod
    def of(cls, settings: Settings) -> "RecordingStore":
        """The one that the settings name."""
        return cls(settings.voiceagents_data, Bucket.of(settings))

    async def existing(self, call_ids: Collection[UUID]) -> list[UUID]:
        """Of which of these calls a recording is there.

        Raises:
            BucketProblem: the bucket does not say.
        """
        here = set(recordings.existing(self.data, call_ids))
        if self.bucket is None:
            return [call_id for call_id in call_ids if call_id in here]
        bucket, turn = self.bucket, asyncio.Semaphore(_AT_ONCE)

        async def there(call_id: UUID) -> bool:
            async with turn:
                return await bucket.size(recordings.file_name(call_id)) is not None

        elsewhere = [call_id for call_id in call_ids if call_id not in here]
        found = dict(zip(elsewhere, await asyncio.gather(*map(there, elsewhere)), strict=True))
        return [call_id for call_id in call_ids if call_id in here or found[call_id]]

    async def delete(self, call_ids: Collection[UUID]) -> None:
        """Deletes the recordings of these calls, one that is just being made included.

        Raises:
            BucketProblem: those in the bucket may be left.
        """
        if self.bucket is not None:
            await self.bucket.delete(map(recordings.file_name, call_ids))
        recordings.delete(self.data, call_ids)
