"""The campaign engine as a program: it waits for what it needs, runs until it is told to stop, and says what it does.

Any number of them may run, on any number of machines; they share the work.
"""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import aiohttp
import psycopg
from livekit import api
from sqlalchemy.exc import SQLAlchemyError

from voiceagents import logs, storage
from voiceagents.campaigns.engine import Engine
from voiceagents.db import DatabaseProblem, DatabaseUnavailable, psycopg_url
from voiceagents.settings import Settings, SettingsError, load

log = logging.getLogger("voiceagents.engine")

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_SAY_AGAIN = 30.0
"""Seconds after which it is said again that something is still away."""

_LIVEKIT_ANSWERS = 5.0
_AWAY = (DatabaseUnavailable, psycopg.Error, SQLAlchemyError, OSError)


async def run(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT. Database and LiveKit are waited for.

    Raises:
        SettingsError: something is missing that will not come by itself.
        DatabaseProblem: the tables are those of a later version.
    """
    _ = settings.livekit  # complete, or an error that says what is missing
    if settings.database_url is not None:
        try:
            psycopg_url(settings.database_url.get_secret_value())
        except ValueError as error:
            raise SettingsError(f"DATABASE_URL: {error}") from None
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    work = asyncio.create_task(_run(settings, stopped))
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await work


async def _run(settings: Settings, stopped: asyncio.Event) -> None:
    url = await _until_there("DATABASE", stopped, lambda: storage.ready(settings))
    if url is None or await _until_there("LIVEKIT", stopped, lambda: _livekit_answers(settings)) is None:
        return
    engine = Engine(settings, url)
    running = asyncio.create_task(engine.run())
    stopping = asyncio.create_task(stopped.wait())
    await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        log.info("ENGINE_STOPPING | calls that are going on go on without it")
        engine.stop()
    stopping.cancel()
    await running
    log.info("ENGINE_STOPPED")


async def _livekit_answers(settings: Settings) -> bool:
    """True once LiveKit answers.

    Raises:
        SettingsError: it refuses our key.
    """
    access = settings.livekit
    secret = access.api_secret.get_secret_value()
    try:
        async with (
            asyncio.timeout(_LIVEKIT_ANSWERS),
            api.LiveKitAPI(access.url, access.api_key, secret, failover=False) as livekit,
        ):
            await livekit.room.list_rooms(api.ListRoomsRequest(names=["-"]))
    except api.ServerError as error:
        if error.code in ("unauthenticated", "permission_denied") or error.status == 401:
            raise SettingsError(
                f"LiveKit at {access.url} refuses the key ({error.message}): check LIVEKIT_API_KEY and "
                "LIVEKIT_API_SECRET."
            ) from None
        raise OSError(f"LiveKit at {access.url} answers with an error: {error.message}") from None
    except (aiohttp.ClientError, TimeoutError) as error:
        raise OSError(f"LiveKit at {access.url} does not answer ({error or type(error).__name__})") from None
    return True


async def _until_there(what: str, stopped: asyncio.Event, ask: Callable[[], Awaitable[T]]) -> T | None:
    """The answer, once there is one; None when told to stop before."""
    pause, said, said_at = _FIRST_PAUSE, "", 0.0
    while not stopped.is_set():
        try:
            answer = await ask()
        except _AWAY as error:
            words = " ".join(str(error).split())
            if words != said or time.monotonic() - said_at > _SAY_AGAIN:
                log.warning("WAITING_FOR_%s | %s", what, words)
                said, said_at = words, time.monotonic()
        else:
            if said:
                log.info("%s_IS_THERE", what)
            return answer
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stopped.wait()
        pause = min(pause * 2, _LONGEST_PAUSE)
    return None


def main() -> int:
    """Starts the engine; what `voiceagents engine` runs. Returns the exit status."""
    try:
        settings = load()
        logs.configure(level=settings.log_level, log_pii=settings.log_pii)
        if settings.log_level != "DEBUG":
            # It has a line or three for each job, and ours say what came of it.
            logging.getLogger("procrastinate").setLevel(logging.WARNING)
        asyncio.run(run(settings))
    except (SettingsError, DatabaseProblem) as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
