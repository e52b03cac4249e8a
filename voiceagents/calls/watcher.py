"""Who looks after a call whose agent is gone? A process of its own, outside every job, that ends such calls and says
why.

An agent that crashes leaves a person listening to silence: LiveKit keeps the phone in the room (measured). Every
agent process starts a watcher and the watcher outlives it, just long enough to end what it left. Any number of
watchers may run: one at a time acts, and all they do may be done twice.
"""

import argparse
import asyncio
import logging
import os
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

import aiohttp
from livekit import api
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from voiceagents import logs, storage
from voiceagents.calls import history, presence
from voiceagents.calls.models import Call
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import CallEnded
from voiceagents.calls.redispatch import Redispatcher
from voiceagents.calls.rooms import is_gone
from voiceagents.calls.states import CallState
from voiceagents.calls.verdicts import HANGS, CallSeen, RoomSeen, lack_of, remedy, verdict, waiting
from voiceagents.db import Database, DatabaseProblem
from voiceagents.processes import Process
from voiceagents.processes import spawn as spawn_process
from voiceagents.settings import Settings, SettingsError, load

log = logging.getLogger("voiceagents.watcher")

PERIOD = 1.0
"""Seconds between two looks."""

GIVES_UP = 600.0
"""Seconds that a watcher whose agent is gone waits for a database or a LiveKit that may never come back."""

CLOCK_SET = 3.0
"""Seconds by which the database's clock may leave ours between two looks; beyond that somebody has set one."""

_ROOM_STAYS = 15.0
"""Seconds over which the room of a call that must end is tried to be deleted."""

_LOCK = int.from_bytes(b"watchers")


