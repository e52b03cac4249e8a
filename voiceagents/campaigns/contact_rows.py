"""Which contact does a row of a list describe, or why none?

Decisions without I/O, row by row. A batch of rows comes out as one block for PostgreSQL's COPY, with everything that
has to be said about it.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import NamedTuple
from uuid import UUID, uuid4

from voiceagents.assistants.prompts import given
from voiceagents.calls.metadata import MAX_BYTES
from voiceagents.campaigns.mapping import ColumnMapping
from voiceagents.campaigns.numbers import Numbers
from voiceagents.campaigns.rows import Row, TableError, visible
from voiceagents.formulas import restored
from voiceagents.phone import InvalidPhoneNumber
from voiceagents.zones import UnknownZone, zone_named

_UNQUOTED = re.compile(r'="([^"]*)"')
_LONGEST_NAME = 200
_LONGEST_VALUE = 200
# What a call's metadata hold beside the prompt and the contact's own columns: ids, name, email, number.
_METADATA_REST = 4096
_LEAST_ROOM = 16 * 1024
_NULL = "\\N"

COPY_OPTIONS = f"(FORMAT csv, NULL '{_NULL}', FORCE_NOT_NULL (name, email))"
"""How PostgreSQL has to read a batch's block."""


class Contact(NamedTuple):
    """A contact as it goes into the list."""

    phone: str
    name: str
    email: str
    time_zone: str | None
    variables: dict[str, str]


class Refused(NamedTuple):
    """A row that is no contact: where it starts, what stood in the phone's cell, why, and the whole row."""

    line: int
    value: str
    reason: str
    cells: list[str]


class Notice(NamedTuple):
    """Something about a row that is a contact all the same."""

    line: int
    words: str


class RowProblem(ValueError):
    """The row is no contact. The message is the reason."""


def cell_text(cell: str) -> str:
    """What somebody meant by a cell: without blanks around it, and without the signs that spreadsheets need.

    >>> cell_text(" '+12025550143 "), cell_text('="00441"')
    ('+12025550143', '00441')
    """
    text = visible(cell)
    if text[:1] == "'":
        return restored(text).strip()
    if text[:1] == "=" and (found := _UNQUOTED.fullmatch(text)):
        return found.group(1).strip()
    return text


def _is_short_name(part: str) -> bool:
    """People are called Na, Nan and Null, programs write NULL, nan and None for a name that is not there."""
    return part in ("Na", "Nan", "Nil", "Null")


class ContactReader:
    """Turns the rows of one table into contacts."""

    def __init__(self, mapping: ColumnMapping, default_region: str | None, prompt: str = "") -> None:
        self._mapping = mapping
        self._width = len(mapping.headers)
        self._numbers = Numbers(default_region)
        self._variables = list(mapping.variables.items())
        self._names = sum(map(len, mapping.variables.values())) + 6 * len(self._variables)
        prompt_bytes = len(json.dumps(prompt, ensure_ascii=False).encode(errors="replace"))
        self._room = max(MAX_BYTES - prompt_bytes - _METADATA_REST, _LEAST_ROOM)

    def contact(self, row: Row) -> tuple[Contact, str | None]:
        """The contact in a row, and what had to be left out of it, if anything.

        Raises:
            RowProblem: there is none.
        """
        cells, mapping = row.cells, self._mapping
        if len(cells) > self._width and any(cell.strip() for cell in cells[self._width :]):
            raise RowProblem(
                f"the row has {len(cells)} cells and the header {self._width}: "
                "a cell that holds the delimiter must stand in quotation marks"
            )
        try:
            country = "" if mapping.country is None else cell_text(cells[mapping.country])
            phone = self._numbers.normalize(cell_text(cells[mapping.phone]), country)
        except InvalidPhoneNumber as error:
            raise RowProblem(str(error)) from None
        parts = [cell_text(cells[column]) for column in mapping.name]
        if len(parts) > 1:
            parts = [part for part in parts if given(part) or _is_short_name(part)]
        name = " ".join(" ".join(parts).split())
        email = "" if mapping.email is None else " ".join(cell_text(cells[mapping.email]).split())
        zone, notice = (None, None) if mapping.time_zone is None else _zone(cell_text(cells[mapping.time_zone]))
        variables = {name: cell_text(cells[column]) for column, name in self._variables}
        # A character is 4 bytes at most, and as many as 6 once it is escaped.
        if (self._names + sum(map(len, variables.values()))) * 6 > self._room:
            size = len(json.dumps(variables, ensure_ascii=False).encode())
            if size > self._room:
                raise RowProblem(
                    f"the row's own columns hold {size} bytes, and a call can take {self._room} beside the prompt"
                )
        return Contact(phone, name[:_LONGEST_NAME], email[:_LONGEST_NAME], zone, variables), notice

    def refusal(self, row: Row, problem: RowProblem) -> Refused:
        """A row that is no contact, for the report."""
        return Refused(row.line, row.cells[self._mapping.phone][:_LONGEST_VALUE], str(problem), row.cells)


