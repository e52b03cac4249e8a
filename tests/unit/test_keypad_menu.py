"""A caller in writing who presses keys instead of saying what they want."""

import asyncio
from typing import Any

import pytest
from livekit import rtc

from tests.tool_desk import Desk, assistant
from voiceagents.assistants.tool_options import ToolProblem, read
from voiceagents.calls.records import MessageTaken
from voiceagents.calls.states import ToolStatus

pytestmark = pytest.mark.unit

KEYS = {"1": "Is parking free?", "2": "I want to leave a message.", "*": "Goodbye."}
MENU = {"keypad_menu": {"keys": KEYS}, "take_message": {}, "collect_digits": {"timeout": 1}}


def press(desk: Desk, *keys: str) -> None:
    caller: Any = None
    for key in keys:
        desk.room.emit("sip_dtmf_received", rtc.SipDTMF(code=0, digit=key, participant=caller))


async def answer_to(desk: Desk, *keys: str) -> str:
    """What the assistant says to these keys."""
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def heard(event: Any) -> None:
        if getattr(event.item, "role", "") == "assistant" and event.item.text_content and not answered.done():
            answered.set_result(event.item.text_content)

    desk.session.on("conversation_item_added", heard)
    press(desk, *keys)
    async with asyncio.timeout(20):
        return await answered


def said_by_caller(desk: Desk) -> list[str | None]:
    return [one.text_content for one in desk.session.history.messages() if one.role == "user"]


async def test_a_key_is_answered_like_the_words_it_stands_for() -> None:
    async with Desk(assistant(tools=MENU)) as desk:
        assert (await answer_to(desk, "1")).startswith("Parking is free.")
        assert said_by_caller(desk) == ["Is parking free?"]


async def test_who_starts_by_a_key_goes_on_by_voice() -> None:
    async with Desk(assistant(tools=MENU)) as desk:
        assert "?" in await answer_to(desk, "2")
        await desk.say("Please tell them that the fence is broken.")
        await desk.say("Ana Lopez")
    (message,) = desk.facts(MessageTaken)
    assert "fence" in message.text


async def test_a_key_that_stands_for_nothing_says_nothing() -> None:
    async with Desk(assistant(tools=MENU)) as desk:
        press(desk, "7", "#")
        assert (await answer_to(desk, "1")).startswith("Parking is free.")
        assert said_by_caller(desk) == ["Is parking free?"]


async def test_digits_that_were_asked_for_are_no_choice_of_the_menu() -> None:
    async with Desk(assistant(tools=MENU)) as desk:
        answered = asyncio.Event()
        desk.session.on("tool_execution_updated", lambda event: answered.set() if desk.used[-1].ended_at else None)
        await desk.say("I want to type in my four digit code.")
        press(desk, *"1212")
        async with asyncio.timeout(20):
            await answered.wait()
        (use,) = desk.used
        assert (use.status, use.result) == (ToolStatus.DONE, "The caller typed 1 2 1 2.")
        assert not set(KEYS.values()) & set(said_by_caller(desk))


async def test_while_others_talk_keys_are_not_ours() -> None:
    async with Desk(assistant(tools=MENU)) as desk:
        desk.session.input.set_audio_enabled(False)
        press(desk, "1")
        await asyncio.sleep(0)
        assert desk.session.current_speech is None
        desk.session.input.set_audio_enabled(True)
        assert (await answer_to(desk, "1")).startswith("Parking is free.")
        assert said_by_caller(desk) == ["Is parking free?"]


async def test_the_model_knows_what_the_keys_stand_for() -> None:
    async with Desk(assistant(tools=MENU)) as desk:
        assert '- When the caller presses 1 on their phone, they say: "Is parking free?"' in desk.instructions


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({}, "at least 1 item"),
        ({"12": "Hello."}, "a telephone has the keys 0 to 9, * and #, and none '12'"),
        ({"A": "Hello."}, "none 'A'"),
        ({"": "Hello."}, "none ''"),
        ({"1": "  "}, "at least 1 character"),
        ({"1": "x" * 301}, "at most 300 characters"),
    ],
)
def test_a_menu_that_no_phone_can_use_is_refused_in_words(keys: dict[str, str], said: str) -> None:
    with pytest.raises(ToolProblem, match=r"tools\.keypad_menu\.keys") as refused:
        read("keypad_menu", {"keys": keys})
    assert said in str(refused.value)
