"""Who can pick up the phone in a simulation, what do they do, and how must a call with them end?

Each persona is a short script for the lab's carrier, with lines that vary from person to person. Pure: the same number
of people and the same seed give the same people.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from voiceagents.calls.states import AnsweredBy, Outcome

Steps = list[dict[str, Any]]

LISTENS = {"wait_for": "silence", "silence_ms": 1300, "timeout_ms": 15000}
_AREAS = (202, 212, 303, 312, 404, 415, 503, 617, 702, 713, 801, 817)
MOST = len(_AREAS) * 100
"""There are so many numbers that belong to nobody: 555-0100 to 555-0199 in a few areas."""

_FIRST_NAMES = ("Ana", "Ben", "Carla", "David", "Eva", "Frank", "Greta", "Hugo", "Ivy", "Jonas", "Kira", "Leo")


@dataclass(frozen=True)
class Person:
    """One simulated phone and whoever answers it."""

    name: str
    number: str
    persona: str
    answers: AnsweredBy
    """Who or what really answers."""

    outcomes: frozenset[Outcome]
    """The endings that are right."""

    phone: dict[str, Any] = field(hash=False)
    opts_out: bool = False
    calls_back: bool = False

    @property
    def is_person(self) -> bool:
        """Whether somebody of flesh and blood answers."""
        return self.answers is AnsweredBy.PERSON


@dataclass(frozen=True)
class _Persona:
    name: str
    answers: AnsweredBy
    outcomes: tuple[Outcome, ...]
    steps: Callable[[Random, str], Steps]
    weight: int
    opts_out: bool = False
    calls_back: bool = False


def _say(line: str, voice: str) -> dict[str, Any]:
    return {"say": line, "voice": voice}


_HELLOS = (
    "Hello?",
    "Hello, who is this?",
    "Yes, hello.",
    "Hi, this is {name}.",
    "Good morning.",
    "Hello, {name} speaking.",
    "Hello? Hello?",
    "Yeah, hi there.",
    "Good afternoon, this is {name}.",
    "Hello, sorry, I was just running to the phone.",
)


def _hello(random: Random, name: str) -> str:
    return random.choice(_HELLOS).replace("{name}", name)


def _talk(*choices: Sequence[str]) -> Callable[[Random, str], Steps]:
    """Somebody who says hello and then one of each of these lines, whenever we are silent."""

    def steps(random: Random, name: str) -> Steps:
        voice = random.choice(("hibari", "hibari", "flite"))
        said: Steps = [{"pause_ms": random.choice((200, 500, 900))}, _say(_hello(random, name), voice), LISTENS]
        for lines in choices:
            said += [_say(random.choice(lines), voice), LISTENS]
        return [*said, {"hangup": True}]

    return steps


_OPT_OUTS = (
    "Take me off your list, please.",
    "Do not call me again.",
    "Please remove my number from your database.",
    "I don't want to receive any more calls from you.",
    "Stop calling me.",
    "I would like to opt out.",
    "Put me on your do not call list.",
    "I don't want to hear from you again.",
    "Lose my number, please.",
    "Never call here again.",
    "Would you please stop ringing me?",
    "Delete my phone number from your system.",
)
_REFUSALS = ("No thank you, I am not interested.", "I'm not interested.", "No thanks.", "I don't want any.")


def _talks_over(random: Random, name: str) -> Steps:
    voice = random.choice(("hibari", "flite"))
    return [
        _say("Hello?", voice),
        {"wait_for": "speech", "timeout_ms": 8000},
        {"pause_ms": 900},
        _say("Sorry, wait a moment, who is this and what do you want from me?", voice),
        LISTENS,
        _say(random.choice(_REFUSALS), voice),
        LISTENS,
        {"hangup": True},
    ]


def _long_pauses(random: Random, name: str) -> Steps:
    return [
        {"pause_ms": random.choice((3200, 4000))},
        _say("Hello?", "hibari"),
        LISTENS,
        {"pause_ms": 2000},
        _say("Yes, please tell me more.", "hibari"),
        LISTENS,
        _say("Okay, thank you, goodbye.", "hibari"),
        LISTENS,
        {"hangup": True},
    ]


def _business(random: Random, name: str) -> Steps:
    line = random.choice(
        (
            f"Good morning, Bright Dental, this is {name} speaking, how may I help you today?",
            f"Thank you for calling Miller and Sons, {name} here, what can I do for you?",
            "Hello, she is not available right now, can I take a message?",
        )
    )
    return [
        _say(line, "hibari"),
        LISTENS,
        _say("No thank you, we are not interested.", "hibari"),
        LISTENS,
        {"hangup": True},
    ]


def _long_winded(random: Random, name: str) -> Steps:
    """People whose first words are as long as a recording's, and have its words in them."""
    line = random.choice(
        (
            f"Hello, you have reached the Lopez family, this is {name} speaking.",
            "Hello, my wife is not at home right now, but I am listening.",
            "Hi, I am not at my desk right now, so please make it short.",
            "Hello, I saw that I missed a call from this number, was that you?",
            "Good morning, the office is closed today, but I picked up anyway.",
            "Hello, my voice mail is full, so I thought I should answer.",
        )
    )
    return [_say(line, "hibari"), LISTENS, _say(random.choice(_REFUSALS), "hibari"), LISTENS, {"hangup": True}]


