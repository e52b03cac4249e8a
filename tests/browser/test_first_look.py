"""Can a person get in, and does an empty installation say what to do next?"""

import pytest
from playwright.async_api import expect

from tests.browser.site import Site, picture
from voiceagents.web import accounts
from voiceagents.web.models import Role

pytestmark = pytest.mark.browser


async def test_the_first_owner_comes_by_the_link_signs_out_and_in_again(site: Site) -> None:
    token = await accounts.first_owner_link(site.database)
    page = await site.page(None)
    await page.goto("/campaigns")
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

    await page.goto(f"/welcome/{token}")
    await page.get_by_label("Email").fill("ana@example.com")
    await page.get_by_label("Your name").fill("Ana")
    await page.get_by_label("Password").fill("short")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_label("Password")).to_have_attribute("aria-invalid", "true")
    await page.get_by_label("Password").fill("five quiet lamps outside")
    await page.get_by_role("button", name="Continue").click()
    await expect(page.get_by_role("heading", name="No campaigns yet")).to_be_visible()
    await picture(page, "first-look")

    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_text("You are signed out.")).to_be_visible()
    await page.get_by_label("Email").fill("ana@example.com")
    await page.get_by_label("Password").fill("something else entirely")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("do not fit together")
    await page.get_by_label("Password").fill("five quiet lamps outside")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Campaigns", exact=True)).to_be_visible()


async def test_who_only_may_look_is_offered_nothing_to_change(site: Site) -> None:
    page = await site.page(Role.VIEWER)
    await page.goto("/campaigns")
    await expect(page.get_by_text("An editor or owner can create one.")).to_be_visible()
    await expect(page.get_by_role("link", name="New campaign")).to_have_count(0)
    answer = await page.goto("/campaigns/new")
    assert answer is not None
    assert answer.status == 403
    await expect(page.get_by_role("heading", name="You may not do that")).to_be_visible()
