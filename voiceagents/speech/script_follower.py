"""What does the offline voice say next?

A deterministic stand-in for a language model: `reply` reads the messages of one chat completion request and answers
by rules, with no I/O and no memory, so that the same call always goes the same way. It knows the two kinds of call
there are here: a campaign, whose script it hands out a sentence or two at a time, and an assistant, which answers
from the sentences of its own prompt and uses the tools it is offered (`tool_rules`). It never raises, whatever the
messages hold, and never makes up a fact: all it says comes from the prompt, from a tool or from the fixed phrases
below. Its farewells end in "Goodbye.", by which the agent knows that the call is over.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import tool_rules
from .answered_by import answered_by
from .conversation import Conversation, read
from .meaning import Meaning, meaning, when
from .sentences import plain, sentences
from .tool_rules import ToolCall

FAREWELL = "Thank you for your time. Goodbye."
_SENTENCES_A_TURN = 2


@dataclass(frozen=True)
class Reply:
    text: str
    tool_calls: tuple[ToolCall, ...] = field(default=())


def reply(messages: Sequence[Any], tools: Sequence[Any] = ()) -> Reply:
    """The next words, or the next tool call, of a conversation in the chat completions format."""
    conversation = read(messages, tools)
    if label := answered_by(conversation):
        return Reply("", (label,))
    if (said := _told_what_to_say(conversation)) is not None:
        return Reply(said)
    if tool_rules.waits(conversation):
        return Reply(opening_line(conversation.prompt))
    if (report := tool_rules.report(conversation)) is not None:
        return Reply(report)
    if (script := campaign_script(conversation.prompt)) is not None:
        return Reply(_follow(script, conversation))
    return _assist(conversation)


# --- instructions for one turn ---------------------------------------------------------------------------------------

_QUOTED = re.compile(r"[\"“]([^\"”]+?)[\"”]")
_FOR_A_FAREWELL = re.compile(r"\b(?:good ?bye|farewell|end the (?:call|conversation)|wrap up|hang up)\b", re.IGNORECASE)
_FOR_A_RECORDING = re.compile(
    r"\b(?:voice ?mail|answering machine|after the (?:beep|tone)|leave (?:a|one|the)\b.{0,20}\bmessage)", re.IGNORECASE
)
_FOR_A_GREETING = re.compile(
    r"\b(?:greet|greeting|say hello|say hi|introduce|open the call|first message|welcome)", re.IGNORECASE
)
_FOR_SILENCE = re.compile(
    r"\b(?:still there|silen(?:t|ce)|quiet|(?:not|n't|nothing) (?:been )?(?:said|say|spoken|spoke|respond\w*))",
    re.IGNORECASE,
)


def _told_what_to_say(conversation: Conversation) -> str | None:
    """What the instruction that came with this one turn asks for, if it is one of the requests we know."""
    instruction = conversation.instruction
    if not instruction:
        return None
    for line in _QUOTED.findall(instruction):
        if len(line.split()) > 1 and not line.rstrip().endswith(","):
            return line.strip()
    script = campaign_script(conversation.prompt)
    if _FOR_A_RECORDING.search(instruction):
        return _recorded_message(script, conversation)
    if _FOR_A_FAREWELL.search(instruction):
        return FAREWELL
    if _FOR_A_GREETING.search(instruction):
        return _greeting(script, conversation)
    if _FOR_SILENCE.search(instruction):
        return "Are you still there?" if conversation.said else _greeting(script, conversation)
    return None


# --- campaigns -------------------------------------------------------------------------------------------------------

_SCRIPT = re.compile(
    r"^[ \t#*]*CAMPAIGN SCRIPT\b[^:\n]*:?[ \t]*\n?(.*?)(?=^[ \t#*]*CONTACT INFORMATION|\Z)", re.S | re.M
)
_CALLEE = re.compile(r"\buse [\"“]([^\"”\n]+)[\"”]")
_NO_SCRIPT = re.compile(r"^\(no [^)]*script[^)]*\)$", re.IGNORECASE)
_HELLO = re.compile(
    r"^(?i:hello|hi|hey|good (?:morning|afternoon|evening)|dear)\b(?: there| [A-Z{][\w{}.'’-]*){0,3}\s*[,.!–—-]*\s*"
)
_PLAIN_START = re.compile(
    r"^(?:This|We|We're|It|It's|The|Our|You|Your|Would|Could|Can|Do|Are|Is|My|A|An|How|Just|Thank)\b"
)
_OFFER = re.compile(
    r"\b(?:would you|(?:can|may|could) (?:we|i)|shall|should|want|like to|interested|good (?:time|moment))\b"
)


def campaign_script(prompt: str) -> list[str] | None:
    """The sentences of the prompt's campaign script, without its own hello; None where the prompt has no such block."""
    block = _SCRIPT.search(prompt)
    if block is None:
        return None
    script = [line for line in sentences(block.group(1)) if not _NO_SCRIPT.match(line)]
    if script and (hello := _HELLO.match(script[0])):
        script[0] = script[0][hello.end() :]
    return [_capital(line) for line in script if plain(line)]


