"""Which programs may use the API? Keys are made and revoked in the settings; a new one is shown in that one answer."""

from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from voiceagents import clock
from voiceagents.web import audit, keys
from voiceagents.web.auth import Owner
from voiceagents.web.keys import KeyProblem
from voiceagents.web.models import Scope
from voiceagents.web.pages.rendering import then
from voiceagents.web.pages.settings import settings_page
from voiceagents.web.state import database_of

router = APIRouter(prefix="/settings/keys")

_HERE = "/settings"


@router.post("")
async def make(
    request: Request,
    user: Owner,
    name: Annotated[str, Form(max_length=200)] = "",
    scope: Annotated[Scope, Form()] = Scope.READ,
    days: Annotated[Literal["", "30", "90", "365"], Form()] = "",
) -> Response:
    if not (name := " ".join(name.split())):
        return await settings_page(request, user, status=422, key_problem="A key needs a name, to tell it from others.")
    expires_at = clock.now() + timedelta(days=int(days)) if days else None
    async with database_of(request).transaction() as session:
        row, key = await keys.make(session, user.user_id, name=name, scope=scope, expires_at=expires_at)
        await audit.record(session, request, user, "made", "api_key", row.id, name=name, scope=scope.value)
    return await settings_page(request, user, made={"name": name, "key": key})


@router.post("/{key_id}/revoke")
async def revoke(request: Request, user: Owner, key_id: UUID) -> Response:
    try:
        async with database_of(request).transaction() as session:
            row = await keys.revoke(session, key_id)
            await audit.record(session, request, user, "revoked", "api_key", key_id)
    except KeyProblem as error:
        return then(request, _HERE, str(error))
    return then(request, _HERE, f"The key of {row.name} is revoked.")
