"""What may be set on an assistant: read as people write it, kept as the table keeps it, refused with the mend."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.assistants.draft import FIELDS, AssistantDraft, DraftProblem, read
from voiceagents.assistants.models import Assistant
from voiceagents.assistants.resolved import Resolved

pytestmark = pytest.mark.unit

PLAIN = {"id": "front", "name": "Front desk"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({"business_hours": "mon-fri 09:00-17:00", "time_zone": "europe/berlin"},
         {"business_hours": {day: [["09:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
          "time_zone": "Europe/Berlin"}),
        ({"turn": {"endpointing": {"min_delay": 0.3}, "vad": {}}}, {"turn": {"endpointing": {"min_delay": 0.3}}}),
        ({"turn": {"interruption": {"enabled": False}}}, {"turn": {"interruption": {"enabled": False}}}),
        ({"background_sound": "Office Ambience"}, {"background_sound": "office-ambience"}),
        ({"background_sound": "none"}, {"background_sound": None}),
        ({"after_hours": {"mode": "message"}}, {"after_hours": {"mode": "message", "message": ""}}),
        ({"tools": {"end_call": {}, "mcp": {"url": "https://x.test"}}},
         {"tools": {"end_call": {}, "mcp": {"url": "https://x.test"}}}),
        ({"name": "Fr\x00ont \ud800desk"}, {"name": "Front \ufffddesk"}),
        ({"transfer_targets": [{"name": "Ann", "number": "+1 (202) 555-0143"}]},
         {"transfer_targets": [{"name": "Ann", "number": "+12025550143", "description": ""}]}),
        ({"transfer_targets": [{"name": "Desk", "number": "sip:desk@pbx.example.com"}]},
         {"transfer_targets": [{"name": "Desk", "number": "sip:desk@pbx.example.com", "description": ""}]}),
        ({"temperature": "0.4", "max_call_duration": "600"}, {"temperature": 0.4, "max_call_duration": 600}),
    ],
)  # fmt: skip
def test_a_draft_is_read_as_people_write_it(given: dict[str, Any], kept: dict[str, Any]) -> None:
    draft = read(PLAIN | given).model_dump(mode="json")
    assert {name: draft[name] for name in kept} == kept


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"business_hours": "mon 9-9", "time_zone": "UTC"}, "business_hours: mon"),
        ({"business_hours": "mon-fri 09:00-17:00"}, "time_zone"),
        ({"business_hours": {}, "time_zone": "UTC"}, "business_hours: "),
        ({"time_zone": "EST"}, "America/New_York"),
        ({"time_zone": "Mars"}, "time_zone: "),
        ({"turn": {"vad": {"volume": 3}}}, "turn.vad.volume"),
        ({"turn": {"endpointing": {"min_delay": "soon"}}}, "turn.endpointing.min_delay"),
        ({"background_sound": "jungle"}, "office-ambience"),
        ({"after_hours": {"mode": "sleep"}}, "after_hours.mode"),
        ({"after_hours": {"mode": "close"}}, "message"),
        ({"tools": {"End Call": {}}}, "^tools.End Call: "),
        ({"tools": {"sing": {}}}, "^tools.sing: there is no tool 'sing'"),
        ({"tools": ["end_call"]}, "tools: "),
        ({"transfer_targets": [{"name": "Ann", "number": "555"}]}, "transfer_targets.0.number: .*E.164"),
        ({"transfer_targets": [{"name": "Ann", "number": "+12025550143"}, {"name": "ann", "number": "+12025550144"}]},
         "same name"),
        ({"temperature": 9}, "temperature: "),
        ({"max_call_duration": 5}, "max_call_duration: "),
        ({"silence_ask_after": 0}, "silence_ask_after: "),
        ({"voice": ""}, "voice: "),
        ({"prompt": "x" * 50_001}, "prompt: "),
        ({"colour": "red"}, "colour: "),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_the_place(given: dict[str, Any], says: str) -> None:
    with pytest.raises(DraftProblem, match=says):
        read(PLAIN | given)


def test_every_problem_has_its_line() -> None:
    with pytest.raises(DraftProblem) as refused:
        read(PLAIN | {"temperature": 9, "voice": "", "colour": "red"})
    assert [line.split(":")[0] for line in str(refused.value).splitlines()] == ["voice", "temperature", "colour"]


def test_draft_table_and_call_know_the_same_choices() -> None:
    columns = set(Assistant.__table__.columns.keys())
    assert set(FIELDS) == columns - {"version", "created_at", "updated_at"}
    assert set(Resolved.__dataclass_fields__) >= set(FIELDS) | {"version"}
    for name in set(FIELDS) - {"id", "name", "prompt", "first_message"}:
        default = AssistantDraft(**PLAIN).model_dump()[name]
        assert getattr(Resolved("front", "Front desk", "", "", ""), name) == default


@given(
    st.dictionaries(
        st.sampled_from(FIELDS),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
        | st.dictionaries(st.text(), st.none() | st.text() | st.lists(st.lists(st.text())))
        | st.dictionaries(st.text(), st.dictionaries(st.text(), st.floats() | st.text())),
    )
)  # fmt: skip
def test_whatever_a_file_holds_it_is_a_draft_or_a_message_and_a_draft_reads_itself_back(values: dict[str, Any]) -> None:
    try:
        draft = read(PLAIN | values)
    except DraftProblem as problem:
        message = str(problem)
    else:
        assert read(json.loads(json.dumps(draft.model_dump(mode="json"), allow_nan=False))) == draft
        return
    assert message