class Watcher:
    """Looks at all calls that have not ended, once every `PERIOD`."""

    def __init__(
        self,
        database: Database,
        livekit: api.LiveKitAPI,
        agent_name: str | None = None,
        worker_id: str | None = None,
    ) -> None:
        self._database = database
        self._worker_id = worker_id
        self._sent: signal.Signals | None = None
        self._reported_death = False
        self._livekit = livekit
        self._redispatcher = Redispatcher(livekit, agent_name) if agent_name else None
        self._lacking_since: dict[tuple[UUID, str], float] = {}
        self._ending_since: dict[UUID, float] = {}
        self._seen_since: dict[tuple[UUID, CallState], float] = {}
        self._steady_since: float | None = None
        self._clock_ahead: float | None = None

    async def run(self, stop: asyncio.Event, parent: int | None) -> None:
        """Watches until `stop`; or, with a parent process, until it is gone and the calls it left have ended."""
        loop = asyncio.get_running_loop()
        orphaned_at: float | None = None
        while not stop.is_set():
            try:
                if parent is not None and os.getppid() != parent:
                    await self._report_death()
                await self.look()
                if parent is not None and os.getppid() == parent:
                    await self._look_at(parent)
            except (SQLAlchemyError, OSError, TimeoutError, aiohttp.ClientError, api.ServerError) as error:
                # Nobody's silence counts while we ourselves were deaf: workers could not say that they live either.
                self._steady_since = None
                log.warning(
                    "WATCHER_BLIND | cause=%s", str(error).splitlines()[0] if str(error) else type(error).__name__
                )
            if parent is not None and os.getppid() != parent:
                orphaned_at = orphaned_at or loop.time()
                orphaned_for = loop.time() - orphaned_at
                if orphaned_for > presence.SILENT + 5 and self._steady_since is not None:
                    return
                if orphaned_for > GIVES_UP:
                    log.error("WATCHER_GIVES_UP | blind for %.0f s, and its agent is gone", orphaned_for)
                    return
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD):
                    await stop.wait()

    async def look(self, at: float | None = None) -> None:
        """One look, and what follows from it; `at` is the moment by a clock that nobody sets, the loop's if None."""
        now = asyncio.get_running_loop().time() if at is None else at
        calls = await self._calls()
        if calls is None:
            return
        rooms = await self._rooms()
        lacking = {(call.id, lack) for call in calls if (lack := lack_of(rooms.get(call.room or "")))}
        self._lacking_since = {key: self._lacking_since.get(key, now) for key in lacking}
        states = {(call.id, call.state) for call in calls}
        self._seen_since = {key: self._seen_since.get(key, now) for key in states}
        if self._steady_since is None:
            self._steady_since = now
        # While the database is away, and for a moment after its clock was set, no worker can say that it lives.
        trusts_silence = now - self._steady_since > presence.SILENT
        endings: dict[CallSeen, Ending] = {}
        for call in calls:
            if not call.worker_alive and not trusts_silence:
                continue
            room = rooms.get(call.room or "")
            seen_for = now - self._seen_since[call.id, call.state]
            ending = verdict(call, room, now - self._lacking_since.get((call.id, lack_of(room)), now), seen_for)
            if ending is not None:
                endings[call] = ending
        self._ending_since = {call.id: self._ending_since.get(call.id, now) for call in endings}
        # All at once: for a room that no server holds LiveKit takes seconds to say so.
        await asyncio.gather(*(self._end(call, ending, now) for call, ending in endings.items()))
        if self._redispatcher is not None:
            await self._redispatcher.look(waiting(calls, rooms.values()), now)

    async def _report_death(self) -> None:
        """Our own agent process is gone, which we know before its silence tells: its calls need not wait for that."""
        if self._worker_id is None or self._reported_death:
            return
        async with self._database.transaction() as session:
            await presence.leave(session, self._worker_id)
        self._reported_death = True

    async def _look_at(self, parent: int) -> None:
        """Stops our own agent process if it hangs."""
        steady_for = asyncio.get_running_loop().time() - (self._steady_since or float("inf"))
        if self._worker_id is None or steady_for < HANGS:
            return
        async with self._database.transaction() as session:
            silent = await presence.silence(session, self._worker_id)
        due = remedy(silent)
        if due is not None and due is not self._sent:
            log.error("AGENT_HANGS | pid=%d | silent for %.0f s | sending %s", parent, silent, due.name)
            os.kill(parent, due)
        self._sent = due

    async def _calls(self) -> list[CallSeen] | None:
        """Every call that has not ended; None when another watcher looks right now."""
        async with self._database.transaction() as session:
            if not await session.scalar(select(func.pg_try_advisory_xact_lock(_LOCK))):
                return None
            self._compare_clocks(await session.scalar(select(func.extract("epoch", func.clock_timestamp()))))
            living = await presence.living(session)
            last = func.greatest(
                Call.created_at, Call.dispatched_at, Call.dialing_at, Call.ringing_at, Call.answered_at
            )
            age = func.extract("epoch", func.now() - last)
            rows = await session.execute(
                select(Call.id, Call.state, Call.room_name, Call.worker_id, age).where(text("state <> 'ended'"))
            )
            return [
                CallSeen(id_, state, room, float(seconds), worker is None or worker in living)
                for id_, state, room, worker, seconds in rows
            ]

    def _compare_clocks(self, theirs: Any) -> None:
        """Signs of life are times of the database: when its clock was set, they mean nothing until the next ones."""
        ahead = float(theirs) - monotonic()
        if self._clock_ahead is not None and abs(ahead - self._clock_ahead) > CLOCK_SET:
            log.warning("CLOCK_WAS_SET | by %+.1f s: silence is measured anew", ahead - self._clock_ahead)
            self._steady_since = None
        self._clock_ahead = ahead

    async def _rooms(self) -> dict[str, RoomSeen]:
        """Rooms with somebody in them.

        Only those whose agent may be missing are looked into.
        """
        listed = (await self._livekit.room.list_rooms(api.ListRoomsRequest())).rooms
        seen: dict[str, RoomSeen] = {}
        for room in listed:
            if not room.name.startswith(("call-", "did-")):
                continue
            try:
                people = (
                    await self._livekit.room.list_participants(api.ListParticipantsRequest(room=room.name))
                ).participants
            except api.ServerError as error:
                if is_gone(error):
                    continue
                raise
            seen[room.name] = RoomSeen(
                room.name,
                phone_active=any(
                    p.kind == api.ParticipantInfo.Kind.SIP and p.attributes.get("sip.callStatus") == "active"
                    for p in people
                ),
                has_agent=any(p.kind == api.ParticipantInfo.Kind.AGENT for p in people),
                has_phone=any(p.kind == api.ParticipantInfo.Kind.SIP for p in people),
            )
        return seen

    async def _end(self, call: CallSeen, ending: Ending, now: float) -> None:
        not_dialled = call.state in (CallState.QUEUED, CallState.DISPATCHED)
        # For as long as its room cannot be deleted, a person may be alone on the line of a call that was dialled: that
        # is tried again, but a call must not keep its place for ever.
        stays = call.room and not not_dialled and not await self._deleted(call.room)
        if stays and now - self._ending_since[call.id] < _ROOM_STAYS:
            return
        async with self._database.transaction() as session:
            row = await session.get(Call, call.id, with_for_update=True)
            if row is None or (not_dialled and row.state is not call.state):
                return  # an agent has just claimed it
            await history.end(session, CallEnded.of(call.id, ending, datetime.now(UTC)))
        log.warning(
            "%s",
            logs.event("🛟 CALL_ENDED_BY_WATCHER", call=call.id, room=logs.room(call.room or "-"), cause=ending.cause),
        )
        if call.room and not_dialled:
            await self._deleted(call.room)

    async def _deleted(self, room: str) -> bool:
        """Deletes the room, which ends every phone call in it. False when LiveKit could not."""
        try:
            await self._livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        except (api.ServerError, aiohttp.ClientError, TimeoutError) as error:
            if not (isinstance(error, api.ServerError) and is_gone(error)):
                log.warning("ROOM_NOT_DELETED | room=%s | cause=%s", logs.room(room), error)
                return False
        return True


class WatcherProcess:
    """The watcher that an agent process started."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def release(self) -> None:
        """The agent ends in good order and left no call: the watcher may go too."""
        self._process.stop(timeout=5)


def spawn(settings: Settings) -> WatcherProcess:
    """Starts a watcher beside this process."""
    settings.voiceagents_data.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "voiceagents.calls.watcher", "--parent", str(os.getpid())]
    return WatcherProcess(
        spawn_process("watcher", command, {}, settings.voiceagents_data / "watcher.log", outlives_starter=True)
    )


async def watch(settings: Settings, parent: int | None) -> None:
    """Runs a watcher until SIGTERM."""
    access = settings.livekit
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    database = Database(storage.database_url(settings), pool_size=1, wait=5)
    async with api.LiveKitAPI(
        access.url, access.api_key, access.api_secret.get_secret_value(), failover=False
    ) as livekit:
        watcher = Watcher(database, livekit, settings.lk_agent_name, os.environ.get(presence.WORKER_ID))
        await watcher.run(stop, parent)
    await database.close()


def main() -> int:
    """`python -m voiceagents.calls.watcher`.

    Returns the exit status.
    """
    parser = argparse.ArgumentParser(description="Ends calls whose agent is gone.")
    parser.add_argument("--parent", type=int, help="stop once this process is gone and its calls have ended")
    arguments = parser.parse_args()
    try:
        settings = load()
        logs.configure(level=settings.log_level, log_pii=settings.log_pii)
        asyncio.run(watch(settings, arguments.parent))
    except (SettingsError, DatabaseProblem) as error:
        log.error("%s", error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
