"""Was this very request carried out already? A client that does not know whether its request came through sends it
again with the same `Idempotency-Key`, and gets the first one's answer.

Answers that are errors are not kept: nothing was done, and the mended request may use the same key. When the process
dies in the middle nobody knows what was done: the key is refused, for a telephone is not dialled on a guess.
"""

import hashlib
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Annotated, Any

from fastapi import Header, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert

from voiceagents import clock
from voiceagents.text import storable
from voiceagents.web.csrf import session_cookie
from voiceagents.web.models import IdempotencyKey
from voiceagents.web.problems import Problem
from voiceagents.web.state import database_of
from voiceagents.web.tokens import hash_of

HEADER = "Idempotency-Key"
LASTS = timedelta(hours=24)
_LONGEST = 200
_KEPT_HEADERS = {"content-type", "location", "etag"}

Documented = Annotated[
    str | None,
    Header(
        alias=HEADER,
        max_length=_LONGEST,
        description="Any text of your choice, such as a UUID. The same key again, within a day, gets the same answer "
        "and does nothing twice.",
    ),
]


class IdempotentRoute(APIRoute):
    """A route whose POST is carried out once for each key."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def once(request: Request) -> Response:
            key = request.headers.get(HEADER)
            if request.method != "POST" or not key:
                return await handle(request)
            if len(key) > _LONGEST:
                raise Problem(422, "The key is too long", f"{HEADER}: at most {_LONGEST} characters.", kind="invalid")
            return await _once(request, storable(key), handle)

        return once


async def _once(request: Request, key: str, handle: Callable[[Request], Coroutine[Any, Any, Response]]) -> Response:
    database = database_of(request)
    actor, asked = _actor(request), await _hash(request)
    which = (IdempotencyKey.actor == actor, IdempotencyKey.key == key)
    async with database.transaction() as session:
        await session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < clock.now() - LASTS))
        made = await session.scalar(
            insert(IdempotencyKey)
            .values(actor=actor, key=key, request_hash=asked, created_at=clock.now())
            .on_conflict_do_nothing()
            .returning(IdempotencyKey.key)
        )
        before = None if made is not None else await session.scalar(select(IdempotencyKey).where(*which))
    if before is not None:
        return _repeated(before, asked)
    answered: Response | None = None
    try:
        answered = await handle(request)
        return answered
    finally:
        done = answered is not None and answered.status_code < 400
        async with database.transaction() as session:
            if answered is not None and done:
                headers = [[n.decode("latin-1"), v.decode("latin-1")] for n, v in answered.raw_headers]
                kept = [pair for pair in headers if pair[0].lower() in _KEPT_HEADERS]
                await session.execute(
                    update(IdempotencyKey)
                    .where(*which)
                    .values(status=answered.status_code, headers=kept, body=bytes(answered.body))
                )
            else:
                await session.execute(delete(IdempotencyKey).where(*which))


def _repeated(before: IdempotencyKey, asked: bytes) -> Response:
    if before.request_hash != asked:
        raise Problem(
            422,
            "The key belongs to another request",
            f"This {HEADER} was used with a different request; take a new one for each thing you want done.",
            kind="idempotency-key-reused",
        )
    if before.status is None:
        raise Problem(
            409,
            "The first request with this key has no answer yet",
            "It is being carried out, or was cut off and nobody knows how far it came: look at the list before you "
            "try with a new key.",
            kind="idempotency-key-in-use",
            headers={"Retry-After": "2"},
        )
    headers = {name: value for name, value in before.headers} | {"Idempotent-Replay": "true"}
    return Response(before.body, status_code=before.status, headers=headers)


def _actor(request: Request) -> str:
    """Who asks, without a look at whether they may: that is seen when the request is carried out."""
    proof = request.headers.get("authorization") or request.cookies.get(session_cookie(request)) or ""
    return hash_of(proof).hex()


async def _hash(request: Request) -> bytes:
    """What is asked. A file is not read for it: its length will do."""
    digest = hashlib.sha256(f"{request.url.path}?{request.url.query}\n".encode(errors="replace"))
    if request.headers.get("content-type", "").startswith("multipart/"):
        digest.update(request.headers.get("content-length", "").encode())
    else:
        digest.update(await request.body())
    return digest.digest()
