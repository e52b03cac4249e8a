"""The API's resources: what is made can be read, changed and listed, whatever is wrong names its field, and nothing is
done twice."""

import asyncio
import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from httpx import AsyncClient
from sqlalchemy import func, select, text

from tests.web import Site, web_settings
from voiceagents.calls import history as facts
from voiceagents.calls import presence
from voiceagents.calls.models import Call, Message, ToolCall, Turn, Worker
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import CallEnded
from voiceagents.calls.states import CallState, Direction, EndedBy, MessageKind, Outcome, Speaker, ToolStatus
from voiceagents.campaigns.models import Campaign, Contact, DecisionRecord
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict
from voiceagents.db import Database
from voiceagents.web import events
from voiceagents.web.app import create_app
from voiceagents.web.events import Event

pytestmark = pytest.mark.stack

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def call(number: int = 0, **columns: Any) -> Call:
    return Call(
        **{
            "id": uuid4(),
            "direction": Direction.OUTBOUND,
            "state": CallState.ENDED,
            "outcome": Outcome.COMPLETED,
            "to_number": f"+1202555{number:04}",
            "created_at": START + timedelta(minutes=number),
            **columns,
        }
    )


async def add(database: Database, *rows: Any) -> None:
    async with database.transaction() as session:
        session.add_all(rows)


@pytest_asyncio.fixture(scope="module")
async def history(shared_site: Site) -> Site:
    """A site with four calls, in three of which something was said."""
    calls = [
        call(1, campaign_id="c1"),
        call(2, outcome=Outcome.BUSY),
        call(3, direction=Direction.INBOUND, assistant_id="front-desk"),
        call(4, state=CallState.RINGING, outcome=None),
    ]
    said = ["Where is the invoice?", "My second invoice, please.", "A refund, bitte per Überweisung."]
    await add(shared_site.database, *calls)
    await add(
        shared_site.database,
        *(
            Turn(call_id=one.id, item_id="1", speaker=Speaker.PERSON, text=line, started_at=START)
            for one, line in zip(calls, said, strict=False)
        ),
    )
    return shared_site


async def draft(api: AsyncClient, name: str = "Spring", **terms: Any) -> dict[str, Any]:
    answer = await api.post("/campaigns", json={"name": name, "prompt": "Hello {name}.", **terms})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def everything(api: AsyncClient, path: str, limit: int, **params: Any) -> list[dict[str, Any]]:
    """All pages of a list."""
    found: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        given = {"limit": limit, **params} | ({"cursor": cursor} if cursor else {})
        page = (await api.get(path, params=given)).json()
        assert len(page["items"]) <= limit
        found += page["items"]
        if (cursor := page["next"]) is None:
            return found