def callee(prompt: str) -> str:
    """The name the prompt asks to use, or "there"."""
    named = _CALLEE.search(prompt)
    return named.group(1).strip() if named and named.group(1).strip() else "there"


def _follow(script: list[str], conversation: Conversation) -> str:
    name = callee(conversation.prompt)
    if not conversation.heard:
        return _greeting(script, conversation)
    if conversation.last_said_goodbye:
        return "Goodbye."
    utterance = conversation.heard
    meant = meaning(utterance, name)
    match meant:
        case Meaning.OPT_OUT:
            return "I am sorry to have bothered you. You are off our list, and we will not call you again. Goodbye."
        case Meaning.WRONG_NUMBER:
            return "I am sorry, I have the wrong number. Sorry for the trouble. Goodbye."
        case Meaning.NOT_INTERESTED:
            return "I understand, and I am sorry to have disturbed you. Goodbye."
        case Meaning.NO if _OFFER.search(plain(conversation.last_said)):
            return "I understand, and I am sorry to have disturbed you. Goodbye."
        case Meaning.CALLBACK | Meaning.ABSENT:
            return f"Of course. We will call again {when(utterance) or 'at a better time'}. Goodbye."
        case Meaning.GOODBYE:
            return FAREWELL
        case Meaning.HOLD:
            return "Of course, take your time."
        case Meaning.REPEAT if conversation.last_said:
            return conversation.last_said
        case _:
            return _go_on(script, conversation, meant, name)


def _go_on(script: list[str], conversation: Conversation, meant: Meaning, name: str) -> str:
    opening = "" if conversation.said else f"Hi {name}, "
    unspoken = [line for line in script if not conversation.has_said(line)]
    if meant is Meaning.ROBOT:
        return _joined(opening, ["I am an automated assistant.", *(_last_question(conversation) or _turn(unspoken))])
    if meant is Meaning.WHO and script:
        return _joined(opening, list(dict.fromkeys([script[0], *_last_question(conversation)])))
    answer = _best_match(conversation.heard, script) if opening == "" and _asks(conversation.heard) else None
    lines = [answer] if answer else _turn(unspoken)
    if not lines:
        return _joined(opening, ["How are you today?"]) if opening else FAREWELL
    return _joined(opening, lines)


def _turn(unspoken: list[str]) -> list[str]:
    """The next sentence or two, up to and including the next question."""
    lines = unspoken[:_SENTENCES_A_TURN]
    return lines[:1] if lines and lines[0].endswith("?") else lines


def _greeting(script: list[str] | None, conversation: Conversation) -> str:
    if script is None:
        return opening_line(conversation.prompt)
    return f"Hi {callee(conversation.prompt)}, how are you today?"


def _recorded_message(script: list[str] | None, conversation: Conversation) -> str:
    told = [line for line in script or [] if not line.endswith("?")][:_SENTENCES_A_TURN]
    return _joined(f"Hi {callee(conversation.prompt)}, ", [*told, "Thank you. Goodbye."])


def _joined(opening: str, lines: list[str]) -> str:
    text = " ".join(lines)
    if opening and _PLAIN_START.match(text):
        text = text[0].lower() + text[1:]
    return opening + text


def _last_question(conversation: Conversation) -> list[str]:
    return [line for line in sentences(conversation.last_said) if line.endswith("?")][-1:]


def _capital(line: str) -> str:
    return line[:1].upper() + line[1:]


# --- assistants ------------------------------------------------------------------------------------------------------

_OPENING = re.compile(
    r"(?:first message|opening line|greeting|(?:greet|begin|start|open|answer) (?:\w+ ){0,3}(?:with|by saying))"
    r"\s*:?\s*[\"“]([^\"”\n]+)[\"”]",
    re.IGNORECASE,
)
_DIRECTION = re.compile(
    r"^(?:you(?:'re|’re| are| must| should| will| can| have| handle)|your (?:job|task|goal|role|name is)|do not"
    r"|don['’]t|never|always|be|keep|speak|if|when|ask|use|greet|wait|follow|answer|reply|respond|only|avoid"
    r"|make sure|try|act|rules|personali[sz]e|help|this is an? (?:inbound|outbound)|today is|where it)\b|:$",
    re.IGNORECASE,
)
_CONTACT_BLOCK = re.compile(r"^[ \t#*]*CONTACT INFORMATION.*?(?=\n[ \t]*\n|\Z)", re.S | re.M | re.I)


