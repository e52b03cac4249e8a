"""How does a call that has its row get to an agent?

A room with the call's context, and in it the dispatch; both may be done again after a crash.
"""

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from livekit import api

from voiceagents import logs
from voiceagents.calls import history
from voiceagents.calls.metadata import JobMetadata, RoomContext, outbound_room
from voiceagents.calls.records import CallOpened, StateReached
from voiceagents.calls.states import CallState, Direction
from voiceagents.db import Database

log = logging.getLogger("voiceagents.dispatch")


@dataclass(frozen=True)
class OutboundCall:
    """A call to be made.

    `number` is E.164.
    """

    id: UUID
    number: str
    agent_name: str
    trunk_id: str | None = None
    assistant_id: str | None = None
    campaign_id: str | None = None
    contact_id: str | None = None
    contact_name: str = ""
    contact_email: str = ""
    attempt: int | None = None
    prompt: str = ""
    variables: dict[str, str] = field(default_factory=dict[str, str])
    voicemail_message: str | None = None
    menu_path: str | None = None
    extraction: dict[str, Any] | None = None

    def metadata(self) -> JobMetadata:
        """What the agent is told."""
        return JobMetadata(
            phone_number=self.number,
            agent_id=self.assistant_id,
            call_type="campaign" if self.campaign_id else "single",
            campaign_id=self.campaign_id,
            contact_name=self.contact_name,
            campaign_prompt=self.prompt,
            outbound_trunk_id=self.trunk_id,
            call_id=self.id,
            contact_id=self.contact_id,
            attempt=self.attempt,
            email=self.contact_email or None,
            variables=self.variables,
            voicemail_message=self.voicemail_message,
            menu_path=self.menu_path,
            extraction=self.extraction,
        )

    def context(self) -> RoomContext:
        """What stands in the room's metadata."""
        return RoomContext(
            campaign_prompt=self.prompt,
            contact_name=self.contact_name,
            contact_email=self.contact_email,
            contact_phone=self.number,
            assistant_id=self.assistant_id,
            campaign_id=self.campaign_id,
        )

    def opened(self) -> CallOpened:
        """What is true of the call before anybody has heard of it."""
        return CallOpened(
            call_id=self.id,
            at=datetime.now(UTC),
            direction=Direction.OUTBOUND,
            state=CallState.QUEUED,
            to_number=self.number,
            room_name=outbound_room(self.number, self.id),
            trunk_id=self.trunk_id,
            assistant_id=self.assistant_id,
            campaign_id=self.campaign_id,
            contact_id=self.contact_id,
            contact_name=self.contact_name or None,
            attempt=self.attempt,
        )


async def dispatch(database: Database, livekit: api.LiveKitAPI, call: OutboundCall, *, again: bool = False) -> str:
    """Creates room and agent dispatch of a call that has its row, and returns the room's name.

    Args:
        database: of the row.
        livekit: where the room is made.
        call: whom to call.
        again: the room is there, and its dispatch was lost: it gets one more.

    Raises:
        MetadataError: the metadata is longer than LiveKit takes; nothing was created.
        ServerError: LiveKit refused; the row says that the call is queued.
    """
    metadata, context = call.metadata().to_json(), call.context().to_json()
    room = outbound_room(call.number, call.id)
    # The default runs a job again that failed: a second dial.
    restart = api.JobRestartPolicy.JRP_NEVER
    # A room that names its agents costs LiveKit less: otherwise it looks for nameless ones first, for three seconds in
    # one of its fifty launchers, and a burst of calls waits for that (livekit-server 1.11.0, agent/client.go).
    agent = api.RoomAgentDispatch(agent_name=call.agent_name, metadata=metadata, restart_policy=restart)
    # A room that nobody comes to goes by itself; the agent that comes deletes it when the call is over.
    await livekit.room.create_room(
        api.CreateRoomRequest(name=room, metadata=context, empty_timeout=120, departure_timeout=10, agents=[agent])
    )
    if again:
        await livekit.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name=call.agent_name, room=room, metadata=metadata, restart_policy=restart
            )
        )
    async with database.transaction() as session:
        await history.write(session, StateReached(call_id=call.id, state=CallState.DISPATCHED, at=datetime.now(UTC)))
    log.info("DISPATCHED | call=%s | room=%s", call.id, logs.room(room))
    return room
