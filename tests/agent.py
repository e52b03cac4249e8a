"""An agent as tests meet it: `python main.py` as a process of its own on a lab, its log, its database, and its calls.

    async with Agent(lab, database_url, folder, speech) as agent:
        placed = await agent.dial("+12025550101")
        call = await placed.over()

A pytest plugin, too: `agent` is one agent for the session, `fresh_agent` one for a test that kills it, `start_agent`
starts others with settings of their own. All of them speak by one offline speech server, which is slow to start.
"""

import asyncio
import io
import itertools
import os
import re
import secrets
import signal
import subprocess
import sys
import time
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
import pytest_asyncio
from livekit import api

import voiceagents
from tests.database import Server
from voiceagents.calls import history
from voiceagents.calls.dispatch import OutboundCall
from voiceagents.calls.models import Call, CallEvent, Turn
from voiceagents.calls.placing import hand_over
from voiceagents.calls.states import CallState, Speaker
from voiceagents.db import Database
from voiceagents.lab import Lab
from voiceagents.processes import free_ports, spawn
from voiceagents.speech import TRANSCRIPTION_MODEL

T = TypeVar("T")
_FOLDER = Path(voiceagents.__file__).parent / "livekit"
_PROGRAM = "main.py"
# Settings of whoever runs the tests must not reach the agent.
_OURS = ("LIVEKIT_", "SIP_", "OPENAI_", "VOICEAGENTS_", "AGENT_", "LK_AGENT", "LOG_", "DATABASE_URL")
_names = itertools.count(1)
_fictional = (f"+1{area}555{line:04}" for line in range(100, 200) for area in (202, 212, 303, 312, 404, 415, 503, 617))


def new_number() -> str:
    """A telephone number that belongs to nobody and that no other test of this session uses."""
    return next(_fictional)