async def test_an_assistant_is_made_changed_and_every_version_kept(site: Site) -> None:
    async with site.api() as api:
        made = await api.post("/assistants", json={"name": "Front desk", "prompt": "Be kind."})
        assert made.status_code == 201
        assert made.headers["location"].endswith("/assistants/front-desk")
        assert made.headers["etag"] == '"1"'
        again = await api.post("/assistants", json={"name": "Front desk"})
        assert again.status_code == 409
        tag = {"If-Match": made.headers["etag"]}
        changed = await api.patch("/assistants/front-desk", json={"voice": "onyx"}, headers=tag)
        assert (changed.json()["voice"], changed.json()["prompt"]) == ("onyx", "Be kind.")
        assert changed.json()["version"] == 2
        stale = await api.patch("/assistants/front-desk", json={"voice": "echo"}, headers=tag)
        assert stale.status_code == 412
        restored = await api.post("/assistants/front-desk/versions/1/restore")
        assert (restored.json()["voice"], restored.json()["version"]) == (None, 3)
        versions = (await api.get("/assistants/front-desk/versions")).json()["items"]
        assert [version["version"] for version in versions] == [3, 2, 1]
        # The id is somebody's own: the address of it still is one that a client can follow.
        abroad = await api.post("/assistants", json={"id": "前台 №1", "name": "Abroad"})
        assert abroad.headers["location"].isascii()
        followed = await api.get(abroad.headers["location"].removeprefix("/api/v1"))
        assert followed.json()["id"] == "前台 №1"
        bound = await api.put("/numbers/+12025550143", json={"assistant_id": "front-desk", "label": "main"})
        assert bound.json() == {"e164": "+12025550143", "label": "main", "assistant_id": "front-desk"}
        assert (await api.delete("/assistants/front-desk")).status_code == 204
        assert (await api.get("/numbers/+12025550143")).json()["assistant_id"] is None
        other, based_on = {"assistant_id": "前台 №1"}, {"If-Match": bound.headers["etag"]}
        assert (await api.put("/numbers/+12025550143", json=other, headers=based_on)).status_code == 412
        assert (await api.delete("/numbers/+12025550143")).status_code == 204
        assert (await api.get("/numbers/+12025550143")).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/assistants", {"name": ""}, "name"),
        ("/assistants", {"name": "x", "temperature": 7}, "temperature"),
        ("/assistants", {"name": "x", "colour": "red"}, "colour"),
        ("/campaigns", {"prompt": "x"}, "name"),
        ("/campaigns", {"name": "x", "time_zone": "Mars/Olympus"}, "time_zone"),
        ("/campaigns", {"name": "x", "window": "whenever"}, "window"),
        ("/campaigns", {"name": "x", "priority": 99}, "priority"),
        ("/campaigns", {"name": "x", "assistant_id": "nobody"}, "assistant_id"),
        ("/campaigns", {"name": "x", "retry": {"busy": {"attempts": -1}}}, "retry"),
        ("/do-not-call", {"phone": "hello"}, "phone"),
        ("/calls", {"phone": "12"}, "phone"),
        ("/users", {"email": "nobody"}, "email"),
        ("/webhooks", {"url": "ftp://x", "events": ["call.ended"]}, "url"),
        ("/webhooks", {"url": "https://x.example.com", "events": []}, "events"),
        ("/keys", {"name": "x", "scope": "everything"}, "scope"),
    ],
)
async def test_what_is_wrong_names_its_field_and_is_no_fault(
    shared_site: Site, path: str, body: dict[str, Any], field: str
) -> None:
    async with shared_site.api() as api:
        answer = await api.post(path, json=body)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["errors"][0]["field"] == field
    assert problem["errors"][0]["detail"]
    assert problem["errors"][0]["pointer"] == f"#/{field}"


