"""How does a file get into an S3-compatible bucket, and back out of it?

Every error says what was refused, by whom, and what to mend; nothing is tried for longer than half a minute.
"""

import re
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from typing import IO, Any

import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from voiceagents.settings import Settings

_LONGEST = timedelta(seconds=30)
_CONNECTS = timedelta(seconds=5)
_CHUNK = 256 * 1024
"""Bytes that are handed on at a time."""

_CODE = re.compile(r"<Code>([^<]*)</Code>")
_SAID = re.compile(r"<Message>([^<]*)</Message>")
_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_MENDS = {
    "InvalidAccessKeyId": _KEYS,
    "SignatureDoesNotMatch": _KEYS,
    "AccessDenied": f"{_KEYS}; they must be allowed to list, get, put and delete in the bucket",
    "NoSuchBucket": "make the bucket, or set RECORDINGS_BUCKET to one that exists",
    "PermanentRedirect": "set AWS_REGION to the bucket's region",
    "AuthorizationHeaderMalformed": "set AWS_REGION to the bucket's region",
}


class BucketProblem(Exception):
    """The bucket did not do what was asked; the text says how to mend it.

    Args:
        said: what it did not do, and why.
        mend: what to do about it; empty when nobody knows.
    """

    def __init__(self, said: str, mend: str) -> None:
        super().__init__(f"{said}; {mend}." if mend else f"{said}.")
        self.said, self.mend = said, mend


class Bucket:
    """A folder in a bucket.

    Args:
        name: the bucket's.
        prefix: the folder; empty for the bucket itself.
        endpoint: an S3-compatible server; None for Amazon's.
        region: the bucket's.
        access_key: with its secret; None where the machine has a role of its own at Amazon.
    """

    def __init__(
        self, name: str, *, prefix: str, endpoint: str | None, region: str, access_key: tuple[str, str] | None
    ) -> None:
        self.place = f"s3://{name}/{prefix.strip('/')}".rstrip("/")
        keys: dict[str, Any] = (
            {} if access_key is None else {"access_key_id": access_key[0], "secret_access_key": access_key[1]}
        )
        if endpoint is not None:
            keys["endpoint"] = endpoint.rstrip("/")
        self._at = endpoint or "Amazon S3"
        self._store = S3Store(
            name,
            prefix=prefix.strip("/") or None,
            region=region,
            client_options={
                "allow_http": (endpoint or "").startswith("http:"),
                "connect_timeout": _CONNECTS,
                "timeout": _LONGEST,
            },
            retry_config={"max_retries": 2, "retry_timeout": _LONGEST},
            **keys,
        )

    @classmethod
    def of(cls, settings: Settings) -> "Bucket | None":
        """The one that the settings name."""
        if settings.recordings_bucket is None:
            return None
        return cls(
            settings.recordings_bucket,
            prefix=settings.recordings_prefix,
            endpoint=settings.aws_endpoint_url,
            region=settings.aws_region,
            access_key=settings.aws_access_key,
        )

    async def put(self, name: str, file: IO[bytes]) -> None:
        """Stores a file; whoever sees it sees all of it.

        Raises:
            BucketProblem: it is not stored.
        """
        with self._explained(f"{name} was not stored"):
            await obstore.put_async(self._store, name, file, attributes={"Content-Type": "audio/ogg"})

    async def size(self, name: str) -> int | None:
        """How many bytes a file has; None when there is no such file.

        Raises:
            BucketProblem: nobody knows.
        """
        with self._explained(f"{name} cannot be looked for"):
            try:
                return (await obstore.head_async(self._store, name))["size"]
            except FileNotFoundError:
                return None

    async def read(self, name: str, start: int, stop: int) -> AsyncIterator[bytes]:
        """The bytes of a file from `start` up to but without `stop`, piece by piece.

        Raises:
            BucketProblem: the first of them did not come.
        """
        with self._explained(f"{name} cannot be read"):
            result = await obstore.get_async(self._store, name, options={"range": (start, stop)})
        return _pieces(result)

    async def delete(self, names: Iterable[str]) -> None:
        """Deletes files; those that are not there are gone already.

        Raises:
            BucketProblem: some may be left.
        """
        wanted = list(names)
        if not wanted:
            return
        with self._explained("recordings were not deleted"):
            await obstore.delete_async(self._store, wanted)

    async def look(self) -> None:
        """Asks whether the bucket is there and lets us in; changes nothing.

        Raises:
            BucketProblem: it is not, or does not.
        """
        with self._explained("it cannot be listed"):
            async for _ in obstore.list(self._store, chunk_size=1):  # pyright: ignore[reportUnknownMemberType]
                break

    async def check(self) -> None:
        """Writes a small file and deletes it.

        Raises:
            BucketProblem: recordings would not be stored either.
        """
        name = ".voiceagents-check"
        with self._explained("a file for trial was not stored"):
            await obstore.put_async(self._store, name, b"written by voiceagents, to see whether it may")
        with self._explained("the file for trial was not deleted"):
            await obstore.delete_async(self._store, [name])

    @contextmanager
    def _explained(self, what: str) -> Generator[None]:
        try:
            yield
        except (BaseError, FileNotFoundError, OSError, ValueError) as error:
            reason, mend = _explanation(error)
            raise BucketProblem(f"{self.place} at {self._at}: {what}: {reason}", mend) from error


async def _pieces(result: Any) -> AsyncIterator[bytes]:
    async for piece in result.stream(min_chunk_size=_CHUNK):
        yield bytes(piece)


def _explanation(error: Exception) -> tuple[str, str]:
    """What an error of the library's means, and the mend."""
    text = str(error).split("\n\nDebug source")[0]
    code = found.group(1) if (found := _CODE.search(text)) else ""
    if code:
        said = found.group(1) if (found := _SAID.search(text)) else ""
        reason = f"{said.strip().rstrip('.')} ({code})" if said else code
        mend = _MENDS.get(code) or (_KEYS if "access key" in said else "")
    else:
        reason = " ".join(text.split())[:300].rstrip(".: ")
        refused = isinstance(error, (PermissionDeniedError, UnauthenticatedError))
        mend = (
            _MENDS["AccessDenied"] if refused else "check that AWS_ENDPOINT_URL is right and the server can be reached"
        )
    return reason, mend
