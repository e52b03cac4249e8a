"""Which rows does an .xlsx file hold?

The first sheet with phone numbers, visible ones first, row by row. A cell's text is what the person saw in it: a phone
number that the spreadsheet keeps as 12025550143.0 is 12025550143, a formula is its value.
"""

import warnings
import zipfile
import zlib
from collections.abc import Generator, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from typing import Any, BinaryIO, cast

from openpyxl import load_workbook
from openpyxl.cell.cell import ERROR_CODES
from openpyxl.utils.exceptions import InvalidFileException

from voiceagents.campaigns.rows import Row, TableError, storable
from voiceagents.phone import looks_like_number

# Excel's own limit is 1,048,576 rows; an honest sheet of that length with some columns stays below.
_LARGEST_UNPACKED = 2 * 2**30
_EXACT_FLOAT = 10**15
_LONG = 10**9
# Sheets shrink to a tenth or so, the emptiest to a hundredth; what shrinks further was made to fill the memory.
_LARGEST_RATIO, _HARMLESS = 200, 20 * 2**20
_LOOKED_AT = 20
"""Rows in which a sheet must show a phone number to be preferred to those before it."""

# openpyxl, and whichever XML library it finds, meet a damaged file in any of these ways.
_BROKEN = (
    InvalidFileException, zipfile.BadZipFile, zlib.error, SyntaxError, OSError, ValueError, TypeError, AttributeError,
    LookupError, RuntimeError, AssertionError, ArithmeticError, EOFError,
)  # fmt: skip


class Workbook:
    """An .xlsx file as rows. The file stays open and is the caller's."""

    def __init__(self, file: BinaryIO) -> None:
        self._book: Any = _opened(file)
        sheets: list[Any] = sorted(self._book.worksheets, key=lambda sheet: sheet.sheet_state != "visible")
        chosen = self._chosen(sheets)
        if chosen is None:
            self.close()
            raise TableError("the workbook is empty; is it the right file, and was it saved?")
        self._sheet, self._expected = chosen
        hidden = "" if self._sheet.sheet_state == "visible" else "hidden "
        self.notes = [f'Excel, {hidden}sheet "{self._sheet.title}"']
        if len(sheets) > 1:
            self.notes.append(f"the other {len(sheets) - 1} sheets are not read")
        self._line = 0

    def _chosen(self, sheets: list[Any]) -> tuple[Any, int] | None:
        """The first sheet that shows phone numbers, or else the first with anything in it; and its length."""
        found: tuple[Any, int] | None = None
        for sheet in sheets:
            # The size that other programs write into the file is often wrong.
            expected: int = sheet.max_row or 0
            sheet.reset_dimensions()
            self._sheet = sheet
            first = list(islice(self.rows(), _LOOKED_AT))
            if any(looks_like_number(cell) for row in first for cell in row.cells):
                return sheet, expected
            if first and found is None:
                found = sheet, expected
        return found

    def rows(self) -> Generator[Row]:
        """Every row that is not blank.

        Raises:
            TableError: the file is damaged.
        """
        try:
            rows: Iterable[tuple[Any, ...]] = self._sheet.iter_rows()
            for line, cells in enumerate(rows, start=1):
                self._line = line
                row = Row(line, [_seen(cell) for cell in cells])
                if not row.is_blank:
                    yield row
        except _BROKEN as error:
            raise _damaged(error) from None

    def share_read(self) -> float:
        """How much of the sheet has been read, from 0 to 1, as far as the file says how long it is."""
        return min(1.0, self._line / self._expected) if self._expected else 0.0

    def close(self) -> None:
        """Lets go of what openpyxl holds open."""
        self._book.close()


def _seen(cell: Any) -> str:
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, int | float) and value >= _LONG and value % 10_000 == 0 and "E+" in cell.number_format:
        # What a CSV held as 1.20256E+10 before it was saved as a workbook: the digits are lost here, too.
        return f"{value:.5E}"
    return text_of(value)


def text_of(value: object) -> str:
    """A cell's value as text."""
    match value:
        case None:
            return ""
        case str():
            return "" if value in ERROR_CODES else storable(value)
        case bool():
            return "TRUE" if value else "FALSE"
        case float() if value.is_integer() and abs(value) < _EXACT_FLOAT:
            return str(int(value))
        case float():
            return format(Decimal(repr(value)), "f")
        case datetime() if value.time() == time():
            return value.date().isoformat()
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case date() | time():
            return value.isoformat()
        case timedelta() | int():
            return str(value)
        case _:
            return storable(str(value))


def _opened(file: BinaryIO) -> Any:
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
            entries = archive.infolist()
            unpacked, packed = sum(e.file_size for e in entries), sum(e.compress_size for e in entries)
    except _BROKEN as error:
        raise _damaged(error) from None
    if "xl/workbook.xml" not in names:
        raise TableError(_other_archive(names))
    if unpacked > _HARMLESS and unpacked > _LARGEST_RATIO * packed:
        raise TableError(f"the workbook unpacks to {unpacked // max(packed, 1)} times its size, as no list does")
    if unpacked > _LARGEST_UNPACKED:
        raise TableError("the workbook is larger than 2 GB when unpacked; save the sheet as CSV UTF-8 instead")
    try:
        with warnings.catch_warnings():
            # Styles and extensions that openpyxl cannot keep do not matter to a reader.
            warnings.simplefilter("ignore")
            return cast("Any", load_workbook(file, read_only=True, data_only=True, keep_links=False))
    except _BROKEN as error:
        raise _damaged(error) from None


def _other_archive(names: set[str]) -> str:
    if "xl/workbook.bin" in names:
        return "this is a binary workbook (.xlsb); save it as .xlsx or CSV UTF-8"
    if "content.xml" in names:
        return "this is an OpenDocument file (.ods); save it as .xlsx or CSV"
    if any(name.startswith("Index/") for name in names):
        return "this is a Numbers file; export it as CSV or Excel"
    return "this is a ZIP archive, not a table; unpack it and import the CSV or .xlsx file inside"


def _damaged(error: Exception) -> TableError:
    what = next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
    return TableError(f"the workbook is damaged ({what}); open it in Excel or LibreOffice and save it again as .xlsx")
