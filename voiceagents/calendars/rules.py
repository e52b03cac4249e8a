"""What does a calendar's owner offer? Working hours, days off, buffers, notice and horizon, as they are kept."""

from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from voiceagents.calendars.base import CalendarProblem
from voiceagents.windows import CallingWindow, WindowError
from voiceagents.zones import UnknownZone, zone_named

_Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class ZonedSettings(BaseModel):
    """What the settings of every provider have."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    zone: str = "UTC"
    """IANA name; the calendar's working hours and days off are by its clock."""

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            return zone_named(value).key
        except UnknownZone as error:
            raise ValueError(str(error)) from None

    @property
    def place(self) -> ZoneInfo:
        return ZoneInfo(self.zone)

    def stored(self) -> dict[str, Any]:
        """Only what differs from the defaults, as JSON."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Rules(ZonedSettings):
    """When may be booked. Minutes are minutes of real time, also on the day the clocks change."""

    hours: str | dict[str, list[list[str]]] = "mon-fri 09:00-17:00"
    """As a campaign's window: `mon-fri 09:00-12:00, 13:00-17:30; sat 10:00-14:00`, or the same as JSON."""
    slot_minutes: int = Field(default=30, ge=5, le=24 * 60)
    step_minutes: int | None = Field(default=None, ge=5, le=24 * 60)
    """Between the starts of two slots; None: as long as a slot."""
    buffer_before_minutes: int = Field(default=0, ge=0, le=24 * 60)
    """Kept free before a booking; what is booked or entered otherwise ends earlier."""
    buffer_after_minutes: int = Field(default=0, ge=0, le=24 * 60)
    notice_minutes: int = Field(default=60, ge=0, le=365 * 24 * 60)
    """How long ahead one must book at least."""
    horizon_days: int = Field(default=60, ge=1, le=366)
    """How far ahead one may book at most."""
    days_off: tuple[str, ...] = ()
    """`2026-12-24` or `2026-12-24/2027-01-02`, both ends included."""
    holidays_of: str | None = None
    """Country whose public holidays are kept ("US", "DE-BY")."""
    needs_confirmation: bool = False
    """Bookings are requests until the owner agrees."""
    title: _Text = "Appointment: {name}"
    """What stands in the calendar; `{name}` is the person."""

    @model_validator(mode="after")
    def _sound_week(self) -> "Rules":
        try:
            CallingWindow.parse(self.hours, self.days_off, self.holidays_of)
        except WindowError as error:
            raise ValueError(str(error).replace("calling window", "week of working hours")) from None
        return self

    @cached_property
    def week(self) -> CallingWindow:
        return CallingWindow.parse(self.hours, self.days_off, self.holidays_of)

    @property
    def length(self) -> timedelta:
        return timedelta(minutes=self.slot_minutes)

    @property
    def step(self) -> timedelta:
        return timedelta(minutes=self.step_minutes or self.slot_minutes)

    @property
    def before(self) -> timedelta:
        return timedelta(minutes=self.buffer_before_minutes)

    @property
    def after(self) -> timedelta:
        return timedelta(minutes=self.buffer_after_minutes)


def problem_in(error: ValidationError, what: str) -> CalendarProblem:
    """Everything that is wrong with settings, one line each, without the values: one may be a secret."""
    lines = [
        f"{'.'.join(str(part) for part in one['loc']) or what}: "
        + ("is no setting of it" if one["type"] == "extra_forbidden" else one["msg"].removeprefix("Value error, "))
        for one in error.errors(include_input=False, include_url=False)
    ]
    return CalendarProblem(f"The settings of {what} cannot be used:\n  " + "\n  ".join(lines))


def rules_of(settings: Mapping[str, Any], what: str) -> Rules:
    """Rules as they are kept in a calendar's settings.

    Raises:
        CalendarProblem: names each value that is wrong, and the mend.
    """
    try:
        return Rules.model_validate(dict(settings))
    except ValidationError as error:
        raise problem_in(error, what) from None
