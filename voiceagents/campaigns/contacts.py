"""How do contacts come into a campaign, and how do they leave it as a file?

`preview` shows what an import would make of a file's first rows. `import_contacts` streams the file into the list,
batch by batch: rows are read and judged in a thread while PostgreSQL takes in the batch before. A number stands once in
a campaign, so importing a file again adds nothing. `export_contacts` is the way back.
"""

import asyncio
import csv
import io
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import TupleRow, dict_row
from sqlalchemy.engine import make_url

from voiceagents import clock
from voiceagents.assistants.prompts import unknown_placeholders
from voiceagents.campaigns.contact_rows import (
    COPY_OPTIONS,
    Batch,
    Contact,
    ContactIds,
    ContactReader,
    Refused,
    RowProblem,
    batches,
)
from voiceagents.campaigns.import_report import ErrorFile, ImportReport, ImportStopped
from voiceagents.campaigns.lifecycle import WAKE_CHANNEL, CampaignProblem
from voiceagents.campaigns.mapping import EXPORTED, ColumnMapping, guess
from voiceagents.campaigns.states import CampaignState
from voiceagents.campaigns.tabular import Reading, Source, Table, TableError, open_table
from voiceagents.db import Database, DatabaseUnavailable
from voiceagents.formulas import neutralized

BATCH_ROWS = 5000

_Connection = psycopg.AsyncConnection[TupleRow]
_ENDED = {CampaignState.COMPLETED, CampaignState.CANCELLED, CampaignState.ARCHIVED}

# `met` holds the numbers of the file that were in the list before: a second row with one of them repeats the file. With
# the buffers as they are by default, the index of a long list would be written to the disk and read again all the time.
_PREPARE = """
SET temp_buffers = '64MB';
CREATE TEMPORARY TABLE incoming
    (id uuid, phone text, name text, email text, time_zone text, variables jsonb) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE met (digits bigint PRIMARY KEY);
"""
_INSERT = """
INSERT INTO contacts (id, campaign_id, phone, name, email, time_zone, variables)
SELECT id, %s, phone, name, email, time_zone, variables FROM incoming ORDER BY id
ON CONFLICT (campaign_id, phone) DO NOTHING
"""
# One look into the unique index for each number: as a join, the planner would read the whole list for every batch.
_CONFLICTS = """
SELECT phone, there FROM (
    SELECT id, phone, (SELECT id FROM contacts WHERE campaign_id = %s AND contacts.phone = incoming.phone) AS there
    FROM incoming OFFSET 0
) AS looked_up WHERE there <> id
"""
_MEET = "INSERT INTO met SELECT unnest(%s::bigint[]) ON CONFLICT DO NOTHING"
_EXPORT = """
SELECT phone, name, email, coalesce(time_zone, '') AS time_zone, variables FROM contacts
WHERE campaign_id = %s ORDER BY position
"""


@dataclass(frozen=True)
class Preview:
    """What an import would make of the first rows."""

    headers: list[str]
    mapping: ColumnMapping
    contacts: list[tuple[int, Contact]]
    """By line."""
    refused: list[Refused]
    notes: list[str]


def preview(
    source: Source,
    rows: int = 10,
    mapping: ColumnMapping | None = None,
    *,
    default_region: str | None,
    reading: Reading | None = None,
) -> Preview:
    """The first rows of a file as contacts. Reads the file, so not in an event loop.

    Raises:
        TableError: the file is no table, or has no column of phone numbers.
        UnknownRegion: the default region is no country.
    """
    with open_table(source, reading) as table:
        mapping = _mapping_for(table, mapping, default_region)
        reader = ContactReader(mapping, default_region)
        contacts: list[tuple[int, Contact]] = []
        refused: list[Refused] = []
        for row in islice(table.rows(), rows):
            try:
                contacts.append((row.line, reader.contact(row)[0]))
            except RowProblem as problem:
                refused.append(reader.refusal(row, problem))
        return Preview(table.headers, mapping, contacts, refused, table.notes)


