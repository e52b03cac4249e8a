"""How is a campaign played through with simulated people? Its script goes to a campaign of its own, on a phone network,
a database, an agent and an engine of its own; the engine dials, LiveKit and SIP carry, the carrier's phones answer.
"""

import asyncio
import json
import os
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select

from voiceagents import clock
from voiceagents.calls import history
from voiceagents.calls.models import Call, Turn
from voiceagents.calls.states import EndedBy, Outcome, Speaker
from voiceagents.campaigns import do_not_call, editing, lifecycle
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.retry import CAUSES, NEVER_AGAIN, UNCOUNTED
from voiceagents.campaigns.states import ContactState
from voiceagents.campaigns.terms import Terms
from voiceagents.demo.servers import Servers, own_environment
from voiceagents.interrupts import until_interrupted
from voiceagents.livekit.speech import SpeechEndpoint
from voiceagents.simulation import judges, sound
from voiceagents.simulation.costs import Used
from voiceagents.simulation.judging import Gate, Judged, as_json
from voiceagents.simulation.personas import Person, people
from voiceagents.simulation.report import show

INTERRUPTED = 130
_LONGEST_CALL = 90.0
_BYE_WITHIN = 4.0
_LOOK = 0.5
_COUNTED = 12.0
_LEAVES = 2.0
"""Seconds of ours after a beep that make a message."""


@dataclass(frozen=True)
class Script:
    """What of a campaign is played through."""

    name: str = "a sample campaign"
    prompt: str = (
        "Hello {name}, this is the garden shop about our new tools. Would you like to hear more? "
        "They cost twenty dollars this week. Shall we send you the brochure?"
    )
    voicemail_message: str | None = "Hi {name}, this is the garden shop. Please call us back on Monday. Goodbye."
    menu_path: str | None = None
    extraction: dict[str, Any] | None = field(default=None, hash=False)

    @classmethod
    def of(cls, campaign: Campaign) -> "Script":
        """That of a real campaign."""
        return cls(campaign.name, campaign.prompt, campaign.voicemail_message, campaign.menu_path, campaign.extraction)


@dataclass(frozen=True)
class Options:
    """How much is played, and what becomes of it."""

    count: int
    seed: int = 0
    first: int = 0
    at_once: int = 3
    report: Path | None = None
    """The calls are added to this file, so that a simulation can be done in parts."""

    within: float | None = None
    """Seconds after which only the calls that are over count."""

    gate: Gate = field(default_factory=Gate)
    speech: SpeechEndpoint | None = None
    """The configured models: they talk, read and judge. Without them our offline ones talk, and nobody judges."""