@pytest.mark.parametrize("body", ["{", "[]", '"x"', "null", '{"name": "a\\u0000b\\ud800"}', "[" * 100_000])
async def test_a_body_that_is_no_object_or_holds_odd_characters_is_no_fault(shared_site: Site, body: str) -> None:
    async with shared_site.api() as api:
        answer = await api.post("/campaigns", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (201, 400, 422), answer.text


async def test_a_campaign_lives_from_draft_to_archive(site: Site) -> None:
    async with site.api() as api:
        made = await draft(api, window="mon-fri 09:00-17:00", max_concurrent="unlimited", minimum_gap="2h")
        path = f"/campaigns/{made['id']}"
        assert (made["state"], made["max_concurrent"], made["minimum_gap_seconds"]) == ("draft", None, 7200)
        assert made["window"]["mon"] == [["09:00", "17:00"]]
        early = await api.post(f"{path}/start")
        assert early.status_code == 409
        assert "there are no contacts" in early.json()["detail"]
        assert len((await api.get(f"{path}/problems")).json()) == 1
        await api.post(f"{path}/contacts", json={"phone": "+1 202 555 0101", "name": "Ana"})
        assert (await api.post(f"{path}/start")).status_code == 409  # still without a trunk
        await api.patch(path, json={"trunk_id": "ST_1"})
        assert (await api.post(f"{path}/start")).json()["state"] == "running"
        assert (await api.post(f"{path}/start")).json()["state"] == "running"  # the second click
        paused = (await api.post(f"{path}/pause")).json()
        assert (paused["state"], paused["pause_cause"]) == ("paused", "paused by Olga")
        assert (await api.post(f"{path}/pause")).status_code == 409
        assert (await api.post(f"{path}/resume")).json()["state"] == "running"
        status = (await api.get(f"{path}/status")).json()
        assert (status["progress"]["contacts"], status["progress"]["waiting"]) == (1, 1)
        assert "no engine runs" in status["hold"]["words"]
        copy = await api.post(f"{path}/duplicate", json={"name": "Again", "contacts": True})
        assert copy.status_code == 201
        assert (await api.get(f"/campaigns/{copy.json()['id']}/contacts")).json()["items"][0]["name"] == "Ana"
        cancelled = (await api.post(f"{path}/cancel")).json()
        assert (cancelled["campaign"]["state"], cancelled["going_on"]) == ("cancelled", 0)
        assert (await api.post(f"{path}/archive")).json()["state"] == "archived"
        names = [row["name"] for row in (await api.get("/campaigns")).json()["items"]]
        assert names == ["Again"]
        assert [row["name"] for row in (await api.get("/campaigns?state=archived")).json()["items"]] == ["Spring"]


async def test_two_people_who_edit_one_campaign_do_not_overwrite_each_other(site: Site) -> None:
    async with site.api() as api:
        path = f"/campaigns/{(await draft(api))['id']}"
        read = await api.get(path)
        tag = {"If-Match": read.headers["etag"]}
        answers = await asyncio.gather(*(api.patch(path, json={"priority": n}, headers=tag) for n in (2, 3)))
        assert sorted(answer.status_code for answer in answers) == [200, 412]
        fresh = {"If-Match": (await api.get(path)).headers["etag"]}
        assert (await api.patch(path, json={"priority": 4}, headers=fresh)).json()["changed"] == ["priority"]


async def test_the_same_key_makes_one_campaign_however_often_it_is_sent(site: Site) -> None:
    async with site.api() as api:
        key, body = {"Idempotency-Key": "mine-1"}, {"name": "Spring", "prompt": "x"}
        first = await api.post("/campaigns", json=body, headers=key)
        again = await api.post("/campaigns", json=body, headers=key)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json() == first.json()
        assert again.headers["idempotent-replay"] == "true"
        assert again.headers["etag"] == first.headers["etag"]
        other = await api.post("/campaigns", json={"name": "Other"}, headers=key)
        assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
        wrong = await api.post("/campaigns", json={"name": ""}, headers={"Idempotency-Key": "mine-2"})
        assert wrong.status_code == 422
        mended = await api.post("/campaigns", json={"name": "Mended"}, headers={"Idempotency-Key": "mine-2"})
        assert mended.status_code == 201  # nothing was done by the first, so the key is free
        async with site.api() as somebody:
            theirs = await somebody.post("/campaigns", json={"name": "Theirs"}, headers=key)
            assert theirs.status_code == 201  # keys are each client's own
        assert len((await api.get("/campaigns")).json()["items"]) == 3


async def test_the_same_key_at_the_same_time_makes_one_campaign(site: Site) -> None:
    async with site.api() as api:
        body, key = {"name": "Spring"}, {"Idempotency-Key": "at once"}
        answers = await asyncio.gather(*(api.post("/campaigns", json=body, headers=key) for _ in range(5)))
        assert {answer.status_code for answer in answers} <= {201, 409}
        assert len((await api.get("/campaigns")).json()["items"]) == 1
        assert (await api.post("/campaigns", json=body, headers=key)).status_code == 201


async def test_pages_of_calls_hold_each_call_once_whatever_comes_in_between(site: Site) -> None:
    await add(site.database, *(call(number) for number in range(25)))
    # Of the same moment, too.
    await add(site.database, *(call(number, created_at=START) for number in range(25, 30)))
    async with site.api() as api:
        first = (await api.get("/calls", params={"limit": 10})).json()
        await add(site.database, call(99))
        rest = (await api.get("/calls", params={"limit": 200, "cursor": first["next"]})).json()
        ids = [row["id"] for row in first["items"] + rest["items"]]
        assert len(ids) == len(set(ids)) == 30
        assert [row["created_at"] for row in first["items"]] == sorted(
            (row["created_at"] for row in first["items"]), reverse=True
        )
        assert rest["next"] is None
        assert len(await everything(api, "/calls", 7)) == 31


@pytest.mark.parametrize(
    ("params", "numbers"),
    [
        ({"campaign_id": "c1"}, [1]),
        ({"outcome": "busy"}, [2]),
        ({"direction": "inbound"}, [3]),
        ({"state": "ringing"}, [4]),
        ({"number": "+1 (202) 555-0002"}, [2]),
        ({"assistant_id": "front-desk"}, [3]),
        ({"since": "2026-03-02T09:03:00Z"}, [4, 3]),
        ({"since": "2026-03-02T09:01", "until": "2026-03-02T09:03"}, [2, 1]),
        ({"campaign_id": "c1", "outcome": "busy"}, []),
    ],
)
async def test_calls_are_found_by_what_they_have_in_common(
    history: Site, params: dict[str, str], numbers: list[int]
) -> None:
    async with history.api() as api:
        found = (await api.get("/calls", params=params)).json()["items"]
    assert [int(row["to_number"][-4:]) for row in found] == numbers


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        ("invoice", [2, 1]),
        ("INVOICE", [2, 1]),
        ('"second invoice"', [2]),
        ("invoice -second", [1]),
        ("refund or second", [3, 2]),
        ("Überweisung", [3]),
        ("invoice refund", []),
        ("&|!:*()'", []),
        ("the", [1]),
    ],
)
async def test_calls_are_found_by_what_was_said(history: Site, words: str, numbers: list[int]) -> None:
    async with history.api() as api:
        answer = await api.get("/calls", params={"q": words})
    assert answer.status_code == 200, answer.text
    assert [int(row["to_number"][-4:]) for row in answer.json()["items"]] == numbers


