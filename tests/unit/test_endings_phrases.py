"""How many ways of saying "never call me again" are understood? Of one half the rules were built, the other they never
saw; the second number is the honest one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from voiceagents.calls.states import Outcome
from voiceagents.livekit.endings import wish_of

pytestmark = pytest.mark.unit

PHRASES = Path(__file__).parents[1] / "data" / "opt_out_phrases.txt"


def phrases(part: str) -> list[str]:
    """The phrases of one part of the file, `seen` or `held out`."""
    _, _, rest = PHRASES.read_text().partition(f"[{part}]\n")
    return [line for line in rest.partition("\n[")[0].splitlines() if line and not line.startswith("#")]


def caught(lines: list[str]) -> list[str]:
    wishes = {line: wish_of(line) for line in lines}
    return [line for line, wish in wishes.items() if wish is not None and wish.outcome is Outcome.OPTED_OUT]


def test_there_are_enough_phrases_and_half_of_them_were_never_used() -> None:
    seen, held_out = phrases("seen"), phrases("held out")
    assert len(seen) + len(held_out) >= 60
    assert len(held_out) >= len(seen)
    assert not set(seen) & set(held_out)


def test_every_phrase_that_the_rules_were_built_with_is_caught() -> None:
    assert caught(phrases("seen")) == phrases("seen")


def test_most_phrases_that_the_rules_never_saw_are_caught(record_property: Callable[[str, object], None]) -> None:
    held_out = phrases("held out")
    found = caught(held_out)
    record_property("caught", f"{len(found)} of {len(held_out)}")
    # What the rules miss, the model's reading of the whole conversation may still find. Which they miss stays unsaid:
    # rules that are mended by these phrases would be measured by nothing.
    share = len(found) / len(held_out)
    assert share >= 0.8


@pytest.mark.parametrize(
    "text",
    [
        "Don't call me before nine.",
        "Don't call me again until Tuesday.",
        "Nobody called me again after the first time.",
        "I never got a call from you again.",
        "I did not call again.",
        "Don't bother, I have it here.",
        "I'd rather you called tomorrow.",
        "I wish you had called earlier.",
        "Can you delete my order from the system?",
        "Don't call now, I'm at work, call me tonight.",
        "Please do not call me at work.",
        "I don't want to be called on Sundays.",
        "If you call me again tomorrow I will have an answer.",
        "I never asked how much it costs.",
        "I want my number on the list.",
        "Do not hesitate to call again.",
        "I don't mind if you call again.",
    ],
)
def test_who_only_wants_another_time_is_not_taken_off(text: str) -> None:
    wish = wish_of(text)
    assert wish is None or wish.outcome is not Outcome.OPTED_OUT
