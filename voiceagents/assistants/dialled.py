"""Which of our numbers was dialled, however the carrier spells it? Pure.

Carriers send E.164, the same without its `+` or with 00 in its place, numbers with blanks and brackets in them, and
national forms. What could be two of our numbers is none of them: a caller is never put through to a stranger's
assistant.
"""

import contextlib
import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote

import phonenumbers

from voiceagents.phone import is_e164, same_number

_SCHEME = re.compile(r"^\s*(?:sips?|tel):", re.IGNORECASE)
_WITHIN = re.compile(r"<([^<>]*)>")
_CONTEXT = re.compile(r";\s*phone-context=(\+[\d.()-]+)", re.IGNORECASE)
_BEHIND = re.compile(r"[@;,#]|(?<![a-z])(?:ext(?:ension)?|x)[.:]?\s*(?=\d)", re.IGNORECASE)
"""Where the number ends: at its host, its parameters or its extension."""

_TRUNK_PREFIX = re.compile(r"^(\s*(?:\+|00)\s*\d{1,3}[\s.-]*)\(0\)")
_SHORTEST = 6
"""Digits that a national form must have to be looked up: fewer are an extension, and many numbers end in them."""


def spelled(address: str) -> str:
    """The number as it stands in a SIP or tel address (RFC 3261, RFC 3966); what is none comes back as it is.

    >>> spelled('"Shop" <sip:+12025550143;npdi@10.0.0.1;user=phone>'), spelled("tel:555-0143;phone-context=+1202")
    ('+12025550143', '+1202555-0143')
    """
    text = unquote(unicodedata.normalize("NFKC", address))
    if within := _WITHIN.search(text):
        text = within[1]
    number = _TRUNK_PREFIX.sub(r"\1", _BEHIND.split(_SCHEME.sub("", text), maxsplit=1)[0]).strip()
    context = _CONTEXT.search(text)
    return context[1] + number if context and "+" not in number else number


def in_full(*spellings: str) -> str | None:
    """The number in E.164, from the first spelling that is marked as one with its country code."""
    marked = (text for text in map(spelled, spellings) if text.startswith(("+", "00")))
    return next((number for text in marked if (number := international(text))), None)


def international(dialled: str) -> str | None:
    """The number in E.164 if these digits can be read as one with its country code; None otherwise.

    >>> international("1 (202) 555-0143"), international("00442079460123"), international("02079460123")
    ('+12025550143', '+442079460123', None)
    """
    candidate = "+" + _whole(dialled)
    return candidate if is_e164(candidate) else None


def ending(dialled: str) -> str | None:
    """The digits in which our own spelling of this number must end; None where there are too few to say.

    >>> ending("+442079460123"), ending("020 7946 0123")
    ('442079460123', '2079460123')
    """
    digits = _digits(dialled).lstrip("0")
    return digits if len(digits) >= _SHORTEST else None


def significant(dialled: str) -> str | None:
    """The digits that every spelling of this number has, in this order; None where there are too few to say."""
    if e164 := international(dialled):
        with contextlib.suppress(phonenumbers.NumberParseException):
            return phonenumbers.national_significant_number(phonenumbers.parse(e164)).lstrip("0")
    # Russia, Kazakhstan and Belarus have an 8 where others have a 0.
    return ending(re.sub(r"^8(?=\d{10}$)", "", _digits(dialled)))


def meant(dialled: str, ours: Iterable[str]) -> str | None:
    """The one of our numbers that was dialled, in our own spelling.

    The whole international number decides; a national form, on either side, does when it fits one number only.

    Args:
        dialled: what the carrier says was called.
        ours: numbers as we or somebody else wrote them.
    """
    dialled = spelled(dialled)
    digits = _whole(dialled)
    written = list(dict.fromkeys(ours))
    if not digits:
        return None
    if exact := [number for number in written if _whole(number) == digits]:
        return exact[0]
    # Written without its country code; or else dialled without one.
    at_home = [number for number in written if "+" not in number and _digits(number) in _national_forms(dialled)]
    from_home = [number for number in written if "+" not in dialled and _digits(dialled) in _national_forms(number)]
    fitting = at_home or from_home
    return fitting[0] if len({_whole(number) for number in fitting}) == 1 else None


def _national_forms(number: str) -> set[str]:
    """The digits of a number as people in its own country dial it, with and without the trunk prefix."""
    try:
        parsed = phonenumbers.parse("+" + _whole(number))
    except phonenumbers.NumberParseException:
        return set()
    national = phonenumbers.national_significant_number(parsed)
    dialled_at_home = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
    forms = {national, "0" + national, same_number(dialled_at_home)}
    return {form for form in forms if len(form.lstrip("0")) >= _SHORTEST}


def _whole(text: str) -> str:
    """The digits without the international prefix."""
    return _digits(text).removeprefix("00")


def _digits(text: str) -> str:
    return same_number(spelled(text))
