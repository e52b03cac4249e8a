"""Is this text a telephone number, and which one?

The only place that touches a raw number. Everything past it is E.164 (ITU-T E.164: `+`, country code, at most 15
digits).
"""

import re
import unicodedata

import phonenumbers
from phonenumbers import PhoneNumber, PhoneNumberType, ValidationResult


class InvalidPhoneNumber(ValueError):
    """The text is no number that we may dial.

    The message says why, in words for the person who typed it.
    """


_E164 = re.compile(r"\+[1-9][0-9]{7,14}")
_FLOAT_TAIL = re.compile(r"^(\+?\d{7,15})\.0+$")
_E_NOTATION = re.compile(r"^[+-]?\d+([.,]\d+)?\s?[eE]\s?\+?\d+$")
_EXTENSION = re.compile(r"\s*(?:;ext=|[,;#]|(?:ext|extn|extension|x)[.:]?)\s*\d{1,7}\s*$", re.IGNORECASE)
_ALLOWED = re.compile(r"\(?\+?[0-9\s().\-/]+")
# What stands between two numbers: a sign of its own, or the second one's plus; or, between two plain ones, a blank.
_BETWEEN_NUMBERS = (re.compile(r"[^\d\s().+\-]+|(?=\+)"), re.compile(r"[^\d().+\-]+"))
_DIGITS_OF_A_NUMBER = 7
_LONGEST_TEXT = 100
_MEXICO = 52
_LIKE_A_NUMBER = re.compile(r"['\s]*\+?[\d\s().\-/]+([eE]\+?\d+|[;,]?\s*(ext|x)[.:=]?\s*\d+)?\s*")
_DATE = re.compile(r"\d{4}-\d\d-\d\d.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}")


def is_e164(text: str) -> bool:
    """True for `+`, a country code and 8 to 15 digits in all, nothing else."""
    return _E164.fullmatch(text) is not None


def looks_like_number(text: str) -> bool:
    """True for text that may be meant as a phone number, be it a good one or not."""
    plain = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    return (
        _DIGITS_OF_A_NUMBER <= sum(c.isdigit() for c in plain) <= 20
        and _LIKE_A_NUMBER.fullmatch(plain) is not None
        and _DATE.fullmatch(plain.strip()) is None
    )


def dialable(text: str) -> str:
    """The number if it may be handed to a trunk as it stands, in E.164.

    This is the last gate before a dial, so nothing is guessed: no region, no repair beyond outer white space.

    Raises:
        InvalidPhoneNumber: not E.164, an unknown country code, more digits than that country has, or premium rate.
    """
    number = text.strip()
    if not number:
        raise InvalidPhoneNumber("the number is empty")
    if not is_e164(number):
        raise InvalidPhoneNumber("the number is not E.164: it must be + and 8 to 15 digits, such as +12025550143")
    parsed = _parse(number, None)
    reason = phonenumbers.is_possible_number_with_reason(parsed)
    # Too short is left to the carrier: numbering plans grow, and a short number cannot reach somebody else's phone.
    if reason not in (
        ValidationResult.IS_POSSIBLE,
        ValidationResult.IS_POSSIBLE_LOCAL_ONLY,
        ValidationResult.TOO_SHORT,
    ):
        raise InvalidPhoneNumber(f"the number does not exist in its country ({_why(reason)})")
    _require_usual_price(parsed)
    return number


def normalize(text: str, region: str | None = None) -> str:
    """A number as people and spreadsheets write it, as E.164.

    Args:
        text: what stood in the cell or field: national or international form, with spaces, brackets, dots, an
            extension (left off), a leading apostrophe, a `tel:` in front, invisible marks or non-Latin digits.
        region: ISO 3166 country ("US") for numbers written without a country code; None when there is none to assume.

    Raises:
        InvalidPhoneNumber: with the reason in words.
    """
    country = _country(region)
    cleaned = _clean(text)
    if not cleaned:
        raise InvalidPhoneNumber("the number is empty")
    if len(cleaned) > _LONGEST_TEXT:
        raise InvalidPhoneNumber("the text is too long to be a telephone number")
    if _E_NOTATION.match(cleaned):
        raise InvalidPhoneNumber(
            "a spreadsheet turned this number into scientific notation and digits are lost; "
            "format the column as text and export again"
        )
    if tail := _FLOAT_TAIL.match(cleaned):
        cleaned = tail.group(1)
    cleaned = _EXTENSION.sub("", cleaned).rstrip(" -,;./")
    if _holds_several(cleaned):
        raise InvalidPhoneNumber("the cell holds more than one number")
    if not _ALLOWED.fullmatch(cleaned):
        raise InvalidPhoneNumber("the number holds characters that no telephone number has")
    if cleaned.startswith("00"):
        cleaned = "+" + cleaned[2:]
    number = _meant(cleaned, country)
    _require_usual_price(number)
    return _e164(number)


def same_number(number: str) -> str:
    """The digits alone: what two spellings of one E.164 number have in common (SIP sends it with and without `+`)."""
    return re.sub(r"\D", "", number)


