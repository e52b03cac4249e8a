"""How does an agent process run? It checks its surroundings, loads the models once, registers with LiveKit and holds
many calls until it is told to stop.

One entry point for all calls: job metadata with a `phone_number` means outbound, anything else inbound.
"""

import asyncio
import faulthandler
import itertools
import logging
import math
import os
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from livekit import rtc
from livekit.agents import AgentServer, JobContext, JobExecutorType, JobProcess

from voiceagents import logs, storage
from voiceagents.assistants import sources
from voiceagents.calls import presence, recordings, watcher
from voiceagents.calls.history import Gate
from voiceagents.calls.metadata import JobMetadata, MetadataError, did_in_room, is_outbound_room, parse_job, parse_room
from voiceagents.calls.recorder import HistoryUnavailable, Recorder
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.db import DatabaseProblem
from voiceagents.livekit import inbound, outbound, sip, speech
from voiceagents.livekit.capacity import Capacity, raise_file_limit
from voiceagents.livekit.control import CallControl
from voiceagents.livekit.job import Job, TakeTurn, WorkerContext
from voiceagents.livekit.uploads import Uploads
from voiceagents.settings import Settings, SettingsError, load

log = logging.getLogger("voiceagents.worker")

_dispatches = itertools.count(1)
_context: WorkerContext | None = None
_gate: Gate | None = None
_take_turn: TakeTurn | None = None
_context_lock = threading.Lock()


def set_gate(gate: Gate, take_turn: TakeTurn) -> None:
    """Has every dial of this process wait for its turn, and then asks `gate`. Call before the first job."""
    global _gate, _take_turn
    _gate, _take_turn = gate, take_turn


def worker_context() -> WorkerContext:
    """The shared things of this process, made when first asked for (a job process of its own starts without them)."""
    global _context
    with _context_lock:
        if _context is None:
            _context = _make_context(load())
        return _context


def _make_context(settings: Settings) -> WorkerContext:
    # LiveKit's client library makes its one native instance when it is first used, without a lock: the first calls of
    # a process, starting together, made one each, heard from none but the last, and the process was ended for it. So it
    # is used here once, before any call.
    rtc.AudioResampler(8000, 16000)
    speech.warm_up()
    recorder = Recorder(storage.database_url(settings), settings.voiceagents_data / "spool")
    recorder.start()
    recordings.salvage(settings.voiceagents_data)
    return WorkerContext(
        settings=settings,
        access=settings.livekit,
        recorder=recorder,
        vad=speech.load_vad(),
        speech=speech.endpoint(settings),
        worker_id=os.environ[presence.WORKER_ID],
        gate=_gate,
        take_turn=_take_turn,
    )


def prewarm(_: JobProcess) -> None:
    """Makes a job process ready before it gets its first call."""
    settings = load()
    if settings.agent_job_executor == "process":
        logs.configure(level=settings.log_level, log_pii=settings.log_pii)
    worker_context()


async def handle_call(ctx: JobContext) -> None:
    """The entry point of every job."""
    worker = worker_context()
    room = ctx.job.room.name
    log.info(
        "%s",
        logs.event(
            "🎯 DISPATCH_RECEIVED",
            count=next(_dispatches),
            room=logs.room(room),
            job_metadata=logs.metadata(ctx.job.metadata),
        ),
    )
    control = CallControl()
    async with sip.connect(worker.access) as livekit:
        job = Job(ctx=ctx, worker=worker, livekit=livekit, control=control)
        try:
            with worker.live.holding(control):
                await _route(job)
        finally:
            # Without a word that it is over, the job would wait for a room that may be gone.
            ctx.shutdown("call ended")


async def _route(job: Job) -> None:
    context = parse_room(job.ctx.job.room.metadata)
    try:
        metadata = parse_job(job.ctx.job.metadata)
        if not metadata.is_outbound and is_outbound_room(job.room_name):
            raise MetadataError("no phone_number, in a room that was made to call somebody")
    except MetadataError as error:
        log.error(
            "%s",
            logs.event("❌ JOB_METADATA_REFUSED", room=logs.room(job.room_name), cause=error),
        )
        if is_outbound_room(job.room_name) or _names_a_number(job):
            # Nobody waits in a room that a dispatcher made: no dial, no assistant talking to nobody, a
            # row that says why.
            await outbound.refuse_unreadable(job, context, f"job metadata cannot be used: {error}")
            return
        metadata = JobMetadata()
    for problem in (*metadata.problems, *context.problems):
        log.warning("%s", logs.event("METADATA_PROBLEM", room=logs.room(job.room_name), problem=problem))
    if metadata.is_outbound:
        log.info("%s", logs.event("🔥 OUTBOUND_CALL_DETECTED", phone_number=logs.number(metadata.phone_number)))
        await outbound.run(job, metadata, context)
    else:
        log.info("%s", logs.event("📞 INBOUND_CALL_DETECTED", phone_number=None))
        await inbound.run(job, metadata, context)


def _names_a_number(job: Job) -> bool:
    """True for a dispatch that meant to dial somebody, broken as its metadata is: in a room that nobody called."""
    return did_in_room(job.room_name) is None and "phone_number" in job.ctx.job.metadata


