"""Where does the database come from when nobody configured one?

From a PostgreSQL server of our own in a folder of our own. The server is detached: it outlives the process that started
it, and any number of processes share it. `EmbeddedPostgres.start` makes it run whatever state it finds: nothing yet, a
server that runs, one that is starting, one that was killed. Whether it runs is found out by connecting, not from notes.

    folder/lock       held (flock) by whoever starts or stops the server
    folder/password   of the database role
    folder/port       the TCP port, only where a Unix socket's path would be too long
    folder/data/      the cluster
    folder/run/       the Unix socket
    folder/log        what the server says
"""

import fcntl
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psutil
import psycopg
from psycopg.pq import PGconn, Ping

from voiceagents.db import DatabaseUnavailable
from voiceagents.postgres_programs import UNFINISHED, VERSION, account_for, programs_for, require_reachable, run_as

_ROLE = _DATABASE = "voiceagents"
_PATIENCE = 60.0
_LOG_LIMIT = 10 * 2**20
# The last byte of sun_path is the terminating zero.
_SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103
# What the server says when the next attempt may well succeed: backends of a killed server are still ending, a start
# whose caller was killed is still going on, somebody took the port.
_PASSING = ("shared memory block", "lock file", "could not create any TCP/IP sockets")

_SETTINGS = """\
# Written anew at every start. For settings of your own use ALTER SYSTEM: it is kept, and stronger than this file.
listen_addresses = '{listen}'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
max_connections = 100
shared_buffers = 64MB
fsync = on
password_encryption = scram-sha-256
logging_collector = off
log_checkpoints = off
log_line_prefix = '%m [%p] '
log_timezone = 'UTC'
timezone = 'UTC'
lc_messages = 'C'
"""
_ACCESS_RULES = """\
# Written anew at every start. Everybody needs the password, and to be on this machine.
local all all              scram-sha-256
host  all all 127.0.0.1/32 scram-sha-256
"""


