"""A running campaign whose processes are killed at random moments, and what the telephone company says about it.

One seed is one run: a lab, a PostgreSQL of its own, two engines and two agents that are started again when they die, a
few hundred contacts whose phones are mostly busy, silent or rude, and kills at moments that the seed decides. The
carrier is never killed: its ledger of INVITEs is the witness against which calls, contacts and decisions are held.
"""

import asyncio
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psutil
import psycopg
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError

from tests.database import end_servers, open_folder
from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState
from voiceagents.campaigns import do_not_call, lifecycle
from voiceagents.campaigns.models import Campaign, Contact, DecisionRecord, Installation, TrunkLimits
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict
from voiceagents.db import Database
from voiceagents.lab import Lab
from voiceagents.postgres import EmbeddedPostgres
from voiceagents.processes import Process, spawn
from voiceagents.schema import migrate

VICTIMS = ("engine", "agent", "machine", "gateway", "livekit-server", "redis-server", "postgres")
"""A machine is an agent and its watcher at once."""
LAB_VICTIMS = ("gateway", "livekit-server", "redis-server")

STANDSTILL = 240.0
"""Seconds without a new call, ending or conclusion after which a campaign counts as stuck.

A busy machine makes everything slow, so that no time for the whole is fair. A trunk that was congested again and again
rests for two minutes at most.
"""

DIALLED_WITHIN = 5.0
"""Seconds from a claim, which has the last word, to the INVITE: LiveKit is being killed in between."""

_PHONES: tuple[tuple[float, Mapping[str, Any]], ...] = (
    (0.40, {"ring_ms": 200, "reject": 486, "record": False}),
    (0.25, {"ring_ms": 400, "reject": 480, "record": False}),
    (0.10, {"ring_ms": 100, "reject": 404, "record": False}),
    (0.15, {"ring_ms": 200, "record": False, "steps": [{"pause_ms": 300}, {"hangup": True}]}),
    (0.10, {"no_answer": True, "record": False}),
)
_RETRY = {
    "busy": {"attempts": 2, "delays": ["10s"]},
    "no_answer": {"attempts": 1},
    "hung_up": {"attempts": 1},
    "unreachable": {"attempts": 1},
    "rejected": {"attempts": 1},
    "failed": {"attempts": 2, "delays": ["10s"]},
    "carrier_failure": {"attempts": 2, "delays": ["10s"]},
    "agent_failure": {"attempts": 1},
    "voicemail": {"attempts": 1},
    "callback_requested": {"attempts": 1},
    "screened": {"attempts": 1},
    "congestion": {"attempts": 30, "delays": ["10s"]},
    "no_capacity": {"attempts": 30, "delays": ["10s"]},
}
_ALWAYS = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}


@dataclass(frozen=True)
class Kill:
    """One process killed without a warning, and how long it stays away."""

    at: float
    victim: str
    away: float


def plan(seed: int, kills: int, seconds: float, victims: tuple[str, ...] = VICTIMS) -> list[Kill]:
    """What is killed when, by the seed: every kind in turn, in an order and at moments of chance."""
    random = Random(seed)
    order: list[str] = []
    while len(order) < kills:
        order += random.sample(victims, len(victims))
    moments = sorted(random.uniform(1.0, seconds) for _ in range(kills))
    return [Kill(at, victim, random.uniform(0.1, 2.0)) for at, victim in zip(moments, order, strict=False)]


