"""Which time zone does a sentence name, and how is a zone called aloud?"""

import re
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

_SPOKEN = {
    "eastern": "America/New_York", "central": "America/Chicago", "mountain": "America/Denver",
    "pacific": "America/Los_Angeles", "alaska": "America/Anchorage", "hawaii": "Pacific/Honolulu",
    "arizona": "America/Phoenix", "atlantic": "America/Halifax", "uk": "Europe/London", "british": "Europe/London",
    "central european": "Europe/Berlin", "eastern european": "Europe/Bucharest", "india": "Asia/Kolkata",
    "indian": "Asia/Kolkata", "japan": "Asia/Tokyo", "germany": "Europe/Berlin", "german": "Europe/Berlin",
    "california": "America/Los_Angeles", "texas": "America/Chicago", "florida": "America/New_York",
    "greenwich mean": "UTC", "utc": "UTC",
}  # fmt: skip
_ABBREVIATIONS = {
    "EST": "America/New_York", "EDT": "America/New_York", "ET": "America/New_York", "CST": "America/Chicago",
    "CDT": "America/Chicago", "CT": "America/Chicago", "MST": "America/Denver", "MDT": "America/Denver",
    "MT": "America/Denver", "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "PT": "America/Los_Angeles",
    "GMT": "UTC", "UTC": "UTC", "BST": "Europe/London", "CET": "Europe/Berlin", "CEST": "Europe/Berlin",
    "EET": "Europe/Bucharest", "EEST": "Europe/Bucharest", "JST": "Asia/Tokyo", "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney",
}  # fmt: skip
_OTHER_CITIES = {
    "America/New_York": "boston, miami, atlanta, washington, philadelphia, charlotte, orlando, pittsburgh, cleveland",
    "America/Chicago": "houston, dallas, austin, san antonio, minneapolis, new orleans, nashville, st louis",
    "America/Denver": "salt lake city, albuquerque",
    "America/Los_Angeles": "san francisco, seattle, san diego, las vegas, portland, sacramento, san jose",
    "America/Toronto": "ottawa, montreal",
    "Europe/London": "manchester, birmingham, edinburgh, glasgow, leeds, liverpool, cardiff",
    "Europe/Berlin": "munich, hamburg, frankfurt, cologne, stuttgart",
    "Europe/Madrid": "barcelona, valencia, seville",
    "Europe/Rome": "milan, naples, turin",
    "Europe/Paris": "lyon, marseille",
    "Asia/Kolkata": "mumbai, delhi, new delhi, bangalore, bengaluru, chennai, hyderabad",
    "Asia/Shanghai": "beijing, shenzhen, guangzhou",
    "Asia/Tokyo": "osaka, kyoto",
}
_NO_CITIES = {"easter", "center", "knox", "wake", "midway", "troll", "currie"}
"""Names of zones that mean something else in a sentence: "in Easter week"."""

_REGIONS = ("Africa", "America", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


def zone_in(text: str) -> tuple[ZoneInfo, str] | None:
    """The time zone that a text names and the text without it; None when it names none.

    A place counts only where it is said as one: "in London", "London time", or nothing but "London".
    """
    key = re.search(r"\b[A-Z][A-Za-z]+/[A-Za-z_]+(?:/[A-Za-z_]+)?\b", text)
    if key and key[0] in available_timezones():
        return ZoneInfo(key[0]), _without(key, text)
    if match := re.search(rf"\b(?:{'|'.join(_ABBREVIATIONS)})\b", text):
        return ZoneInfo(_ABBREVIATIONS[match[0]]), _without(match, text)
    for match in _places().finditer(text.lower()):
        place = match["time"] or match["place"] or match["clock"] or match["whole"]
        return ZoneInfo(_keys()[place]), _without(match, text)
    return None


def called(zone: ZoneInfo) -> str:
    """A zone as it is said: "New York time".

    >>> called(ZoneInfo("America/Argentina/Buenos_Aires"))
    'Buenos Aires time'
    """
    name = zone.key.rpartition("/")[2].replace("_", " ")
    return name if name in ("UTC", "GMT") else f"{name} time"


@cache
def _keys() -> dict[str, str]:
    cities = {
        key.rpartition("/")[2].replace("_", " ").lower(): key
        for key in sorted(available_timezones(), reverse=True)
        if key.startswith(_REGIONS) and "/" in key
    }
    cities = {city: key for city, key in cities.items() if city not in _NO_CITIES}
    others = {city: key for key, names in _OTHER_CITIES.items() for city in names.split(", ")}
    return cities | others | _SPOKEN


@cache
def _places() -> re.Pattern[str]:
    names = "|".join(re.escape(name) for name in sorted(_keys(), key=len, reverse=True))
    return re.compile(
        rf"\b(?:in )?(?P<time>{names})(?: standard| daylight| summer)? time(?: zone)?\b"
        rf"|\b(?:(?:but )?i(?: a|')m )?(?:calling |based |living )?(?:in|from) (?:the )?(?P<place>{names})\b"
        r"|(?:(?<=[ap]m )|(?<=[ap]\.m\. )|(?<=noon ))(?P<clock>eastern|central|mountain|pacific)\b"
        rf"|^\s*(?P<whole>{names})\s*$"
    )


def _without(match: re.Match[str], text: str) -> str:
    return f"{text[: match.start()]} {text[match.end() :]}"
