"""The specification's log lines to the letter, and what a log must never show."""

import json
import logging
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voiceagents import logs

pytestmark = pytest.mark.unit

ROOM = "call-+1234567890-1234567890"
E164 = st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True)
AROUND = st.text() | st.text(alphabet="+_-.:/@=|'\" sip_call-did٣x\n")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Generator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure()
    root.handlers[:], root.level = handlers, level
    yield
    logs.configure()
    root.handlers[:], root.level = handlers, level


@pytest.fixture
def log_pii() -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    logs.configure(log_pii=True)
    root.handlers[:], root.level = handlers, level


# The lines of the specification


def dispatch_received(count: int, room: str, metadata: str) -> str:
    return logs.event("🎯 DISPATCH_RECEIVED", count=count, room=logs.room(room), job_metadata=logs.metadata(metadata))


@pytest.mark.usefixtures("log_pii")
def test_with_log_pii_the_lines_are_those_of_the_specification() -> None:
    metadata = '{"phone_number":"+1234567890","agentId":"assistant-123"}'
    assert dispatch_received(1, ROOM, metadata) == (
        "🎯 DISPATCH_RECEIVED | count=1 | room=call-+1234567890-1234567890 | "
        'job_metadata={"phone_number":"+1234567890","agentId":"assistant-123"}'
    )
    assert dispatch_received(2, "did-+1234567890", "{}") == (
        "🎯 DISPATCH_RECEIVED | count=2 | room=did-+1234567890 | job_metadata={}"
    )
    assert logs.event("🔥 OUTBOUND_CALL_DETECTED", phone_number=logs.number("+1234567890")) == (
        "🔥 OUTBOUND_CALL_DETECTED | phone_number=+1234567890"
    )
    assert logs.event(
        "📞 OUTBOUND_CALL_START", phone_number=logs.number("+1234567890"), trunk_id="trunk-789", room=logs.room(ROOM)
    ) == ("📞 OUTBOUND_CALL_START | phone_number=+1234567890 | trunk_id=trunk-789 | room=call-+1234567890-1234567890")
    assert logs.event("📞 INBOUND_CALL_DETECTED", phone_number=logs.number(None)) == (
        "📞 INBOUND_CALL_DETECTED | phone_number=None"
    )
    assert logs.redact("+1234567890") == "+1234567890"
    assert logs.name("Ana") == "Ana"


def test_without_it_the_same_lines_hold_no_number_and_no_name() -> None:
    metadata = (
        '{"phone_number":"+1234567890","agentId":"assistant-123","contactName":"John Doe","campaignPrompt":"Hello"}'
    )
    assert dispatch_received(1, ROOM, metadata) == (
        "🎯 DISPATCH_RECEIVED | count=1 | room=call-+1*******90-1234567890 | "
        'job_metadata={"phone_number":"+1*******90","agentId":"assistant-123",'
        '"contactName":"<8 characters>","campaignPrompt":"<5 characters>"}'
    )
    assert logs.event("🔥 OUTBOUND_CALL_DETECTED", phone_number=logs.number("+1234567890")) == (
        "🔥 OUTBOUND_CALL_DETECTED | phone_number=+1*******90"
    )
    assert logs.event("📞 INBOUND_CALL_DETECTED", phone_number=logs.number(None)) == (
        "📞 INBOUND_CALL_DETECTED | phone_number=None"
    )
    assert logs.name("Ana") == "A***"
    assert logs.name("") == logs.name(None) == "-"


KEYS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1)


@given(st.lists(st.tuples(KEYS, st.text() | st.integers() | st.none()), unique_by=lambda pair: pair[0]))
def test_an_event_keeps_the_order_of_its_keys_and_stays_on_one_line(fields: list[tuple[str, Any]]) -> None:
    line = logs.event("EVENT", **dict(fields))
    assert line.startswith("EVENT")
    assert len(line.splitlines()) == 1
    position = 0
    for key, _ in fields:
        position = line.index(f" | {key}=", position)


@pytest.mark.usefixtures("log_pii")
def test_metadata_cannot_write_log_lines_of_its_own() -> None:
    forged = '{\n"x": 1}\r\n2026 INFO ✅ OUTBOUND_CALL_CONNECTED\u2028\x1b[31m'
    line = dispatch_received(1, ROOM, forged)
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line
    assert '{\\n"x": 1}' in line


