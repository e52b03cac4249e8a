"""Who answers a call, asked of a real database: the chain of sources, and what happens when one fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants import store
from voiceagents.assistants.models import Assistant, Number
from voiceagents.assistants.resolver import MINIMAL, OUT_OF_SERVICE, Answers, Resolved, Resolver, by_id, by_number
from voiceagents.calls.metadata import did_in_room
from voiceagents.db import Database
from voiceagents.livekit.sip import InboundCall

pytestmark = pytest.mark.stack

OURS, OTHER, UNUSED, STRANGE = "+12025550143", "+12025550188", "+12025550177", "+12025550999"


@pytest.fixture
async def staffed(database: Database) -> Database:
    """Two numbers with an assistant each, and one that nobody answers."""
    async with database.transaction() as session:
        session.add_all(
            [
                Assistant(
                    id="front", name="Front desk", prompt="P", first_message="Hello, front desk.", language="de",
                    llm_model="m", voice="echo", temperature=0.3,
                ),
                Assistant(id="sales", name="Sales", prompt="S"),
            ]
        )  # fmt: skip
        await session.flush()
        session.add_all([Number(e164=OURS, assistant_id="front"), Number(e164=OTHER, assistant_id="sales")])
        session.add(Number(e164=UNUSED))
    return database


@dataclass
class Ask:
    """The way to the database as a call has it, with a database that may be away."""

    database: Database
    away: bool = False

    async def __call__(self, question: Callable[[AsyncSession], Awaitable[Answers]]) -> Answers:
        if self.away:
            raise TimeoutError("the database did not answer")
        async with self.database.transaction() as session:
            return await question(session)


async def resolve(database: Database, *, away: bool = False, **sources: str | None) -> Resolved:
    named: dict[str, Any] = {"job_assistant_id": None, "room_assistant_id": None, "did": None} | sources
    return await Resolver().inbound(Ask(database, away), **named)


async def test_the_dialled_numbers_assistant_answers_with_all_its_choices(staffed: Database) -> None:
    assert await resolve(staffed, did=OURS) == Resolved(
        id="front", name="Front desk", prompt="P", first_message="Hello, front desk.", source="resolver.database",
        language="de", llm_model="m", voice="echo", temperature=0.3, version=1, resolver="resolver.database",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sources", "answers", "source"),
    [
        ({"job_assistant_id": "sales", "room_assistant_id": "front", "did": OURS}, "sales", "job.metadata"),
        ({"room_assistant_id": "sales", "did": OURS}, "sales", "room.metadata"),
        ({"did": OTHER}, "sales", "resolver.database"),
        ({"job_assistant_id": "gone", "room_assistant_id": "sales", "did": OURS}, "sales", "room.metadata"),
        ({"job_assistant_id": "gone", "room_assistant_id": "gone", "did": OURS}, "front", "resolver.database"),
        ({"job_assistant_id": "", "room_assistant_id": "", "did": OURS}, "front", "resolver.database"),
        ({"job_assistant_id": "x' OR '1'='1", "did": OURS}, "front", "resolver.database"),
        ({"job_assistant_id": "a" * 100_000, "did": OURS}, "front", "resolver.database"),
        ({"job_assistant_id": "nul\x00", "did": OURS}, "front", "resolver.database"),
    ],
)
async def test_the_first_source_that_knows_decides(
    staffed: Database, sources: dict[str, str], answers: str, source: str
) -> None:
    assistant = await resolve(staffed, **sources)
    assert (assistant.id, assistant.source) == (answers, source)


@pytest.mark.parametrize("did", [STRANGE, UNUSED, "anonymous", "", "sales"])
async def test_a_number_that_nobody_answers_never_gets_another_customers_assistant(  # TC-073
    staffed: Database, did: str
) -> None:
    assistant = await resolve(staffed, did=did)
    assert assistant is (OUT_OF_SERVICE if did else MINIMAL)
    assert not assistant.tools
    assert assistant.calendar_id is None


async def test_a_number_whose_assistant_was_deleted_is_not_in_service(staffed: Database) -> None:  # TC-073
    async with staffed.transaction() as session:
        await session.execute(delete(Assistant).where(Assistant.id == "front"))
    assert await resolve(staffed, did=OURS) is OUT_OF_SERVICE
    assert (await resolve(staffed, did=OTHER)).id == "sales"


async def test_an_assistant_that_was_named_but_is_gone_leaves_the_minimal_defaults(staffed: Database) -> None:
    assert await resolve(staffed, job_assistant_id="gone") is MINIMAL
    assert await resolve(staffed, room_assistant_id="gone", did=STRANGE) is MINIMAL
    assert await resolve(staffed) is MINIMAL


@pytest.mark.parametrize("sources", [{"did": OURS}, {"job_assistant_id": "sales", "did": OURS}, {"did": STRANGE}])
async def test_a_database_that_fails_costs_the_assistants_words_and_never_the_answer(
    staffed: Database, sources: dict[str, str]
) -> None:
    # "Not in service" is only said where it is known.
    assert await resolve(staffed, away=True, **sources) is MINIMAL


async def test_a_database_that_goes_away_leaves_the_last_known_assistant(staffed: Database) -> None:
    resolver, ask = Resolver(cache_seconds=0), Ask(staffed)
    named: dict[str, Any] = {"job_assistant_id": None, "room_assistant_id": None, "did": OURS}
    first = await resolver.inbound(ask, **named)
    ask.away = True
    assert await resolver.inbound(ask, **named) == first


async def test_a_change_counts_within_a_second(staffed: Database) -> None:
    resolver, ask = Resolver(), Ask(staffed)
    named: dict[str, Any] = {"job_assistant_id": None, "room_assistant_id": None, "did": OURS}
    assert (await resolver.inbound(ask, **named)).id == "front"
    async with staffed.transaction() as session:
        await store.bind(session, OURS, "sales")
    changed = time.monotonic()
    while (await resolver.inbound(ask, **named)).id != "sales":
        assert time.monotonic() < changed + 3, "a second, and what a busy machine adds"
        await asyncio.sleep(0.1)


async def test_calls_that_come_in_one_moment_each_get_the_assistant_of_their_number(staffed: Database) -> None:
    resolver, ask = Resolver(), Ask(staffed)
    asked = [
        {"did": OURS}, {"did": OTHER}, {"did": OURS[1:]}, {"did": UNUSED}, {"did": STRANGE}, {"did": OURS},
        {"job_assistant_id": "sales", "did": OURS}, {"room_assistant_id": "gone", "did": OURS},
        {"did": "(202) 555-0188"},
    ]  # fmt: skip
    none: dict[str, Any] = {"job_assistant_id": None, "room_assistant_id": None, "did": None}
    found = await asyncio.gather(*(resolver.inbound(ask, **(none | one)) for one in asked))
    assert [one.id for one in found] == [
        "front", "sales", "front", None, None, "front", "sales", "front", "sales",
    ]  # fmt: skip


async def test_a_query_that_breaks_is_such_a_failure_too(staffed: Database) -> None:
    async with staffed.transaction() as session:
        await session.execute(text("ALTER TABLE numbers RENAME TO elsewhere"))
    assert await resolve(staffed, did=OURS) is MINIMAL


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param(
            {"sip.phoneNumber": OTHER, "sip.trunkPhoneNumber": OURS}, id="TC-070-caller-is-one-of-our-numbers"
        ),
        pytest.param({"sip.phoneNumber": "+12025550101", "sip.trunkPhoneNumber": OURS}, id="TC-071-caller"),
        pytest.param({"sip.phoneNumber": "anonymous", "sip.trunkPhoneNumber": OURS}, id="TC-074-hidden"),
        pytest.param({"sip.phoneNumber": "", "sip.trunkPhoneNumber": OURS}, id="TC-074-empty"),
        pytest.param({"sip.trunkPhoneNumber": OURS}, id="TC-074-missing"),
        pytest.param({"sip.phoneNumber": OTHER[1:], "sip.trunkPhoneNumber": OURS[1:]}, id="without-plus"),
    ],
)
async def test_the_dialled_number_decides_and_never_the_caller(staffed: Database, attributes: dict[str, str]) -> None:
    assert (await resolve(staffed, did=InboundCall.of(attributes).did)).id == "front"


async def test_an_assistant_is_found_by_its_id_and_by_its_number(staffed: Database) -> None:
    async with staffed.transaction() as session:
        found = await by_id(session, "sales")
        assert found is not None
        assert (found.name, found.first_message, found.source) == ("Sales", "", "job.metadata")
        assert await by_id(session, "Sales") is None
        assert await by_number(session, UNUSED) is None


@pytest.mark.parametrize(
    ("spelled", "answers"),
    [
        (OURS[1:], "front"),
        ("00" + OURS[1:], "front"),
        ("+1 (202) 555-0143", "front"),
        ("(202) 555-0143", "front"),
        ("2025550143", "front"),
        ("sip:2025550143@10.0.0.1;user=phone", "front"),
        ("tel:+1-202-555-0143", "front"),
        ("020 7946 0123", "london"),
        ("442079460123", "london"),
        ("5550143", None),
        ("%", None),
        ("202555014_", None),
        ("+2025550143", None),
        ("anonymous", None),
    ],
)
async def test_a_number_is_found_in_every_spelling(staffed: Database, spelled: str, answers: str | None) -> None:
    async with staffed.transaction() as session:
        session.add(Assistant(id="london", name="London"))
        await session.flush()
        session.add(Number(e164="+442079460123", assistant_id="london"))
    async with staffed.transaction() as session:
        found = await by_number(session, spelled)
        assert (found.id if found else None) == answers
        # In the call's row stands our own spelling.
        assert (found and found.number) == ({"front": OURS, "london": "+442079460123"}[answers] if answers else None)


@pytest.mark.parametrize(
    "room",
    [
        "call-_+12025550188_hFQx3",
        "did-+12025550143",
        "did-+12025550143_Ab12",
        "did-+12025550143::+12025550188",
        "did-+12025550143_anonymous_x1",
    ],
)
async def test_whatever_the_room_is_called_the_dialled_number_answers(staffed: Database, room: str) -> None:  # TC-070
    attributes = {"sip.phoneNumber": OTHER, "sip.trunkPhoneNumber": OURS}
    did = InboundCall.of(attributes).did or did_in_room(room)
    assert (await resolve(staffed, did=did)).id == "front"
    if room.startswith("did-"):
        assert (await resolve(staffed, did=did_in_room(room))).id == "front"
