"""Do the pages answer without a browser: everybody what is theirs, nothing raw from a list, and no change by strangers?

And do searches find every contact once, whichever way one leafs?
"""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select

from tests.campaign_desk import ALWAYS
from voiceagents.assistants import store
from voiceagents.assistants.draft import AssistantDraft
from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState, Direction, Outcome
from voiceagents.campaigns import search
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.states import CampaignState, ContactState
from voiceagents.db import Database
from voiceagents.settings import Settings
from voiceagents.web import sessions
from voiceagents.web.app import create_app
from voiceagents.web.csrf import FIELD
from voiceagents.web.models import AuditEntry, Role, User
from voiceagents.web.pages import FAMILIES
from voiceagents.web.tokens import derived

pytestmark = pytest.mark.stack

HOSTILE = '<script>alert("x")</script>'


class Visitors:
    """Browsers without a screen."""

    def __init__(self, database: Database, folder: Path) -> None:
        settings = Settings(
            **{"_env_file": None, "voiceagents_data": folder, "livekit_url": None, "sip_trunk_id": "ST_1"}
        )
        self.database = database
        self._transport = httpx.ASGITransport(create_app(settings, database))
        self.open: list[httpx.AsyncClient] = []

    async def signed_in(self, role: Role) -> tuple[httpx.AsyncClient, str]:
        """A browser in which somebody with this role is signed in, and their token for forms."""
        async with self.database.transaction() as session:
            user = User(email=f"{uuid4().hex}@example.com", name="Ana", role=role, password_hash="none")
            session.add(user)
            await session.flush()
            token = await sessions.start(session, user)
        browser = httpx.AsyncClient(
            transport=self._transport, base_url="http://localhost", cookies={"voiceagents": token}
        )
        self.open.append(browser)
        return browser, derived(token, "csrf")


@pytest_asyncio.fixture
async def visitors(database: Database, tmp_path: Path) -> AsyncIterator[Visitors]:
    running = Visitors(database, tmp_path)
    yield running
    for browser in running.open:
        await browser.aclose()


async def furnished(database: Database, people: int = 3) -> tuple[UUID, list[Contact], UUID]:
    """A campaign with people and a call."""
    async with database.transaction() as session:
        campaign = Campaign(
            name=f"Spring {HOSTILE}", prompt="Hello {name}.", state=CampaignState.RUNNING, trunk_id="ST_1",
            window=ALWAYS,
            started_at=datetime.now(UTC),
        )  # fmt: skip
        session.add(campaign)
        await session.flush()
        contacts: list[Contact] = []
        for number in range(people):
            contact = Contact(
                campaign_id=campaign.id, phone=f"+1212555{number:04}", name=f"Ana{HOSTILE} {number}",
                state=list(ContactState)[number % 5], last_outcome="busy" if number % 2 else None,
            )  # fmt: skip
            session.add(contact)
            await session.flush()
            contacts.append(contact)
        call = Call(
            id=uuid4(), direction=Direction.OUTBOUND, state=CallState.ENDED, outcome=Outcome.REJECTED, sip_status=407,
            cause=f"the carrier said {HOSTILE}", to_number=contacts[0].phone, contact_name=contacts[0].name,
            campaign_id=str(campaign.id), contact_id=str(contacts[0].id), dialing_at=datetime.now(UTC),
            ended_at=datetime.now(UTC),
        )  # fmt: skip
        session.add(call)
    return campaign.id, contacts, call.id


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OWNER])
async def test_every_page_answers_and_shows_hostile_text_as_text(visitors: Visitors, role: Role) -> None:
    campaign, contacts, call = await furnished(visitors.database)
    browser, _ = await visitors.signed_in(role)
    paths = [
        "/campaigns", f"/campaigns/{campaign}", f"/campaigns/{campaign}/now", f"/campaigns/{campaign}/failures",
        f"/campaigns/{campaign}/contacts", f"/campaigns/{campaign}/contacts/{contacts[0].id}",
        f"/campaigns/{campaign}/plots/outcomes", f"/campaigns/{campaign}/plots/answers",
        f"/campaigns/{campaign}/results.csv", "/calls", "/calls?search=spring", f"/calls/{call}",
        f"/calls/{call}/latencies", "/live", "/assistants", "/numbers", "/do-not-call", "/calendars", "/settings",
    ]  # fmt: skip
    for path in paths:
        answer = await browser.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:500]}"
        if "html" in answer.headers["content-type"]:
            assert HOSTILE not in answer.text, path
    failures = (await browser.get(f"/campaigns/{campaign}/failures")).text
    assert "user name or password is wrong" in failures


@pytest.mark.parametrize(
    "path", ["/campaigns/new", "/assistants/new", "/campaigns/{campaign}/script", "/campaigns/{campaign}/hours"]
)
async def test_who_may_only_look_is_not_let_to_where_things_are_changed(visitors: Visitors, path: str) -> None:
    campaign, _, _ = await furnished(visitors.database)
    browser, _ = await visitors.signed_in(Role.VIEWER)
    answer = await browser.get(path.format(campaign=campaign))
    assert answer.status_code == 403
    assert "You may not do that" in answer.text


async def test_a_form_without_the_pages_token_changes_nothing(visitors: Visitors) -> None:
    campaign, _, _ = await furnished(visitors.database)
    browser, token = await visitors.signed_in(Role.EDITOR)
    refused = await browser.post(f"/campaigns/{campaign}/pause")
    assert refused.status_code == 403
    paused = await browser.post(f"/campaigns/{campaign}/pause", data={FIELD: token})
    assert paused.status_code == 303
    async with visitors.database.transaction() as session:
        assert (await session.get_one(Campaign, campaign)).state is CampaignState.PAUSED
        assert [entry.action for entry in await session.scalars(select(AuditEntry))] == ["paused"]


