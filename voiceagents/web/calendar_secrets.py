"""Which variables of the environment may a calendar name for its secrets? Its settings also say to which address they
are sent: so only those that are for calendars, or whoever may edit one could read every secret of ours."""

import re
from collections.abc import Mapping
from typing import Any

from voiceagents.calendars import store

ALLOWED = "A variable for a secret must be named CALDAV_…, CALCOM_… or CALENDAR_…."
_REFERENCE = re.compile(r"env:\s*(CALDAV|CALCOM|CALENDAR)_[A-Z0-9_]+\s*")


def misused(settings: Mapping[str, Any]) -> str | None:
    """The setting that names a variable which is not for calendars; None when all is well."""
    for name in sorted(store.SECRETS & set(settings)):
        value = str(settings[name])
        if value.startswith("env:") and _REFERENCE.fullmatch(value) is None:
            return name
    return None
