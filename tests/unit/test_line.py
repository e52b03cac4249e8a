"""What does the line make of LiveKit's news of the phone, in whatever order they come?"""

from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from livekit import rtc
from livekit.rtc.event_emitter import EventEmitter

from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.livekit.control import CallControl
from voiceagents.livekit.line import Line

pytestmark = pytest.mark.unit


class Room(EventEmitter[str]):
    """A room as the line sees it: who is in it, and what is told of them."""

    def __init__(self) -> None:
        super().__init__()
        self.remote_participants: dict[str, Any] = {}
        self.phone = SimpleNamespace(
            identity="+12025550143",
            kind=rtc.ParticipantKind.PARTICIPANT_KIND_SIP,
            attributes={"sip.callStatus": "ringing"},
            disconnect_reason=rtc.DisconnectReason.CLIENT_INITIATED,
        )

    def becomes(self, status: str) -> None:
        self.phone.attributes["sip.callStatus"] = status
        self.emit("participant_attributes_changed", {"sip.callStatus": status}, self.phone)


class Recorder:
    def write(self, record: object) -> None:
        pass


@pytest.mark.parametrize(
    "news",
    [
        ["connected", "active", "left"],
        ["connected", "active", "hangup", "left"],
        ["connected", "left", "active"],
        ["connected", "left", "active", "hangup"],
    ],
)
async def test_who_hangs_up_is_noticed_whatever_the_order_of_the_news(news: list[str]) -> None:
    room, control = Room(), CallControl()
    told: Any = Recorder()
    as_room: Any = room
    Line(call_id=uuid4(), room=as_room, control=control, recorder=told, max_call_duration=60)
    for word in news:
        if word == "connected":
            room.emit("participant_connected", room.phone)
        elif word == "left":
            room.emit("participant_disconnected", room.phone)
        else:
            room.becomes(word)
    assert control.ended.done()
    ending = control.ended.result()
    assert (ending.outcome, ending.ended_by) == (Outcome.COMPLETED, EndedBy.PERSON)


async def test_a_phone_that_leaves_while_it_rings_leaves_the_verdict_to_the_dial() -> None:
    room, control = Room(), CallControl()
    told: Any = Recorder()
    as_room: Any = room
    Line(call_id=uuid4(), room=as_room, control=control, recorder=told, max_call_duration=60)
    room.emit("participant_connected", room.phone)
    room.emit("participant_disconnected", room.phone)
    assert not control.ended.done()