# Metadata in the log


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        pytest.param(None, "{}", id="none"),
        pytest.param("", "{}", id="empty"),
        pytest.param(" \n", "{}", id="blank"),
        pytest.param("{}", "{}", id="empty-object"),
        pytest.param("{'a': 1}", "<8 characters, not JSON>", id="TC-028-broken"),
        pytest.param("[1]", '"<list of 1>"', id="TC-029-list"),
        pytest.param('"+12025550143"', '"<12 characters>"', id="TC-029-string"),
        pytest.param("12025550143", '"<a number>"', id="TC-029-number"),
        pytest.param('{"phone_number":12025550143}', '{"phone_number":"1********43"}', id="number-as-number"),
        pytest.param('{"phone":null,"vip":true}', '{"phone":null,"vip":true}', id="null-and-true"),
        pytest.param('{"mobile":12025550143}', '{"mobile":"<a number>"}', id="unknown-key-number"),
        pytest.param('{"note":"call Ana"}', '{"note":"<8 characters>"}', id="unknown-key-text"),
        pytest.param('{"PHONE_NUMBER":"+12025550143"}', '{"PHONE_NUMBER":"+1********43"}', id="case"),
        pytest.param(
            '{"contactInfo":{"name":"Ana","email":"a@b.c","phone":"+12025550143","street":"1 Main St"}}',
            '{"contactInfo":{"name":"<3 characters>","email":"<5 characters>","phone":"+1********43",'
            '"street":"<9 characters>"}}',
            id="contact",
        ),
        pytest.param('{"variables":{"street":"1 Main St"}}', '{"variables":{"street":"<9 characters>"}}', id="columns"),
        pytest.param('{"a":{"b":{"name":"Ana"}}}', '{"a":{"b":"<an object>"}}', id="deep"),
        pytest.param('{"agentId":"a-1","attempt":2}', '{"agentId":"a-1","attempt":2}', id="plain"),
        pytest.param('{"contactId":"+12025550143"}', '{"contactId":"+1********43"}', id="number-as-an-id"),
        pytest.param('{"+12025550143":"x"}', '{"+1********43":"<1 characters>"}', id="number-as-a-key"),
        pytest.param("[" * 100_000, "<100000 characters, not JSON>", id="nested"),
    ],
)
def test_metadata_shows_its_keys_and_nothing_of_the_person(raw: str | None, shown: str) -> None:
    assert logs.metadata(raw) == shown


def test_objects_nested_as_deep_as_json_allows_are_shown() -> None:
    assert logs.metadata('{"a":' * 900 + "1" + "}" * 900) == '{"a":{"a":"<an object>"}}'


@given(JSON)
@example(float("inf"))
@example("\ud800")
def test_any_metadata_can_be_shown_without_the_persons_words(value: Any) -> None:
    raw = json.dumps({"contactName": "Wolfeschlegelstein", "phone_number": "+12025550143", "more": value})
    shown = logs.metadata(raw)
    assert "Wolfeschlegelstein" not in shown
    assert "2025550143" not in shown
    assert logs.metadata(json.dumps(value))


@pytest.mark.usefixtures("log_pii")
def test_a_prompt_of_half_a_megabyte_does_not_fill_the_log() -> None:
    assert len(logs.metadata(json.dumps({"campaignPrompt": "x" * 500_000}))) < 10_000


# Redaction


@given(AROUND, E164, AROUND)
@example("", "+12025550143", "٣")
@example("%2B", "+12025550143", ".")
def test_no_e164_number_survives_whatever_stands_around_it(before: str, number: str, after: str) -> None:
    shown = logs.redact(before + number + after)
    assert number not in shown
    assert number[1:] not in shown or number[1:] in before + after


