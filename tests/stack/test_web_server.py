"""The web application as a program: where it listens, the first owner's link, live events, and how it ends."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.stack.command_line import Command, run
from tests.web import EMAIL, PASSWORD, Site
from voiceagents.campaigns.models import Campaign
from voiceagents.db import Database
from voiceagents.web import accounts, keys
from voiceagents.web.models import Scope
from voiceagents.web.passwords import Passwords

pytestmark = pytest.mark.stack


async def lines_of(response: httpx.Response) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Server-sent events: kind and data."""
    kind = ""
    async for line in response.aiter_lines():
        if line.startswith("event:"):
            kind = line.removeprefix("event:").strip()
        elif line.startswith("data:"):
            yield kind, json.loads(line.removeprefix("data:"))


async def test_it_serves_on_loopback_prints_the_link_once_and_tells_what_happens(
    database: Database, tmp_path: Path
) -> None:
    environment = {"DATABASE_URL": database.url, "VOICEAGENTS_DATA": str(tmp_path)}
    server = await Command.start("web", "--port", "0", folder=tmp_path, **environment)
    address = (await server.says("The web application is at")).split()[-1]
    link = (await server.says("/welcome/")).strip()
    assert link.startswith(f"{address}/welcome/")
    assert address.startswith("http://127.0.0.1:")

    owner = await accounts.accept(
        database, Passwords(), link.rpartition("/")[2], email=EMAIL, name="Olga", password=PASSWORD
    )
    async with database.transaction() as session:
        _, key = await keys.make(session, owner.id, name="tests", scope=Scope.READ, expires_at=None)

    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=address, headers=headers, timeout=30) as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        async with client.stream("GET", "/api/v1/events?kinds=campaign") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            campaign, lines = Campaign(name="Spring"), lines_of(stream)
            async with asyncio.timeout(30):
                assert await anext(lines) == ("ready", {})
                async with database.transaction() as session:
                    session.add(campaign)
                kind, told = await anext(lines)
        assert (kind, told["id"]) == ("campaign", str(campaign.id))
        assert (await client.get("/api/v1/me")).json()["email"] == EMAIL

    os.kill(server._process.pid, signal.SIGTERM)  # pyright: ignore[reportPrivateUsage]
    ended = await server.over()
    assert ended.status == 0, ended
    token = link.rpartition("/")[2]
    assert token not in ended.err  # nowhere but where the person looks
    assert key not in ended.err

    again = await Command.start("web", "--port", "0", folder=tmp_path, **environment)
    address = (await again.says("The web application is at")).split()[-1]
    async with httpx.AsyncClient(timeout=30) as client:
        assert (await client.get(f"{address}/healthz")).status_code == 200
    again.interrupt()
    said = await again.over()
    assert "/welcome/" not in said.out
    assert said.status == 0, said


async def test_who_lost_the_password_gets_a_new_link_from_the_terminal(site: Site, tmp_path: Path) -> None:
    environment = {"DATABASE_URL": site.database.url, "WEB_URL": "https://calls.example.com"}
    ran = await run("web", "--link-for", EMAIL.upper(), folder=tmp_path, **environment)
    assert ran.status == 0, ran
    assert ran.out.startswith("https://calls.example.com/welcome/")
    token = ran.out.strip().rpartition("/")[2]
    assert (await accounts.welcome(site.database, token)).email == EMAIL
    nobody = await run("web", "--link-for", "nobody@example.com", folder=tmp_path, **environment)
    assert (nobody.status, "nobody@example.com" in nobody.err) == (2, True)


async def test_a_port_that_is_taken_is_told_with_the_mend(database: Database, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ran = await run("web", "--port", port, folder=tmp_path, DATABASE_URL=database.url)
    assert ran.status == 2
    assert f"WEB_PORT {port}" in ran.err
    assert "--port 0" in ran.err
    assert "Traceback" not in ran.err
