"""Is an agent there that takes the calls meant for it, and an engine that decides whom to call?"""

import asyncio
import time
from uuid import uuid4

from livekit import api
from sqlalchemy import select

from voiceagents.calls import presence
from voiceagents.calls.models import Worker
from voiceagents.campaigns import engines
from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.states import CampaignState
from voiceagents.db import Database
from voiceagents.doctor.findings import Finding, broken, good, unknown

TAKES_JOB = 8.0
"""Seconds within which a registered agent takes a job."""


async def alive(database: Database) -> Finding:
    """An agent process says that it lives."""
    async with database.transaction() as session:
        living = await presence.living(session)
        workers = (await session.scalars(select(Worker).where(Worker.id.in_(living)))).all()
    if not workers:
        return broken("agent", "no agent process lives", "start one: voiceagents agent")
    return good("agent", ", ".join(f"process {worker.pid} on {worker.host} lives" for worker in workers))


async def engine_alive(database: Database) -> Finding:
    """An engine lives, if a campaign needs one."""
    live = Campaign.state.in_([CampaignState.RUNNING, CampaignState.SCHEDULED])
    async with database.transaction() as session:
        living = await engines.living(session)
        names = list(await session.scalars(select(Campaign.name).where(live).order_by(Campaign.name).limit(3)))
    return judged_engines(living, names)


def judged_engines(living: int, campaigns: list[str]) -> Finding:
    """What it means that so many engines live, when these campaigns run."""
    if living:
        return good("engine", "1 engine lives" if living == 1 else f"{living} engines live")
    if not campaigns:
        return unknown("engine", "none lives, and no campaign runs that needs one")
    names = ", ".join(f'"{name}"' for name in campaigns)
    return broken("engine", f"none lives, so nobody is dialled for {names}", "start one: voiceagents engine")


async def takes_jobs(livekit: api.LiveKitAPI, agent_name: str) -> Finding:
    """An agent registered under this name takes a job, in a room in which nobody is and nobody is called."""
    subject, room = "agent's name", f"doctor-{uuid4().hex[:12]}"
    started = time.monotonic()
    await livekit.room.create_room(api.CreateRoomRequest(name=room, empty_timeout=10, departure_timeout=1))
    try:
        await livekit.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name=agent_name, room=room, restart_policy=api.JobRestartPolicy.JRP_NEVER
            )
        )
        while time.monotonic() - started < TAKES_JOB:
            if await _taken(livekit, room):
                return good(
                    subject, f"one registered as {agent_name!r} took a job in {time.monotonic() - started:.1f} s"
                )
            await asyncio.sleep(0.1)  # LiveKit tells nobody outside the room: there is no event to wait for
    finally:
        await livekit.room.delete_room(api.DeleteRoomRequest(room=room))
    return broken(
        subject,
        f"nobody took a job for the agent {agent_name!r} within {TAKES_JOB:.0f} s",
        "start `voiceagents agent` with the same LIVEKIT_URL and LK_AGENT_NAME; or it is full (AGENT_MAX_CALLS)",
    )


async def _taken(livekit: api.LiveKitAPI, room: str) -> bool:
    # The agent in the room shows at once; the dispatch's own state follows seconds later.
    answer = await livekit.room.list_participants(api.ListParticipantsRequest(room=room))
    return any(participant.kind == api.ParticipantInfo.Kind.AGENT for participant in answer.participants)
