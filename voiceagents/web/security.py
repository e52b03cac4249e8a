"""What may a browser do with our pages? Headers on every response, and which hosts we answer to.

The content security policy lets only our own files run: no inline script, no inline style, no foreign host but the
LiveKit server that a browser talks to. We answer to known hosts only, so that a foreign page whose name was pointed at
127.0.0.1 (DNS rebinding) reaches nothing.
"""

from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voiceagents.settings import Settings
from voiceagents.web.csrf import visit_cookie

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EVERYWHERE = ("0.0.0.0", "::", "")  # noqa: S104  to recognise it, not to listen there
_HSTS = "max-age=31536000"


def content_security_policy(livekit_url: str | None) -> str:
    """The policy.

    Args:
        livekit_url: where a browser joins a room; None when there is none.
    """
    connect = ["'self'"]
    if livekit_url is not None:
        parts = urlsplit(livekit_url)
        secure = parts.scheme in ("wss", "https")
        # livekit-client opens a WebSocket and asks over HTTP why it was refused.
        connect += [f"{scheme}://{parts.netloc}" for scheme in (("wss", "https") if secure else ("ws", "http"))]
    return "; ".join(
        (
            "default-src 'self'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "object-src 'none'",
            "img-src 'self' data:",
            "media-src 'self' blob:",
            f"connect-src {' '.join(connect)}",
        )
    )


def known_hosts(settings: Settings) -> frozenset[str] | None:
    """The names by which we may be asked for; None: any, because we listen everywhere and were told no address."""
    own = urlsplit(settings.web_url).hostname if settings.web_url else None
    if own is None and settings.web_host in _EVERYWHERE:
        return None
    return frozenset(name for name in (*LOOPBACK, settings.web_host, own) if name and name not in _EVERYWHERE)


class Security:
    """Puts the headers on every response, and refuses hosts that are not ours."""

    def __init__(self, app: ASGIApp, *, policy: str, hosts: Iterable[str] | None) -> None:
        self._app = app
        self._policy = policy
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add(scope, MutableHeaders(scope=message))
            await send(message)

        host = Headers(scope=scope).get("host", "")
        if self._hosts is not None and _name(host) not in self._hosts:
            words = f"This server does not answer to the name {_name(host)!r}. Set WEB_URL to the address it has.\n"
            await PlainTextResponse(words, status_code=421)(scope, receive, secured)
            return
        await self._app(scope, receive, secured)

    def _add(self, scope: Scope, headers: MutableHeaders) -> None:
        headers.setdefault("Content-Security-Policy", self._policy)
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Referrer-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(self)"
        if not scope["path"].startswith("/static/"):
            headers.setdefault("Cache-Control", "no-store")
        request = Request(scope)
        if request.url.scheme == "https":
            headers["Strict-Transport-Security"] = _HSTS
        if (visit := scope.get("state", {}).get("new_visit")) is not None:
            secure = "; Secure" if request.url.scheme == "https" else ""
            headers.append("Set-Cookie", f"{visit_cookie(request)}={visit}; HttpOnly; Path=/; SameSite=Lax{secure}")


def _name(host: str) -> str:
    """`[::1]:8000` → `::1`, `localhost:8000` → `localhost`."""
    host = host.lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