@dataclass
class Finding:
    """What one seed showed."""

    seed: int
    kills: list[Kill]
    contacts: int = 0
    dials: int = 0
    doubles: list[str] = field(default_factory=list[str])
    """INVITEs for which there is no call of their own."""
    losses: list[str] = field(default_factory=list[str])
    """Contacts that the campaign left behind, and calls that kept their place."""
    forbidden: list[str] = field(default_factory=list[str])
    """Dials after a do-not-call entry or outside of a window."""
    contradictions: list[str] = field(default_factory=list[str])
    """Counts and decisions that do not fit the calls."""
    undialled: int = 0
    """Calls that were claimed and never reached the carrier: the price of never dialling twice."""
    seconds: float = 0.0

    @property
    def wrong(self) -> list[str]:
        return [*self.doubles, *self.losses, *self.forbidden, *self.contradictions]

    def row(self) -> str:
        """A line of the table under `HEADER`."""
        killed = Counter(kill.victim for kill in self.kills)
        cells = [self.seed, sum(killed.values()), self.contacts, self.dials, self.undialled, len(self.doubles)]
        cells += [len(self.losses), len(self.forbidden), len(self.contradictions)]
        words = " ".join(f"{name}:{number}" for name, number in sorted(killed.items()))
        return "".join(f"{cell:>11}" for cell in cells) + f"{self.seconds:>9.0f}  {words}"


HEADER = (
    "".join(
        f"{name:>11}"
        for name in ("seed", "kills", "contacts", "dials", "unsent", "doubles", "losses", "forbidden", "miscounts")
    )
    + f"{'seconds':>9}  killed"
)


class Stage:
    """The processes of one run."""

    def __init__(self, lab: Lab, folder: Path, postgres: EmbeddedPostgres, url: str) -> None:
        self.lab = lab
        self.folder = folder
        self.postgres = postgres
        self.url = url
        self.database = Database(url, pool_size=4, wait=3)
        self._environment = {
            **lab.env(),
            "DATABASE_URL": url,
            "VOICEAGENTS_DATA": str(folder / "data"),
            "LOG_PII": "true",
            "RINGING_TIMEOUT": "2",
            # Nobody stays on the line for long enough to hear a word.
            "OPENAI_API_KEY": "nobody-is-heard",
            "OPENAI_BASE_URL": "http://127.0.0.1:9",
        }
        self._programs: dict[str, Process] = {}
        self._keepers: list[asyncio.Task[None]] = []

    def start(self, name: str, module: str) -> None:
        """Starts one of our programs, and again whenever it has died."""
        self._keepers.append(asyncio.create_task(self._keep(name, module)))

    async def _keep(self, name: str, module: str) -> None:
        while True:
            log = self.folder / f"{name}.log"
            process = spawn(name, [sys.executable, "-m", module], self._environment, log, outlives_starter=False)
            self._programs[name] = process
            while not await asyncio.to_thread(process.wait, 0.2):
                pass
            await asyncio.sleep(0.3)

    async def kill(self, kill: Kill, random: Random) -> None:
        """Kills a process of that kind; what nobody starts again by itself is started again after a while."""
        if kill.victim in LAB_VICTIMS:
            await self.lab.kill(kill.victim)
            await asyncio.sleep(kill.away)
            await self.lab.restart(kill.victim)
        elif kill.victim == "postgres":
            await asyncio.to_thread(self.postgres.stop, "immediate")
            await asyncio.sleep(kill.away)
            await asyncio.to_thread(self.postgres.start)
        else:
            kind = "agent" if kill.victim == "machine" else kill.victim
            alive = [p for name, p in sorted(self._programs.items()) if name.startswith(kind) and p.alive()]
            if alive:
                chosen = random.choice(alive)
                if kill.victim == "machine":
                    await asyncio.to_thread(self._kill_watcher_of, chosen.pid)
                await asyncio.to_thread(chosen.kill)

    @staticmethod
    def _kill_watcher_of(pid: int) -> None:
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.cmdline()[-2:] == ["--parent", str(pid)]:
                    process.kill()

    async def logged(self, name: str, words: str, within: float = 60.0) -> None:
        """Returns once a program has written these words."""
        log, deadline = self.folder / f"{name}.log", time.monotonic() + within
        while not log.exists() or words not in log.read_text(errors="replace"):
            assert time.monotonic() < deadline, f"{name} did not log {words}"
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(program.kill) for program in self._programs.values()))
        await self.database.close()
        # A watcher outlives its agent for a while: those that belong to this run are known by their data folder.
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("VOICEAGENTS_DATA") == self._environment["VOICEAGENTS_DATA"]:
                    process.send_signal(signal.SIGKILL)


