"""What does a command need around it? Settings, the database and LiveKit, opened for one command and closed after it.

Without a configured LiveKit, the lab in the data folder is it: after `voiceagents up` or `voiceagents lab up`, further
commands need no environment.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from voiceagents.cli.problems import Problem, livekit_trouble
from voiceagents.settings import Settings, load

if TYPE_CHECKING:
    from livekit import api

    from voiceagents.db import Database

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Runs a command's coroutine; Ctrl-C cancels it."""
    return asyncio.run(work)


def lab_folder(settings: Settings) -> Path:
    """Where the lab of this installation lives."""
    return settings.voiceagents_data / "lab"


def settings_with_lab() -> Settings:
    """The settings; where they name no LiveKit, that of a lab running in the data folder."""
    settings = load()
    if settings.livekit_url is not None:
        return settings
    from voiceagents.lab import Lab

    lab = Lab.remembered(lab_folder(settings))
    if lab is None or not lab.running():
        return settings
    env = lab.env()
    if settings.sip_trunk_id is not None:
        del env["SIP_TRUNK_ID"]
    os.environ.update(env)
    return load()


@asynccontextmanager
async def database(settings: Settings) -> AsyncGenerator["Database"]:
    """The database, its tables fit for this code."""
    from voiceagents import storage
    from voiceagents.db import Database

    opened = Database(await storage.ready(settings), pool_size=2)
    try:
        yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def livekit(settings: Settings) -> AsyncGenerator["api.LiveKitAPI"]:
    """LiveKit's API; what goes wrong with it inside becomes one message that names its address."""
    from livekit import api

    access = settings.livekit
    client = api.LiveKitAPI(access.url, access.api_key, access.api_secret.get_secret_value(), failover=False)
    try:
        yield client
    except Exception as error:
        if (message := livekit_trouble(error, access.url)) is None:
            raise
        raise Problem(message) from error
    finally:
        await client.aclose()


def text_of(option: str, text: str | None, file: Path | None) -> str:
    """A text given in place or as a file, `-` being standard input.

    Raises:
        Problem: both were given, or the file cannot be read.
    """
    if text is not None and file is not None:
        raise Problem(f"{option} and {option}-file say the same thing twice: give one of them.")
    if file is None:
        return text or ""
    try:
        return typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{option}-file {file} cannot be read: {error}") from None