def opening_line(prompt: str) -> str:
    """The greeting the prompt prescribes, or a plain one."""
    prescribed = _OPENING.search(prompt)
    return prescribed.group(1).strip() if prescribed else "Hello, how can I help you today?"


def _assist(conversation: Conversation) -> Reply:
    if not conversation.heard:
        return Reply(opening_line(conversation.prompt))
    if conversation.last_said_goodbye:
        return Reply("Goodbye.")
    meant = meaning(conversation.heard)
    step = tool_rules.next_step(conversation, meant)
    if isinstance(step, ToolCall):
        return Reply("", (step,))
    if step:
        return Reply(step)
    match meant:
        case Meaning.GOODBYE | Meaning.NOT_INTERESTED:
            return Reply("Thank you for calling. Goodbye.")
        case Meaning.NO if _ANYTHING_ELSE in conversation.last_said:
            return Reply("Thank you for calling. Goodbye.")
        case Meaning.OPT_OUT:
            return Reply("I am sorry. I have noted that you do not want to be called. Goodbye.")
        case Meaning.WRONG_NUMBER:
            return Reply("No problem at all. Goodbye.")
        case Meaning.ROBOT:
            return Reply("I am an automated assistant. How can I help you?")
        case Meaning.HOLD:
            return Reply("Of course, take your time.")
        case Meaning.REPEAT if conversation.last_said:
            return Reply(conversation.last_said)
        case _:
            return Reply(_answer(conversation))


_ANYTHING_ELSE = "Is there anything else"


def _answer(conversation: Conversation) -> str:
    facts = [line for line in sentences(_CONTACT_BLOCK.sub("", conversation.prompt)) if not _DIRECTION.search(line)]
    if found := _best_match(conversation.heard, facts):
        return f"{found} {_ANYTHING_ELSE} I can help you with?"
    if not conversation.said:
        return opening_line(conversation.prompt)
    if _asks(conversation.heard):
        return f"I am sorry, I do not have that information. {_ANYTHING_ELSE} I can help you with?"
    return "How can I help you?"


# --- finding the sentence that answers -------------------------------------------------------------------------------

_EMPTY_WORDS = frozenset(
    plain(
        """
        a about am an and are as at be by can could did do does for from get got had has have hello hi how i if im in is
        it its just know like me my of on or our please so tell that the their them there they this to us was we what
        when where which who why will with would you your yes no ok okay thanks thank want need today something anything
        """
    ).split()
)
_SAME_THING = {
    "cost": ("price", "much", "expensive", "pay", "charge", "dollar", "euro", "fee"),
    "hour": ("open", "opening", "close", "closed", "monday"),
    "address": ("located", "location", "street", "find"),
    "parking": ("park",),
    "email": ("mail",),
    "phone": ("telephone",),
}
_MEANS = {word: thing for thing, words in _SAME_THING.items() for word in words}
_QUESTION_MEANS = {"how much": "cost", "where": "address", "when": "hour", "what time": "hour"}
_QUESTION = re.compile(
    r"^(?:(?:and|but|so|well|okay|ok|yes|hi|hello) )*"
    r"(?:how|what|when|where|which|who|why|do|does|is|are|can|could|will|would)\b"
)


def _asks(utterance: str) -> bool:
    return utterance.rstrip().endswith("?") or _QUESTION.match(plain(utterance)) is not None


def _keywords(text: str) -> set[str]:
    words = plain(text)
    found = {_stem(word) for word in words.split() if word not in _EMPTY_WORDS}
    return found | {meant for asked, meant in _QUESTION_MEANS.items() if words.startswith(asked)}


def _stem(word: str) -> str:
    stem = re.sub(r"(?<=\w{3})(?:ing|ed|es|s)$", "", word)
    return _MEANS.get(word) or _MEANS.get(stem) or stem


def _best_match(utterance: str, lines: list[str]) -> str | None:
    """The line that shares the most telling words with the utterance: a word found in fewer lines tells more."""
    asked = _keywords(utterance)
    words = [_keywords(line) for line in lines]
    scores = [sum(1 / sum(word in other for other in words) for word in asked & held) for held in words]
    best = max(scores, default=0)
    return lines[scores.index(best)] if best > 0 else None
