"""The wire contract: whatever arrives as metadata ends in a value or in one error that says what is wrong."""

import json
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voiceagents.calls.dispatch import OutboundCall
from voiceagents.calls.metadata import (
    MAX_BYTES,
    JobMetadata,
    MetadataError,
    RoomContext,
    did_in_room,
    is_outbound_room,
    number_in_room,
    outbound_room,
    parse_job,
    parse_room,
)

pytestmark = pytest.mark.unit

SPECIFIED_JOB = """{
  "phone_number": "+1234567890",
  "agentId": "assistant-123",
  "campaignId": "campaign-456",
  "outbound_trunk_id": "trunk-789",
  "contactName": "John Doe",
  "campaignPrompt": "Hello {name}, this is about our new product..."
}"""
SPECIFIED_ROOM = {
    "campaignPrompt": "Hello {name}, this is about our new product...",
    "contactInfo": {"name": "John Doe", "email": "john@example.com", "phone": "+1234567890"},
    "assistantId": "assistant-123",
    "campaignId": "campaign-456",
}
CALL = UUID("6d1dd0c6-5a0b-4d4e-9f5e-6c1b7a2f9c11")

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    "phone_number", "agentId", "callType", "campaignId", "contactName", "campaignPrompt", "outbound_trunk_id", "callId",
    "contactId", "attempt", "email", "variables", "contactInfo", "assistantId",
]  # fmt: skip
SHAPED = st.dictionaries(st.sampled_from(KEYS), JSON | st.dictionaries(st.sampled_from(["name", "email"]), JSON))


def job(**values: Any) -> str:
    return json.dumps({"phone_number": "+12025550143", **values})


# What a dispatcher sends


def test_the_metadata_of_the_specification_is_understood() -> None:
    assert parse_job(SPECIFIED_JOB) == JobMetadata(
        phone_number="+1234567890",
        agent_id="assistant-123",
        campaign_id="campaign-456",
        outbound_trunk_id="trunk-789",
        contact_name="John Doe",
        campaign_prompt="Hello {name}, this is about our new product...",
    )
    assert parse_job(SPECIFIED_JOB).is_outbound


def test_the_keys_of_a_dispatch_are_the_specifications_own() -> None:
    call = OutboundCall(
        id=CALL, number="+12025550143", agent_name="ai", trunk_id="ST_1", assistant_id="a1", campaign_id="c1",
        contact_id="p1", contact_name="Ana", contact_email="ana@example.com", attempt=2, prompt="Hi {name}",
        variables={"city": "Bonn"},
    )  # fmt: skip
    assert json.loads(call.metadata().to_json()) == {
        "phone_number": "+12025550143", "agentId": "a1", "callType": "campaign", "campaignId": "c1",
        "contactName": "Ana", "campaignPrompt": "Hi {name}", "outbound_trunk_id": "ST_1", "callId": str(CALL),
        "contactId": "p1", "attempt": 2, "email": "ana@example.com", "variables": {"city": "Bonn"},
    }  # fmt: skip
    assert json.loads(call.context().to_json()) == {
        "campaignPrompt": "Hi {name}",
        "contactInfo": {"name": "Ana", "email": "ana@example.com", "phone": "+12025550143"},
        "assistantId": "a1",
        "campaignId": "c1",
    }


def test_names_travel_as_they_are_written() -> None:
    text = JobMetadata(phone_number="+12025550143", contact_name="Renée 🎉").to_json()
    assert "Renée 🎉" in text
    assert parse_job(text).contact_name == "Renée 🎉"


@pytest.mark.parametrize("raw", [None, "", "  \n", "{}", '{"phone_number": null}', '{"agentId": "a1"}', '{"x": {}}'])
def test_no_phone_number_means_inbound(raw: str | None) -> None:
    assert not parse_job(raw).is_outbound


@pytest.mark.parametrize("value", ["", "call me", 0, 12025550143, False, [], {}, ["+12025550143"], 1e400])
def test_a_phone_number_of_any_kind_means_outbound_so_that_no_assistant_waits_alone(value: Any) -> None:
    metadata = parse_job(json.dumps({"phone_number": value}))
    assert metadata.is_outbound
    assert metadata.phone_number != "+12025550143"


