"""Assistants and their versions in a real database: what is kept, what a change makes, and who loses a race."""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from voiceagents.assistants import store
from voiceagents.assistants.draft import AssistantDraft, read
from voiceagents.assistants.models import AssistantVersion
from voiceagents.assistants.resolver import by_id
from voiceagents.assistants.store import AssistantChanged, AssistantProblem
from voiceagents.calls import history
from voiceagents.calls.models import Call
from voiceagents.calls.records import CallOpened
from voiceagents.calls.states import CallState, Direction
from voiceagents.db import Database

pytestmark = pytest.mark.stack

FULL = read(
    {
        "id": "front",
        "name": "Front desk",
        "prompt": "Be kind.",
        "first_message": "Hello.",
        "language": "de",
        "llm_model": "m",
        "stt_model": "s",
        "voice": "echo",
        "temperature": 0.3,
        "turn": {"endpointing": {"min_delay": 0.3}},
        "max_call_duration": 600,
        "silence_ask_after": 8.0,
        "silence_hang_up_after": 12.5,
        "background_sound": "office-ambience",
        "record": True,
        "consent_line": "This call is recorded.",
        "end_call_message": "Goodbye.",
        "tools": {"end_call": {}, "transfer": {"mode": "warm"}},
        "calendar_id": "main",
        "transfer_targets": [{"name": "Ann", "number": "+12025550177", "description": "billing"}],
        "business_hours": "mon-fri 09:00-17:00",
        "time_zone": "Europe/Berlin",
        "after_hours": {"mode": "close", "message": "We are closed."},
    }
)


async def saved(database: Database, draft: AssistantDraft, **options: int) -> int:
    async with database.transaction() as session:
        return await store.save(session, draft, **options)


async def test_all_that_was_set_reaches_a_call(database: Database) -> None:
    assert await saved(database, FULL) == 1
    async with database.transaction() as session:
        found = await by_id(session, "front")
        assert store.draft_of(await store.find(session, "front")) == FULL
    assert found is not None
    assert (found.version, found.source, found.resolver) == (1, "job.metadata", "resolver.database")
    for name in AssistantDraft.model_fields:
        assert getattr(found, name) == getattr(FULL, name)


async def test_each_change_makes_a_version_and_none_makes_none(database: Database) -> None:
    assert await saved(database, FULL) == 1
    assert await saved(database, FULL) == 1
    assert await saved(database, FULL.model_copy(update={"prompt": "Be brief."})) == 2
    assert await saved(database, FULL) == 3
    async with database.transaction() as session:
        kept = await store.versions(session, "front")
        assert [(one.version, one.snapshot["prompt"]) for one in kept] == [
            (3, "Be kind."), (2, "Be brief."), (1, "Be kind."),
        ]  # fmt: skip
        assert (await store.version(session, "front", 2)).snapshot["prompt"] == "Be brief."
        with pytest.raises(AssistantProblem, match="no version 7; it has 3, 2, 1"):
            await store.version(session, "front", 7)
        with pytest.raises(AssistantProblem, match="no assistant 'sales'; known are: front"):
            await store.versions(session, "sales")


async def test_a_version_never_changes(database: Database) -> None:
    await saved(database, FULL)
    with pytest.raises(SQLAlchemyError, match="immutable"):
        async with database.transaction() as session:
            await session.execute(text("UPDATE assistant_versions SET snapshot = '{}'"))
    with pytest.raises(SQLAlchemyError, match="immutable"):
        async with database.transaction() as session:
            await session.execute(text("DELETE FROM assistant_versions"))


async def test_an_earlier_version_comes_back_as_a_new_one(database: Database) -> None:
    await saved(database, FULL)
    await saved(database, FULL.model_copy(update={"prompt": "Be brief.", "tools": {}}))
    async with database.transaction() as session:
        assert await store.restore(session, "front", 1, expected_version=2) == 3
        assert store.draft_of(await store.find(session, "front")) == FULL
        assert await store.restore(session, "front", 1) == 3, "it is what it was"
        with pytest.raises(AssistantChanged):
            await store.restore(session, "front", 2, expected_version=2)