@asynccontextmanager
async def stage(folder: Path, *, engines: int = 2, agents: int = 2) -> AsyncIterator[Stage]:
    """Everything that a campaign needs, running."""
    cluster = open_folder()
    postgres = EmbeddedPostgres(cluster / "postgres")
    try:
        async with Lab(folder / "lab") as lab:
            url = await asyncio.to_thread(postgres.start)
            with psycopg.connect(url, autocommit=True) as connection:
                # Processes are killed, not the machine: nothing is lost without fsync but time.
                connection.execute("ALTER SYSTEM SET fsync = off")
                connection.execute("SELECT pg_reload_conf()")
            await asyncio.to_thread(migrate, url)
            opened = Stage(lab, folder, postgres, url)
            try:
                for number in range(agents):
                    opened.start(f"agent-{number}", "voiceagents.livekit.main")
                for number in range(engines):
                    opened.start(f"engine-{number}", "voiceagents.engine")
                await asyncio.gather(*(opened.logged(f"agent-{n}", "AGENT_READY") for n in range(agents)))
                await asyncio.gather(*(opened.logged(f"engine-{n}", "ENGINE_READY") for n in range(engines)))
                yield opened
            finally:
                await opened.stop()
    finally:
        await asyncio.to_thread(end_servers, cluster)


@dataclass(frozen=True)
class Cast:
    """Who is in the campaigns of a run."""

    main: UUID
    """Open day and night; it must end by itself."""
    shut: UUID
    """Of people in whose zone the window is shut all the while."""
    closing: UUID
    """Its window shuts while it runs, or its last moment comes."""
    closes_at: datetime