@dataclass
class Batch:
    """Some rows, judged. `read` is the number of contacts, of repeats and of refused rows together."""

    read: int = 0
    block: bytes = b""
    contacts: int = 0
    repeats: int = 0
    """Rows whose number stands further up in the same batch."""
    refused: list[Refused] = field(default_factory=list[Refused])
    notices: list[Notice] = field(default_factory=list[Notice])
    error: TableError | None = None
    """Why reading ended with this batch before the file did."""
    share_read: float = 0.0


class ContactIds:
    """Ids of the contacts of one import, in the order of the file.

    They are UUIDs of version 7 with the row's number in the last four bytes: one import's contacts lie side by side in
    the index, and a contact that is already there tells whether this import brought it.
    """

    def __init__(self, milliseconds: int) -> None:
        random = uuid4().bytes
        stamp = milliseconds.to_bytes(6, "big") + bytes([0x70 | random[0] & 0x0F, random[1]])
        stamp += bytes([0x80 | random[2] & 0x3F]) + random[9:12]
        text = str(UUID(bytes=stamp + bytes(4)))
        self._stamp, self._text = stamp, text[:28]

    def text(self, number: int) -> str:
        return f"{self._text}{number:08x}"

    def made(self, contact_id: UUID) -> bool:
        """Whether the contact came with this import."""
        return contact_id.bytes[:12] == self._stamp


def batches(
    rows: Iterator[Row], reader: ContactReader, ids: ContactIds, size: int, share_read: Callable[[], float]
) -> Iterator[Batch]:
    """The rows in batches. A file that ends in an error yields what stood before it first."""
    number = 0
    while True:
        batch = _batch(islice(rows, size), reader, ids, number)
        batch.share_read = share_read()
        number += batch.read
        if batch.read or batch.error:
            yield batch
        if batch.error or not batch.read:
            return


def _batch(rows: Iterable[Row], reader: ContactReader, ids: ContactIds, number: int) -> Batch:
    batch, seen, lines = Batch(), set[str](), io.StringIO()
    write, encode = csv.writer(lines, lineterminator="\n").writerow, json.JSONEncoder(ensure_ascii=False).encode
    try:
        for row in rows:
            batch.read += 1
            try:
                contact, notice = reader.contact(row)
            except RowProblem as problem:
                batch.refused.append(reader.refusal(row, problem))
                continue
            if notice is not None:
                batch.notices.append(Notice(row.line, notice))
            if contact.phone in seen:
                batch.repeats += 1
                continue
            seen.add(contact.phone)
            write(
                (
                    ids.text(number + batch.read),
                    contact.phone,
                    contact.name,
                    contact.email,
                    contact.time_zone or _NULL,
                    encode(contact.variables),
                )
            )
    except TableError as error:
        batch.error = error
    batch.contacts = len(seen)
    batch.block = lines.getvalue().encode(errors="replace")
    return batch


@lru_cache(4096)
def _zone(text: str) -> tuple[str | None, str | None]:
    if not text:
        return None, None
    try:
        return zone_named(text).key, None
    except UnknownZone as error:
        return None, f"{error}; the number's own time zone counts instead"
