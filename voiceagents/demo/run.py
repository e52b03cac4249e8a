"""How do the calls of the demo go? A contact list, a plain loop that dials three at a time, then one call coming in.

The loop knows nothing that a program of one's own would not know: a contact becomes an `OutboundCall`, `dispatch`
hands it to the agent, and the history says what became of it.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from sqlalchemy import select

from voiceagents.assistants import store
from voiceagents.calls.dispatch import OutboundCall, dispatch
from voiceagents.calls.follow import Snapshot, follow
from voiceagents.calls.models import Call
from voiceagents.calls.states import Outcome, Speaker
from voiceagents.demo import people, report
from voiceagents.demo.people import Caller, Contact
from voiceagents.demo.screen import Row, Screen
from voiceagents.demo.servers import Servers, own_environment
from voiceagents.interrupts import until_interrupted
from voiceagents.settings import Settings

AT_ONCE = 3
LONGEST_CALL = 150.0
"""Seconds after which a call of the demo counts as never ended."""

INTERRUPTED = 130


@dataclass
class Result:
    """How one call of the demo ended."""

    row: Row
    number: str
    expected: Outcome
    invites_expected: int
    last: Snapshot | None = None
    invites: int = 0

    @property
    def as_expected(self) -> bool:
        return (
            self.last is not None
            and self.last.ended
            and self.last.call.outcome is self.expected
            and self.invites == self.invites_expected
        )


@dataclass
class Demo:
    """One run."""

    settings: Settings
    servers: Servers
    screen: Screen
    contacts: Sequence[Contact]
    caller: Caller
    rows: list[Row]
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def campaign_id(self) -> str:
        return f"demo-{self.started.astimezone():%Y%m%d-%H%M%S}"

    async def all_calls(self) -> list[Result]:
        """Everybody out, then one in."""
        return [*await self.calls_out(), await self.call_in()]

    async def calls_out(self) -> list[Result]:
        """Dials the contact list, in its order, a few at a time."""
        free = asyncio.Semaphore(AT_ONCE)

        async def one(index: int, contact: Contact) -> Result:
            async with free:
                return await self._call(index, contact)

        return await asyncio.gather(*(one(index, contact) for index, contact in enumerate(self.contacts)))

    async def _call(self, index: int, contact: Contact) -> Result:
        call = OutboundCall(
            id=uuid4(),
            number=contact.number,
            agent_name=self.settings.lk_agent_name,
            trunk_id=self.servers.lab.outbound_trunk_id,
            campaign_id=self.campaign_id,
            contact_id=str(index + 1),
            attempt=1,
            contact_name=contact.name,
            contact_email=contact.email,
            prompt=people.SCRIPT,
            variables=contact.variables,
        )
        async with self.servers.lab.livekit() as livekit:
            await dispatch(self.servers.database, livekit, call)
        result = Result(self.rows[index], contact.number, contact.expected, int(contact.exists))
        return await self._follow(call.id, result)

    async def call_in(self) -> Result:
        """Lets a phone call the demo's number, which an assistant answers."""
        draft = store.AssistantDraft(
            id=people.ASSISTANT_ID,
            name="Garden shop",
            prompt=people.ASSISTANT_PROMPT,
            first_message=people.FIRST_MESSAGE,
        )
        async with self.servers.database.transaction() as session:
            await store.save(session, draft)
            await store.bind(session, self.caller.did, draft.id, "demo")
        lab = self.servers.lab
        await lab.add_inbound_number(self.caller.did, agent_name=self.settings.lk_agent_name)
        sip_call_id = await lab.carrier.place_call(self.caller.did, self.caller.phone, caller=self.caller.number)
        result = Result(self.rows[-1], self.caller.number, self.caller.expected, 1)
        call_id = await self._row_of(sip_call_id)
        return result if call_id is None else await self._follow(call_id, result)

    async def _row_of(self, sip_call_id: str) -> UUID | None:
        """The call that the agent answers, once its row is there; None when the agent does not answer."""
        query = select(Call.id).where(Call.details["sip_call_id"].astext == sip_call_id)
        try:
            async with asyncio.timeout(20):
                while True:
                    async with self.servers.database.transaction() as session:
                        if (found := await session.scalar(query)) is not None:
                            return found
                    await asyncio.sleep(0.25)  # the agent's process makes the row: there is no event to wait for
        except TimeoutError:
            return None

    async def _follow(self, call_id: UUID, result: Result) -> Result:
        row = result.row
        told: set[str] = set()
        try:
            async with asyncio.timeout(LONGEST_CALL):
                async for now in follow(self.servers.database, call_id):
                    result.last = now
                    if row.state != now.call.state.value and not now.ended:
                        row.state = now.call.state.value
                        self.screen.changed(row, row.state)
                    for turn in now.turns:
                        if turn.item_id not in told:
                            told.add(turn.item_id)
                            speaker = "agent" if turn.speaker is Speaker.AGENT else row.name.split()[0]
                            row.words = f"{speaker}: {turn.text}"
                            self.screen.changed(row, f"  {row.words}")
        except TimeoutError:
            self.screen.changed(row, f"has not ended after {LONGEST_CALL:.0f} s")
            return result
        self._judge(result)
        return result

    def _judge(self, result: Result) -> None:
        assert result.last is not None
        call, row = result.last.call, result.row
        since = self.started.timestamp()
        mine = self.servers.lab.carrier.invites(
            **{"to" if result.number != self.caller.number else "from": result.number}
        )
        result.invites = sum(invite["time"] >= since for invite in mine)
        row.state = call.outcome.value if call.outcome else "ended"
        row.verdict = "as expected" if result.as_expected else "otherwise"
        self.screen.changed(row, f"{row.state} ({call.cause})")


def main(folder: Path | None, *, keep: bool) -> int:
    """Runs the demo.

    Returns the exit status: 0 when every call ended as expected.
    """
    given = os.environ.get("VOICEAGENTS_DATA")
    settings = own_environment((folder or Path(given or ".voiceagents")).expanduser().absolute())
    status = asyncio.run(until_interrupted(_run(settings, keep=keep)))
    return INTERRUPTED if status is None else status


async def _run(settings: Settings, *, keep: bool) -> int:
    contacts, caller = people.contacts(), people.caller()
    rows = [Row(contact.name, contact.number, contact.behaviour) for contact in contacts]
    rows.append(Row(caller.name, caller.number, caller.behaviour))
    screen = Screen(rows)
    servers = Servers(settings, keep=keep, tell=screen.tell)
    kept = False
    try:
        await servers.start()
        demo = Demo(settings, servers, screen, contacts, caller, rows)
        screen.tell(f"Calling {len(contacts)} people, {AT_ONCE} at a time; then one calls {caller.did}")
        with screen:
            results = await servers.while_agent_lives(demo.all_calls())
        report.show(screen.console, results, servers, demo.campaign_id)
        kept = keep
        return 0 if all(result.as_expected for result in results) else 1
    except asyncio.CancelledError:
        screen.tell("Stopping")
        raise
    finally:
        if kept:
            await servers.leave()
            report.show_kept(screen.console, servers)
        else:
            await servers.stop()
