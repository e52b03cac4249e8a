"""What does a test of the gateway start from? A desk: one phone, a trunk that leads to it, and LiveKit's API."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
from livekit import api

from tests.stack.phone_audio import Address
from tests.stack.sip_phone import PhoneCall, SipPhone
from voiceagents.lab import Lab

TRUNK_NUMBER = "+15550100000"
PHONE_NUMBER = "+12025550142"

T = TypeVar("T")


@dataclass
class Desk:
    """One phone with a trunk that leads to it, and LiveKit's API."""

    lab: Lab
    livekit: api.LiveKitAPI
    phone: SipPhone
    trunk_id: str

    @property
    def gateway(self) -> Address:
        return "127.0.0.1", self.lab.ports["gateway_sip"]

    def dial(self, room: str, *, wait: bool = True, number: str = PHONE_NUMBER, **fields: Any) -> asyncio.Task[Any]:
        """Ask for a call to the phone; the task ends with the API's answer."""
        request = api.CreateSIPParticipantRequest(
            sip_trunk_id=fields.pop("sip_trunk_id", self.trunk_id),
            sip_call_to=number,
            room_name=room,
            participant_identity=fields.pop("participant_identity", PHONE_NUMBER),
            wait_until_answered=wait,
            **fields,
        )
        return asyncio.create_task(self.livekit.sip.create_sip_participant(request, timeout=60))

    async def answered(self, room: str, *codecs: str, **fields: Any) -> PhoneCall:
        """Dial and answer: a call that is up, with its ACK received."""
        dialled = self.dial(room, **fields)
        call = await self.phone.rung()
        call.ring()
        call.answer(*codecs)
        await dialled
        await call.request("ACK")
        return call

    async def participant(self, room: str, identity: str = PHONE_NUMBER) -> api.ParticipantInfo | None:
        found = await self.livekit.room.list_participants(api.ListParticipantsRequest(room=room))
        return next((p for p in found.participants if p.identity == identity), None)

    async def inbound(self, did: str, **trunk: Any) -> tuple[str, str]:
        """Let a number be called: trunk id and rule id. Rooms are called did-<number>_<caller>_<random>."""
        info = api.SIPInboundTrunkInfo(name=did, numbers=[did], **trunk)
        created = await self.livekit.sip.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=info))
        individual = api.SIPDispatchRuleIndividual(room_prefix=f"did-{did}")
        rule = await self.livekit.sip.create_dispatch_rule(
            api.CreateSIPDispatchRuleRequest(
                dispatch_rule=api.SIPDispatchRuleInfo(
                    name=did,
                    trunk_ids=[created.sip_trunk_id],
                    rule=api.SIPDispatchRule(dispatch_rule_individual=individual),
                    metadata="from the rule",
                    attributes={"line": "support"},
                    room_config=api.RoomConfiguration(
                        metadata="of the room", agents=[api.RoomAgentDispatch(agent_name="nobody", metadata="job")]
                    ),
                )
            )
        )
        return created.sip_trunk_id, rule.sip_dispatch_rule_id

    async def room_of(self, prefix: str, within: float = 3.0) -> api.Room:
        """The room that a caller has been put in, as soon as somebody is there."""

        async def found() -> api.Room | None:
            for room in (await self.livekit.room.list_rooms(api.ListRoomsRequest())).rooms:
                if room.name.startswith(prefix):
                    request = api.ListParticipantsRequest(room=room.name)
                    if (await self.livekit.room.list_participants(request)).participants:
                        return room
            return None

        return await until(found, within)

    async def gone(self, room: str, identity: str = PHONE_NUMBER, within: float = 2.0) -> None:
        """Return as soon as the participant is not there."""

        async def missing() -> bool:
            return await self.participant(room, identity) is None

        await until(missing, within)

    async def active(self, room: str, identity: str = PHONE_NUMBER, within: float = 2.0) -> api.ParticipantInfo:
        """The participant, as soon as its call is up."""

        async def up() -> api.ParticipantInfo | None:
            found = await self.participant(room, identity)
            return found if found and found.attributes["sip.callStatus"] == "active" else None

        return await until(up, within)


async def until(look: Callable[[], Awaitable[T | None]], within: float) -> T:
    """Look again until there is something to see: LiveKit's API tells only who asks."""
    async with asyncio.timeout(within):
        while True:
            if seen := await look():
                return seen
            await asyncio.sleep(0.02)


@asynccontextmanager
async def open_desk(lab: Lab) -> AsyncIterator[Desk]:
    async with lab.livekit() as livekit, SipPhone() as phone:
        trunk = api.SIPOutboundTrunkInfo(name="phone", address=phone.address, numbers=[TRUNK_NUMBER])
        created = await livekit.sip.create_outbound_trunk(api.CreateSIPOutboundTrunkRequest(trunk=trunk))
        yield Desk(lab, livekit, phone, created.sip_trunk_id)


def new_room() -> str:
    return f"room-{secrets.token_hex(6)}"


def new_number() -> str:
    return f"+1555{secrets.randbelow(10_000_000):07d}"


async def error_of(task: asyncio.Task[Any]) -> api.ServerError:
    with pytest.raises(api.ServerError) as caught:
        await task
    return caught.value


async def wait(seconds: float) -> None:
    """Let time pass in which something must not happen, or which is itself what is tested."""
    await asyncio.sleep(seconds)
