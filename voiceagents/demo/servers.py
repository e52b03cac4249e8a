"""What must run for the demo, in which order does it start, and how is it all ended?

Database, phone network, agent; in the demo's own folder and with an environment of its own, so that nothing configured
on this machine is dialled with, written to or paid for.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from voiceagents import storage
from voiceagents.db import Database
from voiceagents.demo.people import scenario
from voiceagents.interrupts import completely
from voiceagents.lab import Lab, LabError
from voiceagents.processes import Process, spawn
from voiceagents.settings import Settings, load

T = TypeVar("T")

AGENT_FILE = "agent.json"
"""Remembers an agent that was left running, for `voiceagents down`."""

_READY = 90.0
_STOPS = 20.0
_FOREIGN = ("LIVEKIT_", "OPENAI_", "SIP_TRUNK_ID", "DATABASE_URL", "VOICEAGENTS_SPEECH_")


def own_environment(folder: Path) -> Settings:
    """Turns this process's environment into the demo's, and answers with its settings.

    Raises:
        SettingsError: something else in the environment cannot be used.
    """
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # away from a `.env` that may lie where we were started
    for name in [name for name in os.environ if name.upper().startswith(_FOREIGN)]:
        del os.environ[name]
    os.environ.update(
        VOICEAGENTS_DATA=str(folder),
        # Nobody real is in the log, and a phone that rings out need not take half a minute.
        LOG_PII="true",
        RINGING_TIMEOUT="6",
        AGENT_DRAIN_SECONDS="0",
    )
    return load()


class Servers:
    """Database, lab and agent of one demo; with `keep` they outlive it."""

    def __init__(self, settings: Settings, *, keep: bool, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._keep = keep
        self._tell = tell
        self._postgres = storage.embedded(settings)
        self._postgres_is_ours = False
        self._agent: Process | None = None
        self._database: Database | None = None
        self.folder = settings.voiceagents_data
        self.lab = Lab(self.folder / "lab", scenario=scenario(), detached=keep)
        self.agent_log = self.folder / "agent.log"

    @property
    def database(self) -> Database:
        assert self._database is not None, "not started"
        return self._database

    async def start(self) -> None:
        """Starts everything, and returns when calls can be placed.

        Raises:
            LabError, DatabaseProblem: with the mend.
        """
        running = Lab.remembered(self.lab.folder)
        if running is not None and any(process.alive() for process in running.processes.values()):
            raise LabError(
                f"A lab runs in {self.lab.folder} already. End it first:\n"
                f"  VOICEAGENTS_DATA={self.folder} voiceagents down"
            )
        self._tell("Starting PostgreSQL")
        self._postgres_is_ours = await asyncio.to_thread(self._postgres.pid) is None
        self._database = Database(await completely(storage.ready(self._settings)))
        self._tell("Starting the phone network: Redis, livekit-server, SIP gateway, carrier")
        await self.lab.start()
        os.environ.update(self.lab.env())
        self._tell("Starting the agent and its offline voice")
        self.agent_log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "voiceagents.livekit.main"]
        self._agent = spawn("agent", command, {}, self.agent_log, outlives_starter=self._keep)
        await self._agent_ready(self._agent)

    async def _agent_ready(self, agent: Process) -> None:
        try:
            async with asyncio.timeout(_READY):
                while "AGENT_READY" not in agent.log_tail(20_000):
                    self.require_agent()
                    await asyncio.sleep(0.1)  # another process's log: there is no event to wait for
        except TimeoutError:
            raise LabError(f"The agent was not ready within {_READY:.0f} s.\n{self._agent_says(agent)}") from None

    def require_agent(self) -> None:
        """Nothing, as long as the agent lives.

        Raises:
            LabError: with the end of its log.
        """
        if self._agent is not None and not self._agent.alive():
            raise LabError(f"The agent has ended.\n{self._agent_says(self._agent)}")

    async def while_agent_lives(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of the work, which is given up when the agent ends.

        Raises:
            LabError: with the end of the agent's log.
        """
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=0.5)
                self.require_agent()
            return task.result()
        finally:
            task.cancel()

    def _agent_says(self, agent: Process) -> str:
        return f"The end of {agent.log}:\n{agent.log_tail()}"

    async def leave(self) -> None:
        """Lets everything run on, for `voiceagents down` to end."""
        if self._agent is not None:
            (self.folder / AGENT_FILE).write_text(json.dumps(self._agent.as_json()))
        await self.database.close()
        await self.lab.carrier.aclose()

    async def stop(self) -> None:
        """Ends everything that was started, however far that came."""
        if self._agent is not None:
            await asyncio.to_thread(self._agent.stop, _STOPS)
        if self.lab.processes:
            await self.lab.stop()
        if self._database is not None:
            await self._database.close()
        if self._postgres_is_ours:
            await asyncio.to_thread(self._postgres.stop)