async def test_a_call_is_told_with_its_words_and_its_timeline(site: Site) -> None:
    one = call(1, state=CallState.ANSWERED, outcome=None, answered_at=START)
    await add(site.database, one)
    await add(
        site.database,
        Turn(call_id=one.id, item_id="2", speaker=Speaker.PERSON, text="Yes", started_at=START + timedelta(seconds=3)),
        Turn(call_id=one.id, item_id="1", speaker=Speaker.AGENT, text="Hello?", started_at=START),
        ToolCall(
            call_id=one.id, tool_call_id="1", tool="take_message", arguments={"text": "Ring me."},
            status=ToolStatus.DONE, result="Taken.", started_at=START,
        ),
        Message(id=uuid4(), call_id=one.id, kind=MessageKind.MESSAGE, at=START, text="Ring me.", from_name="Ana"),
    )  # fmt: skip
    async with site.database.transaction() as session:
        ending = Ending(Outcome.COMPLETED, "hung up", EndedBy.PERSON)
        await facts.end(session, CallEnded.of(one.id, ending, START + timedelta(seconds=9)))
    async with site.api() as api:
        story = (await api.get(f"/calls/{one.id}")).json()
        assert (await api.get(f"/calls/{uuid4()}")).status_code == 404
        assert (await api.post(f"/calls/{one.id}/hang-up")).status_code == 409
    assert [turn["text"] for turn in story["transcript"]] == ["Hello?", "Yes"]
    assert (story["outcome"], story["talk_seconds"], story["ended_by"]) == ("completed", 9.0, "person")
    assert [(used["tool"], used["status"]) for used in story["tool_calls"]] == [("take_message", "done")]
    assert [(message["kind"], message["text"]) for message in story["messages"]] == [("message", "Ring me.")]


