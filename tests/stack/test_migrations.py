"""Do the migrations make the tables that the code describes, once, and say clearly when they cannot?"""

import asyncio
import multiprocessing
import os
from typing import Any, LiteralString

import psycopg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import NullPool, create_engine, text

from tests.database import Server
from voiceagents import schema
from voiceagents.assistants import models as assistants
from voiceagents.calendars import models as calendars
from voiceagents.calls import models as calls
from voiceagents.campaigns import models as campaigns
from voiceagents.db import Base, Database, DatabaseTooNew, DatabaseUnavailable, psycopg_url
from voiceagents.web import models as web
from voiceagents.webhooks import models as webhooks

pytestmark = pytest.mark.stack

MODELS = (assistants, calendars, calls, campaigns, web, webhooks)
_CATALOG: dict[str, LiteralString] = {
    "columns": """
        SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
        FROM information_schema.columns WHERE table_schema = 'public'
        AND table_name <> 'alembic_version' AND NOT starts_with(table_name, 'procrastinate_')""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
        AND NOT starts_with(conrelid::regclass::text, 'procrastinate_')""",
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes
        WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        AND NOT starts_with(tablename, 'procrastinate_')""",
}


def catalog(url: str) -> dict[str, set[Any]]:
    """What PostgreSQL itself says about the tables, CHECKs, defaults and predicates of indexes included."""
    with psycopg.connect(url) as connection:
        return {what: set(connection.execute(query).fetchall()) for what, query in _CATALOG.items()}


def revision_in(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    assert row is not None
    return row[0]


def run_alembic(url: str, what: str, revision: str) -> None:
    with create_engine(psycopg_url(url), poolclass=NullPool).connect() as connection:
        config = schema._config()  # pyright: ignore[reportPrivateUsage]
        config.attributes["connection"] = connection
        getattr(command, what)(config, revision)


@pytest.mark.both_postgres
def test_autogenerate_finds_nothing_left_to_do(database_url: str) -> None:
    with create_engine(psycopg_url(database_url), poolclass=NullPool).connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_server_default": True, "include_name": schema.is_ours}
        )
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.both_postgres
def test_migrated_tables_are_those_the_models_make(database_url: str, empty_database_url: str) -> None:
    engine = create_engine(psycopg_url(empty_database_url), poolclass=NullPool)
    Base.metadata.create_all(engine)
    migrated, described = catalog(database_url), catalog(empty_database_url)
    for what in _CATALOG:
        assert migrated[what] == described[what]
    assert len(migrated["constraints"]) > 10


def test_every_revision_can_be_undone_and_made_again(database_url: str) -> None:
    before = catalog(database_url)
    run_alembic(database_url, "downgrade", "base")
    assert catalog(database_url)["columns"] == set()
    run_alembic(database_url, "upgrade", "head")
    assert catalog(database_url) == before


def test_a_new_database_is_empty_and_then_at_the_head(empty_database_url: str) -> None:
    assert schema.current(empty_database_url) is None
    schema.migrate(empty_database_url)
    assert schema.current(empty_database_url) == schema.head()


def test_migrating_again_changes_nothing(database_url: str) -> None:
    before = catalog(database_url)
    schema.migrate(database_url)
    assert catalog(database_url) == before


@pytest.mark.both_postgres
def test_four_processes_may_migrate_at_once(empty_database_url: str) -> None:
    processes = multiprocessing.get_context("spawn")
    with processes.Pool(4) as pool:
        pool.map(schema.migrate, [empty_database_url] * 8, chunksize=1)
    assert revision_in(empty_database_url) == schema.head()


async def test_the_loop_runs_on_while_the_database_is_made_ready(empty_database_url: str) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await schema.ensure_database(empty_database_url)
    counting.cancel()
    assert turns > 10
    assert revision_in(empty_database_url) == schema.head()


def test_a_database_of_a_later_version_is_left_alone(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    before = catalog(database_url)
    with pytest.raises(DatabaseTooNew, match=r"revision 9999.*later version"):
        schema.migrate(database_url)
    assert catalog(database_url) == before
    assert revision_in(database_url) == "9999"


def test_a_lock_held_for_too_long_is_an_error_and_not_a_wait_for_ever(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "_LOCK_PATIENCE", "100ms")
    with psycopg.connect(empty_database_url) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [schema._LOCK])  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(DatabaseUnavailable, match="Another process"):
            schema.migrate(empty_database_url)
    schema.migrate(empty_database_url)


def test_a_role_that_may_not_make_tables_is_told_the_grant_it_needs(postgres: Server, empty_database_url: str) -> None:
    role = f"poor_{os.getpid()}"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'hush'")  # pyright: ignore[reportArgumentType, reportCallIssue]
        try:
            with pytest.raises(DatabaseUnavailable, match=f'GRANT ALL ON SCHEMA public TO "{role}"'):
                schema.migrate(with_login(empty_database_url, role, "hush"))
        finally:
            connection.execute(f"DROP ROLE {role}")  # pyright: ignore[reportArgumentType, reportCallIssue]


def with_login(url: str, user: str, password: str) -> str:
    return schema.make_url(url).set(username=user, password=password).render_as_string(hide_password=False)


@pytest.mark.both_postgres
def test_a_wrong_password_is_told_without_the_password(database_url: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="password authentication failed") as caught:
        schema.migrate(with_login(database_url, "voiceagents", "hunter2"))
    assert "hunter2" not in str(caught.value)
    assert "DATABASE_URL" in str(caught.value)


@pytest.mark.both_postgres
def test_a_missing_database_is_named(database_url: str) -> None:
    url = schema.make_url(database_url).set(database="nowhere").render_as_string(hide_password=False)
    with pytest.raises(DatabaseUnavailable, match='database "nowhere" does not exist'):
        schema.migrate(url)


def test_a_server_that_is_not_there_is_told_with_host_and_port_and_without_the_password(unused_tcp_port: int) -> None:
    with pytest.raises(DatabaseUnavailable, match=f"127.0.0.1, port {unused_tcp_port}, database calls") as caught:
        schema.migrate(f"postgresql://me:hunter2@127.0.0.1:{unused_tcp_port}/calls")
    assert "hunter2" not in str(caught.value)
    assert "Is it running?" in str(caught.value)
    assert caught.value.__cause__ is None  # a traceback would show the driver's own error


@pytest.mark.parametrize("address", ["hunter2", "mysql://me:hunter2@host/calls", "postgresql://me:hunter2@host:port/x"])
def test_an_address_that_is_none_is_told_without_repeating_it(address: str) -> None:
    with pytest.raises(DatabaseUnavailable, match="postgresql://user:password@host") as caught:
        schema.migrate(address)
    assert "hunter2" not in str(caught.value)


@pytest.mark.both_postgres
async def test_the_database_takes_every_table_in_one_transaction(database: Database) -> None:
    async with database.transaction() as session:
        for table in Base.metadata.sorted_tables:
            assert (await session.execute(text(f"SELECT count(*) FROM {table.name}"))).scalar_one() == 0