async def import_contacts(
    database: Database,
    campaign_id: UUID,
    source: Source,
    mapping: ColumnMapping | None = None,
    *,
    default_region: str | None,
    all_or_nothing: bool = False,
    progress: Callable[[ImportReport], None] | None = None,
    error_file: Path | None = None,
    reading: Reading | None = None,
) -> ImportReport:
    """Adds the contacts of a file to a campaign.

    Without `all_or_nothing` good rows are kept, batch by batch, whatever else happens: a cancelled import can simply be
    started again. With it the list changes at the end or not at all. Imports into one campaign go one after the other.

    Args:
        database: where the campaign is.
        campaign_id: which one.
        source: the file, or pasted text.
        mapping: what the columns are; None for the guess.
        default_region: country of numbers without a country code.
        all_or_nothing: add nothing if a row is refused, the file cannot be read to its end, or the import is cancelled.
        progress: called in the event loop after each batch with the report so far.
        error_file: where refused rows are written; None for a new temporary file.
        reading: what is known about the file.

    Raises:
        TableError: the file is no table, or has no column of phone numbers; nothing was added.
        ImportStopped: it is a table only to some line. Its report says what was added.
        UnknownRegion: the default region is no country.
        CampaignProblem: there is no such campaign, or it is over.
        DatabaseUnavailable: the server went away.
    """
    started = time.monotonic()
    thread = ThreadPoolExecutor(1, "import")
    opened = ExitStack()
    loop = asyncio.get_running_loop()
    try:
        async with _connection(database) as connection:
            await connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"contacts {campaign_id}",))
            prompt = await _prompt_of(connection, campaign_id)
            await connection.execute(_PREPARE)

            def opening() -> tuple[ColumnMapping, Iterator[Batch], ErrorFile, list[str]]:
                table = opened.enter_context(open_table(source, reading))
                chosen = _mapping_for(table, mapping, default_region)
                reader = ContactReader(chosen, default_region, prompt)
                rows = table.rows()
                opened.callback(rows.close)
                judged = batches(rows, reader, ids, BATCH_ROWS, table.share_read)
                return chosen, judged, ErrorFile(error_file, table.headers), table.notes

            ids = ContactIds(int(clock.now().timestamp() * 1000))
            chosen, judged, errors, notes = await loop.run_in_executor(thread, opening)
            opened.callback(errors.close)
            known = {*chosen.variables.values(), "name", "email", "phone"}
            report = ImportReport(notes=notes, unknown_placeholders=unknown_placeholders(prompt, known))

            def next_batch() -> Batch | None:
                batch = next(judged, None)
                if batch is not None:
                    errors.write(batch.refused)
                return batch

            stopped: TableError | None = None

            async def take_all() -> None:
                nonlocal stopped
                coming = loop.run_in_executor(thread, next_batch)
                while (batch := await coming) is not None:
                    coming = loop.run_in_executor(thread, next_batch)
                    added, in_list = await _store(connection, campaign_id, batch, ids)
                    report.count(batch, added=added, in_list=in_list)
                    report.seconds = time.monotonic() - started
                    stopped = batch.error
                    if progress is not None:
                        progress(report)

            if all_or_nothing:
                async with connection.transaction():
                    await take_all()
                    if report.refused or stopped:
                        raise psycopg.Rollback
            else:
                await take_all()
            if all_or_nothing and (report.refused or stopped):
                report.hold_back()
            report.error_file = await loop.run_in_executor(thread, errors.close)
            report.seconds = time.monotonic() - started
            if stopped is not None:
                raise ImportStopped(stopped, report)
            report.share_read = 1.0
            return report
    finally:
        # The thread may still be reading when the import is cancelled: closing waits its turn behind it.
        thread.submit(opened.close)
        thread.shutdown(wait=False)


