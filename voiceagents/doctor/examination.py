"""In which order is everything looked at? What stands on something broken is not looked at."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

import aiohttp
from livekit import api
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from voiceagents import storage as installed
from voiceagents.assistants.models import Number
from voiceagents.db import Database
from voiceagents.doctor import agent, server, speech, storage, supabase, trunks
from voiceagents.doctor.findings import Finding, State, broken, good, unknown
from voiceagents.settings import Settings, SettingsError


async def examine(settings: Settings, *, passive: bool) -> AsyncGenerator[Finding]:
    """Every finding, as soon as it is known."""
    yield good("settings", f"complete; data in {settings.voiceagents_data}")
    postgres = installed.embedded(settings)
    ran_before = settings.database_url is not None or await asyncio.to_thread(postgres.pid) is not None
    finding, url = await storage.database(settings)
    yield finding
    opened = Database(url, pool_size=1) if url is not None else None
    try:
        async for found in _livekit(settings, opened, passive=passive):
            yield found
        if (found := await supabase.check(settings)) is not None:
            yield found
        yield await speech.check(settings)
        if (found := await storage.bucket(settings, passive=passive)) is not None:
            yield found
    finally:
        if opened is not None:
            await opened.close()
        if not ran_before:
            await asyncio.to_thread(postgres.stop)


async def _livekit(settings: Settings, opened: Database | None, *, passive: bool) -> AsyncGenerator[Finding]:
    try:
        access = settings.livekit
    except SettingsError as error:
        said, _, mend = str(error).partition("\n")
        yield broken("LiveKit", said, mend)
        if opened is not None:
            yield await agent.alive(opened)
            yield await agent.engine_alive(opened)
        return
    finding = await server.reachable(access)
    yield finding
    yield await server.clock(access)
    if opened is not None:
        yield await _asked("agent", lambda: agent.alive(opened))
        yield await _asked("engine", lambda: agent.engine_alive(opened))
    if finding.state is State.BROKEN:
        yield unknown("SIP, trunks", "not looked at: LiveKit comes first")
        return
    secret = access.api_secret.get_secret_value()
    async with api.LiveKitAPI(access.url, access.api_key, secret, failover=False) as livekit:
        if passive:
            yield unknown("SIP, agent's name", "not asked (--passive)")
        else:
            yield await _asked("agent's name", lambda: agent.takes_jobs(livekit, settings.lk_agent_name))
            yield await _asked("SIP service", lambda: server.sip_service(livekit))
        yield await _asked("outbound trunk", lambda: trunks.outbound(livekit, settings.sip_trunk_id))
        try:
            numbers = await _numbers(opened) if opened is not None else {}
            for found in trunks.answered(numbers) if opened is not None else []:
                yield found
            for found in await trunks.inbound(livekit, list(numbers), settings.lk_agent_name):
                yield found
        except (api.ServerError, aiohttp.ClientError, TimeoutError, SQLAlchemyError) as error:
            yield unknown("inbound", f"no answer ({error or type(error).__name__})")


async def _asked(subject: str, check: Callable[[], Awaitable[Finding]]) -> Finding:
    """The check's finding; that it got no answer is one too."""
    try:
        return await check()
    except (api.ServerError, aiohttp.ClientError, TimeoutError, SQLAlchemyError) as error:
        return unknown(subject, f"no answer ({error or type(error).__name__})")


async def _numbers(opened: Database) -> dict[str, str | None]:
    """Our numbers and the assistant that answers each."""
    async with opened.transaction() as session:
        found = await session.execute(select(Number.e164, Number.assistant_id).order_by(Number.e164))
        return {number: assistant_id for number, assistant_id in found.tuples()}