# TC-028, TC-029: broken and oddly shaped


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(
            '{"phone_number": "+12025550143", "campaignId": "c1, "callType": "campaign"}',
            "not JSON: Expecting ',' delimiter at character 53",
            id="TC-028-missing-quote",
        ),
        pytest.param("{'phone_number': '+12025550143'}", "not JSON", id="TC-028-single-quotes"),
        pytest.param('{"phone_number": "+12025550143",}', "not JSON", id="TC-028-trailing-comma"),
        pytest.param('{"phone_number": "+12025', "not JSON", id="TC-028-cut-off"),
        pytest.param('{"phone_number": "+12025550143"} {}', "not JSON: Extra data", id="TC-028-two-objects"),
        pytest.param("undefined", "not JSON", id="TC-028-undefined"),
        pytest.param("[object Object]", "not JSON", id="TC-028-object-object"),
        pytest.param("phone_number=+12025550143", "not JSON", id="TC-028-form-encoded"),
        pytest.param("[]", "a JSON object is needed, this is a list", id="TC-029-list"),
        pytest.param("123", "this is a number", id="TC-029-number"),
        pytest.param('"+12025550143"', "a JSON object is needed, this is a string", id="TC-029-string"),
        pytest.param('"hello"', "this is a string", id="TC-029-word"),
        pytest.param("null", "this is null", id="TC-029-null"),
        pytest.param("true", "this is true or false", id="TC-029-true"),
        pytest.param('"[]"', "this is a list", id="TC-029-list-in-string"),
        pytest.param(json.dumps(json.dumps(json.dumps({"a": 1}))), "this is a string", id="TC-029-three-times"),
        pytest.param('{"a":' * 100_000, "nested too deep|not JSON", id="nested"),
        pytest.param("[" * 100_000 + "]" * 100_000, "nested too deep", id="nested-lists"),
        pytest.param('{"attempt": ' + "1" * 5000 + "}", "not JSON", id="endless-number"),
        pytest.param(job(campaignPrompt="x" * MAX_BYTES), "more than LiveKit's 524288", id="TC-031-over-long"),
        pytest.param(job(campaignPrompt="😀" * 150_000), "bytes long", id="TC-031-escaped-emoji"),
    ],
)
def test_broken_metadata_is_refused_with_the_reason(raw: str, reason: str) -> None:
    with pytest.raises(MetadataError, match=reason):
        parse_job(raw)
    (problem,) = parse_room(raw).problems
    assert "room metadata ignored" in problem


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(json.dumps(job(campaignId="c1")), id="TC-029-twice-encoded"),
        pytest.param("\ufeff" + job(campaignId="c1"), id="byte-order-mark"),
        pytest.param("\n\t" + job(campaignId="c1") + "\r\n", id="white-space"),
        pytest.param(job(campaignId="c1", future={"deep": [1]}), id="unknown-keys"),
        pytest.param(job(campaignId="\x00c1 "), id="nul-and-blank"),
    ],
)
def test_what_can_be_understood_is(raw: str) -> None:
    metadata = parse_job(raw)
    assert (metadata.phone_number, metadata.campaign_id) == ("+12025550143", "c1")


@pytest.mark.parametrize(
    ("values", "field", "expected", "problem"),
    [
        ({"agentId": 7}, "agent_id", "7", "agentId is a number, taken as text"),
        ({"agentId": ["a"]}, "agent_id", None, "agentId is a list, not text: ignored"),
        ({"agentId": "a" * 201}, "agent_id", None, "agentId is 201 characters long: ignored"),
        ({"outbound_trunk_id": "  "}, "outbound_trunk_id", None, None),
        ({"outbound_trunk_id": ""}, "outbound_trunk_id", None, None),
        ({"outbound_trunk_id": " ST_1\n"}, "outbound_trunk_id", "ST_1", None),
        ({"outbound_trunk_id": {}}, "outbound_trunk_id", None, "outbound_trunk_id is an object, not text: ignored"),
        ({"contactName": None}, "contact_name", None, None),
        ({"contactName": True}, "contact_name", None, "contactName is true or false, not text: ignored"),
        ({"contactName": "A\x00na\ud800"}, "contact_name", "Ana\ufffd", None),
        ({"campaignPrompt": ["Hi"]}, "campaign_prompt", None, "campaignPrompt is a list, not text: ignored"),
        ({"callId": str(CALL)}, "call_id", CALL, None),
        ({"callId": "call-1"}, "call_id", None, "callId is not a call id: ignored"),
        ({"attempt": 3}, "attempt", 3, None),
        ({"attempt": " 3 "}, "attempt", 3, None),
        ({"attempt": "٣"}, "attempt", None, "attempt is not a whole number: ignored"),
        ({"attempt": 0}, "attempt", None, "attempt is not a whole number: ignored"),
        ({"attempt": 2**31}, "attempt", None, "attempt is not a whole number: ignored"),
        ({"attempt": True}, "attempt", None, "attempt is not a whole number: ignored"),
        ({"variables": {"city": "Bonn", "age": 40}}, "variables", {"city": "Bonn", "age": "40"}, "variables.age"),
        ({"variables": '{"city": "Bonn"}'}, "variables", {"city": "Bonn"}, None),
        ({"variables": ["Bonn"]}, "variables", {}, "variables is a list, not an object: ignored"),
        ({"variables": {"tags": ["a"]}}, "variables", {}, "variables.tags is a list, not text: ignored"),
    ],
)
def test_a_field_of_the_wrong_type_costs_the_field_and_is_reported(
    values: dict[str, Any], field: str, expected: Any, problem: str | None
) -> None:
    metadata = parse_job(job(**values))
    assert getattr(metadata, field) == expected
    assert metadata.phone_number == "+12025550143"
    assert [problem in found for found in metadata.problems] == [True] if problem else metadata.problems == ()


