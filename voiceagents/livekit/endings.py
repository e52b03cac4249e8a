"""Does what was said end the call? Plain rules on the words of one turn, beside a model that has no tools.

Rules must be sure: a person who is cut off while they talk is worse than one more sentence. What they cannot tell,
they leave to the conversation.
"""

import re
from dataclasses import dataclass

from voiceagents.calls.states import Outcome
from voiceagents.livekit.opt_out import asks_to_opt_out


@dataclass(frozen=True)
class Wish:
    """What the person wants, as far as their words say it for certain."""

    outcome: Outcome
    ends_call: bool
    """True when we owe them a short farewell and nothing else."""


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE)


_WRONG_NUMBER = _any(
    r"\bwrong (number|person|house|guy|man|woman|lady|family)\b(?! (of|on|in|to)\b)",
    r"\b(no ?one|nobody|no-one)( here)? (by|with|of|called) (that|this)( name)?\b",
    r"\byou('ve| have)? (mis-?dial|dial)l?ed (the )?wrong\b",
    r"\b(i am|i'?m|this is) not (him|her|that person|who you)\b",
    r"\bnever heard of (him|her|them|that person|that name)\b",
    r"\b(does not|doesn'?t|no longer) (live|work)s? here\b",
    r"\b(no ?one|nobody) here (called|named|by the name of)\b(?! (me|us|you|back|the|for|anybody)\b)|\b(do not|don'?t) know any ?(one|body) (called|named|by)\b",
    r"\b(isn'?t|is not|not) (\w+'s|her|his|their) (phone|number|phone number)\b",
    r"\b((has not|hasn'?t)|they (have not|haven'?t)) had this number\b",
    r"\b(he|she|they) moved (out|away) (\w+ ){1,3}ago\b",
)
_NOT_INTERESTED = _any(
    r"\b(not|isn'?t|aren'?t|never|wouldn'?t be) ((at all|really|very|that|all|too|particularly) ){0,2}interested\b",
    r"\b(have|got|'ve|absolutely|really) no interest\b(?! (rate|charge|payment|for)s?\b)",
    r"\b(thanks|thank you),? (but )?no( thanks| thank you)?[\s.!]*$",
    r"\bno[,.]? (thanks|thank you)( very much| so much| anyway)?(?=[.!,]|$)",
    r"\b(do not|don'?t) (want|need) (any of (it|this|that)|it|this|that|any|anything|to buy anything|one)( from you| at all| right now)?[\s,]*(thanks|thank you)?[\s.!]*$",
    r"\b(i'?ll|i will|i'?m going to|i think i'?ll) pass( on (this|that|it))?( this time)?[\s,]*(thanks|thank you)?[\s.!]*$",
    r"\b(leave me alone|go away)\b",
    r"\b(no|nah|nope),? (thanks,? )?(we'?re|we are|i'?m|i am) (all set|good|fine|okay|ok)[\s,]*(thanks|thank you)?[\s.!]*$",
    r"\b(we'?re|we are|i'?m|i am) all set,? (thanks|thank you)\b|\bi (do not|don'?t) think so,? (but )?(thanks|thank you)\b",
    r"\bnot for (me|us),? (thanks|thank you)\b|\bit'?s a no\b( from (me|us)\b|[\s.!]*$)",
    r"\b(i|we) have no (need|use) for\b|\b(i'?ll|i will|we'?ll) (have to )?decline\b",
    r"\b(do not|don'?t) (buy|do business|do)( anything| things)? over the (tele)?phone\b",
)
_LATER = r"(later|tomorrow|tonight|next|another|some other|in (a|an|the|\d|ten|five|two|half|one)|on (mon|tues|wednes|thurs|fri|satur|sun)day|(mon|tues|wednes|thurs|fri|satur|sun)day|this (afternoon|evening|week)|after|at|around|when|once|until|till)"
_CALLBACK = _any(
    rf"\b(call|ring|phone|try) (me|us)( back)?( again)?( please)?( sometime)? {_LATER}\b",
    rf"(?<!i'll )(?<!i will )(?<!i can )\b(call|ring|phone|try) (back|again)( again)?( please)?( sometime)? {_LATER}\b",
    r"\b(can|could|would|will) you( please)? (call|ring|phone)( me| us)? (back|later|tomorrow|again)\b",
    r"\b(call|ring|phone) (me|us) back\b",
    rf"\bgive (me|us) a (call|ring)( back)? {_LATER}\b|\bcan we (talk|speak) {_LATER}\b",
    r"\b(can'?t|cannot|can not) (talk|speak) (right )?now\b",
    r"\b((do not|don'?t) have|have no|no|haven'?t got)( the)? time (right now|now|at the moment)\b",
    r"(?<!i'll )(?<!i will )\bcall (later|tomorrow|tonight|next week)\b",
    r"\b(not|isn'?t|not really) (a|the) (good|great|best|right) (time|moment)\b|\ba bad (time|moment)\b",
    r"\bi('?m| am) ((a bit|kind of|really|very|just|quite) )?(busy|driving(?! an?\b)|in a meeting|in the middle of)\b",
)
_GOODBYE = _any(
    r"\b(good[- ]?bye|bye[- ]bye|bye|have a (good|nice|great|lovely) (day|one|evening|weekend|night))( now| for now| then)?[\s.!,]*$",
    r"(?:^|[.,!;] *|\b(?:ok|okay|thanks|thank you|well|right|alright|so|and) )(i'll )?(see you|take care|talk to you)( (then|later|soon|tomorrow))?[\s.!,]*$",
)
_FAREWELL = _any(
    r"\bgood[- ]?bye\b",
    r"\bbye\b",
    r"\b(auf wiedersehen|auf wiederhören|tschüss|au revoir|adi[oó]s|hasta luego|arrivederci|tot ziens|até logo)\b",
)
_SPOKEN_OF = _any(r"\b(before|until|instead of|without|not|if|when|once|\w+n't)\s+([\w']+\s+){0,3}(good[- ]?bye|bye)\b")
_GOOD_WISHES = _any(
    r"(?<!you )\b(have|enjoy) (a|the|your) ((very|really|most) )?((good|great|nice|lovely|wonderful|pleasant|beautiful|fantastic|blessed|safe|rest of your|rest of the)\b,? ?)+(day|evening|afternoon|morning|weekend|night|one|week|holidays?)( ahead)?\W*$",
    r"^\W*(and )?take care\b[\w ,]{0,30}\W*$",
)
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")


