"""Who talks? Assistants: writing them down, their versions, talking to one in the browser, a test call to a phone."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import uuid4

from fastapi import APIRouter, Form, Request
from fastapi.responses import JSONResponse, Response
from livekit import api
from sqlalchemy import select

from voiceagents import phone
from voiceagents.assistants import store
from voiceagents.assistants.draft import BACKGROUND_SOUNDS, AssistantDraft
from voiceagents.assistants.store import AssistantProblem
from voiceagents.calls import history, presence
from voiceagents.calls.dispatch import OutboundCall
from voiceagents.calls.metadata import JobMetadata
from voiceagents.calls.models import Call
from voiceagents.calls.placing import CannotPlace, place
from voiceagents.settings import SettingsError
from voiceagents.web import audit
from voiceagents.web.auth import Editor, Principal, Viewer
from voiceagents.web.pages import assistant_form, rooms
from voiceagents.web.pages.rendering import page, then
from voiceagents.web.problems import conflict, not_found
from voiceagents.web.state import database_of, settings_of

router = APIRouter(prefix="/assistants")

_TALK = "talk-"
"""How the rooms of conversations in the browser begin."""

_VERSIONS = 20


@router.get("")
async def list_assistants(request: Request, user: Viewer) -> Response:
    async with database_of(request).transaction() as session:
        assistants = await store.assistants(session)
        numbers: dict[str, list[str]] = {}
        for number in await store.numbers(session):
            numbers.setdefault(number.assistant_id or "", []).append(number.e164)
    return page(request, user, "assistants/list", nav="Assistants", assistants=assistants, numbers=numbers)


@router.get("/new")
async def new(request: Request, user: Editor) -> Response:
    draft = AssistantDraft(id="new", name="", first_message="Hello, how can I help you?")
    return await _page(request, user, None, assistant_form.shown(draft), {})


@router.post("")
async def create(request: Request, user: Editor) -> Response:
    given = await _given(request)
    wanted = store.id_of(given.get("name", "")) or f"assistant-{uuid4().hex[:8]}"
    draft, errors = assistant_form.read({"id": wanted, "name": ""}, given)
    if draft is not None:
        try:
            async with database_of(request).transaction() as session:
                await store.add(session, draft)
                await audit.record(session, request, user, "created", "assistant", draft.id)
            return then(request, f"/assistants/{draft.id}", f'"{draft.name}" is there. Talk to it before others do.')
        except AssistantProblem as error:
            errors = {"name": str(error)}
    return await _page(request, user, None, given, errors)


@router.get("/{assistant_id}")
async def show(request: Request, user: Viewer, assistant_id: str) -> Response:
    draft = await _draft(request, assistant_id)
    return await _page(request, user, draft, assistant_form.shown(draft), {})


@router.post("/{assistant_id}")
async def save(request: Request, user: Editor, assistant_id: str) -> Response:
    given = await _given(request)
    before = await _draft(request, assistant_id)
    draft, errors = assistant_form.read(before.model_dump(mode="json"), given)
    expected = int(given["version"]) if given.get("version", "").isdecimal() else None
    if draft is not None:
        try:
            async with database_of(request).transaction() as session:
                version = await store.save(session, draft, expected_version=expected)
                await audit.record(session, request, user, "changed", "assistant", draft.id)
            return then(request, f"/assistants/{assistant_id}", f"Saved as version {version}.")
        except AssistantProblem as error:
            errors = {"": str(error)}
    return await _page(request, user, before, given, errors)


@router.post("/{assistant_id}/restore")
async def restore(request: Request, user: Editor, assistant_id: str, version: Annotated[int, Form()]) -> Response:
    async with database_of(request).transaction() as session:
        now = await store.restore(session, assistant_id, version)
        await audit.record(session, request, user, "restored", "assistant", assistant_id, version=version)
    return then(request, f"/assistants/{assistant_id}", f"As in version {version} again; this is version {now}.")


@router.post("/{assistant_id}/remove")
async def remove(request: Request, user: Editor, assistant_id: str) -> Response:
    async with database_of(request).transaction() as session:
        orphaned = await store.remove(session, assistant_id)
        await audit.record(session, request, user, "removed", "assistant", assistant_id)
    said = f" Nobody answers {', '.join(orphaned)} now." if orphaned else ""
    return then(request, "/assistants", f"The assistant is removed.{said}")


@router.post("/{assistant_id}/talk")
async def talk(request: Request, user: Editor, assistant_id: str) -> Response:
    """A room in which the assistant waits, and what the browser needs to join it in place of a phone."""
    settings = settings_of(request)
    await _require_agent(request)
    await _draft(request, assistant_id)
    room = f"{_TALK}{uuid4().hex}"
    metadata = JobMetadata(agent_id=assistant_id).to_json()
    async with rooms.livekit(settings) as client:
        agent = api.RoomAgentDispatch(
            agent_name=settings.lk_agent_name, metadata=metadata, restart_policy=api.JobRestartPolicy.JRP_NEVER
        )
        await client.room.create_room(
            api.CreateRoomRequest(name=room, empty_timeout=60, departure_timeout=5, agents=[agent])
        )
    token = rooms.talker_token(settings, room, f"browser-{user.user_id.hex[:8]}", user.name or user.email)
    return JSONResponse({"url": settings.livekit.url, "token": token, "room": room})


@router.get("/{assistant_id}/talks/{room}")
async def talked(request: Request, user: Editor, assistant_id: str, room: str) -> Response:
    """The call that a conversation in the browser has become, and what was said so far."""
    async with database_of(request).transaction() as session:
        call_id = await session.scalar(select(Call.id).where(Call.room_name == room))
        if call_id is None:
            raise not_found("The assistant has not picked up yet.")
        turns = await history.transcript(session, call_id)
    said = [{"speaker": turn.speaker.value, "text": turn.text} for turn in turns]
    return JSONResponse({"call": f"/calls/{call_id}", "turns": said})


@router.post("/{assistant_id}/call")
async def call_a_phone(
    request: Request,
    user: Editor,
    assistant_id: str,
    number: Annotated[str, Form()] = "",
    region: Annotated[str, Form()] = "",
) -> Response:
    """Calls a phone with this assistant's voice and prompt."""
    settings = settings_of(request)
    draft = await _draft(request, assistant_id)
    here = f"/assistants/{assistant_id}"
    try:
        e164 = phone.dialable(phone.normalize(number, region or None))
    except phone.InvalidPhoneNumber as error:
        return then(request, here, f"No call was made: {error}.")
    if settings.sip_trunk_id is None:
        return then(request, here, "No call was made: no trunk is set; set SIP_TRUNK_ID.")
    call = OutboundCall(
        id=uuid4(), number=e164, agent_name=settings.lk_agent_name, trunk_id=settings.sip_trunk_id,
        assistant_id=assistant_id, contact_name=user.name, prompt=draft.prompt,
    )  # fmt: skip
    try:
        async with rooms.livekit(settings) as client:
            await place(database_of(request), client, call)
    except (CannotPlace, SettingsError) as error:
        return then(request, here, f"No call was made: {error}")
    async with database_of(request).transaction() as session:
        await audit.record(session, request, user, "called", "assistant", assistant_id, call=str(call.id))
    return then(request, f"/calls/{call.id}")


