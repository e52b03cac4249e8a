"""What becomes of calls that we place: from the dispatch to the row, with the carrier as the witness.

Every call goes the whole way, through a real worker, LiveKit, SIP and sound. All calls run together (see conftest.py).
"""

import asyncio
import re
import wave
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from livekit import api, rtc

from tests.agent import Placed
from tests.stack.conftest import Over, Scenario, calls
from voiceagents.calls.states import CallState, EndedBy, Outcome, Speaker
from voiceagents.lab import OUTBOUND_NUMBER

pytestmark = [pytest.mark.stack, pytest.mark.timeout(240)]

SCRIPT = "Hello {name}, this is about our new garden tools. Would you like to hear more? They cost twenty dollars."
WITH_SCRIPT: dict[str, Any] = {"prompt": SCRIPT}
LISTENS = {"wait_for": "silence", "silence_ms": 1200, "timeout_ms": 20000}
HEARS_US = {"wait_for": "speech", "timeout_ms": 15000}


def speaks(line: str) -> dict[str, Any]:
    """A step of a phone: this line, in the voice that is understood best."""
    return {"say": line, "voice": "hibari"}


def says(*lines: str, **more: Any) -> dict[str, Any]:
    """A phone whose owner says these lines in turn, each once we are silent."""
    steps: list[dict[str, Any]] = []
    for line in lines:
        steps += [speaks(line), LISTENS]
    return {"steps": steps, **more}


# --- conversations ---------------------------------------------------------------------------------------------------

TALK = Scenario(
    "conversation",
    says("Hello, who is this?", *["Yes, tell me more please.", "Okay, that sounds good."] * 2, ring_ms=800),
    call=WITH_SCRIPT,
)


@calls(TALK)
async def test_a_conversation_follows_the_script_and_ends_with_our_goodbye(call: Over) -> None:
    assert call.row.outcome is Outcome.COMPLETED
    assert call.row.ended_by is EndedBy.AGENT
    assert "garden tools" in call.agent[0].text
    assert "Ana" in call.agent[0].text
    assert "twenty dollars" in call.said()
    assert "more" in call.person[1].text.lower()


@calls(TALK)
async def test_nobody_talks_to_a_person_who_has_not_spoken_yet(call: Over) -> None:
    assert call.turns[0].speaker == "person"


@calls(TALK)
async def test_the_row_holds_every_state_in_order_and_both_numbers(call: Over) -> None:
    row = call.row
    times = [row.created_at, row.dispatched_at, row.dialing_at, row.ringing_at, row.answered_at, row.ended_at]
    assert None not in times
    assert all(earlier <= later for earlier, later in pairwise(times)), times  # type: ignore[operator]
    assert (row.from_number, row.to_number) == (OUTBOUND_NUMBER, call.placed.number)
    witness = await call.witness()
    assert row.sip_call_id == witness["sip_call_id"], "a call can be found in the carrier's records"
    assert row.answered_at is not None
    assert abs(row.answered_at.timestamp() - witness["answered_at"]) < 1.0
    assert row.ended_at is not None
    assert abs(row.ended_at.timestamp() - witness["ended_at"]) < 1.0


@calls(TALK)
async def test_latencies_stand_beside_every_turn(call: Over) -> None:
    for turn in call.person:
        assert {"transcription_delay", "end_of_turn_delay"} <= set(turn.latencies), turn.text
    answers = [turn for turn in call.agent if turn.text != "Are you still there?"]  # that comes without the model
    # The first answer plays from memory, with no model to wait for, unless the machine was too busy to make it in time.
    first, *later = answers
    assert 0 < first.latencies["e2e_latency"] < 30
    for turn in later:
        assert {"llm_ttft", "tts_ttfb", "e2e_latency"} <= set(turn.latencies), turn.text
        assert 0 < turn.latencies["e2e_latency"] < 30


