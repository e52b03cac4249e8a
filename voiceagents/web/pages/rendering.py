"""How does what a service answers become a page? Templates with one set of words, the frame around them, and the notice
that the next page shows.

A page that a form leads to says what was done: the words travel in a short-lived cookie.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from voiceagents import clock
from voiceagents.web.auth import Principal, csrf_token
from voiceagents.web.csrf import FIELD
from voiceagents.web.models import Role
from voiceagents.web.pages import words
from voiceagents.web.problems import Problem

NAVIGATION = (
    ("Campaigns", "/campaigns"),
    ("Calls", "/calls"),
    ("Live", "/live"),
    ("Assistants", "/assistants"),
    ("Numbers", "/numbers"),
    ("Do-not-call", "/do-not-call"),
    ("Calendars", "/calendars"),
    ("Settings", "/settings"),
)
_STATIC = Path(__file__).parent.parent / "static"
_NOTICE = "voiceagents-notice"
_NOTICE_SECONDS = 20


@lru_cache
def _version_of(name: str) -> str:
    path = _STATIC / name
    return sha256(path.read_bytes()).hexdigest()[:8] if path.is_file() else "missing"


def static(name: str) -> str:
    """The address of one of our files, another one when the file has changed."""
    return f"/static/{name}?v={_version_of(name)}"


def utc(instant: datetime) -> str:
    """An instant for who reads without JavaScript; with it, the reader's own zone is shown instead."""
    return f"{instant.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def there(instant: datetime, zone: str) -> str:
    """An instant by the clock of a contact.

    >>> there(datetime(2026, 3, 10, 16, 0, tzinfo=UTC), "America/New_York")
    'Tue 12:00 New York'
    """
    return f"{instant.astimezone(ZoneInfo(zone)):%a %H:%M} {zone.rpartition('/')[2].replace('_', ' ')}"


def since(instant: datetime) -> str:
    """Minutes and seconds from an instant to now."""
    seconds = max(0, round((clock.now() - instant).total_seconds()))
    return f"{seconds // 60}:{seconds % 60:02}"


def duration(seconds: float | None) -> str:
    """Minutes and seconds."""
    return "" if not seconds else f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def number(value: float) -> str:
    """A count with thin spaces between thousands."""
    return f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def here(query: Mapping[str, str], **changes: str | None) -> str:
    """The same page with other parameters; None takes one away."""
    kept = {key: value for key, value in {**query, **changes}.items() if value}
    return f"?{urlencode(kept)}"


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("voiceagents.web", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    made.globals.update(  # pyright: ignore[reportUnknownMemberType]
        static=static,
        Role=Role,
        navigation=NAVIGATION,
        address=here,
        tone_of_state=words.tone_of_state,
        tone_of_outcome=words.tone_of_outcome,
        in_words=words.of_outcome,
    )
    made.filters.update(  # pyright: ignore[reportUnknownMemberType]
        utc=utc, there=there, since=since, duration=duration, number=number, plain=words.plain, rule=words.of_rule
    )
    return made


_templates = _environment()


def page(
    request: Request, user: Principal | None, template: str, *, nav: str = "", status: int = 200, **context: Any
) -> HTMLResponse:
    """A whole page.

    Args:
        request: that it answers.
        user: who looks.
        template: its name, without `.html`.
        nav: which entry of the navigation it belongs to.
        status: of HTTP.
        context: what the template shows.
    """
    notice = unquote(request.cookies.get(_NOTICE, ""))
    response = HTMLResponse(_rendered(request, user, template, {"nav": nav, "notice": notice, **context}), status)
    if notice:
        response.delete_cookie(_NOTICE)
    return response


def fragment(
    request: Request, user: Principal | None, template: str, *, status: int = 200, **context: Any
) -> HTMLResponse:
    """A part of a page that htmx puts into its place."""
    return HTMLResponse(_rendered(request, user, template, context), status)


def _rendered(request: Request, user: Principal | None, template: str, context: Mapping[str, Any]) -> str:
    token = csrf_token(request)
    field = Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, token)
    return _templates.get_template(f"{template}.html").render(
        user=user,
        csrf=token,
        csrf_field=lambda: field,
        query=dict(request.query_params),
        path=request.url.path,
        **context,
    )


def then(request: Request, target: str, notice: str = "") -> Response:
    """On to another page, which says what was done."""
    if "hx-request" in request.headers:
        response = Response(status_code=204, headers={"HX-Redirect": target})
    else:
        response = RedirectResponse(target, status_code=303)
    if notice:
        response.set_cookie(
            _NOTICE, quote(notice[:1500]), max_age=_NOTICE_SECONDS, httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip
    return response


def problem_page(request: Request, problem: Problem) -> Response:
    """An error as a person reads it. In answer to htmx, words to be put where they belong."""
    details = problem.details
    if "hx-request" in request.headers:
        said = Markup('<div class="notice bad" role="alert">{}</div>').format(details.detail)
        response = HTMLResponse(said, problem.status, headers=problem.headers)
        response.headers["HX-Reswap"] = "innerHTML"
        return response
    response = page(request, None, "problem", status=problem.status, details=details)
    response.headers.update(problem.headers)
    return response


def local_target(text: str | None, default: str) -> str:
    """A path of ours to go on to; anything that leads elsewhere becomes the default.

    >>> local_target("/calls?outcome=busy", "/"), local_target("//evil.example", "/"), local_target(None, "/")
    ('/calls?outcome=busy', '/', '/')
    """
    given = text or ""
    good = given.startswith("/") and not given.startswith(("//", "/\\")) and all(c.isprintable() for c in given)
    return given if good else default


def marked(text: str, spans: list[tuple[int, int, str]]) -> Markup:
    """Text with some stretches marked, each with a class."""
    pieces: list[Markup] = []
    place = 0
    for start, end, kind in spans:
        pieces.append(escape(text[place:start]))
        pieces.append(Markup('<mark class="{}">{}</mark>').format(kind, text[start:end]))
        place = end
    pieces.append(escape(text[place:]))
    return Markup("").join(pieces)


def query_of(request: Request) -> dict[str, str]:
    """The parameters of the address, those that are empty left out."""
    return {key: value.strip() for key, value in parse_qsl(request.url.query) if value.strip()}
