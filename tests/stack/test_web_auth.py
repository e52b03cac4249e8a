"""Who gets in, how far, and who does not: accounts, sessions, keys, roles, and requests that others made a browser
send."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import func, select, text

from tests.web import EMAIL, PASSWORD, Browser, Site, web_settings
from voiceagents import clock
from voiceagents.db import Database
from voiceagents.web import accounts, csrf, keys, sessions
from voiceagents.web.accounts import AccountProblem
from voiceagents.web.app import create_app
from voiceagents.web.models import ApiKey, AuditEntry, Role, Scope, Session, SignInAttempt, User
from voiceagents.web.passwords import Passwords
from voiceagents.web.sessions import SignInRefused

pytestmark = pytest.mark.stack

HERE = "192.0.2.7"


@pytest.fixture
def time_passes() -> Iterator["Time"]:
    time = Time()
    clock.set_source(time.now)
    yield time
    clock.set_source(None)


class Time:
    def __init__(self) -> None:
        self._ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._ahead

    def skip(self, **time: float) -> None:
        self._ahead += timedelta(**time)


async def test_the_first_owner_comes_by_a_link_that_is_good_once(database: Database) -> None:
    passwords = Passwords()
    first, second = await accounts.first_owner_link(database), await accounts.first_owner_link(database)
    assert first
    assert second
    assert (await accounts.welcome(database, first)).first_owner
    user = await accounts.accept(database, passwords, first, email=EMAIL, name="Olga", password=PASSWORD)
    assert user.role is Role.OWNER
    assert await accounts.first_owner_link(database) is None
    for used in (first, second):
        with pytest.raises(AccountProblem, match="used already"):
            await accounts.accept(database, passwords, used, email="eve@example.com", name="", password=PASSWORD)


async def test_a_link_that_is_followed_twice_at_once_makes_one_owner(database: Database) -> None:
    token, passwords = await accounts.first_owner_link(database), Passwords()
    assert token is not None
    made = await asyncio.gather(
        *(
            accounts.accept(database, passwords, token, email=f"o{n}@example.com", name="", password=PASSWORD)
            for n in range(3)
        ),
        return_exceptions=True,
    )
    assert len([one for one in made if isinstance(one, User)]) == 1
    assert len([one for one in made if isinstance(one, AccountProblem)]) == 2


async def test_a_link_expires(database: Database, time_passes: Time) -> None:
    token = await accounts.first_owner_link(database)
    assert token is not None
    time_passes.skip(hours=49)
    with pytest.raises(AccountProblem, match="expired"):
        await accounts.welcome(database, token)


@pytest.mark.parametrize(("email", "password", "field"), [("nobody", PASSWORD, "email"), (EMAIL, "short", "password")])
async def test_a_field_that_will_not_do_is_named_and_the_link_stays_good(
    database: Database, email: str, password: str, field: str
) -> None:
    token = await accounts.first_owner_link(database)
    assert token is not None
    with pytest.raises(AccountProblem) as refused:
        await accounts.accept(database, Passwords(), token, email=email, name="", password=password)
    assert refused.value.field == field
    assert (await accounts.welcome(database, token)).first_owner


async def sign_in(site: Site, password: str, *, email: str = EMAIL, address: str = HERE) -> sessions.SignedIn:
    return await sessions.sign_in(site.database, site.app.state.passwords, email, password, address=address)


async def test_a_password_is_kept_as_argon2_only_and_lets_in_however_the_address_is_written(site: Site) -> None:
    assert site.owner.password_hash is not None
    assert site.owner.password_hash.startswith("$argon2id$")
    assert (await sign_in(site, PASSWORD, email=" Owner@Example.COM ")).user.id == site.owner.id


async def test_a_wrong_password_and_an_unknown_person_hear_the_same(site: Site) -> None:
    said: set[str] = set()
    for email in (EMAIL, "nobody@example.com"):
        with pytest.raises(SignInRefused) as refused:
            await sign_in(site, "wrong wrong wrong", email=email)
        said.add(str(refused.value))
    assert len(said) == 1


async def test_who_guesses_must_wait_also_with_many_guesses_at_once(site: Site, time_passes: Time) -> None:
    guesses = await asyncio.gather(*(sign_in(site, f"guess {n} guess") for n in range(8)), return_exceptions=True)
    waiting = [guess for guess in guesses if isinstance(guess, SignInRefused) and guess.wait is not None]
    assert len(waiting) == 8 - sessions.FAILURES_OF_ONE
    with pytest.raises(SignInRefused, match="Too many") as refused:
        await sign_in(site, PASSWORD)
    assert refused.value.wait is not None
    assert 0 < refused.value.wait <= sessions.WINDOW.total_seconds()
    assert (await sign_in(site, PASSWORD, address="192.0.2.8")).user.id == site.owner.id  # nobody is shut out by it
    time_passes.skip(minutes=16)
    await sign_in(site, PASSWORD)


async def test_success_forgets_the_failures_before(site: Site) -> None:
    for _ in range(sessions.FAILURES_OF_ONE - 1):
        with pytest.raises(SignInRefused):
            await sign_in(site, "wrong wrong wrong")
    await sign_in(site, PASSWORD)
    async with site.database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(SignInAttempt)) == 0


async def test_one_address_may_not_guess_at_many_people(site: Site) -> None:
    async with site.database.transaction() as session:
        session.add_all(
            SignInAttempt(at=clock.now(), address=HERE, email=f"p{n}@example.com")
            for n in range(sessions.FAILURES_FROM_ADDRESS)
        )
    with pytest.raises(SignInRefused, match="Too many"):
        await sign_in(site, PASSWORD)


async def test_a_session_ends_when_nobody_uses_it_and_in_the_end_anyway(site: Site, time_passes: Time) -> None:
    token = (await sign_in(site, PASSWORD)).token
    for _ in range(4):
        time_passes.skip(days=6)
        assert await sessions.user_of(site.database, token) is not None
    time_passes.skip(days=7)
    assert await sessions.user_of(site.database, token) is None
    other = (await sign_in(site, PASSWORD)).token
    time_passes.skip(days=8)
    assert await sessions.user_of(site.database, other) is None


async def test_no_secret_stands_in_the_database(site: Site) -> None:
    token, key = (await sign_in(site, PASSWORD)).token, await site.key()
    async with site.database.transaction() as session:
        for table in ("users", "sessions", "api_keys", "one_time_links"):
            rows = (await session.execute(text(f"SELECT * FROM {table}"))).all()
            for secret in (token, key, PASSWORD):
                assert secret not in str(rows)
                assert secret.encode() not in str(rows).encode()


async def test_signing_out_ends_the_session(site: Site) -> None:
    async with site.browser() as browser:
        assert (await browser.get("/api/v1/me")).json()["email"] == EMAIL
        await sessions.sign_out(site.database, browser.cookies["voiceagents"])
        assert (await browser.get("/api/v1/me")).status_code == 401


async def test_a_new_password_signs_out_everywhere(site: Site) -> None:
    async with site.browser() as browser, site.browser() as other:
        wrong = await browser.post("/api/v1/me/password", json={"old": "not the one", "new": "another long one"})
        assert wrong.json()["errors"][0]["field"] == "old"
        changed = await browser.post("/api/v1/me/password", json={"old": PASSWORD, "new": "another long one"})
        assert changed.status_code == 204
        assert (await other.get("/api/v1/me")).status_code == 401
    async with site.browser(password="another long one"):
        pass


async def test_a_request_that_another_page_made_a_browser_send_does_nothing(site: Site) -> None:
    async with site.browser() as browser:
        token = browser.headers.pop(csrf.HEADER)
        body = {"name": "Stolen", "prompt": "x"}
        for headers in (
            {},
            {csrf.HEADER: "wrong"},
            {csrf.HEADER: token, "Origin": "https://evil.example.com"},
            {csrf.HEADER: token, "Origin": "null"},
        ):
            refused = await browser.post("/api/v1/campaigns", json=body, headers=headers)
            assert refused.status_code == 403
            assert refused.json()["type"] == "/problems/csrf"
        form = await browser.post("/api/v1/campaigns", data={"csrf_token": "wrong"})
        assert form.status_code == 403
        assert (await browser.get("/api/v1/campaigns")).json()["items"] == []
        ours = await browser.post(
            "/api/v1/campaigns", json=body, headers={csrf.HEADER: token, "Origin": "http://localhost"}
        )
        assert ours.status_code == 201


async def test_the_token_of_one_session_is_no_good_in_another(site: Site) -> None:
    async with site.browser() as one, site.browser() as other:
        one.headers[csrf.HEADER] = other.headers[csrf.HEADER]
        assert (await one.post("/api/v1/campaigns", json={"name": "x"})).status_code == 403


async def test_a_session_cookie_beside_a_bad_key_counts_for_nothing(site: Site) -> None:
    async with site.browser() as browser:
        headers = {"Authorization": "Bearer va_wrong"}
        assert (await browser.get("/api/v1/me", headers=headers)).status_code == 401
        assert (await browser.post("/api/v1/campaigns", json={"name": "x"}, headers=headers)).status_code == 401


@pytest.mark.parametrize("header", ["Bearer", "Bearer ", "Basic b3duZXI6eA==", "va_x", "Bearer va_x", "Bearer x y z"])
async def test_a_header_that_is_no_key_is_told_so(shared_site: Site, header: str) -> None:
    async with Browser(shared_site.app) as anybody:
        refused = await anybody.get("/api/v1/me", headers={"Authorization": header})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        (Scope.READ, "GET", "/campaigns", 200),
        (Scope.READ, "POST", "/campaigns", 403),
        (Scope.READ, "GET", "/users", 403),
        (Scope.WRITE, "POST", "/campaigns", 201),
        (Scope.WRITE, "PATCH", "/settings", 403),
        (Scope.WRITE, "GET", "/keys", 403),
        (Scope.WRITE, "GET", "/audit", 403),
        (Scope.WRITE, "GET", "/webhooks", 403),
        (Scope.ADMIN, "PATCH", "/settings", 200),
        (Scope.ADMIN, "GET", "/keys", 200),
    ],
)
async def test_a_key_may_what_its_scope_says(
    shared_site: Site, scope: Scope, method: str, path: str, status: int
) -> None:
    body = {"max_concurrent": 9} if path == "/settings" else {"name": f"Spring {uuid4()}"}
    async with shared_site.api(scope) as api:
        answer = await api.request(method, path, json=body if method != "GET" else None)
    assert answer.status_code == status, answer.text


async def test_every_operation_but_the_health_asks_who_it_is(site: Site) -> None:
    async with Browser(site.app) as nobody:
        paths: dict[str, dict[str, object]] = (await nobody.get("/api/v1/openapi.json")).json()["paths"]
        for path, operations in paths.items():
            for method in operations:
                address = path.replace("{", "").replace("}", "")
                answer = await nobody.request(method, address, headers={"Authorization": "Bearer va_no"})
                assert answer.status_code == (200 if path == "/healthz" else 401), f"{method} {path}"


async def test_a_key_is_good_until_it_is_revoked_or_expires(site: Site, time_passes: Time) -> None:
    async with site.api() as api:
        made = (await api.post("/keys", json={"name": "robot", "scope": "read"})).json()
        soon = (clock.now() + timedelta(hours=1)).isoformat()
        short = (await api.post("/keys", json={"name": "short", "scope": "read", "expires_at": soon})).json()
        listed = (await api.get("/keys")).json()
        assert made["key"].startswith(made["hint"])
        assert all("key" not in key and "key_hash" not in key for key in listed)
        robot = {"Authorization": f"Bearer {made['key']}"}
        assert (await api.get("/me", headers=robot)).json()["role"] == "viewer"
        revoked = await api.delete(f"/keys/{made['id']}")
        assert revoked.json()["revoked_at"] is not None
        assert (await api.get("/me", headers=robot)).status_code == 401
        passing = {"Authorization": f"Bearer {short['key']}"}
        assert (await api.get("/me", headers=passing)).status_code == 200
        time_passes.skip(hours=2)
        assert (await api.get("/me", headers=passing)).status_code == 401
        past = await api.post("/keys", json={"name": "x", "expires_at": soon})
        assert past.json()["errors"][0]["field"] == "expires_at"


async def test_a_key_never_may_more_than_its_person(site: Site) -> None:
    async with site.api() as api:
        invited = (await api.post("/users", json={"email": "ed@example.com", "role": "editor"})).json()["user"]
        async with site.database.transaction() as session:
            user = await session.scalar(select(User).where(User.email == "ed@example.com"))
            assert user is not None
            _, key = await keys.make(session, user.id, name="ed's", scope=Scope.ADMIN, expires_at=None)
        own = {"Authorization": f"Bearer {key}"}
        assert (await api.get("/me", headers=own)).json()["role"] == "editor"
        assert (await api.get("/users", headers=own)).status_code == 403
        await api.patch(f"/users/{invited['id']}", json={"disabled": True})
        assert (await api.get("/me", headers=own)).status_code == 401
        async with site.database.transaction() as session:
            assert await session.scalar(select(ApiKey.revoked_at).where(ApiKey.name == "ed's")) is not None


async def test_an_invited_person_chooses_a_password_by_a_link_and_is_shut_out_when_disabled(site: Site) -> None:
    async with site.api() as api:
        answer = (await api.post("/users", json={"email": "vera@example.com", "name": "Vera"})).json()
        token = answer["link"].rpartition("/")[2]
        assert answer["link"] == f"http://localhost/welcome/{token}"
        assert (await accounts.welcome(site.database, token)).email == "vera@example.com"
        await accounts.accept(
            site.database, site.app.state.passwords, token, email="other@example.com", name="", password=PASSWORD
        )
        async with site.browser("vera@example.com") as browser:
            assert (await browser.get("/api/v1/me")).json()["role"] == "viewer"
            assert (await browser.get("/api/v1/users")).status_code == 403
            changed = await api.patch(f"/users/{answer['user']['id']}", json={"disabled": True})
            assert changed.json()["disabled_at"] is not None
            assert (await browser.get("/api/v1/me")).status_code == 401
        again = await api.post("/users", json={"email": "VERA@example.com"})
        assert again.json()["errors"][0]["field"] == "email"
    with pytest.raises(SignInRefused):
        await sign_in(site, PASSWORD, email="vera@example.com")


@pytest.mark.parametrize("change", [{"role": "viewer"}, {"disabled": True}])
async def test_the_last_owner_stays(shared_site: Site, change: dict[str, object]) -> None:
    async with shared_site.api() as api:
        refused = await api.patch(f"/users/{shared_site.owner.id}", json=change)
        assert refused.status_code == 422
        assert "last owner" in refused.json()["detail"]
        assert (await api.get("/me")).json()["role"] == "owner"


async def test_every_answer_has_the_headers_that_protect_a_browser(site: Site) -> None:
    async with Browser(site.app) as anybody:
        for path in ("/healthz", "/api/v1/me", "/nowhere", "/api/v1/openapi.json"):
            headers = (await anybody.get(path)).headers
            assert "default-src 'self'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["x-frame-options"] == "DENY"
            assert headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in headers


async def test_a_name_that_was_pointed_here_by_a_stranger_is_not_answered(site: Site) -> None:
    async with Browser(site.app) as anybody:
        refused = await anybody.get("/healthz", headers={"Host": "rebound.example.com"})
        assert refused.status_code == 421
        for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
            assert (await anybody.get("/healthz", headers={"Host": host})).status_code == 200


async def test_much_is_read_only_from_who_is_known(site: Site) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * (1 << 20)

    async with Browser(site.app) as anybody, site.api() as api:
        text = {"Content-Type": "text/plain"}
        for body in (b"x" * (5 << 20), pieces()):
            refused = await anybody.post("/api/v1/campaigns", content=body, headers=text)
            assert refused.status_code == 413
            assert "signed in" in refused.json()["detail"]
        guess = {"Authorization": "Bearer va_guess", **text}
        assert (await anybody.post("/api/v1/campaigns", content=pieces(), headers=guess)).status_code in (401, 413)
        assert (await api.post("/campaigns", content=pieces(), headers=text)).status_code == 422


async def test_over_https_cookies_are_for_this_host_alone(site: Site) -> None:
    from fastapi import Request, Response

    from voiceagents.web.auth import csrf_token, set_session

    @site.app.get("/form")
    async def form(request: Request, response: Response) -> str:  # pyright: ignore[reportUnusedFunction]
        set_session(request, response, "token")
        return csrf_token(request)

    transport = httpx.ASGITransport(app=site.app)
    async with httpx.AsyncClient(transport=transport, base_url="https://localhost") as browser:
        answer = await browser.get("/form")
        session, visit = answer.headers.get_list("set-cookie")
        assert session.startswith("__Host-voiceagents=token")
        assert visit.startswith("__Host-voiceagents-visit=")
        for cookie in (session, visit):
            for attribute in ("httponly", "secure", "samesite=lax", "path=/"):
                assert attribute in cookie.lower()
        assert "strict-transport-security" in answer.headers


async def test_every_change_is_on_record_with_who_made_it(site: Site) -> None:
    async with site.api() as api, site.browser() as browser:
        made = (await api.post("/campaigns", json={"name": "Spring"})).json()
        await browser.patch(f"/api/v1/campaigns/{made['id']}", json={"priority": 7})
        await browser.patch(f"/api/v1/campaigns/{made['id']}", json={"priority": 7})
        entries = (await api.get("/audit", params={"subject_id": made["id"]})).json()["items"]
    assert [(entry["action"], entry["actor_kind"]) for entry in entries] == [
        ("changed", "user"),
        ("created", "api_key"),
    ]
    assert entries[0]["detail"] == {"fields": ["priority"]}
    assert entries[0]["actor_name"] == EMAIL
    async with site.database.transaction() as session:
        rows = (await session.scalars(select(AuditEntry))).all()
    assert all("va_" not in str(row.detail) for row in rows)


async def test_who_signed_in_and_from_where_is_on_record(site: Site) -> None:
    await sign_in(site, PASSWORD)
    async with site.api() as api:
        entries = (await api.get("/audit", params={"subject_id": str(site.owner.id)})).json()["items"]
    assert [(entry["action"], entry["address"]) for entry in entries] == [("signed in", HERE), ("became the owner", "")]


async def test_sessions_of_a_user_go_with_the_user(site: Site) -> None:
    await sign_in(site, PASSWORD)
    async with site.database.transaction() as session:
        await session.delete(await session.get_one(User, site.owner.id))
        await session.flush()
        assert await session.scalar(select(func.count()).select_from(Session)) == 0


async def test_a_database_that_is_away_is_told_as_such(unused_tcp_port: int) -> None:
    url = f"postgresql://x@127.0.0.1:{unused_tcp_port}/none"
    app = create_app(web_settings(url), Database(url), with_pages=False)
    async with Browser(app) as anybody:
        answer = await anybody.get("/healthz")
        assert answer.status_code == 503
        kept = await anybody.get("/api/v1/me", headers={"Authorization": "Bearer va_x"})
        assert (kept.status_code, kept.json()["type"]) == (503, "/problems/database-away")
        assert "retry-after" in kept.headers
