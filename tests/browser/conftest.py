"""Which browser and which site can a test ask for?"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from tests.browser.site import Site
from voiceagents.db import Database
from voiceagents.settings import Settings

expect.set_options(timeout=15_000)  # a busy machine

_VENDOR = Path(__file__).parents[2] / "voiceagents" / "web" / "static" / "vendor" / "htmx.min.js"


@pytest_asyncio.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Debian's Chromium, with a microphone that beeps and that nobody has to be asked for."""
    program = shutil.which("chromium")
    if program is None:
        pytest.fail("Chromium is missing: apt-get install chromium", pytrace=False)
    if not _VENDOR.exists():
        pytest.fail("the pages' third-party files are missing: scripts/frontend test", pytrace=False)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=program,
            args=[
                "--no-sandbox",
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                "--autoplay-policy=no-user-gesture-required",
                # The lab's LiveKit listens on loopback only.
                "--allow-loopback-in-peer-connection",
            ],
        )
        yield browser
        await browser.close()


@pytest.fixture
def surrounding_settings() -> dict[str, Any]:
    """What a test sets beside database and folder; by default there is no LiveKit."""
    return {"livekit_url": None, "sip_trunk_id": None}


@pytest_asyncio.fixture
async def site(
    chromium: Browser, database: Database, database_url: str, tmp_path: Path, surrounding_settings: dict[str, Any]
) -> AsyncIterator[Site]:
    """The web application on a fresh database."""
    settings = Settings(
        **{"_env_file": None, "database_url": database_url, "voiceagents_data": tmp_path, **surrounding_settings}
    )
    running = Site(chromium, database, settings)
    await running.start()
    yield running
    await running.stop()
    assert not running.complaints, "\n".join(running.complaints)
