"""How does a process talk to PostgreSQL?

One declarative base for every table, and one `Database` object per process that hands out short transactions from a
small pool. Nothing here knows what a call or a campaign is.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import DateTime, MetaData
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase


class DatabaseProblem(Exception):
    """Something about the database that whoever runs the program must mend. The message says what, where and how."""


class DatabaseUnavailable(DatabaseProblem):
    """The server cannot be reached, lets us not in, or does not let us work."""


class DatabaseTooNew(DatabaseProblem):
    """The tables were made by a later version of this program than the one that runs."""


class Base(DeclarativeBase):
    """Base of all tables. Constraint names are fixed so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    # Every time is an instant: PostgreSQL stores UTC, Python gets an aware datetime back.
    type_annotation_map: ClassVar[dict[Any, Any]] = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB}


def psycopg_url(url: str) -> str:
    """The same database address with SQLAlchemy's psycopg 3 driver named in it.

    Accepts what people paste: ``postgres://``, ``postgresql://`` or an address with a driver already. Anything else is
    a ValueError, which does not repeat the address: it may hold a password.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError("not the address of a database") from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"{parsed.get_backend_name()} is not supported, PostgreSQL is")
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


class Database:
    """A small pool of connections and the one way to use them: `async with database.transaction() as session`.

    Belongs to the event loop that first used it. `pool_size` is the number of connections kept at most; a transaction
    that finds none free waits up to `wait` seconds.
    """

    def __init__(self, url: str, *, pool_size: int = 4, wait: float = 10.0) -> None:
        self.url = psycopg_url(url)
        self._engine = create_async_engine(
            self.url,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=wait,
            # A server that was restarted leaves dead connections in the pool: try each before use.
            pool_pre_ping=True,
            # Names and numbers are among the values; an error goes to the log.
            hide_parameters=True,
            connect_args={"connect_timeout": 5, "application_name": "voiceagents"},
        )
        self._sessions = async_sessionmaker(self._engine, expire_on_commit=False)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with self._sessions() as session, session.begin():
            yield session

    async def close(self) -> None:
        """Closes every connection."""
        await self._engine.dispose()