async def until(question: Callable[[], Awaitable[T | None]], *, within: float, what: str) -> T:
    """The first answer to a question that is asked again and again. For states that nobody announces."""
    deadline = time.monotonic() + within
    while (answer := await question()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come about within {within:g} s")
        await asyncio.sleep(0.05)
    return answer


@dataclass(frozen=True)
class Record:
    """What the database holds of one call."""

    row: Call
    turns: Sequence[Turn]
    timeline: Sequence[CallEvent]

    def said(self, speaker: Speaker | None = None) -> str:
        """All that was said, or all that one side said."""
        return " ".join(turn.text for turn in self.turns if speaker in (None, turn.speaker))

    @property
    def agent(self) -> list[Turn]:
        return [turn for turn in self.turns if turn.speaker is Speaker.AGENT]

    @property
    def person(self) -> list[Turn]:
        return [turn for turn in self.turns if turn.speaker is Speaker.PERSON]

    def __str__(self) -> str:
        row = self.row
        lines = [f"{row.state} {row.outcome} {row.sip_status} {row.cause!r} by {row.ended_by}"]
        lines += [
            f"  {t.started_at:%H:%M:%S.%f} {t.speaker} {t.text!r}{' (interrupted)' * t.interrupted}" for t in self.turns
        ]
        return "\n".join([*lines, *(f"  {e.at:%H:%M:%S.%f} {e.kind} {e.detail}" for e in self.timeline)])


class Agent:
    """One worker process. Its agent name is its own, so that any number of agents share a lab."""

    def __init__(self, lab: Lab, database_url: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.lab = lab
        self.folder = folder
        self.name = f"agent-{next(_names)}"
        self.log_path = folder / "agent.log"
        self.database = Database(database_url)
        self.livekit = lab.livekit()
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(_OURS)},
            **lab.env(),
            "LK_AGENT_NAME": self.name,
            "DATABASE_URL": database_url,
            "VOICEAGENTS_DATA": str(folder / "data"),
            "LOG_PII": "true",
            "PYTHONFAULTHANDLER": "1",
            **environment,
        }
        self.process: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.stop()
        finally:
            # It outlives an agent that was killed, and then waits long for servers that will not come back.
            for watcher in self.watchers():
                watcher.kill()
            await self._close()

    async def _close(self) -> None:
        await self.livekit.aclose()
        await self.database.close()

    # The process

    def spawn(self) -> None:
        """Starts the process, and does not wait until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                # Killed with the thread that starts it, so that a test session that dies leaves nothing behind.
                ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, _PROGRAM],
                cwd=_FOLDER,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def start(self, *, within: float = 60.0) -> None:
        """Starts the process and waits until it takes calls."""
        before = self.log().count("AGENT_READY")
        self.spawn()
        await self.logged("AGENT_READY", times=before + 1, within=within)

    async def stop(self, *, within: float = 20.0) -> int:
        """Asks the process to end, twice so that it lets no call end first, and answers its exit status."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            await self.logged("AGENT_STOPPING", within=within, alive=False)
            self.signal(signal.SIGTERM)
        return await self.ended(within=within)

    def signal(self, number: signal.Signals) -> None:
        """Sends the process a signal, and only it."""
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self, *, within: float = 20.0) -> int:
        """The exit status, once the process has ended."""
        assert self.process is not None
        try:
            return await asyncio.to_thread(self.process.wait, within)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGABRT)  # makes it write down where each of its threads is
            self.process.wait(10)
            raise AssertionError(f"the agent does not end; its last lines:\n{self.log()[-4000:]}") from None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def watchers(self) -> list[psutil.Process]:
        """The processes that look after the calls of this one."""
        ours = ["-m", "voiceagents.calls.watcher", "--parent", str(self.pid)] if self.process else []
        every = psutil.process_iter(["cmdline"])
        return [process for process in every if ours and (process.info["cmdline"] or [])[1:] == ours]

    # The log

    def log(self, *, holding: str = "") -> str:
        """What the process has written so far, or the lines of it that hold a text."""
        try:
            text = self.log_path.read_text(errors="replace")
        except FileNotFoundError:
            return ""
        return "".join(line for line in text.splitlines(keepends=True) if holding in line)

    async def logged(self, pattern: str, *, times: int = 1, within: float = 30.0, alive: bool = True) -> str:
        """The line in which this (a regular expression) stands for the given time, once it is written."""
        deadline = time.monotonic() + within
        while True:
            dead = self.process is None or self.process.poll() is not None
            found = [line for line in self.log().splitlines() if re.search(pattern, line)]
            if len(found) >= times:
                return found[times - 1]
            if (dead and alive) or time.monotonic() > deadline:
                fate = "it ended" if dead else f"not within {within:g} s"
                raise AssertionError(
                    f"the agent did not log {pattern!r}: {fate}; its last lines:\n{self.log()[-4000:]}"
                )
            if dead:
                return ""
            await asyncio.sleep(0.02)

    # Calls

    async def dial(self, number: str, **fields: Any) -> "Placed":
        """Dispatches an outbound call as a campaign does."""
        call = OutboundCall(
            **{
                "id": uuid4(),
                "number": number,
                "agent_name": self.name,
                "trunk_id": self.lab.outbound_trunk_id,
                "contact_name": "Ana",
                **fields,
            }
        )
        started = time.time()
        room = await hand_over(self.database, self.livekit, call)
        return Placed(self, call.id, room, number, started)

    async def send(self, room: str, metadata: str, *, room_metadata: str = "") -> None:
        """Dispatches a job by LiveKit's API alone, whatever is in it."""
        await self.livekit.room.create_room(
            api.CreateRoomRequest(name=room, metadata=room_metadata, empty_timeout=60, departure_timeout=10)
        )
        await self.livekit.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name=self.name, room=room, metadata=metadata, restart_policy=api.JobRestartPolicy.JRP_NEVER
            )
        )

    async def record(self, call_id: UUID) -> Record | None:
        """What the database holds of a call."""
        async with self.database.transaction() as session:
            row = await session.get(Call, call_id)
            if row is None:
                return None
            return Record(row, await history.transcript(session, call_id), await history.timeline(session, call_id))

    async def records(self, **match: Any) -> list[Record]:
        """All calls with these values in their rows, the newest first."""
        async with self.database.transaction() as session:
            rows = [
                row
                for row in await history.calls(session, history.Page(limit=1000))
                if all(getattr(row, key) == value for key, value in match.items())
            ]
        return [record for row in rows if (record := await self.record(row.id))]

    async def recorded(self, *, within: float = 60.0, state: CallState = CallState.ENDED, **match: Any) -> Record:
        """The one call with these values in its row, once it is in this state."""

        async def look() -> Record | None:
            found = [record for record in await self.records(**match) if record.row.state is state]
            assert len(found) < 2, f"more than one call: {[str(record) for record in found]}"
            return found[0] if found else None

        return await until(look, within=within, what=f"a call {match} that is {state}")

    async def rooms(self, part: str = "") -> list[str]:
        """The rooms there are now whose names hold a text."""
        listed = await self.livekit.room.list_rooms(api.ListRoomsRequest())
        return [room.name for room in listed.rooms if part in room.name]

    async def room_gone(self, name: str, *, within: float = 10.0) -> None:
        """Returns once no such room is left."""

        async def gone() -> bool | None:
            return None if name in await self.rooms() else True

        await until(gone, within=within, what=f"the end of room {name}")


