"""What does a client hear when something is wrong? Problem details (RFC 9457) that name the field and the mend.

    {"type": "/problems/invalid", "title": "…", "status": 422, "detail": "…",
     "errors": [{"field": "calls_per_second", "pointer": "#/calls_per_second", "detail": "…"}]}

A page of the browser gets the same as a page, where `app.state.problem_page` says how one looks.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

log = logging.getLogger("voiceagents.web")

MEDIA_TYPE = "application/problem+json"
_PLAIN_PATHS = ("/api/", "/hooks/")

_MENDS = {
    "missing": "It is needed.",
    "extra_forbidden": "There is no such field; leave it out or check its spelling.",
    "json_invalid": "The body must be JSON.",
    "model_attributes_type": "The body must be a JSON object.",
    "uuid_parsing": "It must be an id as the lists show it.",
}


class FieldError(BaseModel):
    """What is wrong with one field, and how to mend it."""

    field: str
    pointer: str
    """Where in the body it stands (RFC 6901), or the name of the query parameter, header or part of the path."""

    detail: str


class ProblemDetails(BaseModel):
    """The body of every error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class Problem(Exception):
    """An answer that is an error.

    Args:
        status: of HTTP.
        title: what kind of problem it is, the same for all of its kind.
        detail: what is wrong this time, and how to mend it.
        kind: names the kind in `type`.
        errors: the fields that are to blame.
        headers: to send along.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        *,
        kind: str,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.headers = dict(headers or {})
        self.details = ProblemDetails(
            type=f"/problems/{kind}", title=title, status=status, detail=detail, errors=list(errors)
        )


def not_found(detail: str) -> Problem:
    """404."""
    return Problem(404, "There is no such thing", detail, kind="not-found")


def conflict(detail: str) -> Problem:
    """409: it cannot be done as things are now."""
    return Problem(409, "That cannot be done as things are", detail, kind="conflict")


def invalid(field: str, detail: str, *, where: str = "body") -> Problem:
    """422, with the field to blame."""
    pointer = f"#/{field.replace('.', '/')}" if where == "body" else field
    return _invalid([FieldError(field=field, pointer=pointer, detail=detail)])


def of_validation(error: ValidationError | RequestValidationError) -> Problem:
    """422, with each field that pydantic found wrong."""
    errors: list[FieldError] = []
    for found in error.errors():
        where = [str(part) for part in found["loc"]]
        place = where.pop(0) if where and where[0] in ("body", "query", "path", "header", "cookie") else "body"
        pointer = "#/" + "/".join(part.replace("~", "~0").replace("/", "~1") for part in where)
        said = str(found["msg"]).removeprefix("Value error, ")
        mend = _MENDS.get(found["type"])
        errors.append(
            FieldError(
                field=".".join(where) or place,
                pointer=pointer if place == "body" else ".".join(where),
                detail=f"{said}. {mend}" if mend else said,
            )
        )
    return _invalid(errors)


def install(app: FastAPI) -> None:
    """Lets the application answer with problem details."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_fault)


def answer(request: Request, problem: Problem) -> Response:
    """The problem as this client reads it."""
    if request.url.path.startswith(_PLAIN_PATHS):
        return JSONResponse(
            problem.details.model_dump(), status_code=problem.status, headers=problem.headers, media_type=MEDIA_TYPE
        )
    if problem.status == 401:
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        target = f"/sign-in?next={quote(here, safe='/')}" if request.method == "GET" else "/sign-in"
        if "hx-request" in request.headers:
            # htmx would put the sign-in page into a corner of this one.
            return Response(status_code=204, headers={"HX-Redirect": target})
        return RedirectResponse(target, status_code=303)
    page: Callable[[Request, Problem], Response] | None = getattr(request.app.state, "problem_page", None)
    if page is not None:
        return page(request, problem)
    words = f"{problem.details.title}\n{problem.details.detail}\n"
    return PlainTextResponse(words, status_code=problem.status, headers=problem.headers)


async def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return answer(request, error)


async def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return answer(request, of_validation(error))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    known: dict[int, tuple[str, str]] = {
        404: ("not-found", "There is nothing at this address."),
        405: ("method", f"{request.method} is not for this address."),
        413: ("too-long", str(error.detail)),
    }
    kind, detail = known.get(error.status_code, ("http", str(error.detail)))
    title = HTTPStatus(error.status_code).phrase
    return answer(request, Problem(error.status_code, title, detail, kind=kind, headers=error.headers))


async def _on_fault(request: Request, error: Exception) -> Response:
    # The server's own log has the traceback: Starlette raises the error again after this answer.
    return answer(request, Problem(500, "A fault of ours", "The log of `voiceagents web` says more.", kind="fault"))


def _invalid(errors: Sequence[FieldError]) -> Problem:
    words = "; ".join(f"{error.field}: {error.detail}" for error in errors[:3])
    return Problem(422, "Something in the request will not do", words, kind="invalid", errors=errors)
