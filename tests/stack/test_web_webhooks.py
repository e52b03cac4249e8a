"""Are webhooks sent, signed, sent again after whatever goes wrong, and not sent for what did not happen? And is what
LiveKit sends taken only when it is LiveKit's?"""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from aiohttp import web
from livekit import api as livekit_api
from sqlalchemy import func, select

from tests.web import Browser, Site, web_settings
from voiceagents import clock
from voiceagents.calls import history
from voiceagents.calls.models import Call
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import CallEnded
from voiceagents.calls.states import CallState, Direction, EndedBy, Outcome
from voiceagents.campaigns import lifecycle
from voiceagents.campaigns.deliveries import Deliveries
from voiceagents.campaigns.engine import Engine
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.states import CampaignState, ContactState
from voiceagents.db import Database
from voiceagents.web import events
from voiceagents.web.app import create_app
from voiceagents.web.webhooks_in import end_if_nobody_does
from voiceagents.webhooks import delivering, endpoints
from voiceagents.webhooks.models import Delivery, DeliveryState, Endpoint, EventKind, Happening
from voiceagents.webhooks.retries import PAUSES
from voiceagents.webhooks.signing import signature

pytestmark = pytest.mark.stack

EVERYTHING = list(EventKind)
KEY, SECRET = "APIkey", "s" * 32
"""Of LiveKit."""


