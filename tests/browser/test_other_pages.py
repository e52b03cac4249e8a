"""Do the pages beside campaigns and calls do what they say: assistants, numbers, do-not-call, settings, roles?"""

import re
from typing import Any

import pytest
from playwright.async_api import expect

from tests.browser.site import Site, picture
from voiceagents.assistants import store
from voiceagents.web.models import Role

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def surrounding_settings() -> dict[str, Any]:
    return {"livekit_url": None, "sip_trunk_id": "ST_lab"}


async def test_an_assistant_is_written_changed_brought_back_and_given_a_number(site: Site) -> None:
    page = await site.page(Role.EDITOR)
    await page.goto("/assistants")
    await page.get_by_role("link", name="Create the first assistant").click()
    await page.get_by_label("Name", exact=True).fill("Front desk")
    await page.get_by_label("Prompt", exact=True).fill("You answer the phone of a bakery.")
    await page.get_by_label("Take a message").check()
    await page.get_by_label("Business hours").fill("mon-fry 9-5")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_label("Business hours")).to_have_attribute("aria-invalid", "true")
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("You answer the phone of a bakery.")
    await page.get_by_label("Business hours").fill("mon-fri 09:00-17:00")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_label("Time zone")).to_have_attribute("aria-invalid", "true")
    await page.get_by_label("Time zone").fill("America/New_York")
    await page.get_by_role("button", name="Create").click()
    await expect(page.get_by_role("heading", name="Front desk", level=1)).to_be_visible()
    await picture(page, "assistant")

    await page.get_by_label("Prompt", exact=True).fill("You answer the phone of a florist.")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved as version 2.")).to_be_visible()
    await page.get_by_role("button", name="Bring back").click()
    await expect(page.get_by_label("Prompt", exact=True)).to_have_value("You answer the phone of a bakery.")
    async with site.database.transaction() as session:
        kept = store.draft_of(await store.find(session, "front-desk"))
    assert (kept.tools, kept.business_hours) == (
        {"take_message": {}}, {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
    )  # fmt: skip

    await page.get_by_role("link", name="Give it one.").click()
    await page.get_by_label("Number, with country code").fill("12")
    await page.get_by_role("button", name="Save", exact=True).first.click()
    await expect(page.get_by_role("status")).to_contain_text("Not saved")
    await page.get_by_label("Number, with country code").fill("+1 202-555-0199")
    await page.get_by_role("button", name="Save", exact=True).first.click()
    await expect(page.get_by_role("row", name=re.compile(r"\+12025550199.*front-desk"))).to_be_visible()


async def test_a_number_is_put_on_the_do_not_call_list_looked_up_and_taken_off(site: Site) -> None:
    page = await site.page(Role.EDITOR)
    await page.goto("/do-not-call")
    await expect(page.get_by_role("heading", name="Nobody is on the list")).to_be_visible()
    await page.get_by_label("Number, with country code").fill("+1 202 555 0143")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_role("status")).to_contain_text("+12025550143 will not be called.")
    await page.get_by_label("Or paste numbers").fill("+12025550144\n+12025550143\nnobody")
    await page.get_by_role("button", name="Import").click()
    await expect(page.get_by_role("status")).to_contain_text("1 numbers were added, 1 were there before. 1 rows were")
    await page.get_by_label("May this number be called?").fill("+12025550199")
    await page.get_by_role("button", name="Look").click()
    await expect(page.get_by_text("it may be called")).to_be_visible()
    await page.goto("/do-not-call")
    row = page.get_by_role("row", name=re.compile(r"\+12025550143"))
    await row.get_by_text("Take off").first.click()
    await row.get_by_label("Why").fill("they called us")
    await row.get_by_role("button", name="Take off").click()
    await expect(page.get_by_role("status")).to_contain_text("may be called again")
    await page.get_by_label("Show").select_option("removed")
    await expect(page.get_by_role("row", name=re.compile("they called us"))).to_be_visible()


async def test_an_owner_invites_somebody_who_then_may_do_what_their_role_may(site: Site) -> None:
    owner = await site.page(Role.OWNER)
    await owner.goto("/settings")
    await expect(owner.get_by_text("LIVEKIT_URL").first).to_be_visible()  # the doctor says what is missing
    await picture(owner, "settings")
    making = owner.get_by_role("form", name="Make an API key")
    await making.get_by_label("Name").fill("crm")
    await making.get_by_role("button", name="Make a key").click()
    key = await owner.locator("#made-key").text_content()
    headers = {"Authorization": f"Bearer {key}"}
    assert (await owner.request.get("/api/v1/calls", headers=headers)).status == 200
    await owner.goto("/settings")
    await expect(owner.locator("#made-key")).to_have_count(0)
    owner.once("dialog", lambda dialog: dialog.accept())
    await owner.get_by_role("button", name="Revoke crm").click()
    await expect(owner.get_by_role("status")).to_contain_text("The key of crm is revoked.")
    assert (await owner.request.get("/api/v1/calls", headers=headers)).status == 401
    invite = owner.get_by_role("form", name="Invite somebody")
    await invite.get_by_label("Email").fill("vera@example.com")
    await invite.get_by_role("button", name="Invite").click()
    said = await owner.get_by_role("status").text_content()
    link = re.search(r"http\S+", said or "")
    assert link is not None

    vera = await site.page(None)
    await vera.goto(link.group())
    await expect(vera.get_by_text("For vera@example.com.")).to_be_visible()
    await vera.get_by_label("Password").fill("seven green kettles sing")
    await vera.get_by_role("button", name="Continue").click()
    await vera.get_by_role("link", name="Settings").click()
    await expect(vera.get_by_role("heading", name="Settings")).to_be_visible()
    await expect(vera.get_by_role("heading", name="People")).to_have_count(0)
    refused = await vera.request.post("/settings/limits", form={"max_concurrent": "1"})
    assert refused.status == 403
    await vera.goto("/do-not-call")
    await expect(vera.get_by_role("button", name="Add")).to_have_count(0)


async def test_who_was_signed_out_comes_back_to_where_they_were(site: Site) -> None:
    page = await site.page(None)
    await page.goto("/calls?outcome=busy")
    await expect(page).to_have_url(re.compile(r"/sign-in\?next=/calls"))
    foreign = await site.page(None)
    await foreign.goto("/sign-in?next=//evil.example/x")
    assert await foreign.locator("input[name=next]").input_value() == "/campaigns"
