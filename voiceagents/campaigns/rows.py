"""What do all readers of tables have in common? A row, and one kind of error."""

import re
from typing import NamedTuple

# Marks of byte order and direction, soft hyphens and blanks of no width, which people copy along without seeing them.
_UNSEEN = "\ufeff\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\u00ad"
# PostgreSQL holds neither NUL nor lone surrogates. A file may hold both.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class TableError(ValueError):
    """The file cannot be read as a table.

    The message says what is wrong, where, and how to mend it. `line` is the line in the file, where one is to blame.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message if line is None else f"line {line}: {message}")
        self.line = line


class Row(NamedTuple):
    """The cells of one row. `line` counts from 1, as an editor or a spreadsheet does; it is where the row starts."""

    line: int
    cells: list[str]

    @property
    def is_blank(self) -> bool:
        return not any(cell and not cell.isspace() for cell in self.cells)


def storable(text: str) -> str:
    """The text without characters that no database holds."""
    return _UNSTORABLE.sub("", text)


def visible(text: str) -> str:
    """The text without blanks, and marks that nobody sees, at its ends."""
    plain = text.strip()
    while plain and (plain[0] in _UNSEEN or plain[-1] in _UNSEEN):
        plain = plain.strip(_UNSEEN).strip()
    return plain
