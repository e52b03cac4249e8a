"""Does any request, however odd, make a fault of ours? Requests made from the API's own schema, over every operation,
and answers held against it: status, kind and body are as described.

Half of them name things that are there, so that what lies behind is reached.
"""

import asyncio
import warnings
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID, uuid4

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.database import Server
from tests.web import EMAIL, PASSWORD, web_settings
from voiceagents.assistants import store
from voiceagents.assistants.models import Number
from voiceagents.calendars import store as calendars
from voiceagents.calendars.store import CalendarDraft
from voiceagents.calls.models import Call, Turn
from voiceagents.calls.states import CallState, Direction, Outcome, Speaker
from voiceagents.campaigns.models import Campaign, Contact, ContactImport
from voiceagents.clock import now
from voiceagents.db import Database
from voiceagents.web import accounts, keys
from voiceagents.web.app import create_app
from voiceagents.web.models import Role, Scope
from voiceagents.web.passwords import Passwords
from voiceagents.webhooks import endpoints
from voiceagents.webhooks.models import Delivery, EventKind
from voiceagents.windows import CallingWindow

pytestmark = pytest.mark.stack

ENDLESS = "/api/v1/events"


@pytest.fixture(scope="module")
def url(postgres: Server) -> Generator[str]:
    created = postgres.create()
    yield created
    postgres.drop(created)


@pytest.fixture(scope="module")
def known(url: str) -> dict[str, Any]:
    """One of each thing, by the name that a path has for it; `key` is an API key."""
    # In a loop and thread of its own: the session's loop runs already.
    return _in_thread(url)


def _in_thread(url: str) -> dict[str, Any]:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(_filled(url))).result()


async def _filled(url: str) -> dict[str, Any]:
    database = Database(url)
    token = await accounts.first_owner_link(database)
    assert token is not None
    owner = await accounts.accept(database, Passwords(), token, email=EMAIL, name="Olga", password=PASSWORD)
    async with database.transaction() as session:
        _, key = await keys.make(session, owner.id, name="fuzz", scope=Scope.ADMIN, expires_at=None)
        other, _ = await keys.make(session, owner.id, name="other", scope=Scope.READ, expires_at=None)
        viewer, _ = await accounts.invite(session, email="vera@example.com", name="Vera", role=Role.VIEWER)
        await store.add(session, store.AssistantDraft(id="front-desk", name="Front desk", prompt="Be kind."))
        await calendars.add(session, CalendarDraft("practice", "Practice", "builtin", {"zone": "Europe/Berlin"}))
        session.add(Number(e164="+12025550143", assistant_id="front-desk", label="main"))
        campaign = Campaign(
            name="Spring", prompt="Hello {name}", window=CallingWindow.parse("daily 09:00-20:00").to_json()
        )
        session.add(campaign)
        await session.flush()
        contact = Contact(campaign_id=campaign.id, phone="+12025550101", name="Ana")
        call = Call(
            id=uuid4(), direction=Direction.OUTBOUND, state=CallState.ENDED, outcome=Outcome.COMPLETED,
            to_number="+12025550101", campaign_id=str(campaign.id), created_at=now(),
        )  # fmt: skip
        endpoint = await endpoints.add(session, url="http://127.0.0.1:9/", events=[EventKind.CALL_ENDED])
        session.add_all([contact, call])
        await session.flush()
        session.add(Turn(call_id=call.id, item_id="1", speaker=Speaker.PERSON, text="Hello there", started_at=now()))
        imported = ContactImport(campaign_id=campaign.id, file_name="list.csv")
        session.add(imported)
        await session.flush()
        delivery = await session.scalar(Delivery.__table__.select().with_only_columns(Delivery.id))
    await database.close()
    return {
        "key": key, "campaign_id": campaign.id, "contact_id": contact.id, "call_id": call.id,
        "assistant_id": "front-desk", "e164": "+12025550143", "number": "+12025550101", "import_id": imported.id,
        "user_id": viewer.id, "key_id": other.id, "endpoint_id": endpoint.id, "delivery_id": delivery, "version": 1,
        "trunk_id": "ST_1", "calendar_id": "practice",
    }  # fmt: skip