async def test_only_an_owner_adds_a_calendar_and_its_secret_is_no_other_one_of_ours(visitors: Visitors) -> None:
    editor, token = await visitors.signed_in(Role.EDITOR)
    form = {"name": "Practice", "provider": "caldav"}
    assert (await editor.post("/calendars", data={FIELD: token, **form})).status_code == 403
    owner, token = await visitors.signed_in(Role.OWNER)
    settings = {"url": "https://dav.example.com/ana/", "username": "ana", "password": "env:LIVEKIT_API_SECRET"}
    refused = await owner.post("/calendars", data={FIELD: token, **form, "settings": json.dumps(settings)})
    assert refused.status_code == 422
    assert "CALDAV_…" in refused.text
    settings["password"] = "env:CALDAV_PASSWORD"
    added = await owner.post("/calendars", data={FIELD: token, **form, "settings": json.dumps(settings)})
    assert added.status_code == 303, added.text


async def test_a_visitor_is_led_to_the_sign_in_and_what_is_not_there_is_a_page_too(visitors: Visitors) -> None:
    browser, _ = await visitors.signed_in(Role.OWNER)
    for path in (f"/calls/{uuid4()}", f"/campaigns/{uuid4()}", "/assistants/nobody", "/nowhere"):
        answer = await browser.get(path)
        assert answer.status_code == 404, path
        assert "<h1>" in answer.text
    browser.cookies.clear()
    answer = await browser.get("/calls")
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=/calls")


async def test_leafing_through_contacts_shows_each_once_in_the_order_of_the_list(database: Database) -> None:
    campaign, contacts, _ = await furnished(database, people=23)
    async with database.transaction() as session:
        seen: list[str] = []
        after: str | None = None
        while True:
            page = await search.contacts(session, campaign, after=after, limit=5)
            seen += [contact.phone for contact in page.rows]
            if (after := page.next) is None:
                break
    assert seen == [contact.phone for contact in contacts]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"search": "+12125550007"}, [7]), ({"search": "+1 212 555 000"}, [*range(10)]),
        ({"search": "ana<scr"}, [*range(12)]),
        ({"search": "%"}, []), ({"search": "nobody"}, []), ({"state": "done"}, [2, 7]),
        ({"outcome": "busy"}, [*range(1, 12, 2)]),
        ({"state": "done", "outcome": "busy"}, [7]), ({"state": "done", "search": "+12125550002"}, [2]),
    ],
)  # fmt: skip
async def test_contacts_are_found_by_number_name_state_and_outcome(
    database: Database, asked: dict[str, str], found: list[int]
) -> None:
    campaign, _, _ = await furnished(database, people=12)
    async with database.transaction() as session:
        page = await search.contacts(session, campaign, **asked)  # pyright: ignore[reportArgumentType]
    assert [int(contact.phone[-4:]) for contact in page.rows] == found


async def test_leafing_by_number_shows_each_once(database: Database) -> None:
    campaign, _, _ = await furnished(database, people=12)
    async with database.transaction() as session:
        first = await search.contacts(session, campaign, search="+1212555", limit=7)
        second = await search.contacts(session, campaign, search="+1212555", limit=7, after=first.next)
    assert [contact.phone for contact in [*first.rows, *second.rows]] == [f"+1212555{n:04}" for n in range(12)]
    assert second.next is None


async def test_leafing_through_campaigns_shows_each_once_and_archived_ones_apart(database: Database) -> None:
    async with database.transaction() as session:
        session.add_all(Campaign(name=f"campaign {n}") for n in range(7))
        session.add(Campaign(name="old", state=CampaignState.ARCHIVED))
    async with database.transaction() as session:
        first = await search.campaigns(session, limit=4)
        second = await search.campaigns(session, limit=4, after=first.next)
        archived = await search.campaigns(session, archived=True)
        named = await search.campaigns(session, search="AIGN 3")
    names = [campaign.name for campaign in [*first.rows, *second.rows]]
    assert sorted(names) == [f"campaign {n}" for n in range(7)]
    assert [campaign.name for campaign in archived.rows] == ["old"]
    assert [campaign.name for campaign in named.rows] == ["campaign 3"]


async def test_no_form_however_empty_or_odd_breaks_a_page(visitors: Visitors) -> None:
    campaign, contacts, call = await furnished(visitors.database)
    async with visitors.database.transaction() as session:
        await store.add(session, AssistantDraft(id="front-desk", name="Front desk"))
    browser, token = await visitors.signed_in(Role.OWNER)
    ids = {
        "campaign_id": campaign, "contact_id": contacts[0].id, "call_id": call, "assistant_id": "front-desk",
        "import_id": uuid4(), "user_id": uuid4(), "key_id": uuid4(), "room": "talk-x", "token": "x",
    }  # fmt: skip
    odd = {
        "window": "\x00", "contact": "x", "number": "🦊", "campaign": "x", "settings": "[", "region": "XX",
        "version": "x", "name": "\x00", "prompt": "{name", "pasted": "x", "retry-busy-attempts": "x",
    }  # fmt: skip
    routes = [route for family in FAMILIES for route in family.router.routes]
    paths = [str(getattr(route, "path", "")) for route in routes if "POST" in getattr(route, "methods", ())]
    assert len(paths) > 25
    for path in paths:
        for given in ({}, odd):
            if path == "/sign-out":
                continue
            answer = await browser.post(path.format(**ids), data={FIELD: token, **given})
            assert answer.status_code < 500, f"{path} {given}: {answer.status_code} {answer.text[:500]}"