async def test_an_export_is_safe_to_open_in_a_spreadsheet(site: Site) -> None:
    evil = '=HYPERLINK("http://evil.example.com","x")'
    await add(site.database, *(call(n, contact_name=evil, cause="@SUM(A1)", campaign_id="c1") for n in range(3)))
    await add(site.database, call(9, contact_name="Zoë"))
    async with site.api() as api:
        answer = await api.get("/calls.csv", params={"campaign_id": "c1"})
        whole = await api.get("/calls.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 3
    assert all(row["contact_name"] == f"'{evil}" and row["cause"] == "'@SUM(A1)" for row in rows)
    assert all(row["to_number"].startswith("'+1202") for row in rows)
    assert "Zoë" in whole.content.decode()


async def test_a_call_says_what_is_missing_before_anybody_is_dialled(site: Site) -> None:
    async with site.api() as api:
        no_trunk = await api.post("/calls", json={"phone": "+12025550101"})
        assert no_trunk.json()["errors"][0]["field"] == "trunk_id"
        no_livekit = await api.post("/calls", json={"phone": "+12025550101", "trunk_id": "ST_1"})
        assert no_livekit.status_code == 409
        assert "LIVEKIT_URL" in no_livekit.json()["detail"]
        assert (await api.get("/calls")).json()["items"] == []


async def test_livekit_that_is_away_is_no_fault_of_ours_and_leaves_no_call(site: Site, unused_tcp_port: int) -> None:
    settings = web_settings(
        site.database.url, livekit_url=f"ws://127.0.0.1:{unused_tcp_port}", livekit_api_key="key",
        livekit_api_secret="s" * 32,
    )  # fmt: skip
    away = Site(create_app(settings, site.database, with_pages=False), site.database, site.owner)
    await add(site.database, Worker(id="w", host="h", pid=1, max_calls=5))
    async with site.database.transaction() as session:
        assert await presence.living(session)
    async with away.api() as api:
        answer = await api.post("/calls", json={"phone": "+12025550101", "trunk_id": "ST_1"})
        assert (answer.status_code, answer.json()["type"]) == (503, "/problems/livekit")
        assert (await api.get("/calls")).json()["items"] == []


async def test_a_contact_is_added_once_and_why_is_told(site: Site) -> None:
    async with site.api() as api:
        campaign = await draft(api, default_region="US")
        path = f"/campaigns/{campaign['id']}/contacts"
        person = {"phone": "(202) 555-0101", "name": " Ana \n", "variables": {"amount": "12"}}
        added = await api.post(path, json=person)
        assert added.status_code == 201
        assert (added.json()["phone"], added.json()["name"]) == ("+12025550101", "Ana")
        assert (await api.post(path, json=person)).status_code == 409
        found = (await api.get(path, params={"q": "202 555 0101"})).json()["items"]
        assert [one["id"] for one in found] == [added.json()["id"]]
        told = (await api.get(f"/contacts/{added.json()['id']}/why")).json()
        assert told["now"]["verdict"] == "hold"
        assert told["campaign"]["id"] == campaign["id"]
        zone = await api.post(path, json={"phone": "+12025550102", "time_zone": "Mars/Olympus"})
        assert zone.json()["errors"][0]["field"] == "time_zone"


async def test_pages_of_contacts_come_in_the_order_of_the_list_whatever_their_state(site: Site) -> None:
    campaign = Campaign(name="Spring")
    await add(site.database, campaign)
    states = list(ContactState)
    people = [
        Contact(campaign_id=campaign.id, phone=f"+1202555{n:04}", state=states[n % len(states)]) for n in range(23)
    ]
    for person in people:  # one by one, so that their order is known
        await add(site.database, person)
    async with site.api() as api:
        path = f"/campaigns/{campaign.id}/contacts"
        listed = await everything(api, path, 5)
        assert [one["phone"] for one in listed] == [person.phone for person in people]
        done = await everything(api, path, 2, state="done")
        assert [one["phone"] for one in done] == [p.phone for p in people if p.state is ContactState.DONE]
        begins = await everything(api, path, 4, q="+1202555001")
        assert [one["phone"] for one in begins] == [f"+1202555001{n}" for n in range(10)]


async def test_decisions_are_listed_the_newest_first(site: Site) -> None:
    campaign = Campaign(name="Spring")
    await add(site.database, campaign)
    person = Contact(campaign_id=campaign.id, phone="+12025550101")
    await add(site.database, person)
    for n in range(5):
        of = person.id if n % 2 else None
        verdict = Verdict.DEFER if n % 2 else Verdict.HOLD
        await add(
            site.database,
            DecisionRecord(campaign_id=campaign.id, contact_id=of, verdict=verdict, rule="r", words=str(n)),
        )
    async with site.api() as api:
        path = f"/campaigns/{campaign.id}/decisions"
        assert [one["words"] for one in await everything(api, path, 2)] == ["4", "3", "2", "1", "0"]
        assert [one["words"] for one in await everything(api, path, 1, contact_id=str(person.id))] == ["3", "1"]
        assert [one["words"] for one in await everything(api, path, 2, verdict="hold")] == ["4", "2", "0"]


async def until(api: AsyncClient, path: str, come: Callable[[dict[str, Any]], bool], database: Database) -> Any:
    """The thing at `path`, once it is so: looked at whenever the database says that something changed."""
    async with asyncio.timeout(30), events.listening(database) as changes:
        while not come(answer := (await api.get(path)).json()):
            await changes.next()
        return answer


async def test_an_import_is_watched_to_its_end_and_its_refused_rows_come_back(site: Site, tmp_path: Any) -> None:
    settings = web_settings(site.database.url, voiceagents_data=tmp_path)
    with_folder = Site(create_app(settings, site.database, with_pages=False), site.database, site.owner)
    async with with_folder.api() as api:
        path = f"/campaigns/{(await draft(api))['id']}"
        rows = "".join(f"+1202555{n:04},Person {n}\n" for n in range(100, 180))
        file = {"file": ("people.csv", f"phone,name\n{rows}nonsense,Nobody\n+12025550100,Again\n")}
        seen = (await api.post(f"{path}/imports/preview", files=file)).json()
        assert seen["roles"] == [["phone", "phone"], ["name", "name"]]
        assert seen["contacts"][0]["phone"] == "+12025550100"
        started = await api.post(f"{path}/imports", files=file)
        assert started.status_code == 202
        where = started.headers["location"].removeprefix("/api/v1")
        done = await until(api, where, lambda one: one["state"] != "running", site.database)
        assert done["state"] == "finished"
        report = done["report"]
        assert (report["added"], report["refused"], report["duplicates_in_file"]) == (80, 1, 1)
        assert report["share_read"] == 1.0
        assert report["refused_rows"][0]["line"] == 82
        refused = await api.get(f"{where}/refused.csv")
        assert "nonsense" in refused.text
        assert len(await everything(api, f"{path}/contacts", 30)) == 80
        assert [one["id"] for one in (await api.get(f"{path}/imports")).json()] == [done["id"]]
        assert not list(tmp_path.glob("imports/*.upload"))  # the upload is gone
        exported = await api.get(f"{path}/contacts.csv")
        assert len(exported.content.decode("utf-8-sig").splitlines()) == 81
        results = await api.get(f"{path}/results.csv")
        assert len(results.text.splitlines()) == 81


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"text": "name\nAna\n"}, "no column of phone numbers"),
        ({"text": "phone\n"}, "no rows below"),
        ({"text": "phone\n+12025550100\n", "roles": '{"Mobile": "name"}'}, "Mobile"),
    ],
)
async def test_an_import_that_cannot_be_read_says_why(
    site: Site, tmp_path: Any, form: dict[str, str], problem: str
) -> None:
    settings = web_settings(site.database.url, voiceagents_data=tmp_path)
    with_folder = Site(create_app(settings, site.database, with_pages=False), site.database, site.owner)
    async with with_folder.api() as api:
        started = await api.post(f"/campaigns/{(await draft(api))['id']}/imports", data=form)
        assert started.status_code == 202, started.text
        path = f"/imports/{started.json()['id']}"
        done = await until(api, path, lambda one: one["state"] != "running", site.database)
    assert done["state"] == "stopped"
    assert problem in done["problem"]