class EmbeddedPostgres:
    """The PostgreSQL server in `folder`. Several objects and processes may use one folder at the same time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().resolve()
        self._data = self.folder / "data"
        self._sockets = self.folder / "run"
        self._log = self.folder / "log"

    # What others use

    def start(self) -> str:
        """The address of the running server, which is started (and at first created) if it does not run."""
        with suppress(FileNotFoundError, psycopg.OperationalError):
            psycopg.connect(self._url(), connect_timeout=5).close()
            return self._url()
        with self._lock():
            deadline = time.monotonic() + _PATIENCE
            refusals = 0
            self._prepare()
            while True:
                try:
                    with psycopg.connect(self._url("postgres"), autocommit=True, connect_timeout=5) as connection:
                        _ensure_database(connection)
                    return self._url()
                except psycopg.OperationalError as error:
                    if not self._runs():
                        self._launch(deadline)
                        continue
                    refusals += self._ping() == Ping.OK
                    if refusals > 3 or time.monotonic() > deadline:
                        raise self._failure("runs, but cannot be used", str(error)) from error
                    time.sleep(0.05)  # it is starting, recovering or stopping: there is no event to wait for

    def stop(self, mode: Literal["smart", "fast", "immediate"] = "fast") -> None:
        """Stops the server if it runs. Without a server there is nothing to do."""
        if not self._data.is_dir():
            return
        with self._lock():
            if self.pid() is not None:
                stopped = self._control("-m", mode, "stop")
                if stopped.returncode != 0 and self.pid() is not None:
                    raise self._failure("does not stop", stopped.stdout)

    def pid(self) -> int | None:
        """The running server's process, None without one. A number that now belongs to another program is not it."""
        return self._server_noted_in(self._data / "postmaster.pid")

    # Is it there?

    def _url(self, database: str = _DATABASE) -> str:
        try:
            who = f"postgresql://{_ROLE}:{(self.folder / 'password').read_text()}"
        except PermissionError:
            raise self._foreign() from None
        if self._socket_fits:
            return f"{who}@/{database}?host={quote(str(self._sockets))}&port=5432"
        return f"{who}@127.0.0.1:{(self.folder / 'port').read_text()}/{database}?sslmode=disable"

    @property
    def _socket_fits(self) -> bool:
        path = os.fsencode(self._sockets / ".s.PGSQL.5432")
        return len(path) <= _SOCKET_PATH_LIMIT and b"," not in path  # in an address a comma parts two hosts

    def _ping(self) -> Ping:
        return Ping(PGconn.ping(f"{self._url('postgres')}&connect_timeout=5".encode()))

    def _server_noted_in(self, note: Path) -> int | None:
        try:
            pid = int(note.read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            ours = process.status() != psutil.STATUS_ZOMBIE and str(self._data) in process.cmdline()
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        return pid if ours else None

    def _runs(self) -> bool:
        if self.pid() is not None:
            return True
        # Through our own socket only our server can answer, even one whose process we cannot see (another container).
        return self._socket_fits and self._ping() != Ping.NO_RESPONSE

    # Making it be there

    def _prepare(self) -> None:
        """The folder, closed to everybody but the server's user, and the two files that an address is made of."""
        account = account_for(self._data)
        if account:
            require_reachable(self.folder, account)
        self._sockets.mkdir(exist_ok=True)
        for folder in (self.folder, self._sockets):
            folder.chmod(0o700)
            if account:
                os.chown(folder, *account)
        if not (self.folder / "password").exists():
            if self._data.is_dir():
                raise DatabaseUnavailable(f"{self.folder}/password is lost. Restore it from a backup.")
            self._write("password", secrets.token_urlsafe(32))
        if not self._socket_fits and not (self.folder / "port").exists():
            self._write("port", str(_free_port()))

    def _launch(self, deadline: float) -> None:
        """One start of the server; returns when it is ready, or when another attempt makes sense."""
        if not self._data.is_dir():
            self._create_cluster()
        if (version := (self._data / "PG_VERSION").read_text().strip()) != VERSION:
            raise DatabaseUnavailable(
                f"The database in {self.folder} was made by PostgreSQL {version}; this program brings {VERSION}."
                f" Move it with pg_dump and psql, or run PostgreSQL {version} and set DATABASE_URL."
            )
        self._forget_server()
        self._configure()
        if self._log.exists() and self._log.stat().st_size > _LOG_LIMIT:
            self._log.replace(self.folder / "log.1")
        already_said = self._log.stat().st_size if self._log.exists() else 0
        started = self._control("-l", str(self._log), "start")
        if started.returncode == 0:
            return
        said = self._log.read_bytes()[already_said:].decode(errors="replace") if self._log.exists() else ""
        if not any(words in said for words in _PASSING) or time.monotonic() > deadline:
            raise self._failure("does not start", said or started.stdout)
        time.sleep(0.2)

    def _create_cluster(self) -> None:
        """A new cluster, whole or not at all: an interrupted initdb leaves only a folder that is thrown away here."""
        for leftover in self.folder.glob(f"{UNFINISHED}.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished = self.folder / f"{UNFINISHED}.{secrets.token_hex(4)}"
        made = self._run(
            "initdb", "-D", str(unfinished), "-U", _ROLE, "--encoding=UTF8", "--locale=C",
            "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--auth=scram-sha-256", f"--pwfile={self.folder}/password",
        )  # fmt: skip
        if made.returncode != 0:
            raise self._failure("cannot be created", made.stdout)
        unfinished.rename(self._data)

    def _configure(self) -> None:
        listen, port, sockets = "", "5432", str(self._sockets).replace("'", "''")
        if not self._socket_fits:
            # The same port again if it is still free, so that addresses given out before stay good.
            port = str(_free_port(int((self.folder / "port").read_text())))
            self._write("port", port)
            listen, sockets = "127.0.0.1", ""
        self._write("data/postgresql.conf", _SETTINGS.format(listen=listen, port=port, sockets=sockets))
        self._write("data/pg_hba.conf", _ACCESS_RULES)

    def _forget_server(self) -> None:
        """Removes the notes of a server that is gone, where PostgreSQL itself would be misled by them.

        It takes any living process with the noted number for its server, be it a zombie or a program that has the
        number now, and it stops at a note that a crash of the machine left empty.
        """
        for note in (self._data / "postmaster.pid", self._sockets / ".s.PGSQL.5432.lock"):
            with suppress(FileNotFoundError):
                number = note.read_text().split("\n", 1)[0].strip()
                misleading = not number.isdecimal() or psutil.pid_exists(int(number))
                if misleading and self._server_noted_in(note) is None:
                    note.unlink()

    # Files and programs

    def _write(self, name: str, text: str) -> None:
        """A file for the server's user alone, whole or not at all; never through a link this user may have laid."""
        new = self.folder / f"{name}.new"
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            if account := account_for(self._data):
                os.fchown(file.fileno(), *account)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.folder / name)

    @contextmanager
    def _lock(self) -> Generator[None]:
        """One process at a time starts or stops this server. The kernel releases the lock of a process that died."""
        if any(character in str(self.folder) for character in '"$`\\\n'):
            raise DatabaseUnavailable(f"PostgreSQL cannot live in a folder of such a name: {self.folder}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError:
            raise self._foreign() from None
        with open(descriptor) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", "-D", str(self._data), "-w", "-t", str(int(_PATIENCE)), *arguments)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        account = account_for(self._data)
        return run_as(account, str(programs_for(account, self.folder) / program), *arguments)

    def _failure(self, what: str, why: str) -> DatabaseUnavailable:
        return DatabaseUnavailable(f"PostgreSQL in {self.folder} {what}: {why.strip()}\nThe server's log: {self._log}")

    def _foreign(self) -> DatabaseUnavailable:
        return DatabaseUnavailable(
            f"{self.folder} belongs to another user: run this as that user, or set VOICEAGENTS_DATA to one of yours."
        )


def _ensure_database(connection: psycopg.Connection) -> None:
    if connection.execute("SELECT FROM pg_database WHERE datname = %s", [_DATABASE]).fetchone() is None:
        connection.execute(f"CREATE DATABASE {_DATABASE}")


def _free_port(preferred: int = 0) -> int:
    """The preferred TCP port while it is free, any free one otherwise."""
    for port in (preferred, 0):
        with suppress(OSError), closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return probe.getsockname()[1]
    raise DatabaseUnavailable("There is no free TCP port on 127.0.0.1 for PostgreSQL.")
