"""What the web application decides without a server: cursors, tags, hosts, policies, passwords, problems."""

from datetime import UTC, datetime

import pytest
from fastapi.exceptions import RequestValidationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from voiceagents.settings import Settings
from voiceagents.web import etags, paging, problems, tokens
from voiceagents.web.models import Role, Scope
from voiceagents.web.passwords import Passwords, WeakPassword, require_strong
from voiceagents.web.security import content_security_policy, known_hosts
from voiceagents.web.server import address_of
from voiceagents.web.sessions import network_of

pytestmark = pytest.mark.unit


def environment(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # pyright: ignore[reportCallIssue]


@given(st.integers(min_value=0, max_value=2**63 - 1))
def test_a_cursor_by_number_comes_back_as_it_went(place: int) -> None:
    assert paging.number(paging.encode([place])) == place


@given(st.datetimes(timezones=st.just(UTC)), st.uuids())
def test_a_cursor_by_time_and_id_comes_back_as_it_went(at: datetime, id_: object) -> None:
    assert paging.moment(paging.encode([at, id_])) == (at, id_)


@given(st.text(max_size=300))
def test_whatever_else_is_given_as_a_cursor_is_refused_and_named(text: str) -> None:
    for read in (paging.number, paging.moment):
        refused: problems.Problem | None = None
        try:
            read(text)
        except problems.Problem as problem:
            refused = problem
        assert refused is None or (refused.status, refused.details.errors[0].field) == (422, "cursor")


def test_the_last_page_has_no_next_and_others_have() -> None:
    page = paging.page_of([1, 2, 3], 2, str, lambda row: [row])
    assert page.items == ["1", "2"]
    assert paging.number(page.next) == 2
    assert paging.page_of([1, 2], 2, str, lambda row: [row]).next is None


class Thing(BaseModel):
    name: str


def test_an_edit_that_is_based_on_what_is_there_goes_through_and_any_other_does_not() -> None:
    present = Thing(name="new")
    etags.require_match(None, present)
    etags.require_match("*", present)
    etags.require_match(f'"other", {etags.etag_of(present)}', present)
    with pytest.raises(problems.Problem) as refused:
        etags.require_match(etags.etag_of(Thing(name="old")), present)
    assert refused.value.status == 412


def test_a_key_begins_so_that_people_and_scanners_know_one() -> None:
    key = tokens.new_key()
    assert key.startswith("va_")
    assert len(key) > 40
    assert tokens.hash_of(key) != tokens.hash_of(tokens.new_key())


def test_a_derived_token_says_nothing_of_its_source() -> None:
    session = tokens.new_token()
    assert session not in tokens.derived(session, "csrf")
    assert tokens.derived(session, "csrf") != tokens.derived(session, "other")
    assert tokens.same(tokens.derived(session, "csrf"), tokens.derived(session, "csrf"))


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("short", "10 are the least"),
        ("aaaaaaaaaaaaaa", "few different"),
        ("1234567890", "first that anybody"),
        ("password-2024", "first that anybody"),
        ("ana@example.com", "first that anybody"),
        ("x" * 1001, "longer than"),
    ],
)
def test_a_password_that_is_easily_guessed_is_refused_with_the_reason(password: str, why: str) -> None:
    with pytest.raises(WeakPassword, match=why):
        require_strong(password, "ana@example.com", "Ana")


def test_a_few_words_are_a_password() -> None:
    require_strong("correct horse battery", "ana@example.com", "Ana")


async def test_a_password_fits_what_is_kept_of_it_and_nothing_else_does() -> None:
    passwords = Passwords()
    kept = await passwords.hash("correct horse battery")
    assert "argon2id" in kept
    assert await passwords.fits("correct horse battery", kept)
    assert not await passwords.fits("correct horse", kept)
    assert not await passwords.fits("nobody has this password", None)
    assert not await passwords.fits("anything", "no hash at all")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("not an address", "not an address"),
    ],
)
def test_an_ipv6_network_counts_as_one_address(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("values", "others"),
    [
        ({}, set[str]()),
        ({"web_host": "192.0.2.5"}, {"192.0.2.5"}),
        ({"web_url": "https://calls.example.com"}, {"calls.example.com"}),
        ({"web_host": "0.0.0.0", "web_url": "https://calls.example.com/"}, {"calls.example.com"}),
    ],
)
def test_only_this_machine_and_known_hosts_are_answered(values: dict[str, str], others: set[str]) -> None:
    assert known_hosts(environment(**values)) == {"localhost", "127.0.0.1", "::1"} | others


def test_who_listens_everywhere_and_was_told_no_address_answers_to_any() -> None:
    assert known_hosts(environment(web_host="0.0.0.0")) is None


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert environment().web_host == "127.0.0.1"
    assert address_of(environment(), 8000) == "http://127.0.0.1:8000"
    assert address_of(environment(web_host="::1"), 80) == "http://[::1]:80"
    assert address_of(environment(web_url="https://calls.example.com/"), 80) == "https://calls.example.com"


def test_the_policy_lets_run_what_is_ours_and_lets_browsers_talk_to_livekit() -> None:
    policy = content_security_policy("wss://livekit.example.com/path")
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert "connect-src 'self' wss://livekit.example.com https://livekit.example.com" in policy
    assert "frame-ancestors 'none'" in policy
    assert "connect-src 'self' ws://127.0.0.1:7880 http://127.0.0.1:7880" in content_security_policy(
        "http://127.0.0.1:7880"
    )


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.VIEWER, {Role.VIEWER}),
        (Role.EDITOR, {Role.VIEWER, Role.EDITOR}),
        (Role.OWNER, {Role.VIEWER, Role.EDITOR, Role.OWNER}),
    ],
)
def test_each_role_may_what_the_one_before_may(role: Role, may: set[Role]) -> None:
    assert {other for other in Role if role.covers(other)} == may


def test_scopes_give_the_rights_of_roles() -> None:
    assert [scope.role for scope in Scope] == [Role.VIEWER, Role.EDITOR, Role.OWNER]


def test_a_problem_names_the_field_where_it_stands_and_the_mend() -> None:
    error = RequestValidationError(
        [
            {"type": "missing", "loc": ("body", "name"), "msg": "Field required", "input": {}},
            {"type": "extra_forbidden", "loc": ("body", "a/b"), "msg": "Extra inputs are not permitted", "input": 1},
            {"type": "uuid_parsing", "loc": ("path", "call_id"), "msg": "Input should be a valid UUID", "input": "x"},
        ]
    )
    problem = problems.of_validation(error)
    assert problem.status == 422
    first, second, third = problem.details.errors
    assert (first.field, first.pointer) == ("name", "#/name")
    assert "needed" in first.detail
    assert (second.pointer, "leave it out" in second.detail) == ("#/a~1b", True)
    assert third.pointer == "call_id"
    assert "name: " in problem.details.detail
