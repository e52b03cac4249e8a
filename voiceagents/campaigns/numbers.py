"""How are a million phone numbers checked in seconds?

`phone.normalize` is the truth, at some 40 µs a number. Most numbers of a list are written plainly, though: E.164, or
the national form of the list's country. For those the rules of libphonenumber come down to one pattern for each region,
which gives the same answer in 1 to 2 µs. Whatever is not plainly good goes to `phone.normalize`, which also knows the
reason.

A list may say in a column of its own which country a number without a country code belongs to.
"""

import re
from functools import cache, lru_cache
from typing import NamedTuple

from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, SUPPORTED_REGIONS, PhoneMetadata, region_code_for_country_code
from phonenumbers.phonemetadata import PhoneNumberDesc

from voiceagents import phone

# Digits and what people put between them. Not plain: a slash (it may stand between two numbers), the tail of a float,
# and 00, which starts an international number everywhere.
_NATIONAL = re.compile(r"(?!00)(?!.*\.0+\Z)\(?[0-9][0-9 ().\-]{5,24}[0-9]")
_BETWEEN = str.maketrans("", "", " ().-")
_LONGEST_CODE = 3
_NEVER = r"(?!)"


class UnknownRegion(ValueError):
    """The default region is no country that has phone numbers."""

    def __init__(self, region: str) -> None:
        super().__init__(f'there is no region "{region}"; it is a country code of two letters, such as US or GB')


class Numbers:
    """Phone numbers of one list. `region` is assumed where a number has no country code."""

    def __init__(self, region: str | None) -> None:
        self._region = region_code(region)
        self._plan = _national_plan(self._region) if self._region else None
        self._of_regions: dict[str, Numbers] = {}

    def normalize(self, text: str, country: str = "") -> str:
        """The same as `phone.normalize`.

        Args:
            text: the number.
            country: what the list says about this number's country, in place of its region; empty for nothing.

        Raises:
            phone.InvalidPhoneNumber: with the reason in words.
        """
        if country and "+" not in text:
            return self._of(country).normalize(text)
        if phone.is_e164(text):
            if _is_plainly_valid(text):
                return text
        elif self._plan is not None and _NATIONAL.fullmatch(text) is not None:
            number = self._plan.international(text.translate(_BETWEEN))
            if number is not None and phone.is_e164(number):
                return number
        return phone.normalize(text, self._region)

    def _of(self, country: str) -> "Numbers":
        if (region := region_named(country)) is None:
            raise phone.InvalidPhoneNumber(
                f'"{country[:40]}" is no country that is known; write it as GB or +44, or the number with + in front'
            )
        if region not in self._of_regions:
            self._of_regions[region] = Numbers(region)
        return self._of_regions[region]


@lru_cache(4096)
def region_named(words: str) -> str | None:
    """The region of a country as lists write it: GB, +44, 0044, United Kingdom, Royaume-Uni. None: no such country.

    A calling code that several countries share stands for the largest of them.
    """
    plain = " ".join(words.casefold().replace(".", "").split())
    if plain.upper() in SUPPORTED_REGIONS:
        return plain.upper()
    digits = plain.lstrip("+0")
    if digits.isdecimal():
        region = region_code_for_country_code(int(digits))
        return region if region in SUPPORTED_REGIONS else None
    return _NAMES.get(plain) or (_names_of_countries().get(plain) if plain else None)


_NAMES = {"uk": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "usa": "US", "america": "US", "uae": "AE"}


@cache
def _names_of_countries() -> dict[str, str]:
    # Takes half a second to load, and most lists have no such column.
    from phonenumbers.geodata.locale import LOCALE_DATA

    return {
        " ".join(name.casefold().replace(".", "").split()): region
        for region, names in LOCALE_DATA.items()
        if region in SUPPORTED_REGIONS
        for name in names.values()
        if not name.startswith("*")
    }


def region_code(region: str | None) -> str | None:
    """The country code in capitals.

    Raises:
        UnknownRegion: there is no such country.
    """
    if region is None or not region.strip():
        return None
    code = region.strip().upper()
    if code not in SUPPORTED_REGIONS:
        raise UnknownRegion(region)
    return code


class _Region(NamedTuple):
    leading_digits: re.Pattern[str] | None
    general: re.Pattern[str]
    """Digits of any number of the region, whatever its kind."""
    valid: re.Pattern[str]
    """Of a kind that is in use."""


