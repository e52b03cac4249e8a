"""The specification's manual test, by a person in a browser: create a campaign in the front end, start it, watch calls
being made on a real phone network, and read the history.
"""

import re
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.agent import Agent, StartAgent, new_number, until
from tests.browser.site import Site, picture
from tests.stack.command_line import surroundings
from voiceagents.assistants import store
from voiceagents.assistants.draft import AssistantDraft
from voiceagents.processes import spawn
from voiceagents.settings import Settings
from voiceagents.web.models import Role

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

TALKS = {
    "ring_ms": 1200,
    "steps": [
        {"say": "Hello, who is calling?", "voice": "flite"},
        {"wait_for": "silence", "silence_ms": 1200, "timeout_ms": 20000},
        {"say": "No thank you, I am not interested.", "voice": "flite"},
    ],
}
BUSY = {"ring_ms": 200, "reject": 486}


def settings_of(environment: Mapping[str, str], folder: Path) -> Settings:
    given: dict[str, Any] = {name.lower(): value for name, value in environment.items()}
    return Settings(**{"_env_file": None, "voiceagents_data": folder, **given})


@pytest_asyncio.fixture(scope="module")
async def phones(start_agent: StartAgent, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Agent]:
    """A phone network with an agent and an engine."""
    agent = await start_agent(RINGING_TIMEOUT="3")
    log = tmp_path_factory.mktemp("engine") / "engine.log"
    engine = spawn(
        "engine", [sys.executable, "-m", "voiceagents.engine"], surroundings(agent), log, outlives_starter=False
    )

    async def ready() -> bool | None:
        return True if "ENGINE_READY" in engine.log_tail(100_000) else None

    await until(ready, within=40, what="that the engine is ready")
    yield agent
    engine.stop(20)


@pytest_asyncio.fixture
async def site(chromium: Browser, phones: Agent, tmp_path: Path) -> AsyncIterator[Site]:
    running = Site(chromium, phones.database, settings_of(surroundings(phones), tmp_path))
    await running.start()
    yield running
    await running.stop()
    assert not running.complaints, "\n".join(running.complaints)


async def test_an_assistant_is_talked_to_in_the_browser(site: Site) -> None:
    async with site.database.transaction() as session:
        await store.add(
            session,
            AssistantDraft(
                id="front-desk", name="Front desk", prompt="Be brief.", first_message="Good morning, bakery."
            ),
        )
    page = await site.page(Role.EDITOR)
    await page.goto("/assistants/front-desk")
    await page.get_by_role("button", name="Start talking").click()
    await expect(page.get_by_text("Connected: say something.")).to_be_visible(timeout=30_000)

    # It is heard, not only joined.
    async def loud() -> bool | None:
        return True if await page.evaluate("document.querySelector('[data-loudness]').value > 0.01") else None

    await until(loud, within=30, what="that the assistant is heard")
    await picture(page, "talk")
    await expect(page.locator("[data-said-here]")).to_contain_text("Good morning, bakery.", timeout=30_000)
    await page.get_by_role("button", name="Hang up").click()
    await page.get_by_role("link", name="See this call").click()
    await expect(page.locator(".transcript")).to_contain_text("Good morning", timeout=30_000)
    await expect(page.locator(".timeline")).to_contain_text("Answered")
    await expect(page.get_by_role("link", name="Front desk")).to_be_visible()


async def test_somebody_listens_in_on_a_call_and_hangs_it_up(site: Site, phones: Agent) -> None:
    patient = new_number()
    await phones.lab.carrier.put_phones({patient: {"ring_ms": 200, "steps": [], "max_ms": 60_000}})
    placed = await phones.dial(patient, contact_name="Ana Torres")
    page = await site.page(Role.EDITOR)
    await page.goto("/live")
    row = page.get_by_role("row", name=re.compile(re.escape(patient)))
    await row.get_by_role("button", name="Listen in").click(timeout=30_000)
    await expect(page.get_by_role("button", name="Stop listening")).to_be_visible(timeout=30_000)
    await picture(page, "live")
    await page.get_by_role("button", name="Stop listening").click()
    await row.get_by_role("link", name="Ana Torres").click()
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Hang up").click()
    await expect(page.get_by_text("The call is hung up.")).to_be_visible()
    await placed.over()
    await expect(page.locator("#call")).to_contain_text("How it ended")


async def test_a_campaign_is_created_started_watched_and_read_in_the_browser(site: Site, phones: Agent) -> None:
    ana, ben = new_number(), new_number()
    await phones.lab.carrier.put_phones({ana: TALKS, ben: BUSY})
    page = await site.page(Role.EDITOR)

    await page.goto("/campaigns/new")
    await page.get_by_label("Name of the campaign").fill("Garden tools")
    trunk = phones.lab.outbound_trunk_id
    await page.get_by_label("Trunk").select_option(trunk)
    await page.get_by_label("Script", exact=True).fill("Offer {name} the {tool}. If they do not want it, say goodbye.")
    await page.get_by_role("button", name="Save and go on").click()
    await page.get_by_role("link", name="Import contacts").first.click()
    await page.get_by_label("Or a pasted list").fill(
        f"phone,name,tool\n{ana},Ana Torres,rake\n{ben},Ben Okafor,spade\n"
    )
    await page.get_by_label("Or a pasted list").blur()
    await page.get_by_role("button", name="Import", exact=True).click()
    await page.get_by_role("link", name="Go on to hours and limits").click()
    await page.get_by_label("Calling window").fill("daily 00:00-24:00")
    await page.get_by_label("Calls a second").fill("5")
    await page.get_by_label("Attempts in all after busy").fill("1")
    await page.get_by_role("button", name="Save and go on").click()
    await expect(page.get_by_text("An engine runs")).to_be_visible()
    await expect(page.get_by_text("Agents run", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Start calling").click()

    # Watch the calls being made: the page is not touched.
    await expect(page.get_by_role("link", name="Ana Torres")).to_be_visible(timeout=30_000)
    await picture(page, "campaign-live")
    await expect(page.locator("#now")).to_contain_text("1 busy", timeout=60_000)
    await expect(page.locator("#now")).to_contain_text("2 done", timeout=90_000)
    await expect(page.locator("h1")).to_contain_text("completed", timeout=30_000)
    assert {invite["to"] for invite in phones.lab.carrier.invites()} >= {ana, ben}

    # Read the history.
    await page.get_by_role("link", name="Calls", exact=True).click()
    await page.get_by_label("Outcome").select_option("busy")
    await expect(page.get_by_role("row", name=re.compile("Ben Okafor"))).to_contain_text("486")
    await page.get_by_label("Outcome").select_option("")
    row = page.get_by_role("row", name=re.compile(re.escape(ana)))
    await expect(row).to_have_count(1)
    await row.get_by_role("link").first.click()
    await expect(page.locator(".transcript")).to_contain_text("Hi Ana Torres")
    await expect(page.locator(".timeline")).to_contain_text("Answered")
    await picture(page, "call")
    await page.get_by_role("link", name="Why was this call made?").click()
    await expect(page.locator(".timeline")).to_contain_text("no rule objects")
    await picture(page, "why")
