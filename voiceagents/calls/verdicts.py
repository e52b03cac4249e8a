"""Must a call that has not ended be ended from outside? Is it offered again? And what is done to an agent that hangs?

Pure decisions of the watcher, from what call, room and agent look like.
"""

import signal
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.states import CallState, EndedBy, Outcome

NO_AGENT = 3.0
"""Seconds that a phone on the line may be without an agent in its room.

LiveKit itself takes 21 s to notice that an agent was killed (measured on livekit-server 1.11.0), so that this is the
slow way, for a call whose worker lives. A worker that dies is known by its silence, in a third of that time.
"""

NO_ROOM = 20.0
"""Seconds that a call may be under way without a room."""

NOT_TAKEN = 90.0
"""Seconds that a dispatched call may wait for an agent to take it."""

NOT_DISPATCHED = 600.0
"""Seconds that a call may wait for whoever made it to dispatch it: it keeps a place."""

LOOKED_AT = 10.0
"""Seconds over which a watcher itself must have seen a call wait: the clock of whoever dispatched it may be slow."""

HANGS = 30.0
"""Seconds of silence after which our own agent process is told to stop: LiveKit goes on to offer it calls, and it takes
none. Long before that, its calls were ended."""

HANGS_STILL = 120.0
"""Seconds of silence after which it is killed, so that whoever supervises it starts it again."""


@dataclass(frozen=True)
class RoomSeen:
    """A room as LiveKit reports it."""

    name: str
    phone_active: bool
    has_agent: bool
    has_phone: bool = False


@dataclass(frozen=True)
class CallSeen:
    """A call that has not ended, as its row says.

    `age` is the time since its last state, in seconds.
    """

    id: UUID
    state: CallState
    room: str | None
    age: float
    worker_alive: bool


def verdict(
    call: CallSeen, room: RoomSeen | None, seconds_lacking: float, seconds_seen: float = float("inf")
) -> Ending | None:
    """Whether a call that has not ended must be ended from outside, and what then stands in its row.

    Args:
        call: what its row says.
        room: its room, if there is one.
        seconds_lacking: how long the call has been without its room, or the phone on the line without an agent.
        seconds_seen: how long the watcher has seen the call in this state.
    """
    if call.state in (CallState.QUEUED, CallState.DISPATCHED):
        if seconds_seen <= LOOKED_AT:
            return None
        cause = None
        if call.state is CallState.DISPATCHED and call.age > NOT_TAKEN:
            cause = f"no agent took the call within {NOT_TAKEN:.0f} s"
        elif call.age > NOT_DISPATCHED:
            cause = f"it was not dispatched within {NOT_DISPATCHED / 60:.0f} minutes"
        return Ending(Outcome.NO_CAPACITY, f"not dialled: {cause}", EndedBy.SYSTEM) if cause else None
    if not call.worker_alive:
        return Ending(Outcome.FAILED, "the agent process that held the call died", EndedBy.SYSTEM)
    if room is None:
        # Long after the answer, a room that has just gone is a call that is just being ended by its own agent.
        if min(call.age, seconds_lacking) > NO_ROOM:
            return Ending(Outcome.FAILED, "the call's room was gone and its agent did not say why", EndedBy.SYSTEM)
        return None
    if room.phone_active and not room.has_agent and seconds_lacking > NO_AGENT:
        return Ending(Outcome.FAILED, "the agent left the call and the person was alone on the line", EndedBy.SYSTEM)
    return None


def remedy(silent: float) -> signal.Signals | None:
    """What an agent process is sent that has not said for so many seconds that it lives."""
    if silent > HANGS_STILL + 5:
        return signal.SIGKILL
    if silent > HANGS_STILL:
        return signal.SIGABRT  # it then writes down where each of its threads was
    return signal.SIGTERM if silent > HANGS else None


def lack_of(room: RoomSeen | None) -> str:
    """What a call under way is without, if anything."""
    if room is None:
        return "room"
    return "agent" if room.phone_active and not room.has_agent else ""


def waiting(calls: Iterable[CallSeen], rooms: Iterable[RoomSeen]) -> set[str]:
    """Names of the rooms in which a call waits for its first agent: one to be dialled, or somebody who calls us."""
    states = {call.room: call.state for call in calls}
    not_taken = (CallState.QUEUED, CallState.DISPATCHED)
    return {
        room.name
        for room in rooms
        if not room.has_agent
        and not room.phone_active
        and (states[room.name] in not_taken if room.name in states else room.has_phone)
    }
