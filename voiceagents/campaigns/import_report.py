"""What became of each row of an import?

Counts that add up, the first problems in words, and a file with every refused row.
"""

import csv
import os
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from voiceagents.campaigns.contact_rows import Batch, Notice, Refused
from voiceagents.campaigns.mapping import REFUSED
from voiceagents.campaigns.rows import TableError
from voiceagents.formulas import neutralized

SHOWN = 100
"""Problems that a report keeps in words. The counts know of all, and the error file has every refused row."""


@dataclass
class ImportReport:
    """The result of an import, or its state so far.

    `read` is always `added + held_back + duplicates_in_file + duplicates_in_list + refused`.
    """

    read: int = 0
    added: int = 0
    held_back: int = 0
    """Good rows that were not added because others were refused and all or nothing was asked for."""
    duplicates_in_file: int = 0
    """Second and further rows with a number that stands in the same file."""
    duplicates_in_list: int = 0
    """Numbers of the file that the campaign has already."""
    refused: int = 0
    refused_rows: list[Refused] = field(default_factory=list[Refused])
    """The first of them."""
    error_file: Path | None = None
    """All refused rows with line and reason, as a CSV that can be mended and imported; None when there are none."""
    warned: int = 0
    warnings: list[Notice] = field(default_factory=list[Notice])
    """The first things that had to be left out of contacts that were taken."""
    unknown_placeholders: list[str] = field(default_factory=list[str])
    """Placeholders of the campaign's prompt that no column fills."""
    notes: list[str] = field(default_factory=list[str])
    """How the file was understood."""
    share_read: float = 0.0
    seconds: float = 0.0

    @property
    def adds_up(self) -> bool:
        return self.read == (
            self.added + self.held_back + self.duplicates_in_file + self.duplicates_in_list + self.refused
        )

    def count(self, batch: Batch, *, added: int, in_list: int) -> None:
        """Adds a batch of which `added` rows are new and `in_list` numbers were there before the import."""
        self.read += batch.read
        self.added += added
        self.duplicates_in_list += in_list
        self.duplicates_in_file += batch.repeats + batch.contacts - added - in_list
        self.refused += len(batch.refused)
        self.refused_rows += batch.refused[: SHOWN - len(self.refused_rows)]
        self.warned += len(batch.notices)
        self.warnings += batch.notices[: SHOWN - len(self.warnings)]
        self.share_read = batch.share_read

    def hold_back(self) -> None:
        """Nothing was added after all."""
        self.held_back, self.added = self.added, 0


class ImportStopped(TableError):
    """The file could not be read to its end. `report` says what became of the rows before."""

    def __init__(self, cause: TableError, report: ImportReport) -> None:
        super().__init__(f"{cause} ({report.added} contacts were added before)")
        self.line = cause.line
        self.report = report


class ErrorFile:
    """The refused rows as a CSV for people: line and reason first, then the row as it was, safe from formulas.

    Nothing is written unless a row is refused. Without a path it is a file of its own in the system's folder for
    temporary files, which only this user may read.
    """

    def __init__(self, path: Path | None, headers: Sequence[str]) -> None:
        self._path = path
        self._headers = headers
        self._file: TextIO | None = None

    def write(self, refused: Sequence[Refused]) -> None:
        if not refused:
            return
        if self._file is None:
            self._file = self._opened()
            self._rows([[*REFUSED, *self._headers]])
        self._rows([str(row.line), row.reason, *row.cells] for row in refused)

    def close(self) -> Path | None:
        """The path, if there is a file."""
        if self._file is None:
            return None
        self._file.close()
        return self._path

    def _rows(self, rows: Iterable[list[str]]) -> None:
        assert self._file is not None
        csv.writer(self._file).writerows([neutralized(cell) for cell in row] for row in rows)

    def _opened(self) -> TextIO:
        if self._path is None:
            descriptor, name = tempfile.mkstemp(prefix="voiceagents-refused-", suffix=".csv")
            self._path = Path(name)
        else:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        # The mark tells Excel that it is UTF-8.
        return os.fdopen(descriptor, "w", encoding="utf-8-sig", errors="replace", newline="")
