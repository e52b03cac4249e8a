"""Assistants and numbers of a Supabase project, over its HTTP contract: every spelling, every error, every fault."""

import asyncio
import logging
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tests.database import Server
from tests.postgrest import Project, serve
from voiceagents.assistants.resolver import MINIMAL, OUT_OF_SERVICE, PATIENCE, Answers, Resolved, Resolver
from voiceagents.assistants.supabase import Supabase
from voiceagents.assistants.supabase_rows import SupabaseMapping
from voiceagents.doctor import supabase as doctor
from voiceagents.doctor.findings import State
from voiceagents.settings import load

pytestmark = pytest.mark.stack

DID, OTHER, STRANGE = "+12025550143", "+12025550188", "+12025550999"


@pytest.fixture(scope="module")
def served(postgres: Server) -> Generator[Project]:
    url = postgres.create_empty()
    with serve(url) as project:
        yield project
    postgres.drop(url)


@pytest.fixture
def project(served: Project) -> Project:
    """A project with empty tables, in which nothing goes wrong."""
    served.reset()
    return served


async def no_database(question: object) -> Answers:
    """Our own database knows nothing."""
    return {}


async def dead_database(question: object) -> Answers:
    await asyncio.sleep(60)
    return {}


def connected(project: Project, key: str | None = None, **mapping: object) -> Supabase:
    return Supabase(project.url, SecretStr(key or project.key), SupabaseMapping.model_validate(mapping))


async def resolve(
    supabase: Supabase, did: str | None = None, job: str | None = None, ask: object = no_database
) -> Resolved:
    try:
        return await Resolver(supabase).inbound(ask, job_assistant_id=job, room_assistant_id=None, did=did)  # pyright: ignore[reportArgumentType]
    finally:
        supabase.close()


async def test_the_dialled_numbers_assistant_comes_with_all_its_choices(project: Project) -> None:
    front = project.add(
        DID, name="Front desk", prompt="Be kind.", first_message="Hello.", llm_model_setting="gpt-4o-mini",
        temperature_setting=0.4, voice_name_setting="echo", end_call_message="Goodbye.", silence_timeout=20,
        max_call_duration=10, transfer_enabled=True, transfer_phone_number="2025550177", calendar="CalCom",
        cal_api_key="cal_secret", cal_event_type_id="12", cal_timezone="Europe/Berlin",
    )  # fmt: skip
    project.add(OTHER, name="Sales")
    found = await resolve(connected(project), DID)
    assert (found.id, found.source, found.resolver) == (front, "resolver.supabase", "resolver.supabase")
    assert (found.name, found.prompt, found.first_message) == ("Front desk", "Be kind.", "Hello.")
    assert (found.llm_model, found.temperature, found.voice) == ("gpt-4o-mini", 0.4, "echo")
    assert (found.end_call_message, found.silence_hang_up_after, found.max_call_duration) == ("Goodbye.", 10, 600)
    assert [target.number for target in found.transfer_targets] == ["+12025550177"]
    assert found.calendar is not None
    assert found.calendar["settings"]["event_type_id"] == "12"


@pytest.mark.parametrize("written", [DID, "12025550143", "+1 (202) 555-0143", "2025550143", "001 202 555 0143"])
@pytest.mark.parametrize("spelled", [DID, "12025550143", "1 202 555 0143", "(202) 555-0143"])
async def test_numbers_match_however_either_side_spells_them(project: Project, written: str, spelled: str) -> None:
    mine = project.add(written, name="Front desk")
    project.add(OTHER, name="Sales")
    project.add("+4912025550143", name="A longer number with the same digits in it")
    found = await resolve(connected(project), spelled)
    assert found.id == mine
    in_full = any(text.startswith(("+", "00")) for text in (written, spelled))
    assert found.number == (DID if in_full else None)


async def test_a_number_without_assistant_and_a_strange_one_are_not_in_service(project: Project) -> None:  # TC-073
    project.add(OTHER, name="Sales")
    project.execute("INSERT INTO phone_number (number) VALUES (%s)", DID)
    assert await resolve(connected(project), DID) is OUT_OF_SERVICE
    assert await resolve(connected(project), STRANGE) is OUT_OF_SERVICE
    project.execute("DELETE FROM assistant")
    assert await resolve(connected(project), OTHER) is OUT_OF_SERVICE


async def test_an_assistant_is_found_by_the_id_in_the_metadata(project: Project) -> None:
    sales = project.add(None, name="Sales")
    found = await resolve(connected(project), DID, job=sales)
    assert (found.id, found.source, found.resolver) == (sales, "job.metadata", "resolver.supabase")


@pytest.mark.parametrize("job", ["front", "x' OR '1'='1", "a,b.c(d)", "é*%", "0" * 500, "nul\x00"])
async def test_an_id_of_another_kind_is_no_failure(
    project: Project, job: str, caplog: pytest.LogCaptureFixture
) -> None:
    mine = project.add(DID, name="Front desk")
    with caplog.at_level(logging.WARNING, "voiceagents.resolver"):
        assert (await resolve(connected(project), DID, job=job)).id == mine
    assert "RESOLVER_FAILED" not in caplog.text


async def test_tables_and_columns_may_have_other_names(project: Project) -> None:
    project.execute("CREATE TABLE bots (id serial PRIMARY KEY, instructions text)")
    project.execute("CREATE TABLE dids (number text, bot integer REFERENCES bots)")
    rows = project.execute("INSERT INTO bots (instructions) VALUES ('Be brief.') RETURNING id")
    project.execute("INSERT INTO dids (number, bot) VALUES (%s, %s)", DID, rows[0][0])
    mapping: dict[str, Any] = {
        "numbers": {"table": "dids", "assistant": "bot"},
        "assistants": {"table": "bots", "prompt": "instructions"},
    }
    found = await resolve(connected(project, **mapping), DID)
    assert (found.prompt, found.name) == ("Be brief.", "assistant")


