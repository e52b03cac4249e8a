"""The web application as people meet it: its own server on a port of its own, and a real Chromium in front of it.

    page = await site.page(Role.EDITOR)
    await page.goto("/campaigns")

Whatever a page complains about (a script that breaks, a rule of the content security policy that is violated, an answer
500) fails the test in the end.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import uvicorn
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Response

from voiceagents.db import Database
from voiceagents.settings import Settings
from voiceagents.web import sessions
from voiceagents.web.app import create_app
from voiceagents.web.models import Role, User
from voiceagents.web.server import listen

PICTURES = os.environ.get("PICTURES")
"""A folder where pages are kept as pictures: those of the README."""

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 860}


class Site:
    """One server on one database."""

    def __init__(self, browser: Browser, database: Database, settings: Settings) -> None:
        self.browser = browser
        self.database = database
        self.settings = settings
        self.complaints: list[str] = []
        self._socket = listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._contexts: list[BrowserContext] = []
        self._server = uvicorn.Server(
            uvicorn.Config(create_app(settings), log_config=None, access_log=False, timeout_graceful_shutdown=1)
        )
        # In a thread of its own, as uvicorn would otherwise take the test session's signals.
        self._thread = threading.Thread(target=self._serve, name="site", daemon=True)

    def _serve(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    async def start(self) -> None:
        self._thread.start()
        while not self._server.started:
            assert self._thread.is_alive(), "the web application did not start"
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        for context in self._contexts:
            await context.close()
        self._server.should_exit = True
        await asyncio.to_thread(self._thread.join, 20)

    async def person(self, role: Role) -> tuple[User, str]:
        """Somebody with this role, and the token of a session of theirs."""
        async with self.database.transaction() as session:
            user = User(email=f"{role.value}-{uuid4().hex[:6]}@example.com", name=role.value.capitalize(), role=role)
            user.password_hash = "none"
            session.add(user)
            await session.flush()
            return user, await sessions.start(session, user)

    async def page(self, role: Role | None = Role.OWNER, *, size: Mapping[str, int] = DESK, **options: Any) -> Page:
        """A browser window of its own in which somebody with this role is signed in; None: nobody."""
        context = await self.browser.new_context(base_url=self.url, viewport=dict(size), locale="en-GB", **options)
        self._contexts.append(context)
        context.set_default_timeout(15_000)
        if role is not None:
            _, token = await self.person(role)
            await context.add_cookies([{"name": "voiceagents", "value": token, "url": self.url}])
        page = await context.new_page()
        page.on("console", self._listener(self._on_console))
        page.on("pageerror", self._listener(lambda error: self.complaints.append(f"script: {error}")))
        page.on("response", self._listener(self._on_response))
        return page

    def _listener(self, heard: Callable[[Any], None]) -> Callable[[Any], None]:
        return heard

    def _on_console(self, message: ConsoleMessage) -> None:
        # An answer that is an error is a line of its own, too; which ones are expected is for the test to say.
        # livekit-client calls it an error when a room that we leave closes its channels, htmx when a stream of events
        # breaks off that the browser then opens again.
        expected = ("Failed to load resource", "data channel", "[object Event]")
        if message.type == "error" and not any(words in message.text for words in expected):
            self.complaints.append(f"console: {message.text}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 500:
            self.complaints.append(f"{response.status}: {response.request.method} {response.url}")


async def picture(page: Page, name: str) -> None:
    """Keeps the page as a picture, if pictures are wanted."""
    if PICTURES:
        await page.screenshot(path=f"{PICTURES}/{name}.png", animations="disabled")
