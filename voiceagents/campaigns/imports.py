"""How does a long import run beside everything else, and how does whoever looks know how far it is?

Its row says so: the report so far, and when its program last lived. It may be cancelled from anywhere: the program that
runs it sees so when it next writes. One that was cut off, with its program, is started again from the file; nobody is
added twice.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.campaigns import contacts
from voiceagents.campaigns.import_report import ImportReport
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.mapping import ColumnMapping
from voiceagents.campaigns.models import ContactImport
from voiceagents.campaigns.numbers import UnknownRegion
from voiceagents.campaigns.states import ImportState
from voiceagents.campaigns.tabular import Reading, Source, TableError
from voiceagents.db import Database, DatabaseUnavailable
from voiceagents.text import storable, storable_value

CHANNEL = "voiceagents_events"
"""PostgreSQL notifies on this channel when an import went on, as it does of calls and campaigns."""

SILENT = timedelta(seconds=30)
"""A running import that said nothing for so long was cut off with its program."""

_SAY = 0.5
_LIVES = 5.0
"""Seconds between two looks at the report, and between two signs of life."""


async def open_import(session: AsyncSession, campaign_id: UUID, file_name: str) -> ContactImport:
    """A row for an import that begins now."""
    now = clock.now()
    row = ContactImport(campaign_id=campaign_id, file_name=storable(file_name)[:200], created_at=now, seen_at=now)
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return row


async def run(
    database: Database,
    import_id: UUID,
    campaign_id: UUID,
    source: Source,
    *,
    roles: Mapping[str, str] | None = None,
    default_region: str | None,
    all_or_nothing: bool = False,
    reading: Reading | None = None,
    error_file: Path | None = None,
) -> None:
    """Runs the import to its end, and writes into its row what becomes of it.

    Args:
        database: of the campaign.
        import_id: of its row.
        campaign_id: where the contacts go.
        source: the file, or pasted text.
        roles: what columns are, by header, where the guess is wrong.
        default_region: country of numbers without a country code.
        all_or_nothing: add nothing if a row is refused.
        reading: what is known about the file.
        error_file: where refused rows go.
    """
    progress = _Progress(database, import_id)
    work = asyncio.create_task(
        _work(database, campaign_id, source, roles, default_region, all_or_nothing, reading, error_file, progress)
    )
    telling = asyncio.create_task(progress.tell())
    try:
        await asyncio.wait({work, telling}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            work.cancel()
            await asyncio.wait({work})
        state, problem = _ended(work)
    finally:
        for task in (work, telling):
            task.cancel()
        await asyncio.wait({work, telling})
    if not telling.cancelled() and (error := telling.exception()) is not None:
        raise error
    await progress.finish(state, problem)


async def _work(
    database: Database,
    campaign_id: UUID,
    source: Source,
    roles: Mapping[str, str] | None,
    default_region: str | None,
    all_or_nothing: bool,
    reading: Reading | None,
    error_file: Path | None,
    progress: "_Progress",
) -> None:
    mapping: ColumnMapping | None = None
    if roles:
        guessed = await asyncio.to_thread(contacts.preview, source, 1, default_region=default_region, reading=reading)
        mapping = guessed.mapping.edited(roles)
    progress.report = await contacts.import_contacts(
        database,
        campaign_id,
        source,
        mapping,
        default_region=default_region,
        all_or_nothing=all_or_nothing,
        progress=progress.take,
        error_file=error_file,
        reading=reading,
    )


def _ended(work: asyncio.Task[None]) -> tuple[ImportState, str | None]:
    if work.cancelled():
        return ImportState.CANCELLED, None
    match work.exception():
        case None:
            return ImportState.FINISHED, None
        case TableError() | UnknownRegion() | CampaignProblem() | DatabaseUnavailable() as error:
            return ImportState.STOPPED, str(error)
        case error:
            raise error


async def cancel(session: AsyncSession, import_id: UUID) -> ContactImport | None:
    """Asks an import to end; contacts that it added stay, unless it was all or nothing. None: there is none."""
    await session.execute(
        update(ContactImport)
        .where(ContactImport.id == import_id, ContactImport.state == ImportState.RUNNING)
        .values(state=ImportState.CANCELLED, finished_at=clock.now())
    )
    return await session.get(ContactImport, import_id, populate_existing=True)


async def stop(database: Database, import_id: UUID, problem: str) -> None:
    """Writes down that an import could not even begin."""
    async with database.transaction() as session:
        await session.execute(
            update(ContactImport)
            .where(ContactImport.id == import_id)
            .values(state=ImportState.STOPPED, problem=problem, finished_at=clock.now())
        )


def cut_off(row: ContactImport, now: datetime) -> bool:
    """Whether an import that has not ended lost its program."""
    return row.state is ImportState.RUNNING and now - row.seen_at > SILENT


class _Progress:
    """Writes the latest report into the row, not more often than anybody can read."""

    def __init__(self, database: Database, import_id: UUID) -> None:
        self._database = database
        self._id = import_id
        self._new = asyncio.Event()
        self.report = ImportReport()

    def take(self, report: ImportReport) -> None:
        self.report = report
        self._new.set()

    async def tell(self) -> None:
        """Until the row says that it has ended: then somebody cancelled it."""
        while await self._write(ImportState.RUNNING, None):
            with suppress(TimeoutError):
                async with asyncio.timeout(_LIVES):
                    await self._new.wait()
                    await asyncio.sleep(_SAY)
            self._new.clear()

    async def finish(self, state: ImportState, problem: str | None) -> None:
        if isinstance(problem, str):
            problem = storable(problem)
        if not await self._write(state, problem):
            # Cancelled by a person: the row says so, and now also how far it came.
            await self._write_report()

    async def _write(self, state: ImportState, problem: str | None) -> bool:
        now = clock.now()
        async with self._database.transaction() as session:
            written = await session.scalar(
                update(ContactImport)
                .where(ContactImport.id == self._id, ContactImport.state == ImportState.RUNNING)
                .values(
                    state=state,
                    problem=problem,
                    report=_told(self.report),
                    seen_at=now,
                    finished_at=None if state is ImportState.RUNNING else now,
                )
                .returning(ContactImport.campaign_id)
            )
            await _notify(session, self._id, written)
        return written is not None

    async def _write_report(self) -> None:
        async with self._database.transaction() as session:
            written = await session.scalar(
                update(ContactImport)
                .where(ContactImport.id == self._id)
                .values(report=_told(self.report))
                .returning(ContactImport.campaign_id)
            )
            await _notify(session, self._id, written)


async def _notify(session: AsyncSession, import_id: UUID, campaign_id: UUID | None) -> None:
    payload = json.dumps({"kind": "import", "id": str(import_id), "campaign": str(campaign_id or "")})
    await session.execute(select(func.pg_notify(CHANNEL, payload)))


def _told(report: ImportReport) -> dict[str, Any]:
    """The report as JSON."""
    told = {
        name: getattr(report, name)
        for name in (
            "read", "added", "held_back", "duplicates_in_file", "duplicates_in_list", "refused", "warned",
            "unknown_placeholders", "notes", "share_read", "seconds",
        )
    }  # fmt: skip
    told["refused_rows"] = [{"line": row.line, "value": row.value, "reason": row.reason} for row in report.refused_rows]
    told["warnings"] = [{"line": notice.line, "words": notice.words} for notice in report.warnings]
    return storable_value(told)