@pytest.mark.parametrize(
    ("key", "mapping", "says"),
    [
        ("anon", {}, ["401", "Invalid API key", "SUPABASE_SERVICE_ROLE_KEY"]),
        (None, {"numbers": {"table": "nope"}}, ["404", "PGRST205", "SUPABASE_MAPPING", "'nope'"]),
        (None, {"numbers": {"assistant": "bot"}}, ["400", "42703", '"bot"', "SUPABASE_MAPPING"]),
        (None, {"assistants": {"id": "uid"}}, ["400", "42703", "uid"]),
        (None, {"schema_name": "private"}, ["406", "PGRST106"]),
    ],
)
async def test_what_is_set_up_wrong_is_logged_with_the_mend_and_the_call_answered(
    project: Project, key: str | None, mapping: dict[str, object], says: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    project.add(DID, name="Front desk")
    with caplog.at_level(logging.DEBUG):
        assert await resolve(connected(project, key, **mapping), DID) is MINIMAL
    (line,) = [line for line in caplog.messages if line.startswith("RESOLVER_FAILED | source=resolver.supabase")]
    assert all(word in line for word in says), line
    assert project.key not in caplog.text
    assert (key or project.key) not in caplog.text


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (500, "application/json", b'{"code":"XX000","message":"out of memory","details":null,"hint":null}'),
        (
            503,
            "application/json",
            b'{"code":"PGRST000","message":"Database connection error. Retrying the connection."}',
        ),
        (504, "text/html", b"<html>Gateway Timeout</html>"),
        (429, "application/json", b'{"message":"API rate limit exceeded"}'),
        (200, "text/html", b"<html>a page of somebody else</html>"),
        (200, "application/json", b'{"not": "a list"}'),
        (200, "application/json", b""),
        (302, "text/html", b""),
    ],
)
async def test_a_project_in_trouble_costs_the_assistant_and_never_the_call(
    project: Project, status: int, kind: str, body: bytes
) -> None:
    project.add(DID, name="Front desk")
    project.fails_with = (status, kind, body)
    assert await resolve(connected(project), DID) is MINIMAL


async def test_a_project_that_hangs_holds_a_caller_up_for_less_than_a_second(project: Project) -> None:
    project.hangs = threading.Event()
    started = time.monotonic()
    assert await resolve(connected(project), DID, ask=dead_database) is MINIMAL
    assert time.monotonic() - started < PATIENCE + 0.4
    project.hangs.set()


async def test_nobody_listening_is_known_at_once() -> None:
    nobody = Supabase("http://127.0.0.1:9", SecretStr("key"))
    started = time.monotonic()
    assert await resolve(nobody, DID) is MINIMAL
    assert time.monotonic() - started < PATIENCE + 0.4


async def test_supabase_answers_although_our_database_is_dead(project: Project) -> None:
    mine = project.add(DID, name="Front desk")
    started = time.monotonic()
    assert (await resolve(connected(project), DID, ask=dead_database)).id == mine
    assert time.monotonic() - started < PATIENCE + 0.4


async def test_what_it_said_holds_for_a_while_for_the_calls_of_every_thread(project: Project) -> None:
    mine = project.add(DID, name="Front desk")
    resolver = Resolver(supabase := connected(project))

    async def one_call() -> str | None:
        return (await resolver.inbound(no_database, job_assistant_id=None, room_assistant_id=None, did=DID)).id

    assert await one_call() == mine
    asked = len(project.asked)
    answers: list[str | None] = []
    threads = [threading.Thread(target=lambda: answers.append(asyncio.run(one_call()))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert answers == [mine] * 8
    assert len(project.asked) == asked == 2, "the number, then its assistant, once"
    project.fails_with = (503, "text/plain", b"")
    assert await one_call() == mine
    supabase.close()


async def test_only_reading_and_only_what_is_needed(project: Project) -> None:
    project.add(DID, name="Front desk")
    await resolve(connected(project), DID)
    assert [path.split("?")[0] for path in project.asked] == ["/rest/v1/phone_number", "/rest/v1/assistant"]
    assert "select=number,inbound_assistant_id" in project.asked[0]
    assert "limit=" in project.asked[0]


async def test_the_doctor_asks_both_tables_and_says_what_is_wrong(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert await doctor.check(load()) is None, "nothing to look at where none is configured"
    monkeypatch.setenv("SUPABASE_URL", project.url)
    monkeypatch.setenv("SUPABASE_SERVICE_ROLE_KEY", project.key)
    found = await doctor.check(load())
    assert found is not None
    assert found.state is State.OK
    assert len(project.asked) == 2
    for variable, value, says in (
        ("SUPABASE_SERVICE_ROLE_KEY", "anon", "Invalid API key"),
        ("SUPABASE_MAPPING", '{"assistants": {"table": "nope"}}', "PGRST205"),
        ("SUPABASE_MAPPING", '{"assistants": {"promt": "x"}}', "promt"),
        ("SUPABASE_URL", "http://127.0.0.1:9", "no answer"),
    ):
        with monkeypatch.context() as wrong:
            wrong.setenv(variable, value)
            found = await doctor.check(load())
        assert found is not None
        assert found.state is State.BROKEN
        assert says in found.detail
        assert found.mend