@pytest.fixture(scope="module")
def client(url: str, known: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Generator[TestClient]:
    settings = web_settings(url, voiceagents_data=tmp_path_factory.mktemp("data"), sip_trunk_id="ST_1")
    app = create_app(settings, with_pages=False)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as opened:
        opened.headers["Authorization"] = f"Bearer {known['key']}"
        yield opened


AS_DESCRIBED = [status_code_conformance, content_type_conformance, response_schema_conformance]
NOT_BY_CHANCE = {
    # there is no LiveKit
    "POST /api/v1/calls", "POST /api/v1/calls/{call_id}/hang-up",
    # telephone numbers, files, addresses and passwords that nobody makes up
    "POST /api/v1/campaigns/{campaign_id}/contacts", "PUT /api/v1/numbers/{e164}", "POST /api/v1/do-not-call",
    "DELETE /api/v1/do-not-call/{number}", "POST /api/v1/do-not-call/import", "POST /api/v1/webhooks",
    "POST /api/v1/campaigns/{campaign_id}/imports", "POST /api/v1/campaigns/{campaign_id}/imports/preview",
    "GET /api/v1/imports/{import_id}/refused.csv", "GET /api/v1/calls/{call_id}/recording",
    "POST /api/v1/me/password",
    # what an operation before has ended
    "POST /api/v1/campaigns/{campaign_id}/archive", "POST /api/v1/users/{user_id}/link",
}  # fmt: skip
"""Operations that odd requests need not get done; the tests of the API do."""


def ask_everything(client: TestClient, known: dict[str, Any], examples: int) -> dict[str, Counter[int]]:
    """Asks every operation so many times, those that remove something last. Returns how often each status was answered,
    by operation."""
    described: dict[str, Any] = client.app.openapi()  # pyright: ignore[reportAttributeAccessIssue]
    schema = schemathesis.openapi.from_dict(described)
    answered: dict[str, Counter[int]] = {}
    faults: list[str] = []
    undescribed: set[str] = set()
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in sorted(operations, key=lambda one: one.method.upper() == "DELETE"):
        if operation.path == ENDLESS:
            continue
        answered[operation.label] = Counter()

        @seed(1)
        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(), real=st.booleans())
        def ask(case: schemathesis.Case, real: bool) -> None:
            for name in case.path_parameters if real else ():
                case.path_parameters[name] = str(known.get(name, case.path_parameters[name]))
            asked = case.as_transport_kwargs(base_url="http://localhost", headers=dict(client.headers))
            asked.pop("cookies", None)
            response = client.request(**asked)
            answered[case.operation.label][response.status_code] += 1
            # A path with a slash in a part of it is another path.
            if response.status_code not in (404, 405):
                response.request = client.build_request(asked["method"], asked["url"])  # a stream cannot be read again
                try:
                    case.validate_response(response, checks=AS_DESCRIBED)
                except FailureGroup as group:
                    undescribed.update(
                        f"{case.operation.label} → {response.status_code}: {e}" for e in group.exceptions
                    )
            if response.status_code >= 500:
                faults.append(f"{asked['method']} {asked['url']} → {response.status_code} {response.text}\n{asked}")
            elif response.status_code >= 400:
                assert response.headers["content-type"] == "application/problem+json", response.text
                assert response.json()["detail"]

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ask()
    assert not faults, "\n\n".join(faults[:10]) + f"\n{len(faults)} in all"
    assert not undescribed, "\n".join(sorted(undescribed))
    return answered


def test_no_request_of_the_schema_makes_a_fault(client: TestClient, known: dict[str, Any]) -> None:
    answered = ask_everything(client, known, examples=4)
    print(answered)
    reached = {label for label, statuses in answered.items() if any(status < 300 for status in statuses)}
    assert len(reached) > len(answered) / 2, sorted(set(answered) - reached)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_no_request_of_the_schema_makes_a_fault_however_many_are_asked(
    client: TestClient, known: dict[str, Any]
) -> None:
    answered = ask_everything(client, known, examples=100)
    print(answered)
    never = {label for label, statuses in answered.items() if not any(status < 300 for status in statuses)}
    assert never <= NOT_BY_CHANCE, f"never done: {sorted(never)}"


def test_ids_in_paths_are_those_of_the_schema(client: TestClient, known: dict[str, Any]) -> None:
    """Should a path name something new, it must be among the known things, or it is never reached."""
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    named = {
        parameter["name"]
        for operations in paths.values()
        for operation in operations.values()
        for parameter in operation.get("parameters", [])
        if parameter["in"] == "path"
    }
    assert named <= set(known)
    assert isinstance(known["campaign_id"], UUID)
