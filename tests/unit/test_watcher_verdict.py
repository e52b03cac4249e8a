"""When a call is ended from outside, and when it is left alone."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.calls.states import CallState, EndedBy, Outcome
from voiceagents.calls.verdicts import (
    LOOKED_AT,
    NO_AGENT,
    NO_ROOM,
    NOT_DISPATCHED,
    NOT_TAKEN,
    CallSeen,
    RoomSeen,
    verdict,
)

pytestmark = pytest.mark.unit

ROOM = "call-+12025550143-1"
EMPTY = RoomSeen(ROOM, phone_active=False, has_agent=False)
RINGING = RoomSeen(ROOM, phone_active=False, has_agent=True)
TALKING = RoomSeen(ROOM, phone_active=True, has_agent=True)
ALONE = RoomSeen(ROOM, phone_active=True, has_agent=False)
UNDER_WAY = [CallState.DIALING, CallState.RINGING, CallState.ANSWERED]
LONG = 3 * 24 * 3600.0


def call(state: CallState, age: float = 20.0, *, worker_alive: bool = True) -> CallSeen:
    return CallSeen(UUID(int=1), state, ROOM, age, worker_alive)


@pytest.mark.parametrize("state", UNDER_WAY)
@pytest.mark.parametrize("room", [None, EMPTY, RINGING, TALKING, ALONE], ids=str)
def test_a_call_whose_agent_process_died_has_failed_and_is_not_guessed_at(
    state: CallState, room: RoomSeen | None
) -> None:
    ending = verdict(call(state, LONG, worker_alive=False), room, 0)  # TC-056
    assert ending is not None
    assert (ending.outcome, ending.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
    assert "died" in ending.cause


@pytest.mark.parametrize("state", UNDER_WAY)
@pytest.mark.parametrize("room", [EMPTY, RINGING, TALKING], ids=str)
def test_a_call_with_its_agent_or_before_its_answer_is_left_alone(state: CallState, room: RoomSeen) -> None:
    assert verdict(call(state, 20), room, LONG) is None  # TC-056: 20 s old, with a live room
    assert verdict(call(state, LONG), room, 0) is None


@pytest.mark.parametrize("state", UNDER_WAY)
def test_a_person_alone_on_the_line_is_let_go_after_a_moment(state: CallState) -> None:
    assert verdict(call(state), ALONE, NO_AGENT) is None
    ending = verdict(call(state), ALONE, NO_AGENT + 0.1)
    assert ending is not None
    assert ending.outcome is Outcome.FAILED
    assert "alone on the line" in ending.cause


@pytest.mark.parametrize("state", UNDER_WAY)
@pytest.mark.parametrize(
    ("age", "gone_for", "ended"),
    [
        (NO_ROOM, LONG, False),
        (NO_ROOM + 1, NO_ROOM + 1, True),
        (LONG, LONG, True),
        (LONG, 1, False),  # its agent is just ending it
    ],
)
def test_a_call_without_a_room_is_ended_once_its_agent_had_the_time_to_say_why(
    state: CallState, age: float, gone_for: float, ended: bool
) -> None:
    ending = verdict(call(state, age), None, gone_for)
    assert (ending is not None) is ended
    if ending is not None:
        assert "room was gone" in ending.cause


@pytest.mark.parametrize(("age", "ended"), [(0, False), (NOT_TAKEN, False), (NOT_TAKEN + 1, True), (LONG, True)])
@pytest.mark.parametrize("worker_alive", [True, False])
def test_a_dispatch_that_no_agent_takes_is_our_lack_of_capacity(age: float, ended: bool, worker_alive: bool) -> None:
    ending = verdict(call(CallState.DISPATCHED, age, worker_alive=worker_alive), None, LONG)
    assert (ending is not None) is ended
    if ending is not None:
        assert ending.outcome is Outcome.NO_CAPACITY
        assert ending.cause.startswith("not dialled")


@pytest.mark.parametrize(("age", "ended"), [(NOT_TAKEN + 1, False), (NOT_DISPATCHED, False), (LONG, True)])
def test_a_queued_call_waits_for_its_dispatcher_and_keeps_no_place_for_ever(age: float, ended: bool) -> None:
    ending = verdict(call(CallState.QUEUED, age, worker_alive=False), None, LONG)
    assert (ending is not None) is ended
    if ending is not None:
        assert (ending.outcome, ending.cause) == (
            Outcome.NO_CAPACITY, "not dialled: it was not dispatched within 10 minutes"
        )  # fmt: skip


@pytest.mark.parametrize("state", [CallState.QUEUED, CallState.DISPATCHED])
def test_a_call_that_seems_old_at_first_sight_may_come_from_a_slow_clock(state: CallState) -> None:
    assert verdict(call(state, LONG), None, LONG, LOOKED_AT) is None
    assert verdict(call(state, LONG), None, LONG, LOOKED_AT + 1) is not None


@given(
    st.sampled_from([state for state in CallState if state is not CallState.ENDED]),
    st.floats(0, 1e9),
    st.booleans(),
    st.none() | st.builds(RoomSeen, st.just(ROOM), st.booleans(), st.booleans()),
    st.floats(0, 1e9),
)
def test_whatever_is_ended_has_a_cause_and_never_a_conversation(
    state: CallState, age: float, worker_alive: bool, room: RoomSeen | None, lacking: float
) -> None:
    ending = verdict(call(state, age, worker_alive=worker_alive), room, lacking)
    if ending is not None:
        assert ending.cause
        assert ending.ended_by is EndedBy.SYSTEM
        assert ending.outcome in (Outcome.FAILED, Outcome.NO_CAPACITY)
