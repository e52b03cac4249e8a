"""What is left of a call whose time is over, and of a person who is forgotten? On a real database, with real files."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from procrastinate.jobs import Status
from sqlalchemy import func, select, text

from tests.agent import until
from tests.stack import command_line
from tests.stack.command_line import Ran
from voiceagents import forget
from voiceagents.calendars.base import BookingStatus
from voiceagents.calendars.models import Booking, Calendar
from voiceagents.calls import history, recordings, retention
from voiceagents.calls.models import Call, CallEvent, Message, ToolCall, Turn
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.calls.records import CallRecorded, CallUnderstood, Happened, ToolUsed, TurnSpoken
from voiceagents.calls.states import CallState, Direction, EndedBy, MessageKind, Outcome, Speaker, ToolStatus
from voiceagents.campaigns import do_not_call, engine
from voiceagents.campaigns.models import Campaign, Contact, ContactImport, DecisionRecord, DoNotCall
from voiceagents.campaigns.states import Verdict
from voiceagents.db import Database
from voiceagents.settings import Settings
from voiceagents.web.models import AuditEntry, IdempotencyKey
from voiceagents.webhooks.models import Happening

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

NOW = datetime(2026, 11, 25, 17, 0, tzinfo=UTC)
ANA, BEN = "+12025550143", "+12025550199"
OURS = "+12025550100"
DAY = timedelta(days=1)


async def call_with(
    database: Database, data: Path, number: str, *, at: datetime = NOW - DAY, inbound: bool = False, **columns: Any
) -> UUID:
    """A call that is over, with all that can be held of one."""
    call_id = uuid4()
    numbers = {"from_number": number, "to_number": OURS} if inbound else {"from_number": OURS, "to_number": number}
    row: dict[str, Any] = {
        "direction": Direction.INBOUND if inbound else Direction.OUTBOUND, "state": CallState.ENDED, "created_at": at,
        "answered_at": at, "ended_at": at, "settled_at": at, "outcome": Outcome.COMPLETED, "ended_by": EndedBy.PERSON,
        "cause": f"the person at {number} hung up", "room_name": f"call-{number}-x", "contact_name": "Ana Roe",
        "sip_call_id": "abc", "summary": "Ana wants tools.", "extracted": {"size": "M"},
        "evidence": [{"text": "yes please"}],
        "details": {"recording": {"file": recordings.file_name(call_id), "started_at": at.isoformat()}},
    }  # fmt: skip
    async with database.transaction() as session:
        session.add(Call(id=call_id, **numbers, **row | columns))
        await session.flush()
        session.add_all(
            [
                Turn(call_id=call_id, item_id="1", speaker=Speaker.PERSON, text="Yes please", started_at=at),
                CallEvent(call_id=call_id, kind="dtmf", detail={"digit": "4"}, at=at),
                ToolCall(
                    call_id=call_id, tool_call_id="1", tool="take_message", arguments={"name": "Ana Roe"},
                    status=ToolStatus.DONE, result="Taken from Ana.", started_at=at,
                ),
                Message(id=uuid4(), call_id=call_id, kind=MessageKind.MESSAGE, at=at, text="Ring me.", from_name="Ana"),
            ]
        )  # fmt: skip
    unfinished = recordings.Unfinished(data, call_id)
    unfinished.path.write_bytes(b"OggS")
    unfinished.keep()
    return call_id


async def row(database: Database, call_id: UUID) -> Call:
    async with database.transaction() as session:
        found = await session.get(Call, call_id)
    assert found is not None
    return found


async def count(database: Database, table: type[Any]) -> int:
    async with database.transaction() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def everything(database: Database) -> str:
    """All rows of all tables as one text."""
    async with database.transaction() as session:
        tables: Sequence[str] = (
            await session.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
        ).all()
        rows = [
            str(found)
            for table in tables
            for found in await session.scalars(text(f'SELECT CAST(t AS text) FROM "{table}" t'))
        ]
    return "\n".join(rows)


async def run(database_url: str, data: Path, *arguments: str, days: str = "") -> Ran:
    return await command_line.run(
        *arguments, folder=data, DATABASE_URL=database_url, VOICEAGENTS_DATA=str(data), RETENTION_DAYS=days
    )


# --- retention --------------------------------------------------------------------------------------------------------


async def test_of_an_old_call_the_bare_row_stays(database: Database, tmp_path: Path) -> None:
    old = await call_with(database, tmp_path, ANA, at=NOW - 31 * DAY)
    young = await call_with(database, tmp_path, BEN, at=NOW - 29 * DAY)
    before = retention.limit(NOW, 30)
    async with database.transaction() as session:
        assert await retention.due(session, before) == retention.Due(1, 1, 1, 1, 1)
    assert await retention.clear_batch(database, RecordingStore(tmp_path), before, NOW) == 1
    assert await retention.clear_batch(database, RecordingStore(tmp_path), before, NOW) == 0
    left = await row(database, old)
    assert (left.to_number, left.outcome, left.ended_at) == (ANA, Outcome.COMPLETED, NOW - 31 * DAY)
    assert (left.summary, left.extracted, left.evidence, left.details, left.cleared_at) == (None, None, None, {}, NOW)
    assert recordings.existing(tmp_path, [old, young]) == [young]
    async with database.transaction() as session:
        assert [turn.call_id for turn in await session.scalars(select(Turn))] == [young]
        assert [message.call_id for message in await session.scalars(select(Message))] == [young]
        (tool,) = await session.scalars(select(ToolCall).where(ToolCall.call_id == old))
        assert (tool.tool, tool.arguments, tool.result) == ("take_message", {}, None)
        (pressed,) = await session.scalars(select(CallEvent).where(CallEvent.call_id == old))
        assert pressed.detail == {}
    assert (await row(database, young)).summary == "Ana wants tools."


async def test_a_call_that_goes_on_is_never_cleared(database: Database, tmp_path: Path) -> None:
    long = await call_with(
        database, tmp_path, ANA, at=NOW - 99 * DAY, state=CallState.ANSWERED, ended_at=None, outcome=None
    )
    assert await retention.clear_batch(database, RecordingStore(tmp_path), NOW, NOW) == 0
    assert recordings.existing(tmp_path, [long]) == [long]


async def test_each_transaction_clears_a_bounded_number(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    for days in (40, 41, 42):
        await call_with(database, tmp_path, ANA, at=NOW - days * DAY)
    # Two at once share the work.
    both = await asyncio.gather(
        *(retention.clear_batch(database, RecordingStore(tmp_path), NOW - 30 * DAY, NOW) for _ in range(2))
    )
    assert sum(both) + await retention.clear_batch(database, RecordingStore(tmp_path), NOW - 30 * DAY, NOW) == 3
    assert await count(database, Turn) == 0


async def test_what_comes_in_late_about_a_cleared_call_is_not_written(database: Database, tmp_path: Path) -> None:
    old = await call_with(database, tmp_path, ANA, at=NOW - 31 * DAY)
    await retention.clear_batch(database, RecordingStore(tmp_path), NOW - 30 * DAY, NOW)
    facts = [
        TurnSpoken(call_id=old, item_id="2", speaker=Speaker.PERSON, text="Ana here", started_at=NOW),
        CallUnderstood(call_id=old, summary="Ana again."),
        CallRecorded(call_id=old, file="x.ogg", started_at=NOW),
        Happened(call_id=old, kind="dtmf", at=NOW, detail={"digit": "9"}),
        ToolUsed(call_id=old, tool_call_id="2", tool="x", status=ToolStatus.DONE, started_at=NOW),
    ]
    async with database.transaction() as session:
        for fact in facts:
            await history.write(session, fact)
    left = await row(database, old)
    assert (left.summary, left.details) == (None, {})
    assert [await count(database, table) for table in (Turn, CallEvent, ToolCall)] == [0, 1, 1]


async def test_by_hand_it_counts_first_and_deletes_then(database: Database, database_url: str, tmp_path: Path) -> None:
    await call_with(database, tmp_path, ANA, at=datetime.now(UTC) - 31 * DAY)
    unset = await run(database_url, tmp_path, "retention", "run")
    assert unset.status == 2
    assert "RETENTION_DAYS is not set" in unset.err
    dry = await run(database_url, tmp_path, "retention", "run", "--dry-run", days="30")
    assert dry.out.startswith("Older than 30 days: 1 calls with 1 turns, 1 recordings, 1 messages and 1 uses of tools")
    assert await count(database, Turn) == 1
    done = await run(database_url, tmp_path, "retention", "run", "--days", "30")
    assert done.out.startswith("Cleared 1 calls older than 30 days"), done
    assert await count(database, Turn) == 0
    again = await run(database_url, tmp_path, "retention", "run", "--days", "30")
    assert again.out == "Nothing is older than 30 days.\n"


async def test_engines_clear_by_themselves_where_days_are_set(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_RETAINS", "* * * * * */1")  # every second
    await call_with(database, tmp_path, ANA, at=datetime.now(UTC) - 31 * DAY)
    kept = engine.Engine(Settings(_env_file=None, voiceagents_data=tmp_path), database_url)  # pyright: ignore[reportCallIssue]
    assert not kept.app.periodic_registry.periodic_tasks
    settings = Settings(_env_file=None, retention_days=30, voiceagents_data=tmp_path)  # pyright: ignore[reportCallIssue]
    app = engine.Engine(settings, database_url).app
    async with app.open_async():
        worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False, delete_jobs="always"))

        async def cleared() -> bool | None:
            return True if await count(database, Turn) == 0 else None

        await until(cleared, within=30, what="the end of what is too old")
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)
        assert not list(await app.job_manager.list_jobs_async(status=Status.FAILED.value))


# --- forget -----------------------------------------------------------------------------------------------------------


async def known(database: Database, data: Path, number: str, name: str) -> dict[str, UUID]:
    """A person of whom everything is held that can be."""
    campaign = Campaign(name="Spring", prompt="Hello {name}.")
    contact = Contact(phone=number, name=name)
    tomorrow = datetime.now(UTC) + DAY
    async with database.transaction() as session:
        session.add(campaign)
        await session.flush()
        contact.campaign_id = campaign.id
        session.add(contact)
        await session.flush()
    placed = await call_with(
        database, data, number, campaign_id=str(campaign.id), contact_id=str(contact.id), contact_name=name, attempt=1
    )
    came_in = await call_with(database, data, number, inbound=True, contact_name=name)
    other = await call_with(database, data, BEN, inbound=True, contact_name="Ben")
    async with database.transaction() as session:
        calendar = Calendar(id=str(uuid4()), name="Ours", provider="builtin")
        session.add_all([calendar, Calendar(id=str(uuid4()), name="Practice", provider="caldav")])
        await session.flush()
        await session.refresh(calendar)
        session.add_all(
            [
                Booking(
                    calendar=calendar.number, starts_at=tomorrow, ends_at=tomorrow + timedelta(hours=1),
                    status=BookingStatus.BOOKED, name=name, phone=number, wish="w",
                ),
                Message(
                    id=uuid4(), call_id=other, kind=MessageKind.CALLBACK, at=NOW, text=f"Ring {name}",
                    from_name=name, from_number=number,
                ),
                DecisionRecord(
                    campaign_id=campaign.id, contact_id=contact.id, call_id=placed, verdict=Verdict.DIAL, rule="due",
                    words=f"{name} is due", inputs={"phone": number},
                ),
                Happening(kind="contact.done", subject_id=str(contact.id), data={"phone": number, "name": name}),
                IdempotencyKey(actor="a", key="k", request_hash=b"h", body=f'{{"phone": "{number}"}}'.encode()),
                ContactImport(
                    campaign_id=campaign.id,
                    report={"read": 2, "warnings": [{"line": 1, "words": number}, {"line": 2, "words": "x"}]},
                ),
            ]
        )  # fmt: skip
        await do_not_call.add(session, number, None, "by mail")
        await session.execute(
            text(
                "INSERT INTO procrastinate_jobs (queue_name, task_name, lock, args, status)"
                " VALUES ('dispatch', 'dispatch', 'l', CAST(:args AS jsonb), 'todo')"
            ),
            {"args": f'{{"call_id": "{placed}"}}'},
        )
    return {"placed": placed, "came_in": came_in, "other": other, "contact": contact.id}


async def test_nothing_names_a_person_who_is_forgotten_and_others_keep_what_is_theirs(
    database: Database, tmp_path: Path
) -> None:
    ids = await known(database, tmp_path, ANA, "Ana Roe")
    async with database.transaction() as session:
        await forget.forget(session, RecordingStore(tmp_path), ANA, NOW, by="tester", also_do_not_call=True)
    left = await everything(database)
    for trace in (ANA, ANA[1:], "Ana Roe", str(ids["contact"])):
        # What Ben's own call says stays.
        mentions = [line for line in left.splitlines() if trace in line and str(ids["other"]) not in line]
        assert not mentions, mentions
    for name in ("placed", "came_in"):
        bare = await row(database, ids[name])
        assert (bare.outcome, bare.ended_at) == (Outcome.COMPLETED, NOW - DAY)
        assert OURS in (bare.from_number, bare.to_number)
        assert bare.cleared_at == NOW
    assert recordings.existing(tmp_path, list(ids.values())) == [ids["other"]]
    assert (await row(database, ids["other"])).from_number == BEN
    async with database.transaction() as session:
        assert [turn.call_id for turn in await session.scalars(select(Turn))] == [ids["other"]]
        (report,) = await session.scalars(select(ContactImport.report))
        assert report == {"read": 2, "warnings": [{"line": 2, "words": "x"}]}


async def test_the_audit_log_says_that_somebody_was_forgotten_and_not_who(database: Database, tmp_path: Path) -> None:
    await known(database, tmp_path, ANA, "Ana Roe")
    async with database.transaction() as session:
        await forget.forget(session, RecordingStore(tmp_path), ANA, NOW, by="tester")
        (entry,) = await session.scalars(select(AuditEntry))
    assert (entry.action, entry.actor_name, entry.subject_id) == ("forgot", "tester", forget.fingerprint(ANA))
    assert (entry.detail["calls"], entry.detail["contacts"], entry.detail["jobs"]) == (2, 1, 1)
    assert "2025550143" not in f"{entry.subject_id}{entry.detail}"
    assert forget.fingerprint(ANA) != forget.fingerprint(BEN)


async def test_who_is_not_to_be_called_stays_on_the_list(database: Database, tmp_path: Path) -> None:
    await known(database, tmp_path, ANA, "Ana Roe")
    async with database.transaction() as session:
        await do_not_call.add(session, BEN, None, "")
        await do_not_call.remove(session, BEN, None, "asked for it")
        await forget.forget(session, RecordingStore(tmp_path), ANA, NOW, by="tester")
        assert [entry.phone for entry in await do_not_call.check(session, ANA)] == [ANA]
        assert not (await forget.held(session, RecordingStore(tmp_path), ANA, NOW)).anything(also_do_not_call=False)
        await forget.forget(session, RecordingStore(tmp_path), ANA, NOW, by="tester", also_do_not_call=True)
        assert not await do_not_call.check(session, ANA)
        assert [entry.phone for entry in await session.scalars(select(DoNotCall))] == [BEN]


async def test_a_wish_not_to_be_called_again_outlives_the_call_that_said_so(database: Database, tmp_path: Path) -> None:
    await call_with(database, tmp_path, ANA, outcome=Outcome.OPTED_OUT, settled_at=None)
    async with database.transaction() as session:
        await forget.forget(session, RecordingStore(tmp_path), ANA, NOW, by="tester")
        assert [entry.reason for entry in await do_not_call.check(session, ANA)] == ["asked in a call"]


@pytest.mark.parametrize("state", [CallState.QUEUED, CallState.DIALING, CallState.ANSWERED])
async def test_nobody_is_forgotten_during_a_call(state: CallState, database: Database, tmp_path: Path) -> None:
    await call_with(database, tmp_path, ANA)
    await call_with(database, tmp_path, ANA, state=state, ended_at=None, outcome=None)
    with pytest.raises(forget.CallGoingOn):
        async with database.transaction() as session:
            await forget.forget(session, RecordingStore(tmp_path), ANA, NOW, by="tester")
    assert await count(database, Turn) == 2


async def test_the_command_shows_asks_deletes_and_may_come_again(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    await known(database, tmp_path, ANA, "Ana Roe")
    asked = await run(database_url, tmp_path, "forget", "(202) 555-0143", "--region", "US")
    assert asked.status != 0
    assert await count(database, Contact) == 1, "nobody said yes"
    done = await run(database_url, tmp_path, "forget", ANA, "--yes")
    assert done.status == 0, done
    lines = [" ".join(line.split()) for line in done.out.splitlines()]
    print(done)
    for line in ("turns of transcripts 2", "recordings 2", "messages 3", "bookings 1 1 still to come"):
        assert line in lines
    assert 'Appointments in the calendar "Practice" are kept by others: delete them there.' in lines
    assert f"{ANA} is forgotten." in lines
    assert "do-not-call entry stays" in done.out
    again = await run(database_url, tmp_path, "forget", ANA, "--yes")
    assert again.status == 0
    assert again.out.startswith(f"Nothing is held about {ANA} but that nobody may call it")
    wrong = await run(database_url, tmp_path, "forget", "12", "--yes")
    assert wrong.status == 2
