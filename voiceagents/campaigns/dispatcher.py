"""How does a call that was picked get to an agent, and what if LiveKit is away or loses it on the way?

All may be done twice: the agents' claim lets one of them dial.
"""

import asyncio
import logging
from contextlib import suppress
from datetime import timedelta
from typing import cast
from uuid import UUID

import aiohttp
from livekit import api
from sqlalchemy import select

from voiceagents import clock
from voiceagents.calls import history
from voiceagents.calls.dispatch import OutboundCall, dispatch
from voiceagents.calls.metadata import MetadataError
from voiceagents.calls.models import Call
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import CallEnded
from voiceagents.calls.rooms import is_gone
from voiceagents.calls.states import CallState, EndedBy, Outcome
from voiceagents.campaigns import lifecycle, settling
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.states import CampaignState
from voiceagents.db import Database
from voiceagents.settings import Settings

log = logging.getLogger("voiceagents.engine")

LOST = timedelta(seconds=10)
"""Time after its dispatch at which a call that no agent has come for is dispatched again. The claim lets one dial."""

CLAIMS_WITHIN = timedelta(seconds=20)
"""Time after its dispatch within which an agent that came has claimed the dial.

One that is in the room for longer may be nothing but a record: what a livekit-server that died leaves of its rooms is
never tidied up (measured on livekit-server 1.11.0).
"""

_NOT_DIALLED = (CallState.QUEUED, CallState.DISPATCHED)
_TRIES = 4
_AWAY = (api.ServerError, aiohttp.ClientError, TimeoutError, OSError)


class Dispatcher:
    """Creates rooms and agent dispatches for the calls of campaigns."""

    def __init__(self, settings: Settings, database: Database, livekit: api.LiveKitAPI, stop: asyncio.Event) -> None:
        self._settings = settings
        self._database = database
        self._livekit = livekit
        self._stop = stop
        self._offered: dict[UUID, float] = {}

    async def run(self, id_: UUID) -> None:
        """Brings the call to an agent, unless one has it, or it must not be dialled any more."""
        async with self._database.transaction() as session:
            found = await session.execute(
                select(Call, Contact, Campaign)
                .outerjoin(Contact, Contact.call_id == Call.id)
                .outerjoin(Campaign, Campaign.id == Contact.campaign_id)
                .where(Call.id == id_, Call.state.in_(_NOT_DIALLED))
            )
            row = cast(tuple[Call, Contact | None, Campaign | None] | None, found.one_or_none())
        if row is None:
            return
        call, contact, campaign = row
        if contact is None or campaign is None:
            await self._end(id_, Outcome.CANCELLED, "not dialled: its contact is gone")
            return
        if campaign.state is not CampaignState.RUNNING:
            await self._withdraw(id_, campaign)
            return
        again = False
        if call.state is CallState.DISPATCHED and call.room_name is not None:
            try:
                present = await self._present(call.room_name)
            except _AWAY as error:
                log.warning("DISPATCH_FAILED | call=%s | cause=%s", call.id, first_line(error))
                return  # looked at again with the next reconciliation
            comes = call.dispatched_at is None or call.dispatched_at > clock.now() - CLAIMS_WITHIN
            if (comes and api.ParticipantInfo.Kind.AGENT in (present or ())) or self._was_just_offered(call.id):
                return
            log.warning("DISPATCH_LOST | call=%s | no agent has taken it: dispatched again", call.id)
            again = present is not None
        try:
            await self._bring_to_agent(call, contact, campaign, again=again)
        except MetadataError as error:
            await self._end(id_, Outcome.FAILED, f"not dialled: {error}")
            async with self._database.transaction() as session:
                await lifecycle.pause(session, campaign.id, f"the script cannot be sent: {error}")

    async def _bring_to_agent(self, call: Call, contact: Contact, campaign: Campaign, *, again: bool) -> None:
        outbound = OutboundCall(
            id=call.id,
            number=contact.phone,
            agent_name=self._settings.lk_agent_name,
            trunk_id=call.trunk_id or self._settings.sip_trunk_id,
            assistant_id=campaign.assistant_id,
            campaign_id=str(campaign.id),
            contact_id=str(contact.id),
            contact_name=contact.name,
            contact_email=contact.email,
            attempt=call.attempt,
            prompt=campaign.prompt,
            variables={key: str(value) for key, value in contact.variables.items()},
            voicemail_message=campaign.voicemail_message,
            menu_path=campaign.menu_path,
            extraction=campaign.extraction,
        )
        pause = 0.5
        for attempt in range(1, _TRIES + 1):
            try:
                await dispatch(self._database, self._livekit, outbound, again=again)
                return
            except _AWAY as error:
                log.warning("DISPATCH_FAILED | call=%s | try=%d | cause=%s", call.id, attempt, first_line(error))
                if attempt == _TRIES:
                    # A dispatch that LiveKit may have taken all the same finds an ended call and is refused.
                    await self._end(
                        call.id,
                        Outcome.NO_CAPACITY,
                        f"not dialled: LiveKit could not be reached ({first_line(error)})",
                    )
                    return
            await self._pause(pause)
            pause *= 2

    async def _withdraw(self, call_id: UUID, campaign: Campaign) -> None:
        """The campaign was paused or cancelled after the contact was picked: it waits again, as it did before."""
        objection = {
            "verdict": "hold" if campaign.state is CampaignState.PAUSED else "skip",
            "rule": "campaign_is_running",
            "words": f"the campaign is {campaign.state.value}",
            "next_at": None,
        }
        async with self._database.transaction() as session:
            call = await session.get_one(Call, call_id, with_for_update=True)
            if call.state in _NOT_DIALLED:
                call.details = {**call.details, settling.GATE: objection}
                await session.flush()
                ending = Ending(Outcome.CANCELLED, f"not dialled: {objection['words']}", EndedBy.SYSTEM)
                await history.end(session, CallEnded.of(call_id, ending, clock.now()))

    async def _end(self, call_id: UUID, outcome: Outcome, cause: str) -> None:
        """Ends a call that was not dialled. One that an agent has claimed meanwhile goes on."""
        async with self._database.transaction() as session:
            call = await session.get(Call, call_id, with_for_update=True)
            if call is None or call.state not in _NOT_DIALLED:
                return
            await history.end(session, CallEnded.of(call_id, Ending(outcome, cause, EndedBy.SYSTEM), clock.now()))

    async def _present(self, room: str) -> set[int] | None:
        """The kinds of participants in a room; None when there is no such room."""
        try:
            answer = await self._livekit.room.list_participants(api.ListParticipantsRequest(room=room))
        except api.ServerError as error:
            if is_gone(error):
                return None
            raise
        return {participant.kind for participant in answer.participants}

    def _was_just_offered(self, call_id: UUID) -> bool:
        """Whether the call was dispatched again a moment ago; if not, it counts as such from now on."""
        now, lately = asyncio.get_running_loop().time(), LOST.total_seconds()
        self._offered = {id_: at for id_, at in self._offered.items() if now - at < lately}
        if call_id in self._offered:
            return True
        self._offered[call_id] = now
        return False

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()


def first_line(error: object) -> str:
    """What an error says, for the log."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]