@calls(TALK)
async def test_the_log_tells_the_call_in_the_documented_lines(call: Over) -> None:
    number, room = re.escape(call.placed.number), re.escape(call.placed.room)
    expected = [
        rf"🎯 DISPATCH_RECEIVED \| count=\d+ \| room={room} \| job_metadata=\{{.*\"phone_number\":\"{number}\"",
        rf"🔥 OUTBOUND_CALL_DETECTED \| phone_number={number}$",
        rf"📞 OUTBOUND_CALL_START \| phone_number={number} \| trunk_id=ST_\w+ \| room={room}$",
        rf"✅ OUTBOUND_CALL_CONNECTED \| phone_number={number} \| result=SipParticipant\(.+\)$",
        rf"OUTBOUND_CALL_ENDED \| phone_number={number} \| outcome=completed",
    ]
    assert _in_order(expected, call.log) == []
    everything = call.placed.agent.log().splitlines()
    assert (
        _in_order(
            [
                expected[3],
                r"STARTING_SESSION \(OUTBOUND\) \| instructions_length=\d+ \| has_calendar=False$",
                r"SESSION_STARTED \(OUTBOUND\) \| session_active=True$",
                expected[4],
            ],
            everything,
        )
        == []
    )


def _in_order(patterns: list[str], lines: list[str]) -> list[str]:
    """The patterns that are missing from the lines, each looked for after the one before."""
    rest = iter(lines)
    return [pattern for pattern in patterns if not any(re.search(pattern, line) for line in rest)]


SILENT = Scenario("silent", {"steps": [HEARS_US, LISTENS, {"pause_ms": 3500}, {"hangup": True}]}, call=WITH_SCRIPT)


@calls(SILENT)
async def test_a_silent_person_is_greeted_by_name_once_after_two_to_three_seconds(call: Over) -> None:
    assert [turn.text for turn in call.agent] == ["Hi Ana, can you hear me?"]
    assert "llm_ttft" not in call.agent[0].latencies
    witness = await call.witness()
    first = _first_sound(witness["recording"])
    assert first is not None
    # Half a second for the voice where the machine has time, more while other calls start on it.
    assert 2.0 <= first <= 6.0, f"{first:.1f} s after the answer"
    assert (call.row.outcome, call.row.ended_by) == (Outcome.HUNG_UP, EndedBy.PERSON)


def _first_sound(recording: str) -> float | None:
    """Seconds from the answer until the phone heard something."""
    with wave.open(recording) as both:
        samples = np.frombuffer(both.readframes(both.getnframes()), "<i2")[::2]
        loud = np.flatnonzero(np.abs(samples.astype(int)) > 500)
        return float(loud[0] / both.getframerate()) if loud.size else None


ENDINGS = {
    "not interested": ("No thanks, I am not interested.", Outcome.NOT_INTERESTED),
    "wrong number": ("Sorry, you have the wrong number.", Outcome.WRONG_NUMBER),
    "opt-out": ("Please take me off your list and do not call again.", Outcome.OPTED_OUT),
}
REFUSALS = {name: Scenario(name, says("Hello?", line), call=WITH_SCRIPT) for name, (line, _) in ENDINGS.items()}


@calls(*REFUSALS.values())
async def test_who_does_not_want_us_gets_a_short_farewell_and_the_row_says_why(call: Over) -> None:
    assert call.row.outcome is ENDINGS[call.scenario.name][1]
    assert call.row.ended_by is EndedBy.AGENT
    last = call.agent[-1].text
    assert last.endswith("Goodbye.")
    assert "sorry" in last.lower()


@calls(*REFUSALS.values(), TALK)
async def test_our_goodbye_is_heard_whole_before_the_line_goes_dead(call: Over) -> None:
    heard = re.sub(r"[^a-z]+", " ", (await call.heard()).lower())
    assert heard.strip().endswith("bye"), heard
    assert not call.agent[-1].interrupted


VOICEMAIL = Scenario(
    "voicemail",
    {
        "steps": [
            speaks("The person you are calling is not available. Please leave a message after the tone."),
            {"beep_ms": 500, "hz": 1000},
        ]
    },
    call=WITH_SCRIPT,
)


@calls(VOICEMAIL)
async def test_a_voicemail_is_recognized_and_not_talked_to(call: Over) -> None:
    assert (call.row.outcome, call.row.ended_by) == (Outcome.VOICEMAIL, EndedBy.AGENT)
    assert "garden" not in call.said(Speaker.AGENT).lower(), "nobody pitches to a recording"
    assert "not available" in call.said(Speaker.PERSON)
    assert call.row.talk_seconds < 15


