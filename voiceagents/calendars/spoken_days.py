"""Which day, or days, does a sentence name?

Patterns are tried from the most exact to the least; the first that fits is taken out of the sentence. A day that may be
meant in two ways gives both.
"""

import calendar
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from voiceagents.calendars.spoken_words import MONTH, WEEKDAY, month, on_or_after, weekday

LAST_YEAR = 2999
"""Nothing can be reckoned beyond the last year that dates have."""


@dataclass(frozen=True)
class Days:
    """Dates from the first to the last, both included."""

    first: date
    last: date


@dataclass(frozen=True)
class Named:
    """What a sentence says about the day."""

    days: tuple[Days, ...]
    """More than one where it may be meant in several ways, the likeliest first."""
    rest: str
    """The sentence without it."""
    why: str = ""
    """Why several are possible, or why none is."""


class _Nonsense(ValueError):
    """A date that no calendar has. The message is for the person."""


_Reader = Callable[[re.Match[str], date], "tuple[list[Days], str]"]


def days_in(sentence: str, today: date) -> Named | None:
    """The day that a plain sentence names; None when it names none."""
    for pattern, reader in _PATTERNS:
        if match := pattern.search(sentence):
            rest = f"{sentence[: match.start()]} {sentence[match.end() :]}"
            try:
                days, why = reader(match, today)
            except _Nonsense as error:
                return Named((), rest, str(error))
            if not match.re.groupindex.get("weekday"):
                days, rest, why = _checked_with_weekday(days, rest, why, today)
            return Named(tuple(days), " ".join(rest.split()), why)
    return None


def _checked_with_weekday(days: list[Days], rest: str, why: str, today: date) -> tuple[list[Days], str, str]:
    """ "Thursday the 5th": where the 5th is a Friday, either may be meant."""
    match = re.search(rf"\b(?:on |this |next )?({WEEKDAY})\b", rest)
    if match is None or any(one.first != one.last for one in days):
        return days, rest, why
    wanted = weekday(match[1])
    rest = f"{rest[: match.start()]} {rest[match.end() :]}"
    if fitting := [one for one in days if one.first.weekday() == wanted]:
        return fitting, rest, why if len(fitting) > 1 else ""
    # "Friday the 13th" may be that of the next month, where the next 13th is no Friday.
    later = _plus_months(days[0].first, 1)
    if len(days) == 1 and later.day == days[0].first.day and later.weekday() == wanted:
        days = [*days, Days(later, later)]
    near = min(
        (on_or_after(days[0].first + timedelta(days=back), wanted) for back in (-6, 0)),
        key=lambda day: (day < today, abs(day - days[0].first)),
    )
    return [*days, Days(near, near)], rest, f"{days[0].first:%B} {days[0].first.day} is a {days[0].first:%A}"


def _one(day: date) -> tuple[list[Days], str]:
    return [Days(day, day)], ""


def _date(year: int, month_: int, day: int) -> date:
    if not 1900 <= year <= LAST_YEAR:
        raise _Nonsense(f"{year} is no year to make an appointment in")
    try:
        return date(year, month_, day)
    except ValueError:
        raise _Nonsense(f"there is no {calendar.month_name[month_] if 0 < month_ < 13 else 'month'} {day}") from None


def _coming(month_: int, day: int, today: date) -> date:
    """The next such date, today included. February 29 may be years away."""
    for year in range(today.year, today.year + 9):
        if 1 <= day <= calendar.monthrange(year, month_)[1] and date(year, month_, day) >= today:
            return date(year, month_, day)
    raise _Nonsense(f"there is no {calendar.month_name[month_]} {day}")


def _iso(match: re.Match[str], _today: date) -> tuple[list[Days], str]:
    return _one(_date(int(match[1]), int(match[2]), int(match[3])))


