"""How do tests ask the web application? A pytest plugin: `site` is the application on a fresh database, asked in the
same process, and `Browser` a client that keeps cookies and sends the token that our pages send."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest_asyncio
from fastapi import FastAPI

from tests.database import Server
from voiceagents.db import Database
from voiceagents.settings import Settings
from voiceagents.web import accounts, csrf, keys, sessions, tokens
from voiceagents.web.app import create_app
from voiceagents.web.models import Scope, User

EMAIL, PASSWORD = "owner@example.com", "four words make it long"


class Browser(httpx.AsyncClient):
    """Keeps cookies; `sign_in` by the services, as the sign-in page does."""

    def __init__(self, app: FastAPI, **options: Any) -> None:
        # What goes wrong inside is an answer here, too, as it is for a real client.
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        super().__init__(transport=transport, base_url="http://localhost", **options)
        self.app = app

    async def sign_in(self, email: str = EMAIL, password: str = PASSWORD) -> None:
        signed = await sessions.sign_in(
            self.app.state.database, self.app.state.passwords, email, password, address="127.0.0.1"
        )
        self.cookies.set("voiceagents", signed.token)
        self.headers[csrf.HEADER] = tokens.derived(signed.token, "csrf")


@dataclass(frozen=True)
class Site:
    """The application, its database and its owner."""

    app: FastAPI
    database: Database
    owner: User

    @asynccontextmanager
    async def browser(self, email: str = EMAIL, password: str = PASSWORD) -> AsyncGenerator[Browser]:
        """A browser in which somebody is signed in."""
        async with Browser(self.app) as browser:
            await browser.sign_in(email, password)
            yield browser

    async def key(self, scope: Scope = Scope.ADMIN) -> str:
        """A new API key of the owner's."""
        async with self.database.transaction() as session:
            _, key = await keys.make(session, self.owner.id, name="tests", scope=scope, expires_at=None)
            return key

    @asynccontextmanager
    async def api(self, scope: Scope = Scope.ADMIN) -> AsyncGenerator[httpx.AsyncClient]:
        """A program with a key."""
        headers = {"Authorization": f"Bearer {await self.key(scope)}"}
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost/api/v1", headers=headers, timeout=30
        ) as client:
            yield client


def web_settings(url: str, **others: Any) -> Settings:
    """Settings of a web application without LiveKit, whatever the environment says."""
    nothing = dict.fromkeys(("_env_file", "livekit_url", "livekit_api_key", "livekit_api_secret", "sip_trunk_id"))
    return Settings(**{**nothing, "database_url": url, **others})


async def site_on(database: Database) -> Site:
    """The application with an owner, on a database that has nobody."""
    app = create_app(web_settings(database.url), database, with_pages=False)
    token = await accounts.first_owner_link(database)
    assert token is not None
    owner = await accounts.accept(database, app.state.passwords, token, email=EMAIL, name="Olga", password=PASSWORD)
    return Site(app, database, owner)


@pytest_asyncio.fixture
async def site(database: Database) -> Site:
    """The application with an owner, on a database of its own."""
    return await site_on(database)


@pytest_asyncio.fixture(scope="module")
async def shared_site(postgres: Server) -> AsyncGenerator[Site]:
    """The same for all tests of a module that leave nothing that another would mind."""
    url = postgres.create()
    database = Database(url)
    yield await site_on(database)
    await database.close()
    postgres.drop(url)