@dataclass(frozen=True)
class Placed:
    """An outbound call that was dispatched."""

    agent: Agent
    id: UUID
    room: str
    number: str
    at: float

    async def over(self, *, within: float = 90.0) -> Record:
        """What the database holds once the call has ended and its room is gone."""
        record = await self.reached(CallState.ENDED, within=within)
        await self.agent.room_gone(self.room)
        return await self.agent.record(self.id) or record

    async def reached(self, state: CallState, *, within: float = 30.0) -> Record:
        """What the database holds once the call is in this state or past it."""

        async def look() -> Record | None:
            record = await self.agent.record(self.id)
            return record if record and record.row.state.rank >= state.rank else None

        try:
            return await until(look, within=within, what=f"{state} of the call to {self.number}")
        except TimeoutError as error:
            raise AssertionError(f"{error}: {await self.agent.record(self.id)}") from None

    @property
    def invites(self) -> list[dict[str, Any]]:
        """What was really dialled."""
        return [event for event in self.agent.lab.carrier.invites(to=self.number) if event["time"] >= self.at]

    async def witness(self) -> dict[str, Any]:
        """The carrier's own account of the one call there was."""
        (invite,) = self.invites
        return await self.agent.lab.carrier.call(invite["sip_call_id"])


@dataclass(frozen=True)
class Speech:
    """The offline speech server of the session, as agents find it in their environment."""

    url: str
    key: str

    @property
    def environment(self) -> dict[str, str]:
        return {"VOICEAGENTS_SPEECH_URL": self.url, "VOICEAGENTS_SPEECH_KEY": self.key}

    async def heard(self, recording: str | Path) -> str:
        """What the phone heard, in words, from the recording that the carrier made of its call."""
        with wave.open(str(recording)) as both:
            rate, samples = both.getframerate(), both.readframes(both.getnframes())
        left = io.BytesIO()
        with wave.open(left, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate)
            file.writeframes(b"".join(samples[i : i + 2] for i in range(0, len(samples), 4)))
        async with httpx.AsyncClient(timeout=60, trust_env=False) as http:
            answer = await http.post(
                f"{self.url}/audio/transcriptions",
                headers={"Authorization": f"Bearer {self.key}"},
                files={"file": ("heard.wav", left.getvalue(), "audio/wav")},
                data={"model": TRANSCRIPTION_MODEL, "language": "en"},
            )
        answer.raise_for_status()
        return str(answer.json()["text"])


@pytest.fixture(scope="session")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Speech]:
    """One offline speech server for every agent of the session."""
    (port,) = free_ports(1)
    key = secrets.token_urlsafe(16)
    log = tmp_path_factory.mktemp("speech") / "speech.log"
    command = [sys.executable, "-m", "voiceagents.speech", "--port", str(port)]
    process = spawn("speech", command, {"VOICEAGENTS_SPEECH_KEY": key}, log, outlives_starter=False)
    deadline = time.monotonic() + 60
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=2, trust_env=False).is_success:
                break
        except httpx.TransportError:
            time.sleep(0.05)
        assert process.alive(), process.log_tail()
        assert time.monotonic() < deadline, process.log_tail()
    yield Speech(f"http://127.0.0.1:{port}/v1", key)
    process.stop(timeout=5)


@pytest_asyncio.fixture(scope="session")
async def agent(
    lab: Lab, postgres: Server, speech: Speech, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Agent]:
    """One agent for all tests that only use it, on the session's lab, with a database of its own."""
    url = postgres.create()
    async with Agent(lab, url, tmp_path_factory.mktemp("agent"), speech.environment) as running:
        yield running
    postgres.drop(url)


@pytest_asyncio.fixture
async def fresh_agent(lab: Lab, database_url: str, speech: Speech, tmp_path: Path) -> AsyncIterator[Agent]:
    """An agent for one test, which may kill it, on the session's lab."""
    async with Agent(lab, database_url, tmp_path / "agent", speech.environment) as running:
        yield running


StartAgent = Callable[..., Awaitable[Agent]]


@pytest_asyncio.fixture(scope="session")
async def start_agent(
    lab: Lab, postgres: Server, speech: Speech, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[StartAgent]:
    """Starts agents with settings of their own, `await start_agent(MAX_CALL_DURATION="12")`, until the session ends."""
    started: list[Agent] = []

    async def start(**environment: str) -> Agent:
        folder = tmp_path_factory.mktemp("agent")
        agent = Agent(lab, postgres.create(), folder, speech.environment | environment)
        started.append(agent)
        await agent.start()
        return agent

    yield start
    await asyncio.gather(*(agent.__aexit__() for agent in started))
    for agent in started:
        postgres.drop(agent.database.url.replace("+psycopg", ""))