def test_a_number_that_fills_a_page_is_cut_so_that_its_refusal_can_be_stored() -> None:
    metadata = parse_job(job(phone_number="+1" + "2" * 100_000))
    assert metadata.is_outbound
    assert metadata.phone_number is not None
    assert len(metadata.phone_number) == 64


def test_a_thousand_bad_fields_do_not_fill_the_log() -> None:
    metadata = parse_job(job(variables={f"column {n}" * 40: [] for n in range(1000)}))
    assert len("".join(metadata.problems)) < 2000


@given(st.text() | JSON.map(json.dumps) | SHAPED.map(json.dumps) | SHAPED.map(json.dumps).map(json.dumps))
@example('"\ud800"')
@example('{"phone_number": "\\ud83d"}')
def test_parsing_raises_nothing_but_a_metadata_error(raw: str) -> None:
    parse_room(raw)
    try:
        metadata = parse_job(raw)
    except MetadataError as error:
        reason = str(error)
    else:
        reason = "none"
        metadata.to_json().encode()
    assert reason


STORABLE = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"))
IDENTIFIERS = st.none() | st.text("abcXYZ019-_", min_size=1, max_size=200)


@given(
    st.builds(
        JobMetadata,
        phone_number=st.none() | st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True),
        agent_id=IDENTIFIERS,
        call_type=IDENTIFIERS,
        campaign_id=IDENTIFIERS,
        contact_name=st.none() | STORABLE,
        campaign_prompt=st.none() | STORABLE,
        outbound_trunk_id=IDENTIFIERS,
        call_id=st.none() | st.uuids(),
        contact_id=IDENTIFIERS,
        attempt=st.none() | st.integers(1, 2**31 - 1),
        email=st.none() | STORABLE,
        variables=st.dictionaries(STORABLE, STORABLE),
        problems=st.just(()),
    )
)
def test_job_metadata_survives_the_journey(metadata: JobMetadata) -> None:
    assert parse_job(metadata.to_json()) == metadata
    assert parse_job(json.dumps(metadata.to_json())) == metadata


@given(
    st.builds(
        RoomContext,
        campaign_prompt=STORABLE,
        contact_name=STORABLE,
        contact_email=STORABLE,
        contact_phone=STORABLE,
        assistant_id=IDENTIFIERS,
        campaign_id=IDENTIFIERS,
        problems=st.just(()),
    )
)
def test_room_context_survives_the_journey(context: RoomContext) -> None:
    assert parse_room(context.to_json()) == context


# TC-031: the limit is in bytes


def test_a_prompt_that_livekit_would_not_take_is_refused_before_anything_is_created() -> None:
    prompt = "😀" * 150_000
    with pytest.raises(MetadataError, match=r"600.* bytes long, LiveKit takes 524288; shorten the campaign prompt"):
        JobMetadata(phone_number="+12025550143", campaign_prompt=prompt).to_json()
    with pytest.raises(MetadataError):
        RoomContext(campaign_prompt="x" * 600_000).to_json()


