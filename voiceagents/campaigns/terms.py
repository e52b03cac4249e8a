"""What may a person set on a campaign, and is it sound? The same for the command line and the API: each value is read
as people write it, checked, and kept as the table keeps it.

Only what was given counts (`model_fields_set`), so that one model serves creating and editing.
"""

import json
import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.numbers import region_code
from voiceagents.campaigns.retry import RetryPolicy, read_delay
from voiceagents.closed_days import ClosedDays
from voiceagents.windows import CallingWindow, at_local
from voiceagents.zones import zone_named

DEFAULT_WINDOW = "daily 09:00-20:00"

_NONE = ("", "none", "unlimited", "no", "off")


def _none_in_words(value: object) -> object:
    return None if isinstance(value, str) and value.strip().lower() in _NONE else value


def _no_country(value: object) -> object:
    # "no" is Norway.
    return None if isinstance(value, str) and value.strip().lower() in ("", "none") else value


def _zone(value: object) -> object:
    return zone_named(value).key if isinstance(value, str) else value


def _region(value: object) -> object:
    return region_code(value) if isinstance(value, str) else value


def _window(value: object) -> object:
    return CallingWindow.parse(value).to_json()


def _country(value: object) -> object:
    return ClosedDays.parse((), value).holidays_of if isinstance(value, str) else value


def _blackout(value: object) -> object:
    ClosedDays.parse(value)
    return value


def _moment(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.strip()
    try:
        return date.fromisoformat(text) if len(text) == len("2026-12-24") else datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f'"{value}" is not a time; write it as 2026-12-24 or "2026-12-24 09:00" (the campaign\'s time zone), '
            "or with an offset, as 2026-12-24T09:00+01:00"
        ) from None


def _in_our_time(value: datetime | date | None) -> datetime | date | None:
    if value is not None and not 2000 <= value.year <= 2999:
        raise ValueError("no campaign is so long ago or so far ahead; give a year from 2000 to 2999")
    return value


def _gap(value: object) -> object:
    return timedelta() if isinstance(value, str) and value.strip().lower() in (*_NONE, "0") else read_delay(value)


def _retry(value: object) -> object:
    if isinstance(value, str):
        text = value.strip()
        try:
            value = {} if text.lower() in ("", "default", "defaults") else json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"the retry policy is broken JSON: {error}") from None
    RetryPolicy.parse(value)
    return value


def _keys(value: object) -> object:
    if isinstance(value, str) and not re.fullmatch(r"[0-9*#]+( [0-9*#]+)*", value.strip()):
        raise ValueError(f'"{value}" is no path through a menu; write the keys for each prompt, as in "2 1" or "1 0#"')
    return value


def _fields(value: object) -> object:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise ValueError(f"the fields are broken JSON: {error}") from None
    schema: Mapping[str, object] = cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
    if value is not None and not isinstance(schema.get("properties"), Mapping):
        raise ValueError(
            'fields are a JSON schema of an object, such as {"type": "object", "properties": {"budget": '
            '{"type": "number", "description": "in dollars"}}}'
        )
    return None if value is None else schema


_OrNone = BeforeValidator(_none_in_words)
_Moment = Annotated[datetime | date | None, BeforeValidator(_moment), _OrNone, AfterValidator(_in_our_time)]
_Count = Annotated[int | None, Field(ge=1, le=1_000_000), _OrNone]
_Text = Annotated[str, StringConstraints(strip_whitespace=True)]


class Terms(BaseModel):
    """What was given, in the names of the table's columns. None as a limit means that there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[_Text, StringConstraints(min_length=1, max_length=200)] = ""
    prompt: Annotated[str, StringConstraints(max_length=50_000)] = ""
    assistant_id: Annotated[_Text | None, _OrNone] = None
    trunk_id: Annotated[_Text | None, _OrNone] = None
    default_region: Annotated[str | None, BeforeValidator(_region), BeforeValidator(_no_country)] = None
    time_zone: Annotated[str, BeforeValidator(_zone)] = "UTC"
    window: Annotated[dict[str, Any], BeforeValidator(_window)] = Field(default_factory=dict[str, Any])
    holidays_of: Annotated[str | None, BeforeValidator(_country), BeforeValidator(_no_country)] = None
    blackout: Annotated[list[str], BeforeValidator(_blackout)] = Field(default_factory=list[str])
    starts_at: _Moment = None
    expires_at: _Moment = None
    max_concurrent: _Count = None
    calls_per_second: Annotated[float | None, Field(gt=0, le=1000), _OrNone] = None
    priority: int = Field(default=5, ge=1, le=10)
    daily_cap: _Count = None
    attempts_per_day: _Count = None
    attempts_per_number: _Count = None
    minimum_gap: Annotated[timedelta, BeforeValidator(_gap)] = timedelta()
    retry: Annotated[dict[str, Any], BeforeValidator(_retry)] = Field(default_factory=dict[str, Any])
    voicemail_message: Annotated[_Text | None, StringConstraints(max_length=2000), _OrNone] = None
    menu_path: Annotated[_Text | None, BeforeValidator(_keys), _OrNone] = None
    extraction: Annotated[dict[str, Any] | None, BeforeValidator(_fields), _OrNone] = None

    def columns(self, time_zone: str) -> dict[str, Any]:
        """The table's columns with what was given.

        Args:
            time_zone: the campaign's, unless one was given: by its clock a time without an offset is read.
        """
        zone = zone_named(self.time_zone if "time_zone" in self.model_fields_set else time_zone)
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "starts_at" in given:
            given["starts_at"] = _instant(self.starts_at, zone, end_of_day=False)
        if "expires_at" in given:
            given["expires_at"] = _instant(self.expires_at, zone, end_of_day=True)
        if "minimum_gap" in given:
            given["minimum_gap_seconds"] = round(given.pop("minimum_gap").total_seconds())
        return given


def of_campaign(campaign: Campaign) -> Mapping[str, Any]:
    """The columns as they are now, to see what an edit changes."""
    names = {*Terms.model_fields, "minimum_gap_seconds"} - {"minimum_gap"}
    return {name: getattr(campaign, name) for name in names}


def _instant(moment: datetime | date | None, zone: ZoneInfo, *, end_of_day: bool) -> datetime | None:
    """A date alone means its first moment, or the last day on which something still holds."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):
        day = moment + timedelta(days=1) if end_of_day else moment
        return at_local(datetime.combine(day, time.min), zone)
    return moment if moment.tzinfo is not None else at_local(moment, zone)
