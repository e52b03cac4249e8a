"""How does the web application speak to LiveKit? One client for one request, opened late: most requests need none."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from livekit import api

from voiceagents.livekit import sip
from voiceagents.settings import Settings


@asynccontextmanager
async def livekit(settings: Settings) -> AsyncGenerator[api.LiveKitAPI]:
    """LiveKit's API.

    Raises:
        SettingsError: LiveKit is not configured.
    """
    access = settings.livekit
    client = api.LiveKitAPI(access.url, access.api_key, access.api_secret.get_secret_value(), failover=False)
    try:
        yield client
    finally:
        await client.aclose()


async def hang_up(settings: Settings, rooms: Sequence[str]) -> int:
    """Ends the calls in these rooms, and answers how many LiveKit ended."""
    async with livekit(settings) as client:
        return sum(await asyncio.gather(*(sip.delete_room(client, room) for room in rooms)))