@dataclass
class Receiver:
    """A server that keeps what it gets, and answers as it is told."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list[tuple[dict[str, str], bytes]])
    status: Callable[[int], int] = lambda number: 200

    async def take(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status(len(self.got)), headers={"Location": "http://127.0.0.1:9/"})

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@asynccontextmanager
async def receiver() -> AsyncGenerator[Receiver]:
    running = Receiver()
    app = web.Application()
    app.router.add_post("/hook", running.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    running.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    try:
        yield running
    finally:
        await runner.cleanup()


async def endpoint(database: Database, url: str, events: list[EventKind] = EVERYTHING) -> Endpoint:
    async with database.transaction() as session:
        return await endpoints.add(session, url=url, events=events)


async def call_that_ended(database: Database, outcome: Outcome = Outcome.COMPLETED) -> UUID:
    one = Call(id=uuid4(), direction=Direction.INBOUND, state=CallState.ANSWERED, from_number="+12025550101")
    async with database.transaction() as session:
        session.add(one)
    async with database.transaction() as session:
        ending = Ending(outcome, "hung up", EndedBy.PERSON)
        await history.end(session, CallEnded.of(one.id, ending, datetime.now(UTC)))
    return one.id


async def deliver(database: Database, now: datetime | None = None) -> datetime:
    """What an engine does when it looks: every job that is due, at once. Returns when it would look again."""
    deliveries = Deliveries(database, Random(1))
    due: list[UUID] = []

    async def defer(endpoint_id: UUID) -> None:
        due.append(endpoint_id)

    next_at = await deliveries.defer_due(now or clock.now(), defer)
    await asyncio.gather(*(deliveries.deliver(endpoint_id) for endpoint_id in due))
    return next_at


async def the_deliveries(database: Database) -> list[Delivery]:
    async with database.transaction() as session:
        return list(await session.scalars(select(Delivery).order_by(Delivery.id)))


async def test_a_call_that_ended_is_told_signed_and_as_the_api_tells_it(site: Site) -> None:
    async with receiver() as there:
        known = await endpoint(site.database, there.url)
        call_id = await call_that_ended(site.database)
        await deliver(site.database)
        (headers, body), (message,) = there.got[0], there.messages
        async with site.api() as api:
            told = (await api.get(f"/calls/{call_id}")).json()
    assert message["type"] == "call.ended"
    assert message["data"] == {name: told[name] for name in message["data"]}
    assert message["data"]["outcome"] == "completed"
    stamp = int(headers["webhook-timestamp"])
    assert abs(stamp - datetime.now(UTC).timestamp()) < 60
    assert headers["webhook-signature"] == signature(known.secret, headers["webhook-id"], stamp, body)


async def test_a_campaign_s_life_is_told_in_order(site: Site) -> None:
    async with receiver() as there, site.api() as api:
        await endpoint(site.database, there.url)
        made = (await api.post("/campaigns", json={"name": "Spring", "prompt": "x", "trunk_id": "ST_1"})).json()
        await api.post(f"/campaigns/{made['id']}/contacts", json={"phone": "+12025550101"})
        for step in ("start", "pause", "resume", "cancel"):
            assert (await api.post(f"/campaigns/{made['id']}/{step}")).status_code == 200
            await deliver(site.database)
    told = [(one["type"], one["data"]["before"], one["data"]["cause"]) for one in there.messages]
    assert told == [
        ("campaign.running", "draft", None),
        ("campaign.paused", "running", "paused by Olga"),
        ("campaign.running", "paused", None),
        ("campaign.cancelled", "running", None),
    ]


async def test_a_contact_that_is_done_is_told(database: Database) -> None:
    campaign = Campaign(name="Spring")
    async with receiver() as there:
        await endpoint(database, there.url, [EventKind.CONTACT_DONE])
        async with database.transaction() as session:
            session.add(campaign)
            await session.flush()
            person = Contact(campaign_id=campaign.id, phone="+12025550101")
            session.add(person)
        async with database.transaction() as session:
            found = await session.get_one(Contact, person.id)
            found.state, found.last_outcome = ContactState.DONE, "completed"
        await deliver(database)
    assert [(one["type"], one["data"]["id"]) for one in there.messages] == [("contact.done", str(person.id))]
    assert there.messages[0]["data"]["last_outcome"] == "completed"
    assert there.messages[0]["data"]["campaign_id"] == str(campaign.id)


async def test_what_did_not_happen_after_all_is_not_told(database: Database) -> None:
    async with receiver() as there:
        await endpoint(database, there.url)
        async with database.transaction() as session:
            campaign = Campaign(name="Spring", state=CampaignState.RUNNING)
            session.add(campaign)
        with pytest.raises(RuntimeError):
            await _pause_and_fail(database, campaign.id)
        await deliver(database)
    assert there.got == []


async def _pause_and_fail(database: Database, campaign_id: UUID) -> None:
    async with database.transaction() as session:
        await lifecycle.pause(session, campaign_id)
        await session.flush()
        raise RuntimeError("something else went wrong")


async def test_nothing_is_kept_when_nobody_wants_to_be_told(database: Database) -> None:
    await endpoint(database, "http://127.0.0.1:9/", [EventKind.CAMPAIGN_PAUSED])
    await call_that_ended(database)
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Happening)) == 0


async def test_a_receiver_that_fails_is_tried_again_and_the_message_is_the_same(database: Database) -> None:
    async with receiver() as there:
        there.status = lambda number: (500, 302, 200)[number - 1]
        await endpoint(database, there.url)
        await call_that_ended(database)
        now = clock.now()
        again = await deliver(database, now)
        assert len(there.got) == 1
        assert again <= now + timedelta(minutes=1)
        (row,) = await the_deliveries(database)
        assert (row.state, row.attempts, row.log[0]["status"]) == (DeliveryState.PENDING, 1, 500)
        assert PAUSES[0] - timedelta(seconds=2) < row.next_at - now < PAUSES[0] * 1.2 + timedelta(seconds=20)
        for _ in range(2):
            (row,) = await the_deliveries(database)
            clock.set_source(lambda at=row.next_at: at + timedelta(seconds=1))
            try:
                await deliver(database)
            finally:
                clock.set_source(None)
        (row,) = await the_deliveries(database)
        assert (row.state, row.attempts) == (DeliveryState.DELIVERED, 3)
        assert [line["status"] for line in row.log] == [500, 302, 200]
        assert len({headers["webhook-id"] for headers, _ in there.got}) == 1
        assert len({body for _, body in there.got}) == 1


async def test_a_receiver_that_is_not_there_fails_at_last_and_can_be_told_later(
    site: Site, unused_tcp_port: int
) -> None:
    known = await endpoint(site.database, f"http://127.0.0.1:{unused_tcp_port}/")
    await call_that_ended(site.database)
    async with site.database.transaction() as session:
        row = await session.scalar(select(Delivery))
        assert row is not None
        row.attempts = len(PAUSES)
    await deliver(site.database)
    async with receiver() as there, site.api() as api:
        log = (await api.get(f"/webhooks/{known.id}/deliveries")).json()["items"]
        assert (log[0]["state"], log[0]["attempts"]) == ("failed", len(PAUSES) + 1)
        assert log[0]["log"][0]["error"]
        await api.patch(f"/webhooks/{known.id}", json={"url": there.url})
        assert (await api.post(f"/webhooks/{known.id}/replay")).json() == {"deliveries": 1}
        await deliver(site.database)
        assert len(there.got) == 1
        one = (await api.get(f"/webhooks/deliveries/{log[0]['id']}")).json()
        assert one["state"] == "delivered"
        assert one["payload"]["type"] == "call.ended"
        again = await api.post(f"/webhooks/deliveries/{log[0]['id']}/replay")
        assert again.json()["state"] == "pending"
        await deliver(site.database)
        assert len(there.got) == 2


async def test_who_dies_with_a_message_in_hand_leaves_it_to_the_next(database: Database) -> None:
    async with receiver() as there:
        known = await endpoint(database, there.url)
        await call_that_ended(database)
        assert len(await delivering._claim(database, known.id)) == 1  # pyright: ignore[reportPrivateUsage]  then it dies
        await deliver(database)
        assert there.got == []  # it may yet be sending
        clock.set_source(lambda: datetime.now(UTC) + timedelta(seconds=61))
        try:
            await deliver(database)
        finally:
            clock.set_source(None)
        assert len(there.got) == 1


async def test_two_engines_at_once_send_a_message_once(database: Database) -> None:
    async with receiver() as there:
        known = await endpoint(database, there.url)
        for _ in range(12):
            await call_that_ended(database)
        async with httpx.AsyncClient() as client:
            await asyncio.gather(*(delivering.deliver(database, client, known.id, Random(1)) for _ in range(3)))
        ids = [headers["webhook-id"] for headers, _ in there.got]
        assert len(ids) == len(set(ids)) == 12


async def test_the_log_forgets_what_is_older_than_a_month(database: Database) -> None:
    async with receiver() as there:
        await endpoint(database, there.url)
        for _ in range(2):
            await call_that_ended(database)
        await deliver(database)
        async with database.transaction() as session:
            first = await session.scalar(select(Happening).order_by(Happening.id).limit(1))
            assert first is not None
            first.at = clock.now() - delivering.KEPT - timedelta(hours=1)
        await call_that_ended(database)
        await deliver(database)
        assert len(await the_deliveries(database)) == 2


async def test_a_receiver_that_wants_no_more_is_switched_off(database: Database) -> None:
    async with receiver() as there:
        there.status = lambda number: 410
        known = await endpoint(database, there.url)
        await call_that_ended(database)
        await deliver(database)
        await call_that_ended(database)
        await deliver(database)
        assert len(there.got) == 1
        async with database.transaction() as session:
            now = await session.get_one(Endpoint, known.id)
            assert not now.enabled
            assert "410" in (now.disabled_because or "")


async def test_the_secret_is_shown_once_and_again_only_as_a_new_one(site: Site) -> None:
    async with site.api() as api:
        made = (await api.post("/webhooks", json={"url": "https://x.example.com/", "events": ["call.ended"]})).json()
        assert made["secret"].startswith("whsec_")
        read = await api.get(f"/webhooks/{made['id']}")
        assert "secret" not in read.json()
        assert "whsec" not in (await api.get("/webhooks")).text
        other = (await api.post(f"/webhooks/{made['id']}/secret")).json()["secret"]
        assert other != made["secret"]
        stale = await api.patch(f"/webhooks/{made['id']}", json={"enabled": False}, headers={"If-Match": '"old"'})
        assert stale.status_code == 412
        off = await api.patch(
            f"/webhooks/{made['id']}", json={"enabled": False}, headers={"If-Match": read.headers["etag"]}
        )
        # A new secret is a change, too.
        assert off.status_code in (200, 412)
        assert (await api.delete(f"/webhooks/{made['id']}")).status_code == 204
        assert (await api.get(f"/webhooks/{made['id']}")).status_code == 404


async def test_an_engine_that_runs_delivers_by_itself_as_soon_as_something_happens(database: Database) -> None:
    settings = web_settings(
        database.url, livekit_url="ws://127.0.0.1:9", livekit_api_key=KEY, livekit_api_secret=SECRET
    )
    engine = Engine(settings, database.url)
    running = asyncio.create_task(engine.run())
    try:
        async with receiver() as there, asyncio.timeout(60):
            there.status = lambda number: 503 if number == 1 else 200
            await endpoint(database, there.url)
            async with events.listening(database, {"delivery"}) as changes:
                await call_that_ended(database)
                await changes.next()
                assert len(there.got) == 1
                await changes.next()  # again after the first pause, by itself
        (row,) = await the_deliveries(database)
        assert (row.state, row.attempts) == (DeliveryState.DELIVERED, 2)
    finally:
        engine.stop()
        await running


# What LiveKit sends


@pytest.fixture
def hooked(shared_site: Site) -> Site:
    """The application, with LiveKit's key."""
    settings = web_settings(
        shared_site.database.url, livekit_url="ws://127.0.0.1:9", livekit_api_key=KEY, livekit_api_secret=SECRET
    )
    return Site(create_app(settings, shared_site.database, with_pages=False), shared_site.database, shared_site.owner)


