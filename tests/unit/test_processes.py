"""A server counts as gone only when all of it is gone."""

import sys
from pathlib import Path

import pytest

from voiceagents.processes import Process, spawn

pytestmark = pytest.mark.unit

# Its first thread ends at once, as that of a server with many threads may when it is killed; another one lives on
# until it is told to end, and may still hold a port.
ENDS_BY_HALVES = """
import ctypes, pathlib, sys, threading, time
def wait():
    while not pathlib.Path(sys.argv[1]).exists():
        time.sleep(0.01)
threading.Thread(target=wait).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def start(tmp_path: Path, program: str) -> Process:
    command = [sys.executable, "-c", program, str(tmp_path / "end")]
    return spawn("server", command, {}, tmp_path / "log", outlives_starter=False)


def wait_for_its_first_thread(process: Process) -> None:
    while Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
        assert not process.wait(0.01), process.log_tail()


def test_a_process_is_not_gone_while_one_of_its_threads_lives(tmp_path: Path) -> None:
    process = start(tmp_path, ENDS_BY_HALVES)
    wait_for_its_first_thread(process)
    assert process.alive()
    assert not process.wait(0.05)
    (tmp_path / "end").touch()
    assert process.wait(10)
    assert not process.alive()


def test_what_is_killed_has_ended_with_all_its_threads(tmp_path: Path) -> None:
    process = start(tmp_path, ENDS_BY_HALVES)
    wait_for_its_first_thread(process)
    process.kill()
    assert not process.alive()
    assert not Path(f"/proc/{process.pid}").exists(), "our own child is waited for"


def test_a_pid_that_belongs_to_another_process_now_is_neither_alive_nor_signalled(tmp_path: Path) -> None:
    process = start(tmp_path, ENDS_BY_HALVES)
    stale = Process("server", process.pid, process.started - 1, process.log)
    assert not stale.alive()
    stale.kill()
    assert process.alive()
    process.kill()
