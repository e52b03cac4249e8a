"""People, their API keys, and the audit log: who may what, and who did what."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import AwareDatetime, Field

from voiceagents import clock
from voiceagents.web import accounts, audit, keys, paging
from voiceagents.web.api import dependencies as shared
from voiceagents.web.api.dependencies import Data, Env, Tx, View
from voiceagents.web.auth import Owner, Viewer
from voiceagents.web.etags import IfMatch, require_match, tag
from voiceagents.web.models import ApiKey, Role, Scope, User
from voiceagents.web.paging import Cursor, Limit, Page, page_of
from voiceagents.web.problems import Problem, invalid
from voiceagents.web.state import welcome_link

router = APIRouter()

_LONGEST = timedelta(days=36_500)


class UserView(View):
    """A person who signs in."""

    id: UUID
    email: str
    name: str
    role: Role
    created_at: datetime
    signed_in_at: datetime | None
    disabled_at: datetime | None


class Me(View):
    """Who asks, and what they may."""

    kind: str
    id: str
    name: str
    email: str
    role: Role


class Invitation(shared.Body):
    """Somebody new."""

    email: str = Field(max_length=254)
    name: str = Field(default="", max_length=100)
    role: Role = Role.VIEWER


class Invited(View):
    """A user and the link, good once, by which they choose a password. It is shown only now."""

    user: UserView
    link: str


class UserChange(shared.Body):
    """What to change; what is left out stays."""

    name: str | None = Field(default=None, max_length=100)
    role: Role | None = None
    disabled: bool | None = None


class PasswordChange(shared.Body):
    """The present password and a new one."""

    old: str = Field(max_length=1000)
    new: str = Field(max_length=2000)


class KeyView(View):
    """An API key. `hint` is how it begins."""

    id: UUID
    name: str
    hint: str
    scope: Scope
    user_id: UUID
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKey(shared.Body):
    """A key to make. `read` looks, `write` also changes and calls, `admin` also settings, people and keys."""

    name: str = Field(min_length=1, max_length=100)
    scope: Scope = Scope.READ
    expires_at: AwareDatetime | None = None


class MadeKey(KeyView):
    """A new key. `key` is shown only now."""

    key: str


class AuditView(View):
    """Who changed what, when and from where."""

    id: int
    at: datetime
    actor_kind: str
    actor_id: str | None
    actor_name: str
    action: str
    subject_kind: str
    subject_id: str | None
    detail: dict[str, Any]
    address: str


@router.get("/me", tags=["users"])
async def get_me(by: Viewer) -> Me:
    """Who asks, and what they may."""
    return Me(kind=by.kind, id=by.id, name=by.name, email=by.email, role=by.role)


@router.post("/me/password", status_code=204, tags=["users"])
async def change_password(request: Request, by: Viewer, data: Data, change: PasswordChange) -> None:
    """Changes one's own password; every browser is signed out, this one, too."""
    if by.key_id is not None:
        raise Problem(403, "You may not do that", "A key cannot change a password: sign in.", kind="not-allowed")
    await accounts.choose_password(data, request.app.state.passwords, by.user_id, old=change.old, new=change.new)
    async with data.transaction() as session:
        await audit.record(session, request, by, "changed password", "user", by.user_id)


@router.get("/users", tags=["users"])
async def list_users(_by: Owner, session: Tx) -> list[UserView]:
    """Everybody with an account."""
    return [UserView.model_validate(user) for user in await accounts.users(session)]


@router.post("/users", status_code=201, tags=["users"])
async def invite_user(
    request: Request, response: Response, by: Owner, session: Tx, env: Env, invitation: Invitation
) -> Invited:
    """Adds somebody, and answers with a link, good once, to give to them."""
    user, token = await accounts.invite(session, email=invitation.email, name=invitation.name, role=invitation.role)
    await audit.record(session, request, by, "invited", "user", user.id, role=user.role.value)
    response.headers["Location"] = f"{request.url.path}/{user.id}"
    return Invited(user=UserView.model_validate(user), link=welcome_link(request, token))


