"""Who picked up: a person, a voicemail or a call screener? Judged on the first words heard.

A person is never taken for a machine by default: without a sure sign it is a person.
"""

import re
from enum import StrEnum


class AnsweredBy(StrEnum):
    PERSON = "person"
    VOICEMAIL = "voicemail"
    """A recording: one that takes a message, or the network's own that says nobody can be reached."""

    SCREENING = "screening"


_MESSAGE = r"(message|tone|beep|get back to|call(ing)? (you )?back)"
_VOICEMAIL = re.compile(
    r"(?<!i )(?<!i'll )(?<!i'd )(?<!you )(?<!to )\b(leave|record)( me| us)?( a| your| an)?( short| brief| detailed)?( voice)? (name and( phone| telephone)? number|message)s?\b(?! with (me|us|him|her|them))"
    r"|\b(to|you (may|can)) (leave|record) (a|your) (voice )?message\b.{0,30}\b(press|tone|beep|after|at)\b"
    r"|\b(after|at|following|wait for) the (tone|beep|signal)\b"
    rf"|\b(is|are|am|'m) (not available|unavailable|not here|away from (my|the) (phone|desk))\b.{{0,120}}\b{_MESSAGE}\b"
    rf"|\b(can'?t|cannot|can not|unable to|not able to) (come to|take|answer|get to) (the|your|my) (phone|call)\b.{{0,120}}\b{_MESSAGE}\b"
    rf"|\bmissed your call\b.{{0,120}}\b{_MESSAGE}\b"
    r"|\b(no ?one|nobody) is (available|able) to (take|answer) your call\b"
    r"|\b(you'?ve|you have) reached (the )?(voice ?mail|voice message|mailbox|answering (machine|service))"
    r"|(?<!your )(?<!my )(?<!a )\b(voice ?mail|mail) ?(box)? (of|for|belonging to|system|service)\b"
    r"|\b(voice ?mail|mail) ?(box)?\b.{0,20}\b(is full|(has |hasn'?t )?(not )?(been |yet )+set up|cannot accept)\b"
    r"|\bforwarded to (an? )?(automat(ed|ic) )?voice ?(mail)?\b"
    r"|\bthe (\w+ ){0,2}(person|number|subscriber|customer|party|mobile|phone) (that )?you('re| are|'ve| have)?( just)? (dial|call|reach|try)(l?ed|led|l?ing|ing)?( to (reach|call))?\b",
    re.IGNORECASE | re.DOTALL,
)
_SCREENING = re.compile(
    r"\b(record|say|state) your name and( (the|your))? (reason|why)\b"
    r"|\bscreening (service|assistant)\b|\b(using|with) call screen(ing)?\b|\bcall (is being |will be )?screened\b|\bcall assist(ant)?\b.{0,40}\bscreen"
    r"|\bsee if (this person|they'?re|they are|he'?s|he is|she'?s|she is) available\b",
    re.IGNORECASE | re.DOTALL,
)
# Only somebody who listens asks such a thing.
_LISTENS = re.compile(
    r"\b(can|could|may|shall|should) (i|we) (help|take|ask|have|tell|leave|give|pass)\b"
    r"|\b(would|do) you (like|want|mind)\b"
    r"|\bwho('s| is| am i)( this| calling| speaking| there)\b"
    r"|\bwhat('s| is) (this|it) (about|regarding)\b"
    r"|\bhow (can|may) (i|we) help\b",
    re.IGNORECASE,
)


def answered_by(heard: str) -> AnsweredBy:
    """Judges everything heard since the answer, before we said more than a greeting."""
    heard = " ".join(heard.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    if _SCREENING.search(heard):
        return AnsweredBy.SCREENING
    if _VOICEMAIL.search(heard) and not _LISTENS.search(heard):
        return AnsweredBy.VOICEMAIL
    return AnsweredBy.PERSON
