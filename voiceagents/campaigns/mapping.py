"""Which column of a list is what?

The phone number and its country, the name, the email address, the time zone; every other column becomes a variable that
the campaign's prompt may use under the column's own name. `guess` proposes, by the headers first and by what stands
below them second. A `ColumnMapping` can be shown, edited and given to the import.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from voiceagents.campaigns import header_words
from voiceagents.campaigns.header_words import plain
from voiceagents.campaigns.numbers import Numbers, region_named
from voiceagents.campaigns.rows import Row, TableError
from voiceagents.phone import InvalidPhoneNumber, looks_like_number

PHONE, NAME, EMAIL, TIME_ZONE, COUNTRY, IGNORE = "phone", "name", "email", "time_zone", "country", "ignore"

EXPORTED = (PHONE, NAME, EMAIL, TIME_ZONE)
"""The first columns of our own exports, in this order."""
REFUSED = ("refused: line", "refused: reason")
"""The first columns of our own error files. Rows mended there are imported again without them."""

_LONGEST_VARIABLE = 60
_ENOUGH = 0.5
_EMAIL_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_SIGNS = re.compile(r"[^\w .\-]")


class NoPhoneColumn(TableError):
    """None of the columns holds phone numbers, as far as can be told."""

    def __init__(self, headers: Sequence[str]) -> None:
        super().__init__(
            f"no column of phone numbers was found among: {', '.join(headers)}. "
            'Name one "phone", or say which column it is'
        )


@dataclass(frozen=True)
class ColumnMapping:
    """What each column is. Columns count from 0; those named nowhere are not imported."""

    headers: tuple[str, ...]
    phone: int
    name: tuple[int, ...] = ()
    """Several are joined by a blank, in this order: first name and last name."""
    email: int | None = None
    time_zone: int | None = None
    country: int | None = None
    """Whose numbers those without a country code are, row by row. It is a variable as well."""
    variables: Mapping[int, str] = field(default_factory=dict[int, str])
    """Name of the placeholder by column."""

    def roles(self) -> list[tuple[str, str]]:
        """Each column's header and what it is: `phone`, `name`, `email`, `time_zone`, `country`, `{placeholder}` or
        `ignore`."""
        roles: list[tuple[str, str]] = []
        for column, header in enumerate(self.headers):
            uses = [PHONE] * (column == self.phone) + [NAME] * (column in self.name)
            uses += [EMAIL] * (column == self.email) + [TIME_ZONE] * (column == self.time_zone)
            uses += [COUNTRY] * (column == self.country)
            if column in self.variables:
                uses.append(f"{{{self.variables[column]}}}")
            roles.append((header, " + ".join(uses) or IGNORE))
        return roles

    def edited(self, changes: Mapping[str, str]) -> "ColumnMapping":
        """The mapping with other roles for some columns.

        Args:
            changes: by header: `phone`, `name`, `email`, `time_zone`, `country`, `ignore`, or the name of a variable.
                Naming a `name` replaces the guess; several are joined in the order given.

        Raises:
            TableError: there is no such column, or none is left for the phone.
        """
        columns = {column_of(self.headers, header): role.strip() for header, role in changes.items()}
        before = {PHONE: self.phone, EMAIL: self.email, TIME_ZONE: self.time_zone, COUNTRY: self.country}
        singles = {role: None if column in columns else column for role, column in before.items()}
        variables = {column: name for column, name in self.variables.items() if column not in columns}
        named = tuple(column for column, role in columns.items() if role == NAME)
        taken = {name.casefold() for name in variables.values()}
        for column, role in columns.items():
            if role in singles:
                previous = singles[role]
                if previous is not None and previous not in variables:
                    variables[previous] = variable_name(self.headers[previous], previous, taken)
                singles[role] = column
                if role == COUNTRY:
                    variables[column] = variable_name(self.headers[column], column, taken)
            elif role not in (NAME, IGNORE):
                variables[column] = variable_name(role.strip("{} "), column, taken)
        phone = singles[PHONE]
        if phone is None:
            raise NoPhoneColumn(self.headers)
        return ColumnMapping(
            self.headers,
            phone=phone,
            name=named or tuple(column for column in self.name if column not in columns),
            email=singles[EMAIL],
            time_zone=singles[TIME_ZONE],
            country=singles[COUNTRY],
            variables=variables,
        )


def guess(headers: Sequence[str], sample: Sequence[Row], default_region: str | None = None) -> ColumnMapping:
    """What each column seems to be.

    Args:
        headers: of the table.
        sample: its first rows.
        default_region: country of numbers without a country code.

    Raises:
        NoPhoneColumn: quoting the headers.
    """
    if tuple(headers[: len(EXPORTED)]) == EXPORTED:
        phone, names, email, time_zone, country = 0, (1,), 2, 3, None
    else:
        columns = _Columns(headers, sample, Numbers(default_region))
        phone = columns.phone()
        email = columns.named(header_words.EMAIL)
        if email is None:
            email = columns.filled_with(_is_email)
        time_zone = columns.named(header_words.TIME_ZONE)
        country = columns.country()
        names = tuple(column for column in columns.names() if column != phone)
    roles = {phone, email, time_zone, *(column for column in names if not _is_part_of_name(headers[column]))}
    variables: dict[int, str] = {}
    taken: set[str] = set()
    for column, header in enumerate(headers):
        if column not in roles and header not in REFUSED:
            variables[column] = variable_name(header, column, taken)
    return ColumnMapping(tuple(headers), phone, names, email, time_zone, country, variables)


def country_column(headers: Sequence[str], sample: Sequence[Row]) -> int | None:
    """The column that says whose the numbers are, if there is one."""
    return _Columns(headers, sample, Numbers(None)).country()


def column_of(headers: Sequence[str], header: str) -> int:
    """The column with this header, however it is capitalised.

    Raises:
        TableError: there is none.
    """
    asked = " ".join(header.split())
    for wanted, present in ((asked, list(headers)), (asked.casefold(), [other.casefold() for other in headers])):
        if wanted in present:
            return present.index(wanted)
    raise TableError(f'there is no column "{header}"; there are: {", ".join(headers)}')


def variable_name(header: str, column: int, taken: set[str]) -> str:
    """A name for the column that works as a placeholder, and that is then taken.

    It is the header itself where that can be: letters, digits and underscores, with blanks, dots or hyphens between.

    >>> variable_name("Amount due (€)", 4, set()), variable_name("2nd visit", 5, set()), variable_name("Name", 6, set())
    ('Amount due', 'column 2nd visit', 'Name 2')
    """
    name = _shortened(" ".join(_SIGNS.sub(" ", unicodedata.normalize("NFC", header)).split()), _LONGEST_VARIABLE)
    if not name:
        name = f"column {column + 1}"
    elif not re.match(r"[^\W\d]", name):
        name = _shortened(f"column {name}", _LONGEST_VARIABLE)
    base, number = name, 1
    while name.casefold() in taken or name.lower() in {PHONE, NAME, EMAIL}:
        number += 1
        name = f"{_shortened(base, _LONGEST_VARIABLE - len(str(number)) - 1)} {number}"
    taken.add(name.casefold())
    return name


def _shortened(name: str, length: int) -> str:
    return name.strip(" .-")[:length].rstrip(" .-")


class _Columns:
    def __init__(self, headers: Sequence[str], sample: Sequence[Row], numbers: Numbers) -> None:
        self._plain = [plain(header) for header in headers]
        self._headers = headers
        self._sample = sample
        self._cells = [
            [row.cells[i].strip() for row in sample if i < len(row.cells) and row.cells[i].strip()]
            for i in range(len(headers))
        ]
        self._numbers = numbers

    def phone(self) -> int:
        ranked = {i: rank for i in range(len(self._headers)) if (rank := self._rank(i)) is not None}
        good = {i: self._share(i, self._is_number) for i in range(len(self._headers))}
        named = [i for i in ranked if good[i] >= _ENOUGH]
        if named:
            return min(named, key=lambda i: (ranked[i], i))
        unnamed = [i for i in good if good[i] >= _ENOUGH and not self._is_of_something_else(i)]
        if unnamed:
            return max(unnamed, key=lambda i: (good[i], -i))
        if ranked:
            # Bad numbers, or national ones without a region: each row says so.
            return min(ranked, key=lambda i: (self._share(i, looks_like_number) < _ENOUGH, ranked[i], i))
        alike = [i for i in good if self._share(i, looks_like_number) >= _ENOUGH and not self._is_of_something_else(i)]
        if len(alike) == 1:
            return alike[0]
        raise NoPhoneColumn(self._headers)

    def names(self) -> tuple[int, ...]:
        last, first = self.named(header_words.LAST_NAME), self.named(header_words.FIRST_NAME)
        full = next(
            (i for i, header in enumerate(self._plain) if header in header_words.NAME and i not in (first, last)), None
        )
        if full is not None:
            # "Name" beside "Surname" or "Vorname" alone is the other half, unless it holds both.
            if first is None and last is not None and not self._holds(full, last):
                return full, last
            if last is None and first is not None and not self._holds(full, first):
                return first, full
            return (full,)
        parts = tuple(i for i in (first, self.named(header_words.MIDDLE_NAME), last) if i is not None)
        if parts or any(header != f"column {i}" for i, header in enumerate(self._headers, start=1)):
            return tuple(dict.fromkeys(parts))
        wordy = self.filled_with(_is_words)
        return () if wordy is None else (wordy,)

    def country(self) -> int | None:
        """The column that is named like one and holds countries: "Land" may hold Bavaria, too."""
        return next(
            (
                i
                for i, header in enumerate(self._plain)
                if header in header_words.COUNTRY
                and self._share(i, lambda cell: region_named(cell) is not None) >= _ENOUGH
            ),
            None,
        )

    def named(self, words: frozenset[str]) -> int | None:
        return next((i for i, header in enumerate(self._plain) if header in words), None)

    def filled_with(self, wanted: Callable[[str], bool]) -> int | None:
        return next((i for i in range(len(self._cells)) if self._share(i, wanted) >= 0.8), None)

    def _holds(self, whole: int, part: int) -> bool:
        return any(
            row.cells[part].strip() and row.cells[part].strip().casefold() in row.cells[whole].casefold()
            for row in self._sample
            if len(row.cells) > max(whole, part)
        )

    def _is_of_something_else(self, column: int) -> bool:
        return not header_words.OTHER_NUMBERS.isdisjoint(self._plain[column].split())

    def _rank(self, column: int) -> int | None:
        header = self._plain[column]
        if header in header_words.PHONE:
            return header_words.PHONE[header]
        words = set(header.split())
        if words & header_words.PHONE_WORDS and not words & header_words.NOT_A_PHONE:
            return max(header_words.PHONE.values()) + 1
        return None

    def _share(self, column: int, wanted: Callable[[str], bool]) -> float:
        cells = self._cells[column]
        return sum(map(wanted, cells)) / len(cells) if cells else 0.0

    def _is_number(self, cell: str) -> bool:
        try:
            self._numbers.normalize(cell)
        except InvalidPhoneNumber:
            return False
        return True


def _is_part_of_name(header: str) -> bool:
    """Parts are variables as well: a prompt may say "Hi {First name}"."""
    words = plain(header)
    parts = header_words.FIRST_NAME | header_words.MIDDLE_NAME | header_words.LAST_NAME
    return words in parts and words != NAME


def _is_email(cell: str) -> bool:
    return _EMAIL_ADDRESS.fullmatch(cell) is not None


def _is_words(cell: str) -> bool:
    return any(c.isalpha() for c in cell) and not any(c.isdigit() or c in "@{}<>=" for c in cell) and len(cell) <= 60
