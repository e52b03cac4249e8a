"""Who asks, and may they? Dependencies for routes: a browser is known by its session cookie, a program by its API key.

@router.post("/campaigns")
async def create(by: Editor) -> …
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Response
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from voiceagents.web import keys, sessions
from voiceagents.web.csrf import csrf_token, session_cookie
from voiceagents.web.models import Role, User
from voiceagents.web.problems import Problem
from voiceagents.web.state import database_of

__all__ = [
    "Editor", "NotSignedIn", "Owner", "Principal", "Viewer", "clear_session", "client_address", "csrf_token",
    "current_user", "optional_user", "require", "session_token", "set_session",
]  # fmt: skip


class NotSignedIn(Problem):
    """Nobody we know. A page leads to the sign-in, the API answers 401."""

    def __init__(self, detail: str) -> None:
        super().__init__(401, "Who are you?", detail, kind="not-signed-in", headers={"WWW-Authenticate": "Bearer"})


@dataclass(frozen=True)
class Principal:
    """Who asks: a person in a browser, or a program with a key of that person's."""

    user_id: UUID
    name: str
    email: str
    role: Role
    """What they may; a key's scope never gives more than its person's role."""

    key_id: UUID | None = None
    key_name: str = ""

    @property
    def kind(self) -> str:
        return "user" if self.key_id is None else "api_key"

    @property
    def id(self) -> str:
        return str(self.key_id or self.user_id)

    @property
    def label(self) -> str:
        """As the audit log names them."""
        return self.email if self.key_id is None else f"{self.key_name} (key of {self.email})"

    def may(self, role: Role) -> bool:
        """Whether they have this role's rights; for templates, too."""
        return self.role.covers(role)


_bearer = HTTPBearer(
    auto_error=False, scheme_name="API key", description="An API key (`va_…`), made in the settings or by an owner."
)


async def optional_user(
    request: Request, _documented: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)] = None
) -> Principal | None:
    """Who asks, or None when nobody is signed in.

    Raises:
        NotSignedIn: a key was given, and it is no good.
    """
    database = database_of(request)
    header = request.headers.get("authorization")
    if header is not None:
        scheme, _, key = header.partition(" ")
        if scheme.lower() != "bearer":
            raise NotSignedIn("The Authorization header must be: Bearer, a blank, and an API key (va_…).")
        used = await keys.user_of(database, key.strip())
        if used is None:
            raise NotSignedIn("There is no such API key: it was revoked, has expired, or was not copied whole.")
        row, user = used
        role = min(row.scope.role, user.role, key=lambda role: role.rank)
        return Principal(user.id, user.name, user.email, role, row.id, row.name)
    token = session_token(request)
    user = await sessions.user_of(database, token) if token else None
    return None if user is None else _person(user)


async def current_user(principal: Annotated[Principal | None, Depends(optional_user)]) -> Principal:
    """Who asks.

    Raises:
        NotSignedIn: nobody is signed in, or the key is no good.
    """
    if principal is None:
        raise NotSignedIn("Sign in, or send an API key: Authorization: Bearer va_…")
    return principal


def require(role: Role) -> Callable[..., Awaitable[Principal]]:
    """A dependency that answers with who asks, when they may what this role may."""

    async def allowed(principal: Annotated[Principal, Depends(current_user)]) -> Principal:
        if not principal.may(role):
            have = (
                f"scope gives the rights of a {principal.role.value}"
                if principal.key_id
                else f"role is {principal.role.value}"
            )
            raise Problem(
                403,
                "You may not do that",
                f"It takes the rights of an {role.value}, and your {have}. An owner can change that.",
                kind="not-allowed",
            )
        return principal

    return allowed


Viewer = Annotated[Principal, Depends(require(Role.VIEWER))]
"""Anybody who is signed in."""

Editor = Annotated[Principal, Depends(require(Role.EDITOR))]
Owner = Annotated[Principal, Depends(require(Role.OWNER))]


def session_token(request: Request) -> str | None:
    """The token in the session cookie."""
    return request.cookies.get(session_cookie(request))


def set_session(request: Request, response: Response, token: str) -> None:
    """Lets the browser keep the session: out of scripts' reach, and not sent along by other sites' forms."""
    response.set_cookie(
        session_cookie(request),
        token,
        max_age=int(sessions.LASTS.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def clear_session(request: Request, response: Response) -> None:
    """Lets the browser forget the session."""
    response.delete_cookie(session_cookie(request), httponly=True, samesite="lax", secure=request.url.scheme == "https")


def client_address(request: Request) -> str:
    """Where the request comes from, as far as uvicorn trusts what a proxy says."""
    return request.client.host if request.client is not None else ""


def _person(user: User) -> Principal:
    return Principal(user.id, user.name, user.email, user.role)
