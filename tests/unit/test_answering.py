"""Who picked up. A machine is hung up on, so a person must never be taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.calls.states import AnsweredBy, Outcome
from voiceagents.livekit.answering import answered_by, takes_message, what_network_said

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "heard",
    [
        "The person you are calling is not available. Please leave a message after the tone.",  # TC-050
        "Hi, this is John. Leave me a message and I'll get back to you.",
        "Hi you've reached Ana Lopez please leave your name and number and I'll call you back",
        "You have reached the voicemail of Bright Dental.",
        "You've reached the voice mailbox of five five five",
        "I can’t come to the phone right now, so please leave a message.",
        "Sorry, I'm not able to take your call. Leave a short message after the beep.",
        "I'm away from my desk, I'll get back to you as soon as I can.",
        "Sorry I missed your call. I'll call you back as soon as possible.",
        "No one is available to take your call.",
        "At the tone, please record your message. When you have finished recording, you may hang up.",
        "Your call has been forwarded to an automatic voice message system.",
        "Your call has been forwarded to voicemail.",
        "the person you're trying to reach has a voice mail box that has not been set up yet",
        "The mailbox is full and cannot accept any messages at this time. Goodbye.",
        "Voicemail for 202 555 0143",
        "To leave a voice message press one or just wait for the tone",
        "please leave us a\nmessage",
        "Hey this is Mike, you've reached my cell. Leave me a message.",
        "Please leave me your name, number, and a message.",
        "leave your name your number and a brief message",
        "Please leave a detailed message including your name and number.",
        "I'm probably with a client. Kindly leave your name and a good number.",
        "You've reached Jim's voicemail.",
        "Hi, you've got the voicemail of Tom Baker.",
        "You have reached a voice mailbox that has not been initialized.",
        "Can't reach me? Leave a voicemail.",
        "Hey, you know what to do? Leave a message after the beep.",
        "Our offices are currently closed. If you would like to leave a message, please do so after the beep.",
        "The person you're calling can't take your call at the moment. To leave a message, please wait for the tone.",
        "Hello, no one is here to take your call at the moment, please leave a message.",
        "Begin speaking at the tone.",
        "After the tone, begin speaking.",
        "Delete the message wait for the don't for more options press five.",
        "Hello, this is Jonas speaking. I am not here, so leave a message.",
        "Thank you for calling bright until we are closed now please leave the message after the peak.",
        "please leave a message at the beat",
        "Our hours are nine to five. Please leave the message.",
    ],
)
def test_a_recording_is_a_voicemail(heard: str) -> None:
    assert answered_by(heard) is AnsweredBy.VOICEMAIL


@pytest.mark.parametrize(
    "heard",
    [
        "If you record your name and reason for calling, I'll see if this person is available.",
        "Hi, the person you're calling is using a screening service from Google, and will get a copy.",
        "Go ahead and say your name and why you're calling.",
        "Please state your name and the reason for your call.",
        "Hold on while I see if they're available.",
        "The Google subscriber you have called requests that you state your name.",
        "Please say your name after the tone, and we will try to connect you.",
        "Before I try to connect you, could you tell me your name and why you're calling?",
        "Your call is being screened. Please say your name.",
        "The party you are trying to reach does not accept calls from unidentified callers.",
    ],
)
def test_a_call_screener_is_told_apart_from_a_voicemail(heard: str) -> None:
    assert answered_by(heard) is AnsweredBy.SCREENING


@pytest.mark.parametrize(
    "heard",
    [
        "",
        "Hello?",
        "Hello, who is this?",
        "Yes, Ana speaking.",
        "Bright Dental, how can I help you?",
        "You've reached Bright Dental, good morning.",
        "She is not available right now, can I take a message?",
        "She's out. Would you like to leave a message?",
        "He can't come to the phone, who's calling?",
        "I can't take your call right now, I'm driving.",
        "I'm not available right now, try the office number.",
        "He is not available, do you want him to call you back?",
        "Hi, I got your voicemail, thanks for calling.",
        "I left you a voicemail for Tuesday",
        "Can I leave a message for Ana?",
        "I'd leave a message if I were you",
        "You can leave a message with me.",
        "My mailbox, no, my letter box was open",
        "I was just about to call the number you sent me.",
        "Is that the person you mentioned?",
        "Your name and why you're calling, please, I did not hear it",
        "Please don't leave me messages any more.",
        "Don't leave voicemails, I never listen to them.",
        "Why do you always leave a message?",
        "Did you leave me a message yesterday?",
        "Leave a message with the front desk if you like, who are you?",
        "You can leave your name and number with me.",
        "My voicemail is full, so I picked up.",
        "Hello, my voice mail is full, so I thought I should answer.",
        "Hello, my wife is not at home right now, but I am listening.",
        "Hi, I am not at my desk right now, so please make it short.",
        "Hello, I saw that I missed a call from this number, was that you?",
        "Good morning, the office is closed today, but I picked up anyway.",
        "I was about to leave, what is the message?",
        "Hello, you have reached the Lopez family, this is Ana speaking.",
        "I missed your call, I was away from the phone.",
        "We are closed, call back on Monday.",
        "If it's important, call me at home after five.",
        "Hello, I can't talk right now, send me a message.",
        "I'm away from the office, who is this?",
        "I'm away from my desk, go ahead.",
        "She can't come to the phone, she is in the bath.",
        "He is not available, I'm his brother, what's the message?",
        "What is that beep after the tone?",
        "Is there an option to press one?",
        "If I press one, will it stop?",
        "The number you called is my work phone.",
        "My number has changed last week.",
        "Good morning, service department, all lines are busy, this is Jo.",
        "He doesn't accept calls from unknown numbers, who is this?",
        "Hello, hello, can you hear me?",
        "Sorry, I missed your call earlier, what was it about?",
        "He just stepped away from his desk, can I help?",
        "He's not here right now. I can have him call you back.",
        "The person you want moved out years ago.",
        "I'd rather you leave a message next time.",
    ],
)
def test_without_a_sure_sign_it_is_a_person(heard: str) -> None:
    assert answered_by(heard) is AnsweredBy.PERSON


@pytest.mark.parametrize(
    ("heard", "outcome"),
    [
        ("The Google subscriber you have called is not available.", Outcome.UNREACHABLE),
        ("The wireless customer you are calling is not available, please try again later.", Outcome.UNREACHABLE),
        ("The subscriber you've dialled cannot be reached.", Outcome.UNREACHABLE),
        ("Your call cannot be completed at this time.", Outcome.UNREACHABLE),
        ("The number you have dialed is not in service.", Outcome.INVALID_NUMBER),
        ("We're sorry, you have reached a number that has been disconnected.", Outcome.INVALID_NUMBER),
        ("Your call cannot be completed as dialed. Please check the number and dial again.", Outcome.INVALID_NUMBER),
        ("We're sorry, all circuits are busy now.", Outcome.CONGESTION),
        ("The wireless customer is not available.", Outcome.UNREACHABLE),
        ("Sorry, this number is not available.", Outcome.UNREACHABLE),
        ("We're sorry, your call did not go through.", Outcome.UNREACHABLE),
    ],
)
def test_what_the_network_says_becomes_an_outcome(heard: str, outcome: Outcome) -> None:
    assert answered_by(heard) is AnsweredBy.ANNOUNCEMENT
    assert what_network_said(heard) is outcome


@pytest.mark.parametrize(
    "heard",
    [
        "Thank you for calling Bright Dental. For appointments, press one. For billing, press two.",
        "Welcome. Please listen carefully as our menu options have changed.",
        "If you know your party's extension, dial it at any time.",
        "Para español, oprima dos. For English, press 1.",
        "Press or say one for billing.",
        "Please select from the following menu.",
        "Please enter your account number followed by the pound key.",
        "You can say things like, make a payment, or check my balance.",
    ],
)
def test_a_menu_wants_keys(heard: str) -> None:
    assert answered_by(heard) is AnsweredBy.MENU


def test_what_follows_turns_an_announcement_into_a_voicemail() -> None:
    first = "The person you are calling is not available."
    assert answered_by(first) is AnsweredBy.ANNOUNCEMENT
    assert answered_by(f"{first} Please leave a message after the tone.") is AnsweredBy.VOICEMAIL


@pytest.mark.parametrize(
    ("heard", "takes"),
    [
        ("Please leave a message after the tone.", True),
        ("The mailbox is full and cannot accept any messages at this time.", False),
        ("The person you're trying to reach has a voice mail box that has not been set up yet.", False),
    ],
)
def test_a_full_mailbox_takes_no_message(heard: str, takes: bool) -> None:
    assert takes_message(heard) is takes


def test_the_verdict_comes_as_soon_as_enough_was_heard() -> None:
    greeting = "Hi, this is Ana. I can't come to the phone right now. Please leave a message."
    verdicts = [answered_by(greeting[:length]) for length in range(len(greeting) + 1)]
    assert verdicts[0] is AnsweredBy.PERSON
    assert verdicts[-1] is AnsweredBy.VOICEMAIL
    assert set(verdicts) == {AnsweredBy.PERSON, AnsweredBy.VOICEMAIL}
    assert verdicts == sorted(verdicts), "it does not waver"


@given(st.text() | st.text(alphabet="leave a message after the tone'"))
def test_anything_heard_can_be_judged(heard: str) -> None:
    assert answered_by(heard) in AnsweredBy