@router.get("/users/{user_id}", tags=["users"])
async def get_user(_by: Owner, response: Response, session: Tx, user_id: UUID) -> UserView:
    """One user."""
    return _tagged(response, await accounts.find(session, user_id))


@router.patch("/users/{user_id}", tags=["users"])
async def change_user(
    request: Request,
    response: Response,
    by: Owner,
    session: Tx,
    user_id: UUID,
    change: UserChange,
    if_match: IfMatch = None,
) -> UserView:
    """Changes a user. Who is disabled is signed out at once, and their keys are revoked."""
    require_match(if_match, UserView.model_validate(await accounts.find(session, user_id)))
    user = await accounts.change(session, user_id, name=change.name, role=change.role, disabled=change.disabled)
    given = {name: getattr(change, name) for name in change.model_fields_set if name != "name"}
    await audit.record(session, request, by, "changed", "user", user_id, **given)
    return _tagged(response, user)


@router.post("/users/{user_id}/link", status_code=201, tags=["users"])
async def new_link(request: Request, by: Owner, session: Tx, env: Env, user_id: UUID) -> Invited:
    """A new link, good once, by which the user chooses a new password; older links are no good any more."""
    token = await accounts.new_link(session, user_id)
    user = await accounts.find(session, user_id)
    await audit.record(session, request, by, "made a link for", "user", user_id)
    return Invited(user=UserView.model_validate(user), link=welcome_link(request, token))


@router.get("/keys", tags=["API keys"])
async def list_keys(_by: Owner, session: Tx) -> list[KeyView]:
    """API keys, revoked ones too, the newest first."""
    return [KeyView.model_validate(key) for key in await keys.of_everybody(session)]


@router.post("/keys", status_code=201, tags=["API keys"])
async def make_key(request: Request, response: Response, by: Owner, session: Tx, wanted: NewKey) -> MadeKey:
    """Makes an API key. It is shown only in this answer."""
    if wanted.expires_at is not None and wanted.expires_at <= clock.now():
        raise invalid("expires_at", "This lies in the past; give a later time, or none.")
    if wanted.expires_at is not None and wanted.expires_at > clock.now() + _LONGEST:
        raise invalid("expires_at", "No key lasts for a hundred years; give an earlier time, or none.")
    name = " ".join(wanted.name.split())
    if not name:
        raise invalid("name", "A key needs a name, to tell it from others.")
    row, key = await keys.make(session, by.user_id, name=name, scope=wanted.scope, expires_at=wanted.expires_at)
    await audit.record(session, request, by, "made", "api_key", row.id, name=name, scope=row.scope.value)
    response.headers["Location"] = f"{request.url.path}/{row.id}"
    return MadeKey(**KeyView.model_validate(row).model_dump(), key=key)


@router.delete("/keys/{key_id}", tags=["API keys"])
async def revoke_key(request: Request, by: Owner, session: Tx, key_id: UUID) -> KeyView:
    """Revokes a key, at once; it stays in the list."""
    row: ApiKey = await keys.revoke(session, key_id)
    await audit.record(session, request, by, "revoked", "api_key", key_id)
    await session.flush()
    return KeyView.model_validate(row)


@router.get("/audit", tags=["audit log"])
async def list_audit(
    _by: Owner,
    session: Tx,
    kind: str | None = None,
    subject_id: str | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[AuditView]:
    """Who changed what, the newest first; of one kind of thing, or of one."""
    rows = await audit.entries(session, kind=kind, subject_id=subject_id, after=paging.number(cursor), limit=limit + 1)
    return page_of(rows, limit, AuditView.model_validate, lambda row: [row.id])


def _tagged(response: Response, user: User) -> UserView:
    view = UserView.model_validate(user)
    tag(response, view)
    return view
