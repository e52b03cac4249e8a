"""Is everything as it should be, and who may do what? The doctor's checks, limits, people, keys, one's own password."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, ValidationError

from voiceagents import clock
from voiceagents.campaigns import limits
from voiceagents.doctor.examination import examine
from voiceagents.doctor.findings import Finding, State
from voiceagents.web import accounts, audit, keys
from voiceagents.web.accounts import AccountProblem
from voiceagents.web.auth import Owner, Principal, Viewer
from voiceagents.web.models import Role
from voiceagents.web.pages.remembered import Remembered
from voiceagents.web.pages.rendering import fragment, page, then
from voiceagents.web.state import database_of, settings_of, welcome_link

router = APIRouter(prefix="/settings")

_HERE = "/settings"
_memory = Remembered()


class _Limits(BaseModel):
    max_concurrent: int | None = Field(default=None, ge=1, le=1_000_000)
    kept_for_inbound: int = Field(default=1, ge=0, le=1_000_000)


@router.get("")
async def show(request: Request, user: Viewer) -> Response:
    return await settings_page(request, user)


@router.get("/checks")
async def checks(request: Request, user: Viewer) -> Response:
    """The doctor's findings; they take a while, so they come after the page."""
    settings = settings_of(request)

    async def read() -> list[Finding]:
        return [finding async for finding in examine(settings, passive=True)]

    known = await _memory.get(("checks", settings.voiceagents_data), read, patience=8, least_age=5)
    return fragment(request, user, "_checks", findings=known.value, state=State)


@router.post("/limits")
async def set_limits(
    request: Request,
    user: Owner,
    max_concurrent: Annotated[str, Form()] = "",
    kept_for_inbound: Annotated[str, Form()] = "1",
) -> Response:
    database = database_of(request)
    try:
        given = _Limits.model_validate(
            {"max_concurrent": max_concurrent.strip() or None, "kept_for_inbound": kept_for_inbound.strip() or 0}
        )
    except ValidationError as error:
        one = error.errors(include_input=False, include_url=False)[0]
        return then(request, _HERE, f"Not changed: {str(one['loc'][0]).replace('_', ' ')}: {one['msg']}.")
    async with database.transaction() as session:
        await limits.set_installation(session, **given.model_dump())
        await audit.record(session, request, user, "changed", "settings", "limits", **given.model_dump())
    return then(request, _HERE, "The limits are changed.")


@router.post("/people")
async def invite(
    request: Request,
    user: Owner,
    email: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    role: Annotated[Role, Form()] = Role.VIEWER,
) -> Response:
    database = database_of(request)
    try:
        async with database.transaction() as session:
            invited, token = await accounts.invite(session, email=email, name=name, role=role)
            await audit.record(session, request, user, "invited", "user", invited.id, role=role.value)
    except AccountProblem as error:
        return then(request, _HERE, str(error))
    link = welcome_link(request, token)
    return then(request, _HERE, f"Give {invited.email} this link, which works once: {link}")


@router.post("/people/{user_id}")
async def change(
    request: Request,
    user: Owner,
    user_id: UUID,
    role: Annotated[Role | None, Form()] = None,
    disabled: Annotated[str, Form()] = "",
) -> Response:
    database = database_of(request)
    try:
        async with database.transaction() as session:
            changed = await accounts.change(
                session, user_id, role=role, disabled={"yes": True, "no": False}.get(disabled)
            )
            await audit.record(session, request, user, "changed", "user", user_id)
    except AccountProblem as error:
        return then(request, _HERE, str(error))
    return then(request, _HERE, f"{changed.email} is changed.")


@router.post("/password")
async def choose_password(
    request: Request, user: Viewer, old: Annotated[str, Form()] = "", new: Annotated[str, Form()] = ""
) -> Response:
    try:
        await accounts.choose_password(
            database_of(request), request.app.state.passwords, user.user_id, old=old, new=new
        )
    except AccountProblem as error:
        return then(request, _HERE, str(error))
    return then(request, "/sign-in", "The password is changed; sign in with it.")


async def settings_page(
    request: Request,
    user: Principal,
    *,
    status: int = 200,
    made: Mapping[str, str] | None = None,
    key_problem: str = "",
) -> Response:
    """The page; with the `name` and the `key` that was just made, or why none was."""
    owner = user.may(Role.OWNER)
    async with database_of(request).transaction() as session:
        whole = await limits.installation(session)
        people = await accounts.users(session) if owner else ()
        entries = await audit.entries(session, limit=20) if owner else ()
        known = await keys.of_everybody(session) if owner else ()
    return page(
        request, user, "settings", nav="Settings", status=status, whole=whole, people=people, entries=entries,
        keys=known, now=clock.now(), settings=settings_of(request), roles=[role.value for role in Role], made=made,
        key_problem=key_problem,
    )  # fmt: skip
