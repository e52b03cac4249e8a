"""An agent that is nothing but its wire: it takes every job LiveKit offers, dials nobody, and ends the call at once.

    python -m bench._wire_agent AGENT_NAME      (LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET, DATABASE_URL)

What is left is what an engine and a livekit-server have to do for a call. One UPDATE stands for claim and ending.
"""

import asyncio
import json
import os
import sys
from contextlib import suppress

import aiohttp
import psycopg
from livekit import api
from livekit.protocol import agent
from psycopg_pool import AsyncConnectionPool

PLACES = 10_000
_BEAT = """
    INSERT INTO workers (id, host, pid, max_calls, active_calls) VALUES ('wire', 'here', 1, %s, 0)
    ON CONFLICT (id) DO UPDATE SET seen_at = now(), stopped_at = NULL
"""
_CALL = """
    UPDATE calls SET state = 'ended', dialing_at = now(), ringing_at = now(), ended_at = now(), worker_id = 'wire',
        outcome = 'busy', cause = 'the line was busy', ended_by = 'carrier'
    WHERE id = %s AND state IN ('queued', 'dispatched') RETURNING pg_notify('voiceagents_call_ended', id::text)
"""


async def main(name: str) -> None:
    url, key, secret = (os.environ[f"LIVEKIT_{part}"] for part in ("URL", "API_KEY", "API_SECRET"))
    token = api.AccessToken(key, secret).with_grants(api.VideoGrants(agent=True)).to_jwt()
    rooms: asyncio.Queue[str] = asyncio.Queue()
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/agent", headers={"Authorization": f"Bearer {token}"}) as wire,
        AsyncConnectionPool(os.environ["DATABASE_URL"], min_size=4, max_size=4, kwargs={"autocommit": True}) as pool,
        api.LiveKitAPI(url, key, secret, failover=False) as livekit,
    ):

        async def say(**message: object) -> None:
            await wire.send_bytes(agent.WorkerMessage(**message).SerializeToString())  # type: ignore[arg-type]

        async def beat() -> None:
            while True:
                async with pool.connection() as connection:
                    await connection.execute(_BEAT, (PLACES,))
                await asyncio.sleep(1.5)

        async def tidy() -> None:
            while True:
                with suppress(api.ServerError):
                    await livekit.room.delete_room(api.DeleteRoomRequest(room=await rooms.get()))

        async def work(job: agent.Job) -> None:
            await say(update_job=agent.UpdateJobStatus(job_id=job.id, status=agent.JobStatus.JS_RUNNING))
            call_id = json.loads(job.metadata).get("callId")
            if call_id is not None:
                async with pool.connection() as connection:
                    with suppress(psycopg.Error):
                        await connection.execute(_CALL, (call_id,))
            await say(update_job=agent.UpdateJobStatus(job_id=job.id, status=agent.JobStatus.JS_SUCCESS))
            rooms.put_nowait(job.room.name)

        await say(register=agent.RegisterWorkerRequest(type=agent.JobType.JT_ROOM, agent_name=name, version="1"))
        chores = {asyncio.create_task(beat()), *(asyncio.create_task(tidy()) for _ in range(4))}
        async for received in wire:
            message = agent.ServerMessage.FromString(received.data)
            match message.WhichOneof("message"):
                case "register":
                    print("READY", flush=True)
                case "availability":
                    job = message.availability.job
                    answer = agent.AvailabilityResponse(
                        job_id=job.id, available=True, participant_identity=f"agent-{job.id}"
                    )
                    await say(availability=answer)
                case "assignment":
                    chore = asyncio.create_task(work(message.assignment.job))
                    chores.add(chore)
                    chore.add_done_callback(chores.discard)
                case _:
                    pass


asyncio.run(main(sys.argv[1]))
