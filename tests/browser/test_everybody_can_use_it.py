"""Can everybody use the pages: with a screen reader, by keyboard, on a phone, in the dark?"""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.site import PHONE, Site, picture
from tests.browser.test_campaign_pages import begin_call, end_call, running_campaign
from voiceagents.assistants import store
from voiceagents.assistants.draft import AssistantDraft
from voiceagents.calls.states import Outcome
from voiceagents.campaigns import do_not_call
from voiceagents.web.models import Role

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

_AXE = Path(__file__).parents[2] / "voiceagents" / "web" / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
_ASK = """async () => (await axe.run(document, {resultTypes: ["violations"]})).violations
  .filter((found) => ["serious", "critical"].includes(found.impact))
  .map((found) => `${found.id}: ${found.help}: ${found.nodes.slice(0, 3).map((node) => node.html).join("  |  ")}`)"""


@pytest.fixture
def surrounding_settings() -> dict[str, Any]:
    return {"livekit_url": None, "sip_trunk_id": "ST_lab"}


_TOO_WIDE = """[...document.querySelectorAll("main *")]
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .slice(0, 4).map((one) => one.outerHTML.slice(0, 160))"""


async def furnished(site: Site) -> list[str]:
    """An installation with something of everything; the paths of its pages."""
    campaign_id, people = await running_campaign(site)
    call_id = await begin_call(site, campaign_id, people[0])
    await end_call(site, call_id, people[0], Outcome.COMPLETED)
    await begin_call(site, campaign_id, people[1])
    async with site.database.transaction() as session:
        await store.add(session, AssistantDraft(id="front-desk", name="Front desk", prompt="You answer the phone."))
        await store.bind(session, "+15550199999", "front-desk", "main line")
        await do_not_call.add(session, "+12125550777", None, "asked in a call")
    campaign = f"/campaigns/{campaign_id}"
    return [
        "/campaigns", "/campaigns/new", campaign, f"{campaign}/script", f"{campaign}/contacts", f"{campaign}/import",
        f"{campaign}/hours", f"{campaign}/check", f"{campaign}/contacts/{people[0].id}", "/calls", f"/calls/{call_id}",
        "/live", "/assistants", "/assistants/new", "/assistants/front-desk", "/numbers", "/do-not-call", "/calendars",
        "/settings",
    ]  # fmt: skip


async def serious(page: Page, path: str) -> list[str]:
    """What axe finds on a page that keeps somebody from using it."""
    await page.goto(path)
    await expect(page.locator("h1").first).to_be_visible()
    await page.evaluate(_AXE.read_text())
    return [f"{path}: {found}" for found in await page.evaluate(_ASK)]


async def test_no_page_keeps_anybody_out_in_light_or_dark_on_desk_or_phone(site: Site) -> None:
    paths = await furnished(site)
    found: list[str] = []
    for options in ({"color_scheme": "light"}, {"color_scheme": "dark", "size": PHONE}):
        page = await site.page(Role.OWNER, **options)
        for path in paths:
            found += await serious(page, path)
            wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            if wide > 1:
                found.append(f"{path}: is {wide} px wider than the screen: {await page.evaluate(_TOO_WIDE)}")
    visitor = await site.page(None)
    found += await serious(visitor, "/sign-in")
    assert not found, "\n".join(found)


async def test_pictures_are_kept_of_dark_and_phone(site: Site) -> None:
    paths = await furnished(site)
    dark, phone = await site.page(Role.OWNER, color_scheme="dark"), await site.page(Role.OWNER, size=PHONE)
    await dark.goto(paths[2])
    await expect(dark.locator(".plot canvas")).to_have_count(2)
    assert await dark.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(19, 23, 27)"
    await picture(dark, "campaign-dark")
    await phone.goto("/calls")
    await expect(phone.get_by_role("row")).to_have_count(3)
    await picture(phone, "calls-phone")


async def test_a_campaign_is_paused_by_keyboard_alone(site: Site) -> None:
    campaign_id, _ = await running_campaign(site)
    page = await site.page(Role.EDITOR)
    await page.goto(f"/campaigns/{campaign_id}")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    await page.keyboard.press("Enter")
    for _ in range(10):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.textContent") == "Pause":
            break
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
