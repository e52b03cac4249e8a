"""How much may a request bring? Enough for any form; a file as long as a list of contacts only from somebody we know,
which is found out before the rest of it is read."""

from fastapi import Request
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voiceagents.web.auth import optional_user
from voiceagents.web.problems import Problem, answer

ANYBODY, SOMEBODY = 2 << 20, 2 << 30
"""Bytes: from anybody, and from who is signed in or has a key."""


class BodyLimit:
    """Stops reading where it is too much."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        allowed, read = ANYBODY, 0

        async def counted() -> Message:
            nonlocal allowed, read
            message = await receive()
            read += len(message.get("body", b""))
            if read > allowed:
                try:
                    allowed = await _allowed(request)
                except Problem as problem:
                    # Whoever reads the body lets only this kind of error through.
                    raise HTTPException(problem.status, str(problem), headers=problem.headers) from None
                if read > allowed:
                    raise HTTPException(413, _words(allowed))
            return message

        announced = request.headers.get("content-length", "")
        if announced.isdigit() and int(announced) > ANYBODY:
            try:
                allowed = await _allowed(request)
            except Problem as problem:
                await answer(request, problem)(scope, receive, send)
                return
            if int(announced) > allowed:
                problem = Problem(413, "Too long", _words(allowed), kind="too-long")
                await answer(request, problem)(scope, receive, send)
                return
        await self._app(scope, counted, send)


async def _allowed(request: Request) -> int:
    return ANYBODY if await optional_user(request) is None else SOMEBODY


def _words(allowed: int) -> str:
    if allowed == ANYBODY:
        return f"More than {ANYBODY >> 20} MB are taken only from who is signed in."
    return f"More than {SOMEBODY >> 30} GB are not taken at once; split the file, nobody is added twice."
