"""How does the engine run? Durable jobs (procrastinate) drive the state machine in the tables.

Any number of engine processes share the work. The tables are the truth and every job may run twice, late or on
another machine:

- `feed` picks due contacts of one campaign and makes their calls;
- `dispatch` brings one call to an agent;
- `settle` draws the conclusions from calls that ended;
- `reconcile` dispatches calls that were forgotten between two steps;
- `deliver` sends webhooks to one endpoint;
- `retain` deletes recordings and words that are older than RETENTION_DAYS.

Nothing polls busily. An alarm in each engine sleeps until the next moment at which something is due, or until
PostgreSQL notifies that something happened: a call ended, a campaign was started or changed. Jobs of an engine that
died are taken over by the others.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import procrastinate
import psycopg
from livekit import api
from procrastinate.exceptions import AlreadyEnqueued, ProcrastinateException, UniqueViolation
from procrastinate.jobs import Status
from sqlalchemy import Select, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.calls import history, retention
from voiceagents.calls.bucket import BucketProblem
from voiceagents.calls.models import Call
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.calls.states import CallState
from voiceagents.calls.watcher import Watcher
from voiceagents.campaigns import dispatcher, feeding, lifecycle, places, settling
from voiceagents.campaigns.deliveries import Deliveries
from voiceagents.campaigns.dispatcher import Dispatcher, first_line
from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.states import CampaignState
from voiceagents.db import Database
from voiceagents.settings import Settings
from voiceagents.webhooks import models as webhooks

log = logging.getLogger("voiceagents.engine")

LOOK = 5.0
"""Seconds after which an engine looks by itself, should a notification have been lost."""

OVERDUE = timedelta(seconds=15)
"""Age at which a call that nobody dispatched is dispatched again."""

_STALLED = 8.0
"""Seconds without a sign of life after which an engine counts as dead."""
_LONGEST_SLEEP = timedelta(minutes=5)
"""Time after which a running campaign is looked at, should nothing happen."""

_TOGETHER = 0.1
"""Seconds between two looks of an alarm: what happens or falls due meanwhile is done in one go. A feeding of ten calls
costs little more than a feeding of one."""

_JOB_LOOK = 0.5
_CONCURRENCY = 20
_RETAINS = "7 * * * *"
"""When it is looked for what is older than it may be (cron): by one engine, however many there are."""

LISTENER = "voiceagents engine, listening"
"""How the connection calls itself over which an engine hears what happens."""

_CLOCK_OFF = timedelta(seconds=2)
"""Difference of two clocks that nobody sets, and that is worth a word."""


def _compare_clocks(theirs: datetime | None) -> None:
    """Windows and retries go by the clocks of engines and agents, signs of life and turns by the database's."""
    off = clock.now() - theirs if theirs is not None else timedelta()
    if abs(off) > _CLOCK_OFF:
        log.warning(
            "CLOCK_OFF | this machine's clock is %+.1f s from the database's: let both be set by NTP",
            off.total_seconds(),
        )


def _overdue(now: datetime) -> Select[UUID]:
    """Calls of campaigns that were made and never dispatched, and whose dispatch was lost with a server or agent."""
    forgotten = (Call.state == CallState.QUEUED) & (Call.created_at < now - OVERDUE)
    lost = (Call.state == CallState.DISPATCHED) & (Call.dispatched_at < now - dispatcher.LOST)
    # In these words it is the condition of an index.
    return select(Call.id).where(text("state <> 'ended'"), forgotten | lost, Call.contact_id.is_not(None))


def _plain_url(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)


