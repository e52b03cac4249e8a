"""Who picked up: a person, a voicemail, a call screener, a menu, or the network itself? Judged on the first words heard.

A person is never taken for a machine by default: without a sure sign it is a person. Words that only somebody who
listens would say outweigh all signs of a recording.
"""

import re

from voiceagents.calls.states import AnsweredBy, Outcome

__all__ = ["AnsweredBy", "answered_by", "takes_message", "what_network_said"]

# Somebody is told to: not "I'll leave", "did you leave", "why do you always leave", "please don't leave".
_TOLD_TO = r"(?<!i )(?<!i'll )(?<!i'd )(?<!you )(?<!to )(?<!n't )(?<!not )(?<!never )(?<!always )\b"
_MESSAGE = r"(message|tone|beep|get back to|call(ing)? (you )?back)"


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.IGNORECASE | re.DOTALL)


_VOICEMAIL = _any(
    rf"{_TOLD_TO}(leave|record)( me| us)?( an?| the| your)?( short| brief| detailed)?( voice)? (message|voice ?mail)s?\b(?! with (me|us|him|her|them|the)\b)",
    rf"{_TOLD_TO}leave( me| us)?( your| a)? name\b.{{0,30}}\b(number|message)\b(?! with (me|us|him|her|them))",
    r"\b(to|you (may|can)) (leave|record) (a|your) (voice )?message\b.{0,30}\b(press|tone|beep|after|at)\b",
    r"\b(after|at|following|wait for|hear) the (tone|beep|signal)\b",
    rf"\b(is|are|am|'m) (not available|unavailable|not here|away from (my|the) (phone|desk))\b.{{0,120}}\b{_MESSAGE}\b",
    rf"\b(can'?t|cannot|can not|unable to|not able to) (come to|take|answer|get to|pick up) (the|your|my) (phone|call)s?\b.{{0,120}}\b{_MESSAGE}\b",
    rf"\b(missed|can'?t take) your call\b.{{0,120}}\b{_MESSAGE}\b",
    r"\b(no ?one|nobody) is (available|able) to (take|answer) your call\b",
    r"\b(you'?ve|you have) (reached|got) (\S+ ){0,3}(voice ?mail|voice message|mailbox|answering (machine|service))",
    r"(?<!your )(?<!my )(?<!a )\b(voice ?mail|mail) ?(box)? (of|for|belonging to|system|service)\b",
    r"(?<!my )(?<!my voice )\b(voice ?mail|mail) ?(box)?\b.{0,20}\b(is full|(has |hasn'?t )?(not )?(been |yet )+(set up|initiali[sz]ed)|cannot accept)\b",
    r"\bforwarded to (an? )?(automat(ed|ic) )?voice ?(mail|message)?\b",
    r"\byou know what to do\b",
    r"(?<!this )\b(message|recording)\b.{0,60}\bfor (more|other|delivery|further) (\w+ )?options\b",
)
_NO_MESSAGE = _any(
    r"\b(mail ?box|voice ?mail|memory|inbox)\b.{0,20}\bfull\b",
    r"\b(has |hasn'?t )?(not )?(been |yet )+(set up|initiali[sz]ed)\b",
    r"\b(can(no|')t|can not|not able to|unable to) (accept|take|record) (any )?(new )?messages?\b",
)
_SCREENING = _any(
    r"\b(record|say|state) your name and( (the|your))? (reason|why)\b",
    r"\bscreening (service|assistant)\b|\b(using|with) call screen(ing)?\b|\bcall (is being |will be )?screened\b|\bcall assist(ant)?\b.{0,40}\bscreen",
    r"\bsee if (this person|they'?re|they are|he'?s|he is|she'?s|she is) available\b",
    r"\b(please )?(say|state|tell me) (who you are|who is calling|who'?s calling|your name)\b.{0,40}\b(why|reason|purpose|calling about)\b",
    r"\b(virtual|call|digital) assistant\b.{0,80}\b(ask|who|why|calling about|take a message)\b",
    r"\b(requests|asks) that you (state|say|record) your name\b|\b(say|state|record) your name (after|at|followed by|and (press|then))\b",
)
_REFUSES_UNKNOWN = _any(r"\bdoes(n'?t| not) (accept|take) calls from (unknown|private|unidentified)\b")
_MENU = _any(
    r"\bpress (or say )?(the )?(zero|one|two|three|four|five|six|seven|eight|nine|star|pound|hash|\d)\b",
    r"\b(main menu|menu options|(following|these) (menu|options))\b",
    r"\b(followed by|then press) the (pound|hash|star) key\b|\benter your \w+ number\b",
    r"\byou can say (things|something) like\b",
    r"\b(enter|dial|know) (your|the|my) (party'?s|\w+'s)? ?extension\b",
)
_NETWORK: tuple[tuple[Outcome, re.Pattern[str]], ...] = (
    (
        Outcome.INVALID_NUMBER,
        _any(
            r"\b(number|line|service)\b.{0,40}\b(not|no longer) (be )?(in service|assigned|in use|valid|connected|exist)\b",
            r"\b(has|have|is|been) (been )?(temporarily )?(disconnected|changed|discontinued)\b",
            r"\bnot a (valid|working) number\b|\bno such number\b|\bnumber (that )?you( have|'ve)? (dial|call)l?ed (is|was) (incorrect|invalid|not valid|not recogni[sz]ed)\b",
            r"\bcannot be completed as (dial|call)l?ed\b|\bcheck the number and\b",
        ),
    ),
    (Outcome.CONGESTION, _any(r"\ball (circuits|lines|our lines) are (currently )?busy\b|\bnetwork is busy\b")),
    (
        Outcome.UNREACHABLE,
        _any(
            r"\bthe (\w+ ){0,2}(person|number|subscriber|customer|party|mobile|phone) (that )?you('re| are|'ve| have)?( just)? (dial|call|reach|try)(l?ed|led|l?ing|ing)?( to (reach|call))?\b",
            r"\b(call|number|subscriber|customer)\b.{0,20}\b(cannot|can'?t|could not|can not) be (reached|connected|completed)\b",
            r"\b(wireless|mobile|cellular|vodafone) (customer|subscriber|number)\b.{0,20}\b(not available|unavailable)\b",
            r"\bthis number (is|was) (currently |temporarily )?(not available|unavailable)\b|\byour call did not go through\b",
            r"\b(switched off|out of (the )?(coverage|service|network) area|out of reach)\b.{0,60}\b(try|call) again later\b",
        ),
    ),
)
# Only somebody who listens asks such a thing.
_LISTENS = _any(
    r"\b(can|could|may|shall|should) (i|we) (help|take|ask|have|tell|leave|give|pass)\b",
    r"\b(would|do) you (like|want|mind)\b",
    r"\bwho('s| is| am i)( this| calling| speaking| there)\b(?!.{0,20}\b(and|or) (why|what))",
    r"\bwhat('s| is) ((this|it) (about|regarding)|the message)\b",
    r"\bwho are you\b|\bcan you hear me\b",
    r"(?<!begin )(?<!start )\bspeaking\W*$",
    r"\bhow (can|may) (i|we) help\b",
)
# A network speaks of nothing that is its own.
_SENTENCE_END = re.compile(r"(?<=[.!?…])\s+")
_OWN = _any(r"\b(my|mine|i am|i'm|i was|this is (?!a recording))\b")
_ASKS = _any(
    r"^\W*((and|so|but|oh|um|uh|well|hey|sorry),? )*(why|what|when|where|who|how|is|are|was|do|did|does|if|am)\b"
)