def test_a_prompt_just_under_the_limit_goes_through() -> None:
    empty = len(JobMetadata(campaign_prompt="").to_json())
    metadata = JobMetadata(campaign_prompt="😀" * ((MAX_BYTES - empty) // 4))
    assert parse_job(metadata.to_json()) == metadata
    with pytest.raises(MetadataError):
        replace(metadata, campaign_prompt=f"{metadata.campaign_prompt}1234").to_json()


# Room metadata


def test_the_rooms_context_of_the_specification_is_understood() -> None:
    assert parse_room(json.dumps(SPECIFIED_ROOM)) == RoomContext(
        campaign_prompt="Hello {name}, this is about our new product...",
        contact_name="John Doe",
        contact_email="john@example.com",
        contact_phone="+1234567890",
        assistant_id="assistant-123",
        campaign_id="campaign-456",
    )


@pytest.mark.parametrize(
    ("contact", "name", "problems"),
    [
        (None, "", 0),
        ({}, "", 0),
        ({"name": None}, "", 0),
        ({"name": 5}, "5", 1),
        ({"name": ["Ana"]}, "", 1),
        ([], "", 1),
        ("Ana", "", 1),
        (json.dumps({"name": "Ana"}), "Ana", 0),
        (7, "", 1),
    ],
)
def test_contact_information_of_any_shape_is_no_reason_to_fail(contact: Any, name: str, problems: int) -> None:
    context = parse_room(json.dumps(SPECIFIED_ROOM | {"contactInfo": contact}))
    assert context.contact_name == name
    assert context.assistant_id == "assistant-123"
    assert len(context.problems) == problems


# Room names


def test_a_second_dispatch_of_a_call_meets_the_first_in_its_room() -> None:
    room = outbound_room("+12025550143", CALL)
    assert room == outbound_room("+12025550143", CALL) != outbound_room("+12025550143", uuid4())
    assert room == "call-+12025550143-6d1dd0c65a0b4d4e"
    assert is_outbound_room(room)
    assert number_in_room(room) == "+12025550143"


@pytest.mark.parametrize(
    ("room", "number"),
    [
        ("call-+1234567890-1234567890", "+1234567890"),
        ("call-12025550143-abc", "12025550143"),
        ("call-_+12025550188_hFQx3", None),
        ("call-+12025550188_hFQx3", None),
        ("did-+12025550143", None),
        ("call-+12025550143", None),
        ("call-+12025550143-", None),
        ("call-٣٣٣٣٣٣٣٣-x", None),
        ("my-call-+12025550143-x", None),
        ("", None),
    ],
)
def test_only_a_dispatchers_room_is_outbound(room: str, number: str | None) -> None:
    assert number_in_room(room) == number
    assert is_outbound_room(room) is (number is not None)


@pytest.mark.parametrize(
    ("room", "did"),
    [
        pytest.param("did-+12025550143", "+12025550143", id="TC-070-bare"),
        pytest.param("did-+12025550143_Ab12", "+12025550143", id="TC-070-random"),
        pytest.param("did-+12025550143::+12025550188", "+12025550143", id="TC-070-both-numbers"),
        pytest.param("did-+12025550143_+12025550188_sV5c5UpszBZx", "+12025550143", id="individual-rule"),
        pytest.param("did-+12025550143_anonymous_sV5c5Ups", "+12025550143", id="TC-074-anonymous"),
        pytest.param("did-+12025550143-2", "+12025550143", id="dash"),
        pytest.param("did-12025550143_12025550188_x", "12025550143", id="without-plus"),
        pytest.param("did-0012025550143_x", "0012025550143", id="double-zero"),
        pytest.param("did-2025550143_x", "2025550143", id="national"),
        pytest.param("did-02079460123", "02079460123", id="national-with-zero"),
        pytest.param("did-%2B12025550143_x", "+12025550143", id="escaped"),
        pytest.param("did-tel:+12025550143", "+12025550143", id="tel"),
        pytest.param("DID-+12025550143_Ab12", "+12025550143", id="capital"),
        pytest.param("did-0000000000", None, id="zeros"),
        pytest.param("did-911", None, id="short-code"),
        pytest.param("did-_anonymous_hFQx3", None, id="hidden-caller"),
        pytest.param("call-_+12025550188_hFQx3", None, id="TC-070-caller"),
        pytest.param("did-_+12025550188_hFQx3", None, id="prefix-alone-holds-the-caller"),
        pytest.param("did-+1202555014312345678", None, id="too-long"),
        pytest.param("did-+٣٣٣٣٣٣٣٣", None, id="not-latin"),
        pytest.param("did-sales", None, id="word"),
        pytest.param("playground-12025550143", None, id="other"),
        pytest.param("", None, id="nothing"),
    ],
)
def test_the_dialled_number_in_a_rooms_name_is_found_and_the_caller_never_taken_for_it(
    room: str, did: str | None
) -> None:
    assert did_in_room(room) == did


@given(st.text())
def test_any_room_name_can_be_read(room: str) -> None:
    assert (number_in_room(room) is not None) == is_outbound_room(room)
    did_in_room(room)