def signed(body: str, *, secret: str = SECRET, of: str | None = None, lasts: timedelta = timedelta(minutes=5)) -> str:
    digest = base64.b64encode(hashlib.sha256((of or body).encode()).digest()).decode()
    return livekit_api.AccessToken(KEY, secret).with_sha256(digest).with_ttl(lasts).to_jwt()


async def send(site: Site, body: str, token: str) -> httpx.Response:
    async with Browser(site.app) as livekit:
        headers = {"Authorization": token, "Content-Type": "application/webhook+json"}
        return await livekit.post("/hooks/livekit", content=body, headers=headers)


def room_event(kind: str, room: str, **more: Any) -> str:
    at = int(datetime.now(UTC).timestamp())
    return json.dumps({"event": kind, "id": f"EV_{kind}", "createdAt": str(at), "room": {"name": room}, **more})


async def call_in(database: Database, room: str, state: CallState = CallState.ANSWERED) -> UUID:
    one = Call(id=uuid4(), direction=Direction.INBOUND, state=state, room_name=room, from_number="+12025550101")
    async with database.transaction() as session:
        session.add(one)
    return one.id


async def test_what_livekit_tells_stands_in_the_call_s_timeline_once(hooked: Site) -> None:
    call_id = await call_in(hooked.database, "call-+12025550101-abc")
    body = room_event(
        "participant_left", "call-+12025550101-abc",
        participant={"identity": "+12025550101", "kind": "SIP", "disconnectReason": "CLIENT_INITIATED"},
        somethingNew=1,
    )  # fmt: skip
    for _ in range(2):
        assert (await send(hooked, body, signed(body))).status_code == 204
    async with hooked.api() as api:
        (line,) = (await api.get(f"/calls/{call_id}")).json()["timeline"]
    assert line["kind"] == "livekit.participant_left"
    assert line["detail"]["reason"] == "client_initiated"
    assert "+1202" not in json.dumps(line["detail"])


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (lambda body: "", 401),
        (lambda body: "nonsense", 401),
        (lambda body: signed(body, secret="x" * 32), 401),
        (lambda body: signed(body, of=body + " "), 401),
        (lambda body: signed(body, lasts=timedelta(hours=-1)), 401),
        (lambda body: livekit_api.AccessToken(KEY, SECRET).to_jwt(), 401),
    ],
    ids=["no token", "nonsense", "another key", "another body", "expired", "no digest"],
)
async def test_what_is_not_signed_by_our_livekit_is_not_taken(
    hooked: Site, token: Callable[[str], str], status: int
) -> None:
    room = f"room-{uuid4()}"
    call_id = await call_in(hooked.database, room)
    body = room_event("room_finished", room)
    assert (await send(hooked, body, token(body))).status_code == status
    async with hooked.database.transaction() as session:
        assert await history.timeline(session, call_id) == []


