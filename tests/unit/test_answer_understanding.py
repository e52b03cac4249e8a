"""What of a model's reading of a call is believed, and what stands there without one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.calls.outcomes import Ending, of_machine
from voiceagents.calls.states import AnsweredBy, Direction, EndedBy, Outcome, Speaker
from voiceagents.calls.understanding import (
    READABLE,
    Line,
    Question,
    Reading,
    as_text,
    believed,
    instructions,
    may_be_read,
    outcome_read,
    plain_summary,
    tool_schema,
)

pytestmark = pytest.mark.unit

LINES = [
    Line(Speaker.PERSON, "Hello?", "a"),
    Line(Speaker.AGENT, "Hi Ana, would you like to hear more?", "b"),
    Line(Speaker.PERSON, "I have no desire to hear from you again.", "c"),
]
PLAIN = Question()
FIELDS = {"type": "object", "properties": {"budget": {"type": "number"}}}
GOOD = {"outcome": "opted_out", "turn": 3, "summary": "She wants no calls.", "fields": {"budget": 5, "age": 3}}


def test_a_reading_names_the_turn_and_keeps_only_the_fields_that_were_asked_for() -> None:
    reading = believed(GOOD, LINES, Question(extraction=FIELDS))
    assert reading is not None
    assert (reading.outcome, reading.turn, reading.extracted) == (Outcome.OPTED_OUT, 3, {"budget": 5})


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"turn": 9}, None),
        ({"turn": None}, None),
        ({"turn": 2}, None),  # our own words show nothing
        ({"outcome": "busy"}, None),
        ({"outcome": "nonsense"}, None),
        ({"outcome": "completed", "turn": 0}, Outcome.COMPLETED),
    ],
)
def test_an_outcome_without_a_turn_that_shows_it_is_not_believed(change: dict[str, Any], outcome: Outcome) -> None:
    reading = believed({**GOOD, **change}, LINES, PLAIN)
    assert reading is not None
    assert reading.outcome is outcome
    assert reading.extracted == {}


@pytest.mark.parametrize("answer", [None, [], "text", {}, {"summary": " "}, {"summary": 3}])
def test_what_is_no_reading_is_none(answer: object) -> None:
    assert believed(answer, LINES, Question(extraction=FIELDS)) is None


@given(
    st.dictionaries(st.sampled_from(["outcome", "turn", "summary", "fields"]), st.text() | st.integers() | st.none())
)
def test_whatever_a_model_answers_is_read_or_left(answer: dict[str, Any]) -> None:
    reading = believed(answer, LINES, Question(extraction=FIELDS))
    assert reading is None or reading.outcome is None or reading.outcome in READABLE[Direction.OUTBOUND]


def test_the_model_is_asked_with_numbered_turns_and_the_campaigns_own_fields() -> None:
    assert as_text(LINES).splitlines()[2] == "3. person: I have no desire to hear from you again."
    assert tool_schema(Question(extraction=FIELDS))["parameters"]["properties"]["fields"] == FIELDS
    assert "fields" not in tool_schema(PLAIN)["parameters"]["properties"]


def test_a_call_that_came_in_is_asked_about_without_machines_and_refusals() -> None:
    inbound = Question(Direction.INBOUND)
    assert "answered" in instructions(inbound)
    assert "placed" in instructions(PLAIN)
    for outcome in (Outcome.NOT_INTERESTED, Outcome.VOICEMAIL, Outcome.SCREENED):
        assert outcome.value in instructions(PLAIN)
        assert outcome.value not in instructions(inbound)
        assert outcome.value not in tool_schema(inbound)["parameters"]["properties"]["outcome"]["enum"]
        claimed = believed({**GOOD, "outcome": outcome.value}, LINES, inbound)
        assert claimed is not None
        assert claimed.outcome is None
    opted_out = believed(GOOD, LINES, inbound)
    assert opted_out is not None
    assert opted_out.outcome is Outcome.OPTED_OUT


@pytest.mark.parametrize(
    ("ruled", "read", "stands"),
    [
        # Rules saw nothing: the reading is believed.
        (Outcome.COMPLETED, Outcome.OPTED_OUT, Outcome.OPTED_OUT),
        (Outcome.HUNG_UP, Outcome.VOICEMAIL, Outcome.VOICEMAIL),
        (Outcome.COMPLETED, Outcome.COMPLETED, None),
        (Outcome.COMPLETED, None, None),
        # "I'm not interested, and spare me this in future": the whole says more than the turn.
        (Outcome.NOT_INTERESTED, Outcome.OPTED_OUT, Outcome.OPTED_OUT),
        (Outcome.NOT_INTERESTED, Outcome.CALLBACK_REQUESTED, Outcome.CALLBACK_REQUESTED),
        (Outcome.CALLBACK_REQUESTED, Outcome.NOT_INTERESTED, Outcome.NOT_INTERESTED),
        (Outcome.WRONG_NUMBER, Outcome.OPTED_OUT, Outcome.OPTED_OUT),
        # Who is not to be called again stays so, whatever a model makes of it.
        (Outcome.OPTED_OUT, Outcome.NOT_INTERESTED, None),
        (Outcome.OPTED_OUT, Outcome.CALLBACK_REQUESTED, None),
        (Outcome.WRONG_NUMBER, Outcome.CALLBACK_REQUESTED, None),
        # What a person said for certain is no "completed", and no machine said it.
        (Outcome.NOT_INTERESTED, Outcome.COMPLETED, None),
        (Outcome.NOT_INTERESTED, Outcome.VOICEMAIL, None),
        # Facts of the line are not read out of words.
        (Outcome.VOICEMAIL, Outcome.COMPLETED, None),
        (Outcome.FAILED, Outcome.OPTED_OUT, None),
    ],
)
def test_a_reading_of_the_whole_goes_before_rules_on_single_turns(
    ruled: Outcome, read: Outcome | None, stands: Outcome | None
) -> None:
    assert outcome_read(ruled, Reading("A call.", read, 3)) is stands
    assert outcome_read(ruled, None) is None


@pytest.mark.parametrize("outcome", Outcome)
def test_nobody_asks_a_model_whose_answer_could_change_nothing(outcome: Outcome) -> None:
    could = any(outcome_read(outcome, Reading("A call.", read, 3)) for read in READABLE[Direction.OUTBOUND])
    assert may_be_read(outcome) is could


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
