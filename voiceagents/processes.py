"""How is a server started so that it neither lingers nor dies too early, and ended so that it is really gone?

A process is known by its pid and its start time together, so that a pid which the system has given to somebody else is
never signalled, and any program can end what another one started.
"""

import os
import random
import select
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

# Below the range that the system takes for outgoing connections, so that a port stays free while its server restarts.
SERVER_PORTS = range(20000, 32000)


@dataclass(frozen=True)
class Process:
    """A process that `spawn` started, in a group of its own."""

    name: str
    pid: int
    started: int  # clock ticks since the system's start, as /proc tells
    log: Path

    def alive(self) -> bool:
        """Whether any of its threads runs; a process that has ended but was not waited for does not."""
        return not self._signal(None, 0)

    def stop(self, timeout: float) -> None:
        """Ask it to end, and kill it if it has not after `timeout` seconds."""
        if not self._signal(signal.SIGTERM, timeout):
            self.kill()

    def kill(self) -> None:
        """End it and its group without a warning, and return when it is gone."""
        if not self._signal(signal.SIGKILL, 10):
            raise TimeoutError(f"{self.name} (pid {self.pid}) cannot be killed")

    def wait(self, timeout: float) -> bool:
        """Whether it has ended, by itself or not, within `timeout` seconds."""
        return self._signal(None, timeout)

    def _signal(self, number: signal.Signals | None, timeout: float) -> bool:
        """Send a signal to its group, if one is given, and tell whether it is gone within `timeout` seconds.

        Its state in /proc is that of its first thread, which may have ended while others still hold its ports; the
        descriptor is ready when the last one has (pidfd_open(2)).
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            if _started(self.pid) != self.started:
                return True
            ended = select.poll()
            ended.register(descriptor, select.POLLIN)
            gone = bool(ended.poll(0))
            if not gone and number is not None:
                with suppress(ProcessLookupError):  # it has ended meanwhile, and its parent has waited for it
                    os.killpg(self.pid, number)
            gone = gone or bool(ended.poll(timeout * 1000))
        finally:
            os.close(descriptor)
        if gone:
            with suppress(ChildProcessError):  # somebody else's child: they wait for it
                os.waitpid(self.pid, os.WNOHANG)
        return gone

    def log_tail(self, size: int = 2000) -> str:
        """The end of what it has written, for an error message."""
        try:
            return self.log.read_text(errors="replace")[-size:]
        except FileNotFoundError:
            return ""

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "pid": self.pid, "started": self.started, "log": str(self.log)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Self:
        return cls(fields["name"], fields["pid"], fields["started"], Path(fields["log"]))


def spawn(
    name: str, command: Sequence[str], extra_env: Mapping[str, str], log: Path, *, outlives_starter: bool
) -> Process:
    """Start a server that writes to a log. Unless it outlives its starter, it is killed when that thread ends."""
    if not outlives_starter:
        if (wrapper := shutil.which("setpriv")) is None:
            raise FileNotFoundError("setpriv is not installed: apt-get install util-linux")
        command = [wrapper, "--pdeathsig", "KILL", "--", *command]
    pid = os.posix_spawn(
        command[0],
        list(command),
        {**os.environ, **extra_env},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    started = _started(pid)
    assert started is not None, "a child that nobody has waited for has an entry in /proc"
    return Process(name, pid, started, log)


def _started(pid: int) -> int | None:
    """The start time of a process, in clock ticks since the system's start, or None if there is none."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        return None


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that are free for TCP and UDP now."""
    found: list[int] = []
    with ExitStack() as held:  # all are held until the last is found, so that no two are the same
        for port in random.sample(SERVER_PORTS, len(SERVER_PORTS)):  # so that labs started together rarely meet
            if len(found) == count:
                break
            try:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    held.enter_context(socket.socket(socket.AF_INET, kind)).bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
    if len(found) < count:
        raise OSError(f"fewer than {count} ports are free on 127.0.0.1")
    return found
