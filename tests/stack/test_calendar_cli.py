"""Calendars as a person at a terminal sets them up and looks into them, and how they are kept."""

import asyncio
from collections.abc import Callable
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from tests.stack.calendar_servers import NOW, PASSWORD, USER, Shelf, at_ten, radicale, shelf
from tests.stack.command_line import Ran
from voiceagents.calendars import store
from voiceagents.calendars.base import Attendee, Booking, CalendarDown, CalendarProblem
from voiceagents.cli.app import app
from voiceagents.db import Database

__all__ = ["at_ten", "radicale", "shelf"]

pytestmark = pytest.mark.stack

Say = Callable[..., Ran]
NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def say(database_url: str, tmp_path: object, at_ten: None, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Types a command on a database of its own."""
    monkeypatch.chdir(str(tmp_path))

    def typed(*arguments: str, status: int = 0, stdin: str = "") -> Ran:
        environment = {"DATABASE_URL": database_url, "VOICEAGENTS_DATA": str(tmp_path)}
        result = CliRunner().invoke(app, ["calendars", *arguments], env=environment, input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        ran = Ran(result.exit_code, result.stdout, result.stderr)
        assert ran.status == status, ran
        return ran

    return typed


@pytest.fixture
def desk(say: Say) -> Say:
    """With a built-in calendar "front-desk"."""
    say("add", "Front desk", "--zone", "America/New_York", "--hours", "mon-fri 09:00-11:00", "--day-off", "2026-10-12")
    return say


def book(database_url: str, hour: int, who: Attendee, calendar_id: str = "front-desk") -> Booking:
    async def work() -> Booking:
        database = Database(database_url)
        calendar = await store.calendar_of(database, calendar_id)
        try:
            return await calendar.book(datetime(2026, 10, 9, hour, tzinfo=NEW_YORK), who, key=f"call-{hour}")
        finally:
            await calendar.aclose()
            await database.close()

    return asyncio.run(work())


def test_a_first_calendar_is_led_from_step_to_step(say: Say) -> None:
    assert "calendars add" in say("list").out
    added = say("add", "Front desk", "--zone", "America/New_York")
    assert added.out == "front-desk\nDoes it work?  voiceagents calendars check front-desk\n"
    assert "front-desk works: built in, 0 bookings to come" in say("check", "front-desk").out
    assert "America/New_York" in say("list").out


def test_what_is_free_is_shown_as_it_is_said(desk: Say) -> None:
    assert desk("slots", "front-desk").out.splitlines()[:2] == [
        "Friday, October 9 at 9 AM", "Friday, October 9 at 9:30 AM",
    ]  # fmt: skip
    assert desk("slots", "front-desk", "--when", "tomorrow at half past ten").out == "Friday, October 9 at 10:30 AM\n"
    assert desk("slots", "front-desk", "--when", "Monday").out == "Nothing is free.\n"  # a day off
    assert "Tuesday, October 13" in desk("slots", "front-desk", "--when", "next week in the morning").out
    assert "more; see them with --limit" in desk("slots", "front-desk", "-n", "2").out
    asked = desk("slots", "front-desk", "--when", "next Friday", status=2).err
    assert "Friday, October 9" in asked
    assert "Friday, October 16" in asked


def test_bookings_are_listed_confirmed_and_cancelled(desk: Say, database_url: str) -> None:
    assert desk("bookings", "front-desk").out == "Nobody has booked.\n"
    made = book(database_url, 9, Attendee("Ana [x]", phone="+12025550143"))
    listed = desk("bookings", "front-desk", "--phone", "+1 202 555 0143").out
    assert "Friday, October 9 at 9 AM" in listed
    assert "Ana [x]" in listed
    assert made.id in listed
    assert desk("bookings", "front-desk", "--email", "x@example.com").out == "Nobody has booked.\n"
    assert desk("confirm", "front-desk", made.id).out == "Ana [x], Friday, October 9 at 9 AM: confirmed.\n"
    assert "1 bookings to come would be removed" in desk("remove", "front-desk", status=2).err
    assert desk("cancel", "front-desk", made.id).out == "Ana [x], Friday, October 9 at 9 AM: cancelled.\n"
    assert "no booking" in desk("cancel", "front-desk", "nonsense", status=2).err
    assert desk("remove", "front-desk").out == "front-desk is removed.\n"
    assert "There is no calendar 'front-desk'" in desk("show", "front-desk", status=2).err


def test_a_replaced_calendar_keeps_its_bookings(desk: Say, database_url: str) -> None:
    book(database_url, 9, Attendee("Ana", phone="+12025550143"))
    assert "already" in desk("add", "Front desk", status=2).err
    desk("add", "Front desk", "--zone", "America/New_York", "--hours", "mon-fri 09:00-10:00", "--replace")
    assert "Ana" in desk("bookings", "front-desk").out
    assert desk("slots", "front-desk", "--when", "tomorrow").out == "Friday, October 9 at 9:30 AM\n"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--zone", "Nowhere"], 'zone: "Nowhere" is not a time zone'),
        (["--hours", "mon 25:00-26:00"], "is not a time of day"),
        (["--url", "https://dav.example.com/ana/"], "url: is no setting of it"),
        (["--provider", "outlook"], "builtin, caldav, calcom"),
        (["--provider", "caldav"], "url: Field required"),
        (["--provider", "caldav", "--url", "dav.example.com"], "url: String should match"),
        (["--provider", "calcom", "--event-type", "3"], "api_key: Field required"),
        (
            ["--provider", "calcom", "--api-key", "k", "--event-type", "3", "--hours", "mon 9-10"],
            "hours: is no setting",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused_with_the_mend(say: Say, arguments: list[str], why: str) -> None:
    assert why in say("add", "Desk", *arguments, status=2).err


def test_a_secret_is_never_shown(say: Say, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    where = ("--provider", "caldav", "--url", shelf.url, "--username", USER)
    say("add", "Ana", *where, "--password", "-", stdin=f"{PASSWORD}\n")
    shown = say("show", "ana").out
    assert "(kept, not shown)" in shown
    assert PASSWORD not in shown
    assert "ana works: CalDAV at" in say("check", "ana").out
    say("add", "Ana", *where, "--password", "env:ANA_DAV", "--replace")
    assert "env:ANA_DAV" in say("show", "ana").out
    assert "the variable ANA_DAV, which is not set" in say("check", "ana", status=2).err
    monkeypatch.setenv("ANA_DAV", "wrong-secret")
    refused = say("check", "ana", status=1)
    assert "does not let us in" in refused.err
    assert "wrong-secret" not in str(refused)


async def test_a_database_that_is_away_is_a_calendar_that_is_down(database: Database, at_ten: None) -> None:
    async with database.transaction() as session:
        await store.add(session, store.CalendarDraft("desk", "Desk", "builtin"))
    calendar = await store.calendar_of(database, "desk")
    nowhere = Database("postgresql://nobody@127.0.0.1:9/none", wait=1)
    calendar._database = nowhere  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    for ask in (calendar.free(NOW, NOW.replace(day=9)), calendar.check(), calendar.bookings_of(phone="+12025550143")):
        with pytest.raises(CalendarDown):
            await ask
    with pytest.raises(CalendarDown):
        await store.calendar_of(nowhere, "desk")
    await nowhere.close()


async def test_a_calendar_that_was_removed_meanwhile_books_nothing(database: Database, at_ten: None) -> None:
    async with database.transaction() as session:
        await store.add(session, store.CalendarDraft("desk", "Desk", "builtin"))
    calendar = await store.calendar_of(database, "desk")
    async with database.transaction() as session:
        await store.remove(session, "desk")
    with pytest.raises(CalendarProblem, match="has been removed"):
        await calendar.book(datetime(2026, 10, 9, 10, tzinfo=NEW_YORK), Attendee("Ana", "+12025550143"), key="k")
    with pytest.raises(CalendarProblem, match="There is no calendar 'desk'"):
        await store.calendar_of(database, "desk")