class Engine:
    """One engine process."""

    def __init__(self, settings: Settings, database_url: str) -> None:
        self._settings = settings
        self._database = Database(database_url, pool_size=8)
        self._url = _plain_url(self._database.url)
        self._random = Random()  # noqa: S311  jitter is no secret
        self._stop = asyncio.Event()
        self._wake = asyncio.Event()
        self._due: set[UUID] = set()
        self._all_due = True
        self._settle_soon = True
        self.app = procrastinate.App(
            connector=procrastinate.PsycopgConnector(conninfo=self._url, min_size=1, max_size=4)
        )
        self._feed = self._task("feed", self._run_feed)
        self._dispatch = self._task("dispatch", self._run_dispatch)
        self._settle = self._task("settle", self._run_settle)
        self._reconcile = self._task("reconcile", self._run_reconcile)
        self._deliveries = Deliveries(self._database, self._random)
        self._deliver = self._task("deliver", self._run_deliver)
        retain = self._task("retain", self._run_retain)
        if settings.retention_days is not None:
            self.app.periodic(cron=_RETAINS)(retain)

    def _task(self, name: str, function: Callable[..., Awaitable[None]]) -> Any:
        return self.app.task(name=name, queue=name)(function)

    async def run(self) -> None:
        """Runs until `stop`; then finishes the jobs it has and returns.

        Calls go on without it.
        """
        access = self._settings.livekit
        secret = access.api_secret.get_secret_value()
        async with self.app.open_async(), api.LiveKitAPI(access.url, access.api_key, secret, failover=False) as livekit:
            self._dispatcher = Dispatcher(self._settings, self._database, livekit, self._stop)
            watcher = Watcher(self._database, livekit, self._settings.lk_agent_name)
            tasks = [
                asyncio.create_task(self._alarm(), name="alarm"),
                asyncio.create_task(self._listen(), name="listen"),
                asyncio.create_task(watcher.run(self._stop, None), name="watcher"),
                asyncio.create_task(self._work(), name="work"),
            ]
            log.info("ENGINE_READY | campaigns are fed from now on")
            stopping = asyncio.create_task(self._stop.wait())
            done, _ = await asyncio.wait({*tasks, stopping}, return_when=asyncio.FIRST_COMPLETED)
            self._stop.set()
            for task in tasks[:2]:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for task in tasks:
                if task in done:
                    task.result()  # an alarm or a listener that broke is an error of ours: say it
        await self._database.close()

    def stop(self) -> None:
        """Stops; call on the engine's own loop."""
        self._stop.set()

    async def _work(self) -> None:
        """Runs jobs; a database that is away is waited for."""
        while not self._stop.is_set():
            worker = asyncio.create_task(
                self.app.run_worker_async(
                    concurrency=_CONCURRENCY,
                    # A notification that comes while the worker looks is lost to it (procrastinate 3.10).
                    fetch_job_polling_interval=_JOB_LOOK,
                    install_signal_handlers=False,
                    delete_jobs="always",
                    update_heartbeat_interval=_STALLED / 4,
                    stalled_worker_timeout=_STALLED,
                    shutdown_graceful_timeout=10,
                )
            )
            stopped = asyncio.create_task(self._stop.wait())
            await asyncio.wait({worker, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            worker.cancel()
            try:
                await worker
            except asyncio.CancelledError:
                return
            except (ProcrastinateException, psycopg.Error, OSError) as error:
                log.warning("ENGINE_BLIND | cause=%s", first_line(error))
                await self._pause(1.0)

    async def _listen(self) -> None:
        """Hears what happens.

        While it cannot listen, the alarm's own look stands in.
        """
        while True:
            try:
                connecting = psycopg.AsyncConnection.connect(self._url, autocommit=True, application_name=LISTENER)
                async with await connecting as connection:
                    await connection.execute(f"LISTEN {history.ENDED_CHANNEL}")
                    await connection.execute(f"LISTEN {lifecycle.WAKE_CHANNEL}")
                    await connection.execute(f"LISTEN {webhooks.CHANNEL}")
                    row = await (await connection.execute("SELECT clock_timestamp()")).fetchone()
                    _compare_clocks(row[0] if row else None)
                    # Whatever was said while nobody listened was said to nobody.
                    self._all_due = self._settle_soon = True
                    self._deliveries.hear()
                    self._wake.set()
                    async for notice in connection.notifies():
                        if notice.channel == history.ENDED_CHANNEL:
                            self._settle_soon = True
                        elif notice.channel == webhooks.CHANNEL:
                            self._deliveries.hear()
                        else:
                            with suppress(ValueError):
                                self._due.add(UUID(notice.payload))
                        self._wake.set()
            except (psycopg.Error, OSError) as error:
                log.warning("ENGINE_DEAF | cause=%s", first_line(error))
            await self._pause(1.0)

    async def _alarm(self) -> None:
        """Defers jobs at their moment.

        All engines do so; a job that is queued already is not queued twice.
        """
        loop = asyncio.get_running_loop()
        look_at = loop.time()
        while True:
            self._wake.clear()
            looked_at = loop.time()
            # The system's clock may be set, forward or back: what is due is asked of it again at every look.
            rest = LOOK
            try:
                if loop.time() >= look_at:
                    look_at = loop.time() + LOOK
                    self._settle_soon = True
                    await self._take_over()
                    if await self._ask(lambda session: session.scalar(_overdue(clock.now()).limit(1))):
                        await self._defer(self._reconcile, "reconcile")
                if self._settle_soon:
                    self._settle_soon = False
                    if await self._ask(settling.unsettled):
                        await self._defer(self._settle, "settle")
                times = [
                    await self._defer_due_feeds(clock.now()),
                    await self._deliveries.defer_due(clock.now(), self._defer_deliver),
                ]
                next_at = min(time for time in times if time is not None)
                rest = max(0.0, (next_at - clock.now()).total_seconds())
            except (SQLAlchemyError, ProcrastinateException, psycopg.Error, OSError) as error:
                log.warning("ENGINE_BLIND | cause=%s", first_line(error))
                self._settle_soon = True
                await self._pause(1.0)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(rest, max(0.0, look_at - loop.time()))):
                    await self._wake.wait()
            await self._pause(looked_at + _TOGETHER - loop.time())

    async def _ask(self, question: Callable[[AsyncSession], Awaitable[object]]) -> bool:
        # A job costs several transactions, a question one.
        async with self._database.transaction() as session:
            return bool(await question(session))

    async def _defer_due_feeds(self, now: datetime) -> datetime | None:
        """Defers `feed` for every campaign whose time has come, and returns the next such time."""
        heard, self._due = self._due, set()
        all_due, self._all_due = self._all_due, False
        live = Campaign.state.in_([CampaignState.RUNNING, CampaignState.SCHEDULED]) | Campaign.reopening.is_not(None)
        next_at: datetime | None = None
        try:
            async with self._database.transaction() as session:
                rows = (await session.execute(select(Campaign.id, Campaign.wake_at).where(live))).all()
            for id_, wake_at in rows:
                # A time further off than any we set: the clock was set back.
                if all_due or id_ in heard or wake_at is None or not now < wake_at <= now + _LONGEST_SLEEP:
                    await self._defer(self._feed, f"feed:{id_}", campaign_id=str(id_))
                elif next_at is None or wake_at < next_at:
                    next_at = wake_at
        except BaseException:
            self._due |= heard
            self._all_due |= all_due
            raise
        return next_at

    async def _defer(self, task: Any, lock: str, **arguments: str) -> None:
        # One waits at most. Several may run: the rows' own locks keep them apart, and a job that died with its engine
        # stands in nobody's way.
        with suppress(AlreadyEnqueued):
            await task.configure(queueing_lock=lock).defer_async(**arguments)

    async def _run_feed(self, campaign_id: str) -> None:
        id_ = UUID(campaign_id)
        now = clock.now()
        async with self._database.transaction() as session:
            fed = await feeding.feed(session, id_, now, self._defer_dispatch)
            # Without a time of its own a campaign is looked at again when something happens, or after a while anyway.
            later = now + _LONGEST_SLEEP
            wake_at = None if fed.completed else min(fed.again_at or later, later)
            await session.execute(
                update(Campaign)
                .where(Campaign.id == id_)
                .values(wake_at=wake_at, updated_at=Campaign.updated_at)
                .execution_options(synchronize_session=False)
            )
        if fed.calls:
            log.info("CAMPAIGN_FED | campaign=%s | calls=%d", id_, fed.calls)
        if fed.completed:
            log.info("CAMPAIGN_COMPLETED | campaign=%s", id_)
        self._wake.set()

    async def _defer_dispatch(self, session: AsyncSession, call_ids: Sequence[UUID]) -> None:
        if call_ids:
            raw = await (await session.connection()).get_raw_connection()
            connection: Any = raw.driver_connection
            jobs = [{"call_id": str(id_)} for id_ in call_ids]
            await self._dispatch.configure(connection=connection).batch_defer_async(*jobs)

    async def _run_dispatch(self, call_id: str) -> None:
        await self._dispatcher.run(UUID(call_id))

    async def _defer_deliver(self, endpoint_id: UUID) -> None:
        await self._defer(self._deliver, f"deliver:{endpoint_id}", endpoint_id=str(endpoint_id))

    async def _run_deliver(self, endpoint_id: str) -> None:
        await self._deliveries.deliver(UUID(endpoint_id))
        self._wake.set()

    async def _run_settle(self) -> None:
        async with self._database.transaction() as session:
            settled = await settling.settle(session, clock.now(), self._random)
            # Whatever ended, a call of no campaign, too, left a place that others may wait for.
            waiting = await places.waiting(session, settled.calls) if settled.calls else set[UUID]()
            for campaign_id in settled.campaigns | waiting:
                await lifecycle.wake(session, campaign_id)
            # Should nobody be there to hear it now. (Those that wait look again soon, and are not locked here.)
            await session.execute(
                update(Campaign)
                .where(Campaign.id.in_(settled.campaigns))
                .values(wake_at=None, updated_at=Campaign.updated_at)
                .execution_options(synchronize_session=False)
            )
            more = await settling.unsettled(session)
        if more:
            self._settle_soon = True
            self._wake.set()

    async def _run_reconcile(self) -> None:
        async with self._database.transaction() as session:
            found = await session.scalars(_overdue(clock.now()).order_by(func.random()).limit(100))
        for call_id in found:
            await self._defer(self._dispatch, f"dispatch:{call_id}", call_id=str(call_id))

    async def _run_retain(self, timestamp: int) -> None:
        days, store, now = self._settings.retention_days, RecordingStore.of(self._settings), clock.now()
        while days is not None and not self._stop.is_set():
            try:
                cleared = await retention.clear_batch(self._database, store, retention.limit(now, days), now)
            except BucketProblem as error:
                log.warning("RETENTION_WAITING | nothing more is deleted until then | cause=%s", error)
                return
            if not cleared:
                return
            log.info("RETENTION | calls=%d | what was said in them is deleted", cleared)

    async def _take_over(self) -> None:
        """Jobs of an engine that died run again. All of them may."""
        manager = self.app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=_STALLED):
            log.warning("JOB_TAKEN_OVER | job=%s | task=%s", job.id, job.task_name)
            try:
                await manager.retry_job(job)
            except UniqueViolation:
                # The same job waits in the queue already.
                await manager.finish_job(job, Status.FAILED, delete_job=True)

    async def _pause(self, seconds: float) -> None:
        if seconds <= 0:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
