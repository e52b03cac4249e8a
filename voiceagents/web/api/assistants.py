"""Assistants and numbers: who talks, and on which number."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import uuid4

from fastapi import APIRouter, Body, Path, Request, Response
from pydantic import StringConstraints, model_validator
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import phone
from voiceagents.assistants import store
from voiceagents.assistants.draft import AssistantDraft, DraftProblem, read
from voiceagents.assistants.models import Assistant, AssistantVersion, Number
from voiceagents.web import audit, paging
from voiceagents.web.api import dependencies as shared
from voiceagents.web.api.dependencies import Tx, View
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.etags import IfMatch, require_match, tag
from voiceagents.web.idempotency import Documented, IdempotentRoute
from voiceagents.web.paging import Cursor, Limit, Page, page_of
from voiceagents.web.problems import FieldError, Problem, conflict, invalid, not_found

router = APIRouter(prefix="/assistants", tags=["assistants"], route_class=IdempotentRoute)
numbers = APIRouter(prefix="/numbers", tags=["numbers"])

AssistantId = Annotated[str, Path(max_length=200, examples=["front-desk"])]
E164 = Annotated[str, Path(max_length=20, examples=["+12025550143"])]


class AssistantView(AssistantDraft):
    """An assistant, its version, and since when."""

    version: int
    created_at: datetime
    updated_at: datetime


class VersionView(View):
    """An assistant as it was from one change to the next."""

    assistant_id: str
    version: int
    created_at: datetime
    snapshot: dict[str, Any]


class NumberView(View):
    """A number that people call. Without an assistant it is ours, and nobody answers."""

    e164: str
    label: str
    assistant_id: str | None


class Binding(shared.Body):
    """Who answers a number."""

    assistant_id: str
    label: str = ""


class AssistantFields(AssistantDraft):
    """The fields of an assistant; what is left out stays, or has its default. Without an `id` it gets one made from its
    name."""

    id: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        return self  # what is given is a part: the whole is judged when it is known


_Fields = Annotated[
    AssistantFields, Body(examples=[{"name": "Front desk", "prompt": "You answer the phone of a dental practice."}])
]


@router.get("")
async def list_assistants(_by: Viewer, session: Tx, cursor: Cursor = None, limit: Limit = 50) -> Page[AssistantView]:
    """Assistants, by id."""
    rows = (await session.scalars(paging.by_word(select(Assistant), Assistant.id, cursor, limit))).all()
    return page_of(rows, limit, _view, lambda row: [row.id])


@router.post("", status_code=201)
async def create_assistant(
    request: Request, response: Response, by: Editor, session: Tx, fields: _Fields, _key: Documented = None
) -> AssistantView:
    """Adds an assistant. Without an `id` it gets one made from its name."""
    if not fields.name:
        raise invalid("name", "An assistant needs a name.")
    given = fields.model_dump(exclude_unset=True)
    given["id"] = fields.id or store.id_of(fields.name) or f"assistant-{uuid4().hex[:8]}"
    draft = _draft(given)
    if await session.get(Assistant, draft.id) is not None:
        raise conflict(f"There is an assistant {draft.id!r} already: take another id, or change that one (PATCH).")
    await store.add(session, draft)
    await audit.record(session, request, by, "created", "assistant", draft.id)
    response.headers["Location"] = shared.below(request, draft.id)
    return await _tagged(session, response, draft.id)


@router.get("/{assistant_id}")
async def get_assistant(_by: Viewer, response: Response, session: Tx, assistant_id: AssistantId) -> AssistantView:
    """One assistant."""
    return await _tagged(session, response, assistant_id)


@router.patch("/{assistant_id}")
async def change_assistant(
    request: Request,
    response: Response,
    by: Editor,
    session: Tx,
    assistant_id: AssistantId,
    fields: _Fields,
    if_match: IfMatch = None,
) -> AssistantView:
    """Changes the fields that are given; calls under way keep what they began with."""
    found = await _find(session, assistant_id)
    require_match(if_match, _tag(found))
    given = fields.model_dump(mode="json", exclude_unset=True)
    if given.get("id", assistant_id) != assistant_id:
        raise invalid("id", "An assistant's id cannot be changed; calls and numbers know it by that.")
    version = found.version
    draft = _draft(store.draft_of(found).model_dump(mode="json") | given)
    try:
        now = await store.save(session, draft, expected_version=version)
    except store.AssistantChanged as error:
        raise Problem(412, "It has changed since you read it", str(error), kind="changed") from None
    if now != version:
        await audit.record(session, request, by, "changed", "assistant", assistant_id, fields=sorted(given))
    return await _tagged(session, response, assistant_id)


@router.delete("/{assistant_id}", status_code=204)
async def remove_assistant(request: Request, by: Editor, session: Tx, assistant_id: AssistantId) -> None:
    """Removes an assistant. Its numbers stay ours, and nobody answers them; its versions and calls stay."""
    await _find(session, assistant_id)
    orphaned = await store.remove(session, assistant_id)
    await audit.record(session, request, by, "removed", "assistant", assistant_id, unanswered=len(orphaned))


@router.get("/{assistant_id}/versions")
async def list_versions(
    _by: Viewer, session: Tx, assistant_id: AssistantId, cursor: Cursor = None, limit: Limit = 50
) -> Page[VersionView]:
    """Versions of an assistant, the newest first; of one that was removed, too."""
    query = select(AssistantVersion).where(AssistantVersion.assistant_id == assistant_id)
    if (after := paging.number(cursor)) is not None:
        query = query.where(AssistantVersion.version < min(after, 2**31 - 1))
    rows = (await session.scalars(query.order_by(AssistantVersion.version.desc()).limit(limit + 1))).all()
    if not rows and cursor is None:
        await _find(session, assistant_id)
    return page_of(rows, limit, VersionView.model_validate, lambda row: [row.version])


@router.post("/{assistant_id}/versions/{version}/restore")
async def restore_version(
    request: Request,
    response: Response,
    by: Editor,
    session: Tx,
    assistant_id: AssistantId,
    version: Annotated[int, Path(ge=1, le=2**31 - 1)],
    _key: Documented = None,
) -> AssistantView:
    """Makes an earlier version the present one, as a new version."""
    kept = await session.get(AssistantVersion, (assistant_id, version))
    if kept is None:
        raise not_found(f"The assistant {assistant_id!r} has no version {version}.")
    await store.save(session, _draft(kept.snapshot))
    await audit.record(session, request, by, "restored", "assistant", assistant_id, version=version)
    return await _tagged(session, response, assistant_id)


@numbers.get("")
async def list_numbers(
    _by: Viewer, session: Tx, assistant_id: str | None = None, cursor: Cursor = None, limit: Limit = 50
) -> Page[NumberView]:
    """Numbers that people call, and who answers each."""
    query = select(Number) if assistant_id is None else select(Number).where(Number.assistant_id == assistant_id)
    rows = (await session.scalars(paging.by_word(query, Number.e164, cursor, limit))).all()
    return page_of(rows, limit, NumberView.model_validate, lambda row: [row.e164])


@numbers.get("/{e164}")
async def get_number(_by: Viewer, response: Response, session: Tx, e164: E164) -> NumberView:
    """One number."""
    found = await session.get(Number, e164.strip())
    if found is None:
        raise not_found(f"{e164} is none of our numbers.")
    view = NumberView.model_validate(found)
    tag(response, view)
    return view


@numbers.put("/{e164}")
async def bind_number(
    request: Request,
    response: Response,
    by: Editor,
    session: Tx,
    e164: E164,
    binding: Binding,
    if_match: IfMatch = None,
) -> NumberView:
    """Lets an assistant answer a number; one that another assistant answered changes over."""
    number = phone.dialable(e164)
    if (found := await session.get(Number, number, with_for_update=True)) is not None:
        require_match(if_match, NumberView.model_validate(found))
    elif if_match is not None:
        raise Problem(412, "It has changed since you read it", f"{number} is no number of ours.", kind="changed")
    if await session.get(Assistant, binding.assistant_id) is None:
        raise invalid("assistant_id", f"There is no assistant {binding.assistant_id!r}; GET /assistants lists them.")
    await store.bind(session, number, binding.assistant_id, binding.label)
    await audit.record(session, request, by, "bound", "number", number, assistant=binding.assistant_id)
    view = NumberView.model_validate(await session.get_one(Number, number, populate_existing=True))
    tag(response, view)
    return view


@numbers.delete("/{e164}", status_code=204)
async def release_number(request: Request, by: Editor, session: Tx, e164: E164) -> None:
    """Takes a number away: who calls it hears that it is not in service."""
    if await session.get(Number, e164.strip()) is None:
        raise not_found(f"{e164} is none of our numbers.")
    await store.release(session, e164.strip())
    await audit.record(session, request, by, "released", "number", e164.strip())


def _draft(values: dict[str, Any]) -> AssistantDraft:
    try:
        draft = read(values)
    except DraftProblem as error:
        errors = [_error(line) for line in str(error).splitlines()]
        words = "; ".join(str(error).splitlines()[:3])
        raise Problem(422, "Something in the request will not do", words, kind="invalid", errors=errors) from None
    if not draft.name:
        raise invalid("name", "An assistant needs a name.")
    if not draft.id or "/" in draft.id:
        raise invalid("id", "An id is made of letters, digits and dashes.")
    return draft


def _error(line: str) -> FieldError:
    field, colon, detail = line.partition(": ")
    if not colon or " " in field:
        field, detail = "body", line
    return FieldError(field=field, pointer=f"#/{field.replace('.', '/')}", detail=detail)


async def _find(session: AsyncSession, assistant_id: str) -> Assistant:
    found = await session.get(Assistant, assistant_id)
    if found is None:
        raise not_found(f"There is no assistant {assistant_id!r}; GET /assistants lists them.")
    return found


def _view(assistant: Assistant) -> AssistantView:
    return AssistantView.model_validate(
        store.draft_of(assistant).model_dump()
        | {name: getattr(assistant, name) for name in ("version", "created_at", "updated_at")}
    )


def _tag(assistant: Assistant) -> str:
    return f'"{assistant.version}"'


async def _tagged(session: AsyncSession, response: Response, assistant_id: str) -> AssistantView:
    found = await _find(session, assistant_id)
    await session.refresh(found)
    response.headers["ETag"] = _tag(found)
    return _view(found)
