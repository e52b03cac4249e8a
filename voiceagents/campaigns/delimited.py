"""Which rows does a text file hold whose cells are set apart by a character (CSV, TSV and their kin)?

The delimiter is the one that cuts the first rows into the same number of cells. Nothing is read further ahead than a
row, and neither a line without end nor a quotation mark that is never closed can fill the memory.
"""

import csv
import io
import re
from collections.abc import Generator, Iterator
from itertools import islice
from typing import BinaryIO

from voiceagents.campaigns.encodings import MENDED, encoding_of, name_of
from voiceagents.campaigns.rows import Row, TableError, storable

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}

_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)
_LONGEST_LINE = 2**20
# A quotation mark that is not closed swallows rows up to the next one. No cell that people typed has as many lines.
_MOST_LINES = 100
_SAMPLED_LINES = 200
_PREAMBLE = 5
_DIGITS_OF_A_NUMBER = 7


class Delimited:
    """A text file as rows. Reads from the start each time `rows` is called; the file stays open and the caller's."""

    def __init__(self, file: BinaryIO, *, encoding: str | None = None, delimiter: str | None = None) -> None:
        self._file = file
        self._size = file.seek(0, io.SEEK_END)
        self._encoding, self._errors = (encoding, "replace") if encoding else encoding_of(file)
        sample = list(islice(self._lines(), _SAMPLED_LINES))
        stated = _SEPARATOR_LINE.fullmatch(sample[0]) if sample else None
        self._skipped = 1 if stated else 0
        self._delimiter = _given(delimiter) or _stated(stated, sample) or guess_delimiter(sample[self._skipped :])
        between = DELIMITERS.get(self._delimiter, self._delimiter)
        self.notes = [f"{name_of(self._encoding)}, {between} between the cells"]
        if self._errors == MENDED:
            self.notes.append("some bytes are not UTF-8 and are read as Windows-1252: look at the names")
        elif encoding is None and not self._encoding.startswith("utf"):
            self.notes.append("the encoding is a guess: look at the names")

    def rows(self) -> Generator[Row]:
        """Every row that is not blank.

        Raises:
            TableError: on the way, with its line.
        """
        ended = False

        def lines() -> Iterator[str]:
            nonlocal ended
            yield from islice(self._lines(), self._skipped, None)
            ended = True

        reader = csv.reader(lines(), delimiter=self._delimiter, skipinitialspace=True)
        line = self._skipped + 1
        try:
            for cells in reader:
                following = self._skipped + reader.line_num + 1
                # The reader asks for a line after the last one only in the middle of a cell.
                if ended or following - line > _MOST_LINES:
                    raise TableError(_OPEN_QUOTE, line)
                row = Row(line, cells)
                if (cells and cells[0]) or not row.is_blank:
                    yield row
                line = following
        except csv.Error as error:
            if "field larger" in str(error):
                raise TableError(
                    f"a cell is longer than {csv.field_size_limit()} characters, or {_OPEN_QUOTE}", line
                ) from None
            raise TableError(f"this is no row of a table ({error})", line) from None

    def share_read(self) -> float:
        """How much of the file has been read, from 0 to 1."""
        return min(1.0, self._file.tell() / self._size) if self._size else 1.0

    def _lines(self) -> Iterator[str]:
        self._file.seek(0)
        try:
            text = io.TextIOWrapper(self._file, encoding=self._encoding, errors=self._errors, newline="")
        except (LookupError, ValueError):
            raise TableError(f"there is no encoding named {self._encoding[:40]!a}") from None
        number = 0
        try:
            while line := text.readline(_LONGEST_LINE):
                number += 1
                if len(line) >= _LONGEST_LINE:
                    raise TableError(f"the line is longer than {_LONGEST_LINE} characters; is this a table?", number)
                yield storable(line) if "\x00" in line else line
        except UnicodeError as error:
            what = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
            name = name_of(self._encoding)
            raise TableError(f"the text is not {name} ({what}); save the file as CSV UTF-8", number + 1) from None
        finally:
            if not self._file.closed:
                text.detach()  # or the wrapper would close the file when it goes


_OPEN_QUOTE = 'a quotation mark (") is opened here and never closed; close it, or double it if it belongs to the text'


def _given(delimiter: str | None) -> str | None:
    """A delimiter as people give it: the character, or what it is called."""
    if not delimiter:
        return None
    called = {**{name: sign for sign, name in DELIMITERS.items()}, "bar": "|", "pipe": "|", "\\t": "\t"}
    sign = called.get(delimiter.strip().lower(), delimiter)
    if len(sign) != 1 or sign.isalnum() or sign in '"\r\n\x00+':
        names = ", ".join(DELIMITERS.values())
        raise TableError(f"{delimiter[:40]!r} is no delimiter; give one character, or one of {names}")
    return sign


def _stated(line: re.Match[str] | None, sample: list[str]) -> str | None:
    """The delimiter that the line names, unless the row below does without it."""
    return str(line[1]) if line and len(sample) > 1 and line[1] in sample[1] else None


def guess_delimiter(lines: list[str]) -> str:
    """The delimiter of a file that starts with these lines. A file of one column gets a comma."""
    best, best_score = ",", (0.0, 0)
    for delimiter in DELIMITERS:
        try:
            rows = [row for row in csv.reader(lines, delimiter=delimiter, skipinitialspace=True) if any(row)]
        except csv.Error:
            continue
        start = next((i for i, row in enumerate(rows[:_PREAMBLE]) if len(row) > 1), None)
        # Below the first row only a header starts a table: "+1 202 555 0143;ext=2" does not.
        if start is None or (start > 0 and any(_has_number(cell) for cell in rows[start])):
            continue
        width = len(rows[start])
        alike = sum(len(row) == width for row in rows[start:]) / len(rows[start:])
        best, best_score = max((best, best_score), (delimiter, (alike, width)), key=lambda scored: scored[1])
    return best


def _has_number(cell: str) -> bool:
    return sum(c.isdigit() for c in cell) >= _DIGITS_OF_A_NUMBER
