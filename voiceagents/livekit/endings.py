"""Does what was said end the call? Plain rules on the words of one turn, beside a model that has no tools.

Rules must be sure: a person who is cut off while they talk is worse than one more sentence. What they cannot tell,
they leave to the conversation.
"""

import re
from dataclasses import dataclass

from voiceagents.calls.states import Outcome


@dataclass(frozen=True)
class Wish:
    """What the person wants, as far as their words say it for certain."""

    outcome: Outcome
    ends_call: bool
    """True when we owe them a short farewell and nothing else."""


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_OPT_OUT = _any(
    r"\b(take|remove|delete|get) (me|my (number|name)|us)\b.{0,30}\b(list|database|records?|system)\b",
    r"\b(take|get) me off\b",
    r"\b(stop|quit) (calling|phoning|ringing|bothering|contacting|harassing)\b",
    r"\b(do not|don'?t|never|please don'?t)( you)?( ever)? (call|phone|ring|contact|bother)( me| us| here| this number)?( again| any ?more)",
    r"\bno more (calls|phone calls)\b",
    r"\bunsubscribe\b",
    r"\b(do[- ]not[- ]call|no[- ]call) (list|registry)\b",
    r"\blose (my|this) number\b",
)
_WRONG_NUMBER = _any(
    r"\bwrong (number|person)\b",
    r"\b(there is|there'?s) (no one|nobody|no-one|no \w+)( here)? (by|with|of|called) (that|this)( name)?\b",
    r"\b(no one|nobody|no-one) (by|of|with|called) (that|this) name\b",
    r"\byou (have|'ve|must have|dialed|dialled|got|'ve got)\b.{0,20}\bwrong\b",
    # A name begins with a capital: "I am not interested" and "I'm not sure" deny nobody.
    r"\b(i am|i'?m|this is) not (?-i:[A-Z])\w+[,.!]? ?(you|wrong|there|$)",
    r"\bnever heard of (him|her|them|that person|that name)\b",
    r"\b(does not|doesn'?t|no longer) (live|work)s? here\b",
)
_NOT_INTERESTED = _any(
    r"\b(not|isn'?t|aren'?t|never) (at all |really |very |that )?interested\b",
    r"\bno interest\b",
    r"\b(no,? )?(thanks|thank you),? (but )?no\b",
    r"\bno,? (thanks|thank you)\b",
    r"\b(do not|don'?t) (want|need) (any|it|this|that|your|to buy|anything)\b",
    r"\b(i'?ll|i will|i'?m going to|let me) pass\b",
    r"\bplease (leave me alone|go away)\b",
)
_CALLBACK = _any(
    r"\b(call|ring|phone|try)( me| us)?( back)?( again)? (later|tomorrow|tonight|next|another (time|day)|in (a|an|the|\d|ten|five|two|half)"
    r"|on (mon|tues|wednes|thurs|fri|satur|sun)day|this (afternoon|evening)|after|at)\b",
    r"\bcan you call( me)? back\b",
    r"\b(not a good|a bad) (time|moment)\b",
    r"\bi'?m (busy|driving|in a meeting)( right now| at the moment|)\b",
)
_GOODBYE = _any(
    r"\b(good ?bye|bye[- ]bye|bye|see you|have a (good|nice|great) (day|one|evening|weekend)|take care)\b[\s.!,]*$"
)
_FAREWELL = _any(
    r"\b(good ?bye|bye[- ]bye|bye( now)?|(have|enjoy) (a|the rest of your) [\w ]{0,20}(day|evening|weekend|night|one))\b[\s.!]*$"
)


def wish_of(text: str) -> Wish | None:
    """What the person's turn asks for, or None when it is just a turn of the conversation."""
    text = text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    short = len(text.split()) <= 12
    if _OPT_OUT.search(text):
        return Wish(Outcome.OPTED_OUT, ends_call=True)
    if _WRONG_NUMBER.search(text):
        return Wish(Outcome.WRONG_NUMBER, ends_call=True)
    if _NOT_INTERESTED.search(text):
        return Wish(Outcome.NOT_INTERESTED, ends_call=short)
    if _CALLBACK.search(text):
        return Wish(Outcome.CALLBACK_REQUESTED, ends_call=False)
    if short and _GOODBYE.search(text):
        return Wish(Outcome.COMPLETED, ends_call=True)
    return None


def is_farewell(text: str) -> bool:
    """True when the agent's words say goodbye at their end, so that the call ends once they are heard."""
    return _FAREWELL.search(text.strip()) is not None
