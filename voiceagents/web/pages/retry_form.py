"""How is a retry policy shown as a table, and read back from one? Only what differs from the defaults is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voiceagents.calls.states import Outcome
from voiceagents.campaigns.retry import CAUSES, DEFAULTS, NEVER_AGAIN, Cause, PolicyError, RetryPolicy, in_words

_FINAL = {*NEVER_AGAIN, Outcome.CANCELLED}
_SHOWN: tuple[Cause, ...] = tuple(cause for cause in CAUSES if cause not in _FINAL)


@dataclass(frozen=True)
class Line:
    """A row of the table, as it is typed."""

    cause: str
    attempts: str
    delays: str
    other_time_of_day: bool


def shown(policy: RetryPolicy) -> list[Line]:
    """The table of a policy."""
    return [
        Line(
            cause.value,
            str(policy.rows[cause].attempts),
            ", ".join(in_words(delay) for delay in policy.rows[cause].delays),
            policy.rows[cause].other_time_of_day,
        )
        for cause in _SHOWN
    ]


def given(form: Mapping[str, str]) -> list[Line]:
    """The table as it was typed."""
    return [
        Line(
            cause.value,
            form.get(f"retry-{cause.value}-attempts", ""),
            form.get(f"retry-{cause.value}-delays", ""),
            f"retry-{cause.value}-other" in form,
        )
        for cause in _SHOWN
        if f"retry-{cause.value}-attempts" in form
    ]


def read(form: Mapping[str, str]) -> tuple[dict[str, Any] | None, dict[str, str]]:
    """The policy that was typed, None when the form had no table; and what is wrong with it, by field."""
    lines = given(form)
    if not lines:
        return None, {}
    policy: dict[str, Any] = {}
    for line in lines:
        cause = next(cause for cause in _SHOWN if cause.value == line.cause)
        typed = {
            "attempts": line.attempts,
            "delays": [part.strip() for part in line.delays.split(",") if part.strip()],
            "other_time_of_day": line.other_time_of_day,
        }
        kept = DEFAULTS[cause].model_dump(mode="json")
        if changed := {name: value for name, value in typed.items() if str(value) != str(kept[name])}:
            policy[line.cause] = changed
    try:
        RetryPolicy.parse(policy)
    except PolicyError as error:
        # A delay that cannot be read leaves none: that is not a second mistake.
        said = str(error).splitlines()
        mistakes = [line for line in said if "at least 1 item" not in line]
        return policy, {"retry": "\n".join(mistakes or said)}
    return policy, {}
