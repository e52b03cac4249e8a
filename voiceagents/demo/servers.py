"""What must run for the demo, in which order does it start, and how is it all ended?

Database, phone network, agent, campaign engine, web application; in the demo's own folder and with an environment of
its own, so that nothing configured on this machine is dialled with, written to or paid for.
"""

import asyncio
import json
import os
import socket
import sys
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

from voiceagents import storage
from voiceagents.db import Database
from voiceagents.demo import campaign
from voiceagents.demo.people import scenario
from voiceagents.interrupts import completely
from voiceagents.lab import Lab, LabError
from voiceagents.processes import Process, spawn
from voiceagents.settings import Settings, load

T = TypeVar("T")

AGENT_FILE, ENGINE_FILE, WEB_FILE = "agent.json", "engine.json", "web.json"
"""Remember what was left running, for `voiceagents down`."""

_READY = 90.0
_STOPS = 20.0
_FOREIGN = ("WEB_", "LIVEKIT_", "OPENAI_", "SIP_TRUNK_ID", "DATABASE_URL", "VOICEAGENTS_SPEECH_")


def own_environment(folder: Path, models: Mapping[str, str] | None = None) -> Settings:
    """Turns this process's environment into the demo's, and answers with its settings.

    Args:
        models: settings of the models that are to be used all the same; nothing is paid for without them.

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
        WEB_PORT=str(_port()),
        **(models or {}),
    )
    return load()


def _port() -> int:
    """The web application's usual port, or any free one where somebody else has that."""
    usual = int(Settings.model_fields["web_port"].default)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", usual))
        except OSError:
            return 0
    return usual


class Servers:
    """Database, lab, agent, engine and web application of one demo; with `keep` they outlive it."""

    def __init__(self, settings: Settings, *, keep: bool, tell: Callable[[str], None], pages: bool = True) -> None:
        self._settings = settings
        self._pages = pages
        self._keep = keep
        self._tell = tell
        self._postgres = storage.embedded(settings)
        self._postgres_is_ours = False
        self._agent: Process | None = None
        self._engine: Process | None = None
        self._web: Process | None = None
        self._database: Database | None = None
        self.folder = settings.voiceagents_data
        self.lab = Lab(self.folder / "lab", scenario=scenario(), detached=keep)
        self.agent_log = self.folder / "agent.log"
        self.engine_log = self.folder / "engine.log"
        self.web_log = self.folder / "web.log"

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
        await campaign.make_way(self._database)
        self._tell("Starting the phone network: Redis, livekit-server, SIP gateway, carrier")
        await self.lab.start()
        os.environ.update(self.lab.env())
        pages = " and the web application" if self._pages else ""
        voice = "its offline voice" if self._settings.offline_speech else "the configured models"
        self._tell(f"Starting the agent with {voice}, the campaign engine{pages}")
        self._agent = self._spawn("agent", ["voiceagents.livekit.main"], self.agent_log)
        self._engine = self._spawn("engine", ["voiceagents.engine"], self.engine_log)
        if self._pages:
            self._web = self._spawn("web application", ["voiceagents.cli", "web"], self.web_log)
        await self._ready(self._agent, "AGENT_READY")
        await self._ready(self._engine, "ENGINE_READY")
        if self._web is not None:
            await self._ready(self._web, "WEB_READY")
            for line in self.web_lines:
                self._tell(line)

    def _spawn(self, name: str, module: list[str], log: Path) -> Process:
        log.unlink(missing_ok=True)
        return spawn(name, [sys.executable, "-m", *module], {}, log, outlives_starter=self._keep)

    async def _ready(self, server: Process, line: str) -> None:
        try:
            async with asyncio.timeout(_READY):
                while line not in server.log_tail(20_000):
                    self.require_life()
                    await asyncio.sleep(0.1)  # another process's log: there is no event to wait for
        except TimeoutError:
            raise LabError(f"The {server.name} was not ready within {_READY:.0f} s.\n{_last_words(server)}") from None

    @property
    def web_lines(self) -> list[str]:
        """Where the web application is, and the link that makes the owner's account while there is none."""
        assert self._web is not None, "not started"
        lines = [line.strip() for line in self._web.log_tail(20_000).splitlines()]
        return [f"As its owner: {line}" if line.startswith("http") else line for line in lines if "http://" in line]

    def require_life(self) -> None:
        """Nothing, as long as agent, engine and web application live.

        Raises:
            LabError: with the end of the log of the one that does not.
        """
        for server in (self._agent, self._engine, self._web):
            if server is not None and not server.alive():
                raise LabError(f"The {server.name} has ended.\n{_last_words(server)}")

    async def while_alive(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of the work, which is given up when the agent or the engine ends.

        Raises:
            LabError: with the end of its log.
        """
        task = asyncio.ensure_future(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=0.5)
                self.require_life()
            return task.result()
        finally:
            task.cancel()

    async def leave(self) -> None:
        """Lets everything run on, for `voiceagents down` to end."""
        for server, file in (
            (self._agent, AGENT_FILE), (self._engine, ENGINE_FILE), (self._web, WEB_FILE),
        ):  # fmt: skip
            if server is not None:
                (self.folder / file).write_text(json.dumps(server.as_json()))
        await self.database.close()
        await self.lab.carrier.aclose()

    async def stop(self) -> None:
        """Ends everything that was started, however far that came."""
        for server in (self._web, self._engine, self._agent):
            if server is not None:
                await asyncio.to_thread(server.stop, _STOPS)
        if self.lab.processes:
            await self.lab.stop()
        if self._database is not None:
            await self._database.close()
        if self._postgres_is_ours:
            await asyncio.to_thread(self._postgres.stop)


def _last_words(server: Process) -> str:
    return f"The end of {server.log}:\n{server.log_tail()}"
