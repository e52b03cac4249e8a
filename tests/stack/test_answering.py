"""What is done with whoever or whatever answers: voicemails, screeners, menus, faxes, announcements, and people.

Every call goes the whole way; what the phone heard is read off the carrier's recording.
"""

from typing import Any

import pytest

from tests.stack.conftest import Over, Scenario, calls
from voiceagents.calls.states import AnsweredBy, EndedBy, Outcome

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

SCRIPT = "Hello {name}, this is the garden shop about our new garden tools. Would you like to hear more?"
WITH_SCRIPT: dict[str, Any] = {"prompt": SCRIPT}
MESSAGE = "Hi {name}, this is the garden shop. Please call us back on Monday. Goodbye."
LISTENS = {"wait_for": "silence", "silence_ms": 1500, "timeout_ms": 20000}
BEEP = {"beep_ms": 500, "hz": 1000}


def speaks(line: str, voice: str = "hibari") -> dict[str, Any]:
    return {"say": line, "voice": voice}


GREETING = [
    {"pause_ms": 400},
    speaks("Hi, this is Frank Moreau. I cannot come to the phone right now."),
    {"pause_ms": 300},
    speaks("Please leave a message after the tone."),
]
MAILBOX = Scenario(
    "voicemail with a message",
    {"steps": [*GREETING, {"pause_ms": 700}, BEEP, {"wait_for": "silence", "silence_ms": 6000, "timeout_ms": 40000}]},
    call={**WITH_SCRIPT, "voicemail_message": MESSAGE},
)
FULL = Scenario(
    "full voicemail",
    {"steps": [speaks("The mailbox is full and cannot accept any messages at this time. Goodbye."), LISTENS]},
    call={**WITH_SCRIPT, "voicemail_message": MESSAGE},
)


@calls(MAILBOX)
async def test_the_message_is_left_once_after_the_beep_and_heard_whole(call: Over) -> None:
    assert (call.row.outcome, call.row.ended_by) == (Outcome.VOICEMAIL, EndedBy.AGENT)
    assert call.row.answered_by is AnsweredBy.VOICEMAIL
    assert call.row.cause == "a voicemail answered; the message was left after the beep"
    heard = (await call.heard()).lower()
    assert heard.count("garden shop") == 1, heard
    assert "monday" in heard, heard
    assert heard.rstrip(" .!").endswith("goodbye"), heard


@calls(FULL)
async def test_a_full_voicemail_is_left_alone(call: Over) -> None:
    assert (call.row.outcome, call.row.ended_by) == (Outcome.VOICEMAIL, EndedBy.AGENT)
    assert "takes none" in (call.row.cause or "")
    assert all(turn.interrupted for turn in call.agent), "an opening may have begun while the words were being read"


SCREENER = Scenario(
    "screener",
    {
        "steps": [
            speaks("Hi, if you record your name and reason for calling, I'll see if this person is available."),
            LISTENS,
            speaks("Thank you. Please stay on the line."),
            {"pause_ms": 2500},
            speaks("Hello? Is this the garden shop?"),
            LISTENS,
            {"hangup": True},
        ]
    },
    call=WITH_SCRIPT,
)


@calls(SCREENER)
async def test_a_screener_is_told_who_calls_and_the_person_behind_it_is_talked_to(call: Over) -> None:
    assert [e["value"] for e in call.row.evidence or [] if e["decided"] == "answer"] == ["screening", "person"]
    assert call.row.answered_by is AnsweredBy.PERSON
    assert "garden shop" in call.agent[0].text
    assert not call.agent[0].text.endswith("?"), "a screener is told, not asked"
    assert call.row.outcome is Outcome.COMPLETED


MENU = Scenario(
    "menu",
    {
        "steps": [
            speaks("Thank you for calling Bright Dental. For appointments, press one. For billing, press two."),
            {"wait_dtmf": 1, "timeout_ms": 15000},
            {"pause_ms": 500},
            speaks("Hello, reception, how can I help you?"),
            LISTENS,
            {"hangup": True},
        ]
    },
    call={**WITH_SCRIPT, "menu_path": "2"},
)
NO_PATH = Scenario(
    "menu without a path",
    {"steps": [speaks("Thank you for calling. For sales, press one. For service, press two."), LISTENS]},
    call=WITH_SCRIPT,
)


@calls(MENU)
async def test_a_menu_is_gone_through_by_keys(call: Over) -> None:
    assert (await call.witness())["dtmf"] == "2"
    assert "reception" in call.said().lower()
    assert call.agent, "the receptionist is talked to"
    assert call.row.answered_by is AnsweredBy.PERSON


@calls(NO_PATH)
async def test_a_menu_is_given_up_without_a_path_through_it(call: Over) -> None:
    assert (call.row.outcome, call.row.ended_by) == (Outcome.MACHINE, EndedBy.AGENT)
    assert call.row.answered_by is AnsweredBy.MENU
    assert all(turn.interrupted for turn in call.agent), "nobody pitches to a recording"


FAX = Scenario("fax", {"steps": [{"pause_ms": 500}, {"beep_ms": 3000, "hz": 2100}, LISTENS]}, call=WITH_SCRIPT)
DISCONNECTED = Scenario(
    "disconnected",
    {"steps": [speaks("We are sorry. The number you have dialed is not in service."), {"pause_ms": 8000}]},
    call=WITH_SCRIPT,
)


@calls(FAX)
async def test_a_fax_is_hung_up_on(call: Over) -> None:
    assert (call.row.outcome, call.row.answered_by) == (Outcome.MACHINE, AnsweredBy.FAX)
    assert call.row.talk_seconds < 5


@calls(DISCONNECTED)
async def test_what_the_network_says_is_the_outcome(call: Over) -> None:
    assert (call.row.outcome, call.row.answered_by) == (Outcome.INVALID_NUMBER, AnsweredBy.ANNOUNCEMENT)
    assert call.row.ended_by is EndedBy.CARRIER


OPTS_OUT = Scenario(
    "opts out",
    {"steps": [speaks("Hello?"), LISTENS, speaks("Please remove my number from your list."), LISTENS]},
    call=WITH_SCRIPT,
)
AT_ONCE = Scenario("opts out at once", {"steps": [speaks("Stop calling me!"), LISTENS, LISTENS]}, call=WITH_SCRIPT)


@calls(OPTS_OUT, AT_ONCE)
async def test_the_words_that_decided_are_kept_with_a_summary(call: Over) -> None:
    assert call.row.outcome is Outcome.OPTED_OUT
    (evidence,) = [e for e in call.row.evidence or [] if e["decided"] == "outcome"]
    assert (evidence["value"], evidence["by"]) == ("opted_out", "words")
    turn = next(turn for turn in call.person if turn.item_id == evidence["item_id"])
    assert turn.text == evidence["text"]
    assert call.row.answered_by is AnsweredBy.PERSON


@calls(OPTS_OUT, AT_ONCE)
async def test_who_opts_out_hears_our_farewell_to_its_end(call: Over) -> None:
    assert call.agent[-1].text.endswith("Goodbye.")
    assert (await call.heard()).lower().rstrip(" .!").endswith("bye")
    assert call.row.ended_by is EndedBy.AGENT


@calls(OPTS_OUT)
async def test_who_says_hello_hears_us_within_a_second(call: Over) -> None:
    assert call.agent[0].latencies["e2e_latency"] < 1.0
