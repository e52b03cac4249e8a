"""Calendars on real servers: a Radicale, and calendars of both kinds that tests can write to behind our back."""

import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from tests.stack.cal_com_contract import EVENT_TYPE, KEY, CalCom
from voiceagents import clock
from voiceagents.calendars import store
from voiceagents.calendars.base import Calendar
from voiceagents.calendars.rules import Rules
from voiceagents.db import Database

USER, PASSWORD = "ana@example.com", "hush-hush"


@dataclass
class Radicale:
    """A running CalDAV server."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def request(self, method: str, path: str, text: str = "", **headers: str) -> httpx.Response:
        """What any other program with access may do."""
        answer = httpx.request(
            method, f"{self.url}{path}", content=text.encode(), auth=(USER, PASSWORD), headers=headers, timeout=30
        )
        assert answer.status_code < 300, f"{answer.status_code} {answer.text}"
        return answer


@dataclass
class Shelf:
    """One calendar on it, as its owner sees it."""

    server: Radicale
    path: str

    @property
    def url(self) -> str:
        return f"{self.server.url}{self.path}"

    def enter(self, *lines: str, name: str | None = None) -> str:
        """Writes an event by hand; the lines stand between BEGIN and END."""
        name = name or f"{uuid4()}.ics"
        text = "\r\n".join(
            ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//tests//EN", *_components(lines, name), "END:VCALENDAR", ""]
        )
        self.server.request("PUT", f"{self.path}{name}", text, **{"Content-Type": "text/calendar"})
        return name

    def objects(self) -> list[str]:
        """The names of everything in it."""
        answer = self.server.request("PROPFIND", self.path, Depth="1")
        return sorted(part.split("<")[0].rpartition("/")[2] for part in answer.text.split("href>") if ".ics<" in part)

    def read(self, name: str) -> str:
        return self.server.request("GET", f"{self.path}{name}").text


def _components(lines: tuple[str, ...], name: str) -> list[str]:
    events: list[str] = []
    for event in " | ".join(lines).split(" || "):
        events += ["BEGIN:VEVENT", f"UID:{name}", "DTSTAMP:20260101T000000Z", *event.split(" | "), "END:VEVENT"]
    return events


@pytest.fixture(scope="session")
def radicale(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Radicale]:
    folder = tmp_path_factory.mktemp("radicale")
    (folder / "users").write_text(f"{USER}:{PASSWORD}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "server-hosts": f"127.0.0.1:{port}",
        "server-max-connections": "64",
        "storage-filesystem-folder": str(folder / "data"),
        "auth-type": "htpasswd",
        "auth-htpasswd-filename": str(folder / "users"),
        "auth-htpasswd-encryption": "plain",
        "auth-delay": "0",
        "logging-level": "warning",
    }
    log = folder / "log"
    command = [
        sys.executable,
        "-m",
        "radicale",
        "--config",
        "",
        *(f"--{name}={value}" for name, value in options.items()),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, "RADICALE_CONFIG": ""})
    server = Radicale(f"http://127.0.0.1:{port}/", process, log)
    try:
        _wait_until_it_answers(server)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _wait_until_it_answers(server: Radicale) -> None:
    for _ in range(300):
        assert server.process.poll() is None, server.log.read_text()
        with suppress(httpx.TransportError):
            httpx.get(server.url, timeout=2)
            return
        with suppress(subprocess.TimeoutExpired):
            server.process.wait(0.1)
    raise AssertionError(server.log.read_text())


@pytest.fixture
def shelf(radicale: Radicale) -> Shelf:
    """A fresh calendar on the server."""
    path = f"{USER}/{uuid4().hex}/"
    radicale.request("MKCALENDAR", path)
    return Shelf(radicale, path)


NOW = datetime(2026, 10, 8, 14, 0, tzinfo=UTC)
"""Thursday, 10 AM in New York."""


@pytest.fixture
def at_ten() -> Iterator[None]:
    """The clock stands still."""
    clock.set_source(lambda: NOW)
    yield
    clock.set_source(None)


OpenCalendar = Callable[..., Awaitable[Calendar]]


@pytest_asyncio.fixture
async def open_caldav(shelf: Shelf, at_ten: None) -> AsyncIterator[OpenCalendar]:
    """Opens the fresh calendar with the given rules, as often as asked for."""
    opened: list[Calendar] = []

    async def open_(**rules: Any) -> Calendar:
        where = {"url": shelf.url, "username": USER, "password": PASSWORD}
        opened.append(store.opened("ana", "Ana", "caldav", {"zone": "America/New_York"} | where | rules))
        return opened[-1]

    yield open_
    for calendar in opened:
        await calendar.aclose()


@pytest_asyncio.fixture
async def open_calcom(cal_com: CalCom, at_ten: None) -> AsyncIterator[OpenCalendar]:
    """Opens Cal.com's event type, whose own rules are the given ones."""
    opened: list[Calendar] = []

    async def open_(**rules: Any) -> Calendar:
        cal_com.rules = Rules(**{"zone": "America/New_York"} | rules)
        settings = {"event_type_id": EVENT_TYPE, "api_key": KEY, "api_url": cal_com.url, "zone": "America/New_York"}
        opened.append(store.opened("visits", "Visits", "calcom", settings))
        return opened[-1]

    yield open_
    for calendar in opened:
        await calendar.aclose()


@pytest_asyncio.fixture
async def open_builtin(database: Database, at_ten: None) -> OpenCalendar:
    """Opens a fresh built-in calendar with the given rules."""

    async def open_(**rules: Any) -> Calendar:
        draft = store.CalendarDraft("desk", "Front desk", "builtin", {"zone": "America/New_York"} | rules)
        async with database.transaction() as session:
            await store.save(session, draft)
        return await store.calendar_of(database, "desk")

    return open_
