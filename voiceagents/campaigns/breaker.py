"""Do so many calls of a campaign end for one and the same reason that it must be paused?

A trunk that lost its credentials or a broken list would otherwise burn through every contact overnight. Only causes
that something on our side or the carrier's can explain are watched: people who do not answer pause nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from voiceagents.calls.states import Outcome
from voiceagents.campaigns.retry import Cause, Failure


@dataclass(frozen=True)
class Threshold:
    """When one cause is too much: this many endings, and at least this share of all endings, within this time."""

    endings: int
    share: float
    within: timedelta


@dataclass(frozen=True)
class RecentEnding:
    cause: Cause
    at: datetime
    words: str
    """The call's own cause, such as "the carrier does not let this trunk place the call (403 Forbidden)"."""


_SOON = timedelta(minutes=10)

THRESHOLDS: Mapping[Cause, Threshold] = {
    Failure.CARRIER: Threshold(8, 0.5, _SOON),
    Failure.AGENT: Threshold(4, 0.5, _SOON),
    Outcome.FAILED: Threshold(6, 0.5, _SOON),
    Outcome.NO_CAPACITY: Threshold(30, 0.9, _SOON),
    Outcome.CONGESTION: Threshold(30, 0.9, _SOON),
    Outcome.UNREACHABLE: Threshold(15, 0.8, timedelta(minutes=30)),
    Outcome.REJECTED: Threshold(20, 0.8, timedelta(minutes=30)),
    Outcome.INVALID_NUMBER: Threshold(25, 0.8, timedelta(hours=1)),
}

_MEND: Mapping[Cause, str] = {
    Failure.CARRIER: "ask the carrier, or check the trunk's credentials, and resume",
    Failure.AGENT: "people answer and the assistant breaks down: look at the log of a call before you resume",
    Outcome.FAILED: "look at the last calls before you resume",
    Outcome.NO_CAPACITY: "start more workers or lower the campaign's limit, and resume",
    Outcome.CONGESTION: "lower the trunk's calls per second or concurrency, and resume",
    Outcome.UNREACHABLE: "check the trunk's route to the carrier, and resume",
    Outcome.REJECTED: "the caller id may be blocked or marked as spam: check it before you resume",
    Outcome.INVALID_NUMBER: "the list may have been read with the wrong region: check it before you resume",
}


def breaker(
    recent: Sequence[RecentEnding], now: datetime, thresholds: Mapping[Cause, Threshold] = THRESHOLDS
) -> str | None:
    """Why the campaign must be paused, in words for the person who finds it so; None to go on.

    Args:
        recent: the endings since the campaign was last started or resumed, in any order, so that the person who
            resumes it is not stopped by what was already mended.
        now: the present.
        thresholds: how much of each cause is too much; causes left out are never too much.
    """
    for cause, limit in thresholds.items():
        lately = [ending for ending in recent if now - limit.within < ending.at <= now]
        of_cause = [ending for ending in lately if ending.cause == cause]
        if len(of_cause) >= limit.endings and len(of_cause) >= limit.share * len(lately):
            words, _ = Counter(ending.words for ending in of_cause).most_common(1)[0]
            minutes = round(limit.within.total_seconds() / 60)
            name = cause.value.replace("_", " ")
            mend = f"; {_MEND[cause]}" if cause in _MEND else ""
            return (
                f"{len(of_cause)} of the last {len(lately)} calls within {minutes} minutes ended as {name}, "
                f"most often: {words}{mend}"
            )
    return None