def _month_and_day(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    month_, day = month(match["month"]), int(match["day"])
    return _one(_date(int(match["year"]), month_, day) if match["year"] else _coming(month_, day, today))


def _numeric(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    """12/10 is December 10 in one country and 12 October in another."""
    first, second, year = int(match[1]), int(match[3]), match[4]
    readings = [(first, second), (second, first)] if match[2] == "/" else [(second, first)]
    days: list[Days] = []
    for month_, day in dict.fromkeys(readings):
        if 1 <= month_ <= 12 and 1 <= day <= 31:
            full = int(year) + (2000 if len(year) == 2 else 0) if year else None
            found = _date(full, month_, day) if full else _coming(month_, day, today)
            days.append(Days(found, found))
    if not days:
        raise _Nonsense(f"{match[0].strip()} is no date")
    return days, f"{match[0].strip()} may be read in two ways" if len(days) > 1 else ""


def _day_of_month(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    day, which = int(match["day"]), match["which"] or match["before"]
    if not 1 <= day <= 31:
        raise _Nonsense(f"no month has a day {day}")
    start = _next_month(today) if which == "next" else today
    for _ in range(12):
        if day <= calendar.monthrange(start.year, start.month)[1] and start.replace(day=day) >= today:
            return _one(start.replace(day=day))
        if which:
            raise _Nonsense(f"{which} month has no day {day} that is still to come")
        start = _next_month(start)
    raise _Nonsense(f"no month has a day {day}")


def _weekday_of_month(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    """ "The first Monday in January", "the last Friday of the month"."""
    start = _next_month(today) if match["which"] == "next" else today.replace(day=1)
    if name := match["month"]:
        start = date(today.year + (month(name) < today.month), month(name), 1)
    for first in (start, date(start.year + 1, start.month, 1) if name else _next_month(start)):
        fitting = [
            first.replace(day=day)
            for day in range(1, calendar.monthrange(first.year, first.month)[1] + 1)
            if first.replace(day=day).weekday() == weekday(match["name"])
        ]
        place = -1 if match["nth"] == "last" else int(match["nth"][0]) - 1
        if place < len(fitting) and fitting[place] >= today:
            return _one(fitting[place])
        if match["which"]:
            break
    raise _Nonsense(f"there is no {match[0].strip().removeprefix('on ').removeprefix('the ')} that is still to come")


def _weekdays(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    """ "Monday through Wednesday"."""
    first = on_or_after(today, weekday(match["since"] or match["since2"]))
    return [Days(first, on_or_after(first, weekday(match["till"])))], ""


def _next_month(day: date) -> date:
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def _plus_months(day: date, count: int) -> date:
    month_ = day.month - 1 + count
    year, month_ = day.year + month_ // 12, month_ % 12 + 1
    return date(year, month_, min(day.day, calendar.monthrange(year, month_)[1]))


def _count(text: str | None) -> int:
    return int(text) if text and text.isdigit() else 2 if text and "couple" in text else 1


def _from_now(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    count, unit = _count(match["count"]), match["unit"]
    if unit == "month":
        return _one(_plus_months(today, count))
    return _one(today + timedelta(days=count * (7 if unit == "week" else 1)))


def _weeks_from(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    base = match["base"]
    start = {"today": today, "now": today, "tomorrow": today + timedelta(days=1)}.get(base)
    if start is None:
        start = on_or_after(today + timedelta(days=1), weekday(base))
    return _one(start + timedelta(weeks=_count(match["count"])))


def _weekday_of_week(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    wanted = weekday(next(match[name] for name in ("weekday", "weekday2") if match[name]))
    which = next(match[name] for name in ("which", "which2") if match[name])
    return _one(_monday(today, which) + timedelta(days=wanted))


def _monday(today: date, which: str) -> date:
    ahead = {"this": 0, "next": 7, "following": 7}.get(which, 14)
    return today - timedelta(days=today.weekday()) + timedelta(days=ahead)


def _week(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    start = _monday(today, match[1] or "after next")
    return [Days(max(start, today), start + timedelta(days=6))], ""


def _weekend(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    saturday = _monday(today, "this") + timedelta(days=5)
    coming = Days(max(saturday, today), saturday + timedelta(days=1))
    after = Days(saturday + timedelta(days=7), saturday + timedelta(days=8))
    if match[1] != "next":
        return [coming], ""
    return ([after], "") if today.weekday() >= 5 else ([coming, after], "'next weekend' may be the coming one")


def _month(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    if match[0].split()[0] in ("next", "this") and match[2] is None:
        first = _next_month(today) if match[1] == "next" else today
    else:
        number = month(match[2])
        year = today.year + (number < today.month)
        first = max(today, date(year, number, 1))
    return [Days(first, first.replace(day=calendar.monthrange(first.year, first.month)[1]))], ""


def _relative(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    word = match[0]
    if "after" in word:
        return _one(today + timedelta(days=2))
    return _one(today + timedelta(days={"tomorrow": 1, "yesterday": -1}.get(word, 0)))


def _weekday(match: re.Match[str], today: date) -> tuple[list[Days], str]:
    which, name = match["which"] or "", match["weekday"]
    wanted = weekday(name)
    if which == "last":
        return _one(on_or_after(today - timedelta(days=7), wanted))
    coming = on_or_after(today + timedelta(days=1), wanted)
    after = coming + timedelta(days=7)
    full = f"{coming:%A}"
    if match["after"]:
        return _one(after)
    if which == "this":
        return _one(on_or_after(today, wanted))
    if wanted == today.weekday():
        # "Next Thursday" said on a Thursday is never today; a plain "Thursday" may be.
        if which:
            return _one(coming)
        return [Days(today, today), Days(coming, coming)], f"today is {full}: '{full}' may be today or in a week"
    # Of the same week, to those whose week begins on Monday or to those whose week begins on Sunday.
    same_week = coming.weekday() > today.weekday() or (today.weekday() == 6)
    if which == "next" and same_week:
        return [Days(coming, coming), Days(after, after)], f"'next {full}' may be the coming one or that of next week"
    return _one(coming)


def _soon(_match: re.Match[str], today: date) -> tuple[list[Days], str]:
    return [Days(today, today + timedelta(days=14))], ""


_ORDINAL_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)"
_YEAR = r"(?:(?: of)? (?P<year>\d{4}))?"
_N = r"(?P<count>\d{1,3}|an?(?: couple of)?|couple of|a couple)"

_PATTERNS: tuple[tuple[re.Pattern[str], _Reader], ...] = tuple(
    (re.compile(pattern), reader)
    for pattern, reader in (
        (r"\b(\d{4})-(\d{1,2})-(\d{1,2})(?=$|[t ])", _iso),
        (
            rf"\b(?:on )?(?:the )?(?P<month>{MONTH})\.? (?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b"
            rf"(?![:.]\d| ?(?:am|pm|oclock)\b){_YEAR}",
            _month_and_day,
        ),
        (
            rf"\b(?:on )?(?:the )?(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?(?: day)?(?: of)? (?P<month>{MONTH})\b{_YEAR}",
            _month_and_day,
        ),
        (r"(?<![\d:])(\d{1,2})(/)(\d{1,2})(?:/(\d{4}|\d{2}))?(?![\d:/])", _numeric),
        (r"(?<![\d:])(?<!at )(\d{1,2})(\.)(0?[1-9]|1[0-2])\.(\d{4}|\d{2})?(?![\d:])", _numeric),
        (
            rf"\b(?:on )?(?:the )?(?P<nth>[1-5](?:st|nd|rd|th)|last) (?P<name>{WEEKDAY}) (?:in|of) "
            rf"(?:(?P<month>{MONTH})|(?:the |(?P<which>this|next) )month)\b",
            _weekday_of_month,
        ),
        (
            rf"\b(?:(?P<before>this|next) month )?(?:on )?(?:the )?{_ORDINAL_DAY}"
            r"(?: (?:of |in )?(?P<which>this|next) month)?\b(?! (?:thing|available|week))",
            _day_of_month,
        ),
        (rf"\b(?:in |within )?{_N}(?: full)? (?P<unit>day|week|month)s?(?: from (?:now|today))\b", _from_now),
        (rf"\bin {_N}(?: full)? (?P<unit>day|week|month)s?(?: time)?\b(?! from)", _from_now),
        (
            rf"\b{_N} weeks? (?:from |after )?(?:this |next |on )?(?P<base>today|now|tomorrow|{WEEKDAY})\b",
            _weeks_from,
        ),
        (rf"\b(?:on )?(?P<base>tomorrow|today|{WEEKDAY})(?P<count>) week\b(?! after)", _weeks_from),
        (
            rf"\b(?:(?:from )?(?P<since>{WEEKDAY}) (?:to|through|thru|until|till)|"
            rf"between (?P<since2>{WEEKDAY}) and) (?P<till>{WEEKDAY})\b",
            _weekdays,
        ),
        (r"\b(?:the )?day after tomorrow\b", _relative),
        (r"\b(?:tomorrow|today|yesterday|tonight|(?:later )?this (?:morning|afternoon|evening))\b", _relative),
        (
            rf"\b(?:on )?(?P<weekday>{WEEKDAY}) (?:of |in )?(?:the )?"
            r"(?P<which>week after next|(?:this|next|following)(?= week)) ?(?:week)?\b"
            rf"|\b(?P<which2>next|this|following) week(?: on)? (?P<weekday2>{WEEKDAY})\b",
            _weekday_of_week,
        ),
        (
            rf"\b(?:on )?(?:the )?(?:(?P<which>this|next|coming|following|last) )?(?:coming )?(?P<weekday>{WEEKDAY})"
            r"(?P<after> after next)?\b",
            _weekday,
        ),
        (r"\b(?:(?:some time |later )?(?:in )?(this|next|following) week|the week after next)\b", _week),
        (r"\b(?:(?:on |at )?(?:the |this |coming )?|(next) )weekend\b", _weekend),
        (rf"\b(?:(next|this) month|(?:in|sometime in|next) ({MONTH}))\b", _month),
        (r"\b(?:asap|as soon as possible|soon|any ?(?:time|day)|(?:1st|next) available|earliest|whenever)\b", _soon),
    )
)  # fmt: skip
