"""On which dates does a campaign call nobody, whatever the weekday? Public holidays and blackout dates.

A date is judged in the contact's own time zone, so one instant may be a holiday for one contact and a working day for
another.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import cast

import holidays

_DATES = re.compile(r"(\d{4}-\d{2}-\d{2})(?:\s*/\s*(\d{4}-\d{2}-\d{2}))?")
_LONGEST_RANGE = timedelta(days=366)


class ClosedDaysError(ValueError):
    """Blackout dates or a holiday country cannot be understood.

    The message says what to write instead.
    """


@dataclass(frozen=True)
class ClosedDays:
    """Dates without calls."""

    blackout: frozenset[date] = frozenset()
    holidays_of: str | None = None
    """Whose public holidays are kept: a country ("US") or a part of one ("DE-BY"); None for nobody's."""

    @classmethod
    def parse(cls, blackout: object = (), holidays_of: str | None = None) -> "ClosedDays":
        """Closed days as people and databases write them.

        Args:
            blackout: dates ("2026-12-24") and ranges of dates, both ends included ("2026-12-24/2027-01-02").
            holidays_of: ISO 3166 country or country and subdivision, or nothing.

        Raises:
            ClosedDaysError: with the mend in the message.
        """
        if blackout is None:
            blackout = ()
        if not isinstance(blackout, Iterable) or isinstance(blackout, str | bytes):
            raise ClosedDaysError('blackout dates are a list, such as ["2026-12-24", "2026-12-31/2027-01-02"]')
        dates = frozenset(day for entry in cast(Iterable[object], blackout) for day in _dates(entry))
        code = (holidays_of or "").strip()
        return cls(dates, _country(code) if code else None)

    def why_closed(self, day: date) -> str | None:
        """Why nobody is called on this date; None when calls may go out."""
        if day in self.blackout:
            return f"{day.isoformat()} is a blackout date"
        if self.holidays_of and (name := _holidays(self.holidays_of, day.year).get(day)):
            return f"{day.isoformat()} is a holiday in {self.holidays_of} ({name})"
        return None


def _dates(entry: object) -> Iterable[date]:
    if isinstance(entry, date):
        return [entry]
    match = _DATES.fullmatch(str(entry).strip())
    try:
        if match is None:
            raise ValueError
        start = date.fromisoformat(match[1])
        end = date.fromisoformat(match[2] or match[1])
    except ValueError:
        raise ClosedDaysError(
            f'"{entry}" is not a date; write it as 2026-12-24, or as 2026-12-24/2027-01-02 for all days between'
        ) from None
    if end < start or end - start > _LONGEST_RANGE:
        raise ClosedDaysError(f'the range "{entry}" must end after it starts, and within a year')
    return [start + timedelta(days=n) for n in range((end - start).days + 1)]


def _country(code: str) -> str:
    """The code as the library writes it, which is not always in capitals ("BE-Flemish")."""
    country, _, subdivision = code.upper().partition("-")
    known = holidays.list_supported_countries()
    if len(country) != 2 or country not in known:
        raise ClosedDaysError(f'no holidays are known for "{code}"; write a two-letter country code, such as US or GB')
    if not subdivision:
        return country
    for part in known[country]:
        if part.upper() == subdivision:
            return f"{country}-{part}"
    parts = ", ".join(f"{country}-{part}" for part in known[country]) or "none"
    raise ClosedDaysError(f'{country} has no part "{subdivision}" with holidays of its own; known are: {parts}')


@cache
def _holidays(code: str, year: int) -> dict[date, str]:
    # A whole year at once: filled date by date, the library's object would change while other threads read it.
    country, _, subdivision = code.partition("-")
    return dict(holidays.country_holidays(country, subdiv=subdivision or None, years=year, language="en_US"))
