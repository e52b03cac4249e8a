"""Which answer does an error of our own services become? What a person can mend is told; 500 is for faults of ours."""

from collections.abc import Callable

import aiohttp
from fastapi import FastAPI, Request
from fastapi.responses import Response
from livekit import api
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    StatementError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from voiceagents.assistants.store import AssistantProblem
from voiceagents.calls.bucket import BucketProblem
from voiceagents.calls.metadata import MetadataError
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.numbers import UnknownRegion
from voiceagents.campaigns.rows import TableError
from voiceagents.carrier import CarrierError
from voiceagents.db import DatabaseProblem
from voiceagents.phone import InvalidPhoneNumber
from voiceagents.settings import SettingsError
from voiceagents.web.accounts import AccountProblem
from voiceagents.web.keys import KeyProblem
from voiceagents.web.problems import Problem, answer, conflict, invalid, not_found
from voiceagents.webhooks.endpoints import EndpointProblem

_SOON = {"Retry-After": "5"}


def install(app: FastAPI) -> None:
    """Lets the application answer to each known error with its problem."""
    for kind, problem_of in _KNOWN.items():
        app.add_exception_handler(kind, _handler(problem_of))


def _handler(problem_of: Callable[..., Problem | None]) -> Callable[[Request, Exception], Response]:
    def handle(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem is None:
            raise error
        return answer(request, problem)

    return handle


def _conflict(error: Exception) -> Problem:
    return conflict(str(error))


def _missing(error: KeyProblem) -> Problem:
    return not_found(str(error))


def _account(error: AccountProblem) -> Problem:
    if error.missing:
        return not_found(str(error))
    return invalid(error.field, str(error)) if error.field else conflict(str(error))


def _endpoint(error: EndpointProblem) -> Problem:
    return not_found(str(error)) if error.field is None else invalid(error.field, str(error))


def _phone(error: InvalidPhoneNumber) -> Problem:
    return invalid("phone", str(error))


def _body(error: Exception) -> Problem:
    return invalid("body", str(error))


def _database(error: Exception) -> Problem:
    reason = (str(getattr(error, "orig", None) or error).strip().splitlines() or ["no answer"])[0]
    return Problem(
        503,
        "The database is away",
        f"{reason}. Try again soon; `voiceagents doctor` looks at it.",
        kind="database-away",
        headers=_SOON,
    )


def _statement(error: StatementError) -> Problem | None:
    """Values that PostgreSQL cannot hold: NUL, half a character, a number too large."""
    if isinstance(error, DBAPIError) and not isinstance(error, DataError):
        sqlstate = getattr(error.orig, "sqlstate", None) or ""
        if error.connection_invalidated or sqlstate[:2] in ("08", "53", "57"):
            return _database(error)
        return None
    if isinstance(error, DataError) or isinstance(error.orig, (ValueError, OverflowError)):
        return Problem(
            422,
            "Something in the request will not do",
            "A value cannot be stored: it holds a character that no text has (NUL, half of a pair), or is too large.",
            kind="invalid",
        )
    return None


def _integrity(error: IntegrityError) -> Problem:
    return conflict("Somebody else has changed or removed what this is about, at the same time; look again.")


def _livekit(error: Exception) -> Problem:
    if isinstance(error, api.ServerError):
        if error.status == 401 or error.code in ("unauthenticated", "permission_denied"):
            return conflict("LiveKit refuses our key: check LIVEKIT_API_KEY and LIVEKIT_API_SECRET.")
        said = f"LiveKit refused: {error.message} ({error.code})."
    else:
        said = f"LiveKit cannot be reached ({error or type(error).__name__}): is it running, is LIVEKIT_URL right?"
    return Problem(503, "LiveKit did not do its part", said, kind="livekit", headers=_SOON)


def _bucket(error: BucketProblem) -> Problem:
    return Problem(503, "The recordings are out of reach", str(error), kind="recordings-away", headers=_SOON)


def _unicode(_error: UnicodeEncodeError) -> Problem:
    return invalid("body", "A text holds half of a character pair (a lone surrogate), which cannot be stored.")


_KNOWN: dict[type[Exception], Callable[..., Problem | None]] = {
    AccountProblem: _account,
    AssistantProblem: _conflict,
    BucketProblem: _bucket,
    CampaignProblem: _conflict,
    CarrierError: _conflict,
    EndpointProblem: _endpoint,
    SettingsError: _conflict,
    KeyProblem: _missing,
    InvalidPhoneNumber: _phone,
    MetadataError: _body,
    TableError: _body,
    UnknownRegion: _body,
    DatabaseProblem: _database,
    OperationalError: _database,
    InterfaceError: _database,
    PoolTimeout: _database,
    IntegrityError: _integrity,
    StatementError: _statement,
    UnicodeEncodeError: _unicode,
    api.ServerError: _livekit,
    aiohttp.ClientError: _livekit,
}
