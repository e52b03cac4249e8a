"""How does a file of numbers come onto a do-not-call list? Streamed, so that its length costs no memory."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from voiceagents.campaigns import do_not_call
from voiceagents.campaigns.contact_rows import cell_text
from voiceagents.campaigns.mapping import column_of, country_column, guess
from voiceagents.campaigns.numbers import Numbers
from voiceagents.campaigns.tabular import Source, Table, open_table
from voiceagents.db import Database
from voiceagents.phone import InvalidPhoneNumber

_BATCH = 5_000
_REFUSALS_KEPT = 1_000
_LONGEST_TEXT = 200
_REASONS = ("reason", "why", "comment", "note")


@dataclass(frozen=True)
class Refused:
    """A row that names no number."""

    line: int
    text: str
    reason: str


@dataclass
class Imported:
    """What an import did. Of refused rows the first are kept, all are counted."""

    rows: int = 0
    added: int = 0
    refused: int = 0
    refusals: list[Refused] = field(default_factory=list[Refused])

    @property
    def known(self) -> int:
        """Rows whose number stood on the list, or earlier in the file."""
        return self.rows - self.added - self.refused

    def refuse(self, line: int, cell: str, reason: str) -> None:
        """Counts a refused row."""
        self.refused += 1
        if len(self.refusals) < _REFUSALS_KEPT:
            self.refusals.append(Refused(line, cell[:_LONGEST_TEXT], reason))


async def import_table(
    database: Database,
    source: Source,
    *,
    campaign_id: UUID | None = None,
    region: str | None = None,
    column: str | None = None,
    reason: str = "",
    progress: Callable[[float], None] = lambda share: None,
) -> Imported:
    """Puts every number of a file on a list, some thousand at a time; doing it again changes nothing.

    Args:
        database: where the list is.
        source: the file, or what was pasted.
        campaign_id: whose list; None for everybody's.
        region: country of numbers without a country code.
        column: header of the numbers' column; None to find it.
        reason: of rows that give none of their own.
        progress: told how much of the file is read, from 0 to 1.

    Raises:
        TableError: the file cannot be read, or has no column of numbers.
        UnknownRegion: no such country.
    """
    numbers, done = Numbers(region), Imported()
    with open_table(source) as table:
        headers = table.headers
        phones = column_of(headers, column) if column is not None else guess(headers, table.sample(), region).phone
        countries = country_column(headers, table.sample())
        reasons = next((index for index, header in enumerate(headers) if header.strip().lower() in _REASONS), None)
        for batch in _batches(_listed(table, phones, countries, reasons, numbers, reason, done)):
            async with database.transaction() as session:
                done.added += await do_not_call.add_all(session, batch, campaign_id)
            progress(table.share_read())
        progress(1.0)
    return done


def _listed(
    table: Table,
    phones: int,
    countries: int | None,
    reasons: int | None,
    numbers: Numbers,
    reason: str,
    done: Imported,
) -> Iterator[tuple[str, str]]:
    for row in table.rows():
        done.rows += 1
        cell = row.cells[phones]
        try:
            phone = numbers.normalize(cell_text(cell), cell_text(row.cells[countries]) if countries is not None else "")
        except InvalidPhoneNumber as error:
            done.refuse(row.line, cell, str(error))
            continue
        own = row.cells[reasons].strip() if reasons is not None else ""
        yield phone, own or reason


def _batches(listed: Iterator[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    for entry in listed:
        batch.append(entry)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
