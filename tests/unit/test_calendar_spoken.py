"""Which time is meant by what people say, and how is it said back? The clock: Thursday, October 8, 2026, 10 AM."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.calendars.spoken import (
    Moment,
    Stretch,
    Unclear,
    say,
    say_day,
    say_slots,
    understand,
    zone_named,
)

pytestmark = pytest.mark.unit

NEW_YORK = ZoneInfo("America/New_York")
LONDON = ZoneInfo("Europe/London")
NOW = datetime(2026, 10, 8, 10, 0, tzinfo=NEW_YORK)


def local(instant: datetime) -> str:
    return f"{instant:%a %Y-%m-%d %H:%M}"


def understood(text: str, now: datetime = NOW, day: date | None = None) -> str:
    reading = understand(text, now, NEW_YORK, day=day)
    assert not isinstance(reading, Unclear), reading
    return local(reading.start) if isinstance(reading, Moment) else f"{local(reading.start)} to {local(reading.end)}"


def choices(text: str, now: datetime = NOW) -> list[str]:
    reading = understand(text, now, NEW_YORK)
    assert isinstance(reading, Unclear), reading
    return [local(choice.start) for choice in reading.choices]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("next Thursday at 4", "Thu 2026-10-15 16:00"),
        ("tomorrow at three", "Fri 2026-10-09 15:00"),
        ("the 5th at half past two", "Thu 2026-11-05 14:30"),
        ("this Friday at 9", "Fri 2026-10-09 09:00"),
        ("next Monday at noon", "Mon 2026-10-12 12:00"),
        ("next week Tuesday at 10", "Tue 2026-10-13 10:00"),
        ("Tuesday of next week at quarter to five", "Tue 2026-10-13 16:45"),
        ("Saturday at twenty past eleven", "Sat 2026-10-10 11:20"),
        ("ten to five on Monday", "Mon 2026-10-12 16:50"),
        ("Monday at half two", "Mon 2026-10-12 14:30"),
        ("a week from Tuesday at ten thirty", "Tue 2026-10-20 10:30"),
        ("Tuesday week at 3", "Tue 2026-10-20 15:00"),
        ("Tuesday after next at 3", "Tue 2026-10-20 15:00"),
        ("the day after tomorrow, at eight in the evening", "Sat 2026-10-10 20:00"),
        ("in two weeks at 2:30", "Thu 2026-10-22 14:30"),
        ("three days from now at 1 p.m.", "Sun 2026-10-11 13:00"),
        ("in an hour", "Thu 2026-10-08 11:00"),
        ("in half an hour", "Thu 2026-10-08 10:30"),
        ("October 15th at 3:15 p.m.", "Thu 2026-10-15 15:15"),
        ("the fifteenth of October at three fifteen", "Thu 2026-10-15 15:15"),
        ("at 3 october 15", "Thu 2026-10-15 15:00"),
        ("on the twenty-first at two oh five", "Wed 2026-10-21 14:05"),
        ("10/15 at 3", "Thu 2026-10-15 15:00"),
        ("15.10. at 15:00", "Thu 2026-10-15 15:00"),
        ("Thursday the 22nd at 1", "Thu 2026-10-22 13:00"),
        ("Friday, October 16, 9 a.m.", "Fri 2026-10-16 09:00"),
        ("10am Monday", "Mon 2026-10-12 10:00"),
        ("at three", "Thu 2026-10-08 15:00"),
        ("at nine", "Fri 2026-10-09 09:00"),  # nine o'clock is over today
        ("3", "Thu 2026-10-08 15:00"),
        ("tonight at nine", "Thu 2026-10-08 21:00"),
        ("tomorrow at 06:30", "Fri 2026-10-09 06:30"),  # on the 24-hour clock
        ("tomorrow at 6", "Fri 2026-10-09 18:00"),
        ("tomorrow at 6 in the morning", "Fri 2026-10-09 06:00"),
        ("fourteen thirty tomorrow", "Fri 2026-10-09 14:30"),
        ("tomorrow at 1430", "Fri 2026-10-09 14:30"),
        ("uh, maybe Wednesday, like 4ish", "Wed 2026-10-14 16:00"),
        ("2026-10-15T16:00", "Thu 2026-10-15 16:00"),
        ("2026-10-15 16:00:00", "Thu 2026-10-15 16:00"),
        ("2026-10-15T20:00Z", "Thu 2026-10-15 16:00"),
        ("2026-10-15 at 4 pm", "Thu 2026-10-15 16:00"),
        ("the 15th at one", "Thu 2026-10-15 13:00"),
        ("the 15th, one thirty", "Thu 2026-10-15 13:30"),
        ("this Friday at half past one", "Fri 2026-10-09 13:30"),
        ("a fortnight from today at 3", "Thu 2026-10-22 15:00"),
        ("Monday fortnight at 3", "Mon 2026-10-26 15:00"),
        ("a week on Friday at 10", "Fri 2026-10-16 10:00"),
        ("a week today at noon", "Thu 2026-10-15 12:00"),
        ("a week tomorrow at noon", "Fri 2026-10-16 12:00"),
        ("two weeks on Monday at 9", "Mon 2026-10-26 09:00"),
        ("the first Monday in November at 10", "Mon 2026-11-02 10:00"),
        ("the last Friday of January at 10", "Fri 2027-01-29 10:00"),
        ("the second Tuesday of next month at 10", "Tue 2026-11-10 10:00"),
        ("the 1st Thursday of the month at 10", "Thu 2026-11-05 10:00"),  # this month's is over
        ("next month on the 3rd at 10", "Tue 2026-11-03 10:00"),
        ("the 12th next month at 10", "Thu 2026-11-12 10:00"),
        ("in an hour and a half", "Thu 2026-10-08 11:30"),
        ("in two and a half hours", "Thu 2026-10-08 12:30"),
        ("in a couple of hours", "Thu 2026-10-08 12:00"),
        ("in three quarters of an hour", "Thu 2026-10-08 10:45"),
        ("in a quarter of an hour", "Thu 2026-10-08 10:15"),
        ("in 1.5 hours", "Thu 2026-10-08 11:30"),
        ("half an hour from now", "Thu 2026-10-08 10:30"),
        ("quarter of five tomorrow", "Fri 2026-10-09 16:45"),
        ("0900 tomorrow", "Fri 2026-10-09 09:00"),
        ("tomorrow 3 p.m. Pacific", "Fri 2026-10-09 15:00"),
    ],
)
def test_a_time_that_is_plain(text: str, meant: str) -> None:  # TC-083
    assert understood(text) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("16th August", "Mon 2027-08-16 00:00 to Tue 2027-08-17 00:00"),  # the next one, not that of the past year
        ("in two weeks", "Thu 2026-10-22 00:00 to Fri 2026-10-23 00:00"),
        ("Wednesday morning", "Wed 2026-10-14 00:00 to Wed 2026-10-14 12:00"),
        ("tomorrow afternoon", "Fri 2026-10-09 12:00 to Fri 2026-10-09 18:00"),
        ("late afternoon on Friday", "Fri 2026-10-09 15:00 to Fri 2026-10-09 18:00"),
        ("today", "Thu 2026-10-08 10:00 to Fri 2026-10-09 00:00"),  # what is left of it
        ("tonight", "Thu 2026-10-08 18:00 to Fri 2026-10-09 00:00"),
        ("tomorrow between 2 and 4", "Fri 2026-10-09 14:00 to Fri 2026-10-09 16:00"),
        ("tomorrow between 10 and 2", "Fri 2026-10-09 10:00 to Fri 2026-10-09 14:00"),
        ("Monday 2 to 4 pm", "Mon 2026-10-12 14:00 to Mon 2026-10-12 16:00"),
        ("from 9 to 5 on Monday", "Mon 2026-10-12 09:00 to Mon 2026-10-12 17:00"),
        ("tomorrow after three", "Fri 2026-10-09 15:00 to Sat 2026-10-10 00:00"),
        ("not before 3 tomorrow", "Fri 2026-10-09 15:00 to Sat 2026-10-10 00:00"),
        ("no later than 3 on Monday", "Mon 2026-10-12 00:00 to Mon 2026-10-12 15:00"),
        ("Monday but not before 10", "Mon 2026-10-12 10:00 to Tue 2026-10-13 00:00"),
        ("Monday, not after 10", "Mon 2026-10-12 00:00 to Mon 2026-10-12 10:00"),
        ("Monday, no earlier than 10", "Mon 2026-10-12 10:00 to Tue 2026-10-13 00:00"),
        ("tomorrow before noon", "Fri 2026-10-09 00:00 to Fri 2026-10-09 12:00"),
        ("next week", "Mon 2026-10-12 00:00 to Mon 2026-10-19 00:00"),
        ("this week", "Thu 2026-10-08 10:00 to Mon 2026-10-12 00:00"),
        ("the week after next", "Mon 2026-10-19 00:00 to Mon 2026-10-26 00:00"),
        ("this weekend", "Sat 2026-10-10 00:00 to Mon 2026-10-12 00:00"),
        ("in November", "Sun 2026-11-01 00:00 to Tue 2026-12-01 00:00"),
        ("next month", "Sun 2026-11-01 00:00 to Tue 2026-12-01 00:00"),
        ("the 31st", "Sat 2026-10-31 00:00 to Sun 2026-11-01 00:00"),
        ("February 29", "Tue 2028-02-29 00:00 to Wed 2028-03-01 00:00"),
        ("as soon as possible", "Thu 2026-10-08 10:00 to Fri 2026-10-23 00:00"),
        ("Monday through Wednesday", "Mon 2026-10-12 00:00 to Thu 2026-10-15 00:00"),
        ("Mon-Wed", "Mon 2026-10-12 00:00 to Thu 2026-10-15 00:00"),
        ("between Tuesday and Thursday", "Tue 2026-10-13 00:00 to Fri 2026-10-16 00:00"),
        ("the Monday one", "Mon 2026-10-12 00:00 to Tue 2026-10-13 00:00"),  # no o'clock
        ("next January", "Fri 2027-01-01 00:00 to Mon 2027-02-01 00:00"),
        ("in a fortnight", "Thu 2026-10-22 00:00 to Fri 2026-10-23 00:00"),
        ("can you do Friday for 2 people", "Fri 2026-10-09 00:00 to Sat 2026-10-10 00:00"),
    ],
)
def test_a_stretch_of_time(text: str, meant: str) -> None:
    assert understood(text) == meant


@pytest.mark.parametrize(
    ("text", "either"),
    [
        ("next Friday", ["Fri 2026-10-09 00:00", "Fri 2026-10-16 00:00"]),
        ("next Saturday at 11", ["Sat 2026-10-10 11:00", "Sat 2026-10-17 11:00"]),
        ("Thursday at 4", ["Thu 2026-10-08 16:00", "Thu 2026-10-15 16:00"]),  # today is Thursday
        ("next weekend", ["Sat 2026-10-10 00:00", "Sat 2026-10-17 00:00"]),
        ("10/12 at 3", ["Mon 2026-10-12 15:00", "Thu 2026-12-10 15:00"]),
        ("Friday the 15th at 3", ["Thu 2026-10-15 15:00", "Fri 2026-10-16 15:00"]),  # the 15th is a Thursday
        ("Monday or Tuesday", ["Mon 2026-10-12 00:00", "Tue 2026-10-13 00:00"]),
        ("3 p.m. or 4 p.m. on Monday", ["Mon 2026-10-12 15:00", "Mon 2026-10-12 16:00"]),
        ("Friday the 13th", ["Tue 2026-10-13 00:00", "Fri 2026-11-13 00:00", "Fri 2026-10-16 00:00"]),
        ("Monday at 3 or 4", ["Mon 2026-10-12 15:00", "Mon 2026-10-12 16:00"]),
        ("tomorrow at midnight", ["Fri 2026-10-09 00:00", "Sat 2026-10-10 00:00"]),
    ],
)
def test_what_may_mean_two_times_gives_both_to_choose_from(text: str, either: list[str]) -> None:
    assert choices(text) == either


def test_an_hour_without_a_day_in_a_week_is_asked_for_its_day() -> None:
    assert len(choices("next week at three")) == 7


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2024-08-16T09:00", "past"),
        ("yesterday at 3", "past"),
        ("last Monday", "past"),
        ("today at 9 am", "past"),
        ("October 8 2025 at noon", "past"),
        ("February 30", "there is no February 30"),
        ("February 29 2027", "there is no February 29"),
        ("the fifth Monday of this month", "still to come"),
        ("in 99999999999 hours", "no day and no time"),
        ("in 999999999 weeks", "no day and no time"),
        ("9999-12-31", "no year"),
        ("9999-12-31T23:59Z", "no year"),
        ("0001-01-01T00:00", "no year"),
        ("December 31 9999", "no year"),
        ("October 0", "there is no October 0"),
        ("half past", "no day and no time"),
        ("tomorrow at 25:80", "no clock shows 25:80"),
        ("2026-13-40T09:00", "no date"),
        ("not Thursday", "not wished"),
        ("I can't do Monday", "not wished"),
        ("hello there", "no day and no time"),
        ("", "no day and no time"),
    ],
)
def test_what_cannot_be_booked_says_why_and_offers_nothing(text: str, why: str) -> None:  # TC-083
    reading = understand(text, NOW, NEW_YORK)
    assert isinstance(reading, Unclear)
    assert why in reading.why
    assert reading.choices == ()


@pytest.mark.parametrize(
    ("now", "text", "meant"),
    [
        ("2026-12-30 10:00", "January 3rd at 10", "Sun 2027-01-03 10:00"),
        ("2026-12-30 10:00", "the 3rd at 10", "Sun 2027-01-03 10:00"),
        ("2026-12-30 10:00", "next Monday at 10", "Mon 2027-01-04 10:00"),
        ("2026-12-30 10:00", "December 30 at 3", "Wed 2026-12-30 15:00"),
        ("2026-12-30 10:00", "December 29th at 3", "Wed 2027-12-29 15:00"),
        ("2026-12-31 23:30", "tomorrow at 9", "Fri 2027-01-01 09:00"),
        ("2026-12-31 17:00", "Thursday at 4", "Thu 2027-01-07 16:00"),
        ("2026-10-09 10:00", "next Friday at 3", "Fri 2026-10-16 15:00"),  # said on a Friday
        ("2026-10-09 10:00", "this Friday at 3", "Fri 2026-10-09 15:00"),
        ("2026-10-09 10:00", "Friday after next at 3", "Fri 2026-10-23 15:00"),
        ("2026-10-11 10:00", "next Sunday at 3", "Sun 2026-10-18 15:00"),
        ("2027-01-31 10:00", "in a month at 3", "Sun 2027-02-28 15:00"),
        ("2027-03-01 10:00", "February 29 at 9", "Tue 2028-02-29 09:00"),
        ("2026-03-07 12:00", "tomorrow at 2:30 am", "Sun 2026-03-08 03:30"),  # no clock shows 2:30 there
    ],
)
def test_years_months_and_weeks_turn_over(now: str, text: str, meant: str) -> None:
    assert understood(text, datetime.fromisoformat(now).replace(tzinfo=NEW_YORK)) == meant


def test_a_weekday_that_is_over_for_today_is_next_weeks() -> None:
    assert understood("Thursday at 9 am") == "Thu 2026-10-15 09:00"


def test_an_hour_alone_belongs_to_the_day_that_is_being_talked_about() -> None:
    assert understood("at three", day=date(2026, 10, 20)) == "Tue 2026-10-20 15:00"


def test_next_week_in_the_afternoon_means_the_afternoons() -> None:
    reading = understand("next week in the afternoon", NOW, NEW_YORK)
    assert isinstance(reading, Stretch)
    assert reading.holds(datetime(2026, 10, 13, 19, 0, tzinfo=UTC))  # 3 PM in New York
    assert not reading.holds(datetime(2026, 10, 13, 14, 0, tzinfo=UTC))  # 10 AM
    assert not reading.holds(datetime(2026, 10, 20, 19, 0, tzinfo=UTC))  # the week after


def test_the_hour_that_comes_twice_is_asked_for_and_the_one_that_is_skipped_is_moved_on() -> None:
    twice = understand("November 1 at 1:30 am", NOW, NEW_YORK)
    assert isinstance(twice, Unclear)
    assert [c.start.astimezone(UTC).hour for c in twice.choices] == [5, 6]
    said = [say(c.start, NEW_YORK) for c in twice.choices]
    assert said[0] == "Sunday, November 1 at 1:30 AM, before the clocks change"
    assert [understand(words, NOW, NEW_YORK) for words in said] == list(twice.choices)
    assert understood("March 14 2027 at 2:30 am") == "Sun 2027-03-14 03:30"


def test_nine_stays_nine_on_both_sides_of_the_clock_change() -> None:  # TC-080
    for day, hour in ((30, 13), (31, 13)):
        reading = understand(f"October {day} at 9", NOW, NEW_YORK)
        assert reading.start.astimezone(UTC).hour == hour  # type: ignore[union-attr]
    after = understand("November 2 at 9", NOW, NEW_YORK)
    assert isinstance(after, Moment)
    assert after.start.astimezone(UTC) == datetime(2026, 11, 2, 14, tzinfo=UTC)
    assert say(after.start, NEW_YORK) == "Monday, November 2 at 9 AM"


def test_a_caller_in_another_zone_means_their_own_clock() -> None:  # TC-082
    july = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
    reading = understand("July 15 at 2 pm, I am in New York", july, LONDON)
    assert isinstance(reading, Moment)
    assert reading.start.astimezone(UTC) == datetime(2026, 7, 15, 18, tzinfo=UTC)
    assert say(reading.start, NEW_YORK, also=LONDON) == (
        "Wednesday, July 15 at 2 PM New York time, that is 7 PM London time"
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("America/Chicago", "America/Chicago"),
        ("New York", "America/New_York"),
        ("3 pm Eastern time", "America/New_York"),
        ("3 PM PST", "America/Los_Angeles"),
        ("3 p.m. Pacific", "America/Los_Angeles"),
        ("at the Pacific hotel", None),
        ("I'm in San Francisco", "America/Los_Angeles"),
        ("calling from Munich", "Europe/Berlin"),
        ("London time please", "Europe/London"),
        ("tomorrow at three", None),
        ("Davis wants to come in", None),
        ("in may", None),
    ],
)
def test_a_zone_counts_only_where_it_is_said_as_one(text: str, key: str | None) -> None:
    zone = zone_named(text)
    assert (zone and zone.key) == key


@pytest.mark.parametrize(
    ("instant", "said"),
    [
        (datetime(2026, 11, 26, 15, 30, tzinfo=NEW_YORK), "Thursday, November 26 at 3:30 PM"),
        (datetime(2026, 11, 26, 9, 0, tzinfo=NEW_YORK), "Thursday, November 26 at 9 AM"),
        (datetime(2026, 11, 26, 12, 0, tzinfo=NEW_YORK), "Thursday, November 26 at noon"),
        (datetime(2026, 11, 26, 0, 5, tzinfo=NEW_YORK), "Thursday, November 26 at 12:05 AM"),
        (datetime(2027, 8, 16, 9, 0, tzinfo=NEW_YORK), "Monday, August 16, 2027 at 9 AM"),
        (datetime(2026, 11, 27, 1, 0, tzinfo=UTC), "Thursday, November 26 at 8 PM"),
    ],
)
def test_a_time_is_said_with_its_weekday(instant: datetime, said: str) -> None:
    assert say(instant, NEW_YORK, now=NOW) == said


def test_the_other_zone_is_said_with_its_day_where_that_differs_and_not_at_all_where_it_shows_the_same() -> None:
    evening = datetime(2026, 7, 15, 20, 0, tzinfo=NEW_YORK)
    assert say(evening, NEW_YORK, also=ZoneInfo("Asia/Tokyo")).endswith("that is Thursday, July 16 at 9 AM Tokyo time")
    assert say(evening, NEW_YORK, also=ZoneInfo("America/Toronto")) == "Wednesday, July 15 at 8 PM"


def test_several_slots_are_one_phrase() -> None:
    nine = datetime(2026, 11, 26, 9, 0, tzinfo=NEW_YORK)
    slots = [nine + timedelta(hours=later) for later in (0, 0.5, 5, 24)]
    said = "Thursday, November 26 at 9 AM, 9:30 AM or 2 PM; or Friday, November 27 at 9 AM"
    assert say_slots(slots, NEW_YORK) == said
    assert say_slots([], NEW_YORK) == ""


@given(
    st.integers(1, 800 * 1440).map(lambda minutes: datetime(2026, 10, 9, tzinfo=UTC) + timedelta(minutes=minutes)),
    st.sampled_from(["America/New_York", "Europe/Berlin", "Asia/Kolkata", "Australia/Lord_Howe"]),
)
def test_what_is_said_aloud_is_understood_as_the_same_instant(instant: datetime, key: str) -> None:
    zone = ZoneInfo(key)
    there = instant.astimezone(zone)
    clock = say(instant, zone, now=NOW).rpartition(" at ")[2]
    reading = understand(f"{say_day(there.date())} {there.year} at {clock}", NOW, zone)
    # "Midnight" is asked for its day, nothing else.
    known = reading.choices if isinstance(reading, Unclear) and clock == "midnight" else [reading]
    assert instant in [choice.start.astimezone(UTC) for choice in known if not isinstance(choice, Unclear)]


WORDS = """
next this last on at the of in to past from and or not half quarter a an oh noon midnight am pm oclock morning week
weeks day month hour minutes Monday Thursday tomorrow today tonight October May first 5th twenty-first two three ten
31st 12 30 2026 9999 00 0001-01-01 9999-12-31 13/13/99 999
10/12 9:30 9-11 15.10. asap London time after before until between weekend
"""


@given(st.lists(st.sampled_from(WORDS.split()), max_size=9).map(" ".join) | st.text(max_size=40), st.integers(0, 23))
def test_whatever_is_said_has_an_answer_and_none_lies_in_the_past(text: str, earliest: int) -> None:
    reading = understand(text, NOW, NEW_YORK, earliest_hour=earliest)
    for choice in reading.choices if isinstance(reading, Unclear) else [reading]:
        assert choice.start.tzinfo is not None
        assert (choice.start if isinstance(choice, Moment) else choice.end) >= NOW
        if isinstance(choice, Stretch):
            assert choice.start < choice.end
