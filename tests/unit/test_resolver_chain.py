"""Who answers a call when sources know, do not know, fail or hang: the order, the log, and the time it takes."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants import resolver as chain
from voiceagents.assistants.resolver import (
    MINIMAL,
    OUT_OF_SERVICE,
    PATIENCE,
    Answers,
    By,
    Resolved,
    Resolver,
    Wanted,
)

pytestmark = pytest.mark.unit

DID, OTHER = "+12025550143", "+12025550188"


def assistant(name: str, resolver: str) -> Resolved:
    return Resolved(id=name, name=name, prompt="", first_message="", source=resolver, resolver=resolver)


@dataclass
class Knowing:
    """A source that knows some ids and numbers, and may fail or hang."""

    name: str
    ids: set[str] = field(default_factory=set[str])
    numbers: dict[str, str] = field(default_factory=dict[str, str])
    trouble: Exception | float | None = None
    asked: list[list[str]] = field(default_factory=list[list[str]])

    async def look_up(self, wanted: Sequence[Wanted]) -> Answers:
        self.asked.append([one.value for one in wanted])
        if isinstance(self.trouble, Exception):
            raise self.trouble
        if self.trouble is not None:
            await asyncio.sleep(self.trouble)
        said: dict[Wanted, Resolved | None] = {}
        for one in wanted:
            found = self.numbers.get(one.value) if one.by is By.NUMBER else one.value
            known = found is not None and (one.by is By.NUMBER or found in self.ids)
            said[one] = assistant(f"{found}", self.name) if known else None
            if known:
                break
        return said


@dataclass
class Chain:
    """A resolver whose database and Supabase are played."""

    database: Knowing = field(default_factory=lambda: Knowing("resolver.database"))
    supabase: Knowing | None = None
    cache_seconds: float = 60.0

    def __post_init__(self) -> None:
        self.resolver = Resolver(self.supabase, cache_seconds=self.cache_seconds)

    async def resolve(self, job: str | None = None, room: str | None = None, did: str | None = None) -> Resolved:
        async def ask(question: Callable[[AsyncSession], Awaitable[Answers]]) -> Answers:
            return await question(self.database)  # type: ignore[arg-type]  # the played lookup below reads it

        return await self.resolver.inbound(ask, job_assistant_id=job, room_assistant_id=room, did=did)

    async def named(self, assistant_id: str, **limits: float) -> Resolved | None:
        async def ask(question: Callable[[AsyncSession], Awaitable[Answers]]) -> Answers:
            return await question(self.database)  # type: ignore[arg-type]  # the played lookup below reads it

        return await self.resolver.named(ask, assistant_id, **limits)


@pytest.fixture(autouse=True)
def _the_database_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    async def played(session: Any, wanted: Sequence[Wanted]) -> Answers:
        return await session.look_up(wanted)

    monkeypatch.setattr(chain, "_in_database", played)


def staffed(**changes: Any) -> Chain:
    database = Knowing("resolver.database", {"front", "sales"}, {DID: "front"})
    supabase = Knowing("resolver.supabase", {"uuid-1", "front"}, {DID: "uuid-1", OTHER: "uuid-2"})
    return Chain(database, supabase, **changes)


@pytest.mark.parametrize(
    ("asked", "answers", "source", "resolver"),
    [
        ({"job": "sales", "room": "front", "did": DID}, "sales", "job.metadata", "resolver.database"),
        ({"room": "sales", "did": DID}, "sales", "room.metadata", "resolver.database"),
        ({"did": DID}, "front", "resolver.database", "resolver.database"),
        ({"did": OTHER}, "uuid-2", "resolver.supabase", "resolver.supabase"),
        ({"job": "uuid-1", "did": DID}, "uuid-1", "job.metadata", "resolver.supabase"),
        # The job's own word comes before the room's, whoever knows it.
        ({"job": "uuid-1", "room": "sales"}, "uuid-1", "job.metadata", "resolver.supabase"),
        ({"job": "gone", "room": "uuid-1", "did": DID}, "uuid-1", "room.metadata", "resolver.supabase"),
        ({"job": "gone", "room": "gone", "did": OTHER}, "uuid-2", "resolver.supabase", "resolver.supabase"),
        ({"job": "", "room": "", "did": DID}, "front", "resolver.database", "resolver.database"),
    ],
)
async def test_the_first_that_knows_decides_and_is_named(
    asked: dict[str, str], answers: str, source: str, resolver: str
) -> None:
    found = await staffed().resolve(**asked)
    assert (found.id, found.source, found.resolver) == (answers, source, resolver)


async def test_nobody_is_asked_for_what_cannot_matter_any_more() -> None:
    played = staffed()
    await played.resolve(job="sales", did=OTHER)
    assert played.supabase is not None
    assert played.supabase.asked == []
    await played.resolve(job="gone", room="sales", did=OTHER)
    assert played.supabase.asked == [["gone"]]


@pytest.mark.parametrize(
    ("asked", "answers"),
    [
        pytest.param({"did": "+12025550999"}, OUT_OF_SERVICE, id="TC-073-number-of-nobody"),
        pytest.param({"did": "sales"}, OUT_OF_SERVICE, id="a-name-instead-of-a-number"),
        pytest.param({}, MINIMAL, id="nothing-is-known"),
        pytest.param({"did": ""}, MINIMAL, id="empty"),
        pytest.param({"job": "gone"}, MINIMAL, id="a-named-assistant-that-is-gone"),
        pytest.param({"room": "gone", "did": "+12025550999"}, MINIMAL, id="gone-and-number-of-nobody"),
    ],
)
async def test_a_call_that_is_nobodys_is_answered_and_by_nobodys_assistant(
    asked: dict[str, str], answers: Resolved
) -> None:
    assert await staffed().resolve(**asked) is answers


@pytest.mark.parametrize("trouble", [RuntimeError("broken"), TimeoutError(), ConnectionRefusedError("refused"), 30.0])
@pytest.mark.parametrize("failing", ["database", "supabase", "both"])
async def test_a_source_that_fails_is_logged_and_the_next_one_asked(
    trouble: Exception | float, failing: str, caplog: pytest.LogCaptureFixture
) -> None:
    played = staffed()
    assert played.supabase is not None
    if failing in ("database", "both"):
        played.database.trouble = trouble
    if failing in ("supabase", "both"):
        played.supabase.trouble = trouble
    started = time.monotonic()
    with caplog.at_level(logging.WARNING, "voiceagents.resolver"):
        found = await played.resolve(job="uuid-1", did=DID)
    assert time.monotonic() - started < PATIENCE + 0.3
    assert found.id == {"database": "uuid-1", "supabase": "front", "both": None}[failing]
    assert found is not OUT_OF_SERVICE, "not in service is only said where it is certain"
    failed = [line for line in caplog.messages if line.startswith("RESOLVER_FAILED")]
    assert len(failed) == (2 if failing == "both" else 1)
    assert all("cause=" in line and not line.endswith("cause=") for line in failed)


async def test_a_dead_database_alone_may_take_nearly_a_second_and_no_more() -> None:
    played = Chain(Knowing("resolver.database", numbers={DID: "front"}, trouble=30.0))
    started = time.monotonic()
    assert await played.resolve(did=DID) is MINIMAL
    assert PATIENCE - 0.05 < time.monotonic() - started < PATIENCE + 0.3


@pytest.mark.parametrize(("holds", "looks"), [(60.0, 2), (0.0, 6)])
async def test_supabase_is_asked_once_in_a_while_and_our_database_once_a_second(
    monkeypatch: pytest.MonkeyPatch, holds: float, looks: int
) -> None:
    monkeypatch.setattr(chain, "OURS_HOLDS", holds)
    played = staffed()
    assert played.supabase is not None
    for _ in range(3):
        assert (await played.resolve(did=OTHER)).id == "uuid-2"
        assert await played.resolve(did="+12025550999") is OUT_OF_SERVICE
    assert played.supabase.asked == [[OTHER], ["+12025550999"]]
    assert len(played.database.asked) == looks


async def test_with_no_time_to_hold_supabase_is_asked_for_every_call() -> None:
    played = staffed(cache_seconds=0.0)
    assert played.supabase is not None
    for _ in range(3):
        await played.resolve(did=OTHER)
    assert len(played.supabase.asked) == 3


async def test_when_a_source_goes_away_its_last_word_stands(caplog: pytest.LogCaptureFixture) -> None:
    played = staffed(cache_seconds=0.0)
    assert played.supabase is not None
    assert (await played.resolve(did=DID)).id == "front"
    assert (await played.resolve(did=OTHER)).id == "uuid-2"
    played.database.trouble = played.supabase.trouble = ConnectionError("away")
    with caplog.at_level(logging.WARNING, "voiceagents.resolver"):
        assert (await played.resolve(did=DID)).id == "front"
        assert (await played.resolve(did=OTHER)).id == "uuid-2"
    assert [line.split(" | ")[1:3] for line in caplog.messages if line.startswith("RESOLVER_REMEMBERED")] == [
        ["source=resolver.database", "assistant=front"],
        ["source=resolver.supabase", "assistant=uuid-2"],
    ]
    assert await played.resolve(did="+12025550999") is MINIMAL


async def test_an_assistant_that_was_unbound_is_not_remembered_against_its_source(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chain, "OURS_HOLDS", 0.0)
    played = staffed()
    await played.resolve(did=DID)
    del played.database.numbers[DID]
    assert (await played.resolve(did=DID)).id == "uuid-1"


async def test_a_call_that_is_cancelled_stays_cancelled() -> None:
    played = Chain(Knowing("resolver.database", trouble=30.0))
    task = asyncio.create_task(played.resolve(did=DID))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("assistant_id", "knows"), [("sales", "resolver.database"), ("uuid-1", "resolver.supabase"), ("gone", None)]
)
async def test_who_lends_a_voice_to_a_call_that_we_place_is_asked_of_every_source(
    assistant_id: str, knows: str | None
) -> None:
    found = await staffed().named(assistant_id)
    assert (found.id, found.source, found.resolver) == (assistant_id, "job.metadata", knows) if found else knows is None


async def test_before_a_dial_a_slow_source_has_more_time_and_a_dead_one_does_not_hold_the_call() -> None:
    slow = Chain(Knowing("resolver.database", {"sales"}, trouble=1.2))
    assert (found := await slow.named("sales")) is not None
    assert found.id == "sales"
    dead = Chain(Knowing("resolver.database", {"sales"}, trouble=30.0))
    began = time.monotonic()
    assert await dead.named("sales", patience=0.2) is None
    assert time.monotonic() - began < 5