def _behind_screener(random: Random, name: str) -> Steps:
    return [
        {"pause_ms": 300},
        _say(random.choice(_SCREENERS), "hibari"),
        LISTENS,
        _say("Thank you. Please hold.", "hibari"),
        {"pause_ms": 3000},
        _say(f"Hello, this is {name}, I am on the line now.", "flite"),
        LISTENS,
        _say(random.choice(_REFUSALS), "flite"),
        LISTENS,
        {"hangup": True},
    ]


def _gone(random: Random, name: str) -> Steps:
    return [{"pause_ms": random.choice((300, 800))}, {"hangup": True}]


_VOICEMAILS: tuple[tuple[str, ...], ...] = (
    ("Hi, this is {name}. I cannot come to the phone right now.", "Please leave a message after the tone."),
    ("You have reached {name}. Leave your name and number and I'll call you back.",),
    ("The person you are calling is not available. Please leave a message after the tone.",),
    ("Your call has been forwarded to an automatic voice message system.", "At the tone, please record your message."),
    ("Hello, you've reached the voicemail of {name}.", "Please leave a message."),
    ("Hey, it's {name}, you know what to do, leave a message after the beep.",),
    ("Sorry I missed your call. Leave a short message and I'll get back to you as soon as I can.",),
    ("Thank you for calling Bright Dental. We are closed now. Please leave a message after the beep.",),
    ("{name} is not available right now. To leave a voice message, wait for the tone.",),
    ("Hi, I'm away from my desk or on another line.", "Leave me a message and I will return your call today."),
    ("Hello?", "Just kidding, I'm not here. Leave a message at the beep."),
    ("Hi, this is {name}. I am not here at the moment.",),
    ("We're not home right now.", "Please leave your name and number after the beep."),
    ("Welcome to the voice mailbox of {name}.", "Record your message after the tone. When you are finished, hang up."),
    ("Hi, you've reached the office of Miller and Sons.", "Our hours are nine to five.", "Please leave a message."),
    ("The wireless customer you are calling is not available. Please leave a message at the tone.",),
    ("Hi, it's {name}, sorry I can't pick up.", "Send me a text, or say something after the beep."),
    ("You have reached", "{name}.", "To leave a message, wait for the tone. For more options, press five."),
    ("The person you are trying to reach has a voice mailbox that has not been set up yet. Goodbye.",),
    ("{name} here. I'm on vacation until Monday.", "Leave a message and I'll call you when I am back."),
)


def _voicemail(random: Random, name: str) -> Steps:
    voice = random.choice(("hibari", "flite"))
    said: Steps = [{"pause_ms": random.choice((300, 600))}]
    for line in random.choice(_VOICEMAILS):
        said += [_say(line.replace("{name}", name), voice), {"pause_ms": 350}]
    beep = {"beep_ms": random.choice((300, 500, 900)), "hz": random.choice((850, 1000, 1400))}
    return [
        *said,
        {"pause_ms": random.choice((300, 900, 1500))},
        beep,
        {"wait_for": "silence", "silence_ms": 5000, "timeout_ms": 25000},
        {"hangup": True},
    ]


_SCREENERS = (
    "Hi, if you record your name and reason for calling, I'll see if this person is available.",
    "Hello, the person you're calling is using a screening service. Please say your name and why you are calling.",
    "Go ahead and say your name and why you're calling.",
    "Hi. Before I try to connect you, could you tell me your name and why you're calling?",
    "This call is being screened. Please say your name and the reason for your call.",
)


def _screening(random: Random, name: str) -> Steps:
    return [
        {"pause_ms": 300},
        _say(random.choice(_SCREENERS), "hibari"),
        LISTENS,
        _say("Thank you. Please hold.", "hibari"),
        {"pause_ms": 2000},
        _say("Sorry, this person is not available. Goodbye.", "hibari"),
        {"pause_ms": 500},
        {"hangup": True},
    ]


