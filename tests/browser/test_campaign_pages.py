"""Can a person bring a campaign from nothing to its calls, see how it is doing, and find out why it called somebody?"""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from playwright.async_api import expect
from sqlalchemy import select

from tests.browser.site import PHONE, Site, picture
from voiceagents.calls import history
from voiceagents.calls.models import Call
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import CallEnded, CallOpened, StateReached, TurnSpoken
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome, Speaker
from voiceagents.campaigns import decisions
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.rules import Decision
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict
from voiceagents.web.models import Role

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

LIST = """Name;Mobile;Mail;Product
Ana Torres;+1 202-555-0101;ana@example.com;garden shears
Ben Okafor;(202) 555-0102;ben@example.com;lawn mower
Nobody;12;;rake
Carla Weiss;+12025550103;carla@example.com;hedge trimmer
Ana again;+12025550101;;spade
"""
ALWAYS = {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}


@pytest.fixture
def surrounding_settings() -> dict[str, Any]:
    return {"livekit_url": None, "sip_trunk_id": "ST_lab"}


async def test_a_campaign_is_created_in_one_flow_bad_rows_are_named_and_nothing_unsound_starts(
    site: Site, tmp_path: Path
) -> None:
    page = await site.page(Role.EDITOR)
    await page.goto("/campaigns")
    await page.get_by_role("link", name="Create the first campaign").click()

    # Script
    await page.get_by_label("Name of the campaign").fill("Spring offer")
    await page.get_by_label("Script", exact=True).fill("Ask {name} about the {product} from {shop}.")
    await expect(page.locator("#preview mark").first).to_have_text("Ana Alvarez")
    await expect(page.locator("#preview")).to_contain_text("Nothing fills {product}, {shop}")
    await picture(page, "script")
    await page.get_by_role("button", name="Save and go on").click()

    # Contacts
    await expect(page.get_by_role("heading", name="No contacts yet")).to_be_visible()
    await page.get_by_role("link", name="Import contacts").first.click()
    file = tmp_path / "people.csv"
    file.write_text(LIST)
    await page.get_by_label("A file (CSV or .xlsx)").set_input_files(file)
    await expect(page.get_by_role("heading", name="What the columns are")).to_be_visible()
    await expect(page.locator("#import-preview")).to_contain_text("Line 3")
    await page.get_by_label("Country of numbers without a country code").fill("US")
    await page.get_by_label("Country of numbers without a country code").blur()
    await expect(page.locator("#import-preview")).to_contain_text("+12025550102")
    await expect(page.get_by_label("Product")).to_have_value("{Product}")
    await page.get_by_label("Mail", exact=True).select_option("ignore")
    await expect(page.locator("#import-preview tbody")).not_to_contain_text("ana@example.com")
    await picture(page, "import")
    await page.get_by_role("button", name="Import", exact=True).click()
    await expect(page.get_by_role("heading", name="Import of people.csv")).to_be_visible()
    figures = page.locator(".figures")
    await expect(figures).to_contain_text(re.compile(r"added\s*3"))
    await expect(figures).to_contain_text(re.compile(r"twice in the file\s*1"))
    await expect(page.get_by_role("row", name=re.compile(r"^4 12 "))).to_be_visible()
    async with page.expect_download() as started:
        await page.get_by_role("link", name="Download the refused rows").click()
    refused = await (await started.value).path()
    assert "Nobody,12" in refused.read_text(encoding="utf-8-sig")
    await page.get_by_role("link", name="Go on to hours and limits").click()

    # Hours and limits
    await page.get_by_label("Calling window").fill("mon-fry 9-5")
    await expect(page.locator("#week")).to_contain_text("fry")
    await page.get_by_label("Calls at once").fill("many")
    await page.get_by_role("button", name="Save and go on").click()
    await expect(page.get_by_label("Calls at once")).to_have_attribute("aria-invalid", "true")
    await page.get_by_label("Calls at once").fill("3")
    await page.get_by_label("Calling window").fill("daily 00:00-24:00")
    await page.get_by_label("Attempts in all after busy").fill("2")
    await page.get_by_label("Waits after busy").fill("soon")
    await page.get_by_role("button", name="Save and go on").click()
    await expect(page.locator("#retry-error")).to_contain_text("soon")
    await page.get_by_label("Waits after busy").fill("10m")
    await picture(page, "hours")
    await page.get_by_role("button", name="Save and go on").click()

    # Check and start
    await expect(page.get_by_text("There are contacts", exact=True)).to_be_visible()
    await expect(page.get_by_text("The script has placeholders that nothing fills")).to_be_visible()
    await expect(page.get_by_text("ST_lab, from SIP_TRUNK_ID")).to_be_visible()
    await expect(page.locator(".figures")).to_contain_text(re.compile(r"contacts\s*3"))
    await picture(page, "check")
    await page.get_by_role("button", name="Start calling").click()
    await expect(page.get_by_text("The campaign runs.")).to_be_visible()
    async with site.database.transaction() as session:
        campaign = (await session.scalars(select(Campaign))).one()
    assert campaign.state is CampaignState.RUNNING
    assert (campaign.max_concurrent, campaign.retry) == (3, {"busy": {"attempts": "2", "delays": ["10m"]}})
    assert campaign.default_region == "US"


