"""Which sources does an installation ask? Its environment says so, and a slip in it is a message, not a traceback."""

import logging
from pathlib import Path

import pytest

from voiceagents.assistants import sources
from voiceagents.settings import SettingsError, load

pytestmark = pytest.mark.unit

URL, KEY = "https://abc.supabase.co", "service-role-secret"


@pytest.fixture(autouse=True)
def _no_file_and_no_resolver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sources, "_resolver", None)
    for name in ("SUPABASE_URL", "SUPABASE_SERVICE_ROLE_KEY", "SUPABASE_MAPPING", "RESOLVER_CACHE_SECONDS"):
        monkeypatch.delenv(name, raising=False)


def set_to(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def test_without_supabase_there_is_our_database_alone() -> None:
    settings = load()
    assert sources.supabase(settings) is None
    assert settings.resolver_cache_seconds == 60
    assert sources.resolver(settings) is sources.resolver(settings)


def test_tables_and_columns_are_sass_livekits_unless_named(monkeypatch: pytest.MonkeyPatch) -> None:
    mapping = '{"numbers": {"table": "dids"}, "assistants": {"prompt": "instructions"}}'
    set_to(monkeypatch, SUPABASE_URL=URL, SUPABASE_SERVICE_ROLE_KEY=KEY, SUPABASE_MAPPING=mapping)
    settings = load()
    found = sources.mapping(settings)
    assert (found.numbers.table, found.numbers.number, found.numbers.assistant) == (
        "dids", "number", "inbound_assistant_id",
    )  # fmt: skip
    assert (found.assistants.table, found.assistants.prompt) == ("assistant", "instructions")
    assert (found.assistants.max_call_minutes, found.assistants.cal_time_zone) == ("max_call_duration", "cal_timezone")
    source = sources.supabase(settings)
    assert source is not None
    assert source.name == "resolver.supabase"
    assert KEY not in repr(settings) + repr(source) + str(vars(source))


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"SUPABASE_URL": URL}, "SUPABASE_SERVICE_ROLE_KEY"),
        ({"SUPABASE_SERVICE_ROLE_KEY": KEY}, "SUPABASE_URL"),
        ({"SUPABASE_URL": "abc.supabase.co", "SUPABASE_SERVICE_ROLE_KEY": KEY}, "SUPABASE_URL"),
        ({"SUPABASE_MAPPING": "{broken"}, "SUPABASE_MAPPING: this is broken JSON"),
        ({"SUPABASE_MAPPING": "[1]"}, "SUPABASE_MAPPING"),
        ({"RESOLVER_CACHE_SECONDS": "-1"}, "RESOLVER_CACHE_SECONDS"),
        ({"RESOLVER_CACHE_SECONDS": "soon"}, "RESOLVER_CACHE_SECONDS"),
    ],
)
def test_a_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], says: str) -> None:
    set_to(monkeypatch, **variables)
    with pytest.raises(SettingsError, match=says) as refused:
        load()
    assert KEY not in str(refused.value)


def test_a_column_that_we_do_not_know_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    set_to(
        monkeypatch, SUPABASE_URL=URL, SUPABASE_SERVICE_ROLE_KEY=KEY, SUPABASE_MAPPING='{"assistants": {"promt": "x"}}'
    )
    with pytest.raises(SettingsError, match=r"assistants\.promt"):
        sources.supabase(load())
    with caplog.at_level(logging.ERROR):
        assert sources.resolver(load()) is not None, "no call is lost for it"
    assert "promt" in caplog.text
