"""What do pages ask of LiveKit? Its trunks, the end of a room, and a way into a room for a browser."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta

import aiohttp
from livekit import api

from voiceagents.livekit import sip
from voiceagents.settings import Settings, SettingsError
from voiceagents.web.pages.remembered import Remembered

_memory = Remembered()
_TOKEN_LASTS = timedelta(minutes=15)


@dataclass(frozen=True)
class Trunk:
    """A SIP trunk of LiveKit's."""

    id: str
    name: str
    numbers: Sequence[str]
    address: str = ""


@dataclass(frozen=True)
class Trunks:
    """Those that are there, or why nobody knows."""

    outbound: Sequence[Trunk] = ()
    inbound: Sequence[Trunk] = ()
    problem: str = ""


@asynccontextmanager
async def livekit(settings: Settings) -> AsyncGenerator[api.LiveKitAPI]:
    """A client.

    Raises:
        SettingsError: LiveKit is not configured.
    """
    client = sip.connect(settings.livekit)
    try:
        yield client
    finally:
        await client.aclose()  # pyright: ignore[reportUnknownMemberType]


async def trunks(settings: Settings) -> Trunks:
    """LiveKit's trunks, as the last that is known of them."""
    known = await _memory.get(("trunks", settings.livekit_url), lambda: _read(settings), least_age=5.0)
    return known.value or Trunks(problem="LiveKit has not answered yet; load the page again.")


async def _read(settings: Settings) -> Trunks:
    try:
        async with livekit(settings) as client, asyncio.timeout(5):
            outbound = await client.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())
            inbound = await client.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())
    except SettingsError as error:
        return Trunks(problem=str(error))
    except (api.ServerError, aiohttp.ClientError, TimeoutError) as error:
        return Trunks(problem=f"LiveKit did not answer ({error or type(error).__name__}).")
    return Trunks(
        [Trunk(one.sip_trunk_id, one.name, list(one.numbers), one.address) for one in outbound.items],
        [Trunk(one.sip_trunk_id, one.name, list(one.numbers)) for one in inbound.items],
    )


async def hang_up(settings: Settings, rooms: Sequence[str]) -> list[str]:
    """Deletes rooms, and with them ends their calls. Answers those that LiveKit did not delete."""
    async with livekit(settings) as client:
        gone = await asyncio.gather(*(sip.delete_room(client, room) for room in rooms))
    return [room for room, deleted in zip(rooms, gone, strict=True) if not deleted]


def listener_token(settings: Settings, room: str, identity: str) -> str:
    """Lets a browser hear a room, unseen by who talks in it."""
    grants = api.VideoGrants(room_join=True, room=room, can_publish=False, can_subscribe=True, hidden=True)
    return _token(settings, identity).with_grants(grants).to_jwt()


def talker_token(settings: Settings, room: str, identity: str, name: str) -> str:
    """Lets a browser stand in for a phone: it has the kind and the attributes by which the agent knows one."""
    grants = api.VideoGrants(
        room_join=True, room=room, can_publish=True, can_subscribe=True, can_update_own_metadata=True
    )
    # It rings until the assistant has picked up; the page then says that it has, as the SIP service does.
    attributes = {sip.CALL_STATUS: "ringing"}
    return (
        _token(settings, identity)
        .with_name(name)
        .with_kind("sip")
        .with_attributes(attributes)
        .with_grants(grants)
        .to_jwt()
    )


def _token(settings: Settings, identity: str) -> api.AccessToken:
    access = settings.livekit
    return (
        api.AccessToken(access.api_key, access.api_secret.get_secret_value())
        .with_identity(identity)
        .with_ttl(_TOKEN_LASTS)
    )
