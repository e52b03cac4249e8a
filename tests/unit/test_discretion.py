"""What is written down of a call in which the caller gives away a secret? Neither keys nor words of it."""

import json
import time
from types import SimpleNamespace
from typing import Any, cast
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.agents.llm import ChatMessage

from voiceagents.calls.records import Fact, TurnSpoken
from voiceagents.calls.states import Speaker
from voiceagents.livekit.discretion import HIDDEN, Discretion
from voiceagents.livekit.transcript import Transcript

pytestmark = pytest.mark.unit


def knowing(secret: str) -> Discretion:
    discretion = Discretion()
    discretion.keep_to_ourselves(secret)
    return discretion


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("Your code is 4711.", "Your code is ***."),
        ("4 7 1 1", "***"),
        ("4-7, 1. 1!", "***!"),
        ("You typed four seven one one, is that right?", "You typed ***, is that right?"),
        ("Four, seven, 1 one.", "***."),
        ("vier sieben eins eins", "***"),
        ("cuatro siete uno uno", "***"),
        ("Call +12025554711 or 47112 or 14711.", "Call +12025554711 or 47112 or 14711."),
        ("at 4 PM on the 7th", "at 4 PM on the 7th"),
        ({"code": "4711", "of": [4711, "x"], "yes": True}, {"code": "***", "of": ["***", "x"], "yes": True}),
        (None, None),
    ],
)  # fmt: skip
def test_a_secret_is_taken_out_wherever_it_turns_up_later(told: Any, kept: Any) -> None:
    assert knowing("4 7 1 1").without(told) == kept


def test_zeros_in_front_are_part_of_it_but_not_of_a_number() -> None:
    assert knowing("0 0 4 2").without({"text": "oh zero four two", "n": 42}) == {"text": HIDDEN, "n": HIDDEN}


def test_a_key_or_two_are_no_secret_to_look_for_and_stars_are_keys_like_others() -> None:
    assert knowing("1 2").without("at 12, one two") == "at 12, one two"
    assert knowing("*31#").without("*31# star three one pound") == f"{HIDDEN} {HIDDEN}"


@given(st.text("0123456789*#ABCD", min_size=3, max_size=12), st.sampled_from(["", " ", ", ", "-"]))
def test_no_secret_is_left_in_a_text(secret: str, apart: str) -> None:
    told = f"You typed {apart.join(secret)} now."
    assert knowing(secret).without(told) == f"You typed {HIDDEN} now."


def test_keys_are_hidden_for_the_whole_call_of_an_assistant_that_asks_for_secrets() -> None:
    discretion = Discretion()
    assert discretion.key("4") == "4"
    discretion.hides_keys = True
    assert discretion.key("4") == HIDDEN


@pytest.mark.parametrize(
    ("speaker", "began", "ended", "given", "hidden"),
    [
        (Speaker.PERSON, -5, -3, None, False),
        (Speaker.PERSON, 2, 4, None, True),
        (Speaker.PERSON, 9, 12, None, True),
        (Speaker.PERSON, -1, 2, None, True),
        (Speaker.PERSON, 11, 12, None, False),
        (Speaker.AGENT, 0.5, 3, None, False),
        (Speaker.AGENT, 0.5, 3, 2, False),
        (Speaker.AGENT, 4, 6, 2, True),
        (Speaker.AGENT, 11, 12, 2, False),
    ],
)
def test_what_is_said_while_a_secret_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, speaker: Speaker, began: float, ended: float, given: float | None, hidden: bool
) -> None:
    discretion, start = Discretion(), 1000.0
    now = [start]
    monkeypatch.setattr(time, "time", lambda: now[0])
    with discretion.asking():
        assert discretion.is_asking
        if given is not None:
            now[0] = start + given
            discretion.key("4")
        now[0] = start + 10
    assert not discretion.is_asking
    assert discretion.said(speaker, "words", start + began, start + ended) == (HIDDEN if hidden else "words")


def test_a_transcript_and_what_is_concluded_from_it_are_without_the_secret() -> None:
    written: list[Fact] = []
    transcript = Transcript(uuid4(), cast("Any", SimpleNamespace(write=written.append)))
    with transcript.discretion.asking():
        transcript.turn(ChatMessage(role="user", content=["four seven one one"]), Speaker.PERSON, "four seven one one")
        transcript.discretion.keep_to_ourselves("4711")
    transcript.turn(ChatMessage(role="assistant", content=["So 4711."]), Speaker.AGENT, "So 4711.")
    turns = [fact for fact in written if isinstance(fact, TurnSpoken)]
    assert [turn.text for turn in turns] == [HIDDEN, f"So {HIDDEN}."]
    assert [line.text for line in transcript.lines] == [HIDDEN, f"So {HIDDEN}."]
    assert "4711" not in json.dumps([fact.model_dump(mode="json") for fact in written])
