"""How is the web application served? By uvicorn, on 127.0.0.1 unless told otherwise, until SIGTERM or Ctrl-C.

The first time, when nobody has an account, it prints a one-time link that makes the owner's.
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable, Generator
from contextlib import contextmanager

import uvicorn

from voiceagents import logs, storage
from voiceagents.db import Database
from voiceagents.settings import Settings, SettingsError
from voiceagents.web import accounts
from voiceagents.web.app import create_app
from voiceagents.web.security import LOOPBACK

log = logging.getLogger("voiceagents.web")

_CONNECTIONS = 8
_LAST_REQUESTS = 5
"""Seconds that requests have to end when the server stops; live streams are cut."""


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serves until it is told to stop.

    Args:
        settings: the environment, with host and port.
        say: takes what the person who started it must see, the one-time link among it.

    Raises:
        SettingsError: the address cannot be listened on.
        DatabaseProblem: with the mend.
    """
    logs.configure(level=settings.log_level, log_pii=settings.log_pii)
    asyncio.run(_serve(settings, say))


async def _serve(settings: Settings, say: Callable[[str], None]) -> None:
    listening = listen(settings.web_host, settings.web_port)
    database = Database(await storage.ready(settings), pool_size=_CONNECTIONS)
    try:
        address = address_of(settings, listening.getsockname()[1])
        say(f"The web application is at {address}")
        if settings.web_host not in LOOPBACK and not address.startswith("https:"):
            say("It listens beyond this machine, unencrypted. Put it behind HTTPS and set WEB_URL to that address.")
        if (token := await accounts.first_owner_link(database)) is not None:
            say(f"Nobody has an account yet. Open this link, once, to become the owner:\n  {address}/welcome/{token}")
        config = uvicorn.Config(
            create_app(settings, database),
            log_config=None,
            # Its lines would hold the one-time links.
            access_log=False,
            proxy_headers=True,
            forwarded_allow_ips=settings.web_trusted_proxies,
            server_header=False,
            timeout_graceful_shutdown=_LAST_REQUESTS,
        )
        await _Server(config).serve(sockets=[listening])
    finally:
        listening.close()
        await database.close()


class _Server(uvicorn.Server):
    """Ends on a signal with what stands after it, where uvicorn's own would raise the signal again."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        log.info("WEB_READY")

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        loop = asyncio.get_running_loop()
        signals = (signal.SIGINT, signal.SIGTERM)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 is any free one.

    Raises:
        SettingsError: it cannot.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        # Who comes before we serve waits a moment and is not refused.
        listening.listen(128)
    except OSError as error:
        raise SettingsError(
            f"WEB_HOST {host}, WEB_PORT {port}: cannot listen there ({error.strerror or error}). "
            "Is another server on this port? `voiceagents web --port 0` takes any free one."
        ) from None
    return listening


def address_of(settings: Settings, port: int) -> str:
    """Where a browser finds it.

    >>> from voiceagents.settings import Settings
    >>> address_of(Settings(web_host="0.0.0.0"), 8000)
    'http://127.0.0.1:8000'
    """
    if settings.web_url:
        return settings.web_url.rstrip("/")
    host = settings.web_host if settings.web_host not in ("0.0.0.0", "::", "") else "127.0.0.1"  # noqa: S104
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
