"""How does a file get into an S3-compatible bucket, and back out of it?

Every error says what was refused, by whom, and what to mend; nothing is tried for longer than half a minute.
"""

import re
from collections.abc import AsyncIterator, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
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
    """The bucket did not do what was asked; the text says how to mend it."""


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
        secret = settings.aws_secret_access_key
        key = settings.aws_access_key_id
        return cls(
            settings.recordings_bucket,
            prefix=settings.recordings_prefix,
            endpoint=settings.aws_endpoint_url,
            region=settings.aws_region,
            access_key=(key, secret.get_secret_value()) if key is not None and secret is not None else None,
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
            raise BucketProblem(f"{self.place} at {self._at}: {what}: {_words(error)}.") from error


async def _pieces(result: Any) -> AsyncIterator[bytes]:
    async for piece in result.stream(min_chunk_size=_CHUNK):
        yield bytes(piece)


def _words(error: Exception) -> str:
    """What an error of the library's means, in a sentence with the mend."""
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
    return f"{reason}; {mend}" if mend else reason
