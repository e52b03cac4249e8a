"""What becomes of a call that no agent took? It is offered again, until one does or nobody waits any more.

LiveKit offers a dispatch to the workers there are at that moment, once (measured on livekit-server 1.11.0). If all
places are taken just then, or the workers too busy to answer in time, the room stays, and a caller hears it ring
without end. Offering a call twice is safe: only one agent can claim the dial, and only one can open an inbound call.
"""

import logging
from collections.abc import Iterable

from livekit import api

from voiceagents import logs

log = logging.getLogger("voiceagents.redispatch")

PATIENCE = 7.0
"""Seconds that a room may wait for its first agent before its dispatch is repeated, and then for each further one.

Only after five does LiveKit list the job of a dispatch that was taken at once (measured, too).
"""


class Redispatcher:
    """Repeats the dispatches of one agent name that nobody took."""

    def __init__(self, livekit: api.LiveKitAPI, agent_name: str) -> None:
        self._livekit = livekit
        self._agent_name = agent_name
        self._waiting_since: dict[str, float] = {}
        self._known: dict[str, int] = {}

    async def look(self, waiting: Iterable[str], now: float) -> None:
        """Takes note of the rooms that wait for an agent now, and repeats the dispatches of those that waited long."""
        self._waiting_since = {room: self._waiting_since.get(room, now) for room in waiting}
        self._known = {room: self._known.get(room, 1) for room in self._waiting_since}
        for room, since in self._waiting_since.items():
            if now - since > PATIENCE:
                self._waiting_since[room] = now
                await self._repeat(room)

    async def _repeat(self, room: str) -> None:
        try:
            dispatches = await self._livekit.agent_dispatch.list_dispatch(room)
        except api.ServerError as error:
            # The room went just now: LiveKit finds no server that holds it.
            if error.code in (api.ServerErrorCode.NOT_FOUND, api.ServerErrorCode.UNAVAILABLE):
                return
            raise
        ours = [dispatch for dispatch in dispatches if dispatch.agent_name == self._agent_name]
        if not ours or any(dispatch.state.jobs for dispatch in ours):
            return  # another agent's room, or ours is on its way or has been here
        known, self._known[room] = self._known[room], len(ours)
        if len(ours) > known:
            return  # another watcher has just done so
        self._known[room] += 1
        log.info("%s", logs.event("DISPATCHED_AGAIN", room=logs.room(room), cause="no agent had taken the call"))
        await self._livekit.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name=self._agent_name,
                room=room,
                metadata=ours[0].metadata,
                restart_policy=api.JobRestartPolicy.JRP_NEVER,
            )
        )
        # The earlier ones stay: deleting a dispatch throws its agent out, if one comes after all.
