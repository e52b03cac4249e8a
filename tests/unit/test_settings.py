"""The environment: every variable of the specification, and a sentence for each that is wrong."""

import os
from pathlib import Path

import pytest

from voiceagents.settings import Settings, SettingsError, load

pytestmark = pytest.mark.unit

SPECIFIED = {
    "LIVEKIT_URL": "wss://your-livekit-host",
    "LIVEKIT_API_KEY": "your_api_key",
    "LIVEKIT_API_SECRET": "your_api_secret",
    "LK_AGENT_NAME": "sales",
    "SIP_TRUNK_ID": "your_sip_trunk_id",
    "OPENAI_API_KEY": "your_openai_key",
    "OPENAI_LLM_MODEL": "llm",
    "OPENAI_STT_MODEL": "stt",
    "OPENAI_TTS_MODEL": "tts",
    "OPENAI_TTS_VOICE": "echo",
    "FORCE_FIRST_MESSAGE": "false",
}


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)  # no .env of the folder that the tests run in


def given(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return load()


def test_every_variable_of_the_specification_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, **SPECIFIED)
    assert settings.livekit.url == "wss://your-livekit-host"
    assert settings.livekit.api_key == "your_api_key"
    assert settings.livekit.api_secret.get_secret_value() == "your_api_secret"
    assert (settings.lk_agent_name, settings.sip_trunk_id) == ("sales", "your_sip_trunk_id")
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == "your_openai_key"
    models = (
        settings.openai_llm_model,
        settings.openai_stt_model,
        settings.openai_tts_model,
        settings.openai_tts_voice,
    )
    assert models == ("llm", "stt", "tts", "echo")
    assert settings.force_first_message is False


def test_the_defaults_are_those_of_the_specification() -> None:
    settings = load()
    assert settings.lk_agent_name == "ai"
    assert settings.sip_trunk_id is None
    assert settings.openai_llm_model == "gpt-4o-mini"
    assert settings.openai_stt_model == "gpt-4o-transcribe"
    assert settings.openai_tts_model == "gpt-4o-mini-tts"
    assert settings.openai_tts_voice == "alloy"
    assert settings.force_first_message is True
    assert settings.log_pii is False
    assert settings.offline_speech


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("True", True), ("1", True), ("yes", True), ("on", True), ("false", False), ("0", False),
     ("NO", False), ("off", False), ("", True), (" ", True), (" false\r", False)],
)  # fmt: skip
def test_switches_are_read_as_people_write_them(text: str, value: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert given(monkeypatch, FORCE_FIRST_MESSAGE=text).force_first_message is value


def test_a_blank_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, **{name: " " for name in SPECIFIED})
    assert settings == load()
    assert settings.sip_trunk_id is None
    assert settings.lk_agent_name == "ai"
    assert settings.offline_speech


def test_blanks_and_line_ends_around_a_value_are_no_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = given(monkeypatch, **{name: f" {value}\r\n" for name, value in SPECIFIED.items()}, LOG_LEVEL=" debug ")
    assert settings.livekit.url == "wss://your-livekit-host"
    assert settings.livekit.api_secret.get_secret_value() == "your_api_secret"
    assert settings.lk_agent_name == "sales"
    assert settings.log_level == "DEBUG"


def test_values_come_from_a_env_file_too_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("LK_AGENT_NAME=from-file\r\nSIP_TRUNK_ID=ST_file\nOTHER=1\n")
    settings = given(monkeypatch, SIP_TRUNK_ID="ST_env")
    assert (settings.lk_agent_name, settings.sip_trunk_id) == ("from-file", "ST_env")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LIVEKIT_URL", "your-livekit-host", "LIVEKIT_URL: "),
        ("LIVEKIT_URL", "wss://", "LIVEKIT_URL: "),
        ("LIVEKIT_URL", "wss://a host", "LIVEKIT_URL: "),
        ("OPENAI_BASE_URL", "localhost:8000/v1", "OPENAI_BASE_URL: "),
        ("FORCE_FIRST_MESSAGE", "maybe", "FORCE_FIRST_MESSAGE: "),
        ("RINGING_TIMEOUT", "0", "RINGING_TIMEOUT: "),
        ("RINGING_TIMEOUT", "a while", "RINGING_TIMEOUT: "),
        ("RINGING_TIMEOUT", "inf", "RINGING_TIMEOUT: "),
        ("RINGING_TIMEOUT", "nan", "RINGING_TIMEOUT: "),
        ("MAX_CALL_DURATION", "1", "MAX_CALL_DURATION: "),
        ("AGENT_MAX_CALLS", "0", "AGENT_MAX_CALLS: "),
        ("AGENT_JOB_EXECUTOR", "fork", "AGENT_JOB_EXECUTOR: "),
        ("LOG_LEVEL", "loud", "LOG_LEVEL: "),
        ("SIP_TRUNK_ID", "+12025550143", "SIP_TRUNK_ID: this is a telephone number; a trunk id looks like ST_"),
    ],
)
def test_a_wrong_value_is_named_by_its_variable(
    variable: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingsError) as caught:
        given(monkeypatch, **{variable: value})
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as caught:
        given(monkeypatch, LIVEKIT_URL="x", LOG_LEVEL="loud", RINGING_TIMEOUT="0")
    assert all(name in str(caught.value) for name in ("LIVEKIT_URL", "LOG_LEVEL", "RINGING_TIMEOUT"))


@pytest.mark.parametrize(
    ("present", "said"),
    [
        ([], "LIVEKIT_URL, LIVEKIT_API_KEY, LIVEKIT_API_SECRET are not set."),
        (["LIVEKIT_URL"], "LIVEKIT_API_KEY, LIVEKIT_API_SECRET are not set."),
        (["LIVEKIT_URL", "LIVEKIT_API_KEY"], "LIVEKIT_API_SECRET is not set."),
    ],
)
def test_what_is_missing_for_livekit_is_named_with_the_mend(
    present: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = given(monkeypatch, **{name: SPECIFIED[name] for name in present})
    with pytest.raises(SettingsError) as caught:
        _ = settings.livekit
    assert str(caught.value).startswith(said)
    assert "voiceagents lab up" in str(caught.value)


def test_secrets_show_neither_in_the_settings_nor_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "LIVEKIT_API_SECRET": "s3cr3t-1", "OPENAI_API_KEY": "s3cr3t-2", "DATABASE_URL": "postgresql://u:s3cr3t-3@h/d",
    }  # fmt: skip
    assert "s3cr3t" not in repr(given(monkeypatch, **secrets))
    with pytest.raises(SettingsError) as caught:
        given(monkeypatch, LOG_LEVEL="loud")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    ("variables", "offline"),
    [
        ({}, True),
        ({"OPENAI_API_KEY": "k"}, False),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"}, False),
    ],
)
def test_without_any_model_configured_the_offline_voice_speaks(
    variables: dict[str, str], offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert given(monkeypatch, **variables).offline_speech is offline


def test_data_lie_where_the_desktop_says_and_for_root_where_postgresqls_own_user_can_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert load().voiceagents_data == tmp_path / "voiceagents"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert load().voiceagents_data == Path("/var/lib/voiceagents")
