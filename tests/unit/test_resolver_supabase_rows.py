"""What does a row of a sass-livekit assistant table mean to us? Odd values cost themselves, never the assistant."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from voiceagents.assistants.draft import TransferTarget
from voiceagents.assistants.supabase_rows import AssistantColumns, SupabaseMapping, resolved
from voiceagents.calendars import store

pytestmark = pytest.mark.unit

ROW: dict[str, Any] = {
    "id": "5a1c1a3e-5c1e-4f9b-9d6a-0d7f3a1b2c3d",
    "name": "Front desk",
    "prompt": "Be kind.",
    "first_message": "Hello, front desk.",
    "language_setting": "en",
    "llm_provider_setting": "OpenAI",
    "llm_model_setting": "gpt-4o-mini",
    "temperature_setting": 0.4,
    "voice_provider_setting": "OpenAI",
    "voice_name_setting": "echo",
    "end_call_message": "Goodbye.",
    "max_call_duration": 30,
    "silence_timeout": 20,
    "calendar": "CalCom",
    "cal_api_key": "cal_live_secret",
    "cal_event_type_id": "12345",
    "cal_timezone": "America/New_York",
    "transfer_enabled": True,
    "transfer_country_code": "+1",
    "transfer_phone_number": "2025550177",
    "transfer_condition": "wants a person",
    "user_id": "somebody",
    "created_at": "2026-01-01T00:00:00+00:00",
}
COLUMNS = AssistantColumns()


def of(**changes: Any) -> Any:
    return resolved(ROW | changes, COLUMNS)


def test_a_row_says_all_that_a_call_needs() -> None:
    found = of()
    assert (found.id, found.name, found.prompt, found.first_message) == (
        ROW["id"], "Front desk", "Be kind.", "Hello, front desk.",
    )  # fmt: skip
    assert (found.source, found.resolver, found.version) == ("resolver.supabase", "resolver.supabase", None)
    assert (found.language, found.llm_model, found.temperature, found.voice) == ("en", "gpt-4o-mini", 0.4, "echo")
    assert found.end_call_message == "Goodbye."
    assert found.max_call_duration == 1800, "minutes there, seconds here"
    assert (found.silence_ask_after, found.silence_hang_up_after) == (10, 10)
    assert found.transfer_targets == (
        TransferTarget(name="colleague", number="+12025550177", description="wants a person"),
    )
    assert found.calendar == {
        "provider": "calcom",
        "settings": {"api_key": "cal_live_secret", "event_type_id": "12345", "zone": "America/New_York"},
    }


def test_the_calendar_of_a_row_can_be_opened() -> None:
    calendar = of().calendar
    opened = store.opened("front", "Front desk's calendar", calendar["provider"], calendar["settings"])
    assert opened.zone.key == "America/New_York"


def test_who_may_be_transferred_can_be() -> None:
    assert of().tools == {"transfer": {}}
    assert of(transfer_enabled=False).tools == {}


def test_a_row_cannot_have_a_variable_of_ours_sent_anywhere(caplog: pytest.LogCaptureFixture) -> None:
    assert of(cal_api_key="env:DATABASE_URL").calendar is None
    assert "field=cal_api_key" in caplog.text
    assert "DATABASE_URL" not in caplog.text


def test_a_calendars_key_is_not_shown() -> None:
    assert "cal_live_secret" not in repr(of())


@pytest.mark.parametrize(
    ("changes", "name", "value"),
    [
        ({"voice_provider_setting": "ElevenLabs", "voice_name_setting": "Rachel"}, "voice", None),
        ({"voice_provider_setting": None}, "voice", "echo"),
        ({"llm_provider_setting": "Groq", "llm_model_setting": "llama"}, "llm_model", None),
        ({"temperature_setting": "0.7"}, "temperature", 0.7),
        ({"temperature_setting": "warm"}, "temperature", None),
        ({"temperature_setting": 17}, "temperature", None),
        ({"temperature_setting": None}, "temperature", None),
        ({"language_setting": "English"}, "language", "en"),
        ({"language_setting": "de"}, "language", "de"),
        ({"language_setting": None}, "language", "en"),
        ({"max_call_duration": 0}, "max_call_duration", None),
        ({"max_call_duration": "5"}, "max_call_duration", 300),
        ({"max_call_duration": 100_000}, "max_call_duration", None),
        ({"silence_timeout": None}, "silence_hang_up_after", None),
        ({"silence_timeout": 1}, "silence_ask_after", 1.0),
        ({"first_message": None}, "first_message", ""),
        ({"prompt": None}, "prompt", ""),
        ({"name": None}, "name", "assistant"),
        ({"transfer_enabled": False}, "transfer_targets", ()),
        ({"transfer_phone_number": "call me"}, "transfer_targets", ()),
        ({"transfer_phone_number": None}, "transfer_targets", ()),
        ({"cal_api_key": None}, "calendar", None),
        ({"cal_event_type_id": ""}, "calendar", None),
        ({"calendar": "None"}, "calendar", None),
        ({"background_sound_setting": "none"}, "background_sound", None),
        ({"background_sound_setting": "office ambience"}, "background_sound", "office-ambience"),
        ({"background_sound_setting": "spaceship"}, "background_sound", None),
        ({"id": 17}, "id", "17"),
    ],
)
def test_a_value_we_cannot_use_is_left_out(changes: dict[str, Any], name: str, value: object) -> None:
    found = of(**changes)
    assert getattr(found, name) == value
    assert found.end_call_message == "Goodbye."


def test_what_is_left_out_is_logged_without_the_value(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "voiceagents.resolver"):
        of(temperature_setting="secret", transfer_phone_number="secret")
    assert [line.split(" | ")[2] for line in caplog.messages] == ["field=temperature", "field=transfer_number"]
    assert "secret" not in caplog.text


def test_a_table_may_have_other_columns_and_lack_most() -> None:
    mapping = SupabaseMapping.model_validate(
        {"assistants": {"table": "bots", "prompt": "instructions", "voice": "", "max_call_seconds": "limit"}}
    )
    found = resolved(
        {"id": "a", "instructions": "Be brief.", "limit": 90, "voice_name_setting": "x"}, mapping.assistants
    )
    assert (found.prompt, found.max_call_duration, found.voice, found.name) == ("Be brief.", 90, None, "assistant")
    with pytest.raises(ValidationError):
        SupabaseMapping.model_validate({"assistants": {"promt": "x"}})


_CELL = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()) | st.just({})


@given(st.dictionaries(st.sampled_from(sorted({column for _, column in COLUMNS if column})), _CELL))
def test_no_row_costs_the_call(row: dict[str, Any]) -> None:
    found = resolved(row, COLUMNS)
    assert found.resolver == "resolver.supabase"
    assert found.name