def country_of(number: str) -> str | None:
    """The country of an E.164 number as two letters; None where it has none of its own."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return None


def mask(number: str) -> str:
    """A number for the log: enough to tell two calls apart, not enough to call back."""
    digits = same_number(number)
    if len(digits) < 5:
        return "*" * len(number)
    plus = "+" if number.lstrip().startswith("+") else ""
    return f"{plus}{digits[0]}{'*' * (len(digits) - 3)}{digits[-2:]}"


def _country(region: str | None) -> str | None:
    country = (region or "").strip().upper()
    if country and country not in phonenumbers.SUPPORTED_REGIONS:
        raise InvalidPhoneNumber(f"{country!r} is no country to assume; give its two letters, such as US or GB")
    return country or None


def _clean(text: str) -> str:
    """The text in plain characters, without what spreadsheets and address books put around a number."""
    plain = "".join(_plain(character) for character in text).strip().strip("='\"`").strip()
    return plain[4:].strip() if plain[:4].lower() == "tel:" else plain


def _holds_several(text: str) -> bool:
    return any(
        sum(len(re.sub(r"\D", "", part)) >= _DIGITS_OF_A_NUMBER for part in between.split(text)) > 1
        for between in _BETWEEN_NUMBERS
    )


_SIGNS = {"\N{MINUS SIGN}": "-", "\N{ACUTE ACCENT}": "'", "\N{DOUBLE LOW-9 QUOTATION MARK}": "'"}


def _plain(character: str) -> str:
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    match unicodedata.category(character):
        case "Cf":
            return ""  # invisible: direction marks, soft hyphens, byte order marks
        case "Cc" | "Zs":
            return " "
        case "Pd":
            return "-"
        case "Pi" | "Pf":
            return "'"  # quotation marks that word processors make of plain ones
        case "No":
            return character  # a superscript or circled digit is a footnote mark, not a digit of the number
        case _:
            return _SIGNS.get(character) or unicodedata.normalize("NFKC", character)


def _parse(number: str, region: str | None) -> PhoneNumber:
    try:
        return phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            raise InvalidPhoneNumber(
                "the number has no country code; write it with + in front, or set the list's default region"
                if "+" not in number
                else "the number starts with a country code that does not exist"
            ) from None
        raise InvalidPhoneNumber("this is not a telephone number") from None


def _meant(number: str, region: str | None) -> PhoneNumber:
    if region is None or number.startswith(("+", "(+")):
        return _existing(number, region)
    try:
        national = _existing(number, region)
    except InvalidPhoneNumber:
        # "12025550143" in a US list is a national number; "442079460123" there is an international one that lost its
        # plus.
        with_plus = None if _has_one_digit_too_many(number, region) else _existing_or_none("+" + number)
        if with_plus is None:
            raise
        return with_plus
    if not same_number(number).startswith(str(national.country_code)):
        return national
    with_plus = _existing_or_none("+" + number)
    if with_plus is None or with_plus == national:
        return national
    # Some plans have room for "4915112345678" as a number within Germany. It is a mobile number that lost its plus; of
    # a number on a desk nobody can tell.
    if phonenumbers.number_type(with_plus) == PhoneNumberType.MOBILE:
        return with_plus
    raise InvalidPhoneNumber(f"the number may be {_e164(with_plus)} or {_e164(national)}; write it with + in front")


def _existing(number: str, region: str | None) -> PhoneNumber:
    parsed = _parse(number, region)
    if parsed.country_code == _MEXICO and 10**10 < (parsed.national_number or 0) < 2 * 10**10:
        # Until 2019 the numbers of Mexico's mobile phones began with a 1 when called from abroad; address books and
        # messengers have kept it.
        parsed.national_number = (parsed.national_number or 0) - 10**10
    if not (phonenumbers.is_valid_number(parsed) and is_e164(_e164(parsed))):
        reason = phonenumbers.is_possible_number_with_reason(parsed)
        raise InvalidPhoneNumber(f"the number does not exist in its country ({_why(reason)})")
    return parsed


def _existing_or_none(number: str) -> PhoneNumber | None:
    try:
        return _existing(number, None)
    except InvalidPhoneNumber:
        return None


def _e164(number: PhoneNumber) -> str:
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _require_usual_price(parsed: PhoneNumber) -> None:
    """Whoever gets such a number into a list earns from every call to it."""
    if phonenumbers.number_type(parsed) == PhoneNumberType.PREMIUM_RATE:
        raise InvalidPhoneNumber("it is a premium-rate number: whoever calls it pays extra, so it is never dialled")


def _has_one_digit_too_many(number: str, region: str) -> bool:
    """A slip of the finger in a national number must not ring a stranger abroad."""
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(re.sub(r"\D", "", number)[:-1], region))
    except phonenumbers.NumberParseException:
        return False


def _why(reason: int) -> str:
    return {
        ValidationResult.TOO_LONG: "too many digits",
        ValidationResult.TOO_SHORT: "too few digits",
        ValidationResult.INVALID_LENGTH: "wrong number of digits",
        ValidationResult.INVALID_COUNTRY_CODE: "unknown country code",
    }.get(reason, "not in use there")