def _menu(random: Random, name: str) -> Steps:
    line = random.choice(
        (
            "Thank you for calling Bright Dental. For appointments, press one. For billing, press two.",
            "Welcome to the main menu. For sales, press one. For service, press two.",
            "Please listen to the following options. To make an appointment, press or say one.",
        )
    )
    return [_say(line, "hibari"), {"wait_dtmf": 1, "timeout_ms": 10000}, LISTENS, {"hangup": True}]


def _fax(random: Random, name: str) -> Steps:
    return [{"pause_ms": 600}, {"beep_ms": 2800, "hz": 2100}, {"pause_ms": 4000}, {"hangup": True}]


def _announcement(random: Random, name: str) -> Steps:
    line = random.choice(
        (
            "We are sorry. The number you have dialed is not in service.",
            "The subscriber you have called cannot be reached. Please try again later.",
            "Your call cannot be completed as dialed. Please check the number and dial again.",
        )
    )
    return [_say(line, "flite"), {"pause_ms": 6000}, {"hangup": True}]


_PERSON = AnsweredBy.PERSON
_PERSONAS: tuple[_Persona, ...] = (
    _Persona(
        "interested",
        _PERSON,
        (Outcome.COMPLETED,),
        _talk(("Yes, tell me more please.", "Sure, go on."), ("Okay, thank you, goodbye.", "Sounds good, goodbye.")),
        5,
    ),
    _Persona("not interested", _PERSON, (Outcome.NOT_INTERESTED,), _talk(_REFUSALS), 5),
    _Persona(
        "busy",
        _PERSON,
        (Outcome.CALLBACK_REQUESTED,),
        _talk(("I'm busy, call me tomorrow at three.", "Can you call me back on Friday at ten?")),
        4,
        calls_back=True,
    ),
    _Persona("opts out", _PERSON, (Outcome.OPTED_OUT,), _talk(_OPT_OUTS), 5, opts_out=True),
    _Persona(
        "wrong number",
        _PERSON,
        (Outcome.WRONG_NUMBER,),
        _talk(("Sorry, you have the wrong number.", "There is no one here by that name.")),
        3,
    ),
    _Persona(
        "hard of hearing",
        _PERSON,
        (Outcome.COMPLETED,),
        _talk(("Sorry, can you say that again please?", "I did not hear you."), ("Thank you, goodbye.",)),
        3,
    ),
    _Persona("talks over", _PERSON, (Outcome.NOT_INTERESTED,), _talks_over, 3),
    _Persona("long pauses", _PERSON, (Outcome.COMPLETED,), _long_pauses, 2),
    _Persona("business", _PERSON, (Outcome.NOT_INTERESTED,), _business, 3),
    _Persona("long-winded", _PERSON, (Outcome.NOT_INTERESTED,), _long_winded, 3),
    _Persona("behind a screener", _PERSON, (Outcome.NOT_INTERESTED,), _behind_screener, 1),
    _Persona("gone at once", AnsweredBy.SILENCE, (Outcome.HUNG_UP,), _gone, 1),
    _Persona("voicemail", AnsweredBy.VOICEMAIL, (Outcome.VOICEMAIL,), _voicemail, 14),
    _Persona("screening", AnsweredBy.SCREENING, (Outcome.SCREENED,), _screening, 3),
    _Persona("menu", AnsweredBy.MENU, (Outcome.MACHINE,), _menu, 2),
    _Persona("fax", AnsweredBy.FAX, (Outcome.MACHINE,), _fax, 1),
    _Persona("announcement", AnsweredBy.ANNOUNCEMENT, (Outcome.INVALID_NUMBER, Outcome.UNREACHABLE), _announcement, 2),
)


def people(count: int, seed: int = 0, first: int = 0) -> list[Person]:
    """`count` people from the `first` on; every persona comes in its share, whatever the count.

    Raises:
        ValueError: more people than there are numbers that belong to nobody.
    """
    if first + count > MOST:
        raise ValueError(f"at most {MOST} people can be simulated at once")
    order = [persona for persona in _PERSONAS for _ in range(persona.weight)]
    Random(seed).shuffle(order)  # noqa: S311  people to play with, no secret
    return [_person(order[place % len(order)], place, seed) for place in range(first, first + count)]


def _person(persona: _Persona, place: int, seed: int) -> Person:
    random = Random(f"{seed}/{place}")  # noqa: S311  people to play with, no secret
    name = random.choice(_FIRST_NAMES)
    number = f"+1{_AREAS[place % len(_AREAS)]}555{100 + place // len(_AREAS):04}"
    phone = {"ring_ms": random.choice((800, 1500, 2500)), "steps": persona.steps(random, name), "max_ms": 75_000}
    return Person(
        name, number, persona.name, persona.answers, frozenset(persona.outcomes), phone, persona.opts_out,
        persona.calls_back,
    )  # fmt: skip
