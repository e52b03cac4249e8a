"""Which columns and rows does this file have, whatever program wrote it?

A CSV of any delimiter and encoding, an .xlsx, or text pasted into a field become the same thing: headers, and a stream
of rows with the line where each stands. Memory does not grow with the number of rows; of an .xlsx, whose cells point
into a table of distinct texts, that table is kept.
"""

import io
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from voiceagents.campaigns.delimited import Delimited
from voiceagents.campaigns.encodings import is_wide
from voiceagents.campaigns.header_words import KNOWN, PHONE, plain
from voiceagents.campaigns.rows import Row, TableError, visible
from voiceagents.campaigns.workbook import Workbook
from voiceagents.phone import looks_like_number

__all__ = ["Pasted", "Reading", "Row", "Source", "Table", "TableError", "open_table"]

SAMPLED_ROWS = 100

_BESIDE = re.compile(r"(?<=\d) +(?=\+\d)")
"""Between numbers that were pasted side by side."""

_PREAMBLE = 5
_MOST_COLUMNS = 1000
_MARKUP = re.compile(rb"\s*(<\?xml|<!doctype|<html|<table|<head|<meta|\{\\rtf)", re.IGNORECASE)
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_FORMATS = (
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"GIF8", "an image"),
    (b"\x1f\x8b", "a compressed file (gzip)"),
    (b"7z\xbc\xaf", "a compressed file (7z)"),
    (b"Rar!", "a compressed file (RAR)"),
    (b"SQLite format 3", "a database"),
    (b"PAR1", "a Parquet file"),
    (b"BEGIN:VCARD", "an address book (vCard)"),
    (b'[{"', "JSON"),
    (b'{"', "JSON"),
)


@dataclass(frozen=True)
class Pasted:
    """Text that somebody pasted into a field, in place of a file."""

    text: str


Source = Path | BinaryIO | Pasted
"""Where a table comes from. An open file must be seekable; it is not closed."""


@dataclass(frozen=True)
class Reading:
    """What a person knows better about a file than can be found out: whether its first row is a header, the encoding
    and the delimiter of a text file. None: find out."""

    header: bool | None = None
    encoding: str | None = None
    delimiter: str | None = None


