"""What did the call come to, in words: a summary, fields, an outcome that the rules could not see?

The reading of a conversation as data: what a model is asked for, what of its answer is believed, and what stands there
without a model. Pure; asking is for the agent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.states import Direction, Outcome, Speaker

LEFT_OPEN = frozenset({Outcome.COMPLETED, Outcome.HUNG_UP})
"""Endings that say only how the line went; what the person wanted may be more."""

READABLE: Mapping[Direction, tuple[Outcome, ...]] = {
    Direction.OUTBOUND: (
        Outcome.COMPLETED,
        Outcome.NOT_INTERESTED,
        Outcome.OPTED_OUT,
        Outcome.WRONG_NUMBER,
        Outcome.CALLBACK_REQUESTED,
        Outcome.VOICEMAIL,
        Outcome.SCREENED,
    ),
    # Whoever calls us wants something: their "no, thanks" answers a question of ours, and no machine is among them.
    Direction.INBOUND: (
        Outcome.COMPLETED,
        Outcome.OPTED_OUT,
        Outcome.WRONG_NUMBER,
        Outcome.CALLBACK_REQUESTED,
    ),
}
"""Outcomes that may be read out of the words spoken. All others are facts of the line."""

# What rules on single turns found, and what a reading of the whole may make of it: who is not to be called stays so.
_CORRECTS = {
    Outcome.NOT_INTERESTED: {Outcome.OPTED_OUT, Outcome.WRONG_NUMBER, Outcome.CALLBACK_REQUESTED},
    Outcome.CALLBACK_REQUESTED: {Outcome.OPTED_OUT, Outcome.WRONG_NUMBER, Outcome.NOT_INTERESTED},
    Outcome.WRONG_NUMBER: {Outcome.OPTED_OUT},
}

_LONGEST_SUMMARY = 600


@dataclass(frozen=True)
class Line:
    """One turn, as the reading sees it."""

    speaker: Speaker
    text: str
    item_id: str


@dataclass(frozen=True)
class Reading:
    """What was read out of a conversation."""

    summary: str
    outcome: Outcome | None = None
    turn: int | None = None
    """The turn (from 1) that shows the outcome."""

    extracted: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Question:
    """What a model is asked about a call."""

    direction: Direction = Direction.OUTBOUND
    extraction: Mapping[str, Any] | None = field(default=None, hash=False)
    """The campaign's own fields, as JSON schema."""

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """What the answer may say."""
        return READABLE[self.direction]


TOOL = "record_call"


def tool_schema(question: Question) -> dict[str, Any]:
    """The function that a model calls with its reading: JSON schema, with the campaign's own fields inside."""
    properties: dict[str, Any] = {
        "outcome": {"type": "string", "enum": [outcome.value for outcome in question.outcomes]},
        "turn": {"type": "integer", "description": "Number of the person's turn that shows the outcome best."},
        "summary": {"type": "string", "description": "One or two sentences: what was said and agreed."},
    }
    if question.extraction:
        properties["fields"] = dict(question.extraction)
    return {
        "name": TOOL,
        "description": "Records what came of a phone call.",
        "parameters": {"type": "object", "properties": properties, "required": ["outcome", "turn", "summary"]},
    }


_MEANS = {
    Outcome.OPTED_OUT: "the person asked, in whatever words, not to be called again. It goes before all others.",
    Outcome.WRONG_NUMBER: "the person is not the one who was meant.",
    Outcome.CALLBACK_REQUESTED: "another time for a call was asked for.",
    Outcome.NOT_INTERESTED: "the offer was declined.",
    Outcome.VOICEMAIL: "a recording spoke that takes messages.",
    Outcome.SCREENED: "a call screener spoke, and no person after it.",
    Outcome.COMPLETED: "a conversation took place and none of these fits.",
}


def instructions(question: Question) -> str:
    """What the model is told."""
    did = "answered" if question.direction is Direction.INBOUND else "placed"
    means = "\n".join(f"{outcome.value}: {words}" for outcome, words in _MEANS.items() if outcome in question.outcomes)
    return (
        f"You read the transcript of a phone call that an automated agent {did}. Record what came of it.\n{means}\n"
        "Only the person's own words count."
    )


def as_text(lines: Sequence[Line]) -> str:
    """The transcript with numbered turns."""
    return "\n".join(f"{number}. {line.speaker.value}: {line.text}" for number, line in enumerate(lines, start=1))


def believed(answer: object, lines: Sequence[Line], question: Question) -> Reading | None:
    """What of a model's answer can be used; None when it is no reading at all."""
    if not isinstance(answer, Mapping):
        return None
    given = cast("Mapping[str, Any]", answer)
    summary = given.get("summary")
    if not isinstance(summary, str) or not summary.strip():
        return None
    outcome = next((each for each in question.outcomes if each.value == given.get("outcome")), None)
    number = given.get("turn")
    turn = number if isinstance(number, int) and 1 <= number <= len(lines) else None
    shown = turn is not None and lines[turn - 1].speaker is Speaker.PERSON
    if outcome is not Outcome.COMPLETED and not shown:
        outcome = None  # a claim without words of the person that show it
    return Reading(summary.strip()[:_LONGEST_SUMMARY], outcome, turn, _fields(given.get("fields"), question.extraction))


def may_be_read(outcome: Outcome) -> bool:
    """Whether a reading of the whole conversation may know better than this outcome, which rules found."""
    return outcome in LEFT_OPEN or outcome in _CORRECTS


def outcome_read(ruled: Outcome, reading: Reading | None) -> Outcome | None:
    """The outcome that the reading shows and the rules did not see; None where their word stands."""
    if reading is None or reading.outcome in (None, Outcome.COMPLETED, ruled):
        return None
    allowed = ruled in LEFT_OPEN or reading.outcome in _CORRECTS.get(ruled, ())
    return reading.outcome if allowed else None


def _fields(given: object, extraction: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields that the schema names, and no others."""
    properties: object = (extraction or {}).get("properties")
    if not isinstance(given, Mapping) or not isinstance(properties, Mapping):
        return {}
    named = cast("Mapping[str, Any]", properties)
    return {key: value for key, value in cast("Mapping[str, Any]", given).items() if key in named}


def plain_summary(lines: Sequence[Line], ending: Ending) -> str:
    """A summary without a model: how it ended, and the person's last words."""
    words = [line.text for line in lines if line.speaker is Speaker.PERSON]
    turns = f"{len(words)} turn{'s' if len(words) != 1 else ''} of the person"
    last = f', the last: "{words[-1][:200]}"' if words else ""
    return f"{ending.cause[:1].upper()}{ending.cause[1:]}. {turns}{last}."[:_LONGEST_SUMMARY]
