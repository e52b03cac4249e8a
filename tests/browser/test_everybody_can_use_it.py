"""Can everybody use the pages: with a screen reader, by keyboard, on a phone, in the dark?"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.async_api import Page, expect
from sqlalchemy import text

from tests.browser.site import PHONE, Site, picture
from tests.browser.test_campaign_pages import begin_call, end_call, running_campaign
from voiceagents.assistants import store
from voiceagents.assistants.draft import AssistantDraft
from voiceagents.calls import presence
from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome
from voiceagents.campaigns import do_not_call
from voiceagents.campaigns.models import Contact
from voiceagents.campaigns.states import ContactState
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


_FIRST = ("Carla", "David", "Elena", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Keiko", "Liam", "Maya", "Noah")
_LAST = ("Weiss", "Silva", "Novak", "Rahimi", "Cole", "Martin", "Costa", "Berg", "Sato", "Walsh", "Petrov")
_ENDINGS = {
    Outcome.COMPLETED: ("the person said goodbye", None, 8), Outcome.VOICEMAIL: ("a machine answered", None, 4),
    Outcome.NO_ANSWER: ("nobody answered", None, 4), Outcome.BUSY: ("the line is busy", 486, 3),
    Outcome.OPTED_OUT: ("asked not to be called again", None, 1),
}  # fmt: skip
"""Cause, SIP status, and how often."""


async def a_day_of_calls(site: Site, campaign_id: str) -> None:
    """Contacts of a campaign who were called in the hours before now, and an engine and an agent that live."""
    now, luck = datetime.now(UTC), Random(7)
    outcomes = luck.choices(list(_ENDINGS), [often for _, _, often in _ENDINGS.values()], k=160)
    async with site.database.transaction() as session:
        await session.execute(
            text("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() + interval '1 h')")
        )
        await presence.beat(session, "agent-1", "phones", 1, max_calls=25, active_calls=1, accepting=True)
        for number, outcome in enumerate(outcomes):
            at, (cause, status, _) = now - timedelta(minutes=4 * number + 3), _ENDINGS[outcome]
            seconds = luck.randint(20, 140) if status is None else 5
            person = outcome in (Outcome.COMPLETED, Outcome.OPTED_OUT)
            contact = Contact(
                campaign_id=UUID(campaign_id), phone=f"+1212555{1000 + number}", time_zone="America/New_York",
                name=f"{_FIRST[number % 12]} {_LAST[number % 11]}", attempts=1, last_outcome=outcome,
                state=ContactState.DONE if person else ContactState.WAITING,
            )  # fmt: skip
            session.add(contact)
            await session.flush()
            session.add(
                Call(
                    id=uuid4(), direction=Direction.OUTBOUND, state=CallState.ENDED, to_number=contact.phone,
                    campaign_id=campaign_id, contact_id=str(contact.id), contact_name=contact.name, attempt=1,
                    created_at=at, dialing_at=at, answered_at=at if person or outcome is Outcome.VOICEMAIL else None,
                    ended_at=at + timedelta(seconds=seconds), settled_at=at + timedelta(seconds=seconds),
                    outcome=outcome, cause=cause, sip_status=status, ended_by=EndedBy.PERSON,
                )
            )  # fmt: skip


async def test_pictures_are_kept_of_dark_and_phone(site: Site) -> None:
    paths = await furnished(site)
    await a_day_of_calls(site, paths[2].rpartition("/")[2])
    dark, phone = await site.page(Role.OWNER, color_scheme="dark"), await site.page(Role.OWNER, size=PHONE)
    await dark.goto(paths[2])
    await expect(dark.locator(".plot canvas")).to_have_count(2)
    await expect(dark.locator("#now")).to_contain_text("done")
    assert await dark.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(19, 23, 27)"
    await picture(dark, "campaign-dark")
    light = await site.page(Role.OWNER)
    await light.goto(paths[2])
    await expect(light.locator(".plot canvas")).to_have_count(2)
    await picture(light, "campaign")
    await light.goto("/calls")
    await picture(light, "calls")
    await phone.goto("/calls")
    await expect(phone.get_by_role("row").nth(2)).to_be_visible()
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