# --- the person goes first -------------------------------------------------------------------------------------------

GONE_AT_ONCE = Scenario("gone at once", {"steps": [{"hangup": True}]}, call=WITH_SCRIPT)
LONG_SENTENCE = (
    "We have come all the way from the other side of the mountains to bring you the finest selection of garden tools "
    "and seeds and flowers and trees that anybody in this country has ever seen in one single place at one single time."
)
MID_SENTENCE = Scenario(
    "mid sentence",
    {"steps": [speaks("Hello, who is this?"), HEARS_US, {"pause_ms": 3000}, {"hangup": True}]},
    call={"prompt": LONG_SENTENCE},
)
LAST_WORDS = Scenario(
    "last words",
    {"steps": [speaks("Hello?"), LISTENS, speaks("My dinner is burning."), {"pause_ms": 500}, {"hangup": True}]},
    call=WITH_SCRIPT,
)
AMID_WORDS = Scenario(
    "amid their words",
    {"steps": [speaks("Hello, I have something to tell you about the"), {"hangup": True}]},
    call=WITH_SCRIPT,
)


@calls(GONE_AT_ONCE)
async def test_who_hangs_up_at_once_is_recorded_as_hung_up(call: Over) -> None:
    assert (call.row.outcome, call.row.ended_by) == (Outcome.HUNG_UP, EndedBy.PERSON)
    assert call.row.answered_at is not None
    assert (await call.witness())["ended_by"] == "phone"


@calls(MID_SENTENCE)
async def test_a_sentence_that_the_person_did_not_wait_for_is_kept_as_interrupted(call: Over) -> None:
    assert (call.row.outcome, call.row.ended_by) == (Outcome.COMPLETED, EndedBy.PERSON)
    (cut_off,) = call.agent
    assert cut_off.interrupted
    assert "We have come" in cut_off.text or "we have come" in cut_off.text
    assert "single time" not in cut_off.text, "what was never said is not in the transcript"
    assert "who is this" in call.person[0].text.lower()


@calls(LAST_WORDS)
async def test_the_last_words_before_the_person_hangs_up_are_kept(call: Over) -> None:
    assert call.row.ended_by is EndedBy.PERSON
    assert "dinner" in call.person[-1].text.lower()


NOTICED_WITHIN = 2.0
"""Seconds. Alone on a machine it takes some hundredths; beside others whose words are being read it may take longer."""


async def seconds_to_notice(call: Over) -> float:
    """From the person's last sign on the wire, by the carrier's clock, to the end in the row."""
    assert call.row.ended_at is not None
    return call.row.ended_at.timestamp() - (await call.witness())["ended_at"]


@calls(GONE_AT_ONCE, MID_SENTENCE, AMID_WORDS, LAST_WORDS, SILENT)
async def test_that_the_person_hung_up_is_noticed_at_once_whatever_was_going_on(
    call: Over, record_property: Callable[[str, object], None]
) -> None:
    seconds = await seconds_to_notice(call)
    record_property("seconds to notice", round(seconds, 3))
    print(f"noticed after {seconds:.3f} s")
    assert abs(seconds) < NOTICED_WITHIN
    assert call.row.ended_by is EndedBy.PERSON


# --- calls that nobody answers ---------------------------------------------------------------------------------------

STATUSES = {
    486: (Outcome.BUSY, EndedBy.PERSON),
    480: (Outcome.NO_ANSWER, EndedBy.CARRIER),
    404: (Outcome.INVALID_NUMBER, EndedBy.CARRIER),
    403: (Outcome.FAILED, EndedBy.CARRIER),
    408: (Outcome.NO_ANSWER, EndedBy.CARRIER),
    503: (Outcome.CONGESTION, EndedBy.CARRIER),
    603: (Outcome.REJECTED, EndedBy.PERSON),
}
REJECTED = {status: Scenario(str(status), {"reject": status}) for status in STATUSES}
QUICK = {"RINGING_TIMEOUT": "4", "MAX_CALL_DURATION": "14", "FORCE_FIRST_MESSAGE": "false"}


