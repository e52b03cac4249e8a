"""Who picked up: a person, a voicemail or a call screener? Judged on the first words heard.

A person is never taken for a machine by default: without a sure sign it is a person.
"""

import re
from enum import StrEnum


class AnsweredBy(StrEnum):
    PERSON = "person"
    VOICEMAIL = "voicemail"
    SCREENING = "screening"


_VOICEMAIL = re.compile(
    r"\b(leave|record)( me| us)?( a| your)?( short| brief| detailed)?( voice)?( name and number|message)\b"
    r"|\b(after|at) the (tone|beep)\b"
    r"|\b(is|are|am|'m) (not available|unavailable|away from (my|the) (phone|desk))\b.{0,80}\b(message|tone|beep|number|call you back)\b"
    r"|\b(can'?t|cannot|can not|unable to) (come to|take|answer|get to) (the|your|my) (phone|call)\b"
    r"|\b(you'?ve|you have) reached (the )?(voice ?mail|mailbox|answering machine)\b"
    r"|\bvoice ?mail(box)?\b.{0,40}\b(full|of|for|not been set up)\b"
    r"|\bforwarded to (an automated )?voice\b"
    r"|\bmailbox (is|of|for)\b",
    re.IGNORECASE | re.DOTALL,
)
_SCREENING = re.compile(
    r"\b(record|say|state) your name and (the )?reason (for|you)"
    r"|\b(call|this person|the person)\b.{0,40}\bscreen(ing|ed)\b"
    r"|\bscreening service\b"
    r"|\bsee if (this person|they|he|she) is available\b",
    re.IGNORECASE | re.DOTALL,
)


def answered_by(heard: str) -> AnsweredBy:
    """Judges everything heard since the answer, before we said more than a greeting."""
    heard = heard.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if _SCREENING.search(heard):
        return AnsweredBy.SCREENING
    if _VOICEMAIL.search(heard):
        return AnsweredBy.VOICEMAIL
    return AnsweredBy.PERSON
