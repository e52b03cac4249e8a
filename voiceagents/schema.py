"""Do the tables in the database fit the code, and if not, how do they come to fit?

Every program calls `ensure_database` when it starts. Several may do so at once: the first to hold the lock in the
database migrates, the others wait and find nothing left to do.
"""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import DBAPIError

from voiceagents.db import DatabaseProblem, DatabaseTooNew, DatabaseUnavailable, psycopg_url

# Any number will do that nobody else uses for an advisory lock: "voiceage" in ASCII.
_LOCK = int.from_bytes(b"voiceage")
_LOCK_PATIENCE = "5min"


async def ensure_database(url: str) -> None:
    """Brings the tables to the state this code expects. Raises DatabaseProblem with a message for whoever runs it."""
    await asyncio.to_thread(migrate, url)


def migrate(url: str) -> None:
    """The same, for code without an event loop."""
    with _connection(url) as connection:
        if _revision(connection) == head():
            return
        connection.execute(text("SELECT set_config('lock_timeout', :patience, true)"), {"patience": _LOCK_PATIENCE})
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.commit()  # the lock is the session's and stays, its time limit goes
        _require_known(_revision(connection))
        connection.commit()
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def current(url: str) -> str | None:
    """The revision the database is at; None when it is empty."""
    with _connection(url) as connection:
        return _revision(connection)


@cache
def head() -> str:
    """The revision this code expects."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether alembic looks after this table: the job tables are procrastinate's, which brings their definition."""
    return not (kind == "table" and name is not None and name.startswith("procrastinate_"))


def _config() -> Config:
    config = Config()
    # Config interpolates `%`, which a path may hold.
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _require_known(revision: str | None) -> None:
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if revision is not None and revision not in known:
        raise DatabaseTooNew(
            f"The database is at revision {revision}, which this version of voiceagents does not know: a later version"
            " has been here. Install that version again, or restore a backup from before it."
        )


@contextmanager
def _connection(url: str) -> Generator[Connection]:
    """One connection, and the driver's errors turned into ours, which name the place and never the password."""
    try:
        parsed = make_url(psycopg_url(url))
    except ValueError as error:
        raise DatabaseUnavailable(
            f"DATABASE_URL: {error}. It looks like postgresql://user:password@host:5432/database"
        ) from None
    engine = create_engine(
        parsed, poolclass=NullPool, connect_args={"connect_timeout": 10, "application_name": "voiceagents migrate"}
    )
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise _explained(error, parsed) from None
    finally:
        engine.dispose()


def _explained(error: DBAPIError, url: URL) -> DatabaseProblem:
    place = f"PostgreSQL at {_place(url)}"
    reason = str(error.orig).strip()
    if url.password:
        reason = reason.replace(str(url.password), "***")
    sqlstate: str | None = getattr(error.orig, "sqlstate", None)
    if sqlstate is None:
        mend = "Is it running? Do host, port, user, password and database in DATABASE_URL fit?"
    elif sqlstate == "42501":
        mend = f'Its owner can mend that: GRANT ALL ON SCHEMA public TO "{url.username}"'
    elif sqlstate == "55P03":
        mend = "Another process has been changing the tables for minutes: see whether it still runs."
    else:
        mend = "A step that fails is undone as a whole: mend the cause and start again."
    return DatabaseUnavailable(f"{place}: {reason}\n{mend}")


def _place(url: URL) -> str:
    host = url.host or url.query.get("host") or "the local socket"
    port = url.port or url.query.get("port") or 5432
    return f"{host}, port {port}, database {url.database or url.username}"
