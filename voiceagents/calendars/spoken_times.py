"""Which time of day, or stretch of the day, does a sentence name?

An hour without am or pm is read by its part of the day, else as the first such o'clock from a given hour on.
"""

import re
from dataclasses import dataclass
from datetime import time

MIDNIGHT_AT_THE_END = time.max
"""Stands for 24:00, which `time` does not have."""


@dataclass(frozen=True)
class Hours:
    """A time of day (`until` is None), or a stretch of the day from `start` to `until`."""

    start: time
    until: time | None
    rest: str
    """The sentence without it."""
    midnight: bool = False
    """The word "midnight": the day it begins or the day it ends."""


class NoSuchTime(ValueError):
    """A time that no clock shows. The message is for the person."""


@dataclass(frozen=True)
class _Clock:
    hour: int
    minute: int
    part: str | None
    """am, pm, morning, afternoon, evening, night; None when nothing says."""
    exact: bool
    """On the 24-hour clock."""

    def hours(self) -> list[int]:
        """The hours of the day it may be."""
        if self.hour > 24 or self.minute > 59 or (self.hour == 24 and self.minute):
            raise NoSuchTime(f"no clock shows {self.hour}:{self.minute:02}")
        if self.exact or self.hour > 12 or self.hour == 0:
            return [self.hour % 24]
        early, late = self.hour % 12, self.hour % 12 + 12
        match self.part:
            case "am" | "morning":
                return [early] if self.part == "am" or self.hour != 12 else [late]
            case "pm" | "afternoon" | "evening":
                return [late]
            case "night":
                return [late] if 5 <= self.hour <= 11 else [early]
            case _:
                return [early, late]


_PARTS = {
    "morning": (time(0), time(12)),
    "afternoon": (time(12), time(18)),
    "evening": (time(17), time(22)),
    "night": (time(18), MIDNIGHT_AT_THE_END),
    "lunchtime": (time(12), time(14)),
    "early morning": (time(0), time(9)),
    "late morning": (time(10), time(12)),
    "early afternoon": (time(12), time(15)),
    "late afternoon": (time(15), time(18)),
}
_PART = r"morning|afternoon|evening|night"


def _clock(n: int) -> str:
    """A pattern of one time of day, its groups numbered so that two fit into one pattern."""
    before = rf"(?P<fraction{n}>half|(?:a )?quarter|\d{{1,2}}(?= minutes?\b| to\b| past\b))(?: minutes?)?"
    against = rf"{before} (?P<side{n}>past|to|until) (?P<base{n}>\d{{1,2}}|noon)"
    minute = rf"(?::|\.|h)(?P<minute{n}>\d{{2}})(?::\d{{2}})?"
    said = rf" (?P<said{n}>[0-5]\d)| (?:oh?|0) (?P<oh{n}>\d)| hundred(?: hours)?"
    hour = rf"(?P<hour{n}>\d{{1,2}})(?:{minute}|{said})?"
    when = rf"(?: (?P<half_day{n}>am|pm))?(?: (?:in the|at|on the) (?P<part{n}>{_PART}))?"
    return (
        rf"\b(?:{against}|half (?P<half{n}>\d{{1,2}})|{hour}|(?P<word{n}>noon|midnight))(?: oclock| sharp)?{when}"
        r"(?![\d:/]|(?:st|nd|rd|th)\b)"
    )


_LOOSE = r"\b(?:but )?(?:any ?time |some ?time )?"
_LATER = rf"{_LOOSE}(?:(?<!not )after|from|not before|no earlier than|(?<!no )later than|starting(?: at| from)?)"
_EARLIER = rf"{_LOOSE}(?:(?<!not )before|by|until|till|no later than|not after|(?<!no )earlier than)"
_BETWEEN = re.compile(rf"\b(?:between|from) {_clock(1)} ?(?:and|to|until|till|-) ?{_clock(2)}")
_RANGE = re.compile(rf"\b{_clock(1)} ?(?:-|to|until|till) ?{_clock(2)}")
_MINUTES_TO = re.compile(r"\b(?:5|10|20|25|quarter|\d+ minutes?) to \d{1,2}(?! ?[ap]m\b)")
_AFTER = re.compile(rf"{_LATER} {_clock(1)}(?: on(?:wards?)?\b)?")
_BEFORE = re.compile(rf"{_EARLIER} {_clock(1)}")
# A bare number is an hour only where something says so.
_COUNTED = r"(?! (?:people|persons|guests|minutes?|hours?|of us)\b)"
_AT = re.compile(rf"\b(?:at|around|about|for|say) (?:around |about )?{_clock(1)}{_COUNTED}")
_CLEAR = re.compile(rf"(?<![\d/:-]){_clock(1)}")
_WHOLE_PART = re.compile(
    rf"\b(?:(?:in|during|on|at) )?(?:the )?(?:this )?(?:(early|late) )?({_PART}|lunch ?time|tonight)s?\b(?: time)?"
)


