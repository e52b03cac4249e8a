"""Which answer does each error of our services become, for a program and for a browser?"""

import json
from typing import Any

import aiohttp
import httpx
import psycopg
import pytest
from fastapi import FastAPI
from livekit import api
from sqlalchemy.exc import DataError, IntegrityError, InternalError, OperationalError, ProgrammingError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from voiceagents.assistants.store import AssistantProblem
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.rows import TableError
from voiceagents.db import DatabaseUnavailable
from voiceagents.phone import InvalidPhoneNumber
from voiceagents.settings import SettingsError
from voiceagents.web import known_errors, problems
from voiceagents.web.accounts import AccountProblem
from voiceagents.web.auth import NotSignedIn
from voiceagents.web.keys import KeyProblem
from voiceagents.webhooks.endpoints import EndpointProblem

pytestmark = pytest.mark.unit


async def asked(error: Exception, path: str = "/api/v1/x", **headers: str) -> httpx.Response:
    """The answer of an application in which this goes wrong."""
    app = FastAPI()
    problems.install(app)
    known_errors.install(app)

    async def fail() -> None:
        raise error

    app.add_api_route(path.partition("?")[0], fail, methods=["GET", "POST"])
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        return await client.get(path, headers=headers)


def statement(kind: type[Any], cause: BaseException) -> Exception:
    return kind("SELECT 1", {}, cause)


class Fatal(psycopg.errors.AdminShutdown):
    """The server is being stopped."""


@pytest.mark.parametrize(
    ("error", "status", "field"),
    [
        (CampaignProblem("it is over"), 409, None),
        (AssistantProblem("taken"), 409, None),
        (SettingsError("LIVEKIT_URL is not set."), 409, None),
        (AccountProblem("no such user", missing=True), 404, None),
        (AccountProblem("no address", field="email"), 422, "email"),
        (AccountProblem("disabled"), 409, None),
        (KeyProblem("no such key"), 404, None),
        (EndpointProblem("no such endpoint"), 404, None),
        (EndpointProblem("no address", "url"), 422, "url"),
        (InvalidPhoneNumber("too short"), 422, "phone"),
        (TableError("no phones"), 422, "body"),
        (DatabaseUnavailable("PostgreSQL is away"), 503, None),
        (statement(OperationalError, psycopg.OperationalError("connection refused")), 503, None),
        (statement(InternalError, Fatal("terminating connection")), 503, None),
        (PoolTimeout("pool"), 503, None),
        (statement(IntegrityError, psycopg.errors.UniqueViolation("again")), 409, None),
        (statement(DataError, psycopg.DataError("NUL")), 422, None),
        (StatementError("odd", "SELECT 1", {}, ValueError("odd")), 422, None),
        (statement(ProgrammingError, psycopg.errors.UndefinedColumn("our own slip")), 500, None),
        (api.ServerError("unavailable", "no server", status=503), 503, None),
        (api.ServerError("unauthenticated", "bad key", status=401), 409, None),
        (aiohttp.ClientConnectionError("refused"), 503, None),
        (RuntimeError("our own slip"), 500, None),
    ],
    ids=lambda value: f"{type(value).__name__} {value}"[:60],
)  # fmt: skip
async def test_what_a_person_can_mend_is_told_and_only_faults_of_ours_are_500(
    error: Exception, status: int, field: str | None
) -> None:
    answer = await asked(error)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["detail"]
    assert [one["field"] for one in problem["errors"]] == ([field] if field else [])
    assert "SELECT" not in json.dumps(problem)
    if status == 503:
        assert int(answer.headers["retry-after"]) > 0
    if status == 500:
        assert "slip" not in answer.text


async def test_a_browser_that_is_not_signed_in_is_led_to_the_sign_in_and_back() -> None:
    answer = await asked(NotSignedIn("sign in"), "/calls?outcome=busy")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?next=/calls%3Foutcome%3Dbusy"
    inside = await asked(NotSignedIn("sign in"), "/calls", **{"HX-Request": "true"})
    assert inside.headers["hx-redirect"].startswith("/sign-in")


async def test_a_page_without_a_look_of_its_own_says_what_is_wrong_in_words() -> None:
    answer = await asked(CampaignProblem("it is over"), "/campaigns")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "it is over" in answer.text
