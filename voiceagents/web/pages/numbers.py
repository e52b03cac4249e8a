"""Which numbers are ours and who answers them, and through which trunks do calls go?"""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, ValidationError

from voiceagents import phone
from voiceagents.assistants import store
from voiceagents.assistants.store import AssistantProblem
from voiceagents.campaigns import limits
from voiceagents.web import audit
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.pages import rooms
from voiceagents.web.pages.rendering import page, then
from voiceagents.web.state import database_of, settings_of

router = APIRouter(prefix="/numbers")
_HERE = "/numbers"


class _Limits(BaseModel):
    max_concurrent: int | None = Field(default=None, ge=1, le=1_000_000)
    calls_per_second: float | None = Field(default=None, gt=0, le=1000)


@router.get("")
async def show(request: Request, user: Viewer) -> Response:
    database = database_of(request)
    async with database.transaction() as session:
        numbers = await store.numbers(session)
        assistants = [(one.id, one.name) for one in await store.assistants(session)]
        kept = {one.trunk_id: one for one in await limits.trunks(session)}
        in_use = await limits.in_use(session)
    trunks = await rooms.trunks(settings_of(request))
    known = {one.id: one for one in trunks.outbound}
    return page(
        request, user, "numbers", nav="Numbers", numbers=numbers, assistants=assistants, trunks=trunks, known=known,
        limits=kept, in_use=in_use, trunk_ids=sorted({*known, *kept}), default=settings_of(request).sip_trunk_id,
    )  # fmt: skip


@router.post("")
async def bind(
    request: Request,
    user: Editor,
    number: Annotated[str, Form()] = "",
    assistant: Annotated[str, Form()] = "",
    label: Annotated[str, Form()] = "",
) -> Response:
    """Lets an assistant answer a number."""
    database = database_of(request)
    try:
        e164 = phone.normalize(number)
        async with database.transaction() as session:
            await store.bind(session, e164, assistant, label.strip())
            await audit.record(session, request, user, "bound", "number", e164, assistant=assistant)
    except (phone.InvalidPhoneNumber, AssistantProblem) as error:
        return then(request, _HERE, f"Not saved: {error}.")
    return then(request, _HERE, f"{e164} is answered by {assistant}.")


@router.post("/release")
async def release(request: Request, user: Editor, number: Annotated[str, Form()]) -> Response:
    database = database_of(request)
    try:
        async with database.transaction() as session:
            await store.release(session, number)
            await audit.record(session, request, user, "released", "number", number)
    except AssistantProblem as error:
        return then(request, _HERE, str(error))
    return then(request, _HERE, f"{number} is released: callers hear that it is not in service.")


@router.post("/trunks")
async def set_limits(
    request: Request,
    user: Editor,
    trunk: Annotated[str, Form()],
    max_concurrent: Annotated[str, Form()] = "",
    calls_per_second: Annotated[str, Form()] = "",
) -> Response:
    """Changes what a trunk bears; felt at the next decision."""
    database = database_of(request)
    try:
        given = _Limits.model_validate(
            {"max_concurrent": max_concurrent.strip() or None, "calls_per_second": calls_per_second.strip() or None}
        )
    except ValidationError as error:
        one = error.errors(include_input=False, include_url=False)[0]
        return then(request, _HERE, f"Not changed: {str(one['loc'][0]).replace('_', ' ')}: {one['msg']}.")
    async with database.transaction() as session:
        await limits.set_trunk(session, trunk, **given.model_dump())
        await audit.record(session, request, user, "changed", "trunk", trunk, **given.model_dump())
    return then(request, _HERE, f"The limits of {trunk} are changed.")