async def test_pause_resume_and_limits_are_at_hand_and_the_page_follows_what_happens(site: Site) -> None:
    campaign_id, people = await running_campaign(site)
    page = await site.page(Role.EDITOR)
    await page.goto(f"/campaigns/{campaign_id}")
    await expect(page.get_by_role("heading", name="On the phone (0)")).to_be_visible()

    # Nobody touches the browser: the page hears of the call by itself.
    call_id = await begin_call(site, campaign_id, people[0])
    await expect(page.get_by_role("heading", name="On the phone (1)")).to_be_visible()
    await expect(page.get_by_role("link", name="Ana Torres")).to_be_visible()
    await end_call(site, call_id, people[0], Outcome.COMPLETED)
    await expect(page.get_by_role("heading", name="On the phone (0)")).to_be_visible()
    await expect(page.locator("#now")).to_contain_text("1 done")
    await expect(page.locator("#now")).to_contain_text("1 completed")

    await page.get_by_role("button", name="Pause").click()
    await expect(page.get_by_role("button", name="Resume")).to_be_visible()
    await expect(page.locator("#now")).to_contain_text("paused by Editor")
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await page.get_by_label("Calls at once").fill("0")
    await page.get_by_role("button", name="Change limits").click()
    await expect(page.get_by_role("status")).to_contain_text("Not changed")
    await page.get_by_label("Calls at once").fill("7")
    await page.get_by_role("button", name="Change limits").click()
    await expect(page.get_by_label("Calls at once")).to_have_value("7")
    await expect(page.locator(".plot canvas")).to_have_count(2)

    async with site.database.transaction() as session:
        assert (await session.get_one(Campaign, campaign_id)).max_concurrent == 7


async def test_why_somebody_was_called_is_told_as_a_timeline(site: Site) -> None:
    campaign_id, people = await running_campaign(site)
    ana, ben = people
    call_id = await begin_call(site, campaign_id, ana)
    await end_call(site, call_id, ana, Outcome.COMPLETED)
    page = await site.page(Role.VIEWER, size=PHONE)
    await page.goto(f"/campaigns/{campaign_id}/contacts")
    await page.get_by_label("Number, or beginning of the name").fill("ana")
    await page.get_by_label("Number, or beginning of the name").press("Enter")
    await expect(page.get_by_role("row")).to_have_count(2)
    await picture(page, "contacts-phone")
    await page.get_by_role("link", name="Why, Ana Torres").click()
    timeline = page.locator(".timeline")
    await expect(timeline).to_contain_text("no rule objects")
    await expect(timeline).to_contain_text("Call, attempt 1")
    await expect(timeline.locator("time").first).to_be_visible()
    await expect(timeline).to_contain_text("New York")
    await picture(page, "why-phone")

    await page.goto(f"/campaigns/{campaign_id}/contacts/{ben.id}")
    await expect(page.get_by_text("may be dialled now")).to_be_visible()
    await expect(page.get_by_role("button", name="Do not call")).to_have_count(0)

    await page.goto(f"/calls/{call_id}")
    await expect(page.locator(".transcript")).to_contain_text("Yes, tell me more.")
    await expect(page.locator(".plot canvas")).to_be_visible()
    await expect(page.get_by_text("The conversation took place.")).to_be_visible()


async def running_campaign(site: Site) -> tuple[UUID, list[Contact]]:
    """A campaign that runs, with two people of whom nobody was called yet."""
    now = datetime.now(UTC)
    async with site.database.transaction() as session:
        campaign = Campaign(
            name="Spring offer", prompt="Hello {name}.", state=CampaignState.RUNNING, started_at=now, trunk_id="ST_lab",
            window=ALWAYS, time_zone="America/New_York",
        )  # fmt: skip
        session.add(campaign)
        await session.flush()
        people = [
            Contact(campaign_id=campaign.id, phone=phone, name=name, time_zone="America/New_York")
            for name, phone in (("Ana Torres", "+12125550101"), ("Ben Okafor", "+12125550102"))
        ]
        session.add_all(people)
    return campaign.id, people


async def begin_call(site: Site, campaign_id: UUID, contact: Contact) -> UUID:
    """What engine and agent write when they dial."""
    call_id, now = uuid4(), datetime.now(UTC)
    opened = CallOpened(
        call_id=call_id, at=now, direction=Direction.OUTBOUND, state=CallState.DIALING, to_number=contact.phone,
        room_name=f"call-{call_id}", campaign_id=str(campaign_id), contact_id=str(contact.id),
        contact_name=contact.name, attempt=1,
    )  # fmt: skip
    async with site.database.transaction() as session:
        row = await session.get_one(Contact, contact.id)
        row.state, row.call_id, row.attempts = ContactState.CALLING, call_id, 1
        decision = Decision(Verdict.DIAL, "all", "no rule objects", {"local_time": {"America/New_York": "Tue 12:00"}})
        decisions.record(session, row, decision, now, call_id=call_id)
        await history.write(session, opened)
    return call_id


async def end_call(site: Site, call_id: UUID, contact: Contact, outcome: Outcome) -> None:
    """What the agent writes of a conversation, and the engine afterwards."""
    now = datetime.now(UTC)
    async with site.database.transaction() as session:
        await history.write(session, StateReached(call_id=call_id, state=CallState.ANSWERED, at=now))
        for number, (speaker, text) in enumerate(
            ((Speaker.AGENT, "Hello Ana."), (Speaker.PERSON, "Yes, tell me more."), (Speaker.AGENT, "Gladly."))
        ):
            turn = TurnSpoken(
                call_id=call_id, item_id=str(number), speaker=speaker, text=text,
                started_at=now + timedelta(seconds=2 * number),
                latencies={"e2e_latency": 0.8, "llm_ttft": 0.3, "tts_ttfb": 0.2} if speaker is Speaker.AGENT else {},
            )  # fmt: skip
            await history.write(session, turn)
        ending = Ending(outcome, "the agent said goodbye", EndedBy.AGENT)
        await history.end(session, CallEnded.of(call_id, ending, now + timedelta(seconds=9)))
        row = await session.get_one(Contact, contact.id)
        row.state, row.last_outcome = ContactState.DONE, outcome.value
        call = await session.get_one(Call, call_id)
        call.settled_at = now
