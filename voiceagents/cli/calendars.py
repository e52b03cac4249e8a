"""`voiceagents calendars …`: calendars that calls may book in, what is free in them, and who has booked."""

import json
import sys
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.markup import escape
from rich.table import Table

from voiceagents import clock, phone
from voiceagents.cli.history import console
from voiceagents.cli.problems import Commands, Problem
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    from voiceagents.calendars.base import Booking, Calendar, Slot

T = TypeVar("T")

app = typer.Typer(cls=Commands, no_args_is_help=True, help="Calendars: where calls book, move and cancel appointments.")

Id = Annotated[str, typer.Argument(metavar="ID", help="As `voiceagents calendars list` shows it.")]
BookingId = Annotated[str, typer.Argument(metavar="BOOKING", help="As `voiceagents calendars bookings` shows it.")]
Secret = Annotated[str | None, typer.Option(help="env:NAME to read it from there; - to type it now, unseen.")]


@app.command("add")
def add_calendar(
    name: Annotated[str, typer.Argument(help="What you call it, such as 'Front desk'.")],
    calendar_id: Annotated[str | None, typer.Option("--id", help="Its id. (default: made from the name)")] = None,
    provider: Annotated[str, typer.Option(help="Who keeps it: builtin, caldav or calcom.")] = "builtin",
    zone: Annotated[str | None, typer.Option(help="Its time zone, such as America/New_York. (default: UTC)")] = None,
    hours: Annotated[
        str | None, typer.Option(help="'mon-fri 09:00-12:00, 13:00-17:30; sat 10:00-14:00'. (default: mon-fri 9 to 5)")
    ] = None,
    slot: Annotated[int | None, typer.Option(help="Minutes of an appointment. (default: 30)")] = None,
    step: Annotated[int | None, typer.Option(help="Minutes between starts. (default: as long as one)")] = None,
    buffer_before: Annotated[int | None, typer.Option(help="Minutes kept free before each. (default: 0)")] = None,
    buffer_after: Annotated[int | None, typer.Option(help="Minutes kept free after each. (default: 0)")] = None,
    notice: Annotated[int | None, typer.Option(help="Minutes one must book ahead at least. (default: 60)")] = None,
    horizon: Annotated[int | None, typer.Option(help="Days one may book ahead at most. (default: 60)")] = None,
    day_off: Annotated[
        list[str] | None, typer.Option(help="2026-12-24 or 2026-12-24/2027-01-02; may be given often.")
    ] = None,
    holidays_of: Annotated[str | None, typer.Option(help="Keep the public holidays of US, DE-BY, …")] = None,
    needs_confirmation: Annotated[
        bool | None, typer.Option("--needs-confirmation", help="Bookings are requests until you confirm them.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Of an appointment; {name} is the person.")] = None,
    url: Annotated[str | None, typer.Option(help="caldav: the address of the one calendar.")] = None,
    username: Annotated[str | None, typer.Option(help="caldav.")] = None,
    password: Secret = None,
    auth: Annotated[str | None, typer.Option(help="caldav: basic, digest or bearer. (default: basic)")] = None,
    owner_email: Annotated[str | None, typer.Option(help="caldav: what this person declined is free.")] = None,
    event_type: Annotated[int | None, typer.Option(help="calcom: number of the event type.")] = None,
    api_key: Secret = None,
    api_url: Annotated[str | None, typer.Option(help="calcom: of your own Cal.com.")] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the calendar that has this id.")] = False,
) -> None:
    """Add a calendar. Hours, buffers, notice and horizon of one at Cal.com are set there."""
    from voiceagents.assistants.store import id_of
    from voiceagents.calendars import store

    given: dict[str, Any] = {
        "zone": zone, "hours": hours, "slot_minutes": slot, "step_minutes": step,
        "buffer_before_minutes": buffer_before, "buffer_after_minutes": buffer_after, "notice_minutes": notice,
        "horizon_days": horizon, "days_off": day_off or None, "holidays_of": holidays_of,
        "needs_confirmation": needs_confirmation, "title": title, "url": url, "username": username,
        "password": _secret("--password", password), "auth": auth, "owner_email": owner_email,
        "event_type_id": event_type, "api_key": _secret("--api-key", api_key), "api_url": api_url,
    }  # fmt: skip
    settings = {key: value for key, value in given.items() if value is not None}
    draft = store.CalendarDraft(calendar_id or id_of(name), name, provider, settings)

    async def work() -> None:
        async with database(load()) as opened, opened.transaction() as session:
            await (store.save(session, draft) if replace else store.add(session, draft))

    run(work())
    typer.echo(f"{draft.id}\nDoes it work?  voiceagents calendars check {draft.id}")


