"""Which time zone does a person mean?"""

import re
from difflib import get_close_matches
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

# Fixed offsets under names that people write for a place with summer time: "EST" in July is an hour off.
_AMBIGUOUS = {"EST": "America/New_York", "MST": "America/Denver", "HST": "Pacific/Honolulu"}
# Abbreviations are one thing here and another there ("IST" is India, Ireland and Israel): the likeliest is proposed.
_LIKELY = {
    "EDT": "America/New_York", "ET": "America/New_York", "EASTERN": "America/New_York", "CST": "America/Chicago",
    "CDT": "America/Chicago", "CT": "America/Chicago", "CENTRAL": "America/Chicago", "MDT": "America/Denver",
    "MT": "America/Denver", "MOUNTAIN": "America/Denver", "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles",
    "PT": "America/Los_Angeles", "PACIFIC": "America/Los_Angeles", "AST": "America/Halifax", "BST": "Europe/London",
    "CEST": "Europe/Berlin", "EEST": "Europe/Bucharest", "MSK": "Europe/Moscow", "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo", "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney",
}  # fmt: skip
_OFFSET = re.compile(r"(?:UTC|GMT)?[+\-\u2212]\d{1,2}(?::?\d\d)?", re.IGNORECASE)
_TIME = re.compile(r"(_STANDARD|_DAYLIGHT|_SUMMER)?_TIME\b.*")
_LONGEST = 100
_NO_PLACES = {"Factory", "localtime"}


class UnknownZone(ValueError):
    """The text names no time zone.

    The message says which to write instead.
    """


def zone_named(name: str) -> ZoneInfo:
    """The zone of an IANA name ("America/New_York"), however it is capitalised.

    Raises:
        UnknownZone: not a name, or an abbreviation that does not say whether it has summer time.
    """
    asked = "_".join(name.split())
    if meant := _AMBIGUOUS.get(asked.upper()):
        raise UnknownZone(f'"{name}" has no summer time and is seldom what is meant; write a place, such as {meant}')
    if key := known().get(asked.casefold()):
        return ZoneInfo(key)
    if _OFFSET.fullmatch(asked):
        raise UnknownZone(f'"{name}" is an offset, which knows no summer time; write a place, such as America/New_York')
    raise UnknownZone(f'"{name[:_LONGEST]}" is not a time zone; {_suggestion(asked[:_LONGEST])}')


@cache
def known() -> dict[str, str]:
    """Every zone that is a place, by its name in small letters."""
    return {name.casefold(): name for name in available_timezones() - _NO_PLACES}


def _suggestion(asked: str) -> str:
    if likely := _LIKELY.get(_TIME.sub("", asked.upper())):
        return f"did you mean {likely}?"
    by_place = {key.rpartition("/")[2]: name for key, name in known().items() if "/" in key}
    close = get_close_matches(asked.casefold().rpartition("/")[2], by_place, n=1, cutoff=0.75)
    return f"did you mean {by_place[close[0]]}?" if close else "write an IANA name, such as America/New_York"
