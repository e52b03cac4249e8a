"""How do the calls of the demo go? The engine dials the contact list as a campaign, and one person calls in.

What is seen is what anybody can see: the contacts' rows, the calls' rows and their words, as they change.
"""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import select

from voiceagents.assistants import store
from voiceagents.calls.follow import PERIOD, Snapshot, follow
from voiceagents.calls.models import Call
from voiceagents.calls.states import Outcome, Speaker
from voiceagents.campaigns import lifecycle
from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.models import Contact as ContactRow
from voiceagents.campaigns.states import ContactState
from voiceagents.demo import campaign, people, report
from voiceagents.demo.people import Caller, Contact
from voiceagents.demo.screen import Row, Screen
from voiceagents.demo.servers import Servers, own_environment
from voiceagents.interrupts import completely, until_interrupted
from voiceagents.settings import Settings

LONGEST_CALL = 150.0
"""Seconds after which a call of the demo counts as never ended."""

INTERRUPTED = 130

_CROWD = 60
"""Contacts of the campaign that runs on in the browser: some ten minutes of calls."""


@dataclass
class Result:
    """How it went with one person; of several calls, the last."""

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

    campaign: Campaign | None = None

    async def all_calls(self) -> list[Result]:
        """Everybody out, then one in."""
        return [*await self.calls_out(), await self.call_in()]

    async def calls_out(self) -> list[Result]:
        """Lets the engine dial the contact list, and follows each contact until the campaign is done with it."""
        trunk = self.servers.lab.outbound_trunk_id
        self.campaign, ids = await campaign.start(self.servers.database, trunk, self.contacts)
        counting = asyncio.create_task(self._count(self.campaign.id))
        try:
            return await asyncio.gather(
                *(
                    self._contact(contact, id_, row)
                    for contact, id_, row in zip(self.contacts, ids, self.rows, strict=False)
                )
            )
        finally:
            counting.cancel()
            with suppress(asyncio.CancelledError):
                await counting
            await self._show_counts(self.campaign.id)

    async def go_on(self) -> None:
        """Starts a longer campaign to look at in the browser, and stays until somebody ends the demo."""
        more, phones = people.crowd(_CROWD)
        await self.servers.lab.carrier.put_phones(phones)
        await campaign.start(self.servers.database, self.servers.lab.outbound_trunk_id, more, title="of a longer list ")
        self.screen.tell(f"A campaign of {len(more)} contacts is running now. Look at it in the browser:")
        for line in self.servers.web_lines:
            self.screen.tell(line)
        self.screen.tell("Ctrl-C ends the demo; the history stays.")
        try:
            await asyncio.Event().wait()
        finally:
            # Whoever starts an engine in this folder later does not mean to call these.
            await completely(campaign.make_way(self.servers.database))

    async def _contact(self, contact: Contact, contact_id: UUID, row: Row) -> Result:
        result = Result(row, contact.number, contact.expected, contact.dials)
        followed: UUID | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout(LONGEST_CALL):
                while True:
                    async with self.servers.database.transaction() as session:
                        now = await session.get_one(ContactRow, contact_id)
                    if now.call_id is not None and now.call_id != followed:
                        followed = now.call_id
                        await self._follow(followed, result)
                        continue
                    if now.state not in (ContactState.WAITING, ContactState.CALLING):
                        break
                    if now.state is ContactState.WAITING and now.last_outcome is not None:
                        self._changed(row, f"{now.last_outcome}, again at {now.next_at.astimezone():%H:%M:%S}")
                    await asyncio.sleep(PERIOD)  # the engine's process writes the row: there is no event to wait for
        self._judge(result)
        return result

    async def _count(self, campaign_id: UUID) -> None:
        while True:
            await self._show_counts(campaign_id)
            await asyncio.sleep(2 * PERIOD)

    async def _show_counts(self, campaign_id: UUID) -> None:
        async with self.servers.database.transaction() as session:
            counts = await lifecycle.progress(session, campaign_id)
        self.screen.counts(
            f"campaign of {counts.contacts} contacts: {counts.waiting} waiting, {counts.calling} calling, "
            f"{counts.done} done, {counts.skipped} skipped"
        )

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
        if call_id is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(LONGEST_CALL):
                    await self._follow(call_id, result)
            self._judge(result)
        return result

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

    async def _follow(self, call_id: UUID, result: Result) -> None:
        row = result.row
        told: set[str] = set()
        async for now in follow(self.servers.database, call_id):
            result.last = now
            if not now.ended:
                self._changed(row, now.call.state.value)
            for turn in now.turns:
                if turn.item_id not in told:
                    told.add(turn.item_id)
                    speaker = "agent" if turn.speaker is Speaker.AGENT else row.name.split()[0]
                    row.words = f"{speaker}: {turn.text}"
                    self.screen.changed(row, f"  {row.words}")

    def _changed(self, row: Row, state: str) -> None:
        if row.state != state:
            row.state = state
            self.screen.changed(row, state)

    def _judge(self, result: Result) -> None:
        row, since = result.row, self.started.timestamp()
        way = "to" if result.number != self.caller.number else "from"
        mine = self.servers.lab.carrier.invites(**{way: result.number})
        result.invites = sum(invite["time"] >= since for invite in mine)
        row.verdict = "as expected" if result.as_expected else "otherwise"
        if result.last is None or not result.last.ended:
            self._changed(row, f"has not ended after {LONGEST_CALL:.0f} s")
            return
        call = result.last.call
        row.state = call.outcome.value if call.outcome else "ended"
        self.screen.changed(row, f"{row.state} ({call.cause})")


def main(folder: Path | None, *, keep: bool, go_on: bool) -> int:
    """Runs the demo.

    Args:
        folder: where history, recordings and logs go; None: VOICEAGENTS_DATA, else `.voiceagents`.
        keep: leaves everything running.
        go_on: starts a longer campaign afterwards, to be looked at in the browser until Ctrl-C.

    Returns the exit status: 0 when every call ended as expected.
    """
    given = os.environ.get("VOICEAGENTS_DATA")
    settings = own_environment((folder or Path(given or ".voiceagents")).expanduser().absolute())
    status = asyncio.run(until_interrupted(_run(settings, keep=keep, go_on=go_on)))
    return INTERRUPTED if status is None else status


async def _run(settings: Settings, *, keep: bool, go_on: bool) -> int:
    contacts, caller = people.contacts(), people.caller()
    rows = [Row(contact.name, contact.number, contact.behaviour) for contact in contacts]
    rows.append(Row(caller.name, caller.number, caller.behaviour))
    screen = Screen(rows)
    servers = Servers(settings, keep=keep, tell=screen.tell)
    kept = False
    try:
        await servers.start()
        demo = Demo(settings, servers, screen, contacts, caller, rows)
        screen.tell(f"Calling {len(contacts)} people, {campaign.AT_ONCE} at a time; then one calls {caller.did}")
        with screen:
            results = await servers.while_alive(demo.all_calls())
        assert demo.campaign is not None, "the calls out come first"
        report.show(screen.console, results, servers, demo.campaign.name)
        kept = keep
        if go_on and not keep:
            # Ctrl-C is how this ends, and no failure.
            with suppress(asyncio.CancelledError):
                await servers.while_alive(demo.go_on())
            screen.tell("Stopping")
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