async def _delete_room_while_it_rings(placed: Placed) -> None:
    await placed.reached(CallState.RINGING)
    await placed.agent.livekit.room.delete_room(api.DeleteRoomRequest(room=placed.room))


RINGS_OUT = Scenario("rings out", {"no_answer": True}, settings=QUICK)
DEAD_CARRIER = Scenario("dead carrier", {"dead": True}, settings=QUICK)
CANCELLED = Scenario("cancelled", {"no_answer": True}, _delete_room_while_it_rings)
NOT_ANSWERED = [*REJECTED.values(), RINGS_OUT, DEAD_CARRIER, CANCELLED]


@calls(*REJECTED.values())
async def test_a_sip_status_becomes_an_outcome_and_stands_beside_it(call: Over) -> None:
    status = int(call.scenario.name)
    assert (call.row.outcome, call.row.ended_by) == STATUSES[status]
    assert call.row.sip_status == status
    assert str(status) in (call.row.cause or "")
    assert (await call.witness())["status"] == status


@calls(REJECTED[486], REJECTED[603])
async def test_who_declines_while_it_rings_is_noticed_at_once(call: Over) -> None:
    assert abs(await seconds_to_notice(call)) < NOTICED_WITHIN


@calls(RINGS_OUT)
async def test_a_phone_that_rings_out_is_no_answer_without_a_sip_status(call: Over) -> None:
    assert (call.row.outcome, call.row.sip_status) == (Outcome.NO_ANSWER, None)
    assert call.row.ringing_at is not None
    assert (await call.witness())["state"] == "cancelled"


@calls(DEAD_CARRIER)
async def test_a_carrier_that_says_nothing_is_unreachable_not_a_person_who_does_not_answer(call: Over) -> None:
    assert (call.row.outcome, call.row.ended_by) == (Outcome.UNREACHABLE, EndedBy.CARRIER)
    assert call.row.ringing_at is None


@calls(CANCELLED)
async def test_deleting_the_room_cancels_a_ringing_call(call: Over) -> None:
    assert (call.row.outcome, call.row.ended_by) == (Outcome.CANCELLED, EndedBy.SYSTEM)
    witness = await call.witness()
    assert witness["state"] == "cancelled"
    assert witness["ended_at"] - witness["ringing_at"] < 5


@calls(*NOT_ANSWERED)
async def test_a_call_that_nobody_answered_has_no_talk_time_no_turns_and_leaves_nothing_behind(call: Over) -> None:
    assert call.row.answered_at is None
    assert call.row.talk_seconds == 0
    assert call.turns == []
    assert re.search(rf"OUTBOUND_CALL_FAILED .* outcome={call.row.outcome} ", "\n".join(call.log))


# --- limits and settings ---------------------------------------------------------------------------------------------

TALKS_ON = Scenario("longest call", says("Hello?", ring_ms=0), settings=QUICK, call=WITH_SCRIPT)
MODEL_GREETS = Scenario(
    "model greets",
    {"steps": [HEARS_US, LISTENS, {"hangup": True}]},
    settings=QUICK,
    call=WITH_SCRIPT,
)


@calls(TALKS_ON)
async def test_a_call_ends_at_its_longest_time(call: Over) -> None:
    assert (call.row.outcome, call.row.ended_by) == (Outcome.COMPLETED, EndedBy.SYSTEM)
    assert call.row.cause == "the longest call time of 14 s was reached"
    witness = await call.witness()
    assert 12 < witness["ended_at"] - witness["invited_at"] < 16


@calls(MODEL_GREETS)
async def test_without_a_forced_first_message_the_model_phrases_the_greeting(call: Over) -> None:
    (greeting,) = call.agent
    assert greeting.text.startswith("Hi Ana")
    assert "llm_ttft" in greeting.latencies


# --- others in the room ----------------------------------------------------------------------------------------------