async def test_a_number_on_the_list_stays_on_record_when_it_is_taken_off(site: Site) -> None:
    async with site.api() as api:
        first = await api.post("/do-not-call", json={"phone": "+12025550101", "reason": "asked in a letter"})
        assert first.status_code == 201
        assert (await api.post("/do-not-call", json={"phone": "+1 202 555 0101"})).status_code == 200
        assert len((await api.get("/do-not-call/+12025550101")).json()) == 1
        assert (await api.delete("/do-not-call/+12025550101")).status_code == 422  # without a reason
        off = await api.delete("/do-not-call/+12025550101", params={"reason": "a slip of the pen"})
        assert off.json()["removed_because"] == "a slip of the pen"
        assert (await api.get("/do-not-call/+12025550101")).json() == []
        assert (await api.delete("/do-not-call/+12025550101", params={"reason": "again"})).status_code == 404
        assert len((await api.get("/do-not-call?removed=true")).json()["items"]) == 1
        done = await api.post("/do-not-call/import", data={"text": "+12025550102\n+12025550103\nhello\n"})
        assert (done.json()["added"], done.json()["refused"]) == (2, 1)
        assert len(await everything(api, "/do-not-call", 1)) == 2


async def test_limits_are_changed_and_null_takes_one_away(site: Site) -> None:
    async with site.api() as api:
        before = await api.get("/settings")
        changed = await api.patch(
            "/settings", json={"max_concurrent": None}, headers={"If-Match": before.headers["etag"]}
        )
        assert (changed.json()["max_concurrent"], changed.json()["kept_for_inbound"]) == (None, 1)
        assert "secret" not in changed.text
        assert (await api.get("/trunks/ST_1")).json()["max_concurrent"] == 10
        trunk = await api.patch("/trunks/ST_1", json={"calls_per_second": 2.5})
        assert (trunk.json()["calls_per_second"], trunk.json()["max_concurrent"]) == (2.5, 10)
        assert [one["trunk_id"] for one in (await api.get("/trunks")).json()["items"]] == ["ST_1"]
        assert (await api.get("/running")).json() == {"engines": 0, "agents": 0, "places": 0, "calls": 0}


