"""Who offers a call again that no agent took, when several watch?"""

from collections.abc import Sequence
from typing import Any

import pytest
from livekit import api

from voiceagents.calls.redispatch import PATIENCE, Redispatcher

pytestmark = pytest.mark.unit

ROOM = "call-+12025550143-1"


class Rooms:
    """LiveKit's dispatches of one room."""

    def __init__(self) -> None:
        self.agent_dispatch = self
        self.dispatches = [api.AgentDispatch(agent_name="ours", room=ROOM, metadata="{}")]

    async def list_dispatch(self, room: str) -> Sequence[api.AgentDispatch]:
        return list(self.dispatches) if room == ROOM else ()

    async def create_dispatch(self, request: api.CreateAgentDispatchRequest) -> api.AgentDispatch:
        made = api.AgentDispatch(agent_name=request.agent_name, room=request.room, metadata=request.metadata)
        self.dispatches.append(made)
        return made


async def test_of_several_watchers_one_offers_a_call_again_each_time() -> None:
    rooms: Any = Rooms()
    watchers = [Redispatcher(rooms, "ours") for _ in range(3)]
    offered: list[int] = []
    for second in range(31):
        for watcher in watchers:
            await watcher.look([ROOM], float(second))
        offered.append(len(rooms.dispatches) - 1)
    assert offered[int(PATIENCE)] == 0
    assert offered[int(PATIENCE) + 1] == 1
    assert offered[30] == 3, "patience is the same for all, however many watch"


async def test_a_dispatch_that_an_agent_took_or_of_another_agent_is_not_repeated() -> None:
    rooms: Any = Rooms()
    taken = Redispatcher(rooms, "ours")
    others = Redispatcher(rooms, "theirs")
    rooms.dispatches[0].state.jobs.add(id="AJ_1")
    for second in (0.0, PATIENCE + 1, 3 * PATIENCE):
        await taken.look([ROOM], second)
        await others.look([ROOM], second)
    assert len(rooms.dispatches) == 1


async def test_a_room_that_waited_before_waits_anew() -> None:
    rooms: Any = Rooms()
    watcher = Redispatcher(rooms, "ours")
    await watcher.look([ROOM], 0.0)
    await watcher.look([], 5.0)
    await watcher.look([ROOM], 6.0)
    await watcher.look([ROOM], 6.0 + PATIENCE)
    assert len(rooms.dispatches) == 1
    await watcher.look([ROOM], 6.1 + PATIENCE)
    assert len(rooms.dispatches) == 2
