"""Where do tests get a database? A pytest plugin.

`database_url` is a fresh, migrated database of the test's own, `database` a `Database` on it. By default it lives in an
embedded PostgreSQL that runs for the whole session; `@pytest.mark.both_postgres` runs the test there and again on
Debian's, over TCP. With TEST_DATABASE_URL (a role that may create databases) everything runs on that server instead.
"""

import fcntl
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest
import pytest_asyncio
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import make_url

from voiceagents.db import Database
from voiceagents.postgres import EmbeddedPostgres
from voiceagents.schema import migrate

KINDS = ["given"] if os.environ.get("TEST_DATABASE_URL") else ["embedded", "debian"]
_FOLDER = "voiceagents-test-postgres-"
_LOCK = "voiceagents-test-leftovers-"


class Server:
    """A running PostgreSQL that hands out databases. The first is migrated, the others are copies of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._template: str | None = None

    def create(self) -> str:
        """The address of a new database with all tables."""
        if self._template is None:
            self._template = self.create_empty()
            migrate(self._template)
        return self._create(template=self._name(self._template))

    def create_empty(self) -> str:
        """The address of a new database without tables."""
        return self._create(template="template1")

    def drop(self, url: str) -> None:
        """Removes a database, whoever is still connected."""
        self.execute(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(self._name(url))))

    def execute(self, statement: SQL | Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statement)

    def close(self) -> None:
        if self._template is not None:
            self.drop(self._template)

    def _create(self, template: str) -> str:
        name = f"voiceagents_test_{uuid4().hex[:12]}"
        self.execute(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(template)))
        return make_url(self.url).set(database=name).render_as_string(hide_password=False)

    @staticmethod
    def _name(url: str) -> str:
        name = make_url(url).database
        assert name is not None
        return name


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "both_postgres: runs on the embedded PostgreSQL and again on Debian's")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "postgres" in metafunc.fixturenames and metafunc.definition.get_closest_marker("both_postgres"):
        metafunc.parametrize("postgres", KINDS, indirect=True, scope="session")


@pytest.fixture(scope="session")
def postgres_servers() -> Generator[dict[str, Server]]:
    """The servers started so far, by kind. They end with the session."""
    end_leftovers()
    servers: dict[str, Server] = {}
    yield servers
    for server in servers.values():
        server.close()
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDER}{os.getpid()}-*"):
        end_servers(folder)


@pytest.fixture(scope="session")
def postgres(request: pytest.FixtureRequest, postgres_servers: dict[str, Server]) -> Server:
    """A PostgreSQL server for the session."""
    kind: str = getattr(request, "param", KINDS[0])
    if kind not in postgres_servers:
        postgres_servers[kind] = Server({"given": _given, "embedded": _embedded, "debian": _debian}[kind]())
    return postgres_servers[kind]


@pytest.fixture
def database_url(postgres: Server) -> Generator[str]:
    """The address of a fresh database with all tables, removed after the test."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture
def empty_database_url(postgres: Server) -> Generator[str]:
    """The address of a fresh database without tables, removed after the test."""
    url = postgres.create_empty()
    yield url
    postgres.drop(url)


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncGenerator[Database]:
    """A `Database` on a fresh database, for use in the session's event loop."""
    opened = Database(database_url)
    yield opened
    await opened.close()


def open_folder() -> Path:
    """A folder that the user a server runs as can reach, unlike pytest's own. `end_servers` knows it by its name."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-"))
    folder.chmod(0o755)
    return folder


def _given() -> str:
    return os.environ["TEST_DATABASE_URL"]


def _embedded() -> str:
    url = EmbeddedPostgres(open_folder() / "embedded").start()
    # Tests kill processes, not the machine: nothing is lost without fsync but time.
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return url


def _debian() -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not versions:
        pytest.fail("Debian's PostgreSQL is missing: apt-get install postgresql", pytrace=False)
    programs, folder, password = versions[-1].parent, open_folder() / "debian", uuid4().hex
    folder.mkdir(mode=0o700)
    (folder / "password").write_text(password)
    if account := "postgres" if os.geteuid() == 0 else None:
        entry = pwd.getpwnam(account)
        for path in (folder, folder / "password"):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories= -c fsync=off -c timezone=UTC"
    for command in (
        ["initdb", "-D", folder / "data", "-U", "tests", "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256",
         f"--pwfile={folder}/password", "--no-sync"],
        ["pg_ctl", "-D", folder / "data", "-l", folder / "log", "-o", settings, "-w", "start"],
    ):  # fmt: skip
        extra: list[int] | None = [] if account else None
        ran = subprocess.run(
            [programs / command[0], *command[1:]], user=account, group=account, extra_groups=extra, cwd="/", text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stdout
    return f"postgresql://tests:{password}@127.0.0.1:{port}/postgres"


def end_leftovers() -> None:
    """Servers outlive a test session that was killed. The next one ends them, in one of its processes at a time."""
    temporary = Path(tempfile.gettempdir())
    with (temporary / f"{_LOCK}{os.geteuid()}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for folder in temporary.glob(f"{_FOLDER}*"):
            with suppress(PermissionError, ValueError):
                if not psutil.pid_exists(int(folder.name.removeprefix(_FOLDER).split("-")[0])):
                    end_servers(folder)


def end_servers(folder: Path) -> None:
    """Ends the servers whose clusters are anywhere below the folder, and removes it."""
    for recorded in folder.rglob("data/postmaster.pid"):
        # Debian's server lies in a folder of the same shape, and stopping is the same in every version.
        EmbeddedPostgres(recorded.parent.parent).stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)
