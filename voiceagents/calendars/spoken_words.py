"""How is a sentence brought into one plain form, so that patterns can read days and times in it?

Number words become digits ("twenty-first" is `21st`, "half past two" is `half past 2`), abbreviations and marks one
spelling. English only; what speech recognition writes and what people type alike.
"""

import re
import unicodedata
from datetime import date, timedelta

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip

WEEKDAY = (
    r"mon(?:day)?|tue(?:s(?:day)?)?|wed(?:s|nesday)?|thu(?:r(?:s(?:day)?)?)?|fri(?:day)?|sat(?:urday)?|sun(?:day)?"
)
MONTH = (
    r"jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sep(?:t(?:ember)?)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?"
)

_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth", "eighteenth",
    "nineteenth",
)  # fmt: skip
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50}
_TENTHS = {"twentieth": 20, "thirtieth": 30}
_NUMBER = {word: value for value, word in enumerate(_UNITS)} | _TENS
_ORDINAL = {word: value for value, word in enumerate(_ORDINALS)} | _TENTHS

# "The Tuesday one" is no o'clock; "the 5th at one" is.
_NO_PRONOUN = r"(?!(?:at|past|to|until|till|by|before|after|around|about|for|from|and|or|between|quarter|half)\b)"
_PRONOUN = re.compile(
    rf"\b((?:the|that|this)(?: {_NO_PRONOUN}[\w']+){{0,2}}) one\b"
    r"(?! ?(?:o'? ?clock|[ap]\.? ?m\b|\d|thirty|fifteen|forty|twenty|ten|oh?\b|in the (?:morning|afternoon)))"
)

_SPELLINGS = (
    (_PRONOUN, r"\1"),
    (re.compile(r"[’`´]"), "'"),
    (re.compile(r"[–—−]"), "-"),
    (re.compile(r"\bo'? ?clock\b"), "oclock"),
    (re.compile(r"\b([ap])\.? ?m\b\.?"), r"\1m"),
    (re.compile(r"(?<=\d)(am|pm|oclock)\b"), r" \1"),
    (re.compile(r"\btil\b|'til\b"), "until"),
    (re.compile(r"\bmid[- ]?day\b"), "noon"),
    (re.compile(r"\btomorow\b|\btommorow\b|\btommorrow\b|\btmrw\b"), "tomorrow"),
    (re.compile(rf"\b({WEEKDAY})-({WEEKDAY})\b"), r"\1 to \2"),
    (re.compile(r"(?<=[a-z])-(?=[a-z])"), " "),
    (re.compile(rf"\b({WEEKDAY}|today|tomorrow) fortnight\b"), r"2 weeks from \1"),
    (re.compile(r"\b(?:(?:a|one|1) )?fortnight\b"), "2 weeks"),
    (re.compile(r"\bquarter of (?!an?\b)"), "quarter to "),
    (re.compile(r"'s\b"), ""),
    (re.compile(r"[,;!?\"()]|(?<!\d\.\d)(?<!\d\.\d\d)\.(?=\s|$)"), " "),
    (re.compile(r"@"), " at "),
    (re.compile(r"\b(\d{1,2}(?::\d\d)?)[ -]?ish\b"), r"at \1"),
    (re.compile(r"\b(?:at )?(?:(?<=at )(\d\d)|(?<![\d/:.+-])(?=0)(\d\d))([0-5]\d)\b(?![/:.-])"), r"at \1\2:\3"),
)


def plain(text: str) -> str:
    """The sentence in small letters, with digits for number words and one blank between words.

    >>> plain("On the Twenty-First, at half past two P.M.!")
    'on the 21st at half past 2 pm'
    """
    words = unicodedata.normalize("NFKC", text).lower()
    for pattern, spelling in _SPELLINGS:
        words = pattern.sub(spelling, words)
    return " ".join(_with_digits(words.split()))


def weekday(word: str) -> int:
    """The weekday that a word of the pattern `WEEKDAY` names, Monday being 0."""
    return next(day for day, name in enumerate(WEEKDAYS) if name.startswith(word[:3]))


def month(word: str) -> int:
    """The month that a word of the pattern `MONTH` names."""
    return next(number for number, name in enumerate(MONTHS, 1) if name.startswith(word[:3]))


def on_or_after(day: date, wanted: int) -> date:
    """The first date from this one on that has the weekday."""
    return day + timedelta(days=(wanted - day.weekday()) % 7)


def _with_digits(words: list[str]) -> list[str]:
    done: list[str] = []
    waiting = 0  # tens that a unit may follow
    for word in words:
        if waiting and 0 < (_NUMBER.get(word, 0) or _ORDINAL.get(word, 0)) < 10:
            value = waiting + (_NUMBER.get(word) or _ORDINAL[word])
            done.append(_th(value) if word in _ORDINAL else str(value))
            waiting = 0
            continue
        if waiting:
            done.append(str(waiting))
            waiting = 0
        if word in _TENS:
            waiting = _TENS[word]
        elif word in _NUMBER:
            done.append(str(_NUMBER[word]))
        elif word in _ORDINAL:
            done.append(_th(_ORDINAL[word]))
        else:
            done.append(word)
    if waiting:
        done.append(str(waiting))
    return done


def _th(value: int) -> str:
    return f"{value}{'th' if 10 < value < 14 else {1: 'st', 2: 'nd', 3: 'rd'}.get(value % 10, 'th')}"
