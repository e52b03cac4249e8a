"""Is this text a telephone number, and which one?

The only place that touches a raw number. Everything past it is E.164 (ITU-T E.164: `+`, country code, at most 15
digits).
"""

import re
import unicodedata

import phonenumbers
from phonenumbers import PhoneNumber, ValidationResult


class InvalidPhoneNumber(ValueError):
    """The text is no number that we may dial.

    The message says why, in words for the person who typed it.
    """


_E164 = re.compile(r"\+[1-9][0-9]{7,14}")
_FLOAT_TAIL = re.compile(r"^(\+?\d{7,15})\.0+$")
_E_NOTATION = re.compile(r"^[+-]?\d+([.,]\d+)?[eE]\+?\d+$")
_EXTENSION = re.compile(r"\s*(?:;ext=|[,;]|(?:ext|extn|extension|x)[.:]?)\s*\d{1,7}\s*$", re.IGNORECASE)
_ALLOWED = re.compile(r"\+?[0-9\s().\-/]+")


def is_e164(text: str) -> bool:
    """True for `+`, a country code and 8 to 15 digits in all, nothing else."""
    return _E164.fullmatch(text) is not None


def dialable(text: str) -> str:
    """The number if it may be handed to a trunk as it stands, in E.164.

    This is the last gate before a dial, so nothing is guessed: no region, no repair beyond outer white space.

    Raises:
        InvalidPhoneNumber: not E.164, an unknown country code, or more digits than that country has.
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
    return number


def normalize(text: str, region: str | None = None) -> str:
    """A number as people and spreadsheets write it, as E.164.

    Args:
        text: what stood in the cell or field: national or international form, with spaces, brackets, dots, an
            extension (left off), a leading apostrophe, invisible marks or non-Latin digits.
        region: ISO 3166 country ("US") for numbers written without a country code; None when there is none to assume.

    Raises:
        InvalidPhoneNumber: with the reason in words.
    """
    cleaned = _clean(text)
    if not cleaned:
        raise InvalidPhoneNumber("the number is empty")
    if _E_NOTATION.match(cleaned):
        raise InvalidPhoneNumber(
            "a spreadsheet turned this number into scientific notation and digits are lost; "
            "format the column as text and export again"
        )
    if tail := _FLOAT_TAIL.match(cleaned):
        cleaned = tail.group(1)
    cleaned = _EXTENSION.sub("", cleaned).strip().rstrip("-").strip()
    if cleaned.count("/") and sum(len(re.sub(r"\D", "", part)) >= 7 for part in cleaned.split("/")) > 1:
        raise InvalidPhoneNumber("the cell holds more than one number")
    if not _ALLOWED.fullmatch(cleaned):
        raise InvalidPhoneNumber("the number holds characters that no telephone number has")
    if cleaned.startswith("00"):
        cleaned = "+" + cleaned[2:]
    return _valid(cleaned, region)


def same_number(number: str) -> str:
    """The digits alone: what two spellings of one E.164 number have in common (SIP sends it with and without `+`)."""
    return re.sub(r"\D", "", number)


def mask(number: str) -> str:
    """A number for the log: enough to tell two calls apart, not enough to call back."""
    digits = same_number(number)
    if len(digits) < 5:
        return "*" * len(number)
    plus = "+" if number.lstrip().startswith("+") else ""
    return f"{plus}{digits[0]}{'*' * (len(digits) - 3)}{digits[-2:]}"


def _clean(text: str) -> str:
    # NFKC makes full-width digits plain; the format category (Cf) holds the invisible direction marks.
    plain = unicodedata.normalize("NFKC", text)
    plain = "".join(
        str(unicodedata.digit(c)) if c.isdigit() else c for c in plain if unicodedata.category(c) not in ("Cf", "Cc")
    )
    return plain.strip().strip("'\"`").strip()


def _parse(number: str, region: str | None) -> PhoneNumber:
    try:
        return phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException as error:
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            raise InvalidPhoneNumber(
                "the number has no country code; write it with + in front, or set the list's default region"
                if not number.startswith("+")
                else "the number starts with a country code that does not exist"
            ) from None
        raise InvalidPhoneNumber("this is not a telephone number") from None


def _valid(number: str, region: str | None) -> str:
    candidates = [(number, region)]
    # "12025550143" in a US list is a national number; "442079460123" there is an international one that lost
    # its plus.
    if not number.startswith("+") and region is not None:
        candidates.append(("+" + number, None))
    refusal: InvalidPhoneNumber | None = None
    for candidate, assumed in candidates:
        try:
            parsed = _parse(candidate, assumed)
        except InvalidPhoneNumber as error:
            refusal = refusal or error
            continue
        if phonenumbers.is_valid_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        reason = phonenumbers.is_possible_number_with_reason(parsed)
        refusal = refusal or InvalidPhoneNumber(f"the number does not exist in its country ({_why(reason)})")
    raise refusal or InvalidPhoneNumber("this is not a telephone number")


def _why(reason: int) -> str:
    return {
        ValidationResult.TOO_LONG: "too many digits",
        ValidationResult.TOO_SHORT: "too few digits",
        ValidationResult.INVALID_LENGTH: "wrong number of digits",
        ValidationResult.INVALID_COUNTRY_CODE: "unknown country code",
    }.get(reason, "not in use there")