def wish_of(text: str) -> Wish | None:
    """What the person's turn asks for, or None when it is just a turn of the conversation."""
    text = _plain(text)
    # Who asks whether this is the wrong number, or says goodbye with a question, wants an answer.
    stated = " ".join(sentence for sentence in _sentences(text) if not _is_question(sentence))
    short = len(text.split()) <= 12
    if asks_to_opt_out(text):
        return Wish(Outcome.OPTED_OUT, ends_call=True)
    if _WRONG_NUMBER.search(stated):
        return Wish(Outcome.WRONG_NUMBER, ends_call=True)
    if _NOT_INTERESTED.search(stated):
        return Wish(Outcome.NOT_INTERESTED, ends_call=short and stated == text)
    if _CALLBACK.search(text):
        return Wish(Outcome.CALLBACK_REQUESTED, ends_call=False)
    if short and stated == text and _GOODBYE.search(text):
        return Wish(Outcome.COMPLETED, ends_call=True)
    return None


def is_farewell(text: str) -> bool:
    """True when the agent's words say goodbye at their end, so that the call ends once they are heard."""
    said = [sentence for sentence in _sentences(_plain(text)) if any(character.isalpha() for character in sentence)]
    if not said or _is_question(said[-1]):
        return False
    # "Goodbye, Ana. Thank you for your time." ends with the goodbye too.
    parting = any(_FAREWELL.search(sentence) and not _SPOKEN_OF.search(sentence) for sentence in said[-2:])
    return parting or _GOOD_WISHES.search(said[-1]) is not None


def _plain(text: str) -> str:
    return " ".join(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())


def _sentences(text: str) -> list[str]:
    return _SENTENCE_END.split(text)


def _is_question(sentence: str) -> bool:
    return sentence.rstrip("\"')* ").endswith("?")
