"""The program `voiceagents` as a person runs it: a process of its own, in the environment that a test gives it."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from tests.agent import Agent

_FOREIGN = ("LIVEKIT_", "SIP_", "OPENAI_", "VOICEAGENTS_", "AGENT_", "LK_AGENT", "LOG_", "DATABASE_URL", "RINGING_")


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    status: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"status {self.status}\n{self.out}\n--- standard error ---\n{self.err}"


class Command:
    """A command that runs."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._seen = ""

    @classmethod
    async def start(cls, *arguments: str, folder: Path, **environment: str) -> Self:
        """Starts `voiceagents` with these arguments, in a folder in which no `.env` lies."""
        own = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
        return cls(
            await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", "voiceagents.cli", *arguments,
                cwd=folder, env=own | environment, start_new_session=True,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )
        )  # fmt: skip

    async def says(self, text: str, *, within: float = 60.0) -> str:
        """The line of standard output in which this stands, once it is written."""
        assert self._process.stdout is not None
        async with asyncio.timeout(within):
            while line := (await self._process.stdout.readline()).decode():
                self._seen += line
                if text in line:
                    return line
        raise AssertionError(f"it ended without saying {text!r}:\n{self._seen}")

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    async def over(self, *, within: float = 60.0) -> Ran:
        """What it printed, once it has ended."""
        async with asyncio.timeout(within):
            out, err = await self._process.communicate()
        assert self._process.returncode is not None
        return Ran(self._process.returncode, self._seen + out.decode(), err.decode())


async def run(*arguments: str, folder: Path, within: float = 60.0, **environment: str) -> Ran:
    """One command, from its start to its end."""
    return await (await Command.start(*arguments, folder=folder, **environment)).over(within=within)


def surroundings(agent: Agent, **changes: str) -> Mapping[str, str]:
    """The environment of somebody who works with this agent."""
    return {**agent.lab.env(), "LK_AGENT_NAME": agent.name, "DATABASE_URL": agent.database.url} | changes


async def nothing_left_of(folder: Path, *, within: float = 15.0) -> None:
    """Returns once no process names the folder in its command line or works in it."""
    deadline = time.monotonic() + within
    while left := [process for process in psutil.process_iter(["cmdline"]) if _belongs(process, folder)]:
        assert time.monotonic() < deadline, [process.info["cmdline"] for process in left]
        await asyncio.sleep(0.1)


def _belongs(process: psutil.Process, folder: Path) -> bool:
    try:
        named = any(str(folder) in word for word in process.info["cmdline"] or ())
        return process.pid != os.getpid() and (named or process.environ().get("VOICEAGENTS_DATA") == str(folder))
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
