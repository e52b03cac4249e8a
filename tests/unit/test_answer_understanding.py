"""What of a model's reading of a call is believed, and what stands there without one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.calls.outcomes import Ending, of_machine
from voiceagents.calls.states import AnsweredBy, EndedBy, Outcome, Speaker
from voiceagents.calls.understanding import READABLE, Line, as_text, believed, plain_summary, tool_schema

pytestmark = pytest.mark.unit

LINES = [
    Line(Speaker.PERSON, "Hello?", "a"),
    Line(Speaker.AGENT, "Hi Ana, would you like to hear more?", "b"),
    Line(Speaker.PERSON, "I have no desire to hear from you again.", "c"),
]
FIELDS = {"type": "object", "properties": {"budget": {"type": "number"}}}
GOOD = {"outcome": "opted_out", "turn": 3, "summary": "She wants no calls.", "fields": {"budget": 5, "age": 3}}


def test_a_reading_names_the_turn_and_keeps_only_the_fields_that_were_asked_for() -> None:
    reading = believed(GOOD, LINES, FIELDS)
    assert reading is not None
    assert (reading.outcome, reading.turn, reading.extracted) == (Outcome.OPTED_OUT, 3, {"budget": 5})


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"turn": 9}, None),
        ({"turn": None}, None),
        ({"outcome": "busy"}, None),
        ({"outcome": "nonsense"}, None),
        ({"outcome": "completed", "turn": 0}, Outcome.COMPLETED),
    ],
)
def test_an_outcome_without_a_turn_that_shows_it_is_not_believed(change: dict[str, Any], outcome: Outcome) -> None:
    reading = believed({**GOOD, **change}, LINES, None)
    assert reading is not None
    assert reading.outcome is outcome
    assert reading.extracted == {}


@pytest.mark.parametrize("answer", [None, [], "text", {}, {"summary": " "}, {"summary": 3}])
def test_what_is_no_reading_is_none(answer: object) -> None:
    assert believed(answer, LINES, FIELDS) is None


@given(
    st.dictionaries(st.sampled_from(["outcome", "turn", "summary", "fields"]), st.text() | st.integers() | st.none())
)
def test_whatever_a_model_answers_is_read_or_left(answer: dict[str, Any]) -> None:
    reading = believed(answer, LINES, FIELDS)
    assert reading is None or reading.outcome is None or reading.outcome in READABLE


def test_the_model_is_asked_with_numbered_turns_and_the_campaigns_own_fields() -> None:
    assert as_text(LINES).splitlines()[2] == "3. person: I have no desire to hear from you again."
    assert tool_schema(FIELDS)["parameters"]["properties"]["fields"] == FIELDS
    assert "fields" not in tool_schema(None)["parameters"]["properties"]


def test_without_a_model_the_summary_says_how_it_ended_and_the_last_words() -> None:
    ending = Ending(Outcome.COMPLETED, "the person hung up", EndedBy.PERSON)
    assert plain_summary(LINES, ending) == (
        'The person hung up. 2 turns of the person, the last: "I have no desire to hear from you again.".'
    )


@pytest.mark.parametrize(
    ("answered_by", "outcome"),
    [
        (AnsweredBy.VOICEMAIL, Outcome.VOICEMAIL),
        (AnsweredBy.SCREENING, Outcome.SCREENED),
        (AnsweredBy.ANNOUNCEMENT, Outcome.UNREACHABLE),
        (AnsweredBy.MENU, Outcome.MACHINE),
        (AnsweredBy.FAX, Outcome.MACHINE),
        (None, Outcome.MACHINE),
    ],
)
def test_a_call_that_ends_on_a_machine_is_told_by_the_machine(answered_by: AnsweredBy | None, outcome: Outcome) -> None:
    hung_up = Ending(Outcome.COMPLETED, "the person hung up", EndedBy.PERSON)
    ending = of_machine(answered_by, hung_up)
    assert (ending.outcome, ending.ended_by) == (outcome, EndedBy.CARRIER)
