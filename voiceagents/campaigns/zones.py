"""Which time zones may this contact be in, and how do we know?

In order: the contact's own column, the number (all zones it may belong to), the campaign's zone. The answer carries
its source, so that a decision record can say by whose clock a call was placed or put off.
"""

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from functools import cache, lru_cache
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_number

# Fixed offsets under names that people write for a place with summer time: "EST" in July is an hour off.
_AMBIGUOUS = {"EST": "America/New_York", "MST": "America/Denver", "HST": "Pacific/Honolulu"}
_NO_PLACES = {"Factory", "localtime"}
_PLACELESS = {
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.UAN,
    PhoneNumberType.VOIP,
}
"""Kinds of number that belong to a country but to no place in it."""


class UnknownZone(ValueError):
    """The text names no time zone.

    The message says which to write instead.
    """


class ZoneSource(StrEnum):
    CONTACT = "contact"
    NUMBER = "number"
    CAMPAIGN = "campaign"


@dataclass(frozen=True)
class ContactZones:
    """Where a contact may be.

    With several zones a call must be allowed in all of them; with none it is not allowed at all.
    """

    zones: tuple[ZoneInfo, ...]
    source: ZoneSource
    words: str

    @property
    def names(self) -> list[str]:
        return [zone.key for zone in self.zones]


def zone_named(name: str) -> ZoneInfo:
    """The zone of an IANA name ("America/New_York"), however it is capitalised.

    Raises:
        UnknownZone: not a name, or an abbreviation that does not say whether it has summer time.
    """
    asked = "_".join(name.split())
    if meant := _AMBIGUOUS.get(asked.upper()):
        raise UnknownZone(f'"{name}" has no summer time and is seldom what is meant; write a place, such as {meant}')
    if key := _known().get(asked.casefold()):
        return ZoneInfo(key)
    raise UnknownZone(f'"{name}" is not a time zone; {_suggestion(asked)}')


def zones_of(column: str | None, phone: str, campaign_zone: str) -> ContactZones:
    """Where a contact may be.

    Args:
        column: the contact's own time zone, as it stands in the list.
        phone: the contact's number in E.164.
        campaign_zone: the zone to fall back to.
    """
    note = ""
    if column and column.strip():
        try:
            return ContactZones((zone_named(column),), ZoneSource.CONTACT, "the contact's own time zone")
        except UnknownZone as error:
            note = f"the contact's time zone was not used: {error}; "
    names = _of_number(phone)
    if names:
        words = "the time zone of the number" if len(names) == 1 else f"all {len(names)} zones the number may be in"
        return ContactZones(tuple(ZoneInfo(name) for name in names), ZoneSource.NUMBER, note + words)
    try:
        zone = zone_named(campaign_zone)
    except UnknownZone as error:
        return ContactZones((), ZoneSource.CAMPAIGN, f"{note}the campaign's time zone cannot be used: {error}")
    return ContactZones((zone,), ZoneSource.CAMPAIGN, f"{note}the number tells no place: the campaign's time zone")


@lru_cache(maxsize=65536)
def _of_number(phone: str) -> tuple[str, ...]:
    try:
        number: PhoneNumber = phonenumbers.parse(phone)
    except phonenumbers.NumberParseException:
        return ()
    if phonenumbers.number_type(number) in _PLACELESS:
        return ()
    known = _known()
    return tuple(
        name for name in time_zones_for_number(number) if name != UNKNOWN_TIMEZONE and name.casefold() in known
    )


@cache
def _known() -> dict[str, str]:
    return {name.casefold(): name for name in available_timezones() - _NO_PLACES}


def _suggestion(asked: str) -> str:
    by_place = {key.rpartition("/")[2]: name for key, name in _known().items() if "/" in key}
    close = get_close_matches(asked.casefold().rpartition("/")[2], by_place, n=1, cutoff=0.75)
    return f"did you mean {by_place[close[0]]}?" if close else "write an IANA name, such as America/New_York"