@given(st.text() | st.text(alphabet="+1234567890_-. =:'\"{}&,") | AROUND)
@example("password=bearer bearer x api_key: secret")
@example("postgresql://u:p:q@r@host/x")
def test_what_is_redacted_stays_so(text: str) -> None:
    once = logs.redact(text)
    assert logs.redact(once) == once


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("room did-+15550199999_+12025550111_sV5c", "room did-+1********99_+1********11_sV5c"),
        ("room did-15550199999_12025550111_sV5c", "room did-1********99_1********11_sV5c"),
        ("room call-12025550143-6d1d", "room call-1********43-6d1d"),
        ("identity sip_12025550111 left", "identity sip_1********11 left"),
        ("INVITE sip:12025550143@10.0.0.1:5060", "INVITE sip:1********43@10.0.0.1:5060"),
        ("caller 12025550143.", "caller 1********43."),
        ("Phone 12025550143, 12025550144", "Phone 1********43, 1********44"),
        ("GET /calls?to=%2B12025550143&x=1", "GET /calls?to=%2B1********43&x=1"),
        ("tel:+12025550143;ext=1", "tel:+1********43;ext=1"),
    ],
)
def test_numbers_are_found_as_libraries_print_them(text: str, shown: str) -> None:
    assert logs.redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "call 6d1dd0c6-5a0b-4d4e-9f5e-6c1b7a2f9c11",
        "call 11111111-2222-4333-8444-123456789012",
        "SCL_8vJ2aXq9Tt, RM_1234567890abc",
        "1764072000.123 s",
        "2026-11-25T14:31:00Z",
        "took 1234 ms",
        "sha256 9f86d081884c7d659a2feaa0c55ad015",
    ],
)
def test_ids_and_times_stay_readable(text: str) -> None:
    assert logs.redact(text) == text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer eyJhbGciOi.J9.x", "eyJhbGciOi"),
        ("{'Authorization': 'Bearer eyJhbGciOi'}", "eyJhbGciOi"),
        ('{"api_key": "APIx123", "api_secret": "s3cr3t"}', "s3cr3t"),
        ("LIVEKIT_API_SECRET=s3cr3t", "s3cr3t"),
        ("ws://lk:7880/rtc?access_token=s3cr3t&auto=1", "s3cr3t"),
        ("password = s3cr3t", "s3cr3t"),
        ("postgresql://user:s3cr3t@db:5432/calls", "s3cr3t"),
        ("postgresql+psycopg://user:s3:cr@3t@db/calls", "3t@"),
        ("Incorrect API key provided: sk-proj-s3cr3ts3cr3t.", "s3cr3t"),
    ],
)
def test_secrets_never_reach_the_log(text: str, secret: str) -> None:
    assert secret not in logs.redact(text)
    assert "***" in logs.redact(text)


@pytest.mark.usefixtures("log_pii")
def test_secrets_are_hidden_even_when_numbers_are_shown() -> None:
    assert logs.redact("password=s3cr3t for +12025550143") == "password=*** for +12025550143"


# The gate on every handler


def logged(message: str, *args: object, error: Exception | None = None, stack: str | None = None) -> str:
    record = logging.LogRecord("library", logging.INFO, "x.py", 1, message, args, None)
    if error is not None:
        try:
            raise error
        except Exception as raised:
            record.exc_info = (type(raised), raised, raised.__traceback__)
    record.stack_info = stack
    assert logs.RedactingFilter().filter(record)
    return logging.Formatter("%(message)s").format(record)


def test_what_libraries_log_goes_through_the_same_gate() -> None:
    assert logged("dialing %s", "+12025550143") == "dialing +1********43"
    assert "2025550143" not in logged("failed", error=RuntimeError("no answer from +12025550143"))
    assert "2025550143" not in logged("here", stack="Stack: to='+12025550143'")


@pytest.mark.parametrize(
    ("message", "args"), [("%d calls", ("many",)), ("%s and %s", ("one",)), ("%q", (1,)), ("%(x)s", ({"y": 1},))]
)
def test_a_slip_in_a_librarys_log_line_never_reaches_the_call(message: str, args: tuple[object, ...]) -> None:
    assert message in logged(message, *args)


def test_the_process_logs_through_the_gate_and_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="INFO")
    logging.getLogger("voiceagents.test").info("to %s with password=s3cr3t \ud83d", "+12025550143")
    logging.getLogger("httpx").info("chatter")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "to +1********43 with password=*** " in captured.err
    assert "chatter" not in captured.err
