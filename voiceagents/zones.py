"""Which time zone does a person mean?"""

from difflib import get_close_matches
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

# Fixed offsets under names that people write for a place with summer time: "EST" in July is an hour off.
_AMBIGUOUS = {"EST": "America/New_York", "MST": "America/Denver", "HST": "Pacific/Honolulu"}
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
    raise UnknownZone(f'"{name}" is not a time zone; {_suggestion(asked)}')


@cache
def known() -> dict[str, str]:
    """Every zone that is a place, by its name in small letters."""
    return {name.casefold(): name for name in available_timezones() - _NO_PLACES}


def _suggestion(asked: str) -> str:
    by_place = {key.rpartition("/")[2]: name for key, name in known().items() if "/" in key}
    close = get_close_matches(asked.casefold().rpartition("/")[2], by_place, n=1, cutoff=0.75)
    return f"did you mean {by_place[close[0]]}?" if close else "write an IANA name, such as America/New_York"
