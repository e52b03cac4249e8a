"""Who answers a call, asked of a real database: the chain of sources, and what happens when one fails."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants.models import Assistant, Number
from voiceagents.assistants.resolver import (
    MINIMAL,
    OUT_OF_SERVICE,
    Resolved,
    by_id,
    by_number,
    resolve_inbound,
)
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
    """The way to the database as a call has it, with questions that fail by their turn."""

    database: Database
    failing: set[int] = field(default_factory=set[int])
    asked: int = 0

    async def __call__(self, question: Callable[[AsyncSession], Awaitable[Resolved | None]]) -> Resolved | None:
        self.asked += 1
        if self.asked in self.failing:
            raise TimeoutError("the database did not answer")
        async with self.database.transaction() as session:
            return await question(session)


async def resolve(database: Database, *failing: int, **sources: str | None) -> Resolved:
    named: dict[str, Any] = {"job_assistant_id": None, "room_assistant_id": None, "did": None} | sources
    return await resolve_inbound(Ask(database, set(failing)), **named)


async def test_the_dialled_numbers_assistant_answers_with_all_its_choices(staffed: Database) -> None:
    assert await resolve(staffed, did=OURS) == Resolved(
        id="front", name="Front desk", prompt="P", first_message="Hello, front desk.", source="resolver.database",
        language="de", llm_model="m", voice="echo", temperature=0.3,
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


@pytest.mark.parametrize("did", [STRANGE, UNUSED, "anonymous", ""])
async def test_a_number_that_nobody_answers_never_gets_another_customers_assistant(  # TC-073
    staffed: Database, did: str
) -> None:
    assistant = await resolve(staffed, did=did)
    assert assistant.id is None
    assert assistant in (OUT_OF_SERVICE, MINIMAL)
    assert (assistant is OUT_OF_SERVICE) is bool(did)


async def test_a_number_whose_assistant_was_deleted_is_not_in_service(staffed: Database) -> None:  # TC-073
    async with staffed.transaction() as session:
        await session.execute(delete(Assistant).where(Assistant.id == "front"))
    assert await resolve(staffed, did=OURS) is OUT_OF_SERVICE
    assert (await resolve(staffed, did=OTHER)).id == "sales"


async def test_an_assistant_that_was_named_but_is_gone_leaves_the_minimal_defaults(staffed: Database) -> None:
    assert await resolve(staffed, job_assistant_id="gone") is MINIMAL
    assert await resolve(staffed, room_assistant_id="gone", did=STRANGE) is MINIMAL
    assert await resolve(staffed) is MINIMAL


@pytest.mark.parametrize(
    ("failing", "sources", "answers"),
    [
        pytest.param((1,), {"did": OURS}, None, id="away"),
        pytest.param((1,), {"job_assistant_id": "sales", "did": OURS}, "front", id="first-source-fails"),
        pytest.param((1, 2), {"job_assistant_id": "sales", "did": OURS}, None, id="all-fail"),
        pytest.param((1,), {"job_assistant_id": "sales", "did": STRANGE}, None, id="not-known-for-certain"),
    ],
)
async def test_a_database_that_fails_costs_the_assistants_words_and_never_the_answer(
    staffed: Database, failing: tuple[int, ...], sources: dict[str, str], answers: str | None
) -> None:
    assistant = await resolve(staffed, *failing, **sources)
    assert assistant.id == answers
    assert assistant.first_message or answers
    # "Not in service" is only said where it is known.
    assert assistant is not OUT_OF_SERVICE


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
        assert await by_number(session, OURS[1:]) is None
        assert await by_number(session, UNUSED) is None