def hours_in(sentence: str, earliest: int) -> Hours | None:
    """The time or stretch of the day that a plain sentence names; None when it names none.

    Raises:
        NoSuchTime: "at 25:80".
    """
    if match := _BETWEEN.search(sentence) or _range(sentence):
        return _stretch(match, sentence, earliest)
    for pattern, after in ((_AFTER, True), (_BEFORE, False)):
        if match := pattern.search(sentence):
            at = _time(_read(match, 1, sentence), earliest)
            rest = _without(match, sentence)
            return Hours(at, MIDNIGHT_AT_THE_END, rest) if after else Hours(time(0), _as_end(at), rest)
    if match := _AT.search(sentence) or _first_clear(sentence):
        if match["word1"] == "midnight":
            return Hours(time(0), None, _without(match, sentence), midnight=True)
        return Hours(_time(_read(match, 1, sentence), earliest), None, _without(match, sentence))
    if match := _WHOLE_PART.search(sentence):
        part = "night" if match[2] == "tonight" else "lunchtime" if match[2].startswith("lunch") else match[2]
        start, until = _PARTS.get(f"{match[1]} {part}", _PARTS[part])
        return Hours(start, until, _without(match, sentence))
    return None


def _range(sentence: str) -> re.Match[str] | None:
    """ "3 to 5" is a stretch; "10 to 5" is ten minutes to five."""
    return None if _MINUTES_TO.search(sentence) else _RANGE.search(sentence)


def _first_clear(sentence: str) -> re.Match[str] | None:
    """The first time that is one without a word before it: 3 pm, 15:30, half past two, noon, or a number alone."""
    for match in _CLEAR.finditer(sentence):
        said = ("minute1", "half_day1", "part1", "fraction1", "half1", "word1", "said1", "oh1")
        if any(match[name] for name in said) or re.search(r"oclock|hundred", match[0]):
            return match
        if match[0] == sentence.strip():
            return match
    return None


def _read(match: re.Match[str], n: int, sentence: str) -> _Clock:
    part = match[f"half_day{n}"] or match[f"part{n}"]
    if part is None and (word := re.search(rf"\b({_PART}|tonight)\b", sentence)):
        part = {"tonight": "night"}.get(word[1], word[1])
    if match[f"word{n}"]:
        return _Clock(0 if match[f"word{n}"] == "midnight" else 12, 0, None, exact=True)
    if half := match[f"half{n}"]:
        return _Clock(int(half), 30, part, exact=False)
    if fraction := match[f"fraction{n}"]:
        minutes = 30 if fraction == "half" else 15 if "quarter" in fraction else int(fraction)
        hour = 12 if match[f"base{n}"] == "noon" else int(match[f"base{n}"])
        if match[f"side{n}"] == "past":
            return _Clock(hour, minutes, part, exact=False)
        return _Clock((hour - 2) % 12 + 1 if hour <= 12 else hour - 1, 60 - minutes, part, exact=False)
    hour = match[f"hour{n}"]
    minute = int(match[f"minute{n}"] or match[f"said{n}"] or match[f"oh{n}"] or 0)
    exact = hour.startswith("0") and match[f"minute{n}"] is not None and part not in ("am", "pm")
    return _Clock(int(hour), minute, part, exact)


def _time(clock: _Clock, earliest: int) -> time:
    return time(min(clock.hours(), key=lambda hour: (hour - earliest) % 24), clock.minute)


def _stretch(match: re.Match[str], sentence: str, earliest: int) -> Hours:
    """Both ends of "between 2 and 4 pm" are read so that the end is the first such time after the start."""
    first, second = _read(match, 1, sentence), _read(match, 2, sentence)
    if len(first.hours()) == 2 and len(second.hours()) == 1:
        until = _as_end(time(second.hours()[0], second.minute))
        fitting = [time(hour, first.minute) for hour in first.hours() if time(hour, first.minute) < until]
        start = max(fitting) if fitting else _time(first, earliest)
    else:
        start = _time(first, earliest)
        later = [time(hour, second.minute) for hour in second.hours() if time(hour, second.minute) > start]
        until = min(later) if later else MIDNIGHT_AT_THE_END
    return Hours(start, until, _without(match, sentence))


def _as_end(at: time) -> time:
    return MIDNIGHT_AT_THE_END if at == time(0) else at


def _without(match: re.Match[str], sentence: str) -> str:
    return " ".join(f"{sentence[: match.start()]} {sentence[match.end() :]}".split())