@contextmanager
def home() -> Generator[Path]:
    """A folder for one simulation, which goes with it."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="voiceagents-simulation-") as folder:
        Path(folder).chmod(0o755)  # the database may run as a user of its own
        try:
            yield Path(folder) / "data"
        finally:
            os.chdir(before)


async def simulate(folder: Path, script: Script, options: Options, tell: Callable[[str], None]) -> list[Judged] | None:
    """Plays the campaign through, and judges every call. None when a person interrupted it.

    Raises:
        LabError, DatabaseProblem, SettingsError: what is missing, with the mend.
    """
    cast = people(options.count, options.seed, options.first)
    models = options.speech.environment if options.speech is not None else {}
    servers = Servers(own_environment(folder, models), keep=False, tell=tell, pages=False)
    started = asyncio.get_running_loop().time()

    async def play() -> list[Judged]:
        await servers.start()
        tell(f"{len(cast)} people get their phones")
        await servers.lab.carrier.put_phones({person.number: person.phone for person in cast})
        return await servers.while_alive(_play(servers, script, options, cast, tell, started))

    try:
        return await until_interrupted(play())
    finally:
        await servers.stop()


async def _play(
    servers: Servers,
    script: Script,
    options: Options,
    cast: Sequence[Person],
    tell: Callable[[str], None],
    started: float,
) -> list[Judged]:
    campaign_id, contacts = await _start(servers, script, options, cast)
    limit = options.within or 60 + _LONGEST_CALL * (1 + len(cast) / options.at_once)
    over: set[UUID] = set()
    with suppress(TimeoutError):
        async with asyncio.timeout_at(started + limit):
            await _until_over(servers, campaign_id, cast, over, tell)
    if len(over) < len(cast):
        tell(f"time is up: {len(cast) - len(over)} calls are not over, and do not count")
    await _until_counted(servers, campaign_id)
    pairs = zip(cast, contacts, strict=True)
    judged = [await _judged(servers, person, contact) for person, contact in pairs if contact in over]
    if options.speech is not None:
        tell("livekit-agents' judges read what was said")
        await judges.judge(options.speech, script.prompt, judged)
    return judged


async def _until_counted(servers: Servers, campaign_id: UUID) -> None:
    """Waits for what the models took, which is known a moment after a call is over; not for long."""
    answered = select(Call.id).where(Call.campaign_id == str(campaign_id), Call.answered_at.is_not(None))
    with suppress(TimeoutError):
        async with asyncio.timeout(_COUNTED):
            while True:
                async with servers.database.transaction() as session:
                    if await session.scalar(answered.where(~Call.details.has_key("usage")).limit(1)) is None:
                        return
                await asyncio.sleep(_LOOK)  # the agent's process writes the rows: there is no event to wait for


async def _until_over(
    servers: Servers, campaign_id: UUID, cast: Sequence[Person], over: set[UUID], tell: Callable[[str], None]
) -> None:
    """Adds each contact to `over` whose call is over, until all are."""
    while len(over) < len(cast):
        await asyncio.sleep(_LOOK)  # the engine's process writes the rows: there is no event to wait for
        async with servers.database.transaction() as session:
            live = [ContactState.WAITING, ContactState.CALLING]
            done = await session.scalars(
                select(Contact.id).where(Contact.campaign_id == campaign_id, Contact.state.not_in(live))
            )
            fresh = set(done) - over
        if fresh:
            over |= fresh
            tell(f"{len(over)} of {len(cast)} calls are over")


async def _start(servers: Servers, script: Script, options: Options, cast: Sequence[Person]) -> tuple[UUID, list[UUID]]:
    once = {cause.value: {"attempts": 1} for cause in CAUSES if cause not in NEVER_AGAIN | UNCOUNTED}
    given: dict[str, Any] = {
        "name": f"simulation of {script.name}"[:200],
        "prompt": script.prompt,
        "voicemail_message": script.voicemail_message,
        "menu_path": script.menu_path,
        "extraction": script.extraction,
        "trunk_id": servers.lab.outbound_trunk_id,
        "window": "daily 00:00-24:00",
        "max_concurrent": options.at_once,
        "calls_per_second": 1,
        "attempts_per_day": None,
        "minimum_gap": "0",
        "retry": once,
    }
    async with servers.database.transaction() as session:
        campaign = await editing.create(session, Terms.model_validate(given))
        rows = [Contact(campaign_id=campaign.id, phone=person.number, name=person.name) for person in cast]
        session.add_all(rows)
        await session.flush()
        await lifecycle.start(session, campaign.id, clock.now())
        return campaign.id, [row.id for row in rows]


async def _judged(servers: Servers, person: Person, contact_id: UUID) -> Judged:
    async with servers.database.transaction() as session:
        query = select(Call).where(Call.contact_id == str(contact_id)).order_by(Call.created_at.desc()).limit(1)
        call = await session.scalar(query)
        turns: Sequence[Turn] = await history.transcript(session, call.id) if call is not None else ()
        listed = await do_not_call.check(session, person.number)
        contact = await session.get_one(Contact, contact_id)
    judged = Judged(
        persona=person.persona,
        number=person.number,
        is_person=person.is_person,
        answers=person.answers.value,
        expected=sorted(outcome.value for outcome in person.outcomes),
        decided=call.answered_by.value if call is not None and call.answered_by is not None else "nobody",
        outcome=call.outcome.value if call is not None and call.outcome is not None else "none",
    )
    if call is None:
        judged.problems.append("was never called")
        return judged
    spoken = [turn for turn in turns if turn.speaker is Speaker.AGENT]
    judged.talk_seconds = call.talk_seconds
    judged.used = Used.of(call.details.get("usage", []))
    judged.model_turns = sum("llm_ttft" in turn.latencies for turn in spoken)
    judged.words_spoken = sum(len(turn.text.split()) for turn in spoken)
    judged.said = [f"{turn.speaker.value}: {turn.text}" for turn in turns]
    decisions = [each for each in call.evidence or [] if each.get("decided") == "answer"]
    if decisions:
        judged.seconds_to_decide = float(decisions[-1]["seconds"])
        judged.decisions = [
            f"{each['value']} by {each['by']} after {each['seconds']} s: {each['text']}" for each in decisions
        ]
    if person.opts_out and not listed:
        judged.problems.append("asked not to be called again and is not on the do-not-call list")
    if not person.opts_out and listed:
        judged.problems.append("is on the do-not-call list without having asked for it")
    if person.calls_back and call.outcome is Outcome.CALLBACK_REQUESTED and contact.callback_at is None:
        judged.problems.append("named a time that was not understood")
    await _judge_sound(servers, person, call, judged)
    return judged


async def _judge_sound(servers: Servers, person: Person, call: Call, judged: Judged) -> None:
    """What was on the wire, by the carrier's recording."""
    witnessed = await servers.lab.carrier.calls(to=person.number)
    if len(witnessed) != 1:
        judged.problems.append(f"was dialled {len(witnessed)} times")
    if not witnessed or not witnessed[-1]["recording"]:
        return
    witness = witnessed[-1]
    recording = Path(witness["recording"])
    heard = await asyncio.to_thread(sound.sounding, recording, sound.HEARD)
    if person.is_person and (not judged.decisions or judged.decisions[0].startswith("person")):
        judged.seconds_to_first_audio = await asyncio.to_thread(sound.wait_after_first_words, recording)
    if heard and call.ended_by is EndedBy.AGENT and witness["ended_by"] != "phone":
        bye = float(witness["ended_at"] - witness["answered_at"]) - heard[-1][1]
        judged.seconds_to_bye = bye
        if bye > _BYE_WITHIN and person.is_person:
            judged.problems.append(f"BYE came {bye:.1f} s after our last words")
    if judged.found and "the message was left" in (call.cause or ""):
        said = await asyncio.to_thread(sound.sounding, recording, sound.SAID)
        after = sum(end - start for start, end in heard if said and start >= said[-1][1] - 0.2)
        if after < _LEAVES:
            judged.problems.append(f"only {after:.1f} s of the message came after the beep")


def earlier(report: Path | None) -> list[Judged]:
    """The calls of earlier parts, out of a report's file."""
    if report is None or not report.exists():
        return []
    return [Judged.model_validate(call) for call in json.loads(report.read_text(encoding="utf-8"))]


def finish(judged: list[Judged], options: Options) -> int:
    """Keeps and prints the report; the exit status is the gate's."""
    every = [*earlier(options.report), *judged]
    if options.report is not None:
        options.report.write_text(json.dumps(as_json(every), indent=1), encoding="utf-8")
    return show(every, options.gate)
