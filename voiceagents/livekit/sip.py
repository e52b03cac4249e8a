"""How is a phone dialled and hung up through LiveKit? The only place that speaks LiveKit's SIP and room API for a
call.

Every error of a dial comes back as one `NotAnswered` with all that is known, so that the decision what it means is
taken elsewhere, without I/O.
"""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import aiohttp
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from livekit import api, rtc

from voiceagents import phone
from voiceagents.assistants import dialled
from voiceagents.calls.outcomes import DialFailure, Trouble
from voiceagents.calls.rooms import is_gone
from voiceagents.settings import LiveKitAccess

log = logging.getLogger("voiceagents.sip")

CALL_STATUS = "sip.callStatus"
"""Participant attribute: dialing, ringing, active, hangup.

Only "active" means that somebody answered (LiveKit docs, SIP participant).
"""


class NotAnswered(Exception):
    """The dial did not end in an answer."""

    def __init__(self, failure: DialFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True)
class Dial:
    """One dial.

    Times in seconds.
    """

    room: str
    number: str
    trunk_id: str
    name: str = ""
    ringing_timeout: float = 30.0
    max_call_duration: float = 1800.0


def connect(access: LiveKitAccess) -> api.LiveKitAPI:
    """A client for LiveKit's API.

    It never repeats a request by itself: a repeated dial is a second call.
    """
    return api.LiveKitAPI(access.url, access.api_key, access.api_secret.get_secret_value(), failover=False)


async def dial(livekit: api.LiveKitAPI, dial: Dial) -> api.SIPParticipantInfo:
    """Dials and waits for the answer.

    Raises:
        NotAnswered: with everything known of why.
    """
    request = api.CreateSIPParticipantRequest(
        room_name=dial.room,
        sip_trunk_id=dial.trunk_id,
        sip_call_to=dial.number,
        participant_identity=dial.number,
        participant_name=dial.name,
        wait_until_answered=True,
        ringing_timeout=_duration(dial.ringing_timeout),
        max_call_duration=_duration(dial.max_call_duration),
    )
    started = time.monotonic()
    try:
        # Longer than the phone may ring: a request that gives up first leaves a phone ringing that nobody waits for.
        return await livekit.sip.create_sip_participant(request, timeout=dial.ringing_timeout + 15)
    except api.ServerError as error:
        status = error.sip_status_code if isinstance(error, api.SipCallError) else None
        reason = error.sip_status if isinstance(error, api.SipCallError) else None
        # Not LiveKit's words but a proxy's in front of it: the request may have gone through.
        from_a_proxy = error.code == api.ServerErrorCode.UNKNOWN and not error.message
        trouble = Trouble.CONNECTION if from_a_proxy else Trouble.SERVER
        raise NotAnswered(
            DialFailure(
                trouble=trouble if status is None else Trouble.SIP,
                code=error.code,
                message=error.message or f"HTTP status {error.status}",
                sip_status=status,
                sip_reason=reason,
                seconds=time.monotonic() - started,
                ringing_timeout=dial.ringing_timeout,
            )
        ) from error
    except (TimeoutError, aiohttp.ClientError, OSError, DecodeError) as error:
        raise NotAnswered(
            DialFailure(
                trouble=Trouble.TIMEOUT if isinstance(error, TimeoutError) else Trouble.CONNECTION,
                message=str(error) or type(error).__name__,
                seconds=time.monotonic() - started,
                ringing_timeout=dial.ringing_timeout,
            )
        ) from error


async def delete_room(livekit: api.LiveKitAPI, room: str, *, seconds: float = 10.0) -> bool:
    """Deletes the room, which ends every phone call in it (BYE, or CANCEL while it rings).

    True when the room is gone. Tries again until `seconds` are over: a room that stays is a person who listens to
    silence.
    """
    deadline = time.monotonic() + seconds
    pause = 0.2
    while True:
        try:
            await livekit.room.delete_room(api.DeleteRoomRequest(room=room))
            return True
        except api.ServerError as error:
            if is_gone(error):
                return True
            trouble = f"{error.code}: {error.message}"
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            trouble = str(error) or type(error).__name__
        if time.monotonic() + pause > deadline:
            log.error("ROOM_NOT_DELETED | room=%s | cause=%s", room, trouble)
            return False
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)


def is_phone(participant: rtc.RemoteParticipant) -> bool:
    """True for the other end of a phone line: recorders, watchers and agents are not the person."""
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP


def phone_in(room: rtc.Room) -> rtc.RemoteParticipant | None:
    """The phone in the room, if one is there."""
    return next((p for p in room.remote_participants.values() if is_phone(p)), None)


# "anonymous", "restricted" and "unavailable" as a keypad spells them, and nothing but zeros: how some carriers send a
# hidden caller.
_HIDDEN = re.compile(r"\+(?:266696687|7378742833|86282452253|\d{1,3}0{7,})")


@dataclass(frozen=True)
class InboundCall:
    """Who called which number, as SIP told it.

    Numbers are E.164 with `+` where they have the shape of one.
    """

    did: str | None
    caller: str | None
    sip_call_id: str | None

    @classmethod
    def of(cls, attributes: Mapping[str, str], did: str | None = None) -> "InboundCall":
        """Reads a SIP participant's attributes.

        A hidden caller ("anonymous", empty, missing) is None.

        Args:
            attributes: the participant's.
            did: the number that was called, in E.164, where more is known of it than the attributes tell.
        """
        did = did or with_plus(attributes.get("sip.trunkPhoneNumber"))
        return cls(
            did=did,
            caller=_caller(attributes.get("sip.phoneNumber"), did),
            sip_call_id=attributes.get("sip.callIDFull") or attributes.get("sip.callID"),
        )


def _caller(sent: str | None, did: str | None) -> str | None:
    number = with_plus(sent)
    if number and _HIDDEN.fullmatch(number):
        return None
    text = dialled.spelled(sent or "")
    if did and not text.startswith(("+", "00")):
        # Without a country code it is first a number of the country that was called, as people there write it.
        with suppress(phone.InvalidPhoneNumber):
            return phone.normalize(text, phone.country_of(did))
    return number


def with_plus(number: str | None) -> str | None:
    """SIP sends numbers with `+`, without it, with 00 in its place, and in addresses (`sip:+12025550143@…`).

    What is no number at all ("anonymous", a SIP user) is None.
    """
    text = dialled.spelled(number or "")
    if text.startswith(("+", "00")):
        text = re.sub(r"[\s().-]", "", text)
    candidate = text if text.startswith("+") else "+" + text.removeprefix("00")
    return candidate if phone.is_e164(candidate) else None


def _duration(seconds: float) -> Duration:
    return Duration(seconds=int(seconds), nanos=int((seconds % 1) * 1e9))