@pytest.mark.parametrize("body", ["", "{", "[]", '{"event": 7}', '{"event": "room_finished"}', '{"event": "x"}'])
async def test_a_signed_body_that_is_no_event_is_no_fault(hooked: Site, body: str) -> None:
    assert (await send(hooked, body, signed(body))).status_code in (204, 422)


async def test_without_livekit_s_key_nothing_is_taken(site: Site) -> None:
    body = room_event("room_finished", "room")
    assert (await send(site, body, signed(body))).status_code == 409


async def test_a_call_whose_room_is_gone_ends_when_its_agent_says_nothing(database: Database) -> None:
    call_id = await call_in(database, "room")
    await end_if_nobody_does(database, call_id, patience=0.2)
    async with database.transaction() as session:
        ended = await session.get_one(Call, call_id)
        assert (ended.state, ended.outcome) == (CallState.ENDED, Outcome.FAILED)


async def test_the_agent_s_own_word_on_how_a_call_ended_stands(database: Database) -> None:
    call_id = await call_in(database, "room")
    waiting = asyncio.create_task(end_if_nobody_does(database, call_id, patience=30))
    async with database.transaction() as session:
        ending = Ending(Outcome.COMPLETED, "said goodbye", EndedBy.AGENT)
        await history.end(session, CallEnded.of(call_id, ending, datetime.now(UTC)))
    async with asyncio.timeout(15):
        await waiting
    async with database.transaction() as session:
        assert (await session.get_one(Call, call_id)).outcome is Outcome.COMPLETED
