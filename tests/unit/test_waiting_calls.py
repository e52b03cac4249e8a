"""Which rooms wait for an agent that never came?"""

from uuid import uuid4

import pytest

from voiceagents.calls.states import CallState
from voiceagents.calls.verdicts import CallSeen, RoomSeen, waiting

pytestmark = pytest.mark.unit

EMPTY = RoomSeen("room", phone_active=False, has_agent=False)
RINGING_IN = RoomSeen("room", phone_active=False, has_agent=False, has_phone=True)
TAKEN = RoomSeen("room", phone_active=False, has_agent=True, has_phone=True)
ALONE = RoomSeen("room", phone_active=True, has_agent=False, has_phone=True)


def call(state: CallState) -> CallSeen:
    return CallSeen(uuid4(), state, "room", 5.0, True)


@pytest.mark.parametrize("state", [CallState.QUEUED, CallState.DISPATCHED])
def test_a_call_that_nobody_took_waits_in_its_empty_room(state: CallState) -> None:
    assert waiting([call(state)], [EMPTY]) == {"room"}


def test_somebody_who_calls_us_waits_without_a_row() -> None:
    assert waiting([], [RINGING_IN]) == {"room"}


@pytest.mark.parametrize("state", [CallState.DIALING, CallState.RINGING, CallState.ANSWERED])
@pytest.mark.parametrize("room", [EMPTY, RINGING_IN])
def test_a_call_that_was_dialled_is_never_offered_again(state: CallState, room: RoomSeen) -> None:
    assert waiting([call(state)], [room]) == set()


@pytest.mark.parametrize("room", [TAKEN, ALONE])
def test_a_room_with_an_agent_or_a_person_on_the_line_does_not_wait(room: RoomSeen) -> None:
    assert waiting([], [room]) == set()
    assert waiting([call(CallState.DISPATCHED)], [room]) == set()


def test_an_empty_room_without_a_call_does_not_wait() -> None:
    assert waiting([], [EMPTY]) == set()
