"""Settings and trunks: how much may run at once, and what the environment says."""

from collections.abc import Mapping
from datetime import datetime
from importlib.metadata import version
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field
from sqlalchemy import select

from voiceagents.calls import presence
from voiceagents.campaigns import engines, limits
from voiceagents.campaigns.models import Installation, TrunkLimits
from voiceagents.settings import Settings
from voiceagents.web import audit, paging
from voiceagents.web.api import dependencies as shared
from voiceagents.web.api.dependencies import Env, Tx, View
from voiceagents.web.auth import Editor, Owner, Viewer
from voiceagents.web.etags import IfMatch, require_match, tag
from voiceagents.web.paging import Cursor, Limit, Page, page_of
from voiceagents.web.problems import invalid

router = APIRouter()

TrunkId = Annotated[str, Path(min_length=1, max_length=200, examples=["ST_AbCdEf123"])]


class EnvironmentView(View):
    """What the environment says; it is changed there, and secrets are never shown."""

    livekit_host: str | None
    agent_name: str
    default_trunk_id: str | None
    offline_speech: bool
    """No OpenAI key and no address: the offline voice speaks."""

    llm_model: str
    stt_model: str
    tts_model: str
    voice: str
    version: str


class SettingsView(View):
    """The limits of the installation; a limit that is null does not apply."""

    max_concurrent: int | None
    kept_for_inbound: int
    hold_until: datetime | None
    hold_cause: str | None
    environment: EnvironmentView


class SettingsChange(shared.Body):
    """What to change; what is left out stays."""

    max_concurrent: int | None = Field(default=None, ge=1, le=1_000_000)
    kept_for_inbound: int = Field(default=1, ge=0, le=1_000_000)


class TrunkView(View):
    """A SIP trunk's limits, and how it is doing."""

    trunk_id: str
    max_concurrent: int | None
    calls_per_second: float | None
    hold_until: datetime | None
    hold_cause: str | None
    in_use: int


class TrunkChange(shared.Body):
    """What to change; what is left out stays, null takes a limit away."""

    max_concurrent: int | None = Field(default=None, ge=1, le=1_000_000)
    calls_per_second: float | None = Field(default=None, gt=0, le=1000)


class RunningView(View):
    """What runs now."""

    engines: int
    agents: int
    places: int
    """Calls that the agents bear together."""

    calls: int


@router.get("/settings", tags=["settings"])
async def get_settings(_by: Viewer, response: Response, session: Tx, env: Env) -> SettingsView:
    """Limits of the installation, and what the environment says."""
    view = _settings(await limits.installation(session), env)
    tag(response, view)
    return view


@router.patch("/settings", tags=["settings"])
async def change_settings(
    request: Request,
    response: Response,
    by: Owner,
    session: Tx,
    env: Env,
    change: SettingsChange,
    if_match: IfMatch = None,
) -> SettingsView:
    """Changes limits of the installation; felt at the next decision."""
    present = await limits.installation(session)
    require_match(if_match, _settings(present, env))
    given = _given(change)
    if given:
        present = await limits.set_installation(session, **given)
        await audit.record(session, request, by, "changed", "settings", "installation", **given)
    view = _settings(present, env)
    tag(response, view)
    return view


@router.get("/running", tags=["settings"])
async def get_running(_by: Viewer, session: Tx) -> RunningView:
    """Which engines and agents live, and how many calls are going on."""
    return RunningView(
        engines=await engines.living(session),
        agents=len(await presence.living(session)),
        places=(await presence.places(session)).total,
        calls=sum((await limits.in_use(session)).values()),
    )


@router.get("/trunks", tags=["trunks"])
async def list_trunks(_by: Viewer, session: Tx, cursor: Cursor = None, limit: Limit = 50) -> Page[TrunkView]:
    """Trunks that have limits of their own; any other has the defaults."""
    query = select(TrunkLimits).order_by(TrunkLimits.trunk_id).limit(limit + 1)
    if (after := paging.word(cursor)) is not None:
        query = query.where(TrunkLimits.trunk_id > after)
    rows = (await session.scalars(query)).all()
    used = await limits.in_use(session)
    return page_of(rows, limit, lambda row: _trunk(row, used), lambda row: [row.trunk_id])


@router.get("/trunks/{trunk_id}", tags=["trunks"])
async def get_trunk(_by: Viewer, response: Response, session: Tx, trunk_id: TrunkId) -> TrunkView:
    """One trunk's limits; the defaults where nobody set any."""
    view = await _one_trunk(session, trunk_id)
    tag(response, view)
    return view


@router.patch("/trunks/{trunk_id}", tags=["trunks"])
async def change_trunk(
    request: Request,
    response: Response,
    by: Editor,
    session: Tx,
    trunk_id: TrunkId,
    change: TrunkChange,
    if_match: IfMatch = None,
) -> TrunkView:
    """Changes what a trunk bears; felt at the next decision."""
    require_match(if_match, await _one_trunk(session, trunk_id))
    given = _given(change)
    if not given:
        raise invalid("body", "Give max_concurrent, calls_per_second, or both.")
    await limits.set_trunk(session, trunk_id, **given)
    await audit.record(session, request, by, "changed", "trunk", trunk_id, **given)
    view = await _one_trunk(session, trunk_id)
    tag(response, view)
    return view


async def _one_trunk(session: Tx, trunk_id: str) -> TrunkView:
    used = await limits.in_use(session)
    row = await session.get(TrunkLimits, trunk_id, populate_existing=True)
    if row is None:
        # As a new row would have it.
        default = TrunkLimits.__table__.c
        return TrunkView(
            trunk_id=trunk_id,
            max_concurrent=int(str(default.max_concurrent.server_default.arg)),  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportOptionalMemberAccess, reportAttributeAccessIssue]
            calls_per_second=float(str(default.calls_per_second.server_default.arg)),  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType, reportOptionalMemberAccess, reportAttributeAccessIssue]
            hold_until=None,
            hold_cause=None,
            in_use=used.get(trunk_id, 0),
        )
    return _trunk(row, used)


def _trunk(row: TrunkLimits, used: Mapping[str | None, int]) -> TrunkView:
    plain = {name: getattr(row, name) for name in TrunkView.model_fields if name != "in_use"}
    return TrunkView(**plain, in_use=used.get(row.trunk_id, 0))


def _settings(row: Installation, env: Settings) -> SettingsView:
    plain = {name: getattr(row, name) for name in SettingsView.model_fields if name != "environment"}
    return SettingsView(
        **plain,
        environment=EnvironmentView(
            livekit_host=urlsplit(env.livekit_url).netloc if env.livekit_url else None,
            agent_name=env.lk_agent_name,
            default_trunk_id=env.sip_trunk_id,
            offline_speech=env.offline_speech,
            llm_model=env.openai_llm_model,
            stt_model=env.openai_stt_model,
            tts_model=env.openai_tts_model,
            voice=env.openai_tts_voice,
            version=version("voiceagents"),
        ),
    )


def _given(change: SettingsChange | TrunkChange) -> dict[str, Any]:
    return {name: getattr(change, name) for name in change.model_fields_set}