async def _require_agent(request: Request) -> None:
    async with database_of(request).transaction() as session:
        if not await presence.living(session):
            raise conflict("No agent runs, so nobody would talk. Start one: voiceagents agent")


async def _page(
    request: Request, user: Principal, draft: AssistantDraft | None, given: Mapping[str, Any], errors: dict[str, str]
) -> Response:
    from voiceagents.calendars import store as calendars

    async with database_of(request).transaction() as session:
        kept = [(one.id, one.name) for one in await calendars.calendars(session)]
        found = await store.find(session, draft.id) if draft else None
        versions = (await store.versions(session, draft.id))[:_VERSIONS] if draft else ()
        numbers = await store.numbers(session, draft.id) if draft else ()
    return page(
        request, user, "assistants/edit", nav="Assistants", status=422 if errors else 200, assistant=found,
        given=given, errors=errors, versions=versions, numbers=numbers, calendars=kept,
        sounds=[(name, name.replace("-", " ")) for name in BACKGROUND_SOUNDS],
        tools=assistant_form.PLAIN_TOOLS, settings=settings_of(request),
    )  # fmt: skip


async def _draft(request: Request, assistant_id: str) -> AssistantDraft:
    async with database_of(request).transaction() as session:
        try:
            return store.draft_of(await store.find(session, assistant_id))
        except AssistantProblem as error:
            raise not_found(str(error)) from None


async def _given(request: Request) -> dict[str, Any]:
    return {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