def build_server(settings: Settings, prepare: Callable[[JobProcess], None] = prewarm) -> AgentServer:
    """The LiveKit worker with our one entry point."""
    access = settings.livekit
    capacity = Capacity(settings.agent_max_calls)
    server = AgentServer(
        ws_url=access.url,
        api_key=access.api_key,
        api_secret=access.api_secret.get_secret_value(),
        job_executor_type=JobExecutorType(settings.agent_job_executor),
        setup_fnc=prepare,
        load_fnc=capacity.load,
        load_threshold=math.inf,  # whether one more call fits is for `capacity` to say
        # Calls come in bursts. A waiting thread is nearly free, a waiting process is not.
        num_idle_processes=4 if settings.agent_job_executor == "thread" else 1,
        # An entry point gets 15 s to end its call before it is cancelled; the process must outlive that.
        shutdown_process_timeout=30.0,
        session_end_timeout=20.0,
        host="127.0.0.1",
        port=settings.agent_http_port,
        log_level=settings.log_level,
    )
    capacity.watch(server)
    server.rtc_session(handle_call, agent_name=settings.lk_agent_name, on_request=capacity.answer)
    return server


async def run(settings: Settings, prepare: Callable[[JobProcess], None] = prewarm) -> None:
    """Runs until SIGTERM or SIGINT; then lets calls end, for `agent_drain_seconds` at most.

    A second signal ends them at once.
        Raises:
            SettingsError: the environment, the database or the speech server is not fit to run with.
    """
    raise_file_limit()
    access = settings.livekit
    os.environ.update(
        LIVEKIT_URL=access.url,
        LIVEKIT_API_KEY=access.api_key,
        LIVEKIT_API_SECRET=access.api_secret.get_secret_value(),
    )
    os.environ[presence.WORKER_ID] = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:6]}"
    await storage.ready(settings)
    local_speech = (
        speech.LocalSpeechServer(settings.voiceagents_data)
        if settings.offline_speech and not speech.shared_endpoint()
        else None
    )
    try:
        if local_speech is not None:
            log.info(
                "OFFLINE_VOICE | no OPENAI_API_KEY and no OPENAI_BASE_URL: "
                "the local speech server speaks, listens and follows the script"
            )
            local_speech.start()
        context = await asyncio.to_thread(worker_context)
        await _serve(settings, context, prepare)
    finally:
        if local_speech is not None:
            local_speech.stop()


async def _serve(settings: Settings, context: WorkerContext, prepare: Callable[[JobProcess], None]) -> None:
    server = build_server(settings, prepare)
    stopping = _StopSignal()
    heartbeat = asyncio.create_task(_heartbeat(context, server))
    uploading = asyncio.create_task(_upload(context))
    watching = watcher.spawn(settings)
    serving = asyncio.create_task(server.run(devmode=False))

    def on_registered(*_: object) -> None:
        log.info("AGENT_READY | agent_name=%s | worker=%s", settings.lk_agent_name, context.worker_id)

    server.on("worker_registered", on_registered)  # pyright: ignore[reportUnknownMemberType]
    try:
        await asyncio.wait({serving, stopping.first}, return_when=asyncio.FIRST_COMPLETED)
        if not serving.done():
            await _drain(server, settings, context, stopping)
        with suppress(asyncio.CancelledError):
            await serving
    finally:
        heartbeat.cancel()
        uploading.cancel()
        await _leave(context)
        watching.release()


async def _drain(server: AgentServer, settings: Settings, context: WorkerContext, stopping: "_StopSignal") -> None:
    log.info(
        "AGENT_STOPPING | calls=%d | waiting up to %.0f s for them to end",
        len(server.active_jobs),
        settings.agent_drain_seconds,
    )
    draining = asyncio.create_task(server.drain(timeout=None))
    await asyncio.wait(
        {draining, stopping.second}, timeout=settings.agent_drain_seconds, return_when=asyncio.FIRST_COMPLETED
    )
    if not draining.done():
        context.live.end_all("the worker was stopped during the call")
        if len(context.live):
            await asyncio.wait({draining}, timeout=15)
        # Calls in job processes of their own are out of our reach: `aclose` cancels them.
    draining.cancel()
    await server.aclose()


async def _heartbeat(context: WorkerContext, server: AgentServer) -> None:
    host, pid = socket.gethostname(), os.getpid()
    while True:
        with suppress(HistoryUnavailable):
            await context.recorder.ask(
                lambda session: presence.beat(
                    session,
                    context.worker_id,
                    host,
                    pid,
                    max_calls=context.settings.agent_max_calls,
                    active_calls=len(context.live),
                    accepting=not server.draining,
                ),
                seconds=5,
                after_writes=False,
            )
        await asyncio.sleep(presence.BEAT)


async def _upload(context: WorkerContext) -> None:
    store = RecordingStore.of(context.settings)
    if store.bucket is not None:
        await Uploads(store, lambda question: context.recorder.ask(question, after_writes=False)).run()


async def _leave(context: WorkerContext) -> None:
    with suppress(HistoryUnavailable):
        await context.recorder.ask(lambda session: presence.leave(session, context.worker_id), seconds=5)
    await asyncio.to_thread(context.recorder.close)


class _StopSignal:
    """The first and the second SIGTERM or SIGINT."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[None] = loop.create_future()
        self.second: asyncio.Future[None] = loop.create_future()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        waiting = self.first if not self.first.done() else self.second
        if not waiting.done():
            waiting.set_result(None)


def main(prepare: Callable[[JobProcess], None] = prewarm) -> int:
    """Starts the agent; what `python main.py` and `voiceagents agent` run.

    Returns the exit status.
    """
    faulthandler.enable()  # SIGABRT has a process that hangs say where it does
    try:
        settings = load()
        logs.configure(level=settings.log_level, log_pii=settings.log_pii)
        sources.mapping(settings)  # a slip in it is told here, not in a call
        asyncio.run(run(settings, prepare))
    except (SettingsError, DatabaseProblem) as error:
        log.error("%s", error)
        return 2
    return 0