@app.command("list")
def list_calendars() -> None:
    """List all calendars."""
    from voiceagents.calendars import store

    async def work() -> Table | None:
        async with database(load()) as opened, opened.transaction() as session:
            table = Table("id", "name", "kept by", "zone", box=None, pad_edge=False)
            for one in await store.calendars(session):
                table.add_row(one.id, escape(one.name), one.provider, str(one.settings.get("zone", "UTC")))
            return table if table.rows else None

    table = run(work())
    if table is None:
        typer.echo("No calendars yet. Add one:  voiceagents calendars add 'Front desk' --zone America/New_York")
    else:
        console().print(table)


@app.command("show")
def show_calendar(calendar_id: Id) -> None:
    """Show the settings of a calendar; secrets only by name."""
    from voiceagents.calendars import store

    async def work() -> None:
        async with database(load()) as opened, opened.transaction() as session:
            one = await store.find(session, calendar_id)
        typer.echo(f"{one.name} ({one.id}), {one.provider}")
        for label, value in store.shown(one.settings).items():
            typer.echo(f"  {label:22} {json.dumps(value) if isinstance(value, list | dict) else value}")

    run(work())


@app.command()
def check(calendar_id: Id) -> None:
    """Look whether a calendar can be reached and read. Changes nothing; exit status 1 when it cannot."""
    from voiceagents.calendars.base import CalendarDown, CalendarProblem

    async def look(calendar: "Calendar") -> str:
        try:
            return await calendar.check()
        except (CalendarDown, CalendarProblem) as error:
            typer.echo(f"{calendar_id}: {error}", err=True)
            raise typer.Exit(1) from None

    typer.echo(f"{calendar_id} works: {_with(calendar_id, look)}")


@app.command()
def slots(
    calendar_id: Id,
    when: Annotated[str, typer.Option(help="As a caller says it: 'next Thursday', 'tomorrow afternoon'.")] = "",
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days from today, without --when.")] = 7,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="How many at most.")] = 20,
) -> None:
    """Show what is free, as the assistant sees and says it."""
    from voiceagents.calendars import spoken

    async def look(calendar: "Calendar") -> "list[Slot]":
        now = clock.now()
        if not when:
            return await calendar.free(now, now + timedelta(days=days))
        reading = spoken.understand(when, now, calendar.zone)
        if isinstance(reading, spoken.Unclear):
            either = [spoken.say(choice.start, calendar.zone, now=now) for choice in reading.choices]
            raise Problem(f"{reading.why}." + (f" Say which: {'; '.join(either)}." if either else ""))
        if isinstance(reading, spoken.Moment):
            return await calendar.free(reading.start, reading.start + timedelta(minutes=1))
        return [slot for slot in await calendar.free(reading.start, reading.end) if reading.holds(slot.start)]

    async def found(calendar: "Calendar") -> tuple[list[str], int]:
        free = await look(calendar)
        return [spoken.say(slot.start, calendar.zone, now=clock.now()) for slot in free[:limit]], len(free)

    lines, total = _with(calendar_id, found)
    typer.echo("\n".join(lines) if lines else "Nothing is free.")
    if total > len(lines):
        typer.echo(f"… and {total - len(lines)} more; see them with --limit.")