async def test_whoever_listens_hears_of_calls_words_and_campaigns(database: Database) -> None:
    campaign, one = Campaign(id=uuid4(), name="Spring"), call(1, state=CallState.QUEUED, outcome=None)
    turn = Turn(call_id=one.id, item_id="1", speaker=Speaker.AGENT, text="Hello", started_at=START)
    async with (
        asyncio.timeout(20),
        events.listening(database) as changes,
        events.listening(database, {"turn"}) as turns,
    ):
        for row, event in (
            (campaign, Event("campaign", str(campaign.id), str(campaign.id))),
            (one, Event("call", str(one.id))),
            (turn, Event("turn", str(one.id))),
        ):
            await add(database, row)
            assert await changes.next() == event
        assert await turns.next() == Event("turn", str(one.id))
        async with database.transaction() as session:
            await session.execute(text("UPDATE campaigns SET wake_at = now(), served = 1"))  # the engine's own affair
        async with database.transaction() as session:
            found = await session.get_one(Campaign, campaign.id)
            found.state = CampaignState.RUNNING
        assert await changes.next() == Event("campaign", str(campaign.id), str(campaign.id))


async def test_who_was_cut_off_from_the_database_is_told_to_read_again(database: Database) -> None:
    async with asyncio.timeout(30), events.listening(database, {"call"}) as changes:
        async with database.transaction() as session:
            await session.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = :name"
                     " AND datname = current_database()"),
                {"name": "voiceagents web events"},
            )  # fmt: skip
        assert (await changes.next()).kind == events.MISSED


