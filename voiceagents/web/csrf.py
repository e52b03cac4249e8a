"""Did one of our own pages send this request, or has a foreign one made a browser send it?

A request that changes something and is known by a cookie must carry a token that only our pages can read, in a form's
field `csrf_token` or the header `X-CSRF-Token`, and its `Origin` must be ours. The token follows from the session's
(or, before sign-in, from a visit's cookie), so that nothing is stored. A request with an `Authorization` header needs
none: no foreign page can add one.
"""

from typing import Any, cast

from fastapi import Request

from voiceagents.web import tokens
from voiceagents.web.problems import Problem

FIELD, HEADER = "csrf_token", "X-CSRF-Token"
_SAFE = {"GET", "HEAD", "OPTIONS"}
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def session_cookie(request: Request) -> str:
    """The session cookie's name; over HTTPS one that no neighbouring host can set (RFC 6265bis, `__Host-`)."""
    return "__Host-voiceagents" if request.url.scheme == "https" else "voiceagents"


def visit_cookie(request: Request) -> str:
    """The name of the cookie of who is not signed in yet."""
    return "__Host-voiceagents-visit" if request.url.scheme == "https" else "voiceagents-visit"


def csrf_token(request: Request) -> str:
    """The token for forms and for htmx's `hx-headers` on the page that answers this request.

    For a visitor without a cookie the response gets one.
    """
    secret = _secret(request)
    if secret is None:
        secret = request.state.new_visit = getattr(request.state, "new_visit", None) or tokens.new_token()
    return tokens.derived(secret, "csrf")


async def require_own_page(request: Request) -> None:
    """A dependency of the whole application.

    Raises:
        Problem: 403, the request changes something and does not come from a page of ours.
    """
    if request.method in _SAFE or "authorization" in request.headers:
        return
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != request.headers.get("host", "").lower():
        raise _refused(f"it was sent by a page of {origin}")
    secret = _secret(request)
    if secret is None:
        raise _refused("it has no cookie of ours (are cookies blocked?)")
    given = request.headers.get(HEADER)
    if given is None and request.headers.get("content-type", "").startswith(_FORMS):
        field: Any = cast("Any", (await request.form()).get(FIELD))
        given = field if isinstance(field, str) else None
    if given is None or not tokens.same(given, tokens.derived(secret, "csrf")):
        raise _refused(f"its {HEADER} header or {FIELD} field is missing or of another session; load the page again")


def _secret(request: Request) -> str | None:
    return request.cookies.get(session_cookie(request)) or request.cookies.get(visit_cookie(request))


def _refused(why: str) -> Problem:
    return Problem(
        403,
        "This request was not sent by a page of ours",
        f"It was not carried out: {why}. A program uses an API key: Authorization: Bearer va_…",
        kind="csrf",
    )
