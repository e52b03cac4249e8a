"""Which time zones may this contact be in, and how do we know?

In order: the contact's own column, the number (all zones it may belong to), the campaign's zone. The answer carries
its source, so that a decision record can say by whose clock a call was placed or put off.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType
from phonenumbers.timezone import UNKNOWN_TIMEZONE, time_zones_for_number

from voiceagents.zones import UnknownZone, known, zone_named

_PLACELESS = {
    PhoneNumberType.TOLL_FREE,
    PhoneNumberType.PREMIUM_RATE,
    PhoneNumberType.SHARED_COST,
    PhoneNumberType.UAN,
    PhoneNumberType.VOIP,
}
"""Kinds of number that belong to a country but to no place in it."""


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
    places = known()
    return tuple(
        name for name in time_zones_for_number(number) if name != UNKNOWN_TIMEZONE and name.casefold() in places
    )
