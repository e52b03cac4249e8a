"""What did the call come to, in words: a summary, fields, an outcome that the rules could not see?

The reading of a conversation as data: what a model is asked for, what of its answer is believed, and what stands there
without a model. Pure; asking is for the agent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.states import Outcome, Speaker

LEFT_OPEN = frozenset({Outcome.COMPLETED, Outcome.HUNG_UP})
"""Endings that say only how the line went; what the person wanted may be more."""

READABLE = (
    Outcome.COMPLETED,
    Outcome.NOT_INTERESTED,
    Outcome.OPTED_OUT,
    Outcome.WRONG_NUMBER,
    Outcome.CALLBACK_REQUESTED,
    Outcome.VOICEMAIL,
    Outcome.SCREENED,
)
"""Outcomes that may be read out of the words spoken. All others are facts of the line."""

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


TOOL = "record_call"


def tool_schema(extraction: Mapping[str, Any] | None) -> dict[str, Any]:
    """The function that a model calls with its reading: JSON schema, with the campaign's own fields inside."""
    properties: dict[str, Any] = {
        "outcome": {"type": "string", "enum": [outcome.value for outcome in READABLE]},
        "turn": {"type": "integer", "description": "Number of the turn that shows the outcome best."},
        "summary": {"type": "string", "description": "One or two sentences: what was said and agreed."},
    }
    if extraction:
        properties["fields"] = dict(extraction)
    return {
        "name": TOOL,
        "description": "Records what came of a phone call.",
        "parameters": {"type": "object", "properties": properties, "required": ["outcome", "turn", "summary"]},
    }


def instructions() -> str:
    """What the model is told."""
    return (
        "You read the transcript of a phone call that an automated agent placed. Record what came of it.\n"
        "opted_out: the person asked, in whatever words, not to be called again. It goes before all others.\n"
        "wrong_number: the person is not the one who was meant. callback_requested: another time was asked for.\n"
        "not_interested: the offer was declined. voicemail, screened: a recording or a call screener spoke.\n"
        "completed: a conversation took place and none of these fits. Only the person's own words count."
    )


def as_text(lines: Sequence[Line]) -> str:
    """The transcript with numbered turns."""
    return "\n".join(f"{number}. {line.speaker.value}: {line.text}" for number, line in enumerate(lines, start=1))


def believed(answer: object, lines: Sequence[Line], extraction: Mapping[str, Any] | None) -> Reading | None:
    """What of a model's answer can be used; None when it is no reading at all."""
    if not isinstance(answer, Mapping):
        return None
    given = cast("Mapping[str, Any]", answer)
    summary = given.get("summary")
    if not isinstance(summary, str) or not summary.strip():
        return None
    outcome = next((each for each in READABLE if each.value == given.get("outcome")), None)
    number = given.get("turn")
    turn = number if isinstance(number, int) and 1 <= number <= len(lines) else None
    if outcome is not None and outcome is not Outcome.COMPLETED and turn is None:
        outcome = None  # a claim without a turn that shows it
    return Reading(summary.strip()[:_LONGEST_SUMMARY], outcome, turn, _fields(given.get("fields"), extraction))


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