class Onlooker:
    """Somebody else in the room of a call, and what there was to see."""

    def __init__(self, placed: Placed, *, kind: str) -> None:
        self.seen: list[str] = []
        self.left = asyncio.Event()
        self._placed = placed
        self._kind = kind
        self._room = rtc.Room()
        self._room.on("participant_attributes_changed", self._on_attributes)
        self._room.on("disconnected", lambda *_: self.left.set())

    async def join(self) -> None:
        lab = self._placed.agent.lab
        token = (
            api.AccessToken(lab.api_key, lab.api_secret)
            .with_identity("onlooker")
            .with_kind(self._kind)  # type: ignore[arg-type]
            .with_grants(api.VideoGrants(room_join=True, room=self._placed.room))
        )
        await self._room.connect(lab.livekit_url, token.to_jwt())

    async def leave(self) -> None:
        await self._room.disconnect()

    def _on_attributes(self, changed: dict[str, str], _: rtc.Participant) -> None:
        if changed.get("lk.agent.state") == "speaking":
            self.seen.append("agent speaks")
        if status := changed.get("sip.callStatus"):
            self.seen.append(status)


async def _look_on(placed: Placed) -> list[str]:
    """A recorder joins while the phone rings, and sees when the agent speaks."""
    await placed.reached(CallState.RINGING)
    onlooker = Onlooker(placed, kind="egress")
    await onlooker.join()
    await asyncio.wait_for(onlooker.left.wait(), 60)
    return onlooker.seen


async def _stay(placed: Placed) -> bool:
    """Somebody who is no phone joins the call and never leaves; whether they were put out in time."""
    await placed.reached(CallState.ANSWERED)
    onlooker = Onlooker(placed, kind="standard")
    await onlooker.join()
    await placed.agent.lab.carrier.wait_for("ended", to=placed.number, since=placed.at, within=40)
    try:
        await asyncio.wait_for(onlooker.left.wait(), 10)
    except TimeoutError:
        return False
    finally:
        await onlooker.leave()
    return True


EARLY_MEDIA = Scenario(
    "early media",
    {"progress": 183, "ring_ms": 4000, "steps": [speaks("Hello, who is this?"), LISTENS, {"hangup": True}]},
    _look_on,
    call=WITH_SCRIPT,
)
WATCHED = Scenario(
    "watched",
    {"steps": [speaks("Hello, who is this?"), HEARS_US, {"pause_ms": 1500}, {"hangup": True}]},
    _stay,
    call={"prompt": LONG_SENTENCE},
)


@calls(EARLY_MEDIA)
async def test_the_agent_says_nothing_before_the_call_is_answered(call: Over) -> None:
    assert "active" in call.meanwhile
    assert "agent speaks" in call.meanwhile
    assert call.meanwhile.index("active") < call.meanwhile.index("agent speaks"), call.meanwhile
    assert call.row.answered_at is not None
    assert all(turn.started_at >= call.row.answered_at for turn in call.turns)


@calls(EARLY_MEDIA)
async def test_a_recorder_in_the_room_is_not_taken_for_the_callee(call: Over) -> None:
    assert call.row.answered_at is not None
    assert call.row.ringing_at is not None
    assert (call.row.answered_at - call.row.ringing_at).total_seconds() > 3, "it rang for 4 s"


@calls(WATCHED)
async def test_when_the_person_hangs_up_nobody_else_keeps_the_call_going(call: Over) -> None:
    assert call.meanwhile is True, "the watcher was put out of the room within 10 s"
    assert call.row.ended_by is EndedBy.PERSON


# --- every call ------------------------------------------------------------------------------------------------------

EVERY = [
    *(TALK, SILENT, *REFUSALS.values(), VOICEMAIL, GONE_AT_ONCE, MID_SENTENCE, LAST_WORDS, *NOT_ANSWERED),
    *(TALKS_ON, MODEL_GREETS, EARLY_MEDIA, WATCHED),
]


@calls(*EVERY)
async def test_every_call_is_dialled_once_and_has_one_row(call: Over) -> None:
    assert len(call.placed.invites) == 1
    assert len(await call.placed.agent.records(to_number=call.placed.number)) == 1
    assert call.row.cause
    beside = {"dtmf"}
    if call.row.outcome is Outcome.CANCELLED:
        # LiveKit may offer the job of a room once more that was deleted while the phone was still about to join it.
        beside.add("second_dispatch_refused")
    assert [event.kind for event in call.timeline if event.kind not in beside] == []
