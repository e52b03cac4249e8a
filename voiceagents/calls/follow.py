"""What is a call doing right now? Its row and its words as they change, until it has ended.

The agent lives in another process, often on another machine, so the history is what is watched.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from uuid import UUID

from voiceagents.calls import history
from voiceagents.calls.models import Call, Turn
from voiceagents.calls.states import CallState
from voiceagents.db import Database

PERIOD = 0.25
"""Seconds between two looks: well under what a person notices, and two small queries each."""


@dataclass(frozen=True)
class Snapshot:
    """The call as it is, everything said so far, and whether it is over."""

    call: Call
    turns: Sequence[Turn]

    @property
    def ended(self) -> bool:
        return self.call.state is CallState.ENDED


async def follow(database: Database, call_id: UUID) -> AsyncGenerator[Snapshot]:
    """A snapshot now and after every change; the last one is the ended call.

    The call's row must exist.
    """
    seen: object = None
    while True:
        async with database.transaction() as session:
            call = await session.get_one(Call, call_id)
            turns = await history.transcript(session, call_id)
        snapshot = Snapshot(call, turns)
        if (now := (call.state, [(turn.item_id, turn.text, turn.interrupted) for turn in turns])) != seen:
            seen = now
            yield snapshot
        if snapshot.ended:
            return
        await asyncio.sleep(PERIOD)
