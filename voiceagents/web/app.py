"""How do the parts of the web application come together? One FastAPI application: API, pages, hooks, static files.

Everything a request needs is in `app.state`: `settings`, `database`, `passwords`, `recordings`. Behind them are the
same services that the command line uses.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.staticfiles import StaticFiles

from voiceagents import storage
from voiceagents.calls.recording_store import RecordingStore
from voiceagents.db import Database
from voiceagents.settings import Settings
from voiceagents.web import api, known_errors, problems, webhooks_in
from voiceagents.web.background import Background
from voiceagents.web.body_limit import BodyLimit
from voiceagents.web.csrf import require_own_page
from voiceagents.web.passwords import Passwords
from voiceagents.web.security import Security, content_security_policy, known_hosts

STATIC = Path(__file__).parent / "static"
_CONNECTIONS = 8


def create_app(settings: Settings, database: Database | None = None, *, with_pages: bool = True) -> FastAPI:
    """The application.

    Args:
        settings: the environment.
        database: an open one, its tables fit for the code, which stays open afterwards; None: the one that the
            settings name is opened when the application starts, and closed when it ends.
        with_pages: False for the API alone.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        opened = None
        if database is None:
            opened = app.state.database = Database(await storage.ready(settings), pool_size=_CONNECTIONS)
        try:
            yield
        finally:
            await app.state.background.close()
            if opened is not None:
                await opened.close()

    app = FastAPI(
        title="voiceagents",
        version=version("voiceagents"),
        summary="Self-hosted AI phone calls on LiveKit.",
        lifespan=lifespan,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        dependencies=[Depends(require_own_page)],
    )
    app.state.settings = settings
    app.state.database = database
    app.state.passwords = Passwords()
    app.state.recordings = RecordingStore.of(settings)
    app.state.background = Background()
    problems.install(app)
    known_errors.install(app)
    app.add_middleware(BodyLimit)
    app.add_middleware(Security, policy=content_security_policy(settings.livekit_url), hosts=known_hosts(settings))
    api.include(app)
    app.include_router(webhooks_in.router)
    if STATIC.is_dir():
        app.mount("/static", StaticFiles(directory=STATIC), name="static")
    if with_pages:
        from voiceagents.web import pages

        pages.include(app)
    return app
