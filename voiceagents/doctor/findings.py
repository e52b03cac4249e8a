"""What does a check say?"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "✓"
    BROKEN = "✗"
    UNKNOWN = "?"
    """Not looked at, or nothing to look at: a call may well go through."""


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    state: State
    detail: str
    mend: str = ""
    """What to do about it; empty when there is nothing to do."""


def good(subject: str, detail: str) -> Finding:
    return Finding(subject, State.OK, detail)


def broken(subject: str, detail: str, mend: str) -> Finding:
    return Finding(subject, State.BROKEN, detail, mend)


def unknown(subject: str, detail: str, mend: str = "") -> Finding:
    return Finding(subject, State.UNKNOWN, detail, mend)