async def test_long_lists_are_read_from_indexes(database: Database) -> None:
    """No sort and no scan of the whole: what PostgreSQL plans for a history of a length that is far from empty."""
    async with database.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO calls (id, direction, state, outcome, campaign_id, to_number, created_at)"
                " SELECT gen_random_uuid(), 'outbound', 'ended', CASE n % 3 WHEN 0 THEN 'busy' ELSE 'completed' END,"
                " 'c' || n % 5, '+1202' || n, now() - n * interval '1 second' FROM generate_series(1, 20000) AS n"
            )
        )
        assert await session.scalar(select(func.count()).select_from(Call)) == 20000
    async with database.transaction() as session:
        await session.execute(text("ANALYZE calls"))
        for where in (
            "true", "campaign_id = 'c1'", "outcome = 'busy'", "campaign_id = 'c1' AND outcome = 'busy'",
            "(created_at, id) < (now() - interval '1 hour', gen_random_uuid())",
        ):  # fmt: skip
            query = f"EXPLAIN SELECT * FROM calls WHERE {where} ORDER BY created_at DESC, id DESC LIMIT 51"
            plan = "\n".join((await session.scalars(text(query))).all())
            assert "Sort" not in plan, plan
            assert "Seq Scan" not in plan, plan


async def test_a_calendar_says_which_times_are_free_and_never_its_secrets(site: Site) -> None:
    async with site.api() as api:
        made = await api.post("/calendars", json={"name": "Practice", "settings": {"zone": "Europe/Berlin"}})
        assert (made.status_code, made.json()["id"]) == (201, "practice")
        start = datetime.now(UTC).replace(hour=0, minute=0, second=0) + timedelta(days=7)
        week = {"start": start.isoformat(), "end": (start + timedelta(days=7)).isoformat()}
        free = (await api.get("/calendars/practice/free", params=week)).json()
        assert len(free) > 50
        assert all(one["start"] < one["end"] for one in free)
        backwards = await api.get("/calendars/practice/free", params={"start": week["end"], "end": week["start"]})
        assert backwards.json()["errors"][0]["field"] == "end"
        stale = await api.patch("/calendars/practice", json={"name": "x"}, headers={"If-Match": '"old"'})
        assert stale.status_code == 412
        dav = {"url": "https://dav.example.com/cal/", "username": "ana", "password": "hunter2"}
        kept = await api.post("/calendars", json={"name": "Own", "provider": "caldav", "settings": dav})
        assert kept.status_code == 201, kept.text
        assert "hunter2" not in kept.text
        changed = await api.patch("/calendars/own", json={"settings": kept.json()["settings"] | {"username": "eva"}})
        assert changed.json()["settings"]["username"] == "eva"
        async with site.database.transaction() as session:
            assert (
                await session.scalar(text("SELECT settings->>'password' FROM calendars WHERE id = 'own'")) == "hunter2"
            )
        stolen = await api.patch("/calendars/own", json={"settings": dav | {"password": "env:LIVEKIT_API_SECRET"}})
        assert stolen.json()["errors"][0]["field"] == "settings.password"
        wrong = await api.post("/calendars", json={"name": "x", "settings": {"zone": "Mars"}})
        assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "settings")
        assert (await api.delete("/calendars/own")).status_code == 204
        assert [one["id"] for one in (await api.get("/calendars")).json()["items"]] == ["practice"]