class _CallingCode(NamedTuple):
    prefix: re.Pattern[str] | None
    regions: list[_Region]

    def is_valid(self, national: str) -> bool:
        """As `phonenumbers.is_valid_number`: the first region whose number it is decides."""
        for region in self.regions:
            if region.leading_digits is None or len(self.regions) == 1:
                if region.valid.fullmatch(national) is not None:
                    return True
            elif region.leading_digits.match(national) is not None:
                return region.valid.fullmatch(national) is not None
        return False

    def takes_as_it_is(self, national: str) -> bool:
        """False where parsing would look for a national prefix or a carrier's code to strip."""
        return self.prefix is None or self.prefix.match(national) is None


class _NationalPlan(NamedTuple):
    code: str
    international_prefix: re.Pattern[str] | None
    prefix: re.Pattern[str] | None
    transforms: bool
    """The prefix is not only stripped but rewritten: left to the library."""
    viable: re.Pattern[str]
    general: re.Pattern[str]

    def international(self, digits: str) -> str | None:
        """The E.164 form of digits without a country code, where there is no doubt about it."""
        if self.international_prefix is not None and self.international_prefix.match(digits) is not None:
            return None
        if digits.startswith(self.code):
            # "1 202 555 0143" in a list of the United States
            if self.viable.fullmatch(digits) is not None:
                return None
            national = digits[len(self.code) :]
        elif self.prefix is None or (prefix := self.prefix.match(digits)) is None:
            national = digits
        elif not self.transforms:
            # "020 7946 0123" in a list of Great Britain
            national = digits[prefix.end() :]
        else:
            return None
        if self.prefix is not None and self.prefix.match(national) is not None:
            return None
        plan = _calling_code(self.code)
        if plan is None or self.general.fullmatch(national) is None or not plan.takes_as_it_is(national):
            return None
        return f"+{self.code}{national}" if plan.is_valid(national) else None


def _is_plainly_valid(number: str) -> bool:
    for length in range(2, _LONGEST_CODE + 2):
        plan = _calling_code(number[1:length])
        if plan is not None:
            national = number[length:]
            return plan.takes_as_it_is(national) and plan.is_valid(national)
    return False


@cache
def _calling_code(code: str) -> _CallingCode | None:
    regions = COUNTRY_CODE_TO_REGION_CODE.get(int(code))
    if regions is None:
        return None
    plans = [_metadata(int(code), region) for region in regions]
    return _CallingCode(_prefix(plans[0]), [_patterns(plan) for plan in plans])


@cache
def _national_plan(region: str) -> _NationalPlan:
    metadata = PhoneMetadata.metadata_for_region(region, None)
    assert metadata is not None
    idd = metadata.international_prefix
    return _NationalPlan(
        code=str(metadata.country_code),
        international_prefix=re.compile(idd) if idd is not None else None,
        prefix=_prefix(metadata),
        transforms=bool(metadata.national_prefix_transform_rule),
        viable=re.compile((metadata.general_desc and metadata.general_desc.national_number_pattern) or _NEVER),
        general=_patterns(metadata).general,
    )


def _metadata(code: int, region: str) -> PhoneMetadata:
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    assert metadata is not None
    return metadata


def _prefix(metadata: PhoneMetadata) -> re.Pattern[str] | None:
    return re.compile(metadata.national_prefix_for_parsing) if metadata.national_prefix_for_parsing else None


def _patterns(metadata: PhoneMetadata) -> _Region:
    kinds = [
        metadata.fixed_line, metadata.toll_free, metadata.shared_cost, metadata.voip, metadata.personal_number,
        metadata.pager, metadata.uan, metadata.voicemail,
    ]  # fmt: skip
    if not metadata.same_mobile_and_fixed_line_pattern:
        kinds.append(metadata.mobile)
    general = _pattern(metadata.general_desc)
    known = "|".join(pattern for kind in kinds if (pattern := _pattern(kind)) is not None)
    # Premium-rate numbers are valid and refused all the same: phone.normalize says so.
    dear = _pattern(metadata.premium_rate) or _NEVER
    return _Region(
        re.compile(metadata.leading_digits) if metadata.leading_digits is not None else None,
        re.compile(general or _NEVER),
        re.compile(rf"(?={general or _NEVER}\Z)(?!{dear}\Z)(?:{known or _NEVER})"),
    )


def _pattern(kind: PhoneNumberDesc | None) -> str | None:
    """One kind of number: its pattern, in one of the lengths it may have."""
    if kind is None or not kind.national_number_pattern:
        return None
    lengths = "|".join(f"[0-9]{{{length}}}" for length in kind.possible_length if length > 0)
    in_length = rf"(?=(?:{lengths})\Z)" if lengths else _NEVER if kind.possible_length else ""
    return f"(?:{in_length}(?:{kind.national_number_pattern}))"
