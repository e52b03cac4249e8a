"""`voiceagents up` and `down`: everything that has to run, started and ended in one command."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import typer

from voiceagents.cli.problems import Problem
from voiceagents.cli.surroundings import lab_folder, run
from voiceagents.settings import Settings, load


def up() -> None:
    """Start all that is needed, and run until Ctrl-C: database, agent, engine, web application and, with no
    LIVEKIT_URL, the lab.

    Ctrl-C lets calls end, for AGENT_DRAIN_SECONDS at most; a second one ends them at once. Exit status 1 when one of
    them ends by itself.
    """
    from voiceagents.interrupts import until_interrupted

    stack = Stack(load())
    status = run(until_interrupted(stack.run(), again=stack.hurry))
    raise typer.Exit(0 if status is None else status)


def down() -> None:
    """End what was left running in this data folder: web application, engine, agent, lab and embedded database."""
    from voiceagents import lab as labs
    from voiceagents import storage
    from voiceagents.demo.servers import AGENT_FILE, ENGINE_FILE, WEB_FILE
    from voiceagents.processes import Process

    settings = load()
    ended: list[str] = []
    for name, file in (("the web application", WEB_FILE), ("the engine", ENGINE_FILE), ("the agent", AGENT_FILE)):
        remembered = settings.voiceagents_data / file
        with suppress(FileNotFoundError):
            process = Process.from_json(json.loads(remembered.read_text()))
            if process.alive():
                process.stop(timeout=settings.agent_drain_seconds + 20)
                ended.append(name)
            remembered.unlink()
    if labs.down(lab_folder(settings)):
        ended.append("the lab")
    postgres = storage.embedded(settings)
    if postgres.pid() is not None:
        postgres.stop()
        ended.append("the database")
    typer.echo(f"Ended: {', '.join(ended)}." if ended else f"Nothing runs in {settings.voiceagents_data}.")


class Stack:
    """The servers of one `up`: started in order, ended in reverse; those that ran before stay."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._agent: asyncio.subprocess.Process | None = None
        self._engine: asyncio.subprocess.Process | None = None
        self._web: asyncio.subprocess.Process | None = None

    def hurry(self) -> None:
        """The second Ctrl-C: no more waiting for calls."""
        _end(self._agent)

    async def run(self) -> int:
        """Runs until cancelled, or until agent, engine or web application ends by itself."""
        from voiceagents import storage
        from voiceagents.interrupts import completely

        postgres = storage.embedded(self._settings)
        ran_before = await asyncio.to_thread(postgres.pid) is not None
        stop_lab = None
        try:
            typer.echo("database …", err=True)
            await completely(storage.ready(self._settings))
            stop_lab = await self._start_lab()
            self._agent = await self._start("voiceagents.livekit.main")
            self._engine = await self._start("voiceagents.engine")
            self._web = await self._start("voiceagents.cli", "web")
            await self._until_one_ends({"agent": self._agent, "engine": self._engine, "web application": self._web})
            return 1
        finally:
            await self._stop()
            if stop_lab is not None:
                await stop_lab()
            if self._settings.database_url is None and not ran_before:
                await asyncio.to_thread(postgres.stop)

    async def _start_lab(self) -> Callable[[], Awaitable[None]] | None:
        """Starts the lab when no LiveKit is configured; answers with how to end it, or None when it is not ours."""
        if self._settings.livekit_url is not None:
            return None
        from voiceagents.demo.people import DID, scenario
        from voiceagents.lab import Lab

        folder = lab_folder(self._settings)
        running = Lab.remembered(folder)
        lab = running if running is not None and running.running() else None
        ours = lab is None
        if lab is None:
            if running is not None:
                await running.stop()
            typer.echo("no LIVEKIT_URL: starting a lab with simulated phones …", err=True)
            lab = Lab(folder, scenario=scenario())
            await lab.start()
            try:
                await lab.add_inbound_number(DID, agent_name=self._settings.lk_agent_name)
            except BaseException:
                await lab.stop()
                raise
        env = lab.env()
        if self._settings.sip_trunk_id is not None:
            del env["SIP_TRUNK_ID"]
        os.environ.update(env)
        self._settings = load()
        typer.echo(
            f"The lab runs: LiveKit at {lab.livekit_url}. From another terminal:\n"
            "  voiceagents call +12025550101 --name Ana --prompt 'Hello {name}, this is a test. Shall we go on?'",
            err=True,
        )
        return lab.stop if ours else None

    async def _start(self, *module: str) -> asyncio.subprocess.Process:
        if (wrapper := shutil.which("setpriv")) is None:
            raise Problem("setpriv is not installed: apt-get install util-linux")
        _ = self._settings.livekit  # complete, or an error that says what is missing
        # In a session of its own, so that Ctrl-C reaches it through us alone; and never left behind when we are killed.
        return await asyncio.create_subprocess_exec(
            wrapper, "--pdeathsig", "TERM", "--", sys.executable, "-m", *module,
            stdin=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip

    async def _until_one_ends(self, servers: dict[str, asyncio.subprocess.Process]) -> None:
        waiting = {asyncio.create_task(process.wait()): name for name, process in servers.items()}
        try:
            ended, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                typer.echo(
                    f"The {waiting[task]} has ended with status {task.result()}; its last lines above say why.",
                    err=True,
                )
        finally:
            for task in waiting:
                task.cancel()

    async def _stop(self) -> None:
        """The engine first, so that nobody new is dialled while the agent lets calls end."""
        for server in (self._web, self._engine):
            if server is not None:
                _end(server)
                await server.wait()
        if self._agent is not None and self._agent.returncode is None:
            typer.echo("stopping; Ctrl-C again ends calls at once …", err=True)
            _end(self._agent)
            await self._agent.wait()


def _end(server: asyncio.subprocess.Process | None) -> None:
    if server is not None and server.returncode is None:
        with suppress(ProcessLookupError):
            server.terminate()