async def prepare(on: Stage, random: Random, contacts: int, expires_in: float | None) -> Cast:
    """Makes and starts the campaigns."""
    phones: dict[str, Mapping[str, Any]] = {}
    kinds, weights = [phone for _, phone in _PHONES], [share for share, _ in _PHONES]

    def people(area: str, count: int) -> list[str]:
        numbers = [f"+1{area}{200 + line // 10_000}{line % 10_000:04}" for line in random.sample(range(70_000), count)]
        phones.update({number: random.choices(kinds, weights)[0] for number in numbers})
        return numbers

    here = datetime.now(ZoneInfo("America/New_York"))
    closes = here.replace(second=0, microsecond=0) + timedelta(minutes=1 if here.second < 35 else 2)
    day = f"{here:%a}".lower()
    ends: dict[str, Any] = {
        "window": {day: [["00:00", f"{closes:%H:%M}" if closes.date() == here.date() else "24:00"]]}
    }
    if expires_in is not None:
        closes = here + timedelta(seconds=expires_in)
        ends = {"window": _ALWAYS, "expires_at": closes}
    far = datetime.now(ZoneInfo("Pacific/Honolulu"))
    # Open where New York is and shut in Hawaii, whatever the hour.
    elsewhere = {f"{here:%a}".lower(): [[f"{here.hour:02}:00", "24:00"]]} if far.hour < here.hour else {"sun": []}
    common: dict[str, Any] = {
        "prompt": "Hello {name}.", "trunk_id": on.lab.outbound_trunk_id, "calls_per_second": None,
        "max_concurrent": None, "attempts_per_day": None, "minimum_gap_seconds": 0, "retry": _RETRY,
        "time_zone": "America/New_York",
    }  # fmt: skip
    async with on.database.transaction() as session:
        session.add(TrunkLimits(trunk_id=on.lab.outbound_trunk_id, max_concurrent=24, calls_per_second=None))
        session.add(Installation(id=1, max_concurrent=30, kept_for_inbound=1))
        main = Campaign(name="main", window=_ALWAYS, **common)
        shut = Campaign(name="shut", window=elsewhere, **common)
        closing = Campaign(name="closing", **common | ends | {"priority": 2})
        session.add_all([main, shut, closing])
        await session.flush()
        for campaign, area, count in ((main, "202", contacts), (shut, "808", 15), (closing, "212", contacts // 2)):
            session.add_all(Contact(campaign_id=campaign.id, phone=number) for number in people(area, count))
    await on.lab.carrier.put_phones(phones)

    async def click(campaign_id: UUID) -> None:
        with suppress(lifecycle.CampaignProblem):
            async with on.database.transaction() as session:
                await lifecycle.start(session, campaign_id, datetime.now(ZoneInfo("UTC")))

    # Everybody clicks twice.
    await asyncio.gather(*(click(campaign.id) for campaign in (main, shut, closing) for _ in range(2)))
    return Cast(main.id, shut.id, closing.id, closes)


async def persist(step: Callable[[], Awaitable[None]]) -> None:
    """Does a step on the database as a person would who tries again while it is away."""
    while True:
        try:
            return await step()
        except (SQLAlchemyError, OSError):
            await asyncio.sleep(0.2)


async def list_some(on: Stage, cast: Cast, random: Random, listed: dict[str, float]) -> None:
    """Puts a few people on the do-not-call list while the campaign runs, and notes when that was done."""
    numbers: list[str] = []

    async def choose() -> None:
        async with on.database.transaction() as session:
            numbers.extend(await session.scalars(select(Contact.phone).where(Contact.campaign_id == cast.main)))

    await persist(choose)
    for number in random.sample(sorted(numbers), len(numbers) // 12):
        await asyncio.sleep(random.uniform(0.1, 0.8))

        async def add(number: str = number) -> None:
            async with on.database.transaction() as session:
                await do_not_call.add(session, number, None, "asked by mail")

        await persist(add)
        listed[number] = time.time()


async def run(
    seed: int,
    folder: Path,
    *,
    contacts: int = 200,
    kills: int = 8,
    seconds: float = 30.0,
    expires_in: float | None = None,
) -> Finding:
    """One run, and what it showed.

    Args:
        seed: of all that chance decides.
        folder: for logs.
        contacts: of the campaign that must end; half as many are in another.
        kills: how many.
        seconds: over which the kills are spread.
        expires_in: the other campaign ends after so many seconds; None: when its window shuts, at a full minute.
    """
    finding = Finding(seed, plan(seed, kills, seconds), contacts)
    random, listed, started = Random(seed), dict[str, float](), time.monotonic()
    async with stage(folder) as on:
        cast = await prepare(on, random, contacts, expires_in)
        running = time.monotonic()
        listing = asyncio.create_task(list_some(on, cast, random, listed))
        killing: list[asyncio.Task[None]] = []
        for kill in finding.kills:
            await asyncio.sleep(max(0.0, running + kill.at - time.monotonic()))
            if kill.victim in {task.get_name() for task in killing if not task.done()}:
                continue  # it is dead already
            killing.append(asyncio.create_task(on.kill(kill, random), name=kill.victim))
        await asyncio.gather(*killing)
        ended = await _ended(on, cast.main)
        listing.cancel()
        await asyncio.gather(listing, return_exceptions=True)
        await asyncio.sleep(max(0.0, cast.closes_at.timestamp() + 2 - time.time()))
        await judge(on, cast, listed, finding)
        if not ended:
            finding.losses.append(f"the campaign stood still for {STANDSTILL:.0f} s and had not ended")
        if finding.losses:
            (folder / "left.txt").write_text(await _leftovers(on))
    finding.seconds = time.monotonic() - started
    return finding


async def _ended(on: Stage, campaign_id: UUID) -> bool:
    """Whether the campaign ends by itself, and every call of all campaigns with it."""
    before, moved_at = None, time.monotonic()
    while time.monotonic() < moved_at + STANDSTILL:
        with suppress(SQLAlchemyError, OSError):
            async with on.database.transaction() as session:
                campaign = await session.get_one(Campaign, campaign_id)
                if campaign.state is CampaignState.PAUSED:
                    # Killing everything all the time looks to the circuit breaker like what it is.
                    await lifecycle.resume(session, campaign_id, datetime.now(ZoneInfo("UTC")))
                open_calls = (await session.scalars(select(Call.id).where(Call.settled_at.is_(None)))).all()
                if campaign.state is CampaignState.COMPLETED and not open_calls:
                    return True
                steps = (Call.id, Call.dispatched_at, Call.dialing_at, Call.answered_at, Call.ended_at, Call.settled_at)
                now = tuple((await session.execute(select(*(func.count(step) for step in steps)))).one())
                if now != before:
                    before, moved_at = now, time.monotonic()
        await asyncio.sleep(0.3)
    return False


async def _leftovers(on: Stage) -> str:
    """All that is on record of contacts and calls that were left, for whoever looks for the cause."""
    lines: list[str] = []
    async with on.database.transaction() as session:
        open_calls = set(await session.scalars(select(Call.contact_id).where(Call.settled_at.is_(None))))
        states = [ContactState.WAITING, ContactState.CALLING]
        for contact in await session.scalars(select(Contact).where(Contact.state.in_(states))):
            if contact.state is ContactState.WAITING and str(contact.id) not in open_calls:
                continue
            lines.append(f"{contact.phone} {contact.state} attempts {contact.attempts} next {contact.next_at}")
            for call in await session.scalars(select(Call).where(Call.contact_id == str(contact.id))):
                lines.append(
                    f"  {call.id} {call.state} created {call.created_at} dispatched {call.dispatched_at} dialing"
                    f" {call.dialing_at} ended {call.ended_at} settled {call.settled_at} {call.outcome}"
                    f" {call.cause!r} worker {call.worker_id} room {call.room_name}"
                )
            records = select(DecisionRecord).where(DecisionRecord.contact_id == contact.id).order_by(DecisionRecord.id)
            lines += [f"  {r.at} {r.verdict} {r.rule} {r.words}" for r in await session.scalars(records)]
    return "\n".join(lines)


async def judge(on: Stage, cast: Cast, listed: Mapping[str, float], finding: Finding) -> None:
    """Holds the tables against the carrier's ledger."""
    invites: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for invite in on.lab.carrier.invites():
        invites[invite["to"]].append(invite)
    async with on.database.transaction() as session:
        calls = (await session.scalars(select(Call).order_by(Call.dialing_at))).all()
        contacts = (await session.scalars(select(Contact))).all()
        campaigns = {c.id: c for c in (await session.scalars(select(Campaign))).all()}
        records = (await session.scalars(select(DecisionRecord).order_by(DecisionRecord.id))).all()
        progress = await lifecycle.progress(session, cast.main)
    finding.dials = sum(len(found) for found in invites.values())
    matched = _own_calls(invites, calls, finding)
    _left(calls, contacts, cast, finding)
    _forbidden(matched, listed, cast, finding)
    decisions: dict[UUID, list[DecisionRecord]] = defaultdict(list)
    for record in records:
        if record.contact_id is not None:
            decisions[record.contact_id].append(record)
    of_contact: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        of_contact[str(call.contact_id)].append(call)
    for contact in contacts:
        _explained(contact, campaigns[contact.campaign_id], of_contact[str(contact.id)], decisions[contact.id], finding)
    total = sum(contact.campaign_id == cast.main for contact in contacts)
    by_state = progress.waiting + progress.calling + progress.done + progress.skipped + progress.cancelled
    if not total == progress.contacts == by_state == finding.contacts:
        finding.contradictions.append(f"{total} contacts, but the counts say {progress}")


def _own_calls(
    invites: Mapping[str, list[dict[str, Any]]], calls: Any, finding: Finding
) -> list[tuple[dict[str, Any], Call]]:
    """Every INVITE needs a call of its own: to its number, claimed before it and not over."""
    unused: dict[str, list[Call]] = defaultdict(list)
    for call in calls:
        if call.dialing_at is not None:
            unused[call.to_number or ""].append(call)
    matched: list[tuple[dict[str, Any], Call]] = []
    for number, sent in invites.items():
        for invite in sent:
            own = next(
                (
                    call
                    for call in reversed(unused[number])  # the last one claimed before it
                    if call.dialing_at is not None
                    and call.dialing_at.timestamp() <= invite["time"]
                    and (call.ended_at is None or invite["time"] <= call.ended_at.timestamp() + 30)
                ),
                None,
            )
            if own is None:
                finding.doubles.append(f"an INVITE to {number} at {invite['time']:.2f} belongs to no call of ours")
            else:
                unused[number].remove(own)
                matched.append((invite, own))
    finding.undialled = sum(len(left) for left in unused.values())
    return matched


def _left(calls: Any, contacts: Any, cast: Cast, finding: Finding) -> None:
    final = (ContactState.DONE, ContactState.SKIPPED)
    for contact in contacts:
        if contact.campaign_id == cast.main and contact.state not in final:
            finding.losses.append(f"{contact.phone} was left {contact.state} (next at {contact.next_at})")
        if contact.campaign_id != cast.main and contact.state is ContactState.CALLING:
            finding.losses.append(f"{contact.phone} was left {contact.state}")
    for call in calls:
        if call.state is not CallState.ENDED:
            finding.losses.append(f"call {call.id} to {call.to_number} keeps its place as {call.state}")
        elif call.settled_at is None:
            finding.losses.append(f"call {call.id} to {call.to_number} was never settled")


def _forbidden(
    matched: list[tuple[dict[str, Any], Call]], listed: Mapping[str, float], cast: Cast, finding: Finding
) -> None:
    """No call is claimed once it must not be dialled any more, and a dial follows its claim closely."""
    for invite, call in matched:
        assert call.dialing_at is not None
        claimed, number = call.dialing_at.timestamp(), invite["to"]
        if claimed > listed.get(number, float("inf")):
            finding.forbidden.append(
                f"{number} was claimed {claimed - listed[number]:.2f} s after it was put on the list"
            )
        if call.campaign_id == str(cast.shut):
            finding.forbidden.append(f"{number} was dialled outside its window")
        if call.campaign_id == str(cast.closing) and claimed >= cast.closes_at.timestamp():
            finding.forbidden.append(f"{number} was claimed after its window had shut")
        if invite["time"] - claimed > DIALLED_WITHIN:
            finding.forbidden.append(f"{number} was dialled {invite['time'] - claimed:.1f} s after its claim")


def _explained(
    contact: Contact, campaign: Campaign, calls: list[Call], decisions: list[DecisionRecord], finding: Finding
) -> None:
    """The record of a contact tells of each of its calls, and how it came to stand where it stands."""
    who = f"{contact.phone} of {campaign.name}"
    told = Counter(record.call_id for record in decisions if record.verdict is Verdict.DIAL)
    if told != Counter(call.id for call in calls):
        finding.contradictions.append(f"{who} has {len(calls)} calls, but its record tells of {sum(told.values())}")
    concluded = Counter(record.call_id for record in decisions if record.call_id and record.verdict is not Verdict.DIAL)
    for call in calls:
        if call.settled_at is not None and concluded[call.id] != 1:
            finding.contradictions.append(f"{who}: call {call.id} was concluded {concluded[call.id]} times")
    uncounted = ("congestion", "no_capacity")
    attempts = sum(
        call.dialing_at is not None and call.settled_at is not None and str(call.outcome) not in uncounted
        for call in calls
    )
    if attempts != contact.attempts:
        finding.contradictions.append(f"{who} has {contact.attempts} attempts, but {attempts} calls that count")
    if len(calls) != contact.dispatches:
        finding.contradictions.append(f"{who} has {contact.dispatches} dispatches, but {len(calls)} calls")
    last = decisions[-1].verdict if decisions else None
    fits = {
        ContactState.DONE: (Verdict.FINISH,),
        ContactState.SKIPPED: (Verdict.SKIP,),
        ContactState.CALLING: (Verdict.DIAL,),
        ContactState.WAITING: (None, Verdict.RETRY, Verdict.DEFER, Verdict.HOLD),
    }
    if contact.state in fits and last not in fits[contact.state]:
        finding.contradictions.append(f"{who} is {contact.state}, but its last decision says {last}")
