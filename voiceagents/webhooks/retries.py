"""What follows an attempt to deliver? Pure: the answer of the receiver goes in, the next moment comes out."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

PAUSES = (
    timedelta(seconds=5), timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(minutes=30),
    timedelta(hours=2), timedelta(hours=5), timedelta(hours=10), timedelta(hours=14),
)  # fmt: skip
"""Between an attempt and the next: ten attempts in about 32 hours, so that a receiver may be down for a day."""

_JITTER = 0.2
_GONE = 410


@dataclass(frozen=True)
class Answer:
    """What the receiver said, or why it said nothing."""

    status: int | None
    error: str | None = None
    milliseconds: int = 0

    @property
    def taken(self) -> bool:
        """Any 2xx. A redirect is none: the message is signed for this address."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True)
class Next:
    """`at` None: no further attempt. `switch_off`: the receiver wants no more of anything (410 Gone)."""

    at: datetime | None
    switch_off: bool = False


def after(answer: Answer, attempts: int, now: datetime, random: Random) -> Next:
    """What follows a failed attempt.

    Args:
        answer: of the receiver.
        attempts: how many were made, this one included.
        now: the present.
        random: for the jitter, so that receivers that come back are not met by all at once.
    """
    if answer.status == _GONE:
        return Next(None, switch_off=True)
    if attempts > len(PAUSES):
        return Next(None)
    return Next(now + PAUSES[attempts - 1] * random.uniform(1, 1 + _JITTER))