async def test_who_changes_what_somebody_else_changed_is_told(database: Database) -> None:
    await saved(database, FULL)
    await saved(database, FULL.model_copy(update={"prompt": "A"}), expected_version=1)
    with pytest.raises(AssistantChanged, match="at version 2 by now, and your change was made from version 1"):
        await saved(database, FULL.model_copy(update={"prompt": "B"}), expected_version=1)
    async with database.transaction() as session:
        await store.remove(session, "front")
    with pytest.raises(AssistantChanged, match="removed"):
        await saved(database, FULL, expected_version=2)


async def test_of_changes_at_the_same_time_one_wins_and_none_is_lost(database: Database) -> None:
    await saved(database, FULL)
    drafts = [FULL.model_copy(update={"prompt": str(number)}) for number in range(8)]
    outcomes = await asyncio.gather(
        *(saved(database, draft, expected_version=1) for draft in drafts), return_exceptions=True
    )
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [2]
    assert sum(isinstance(outcome, AssistantChanged) for outcome in outcomes) == 7
    assert sorted(await asyncio.gather(*(saved(database, draft) for draft in drafts)))[-1] <= 10
    async with database.transaction() as session:
        kept = await session.scalars(select(AssistantVersion.version).order_by(AssistantVersion.version))
        now = await store.find(session, "front")
        assert now.version == list(kept)[-1]


async def test_two_who_add_the_same_assistant_at_once(database: Database) -> None:
    async def add() -> int:
        async with database.transaction() as session:
            return await store.add(session, FULL)

    outcomes = await asyncio.gather(*(add() for _ in range(6)), return_exceptions=True)
    assert outcomes.count(1) == 1
    assert sum(isinstance(outcome, AssistantProblem) for outcome in outcomes) == 5
    assert await asyncio.gather(*(saved(database, FULL) for _ in range(6))) == [1] * 6


async def test_two_who_save_a_new_assistant_at_once(database: Database) -> None:
    versions = await asyncio.gather(*(saved(database, FULL) for _ in range(6)))
    assert versions == [1] * 6


async def test_versions_outlive_the_assistant_and_go_on_where_they_ended(database: Database) -> None:
    await saved(database, FULL)
    await saved(database, FULL.model_copy(update={"prompt": "A"}))
    async with database.transaction() as session:
        await store.remove(session, "front")
        assert [one.version for one in await store.versions(session, "front")] == [2, 1]
        assert await store.restore(session, "front", 1) == 3
        assert (await store.find(session, "front")).prompt == "Be kind."


async def test_a_number_changes_hands_and_is_found_once(database: Database) -> None:
    async with database.transaction() as session:
        for name in ("front", "sales"):
            await store.add(session, AssistantDraft(id=name, name=name))
        await store.bind(session, "+12025550143", "front", "main")
        await store.bind(session, "+12025550143", "sales")
        assert [(n.e164, n.assistant_id, n.label) for n in await store.numbers(session)] == [
            ("+12025550143", "sales", "main")
        ]
        assert await store.remove(session, "sales") == ["+12025550143"]
        with pytest.raises(AssistantProblem, match="no assistant 'gone'"):
            await store.bind(session, "+12025550143", "gone")


async def test_a_call_keeps_the_version_that_it_ran_with(database: Database) -> None:
    await saved(database, FULL)
    await saved(database, FULL.model_copy(update={"prompt": "Be brief."}))
    async with database.transaction() as session:
        found = await by_id(session, "front")
        assert found is not None
        opened = CallOpened(
            call_id=uuid4(), at=datetime.now(UTC), direction=Direction.INBOUND, state=CallState.RINGING,
            assistant_id=found.id, assistant_name=found.name, assistant_version=found.version,
        )  # fmt: skip
        assert await history.open_call(session, opened)
    await saved(database, FULL)
    async with database.transaction() as session:
        await store.remove(session, "front")
    async with database.transaction() as session:
        call = await session.get_one(Call, opened.call_id)
        assert (call.assistant_id, call.assistant_version) == ("front", 2)
        assert (await store.version(session, "front", 2)).snapshot["prompt"] == "Be brief."