@app.command()
def bookings(
    calendar_id: Id,
    number: Annotated[str | None, typer.Option("--phone", help="Only those of this number.")] = None,
    email: Annotated[str | None, typer.Option(help="Only those of this address.")] = None,
    days: Annotated[int, typer.Option(min=1, max=366, help="How many days from now.")] = 60,
) -> None:
    """Show who has booked from now on."""
    from voiceagents.calendars import spoken

    e164 = phone.normalize(number) if number else None

    async def look(calendar: "Calendar") -> Table:
        now = clock.now()
        found = (
            await calendar.bookings_of(phone=e164, email=email)
            if e164 or email
            else await calendar.bookings(now, now + timedelta(days=days))
        )
        table = Table("when", "who", "phone", "email", "", "booking", box=None, pad_edge=False)
        for one in found:
            who = one.attendee
            said = spoken.say(one.start, calendar.zone, now=now)
            table.add_row(said, escape(who.name), who.phone or "-", who.email or "-", one.status.value, one.id)
        return table

    table = _with(calendar_id, look)
    if table.rows:
        console().print(table)
    else:
        typer.echo("Nobody has booked.")


@app.command()
def confirm(calendar_id: Id, booking: BookingId) -> None:
    """Agree to a booking that was requested."""
    _tell("confirmed", _with(calendar_id, lambda calendar: _changed(calendar, calendar.confirm(booking))))


@app.command()
def cancel(
    calendar_id: Id, booking: BookingId, reason: Annotated[str, typer.Option(help="Why, for the record.")] = ""
) -> None:
    """Cancel a booking. Nobody is told by this."""
    _tell("cancelled", _with(calendar_id, lambda calendar: _changed(calendar, calendar.cancel(booking, reason=reason))))


@app.command("remove")
def remove_calendar(
    calendar_id: Id,
    yes: Annotated[bool, typer.Option("--yes", help="Also when bookings to come are removed with it.")] = False,
) -> None:
    """Remove a calendar. The bookings of a built-in one go with it; elsewhere they stay."""
    from voiceagents.assistants import store as assistants
    from voiceagents.calendars import store

    async def work() -> list[str]:
        async with database(load()) as opened:
            async with opened.transaction() as session:
                provider = (await store.find(session, calendar_id)).provider
            if provider == "builtin" and not yes:
                calendar = await store.calendar_of(opened, calendar_id)
                if coming := await calendar.bookings(clock.now(), clock.now() + timedelta(days=366)):
                    raise Problem(f"{len(coming)} bookings to come would be removed with it: give --yes if they may.")
            async with opened.transaction() as session:
                await store.remove(session, calendar_id)
                return [one.id for one in await assistants.assistants(session) if one.calendar_id == calendar_id]

    orphaned = run(work())
    without = f" {', '.join(orphaned)} cannot book any more." if orphaned else ""
    typer.echo(f"{calendar_id} is removed.{without}")


def _secret(option: str, value: str | None) -> str | None:
    if value == "-":
        return str(typer.prompt(option, hide_input=True))
    if value and not value.startswith("env:") and sys.stderr.isatty():
        typer.echo(f"{option}: others on this machine may read what is typed here; env:NAME or - is safer.", err=True)
    return value


@asynccontextmanager
async def _open(calendar_id: str) -> "AsyncGenerator[Calendar]":
    from voiceagents.calendars import store

    async with database(load()) as opened:
        calendar = await store.calendar_of(opened, calendar_id)
        try:
            yield calendar
        finally:
            await calendar.aclose()


def _with(calendar_id: str, work: "Callable[[Calendar], Coroutine[Any, Any, T]]") -> T:
    """Does something with an open calendar."""

    async def opened() -> T:
        async with _open(calendar_id) as calendar:
            return await work(calendar)

    return run(opened())


async def _changed(calendar: "Calendar", change: "Coroutine[Any, Any, Booking]") -> str:
    from voiceagents.calendars import spoken

    booking = await change
    return f"{booking.attendee.name}, {spoken.say(booking.start, calendar.zone, now=clock.now())}"


def _tell(what: str, booking: str) -> None:
    typer.echo(f"{booking}: {what}.")
