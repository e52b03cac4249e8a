"""Which calendars are there, and how is one opened? The one place that changes their table and reads their secrets.

A secret is better named than kept: `env:CALDAV_PASSWORD` is read from the environment when the calendar is opened.
Either way it is never shown.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calendars import models
from voiceagents.calendars.base import Calendar, CalendarDown, CalendarProblem
from voiceagents.calendars.builtin import BuiltinCalendar
from voiceagents.calendars.rules import Rules, ZonedSettings, problem_in
from voiceagents.db import Database

PROVIDERS = ("builtin", "caldav", "calcom")
SECRETS = frozenset({"password", "api_key"})
"""Settings that are never shown."""

_REFERENCE = "env:"


@dataclass(frozen=True)
class CalendarDraft:
    """A calendar as somebody wrote it down."""

    id: str
    name: str
    provider: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any])


async def add(session: AsyncSession, draft: CalendarDraft) -> None:
    """Adds a calendar.

    Raises:
        CalendarProblem: its id is taken, or its settings cannot be used.
    """
    statement = insert(models.Calendar).values(**_checked(draft)).on_conflict_do_nothing()
    if (await session.execute(statement.returning(models.Calendar.id))).scalar_one_or_none() is None:
        raise CalendarProblem(f"There is a calendar {draft.id!r} already: take another --id, or --replace it.")


async def save(session: AsyncSession, draft: CalendarDraft) -> None:
    """Adds a calendar, or replaces name, provider and settings of the one with this id; its bookings stay."""
    values = _checked(draft)
    changes = {name: value for name, value in values.items() if name != "id"} | {"updated_at": func.now()}
    statement = insert(models.Calendar).values(**values)
    await session.execute(statement.on_conflict_do_update(index_elements=[models.Calendar.id], set_=changes))


async def find(session: AsyncSession, calendar_id: str) -> models.Calendar:
    """The calendar with this id.

    Raises:
        CalendarProblem: there is none.
    """
    found = await session.get(models.Calendar, calendar_id)
    if found is None:
        known = list(await session.scalars(select(models.Calendar.id).order_by(models.Calendar.id).limit(10)))
        mend = f"known are: {', '.join(known)}" if known else "add one with `voiceagents calendars add`"
        raise CalendarProblem(f"There is no calendar {calendar_id!r}; {mend}.")
    return found


async def calendars(session: AsyncSession) -> Sequence[models.Calendar]:
    """Every calendar, by id."""
    return (await session.scalars(select(models.Calendar).order_by(models.Calendar.id))).all()


async def remove(session: AsyncSession, calendar_id: str) -> None:
    """Removes a calendar, and if it is built in its bookings.

    Raises:
        CalendarProblem: there is none with this id.
    """
    await find(session, calendar_id)
    await session.execute(delete(models.Calendar).where(models.Calendar.id == calendar_id))


async def calendar_of(database: Database, calendar_id: str) -> Calendar:
    """Opens the calendar with this id; `aclose` it.

    Raises:
        CalendarProblem: there is none, its settings cannot be used, or a secret it names is not set.
        CalendarDown: the database does not answer.
    """
    try:
        async with database.transaction() as session:
            row = await find(session, calendar_id)
    except (OperationalError, InterfaceError, NoConnection) as error:
        raise CalendarDown(f"the database does not answer ({type(error).__name__})") from error
    if row.provider == "builtin":
        settings = checked_settings(row.id, row.provider, row.settings)
        return BuiltinCalendar(database, row.number, row.id, row.name, settings)
    return opened(row.id, row.name, row.provider, row.settings)


def opened(calendar_id: str, name: str, provider: str, settings: Mapping[str, Any]) -> Calendar:
    """Opens a calendar that is kept elsewhere, from its settings.

    Raises:
        CalendarProblem: the settings cannot be used, or a secret they name is not set.
    """
    from voiceagents.calendars.calcom import CalComCalendar, CalComSettings
    from voiceagents.calendars.caldav import CalDavCalendar, CalDavSettings

    found = checked_settings(calendar_id, provider, _with_secrets(calendar_id, settings))
    if isinstance(found, CalDavSettings):
        return CalDavCalendar(calendar_id, name, found)
    if isinstance(found, CalComSettings):
        return CalComCalendar(calendar_id, name, found)
    raise CalendarProblem(f"The calendar {calendar_id!r} is built in: it is opened by its id.")


def checked_settings(calendar_id: str, provider: str, settings: Mapping[str, Any]) -> Any:
    """The settings of a provider, read and sound.

    Raises:
        CalendarProblem: names each value that is wrong, and the mend.
    """
    from voiceagents.calendars.calcom import CalComSettings
    from voiceagents.calendars.caldav import CalDavSettings

    kinds: dict[str, type[ZonedSettings]] = {"builtin": Rules, "caldav": CalDavSettings, "calcom": CalComSettings}
    if provider not in kinds:
        raise CalendarProblem(f"{provider!r} keeps no calendars that we know; it is one of {', '.join(PROVIDERS)}.")
    try:
        return kinds[provider].model_validate(dict(settings))
    except ValidationError as error:
        raise problem_in(error, f"the calendar {calendar_id!r}") from None


def shown(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they may be shown: a secret only by its reference."""
    return {
        name: value if name not in SECRETS or str(value).startswith(_REFERENCE) or not value else "(kept, not shown)"
        for name, value in settings.items()
    }


def _checked(draft: CalendarDraft) -> dict[str, Any]:
    if not draft.id or not draft.name.strip():
        raise CalendarProblem("A calendar needs a name with a letter or digit in it, or an id of its own (--id).")
    settings = checked_settings(draft.id, draft.provider, draft.settings).stored()
    return {"id": draft.id, "name": draft.name.strip(), "provider": draft.provider, "settings": settings}


def _with_secrets(calendar_id: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    resolved = dict(settings)
    for name in SECRETS & set(resolved):
        if str(resolved[name]).startswith(_REFERENCE):
            variable = str(resolved[name]).removeprefix(_REFERENCE).strip()
            if not os.environ.get(variable):
                raise CalendarProblem(
                    f"The {name} of the calendar {calendar_id!r} is that of the variable {variable}, which is not set."
                )
            resolved[name] = os.environ[variable]
    return resolved
