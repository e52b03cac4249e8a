"""When is somebody called who asked for another time? Their words, in the contact's own zone."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from voiceagents.campaigns.callbacks import time_asked_for

pytestmark = pytest.mark.unit

NEW_YORK = ZoneInfo("America/New_York")
ENDED = datetime(2026, 11, 25, 15, 30, tzinfo=UTC)  # a Wednesday, 10:30 in New York


def asked(*words: str) -> list[dict[str, str]]:
    return [{"decided": "outcome", "value": "callback_requested", "by": "words", "text": text} for text in words]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Call me tomorrow at three.", "2026-11-26 15:00"),
        ("Can you call me back in two hours?", "2026-11-25 12:30"),
        ("Call me on Friday at half past nine in the morning, please.", "2026-11-27 09:30"),
        ("Please call again on Monday.", "2026-11-30"),
        ("Try me tomorrow afternoon.", "2026-11-26 12:00"),
    ],
)
def test_the_words_become_an_instant_of_the_contacts_own_clock(words: str, expected: str) -> None:
    at = time_asked_for(asked(words), ENDED, [NEW_YORK])
    assert at is not None
    assert at.astimezone(NEW_YORK).strftime("%Y-%m-%d %H:%M").startswith(expected)


def test_the_last_wish_counts() -> None:
    at = time_asked_for(asked("Call me tomorrow at three.", "Or rather tomorrow at five PM."), ENDED, [NEW_YORK])
    assert at == datetime(2026, 11, 26, 17, tzinfo=NEW_YORK)


@pytest.mark.parametrize("evidence", [None, [], asked("I'm busy right now."), [{"value": "opted_out", "text": "now"}]])
def test_without_a_time_there_is_none(evidence: list[dict[str, str]] | None) -> None:
    assert time_asked_for(evidence, ENDED, [NEW_YORK]) is None
    assert time_asked_for(evidence, ENDED, []) is None
