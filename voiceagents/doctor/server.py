"""Is LiveKit there, does it take our key, is its clock ours, and does a SIP service answer behind it?"""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin
from uuid import uuid4

import aiohttp
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from livekit import api
from livekit.protocol.agent import RegisterWorkerRequest, ServerMessage, WorkerMessage

from voiceagents.doctor.findings import Finding, broken, good, unknown
from voiceagents.settings import LiveKitAccess

CLOCK_TOLERANCE = 30.0
"""Seconds that our clock may differ from LiveKit's: its tokens are valid from a time to a time."""

_PATIENCE = aiohttp.ClientTimeout(total=8)
_NOBODY = "nobody.invalid"
"""A host that never exists (RFC 2606), so that a SIP service can be asked to dial and cannot."""


async def reachable(access: LiveKitAccess) -> Finding:
    """LiveKit answers, lets our key register an agent, and tells its version.

    The registration is under a name that no dispatch asks for, and ends with the connection.
    """
    subject = "LiveKit"
    token = api.AccessToken(access.api_key, access.api_secret.get_secret_value())
    headers = {"Authorization": f"Bearer {token.with_grants(api.VideoGrants(agent=True)).to_jwt()}"}
    hello = WorkerMessage(register=RegisterWorkerRequest(agent_name=f"doctor-{uuid4().hex}", version="0"))
    try:
        async with (
            aiohttp.ClientSession(timeout=_PATIENCE) as http,
            asyncio.timeout(8),
            http.ws_connect(urljoin(_as("ws", access.url), "agent"), headers=headers) as socket,
        ):
            await socket.send_bytes(hello.SerializeToString())
            answer = ServerMessage.FromString(await socket.receive_bytes())
    except aiohttp.WSServerHandshakeError as error:
        if error.status in (401, 403):
            return broken(
                subject,
                f"{access.url} refuses the key {access.api_key}",
                "LIVEKIT_API_KEY and LIVEKIT_API_SECRET must be a pair of this server's, and the clocks must agree",
            )
        return broken(
            subject, f"{access.url} answers with HTTP status {error.status}", "is LIVEKIT_URL a LiveKit server?"
        )
    except (aiohttp.ClientError, TimeoutError, OSError, TypeError, DecodeError) as error:
        reason = str(error) or "no answer in 8 s"
        return broken(
            subject,
            f"{access.url} cannot be reached ({reason})",
            "start it, or set LIVEKIT_URL to where it is; without one of your own: voiceagents up",
        )
    info = answer.register.server_info
    return good(subject, f"{access.url}, version {info.version or 'unknown'}, the key is accepted")


async def clock(access: LiveKitAccess) -> Finding:
    """Our clock agrees with LiveKit's."""
    try:
        async with aiohttp.ClientSession(timeout=_PATIENCE) as http, http.get(_as("http", access.url)) as response:
            theirs = response.headers.get("Date")
            ours = datetime.now(UTC)
    except (aiohttp.ClientError, TimeoutError, OSError):
        theirs, ours = None, datetime.now(UTC)
    return compared(theirs, ours)


def compared(theirs: str | None, ours: datetime) -> Finding:
    """What the server's `Date` header says of our clock."""
    try:
        offset = (ours - parsedate_to_datetime(theirs or "")).total_seconds()
    except ValueError:
        return unknown("clock", "LiveKit tells no time to compare with")
    if abs(offset) <= CLOCK_TOLERANCE:
        return good("clock", f"agrees with LiveKit's to {max(1, round(abs(offset)))} s")
    way = "ahead of" if offset > 0 else "behind"
    return broken(
        "clock", f"{abs(offset):.0f} s {way} LiveKit's: tokens are refused", "set the clock by NTP (timedatectl)"
    )


async def sip_service(livekit: api.LiveKitAPI) -> Finding:
    """A SIP service takes orders: one is asked to dial a host that does not exist, which only a service can refuse."""
    room = f"doctor-{uuid4().hex[:12]}"
    request = api.CreateSIPParticipantRequest(
        trunk=api.SIPOutboundConfig(hostname=_NOBODY),
        sip_number="+15550100000",
        sip_call_to="+15550100001",
        room_name=room,
        participant_identity="doctor",
        wait_until_answered=True,
        ringing_timeout=Duration(seconds=2),
    )
    try:
        await livekit.sip.create_sip_participant(request, timeout=10)
    except api.ServerError as error:
        return refused(error.code, error.message)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return unknown("SIP service", f"no word from it in time ({str(error) or type(error).__name__})")
    finally:
        await _delete(livekit, room)
    return unknown("SIP service", f"it claims to have called a host that cannot exist ({_NOBODY})")


def refused(code: str, message: str) -> Finding:
    """What the refusal of that impossible dial says of the SIP service."""
    subject = "SIP service"
    if "no response from servers" in message:
        return broken(
            subject, "none answers LiveKit", "start livekit/sip with the same Redis and keys as the LiveKit server"
        )
    if "cpu exhausted" in message:
        return broken(subject, "it is at its CPU limit and takes no calls", "add another, or give it more CPU")
    if code in ("invalid_argument", "unimplemented", "permission_denied", "unauthenticated", "not_found", "unknown"):
        return unknown(subject, f"LiveKit itself refused to ask it ({code}: {message or 'no reason given'})")
    return good(subject, "one answers (asked to dial a host that does not exist, it said so)")


async def _delete(livekit: api.LiveKitAPI, room: str) -> None:
    try:
        await livekit.room.delete_room(api.DeleteRoomRequest(room=room))
    except api.ServerError as error:
        if error.code != api.ServerErrorCode.NOT_FOUND:
            raise


def _as(scheme: str, url: str) -> str:
    """The same address for HTTP or for WebSockets, with a slash at its end."""
    secure = "s" if url.startswith(("wss:", "https:")) else ""
    return f"{scheme}{secure}:{url.partition(':')[2].rstrip('/')}/"
