"""Which words end a call. A person who is cut off while they talk is worse than one sentence too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.calls.states import Outcome
from voiceagents.livekit.endings import is_farewell, wish_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "text",
    [
        "Take me off your list.",
        "please remove my number from your database",
        "Can you get me off this calling list?",
        "Remove me, please.",
        "Delete my number",
        "Stop calling me!",
        "I told you people to stop calling.",
        "Don't call me again.",
        "Don’t ever call this number again",
        "Please do not contact me anymore",
        "Could you not call me again",
        "Please don't call me.",
        "Never call us here again!",
        "Do not call this number.",
        "I don't want you to call me",
        "I don't want any more calls.",
        "I do not want to receive these calls, okay?",
        "No more calls please",
        "Unsubscribe",
        "I want to opt out",
        "I'm on the do-not-call registry.",
        "Put me on the do not call list",
        "Lose my number.",
        "I am not interested, please take my name off the list, thank you, and have a nice day",
    ],
)
def test_who_asks_not_to_be_called_again_is_heard_and_let_go(text: str) -> None:
    wish = wish_of(text)
    assert wish is not None
    assert (wish.outcome, wish.ends_call) == (Outcome.OPTED_OUT, True)


@pytest.mark.parametrize(
    "text",
    [
        "There's nobody here called Ana.",
        "This isn't Ana's phone.",
        "That's not her number any more.",
        "She moved out years ago.",
        "He hasn't had this number for years.",
        "I don't know anybody called Ana.",
        "Wrong number.",
        "I think you have the wrong number, sorry",
        "You've got the wrong person.",
        "There's no one here by that name.",
        "Nobody by that name lives here.",
        "She doesn't live here anymore",
        "He no longer works here.",
        "This is not him.",
        "Never heard of her.",
        "You dialed the wrong number, mate. Cheers.",
    ],
)
def test_a_wrong_number_ends_the_call(text: str) -> None:
    wish = wish_of(text)
    assert wish is not None
    assert (wish.outcome, wish.ends_call) == (Outcome.WRONG_NUMBER, True)


@pytest.mark.parametrize(
    ("text", "ends_call"),
    [
        ("I'm not interested.", True),
        ("I am not interested", True),
        ("I'm really not interested, thanks.", True),
        ("Not interested!", True),
        ("I'm not really that interested.", True),
        ("No thanks.", True),
        ("No, thank you.", True),
        ("Thanks, but no.", True),
        ("I don't want any.", True),
        ("I don't need it, thank you.", True),
        ("I'll pass.", True),
        ("I'll pass on that, thanks", True),
        ("I have no interest in this.", True),
        ("Leave me alone!", True),
        ("No, we're fine, thank you.", True),
        ("We're all set, thanks.", True),
        ("Nah, I'm good.", True),
        ("Not for me, thanks.", True),
        ("We have no need for that.", True),
        ("It's a no from me.", True),
        ("I'll have to decline.", True),
        ("I don't think so, thanks.", True),
        ("No. Thank you.", True),
        ("We don't buy over the phone.", True),
        ("I'm not interested in the big plan, but tell me more about the small one you mentioned first", False),
        ("I'm not interested. Or wait, how much is it?", False),
    ],
)
def test_who_is_not_interested_is_let_go_unless_they_talk_on(text: str, ends_call: bool) -> None:
    wish = wish_of(text)
    assert wish is not None
    assert (wish.outcome, wish.ends_call) == (Outcome.NOT_INTERESTED, ends_call)


@pytest.mark.parametrize(
    "text",
    [
        "I can't talk right now.",
        "Can we talk tonight?",
        "Please give me a ring on Friday.",
        "I don't have time right now.",
        "I have no time now, later maybe.",
        "Call me back later.",
        "Can you call me back?",
        "Could you please call tomorrow?",
        "Call back on Monday",
        "Call me Tuesday",
        "Try again in an hour",
        "Call me after six please",
        "Why don't you call me again tomorrow?",
        "Don't call me again until Tuesday",
        "This is not a good time.",
        "It's a bad moment",
        "I'm busy right now",
        "I'm driving",
        "I am in a meeting",
    ],
)
def test_who_wants_to_be_called_later_is_noted_and_may_talk_on(text: str) -> None:
    wish = wish_of(text)
    assert wish is not None
    assert (wish.outcome, wish.ends_call) == (Outcome.CALLBACK_REQUESTED, False)


@pytest.mark.parametrize(
    "text",
    [
        "Bye.",
        "Goodbye!",
        "Okay, bye bye",
        "Thanks, have a good day.",
        "Alright, see you",
        "Good-bye now",
        "Thank you, take care.",
    ],
)
def test_a_short_goodbye_ends_the_call(text: str) -> None:
    wish = wish_of(text)
    assert wish is not None
    assert (wish.outcome, wish.ends_call) == (Outcome.COMPLETED, True)


@pytest.mark.parametrize(
    "text",
    [
        "Nobody called me back yet.",
        "Nobody here called you back.",
        "I haven't had this number for long.",
        "I don't have his number.",
        "I'm fine, thank you.",
        "I'm good, how are you?",
        "No, I'm good at gardening.",
        "I already have one but I want another.",
        "Is this not her number?",
        "There is no need to hurry.",
        "I got this number from my wife.",
        "What do you think so far?",
        "I buy a lot over the phone.",
        "Can we talk about the price?",
        "Give me a reason.",
        "Hello?",
        "Yes.",
        "No.",
        "Who is this?",
        "I'm not sure.",
        "I am not sure, wait",
        "This is not good.",
        "I'm not Ana's husband, I'm her brother, but I can take it.",
        "I'm interested!",
        "Yes, I'd be interested.",
        "Can you get me a list of your prices?",
        "Take me through the price list",
        "Put me on the list",
        "Take me off hold, please, I have a question",
        "My phone doesn't stop ringing today",
        "They don't call me any more",
        "You got that wrong, I said Tuesday.",
        "I ordered the wrong number of seats",
        "You have the wrong number on my invoice",
        "Do I have the wrong number?",
        "Sorry, is this the wrong number?",
        "Thank you, no problem.",
        "No, thank you for calling!",
        "There's no interest for twelve months, right?",
        "I don't want that one, I want the other one",
        "I don't need a receipt but a copy would help",
        "I'll pass it on to my wife",
        "I'll pass you over to my husband",
        "Let me pass the phone",
        "I got a call at noon",
        "I'll call back later",
        "I'm driving a Ford",
        "There is no parking here",
        "Who will take care of that in the end",
        "I can see you are busy",
        "Before I say goodbye, what does it cost?",
        "And then, bye?",
        "",
        "   ",
    ],
)
def test_a_turn_of_the_conversation_is_no_wish(text: str) -> None:
    assert wish_of(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "Goodbye.",
        "Thank you for your time. Goodbye!",
        "Thanks, goodbye",  # TC-064
        "Goodbye, Ana.",
        "Goodbye, Ana. Thank you for your time.",
        "Goodbye! Have a wonderful rest of your day!",
        "All right. Good-bye and take care.",
        "I will let you go now, goodbye for now.",
        "Okay, bye!",
        "Bye-bye, Mr. Doe.",
        "Bye now.",
        "Goodbye! 👋",
        '"Goodbye."',
        "**Goodbye**",
        "If you have no more questions, goodbye!",
        "Have a great day!",
        "Thank you. Enjoy the rest of your evening.",
        "Take care, Ana!",
        "Vielen Dank, auf Wiedersehen.",
        "Gracias. ¡Adiós!",
        "I’m sorry, this number is not in service. Goodbye.",
        "I cannot hear you. Goodbye.",
    ],
)
def test_the_agents_farewell_is_recognised(text: str) -> None:
    assert is_farewell(text)


@pytest.mark.parametrize(
    "text",
    [
        "Hi there, can you hear me?",
        "Before we say goodbye, is there anything else?",
        "Before we say goodbye, let me repeat the date.",
        "Goodbye? Did you say goodbye?",
        "Please don't say goodbye yet.",
        "With the pass you have a full day.",
        "With the day pass you have a great day.",
        "Would you like an appointment in the evening?",
        "Goodbye was said. But then we went on. Now tell me more.",
        "We take care of everything.",
        "You can buy it online.",
        "The bypass is closed.",
        "",
        "👋",
    ],
)
def test_words_that_only_sound_like_a_farewell_do_not_hang_up(text: str) -> None:
    assert not is_farewell(text)


@given(st.text() | st.text(alphabet="goodby e.!?'n"))
def test_any_words_can_be_judged(text: str) -> None:
    wish_of(text)
    is_farewell(text)