async def export_contacts(database: Database, campaign_id: UUID) -> AsyncIterator[bytes]:
    """The campaign's contacts as a CSV file, block by block: safe from formulas, and the same list when imported.

    UTF-8 with the mark that Excel needs. `phone,name,email,time_zone` come first, then the contacts' own columns.
    """
    async with _connection(database) as connection, connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        found = await connection.execute(
            "SELECT DISTINCT jsonb_object_keys(variables) AS name FROM contacts WHERE campaign_id = %s ORDER BY name",
            (campaign_id,),
        )
        names = [str(name) for (name,) in await found.fetchall()]
        lines = io.StringIO()
        writer = csv.writer(lines)
        writer.writerow(map(neutralized, [*EXPORTED, *names]))
        yield "\N{BYTE ORDER MARK}".encode()
        async with connection.cursor("export", row_factory=dict_row) as contacts:
            await contacts.execute(_EXPORT, (campaign_id,))
            while rows := await contacts.fetchmany(BATCH_ROWS):
                for row in rows:
                    variables: dict[str, Any] = row["variables"]
                    cells = [row[column] for column in EXPORTED] + [_text(variables.get(name)) for name in names]
                    writer.writerow(map(neutralized, cells))
                yield lines.getvalue().encode()
                lines.seek(0)
                lines.truncate()
        yield lines.getvalue().encode()


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _mapping_for(table: Table, mapping: ColumnMapping | None, default_region: str | None) -> ColumnMapping:
    if mapping is None:
        return guess(table.headers, table.sample(), default_region)
    if list(mapping.headers) != table.headers:
        raise TableError(
            f"the columns are not those that were mapped: the file has {', '.join(table.headers)}, "
            f"the mapping {', '.join(mapping.headers)}"
        )
    return mapping


async def _store(connection: _Connection, campaign_id: UUID, batch: Batch, ids: ContactIds) -> tuple[int, int]:
    """Adds a batch. Answers how many of its contacts are new, and how many numbers were there before the import."""
    async with connection.transaction():
        state = await (await connection.execute("SELECT state FROM campaigns WHERE id = %s", (campaign_id,))).fetchone()
        _require_open(state)
        if not batch.contacts:
            return 0, 0
        cursor = connection.cursor()
        async with cursor.copy(f"COPY incoming FROM STDIN {COPY_OPTIONS}") as copy:
            await copy.write(batch.block)
        try:
            added = (await cursor.execute(_INSERT, (campaign_id,))).rowcount
        except psycopg.errors.ForeignKeyViolation:
            raise CampaignProblem("The campaign was removed during the import.") from None
        in_list = 0
        if added < batch.contacts:
            await cursor.execute(_CONFLICTS, (campaign_id,))
            before = sorted(int(phone) for phone, contact_id in await cursor.fetchall() if not ids.made(contact_id))
            in_list = (await cursor.execute(_MEET, (before,))).rowcount
        if added:
            await cursor.execute("SELECT pg_notify(%s, %s)", (WAKE_CHANNEL, str(campaign_id)))
        await cursor.execute("TRUNCATE incoming")
    return added, in_list


async def _prompt_of(connection: _Connection, campaign_id: UUID) -> str:
    found = await connection.execute("SELECT state, prompt FROM campaigns WHERE id = %s", (campaign_id,))
    row = await found.fetchone()
    _require_open(row)
    assert row is not None
    return str(row[1])


def _require_open(row: TupleRow | None) -> None:
    if row is None:
        raise CampaignProblem("There is no such campaign.")
    if row[0] in _ENDED:
        raise CampaignProblem(
            f"The campaign is {row[0]}: nobody would call new contacts. Duplicate it and import there."
        )


@asynccontextmanager
async def _connection(database: Database) -> AsyncGenerator[_Connection]:
    """A connection outside the pool: it is busy for as long as the file is long, and everything temporary, the lock on
    the campaign's list included, ends with it."""
    address = make_url(database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        async with await psycopg.AsyncConnection.connect(
            address, autocommit=True, connect_timeout=5, application_name="voiceagents contacts"
        ) as connection:
            yield connection
    except psycopg.OperationalError as error:
        raise DatabaseUnavailable(
            f"PostgreSQL went away: {str(error).strip()}\n"
            "Start the import again: contacts that are in the list already are not added twice."
        ) from None