class Table:
    """An open table. `headers` are those of the file, or "column 1" and so on where it has none."""

    def __init__(self, body: Delimited | Workbook, header: bool | None = None, *, one_per_cell: bool = False) -> None:
        self._body = body
        first = list(islice(body.rows(), SAMPLED_ROWS + _PREAMBLE + 1))
        if not first:
            raise TableError("the file is empty")
        start = _first_row_of_table(first)
        self.has_header = not any(map(looks_like_number, first[start].cells)) if header is None else header
        self._start = first[start].line
        data = first[start + self.has_header :][:SAMPLED_ROWS]
        if not data:
            raise TableError(f"there are no rows below the header ({', '.join(first[start].cells)})")
        self.notes = list(body.notes)
        if start:
            lines = f"line {first[0].line}" if start == 1 else f"lines {first[0].line} to {first[start - 1].line}"
            words = " ".join(" ".join(cell for row in first[:start] for cell in row.cells).split())
            self.notes.append(f"{lines} above the table left out: {words}")
        if not self.has_header:
            self.notes.append("the first row holds a phone number, so there is no header")
        # Numbers pasted one after the other are a list too, and not one row.
        self._one_per_cell = one_per_cell and all(looks_like_number(cell) for row in data for cell in row.cells if cell)
        self.headers = self._headers(first[start].cells, data)
        if not self.headers:
            raise TableError(f"line {self._start} is taken for the header, but names no column")

    def rows(self) -> Generator[Row]:
        """Every row below the header that is not blank, as wide as the header at least.

        A row of a text file may have more cells than there are headers: then nobody can say which cell is which.
        """
        width = len(self.headers)
        for row in self._body.rows():
            if row.line < self._start or (self.has_header and row.line == self._start):
                continue
            if self._one_per_cell:
                yield from (Row(row.line, [cell]) for cell in row.cells if cell.strip())
            elif isinstance(self._body, Workbook):
                # Here a cell's place says which column it belongs to.
                yield Row(row.line, (row.cells + [""] * (width - len(row.cells)))[:width])
            else:
                yield row if len(row.cells) >= width else Row(row.line, row.cells + [""] * (width - len(row.cells)))

    def sample(self) -> list[Row]:
        """The first rows."""
        return list(islice(self.rows(), SAMPLED_ROWS))

    def share_read(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return self._body.share_read()

    def _headers(self, cells: list[str], data: list[Row]) -> list[str]:
        if self._one_per_cell:
            return ["column 1"]
        named = [" ".join(visible(cell).split()) for cell in cells] if self.has_header else []
        width = max(_width(named), *(_width(row.cells) for row in data))
        if self.has_header and not isinstance(self._body, Workbook):
            # In a text file, cells beyond the header's mean a row that was cut in the wrong places.
            width = min(width, len(named))
        if width > _MOST_COLUMNS:
            raise TableError(f"the table has {width} columns, and no more than {_MOST_COLUMNS} can be read")
        return [name or f"column {i}" for i, name in enumerate((named + [""] * width)[:width], start=1)]


@contextmanager
def open_table(source: Source, reading: Reading | None = None) -> Generator[Table]:
    """The table in a file or in pasted text.

    Raises:
        TableError: this is no table that we can read.
    """
    how = reading or Reading()
    match source:
        case Pasted(text):
            with io.BytesIO(_BESIDE.sub("\n", text).encode("utf-8", "replace")) as file:
                yield Table(Delimited(file, encoding="utf-8", delimiter=how.delimiter), how.header, one_per_cell=True)
            return
        case Path():
            try:
                opened = source.open("rb")
            except OSError as error:
                raise TableError(f"{source} cannot be opened: {error.strerror}") from None
            with opened as file, open_table(file, reading) as table:
                yield table
            return
        case _:
            pass
    source.seek(0)
    head = source.read(8192)
    if head.startswith(b"PK\x03\x04"):
        book = Workbook(source)
        try:
            yield Table(book, how.header)
        finally:
            book.close()
        return
    _require_text(head, source)
    yield Table(Delimited(source, encoding=how.encoding, delimiter=how.delimiter), how.header)


def _first_row_of_table(rows: list[Row]) -> int:
    """Titles stand above a table: in a cell of their own, or above a row in which a column is called the phone's."""
    for index, row in enumerate(rows[:_PREAMBLE]):
        if any(map(looks_like_number, row.cells)):
            break
        if _names_columns(row.cells):
            return index
    for index, row in enumerate(rows[:_PREAMBLE]):
        if any(map(looks_like_number, row.cells)):
            return index if index == 0 or _width(row.cells) > 1 else 0
        if sum(bool(cell.strip()) for cell in row.cells) > 1:
            return index
    return 0


def _names_columns(cells: list[str]) -> bool:
    """True for "phone, name", or "phone" alone; a row of data may say "phone" in one of its cells."""
    words = [plain(cell) for cell in cells if cell.strip()]
    return any(word in PHONE for word in words) and sum(word in KNOWN for word in words) >= min(2, len(words))


def _width(cells: list[str]) -> int:
    return max((i for i, cell in enumerate(cells, start=1) if cell.strip()), default=0)


def _directory(head: bytes, file: BinaryIO) -> bytes:
    """The names inside a compound file, which is what both .xls and an encrypted .xlsx are."""
    sector_size, sector = 1 << int.from_bytes(head[30:32], "little"), int.from_bytes(head[48:52], "little")
    file.seek((sector + 1) * sector_size)
    return file.read(8192)


def _require_text(head: bytes, file: BinaryIO) -> None:
    if not head.strip():
        raise TableError("the file is empty")
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        if _ENCRYPTED in _directory(head, file):
            raise TableError("the workbook is protected by a password; save it without one (Info, Protect Workbook)")
        raise TableError("this is an old Excel file (.xls); save it as .xlsx or CSV UTF-8")
    for magic, kind in _FORMATS:
        if head.startswith(magic):
            raise TableError(f"this is {kind}, not a table; CSV and .xlsx can be imported")
    if _MARKUP.match(head):
        raise TableError("this is a web page or XML, whatever its name says; save it as .xlsx or CSV UTF-8")
    if is_wide(head):
        return
    control = sum(byte < 32 and byte not in b"\t\n\r\x0b\x0c\x00\x1a" for byte in head)
    if control > len(head) // 50:
        raise TableError("this is a binary file, not a table; CSV and .xlsx can be imported")