def answered_by(heard: str) -> AnsweredBy:
    """Judges everything heard since the answer, before we said more than a greeting."""
    heard = _plain(heard)
    if _SCREENING.search(heard):
        return AnsweredBy.SCREENING
    if _LISTENS.search(heard):
        return AnsweredBy.PERSON
    told = " ".join(sentence for sentence in _SENTENCE_END.split(heard) if not _is_asked(sentence))
    if _REFUSES_UNKNOWN.search(told):
        return AnsweredBy.SCREENING
    if _VOICEMAIL.search(told):
        return AnsweredBy.VOICEMAIL
    if _MENU.search(told):
        return AnsweredBy.MENU
    if what_network_said(told) is not None:
        return AnsweredBy.ANNOUNCEMENT
    return AnsweredBy.PERSON


def listens(heard: str) -> bool:
    """Whether only somebody who listens could have said it."""
    return _LISTENS.search(_plain(heard)) is not None


def takes_message(heard: str) -> bool:
    """Whether this voicemail can keep what is said to it: not when it is full or was never set up."""
    return _NO_MESSAGE.search(_plain(heard)) is None


def what_network_said(heard: str) -> Outcome | None:
    """What a carrier's announcement means for the call; None for words that are none."""
    heard = _plain(heard)
    if _OWN.search(heard):
        return None
    return next((outcome for outcome, words in _NETWORK if words.search(heard)), None)


def _plain(heard: str) -> str:
    return " ".join(heard.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())


def _is_asked(sentence: str) -> bool:
    """A question of somebody who wants to know; recordings have only rhetorical ones ("Can't find us?")."""
    return sentence.endswith("?") and _ASKS.search(sentence) is not None
