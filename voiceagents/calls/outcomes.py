"""How did the call end? From what SIP and LiveKit reported, and from what happened on the line, to one outcome of the
closed list.

Pure decisions. The table of SIP statuses follows RFC 3261 section 21, RFC 8197 (607) and RFC 8688 (608); which LiveKit
error means what was measured on LiveKit's SIP service.
"""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

from voiceagents.calls.states import AnsweredBy, EndedBy, Outcome


@dataclass(frozen=True)
class Ending:
    """How a call ended, as it stands in its row."""

    outcome: Outcome
    cause: str
    ended_by: EndedBy
    sip_status: int | None = None
    sip_reason: str | None = None


class Trouble(StrEnum):
    """What kind of error came back instead of an answer."""

    SIP = "sip"
    """The carrier or the phone gave a final SIP status."""

    SERVER = "server"
    """LiveKit refused or gave up; no SIP status."""

    TIMEOUT = "timeout"
    """Our own request ran out of time: the phone may still be ringing."""

    CONNECTION = "connection"
    """LiveKit could not be reached or the connection broke: the phone may be ringing."""


@dataclass(frozen=True)
class DialFailure:
    """What is known of a dial that was not answered."""

    trouble: Trouble
    code: str = ""
    """Twirp error code, such as "not_found"."""

    message: str = ""
    sip_status: int | None = None
    sip_reason: str | None = None
    seconds: float = 0.0
    ringing_timeout: float = 30.0
    rang: bool = False
    """`sip.callStatus` was seen as "ringing"."""

    room_deleted: bool = False
    """The room went away while the phone rang: somebody cancelled the call."""


_BUSY = {486, 600}
_NO_ANSWER = {408, 480, 487}
_REJECTED = {603, 607}
_FILTERED = 608
_INVALID = {404, 410, 484, 485, 604}
_TRUNK = {401, 402, 403, 407}
_CONGESTION = {429, 503}
_GAVE_UP = ("canceled", "deadline_exceeded")
_GAVE_UP_IN_WORDS = ("deadline exceeded", "request timed out")
_MEDIA = {415, 488, 606}
_STATUS_IN_WORDS = re.compile(r"\bsip status: ([3-6][0-9]{2})\b(?:: ?([^:\n]{1,100}))?")


def of_sip_status(status: int, reason: str | None = None) -> Ending:
    """The ending that a final SIP status of an INVITE stands for (400 to 699)."""
    words = f"{status} {reason or ''}".strip()

    def ending(outcome: Outcome, cause: str, by: EndedBy) -> Ending:
        return Ending(outcome, f"{cause} ({words})", by, status, reason)

    if status in _BUSY:
        return ending(Outcome.BUSY, "the line was busy", EndedBy.PERSON)
    if status in _NO_ANSWER:
        return ending(Outcome.NO_ANSWER, "nobody answered", EndedBy.CARRIER)
    if status in _REJECTED:
        return ending(Outcome.REJECTED, "the call was declined", EndedBy.PERSON)
    if status == _FILTERED:
        return ending(Outcome.REJECTED, "a filter on the way declined the call", EndedBy.CARRIER)
    if status in _INVALID:
        return ending(Outcome.INVALID_NUMBER, "the carrier knows no such number", EndedBy.CARRIER)
    if status in _TRUNK:
        return ending(Outcome.FAILED, "the carrier does not let this trunk place the call", EndedBy.CARRIER)
    if status in _CONGESTION:
        return ending(Outcome.CONGESTION, "the carrier takes no more calls now", EndedBy.CARRIER)
    if status in _MEDIA:
        return ending(Outcome.FAILED, "the carrier takes none of our audio codecs", EndedBy.CARRIER)
    return ending(Outcome.FAILED, "the carrier failed", EndedBy.CARRIER)


def of_dial_failure(failure: DialFailure) -> Ending:
    """The ending of a call that was dialled, or meant to be, and not answered."""
    status, reason = failure.sip_status, failure.sip_reason
    if status is None and (told := _STATUS_IN_WORDS.search(failure.message)):
        # Servers that send no metadata with the error still say the status in its text.
        status, reason = int(told[1]), told[2]
    # Our own cancellation comes back from the carrier as 487.
    if failure.room_deleted and status in (None, 487):
        return Ending(Outcome.CANCELLED, "the call was cancelled while the phone rang", EndedBy.SYSTEM)
    if status is not None:
        return of_sip_status(status, reason)
    if failure.trouble in (Trouble.TIMEOUT, Trouble.CONNECTION):
        return Ending(
            Outcome.FAILED,
            "LiveKit did not say what became of the call; it was cancelled and will not be dialled again on a guess",
            EndedBy.SYSTEM,
        )
    if "no response from servers" in failure.message:
        return Ending(Outcome.NO_CAPACITY, "no SIP service answered: is LiveKit's SIP service running?", EndedBy.SYSTEM)
    if "cpu exhausted" in failure.message:
        return Ending(Outcome.NO_CAPACITY, "LiveKit's SIP service is at its CPU limit", EndedBy.SYSTEM)
    if "trunk does not exist" in failure.message:
        return Ending(Outcome.FAILED, f"the trunk does not exist in LiveKit ({failure.message})", EndedBy.SYSTEM)
    # The same ring-out comes back as canceled/408 or as failed_precondition/412 "context deadline exceeded".
    if failure.code in _GAVE_UP or any(words in failure.message for words in _GAVE_UP_IN_WORDS):
        if failure.rang:
            return Ending(Outcome.NO_ANSWER, f"it rang for {failure.seconds:.0f} s, nobody answered", EndedBy.SYSTEM)
        if failure.seconds >= failure.ringing_timeout - 1:
            return Ending(
                Outcome.UNREACHABLE, f"the carrier gave no sign of ringing in {failure.seconds:.0f} s", EndedBy.CARRIER
            )
        return Ending(Outcome.CANCELLED, "the call was cancelled before it rang out", EndedBy.SYSTEM)
    if failure.code == "invalid_argument" and ("callee" in failure.message or "SipCallTo" in failure.message):
        return Ending(Outcome.INVALID_NUMBER, f"LiveKit refused the number ({failure.message})", EndedBy.SYSTEM)
    if failure.code in ("unavailable", "resource_exhausted"):
        return Ending(Outcome.NO_CAPACITY, f"LiveKit had no capacity ({failure.message})", EndedBy.SYSTEM)
    return Ending(Outcome.FAILED, f"LiveKit refused the call ({failure.code}: {failure.message})", EndedBy.SYSTEM)


_STRONGEST_FIRST = (Outcome.OPTED_OUT, Outcome.WRONG_NUMBER, Outcome.CALLBACK_REQUESTED, Outcome.NOT_INTERESTED)

_IN_WORDS = {
    Outcome.OPTED_OUT: "the person asked not to be called again",
    Outcome.WRONG_NUMBER: "the person said it is the wrong number",
    Outcome.CALLBACK_REQUESTED: "the person asked to be called another time",
    Outcome.NOT_INTERESTED: "the person is not interested",
}


def of_conversation(*, wishes: set[Outcome], person_turns: int, ended_by: EndedBy, how: str) -> Ending:
    """The ending of an answered call in which nothing went wrong.

    Args:
        wishes: what the person asked for in their turns.
        person_turns: turns in which the person said something.
        ended_by: who ended it.
        how: how it ended, in words for the call's cause.
    """
    for outcome in _STRONGEST_FIRST:
        if outcome in wishes:
            return Ending(outcome, f"{_IN_WORDS[outcome]}; {how}", ended_by)
    if person_turns:
        return Ending(Outcome.COMPLETED, how, ended_by)
    if ended_by is EndedBy.PERSON:
        return Ending(Outcome.HUNG_UP, "the person hung up before saying a word", ended_by)
    return Ending(Outcome.HUNG_UP, f"the call was answered, but nobody spoke; {how}", ended_by)


_OF_MACHINE = {
    AnsweredBy.VOICEMAIL: (Outcome.VOICEMAIL, "a voicemail answered"),
    AnsweredBy.SCREENING: (Outcome.SCREENED, "a call screening service answered"),
    AnsweredBy.ANNOUNCEMENT: (Outcome.UNREACHABLE, "the network said that nobody can be reached"),
}


def of_machine(answered_by: AnsweredBy | None, ending: Ending) -> Ending:
    """The ending of a call that was over while a machine was still on the line."""
    outcome, words = _OF_MACHINE.get(answered_by or AnsweredBy.MENU, (Outcome.MACHINE, "a machine answered"))
    how = "it hung up" if ending.ended_by is EndedBy.PERSON else ending.cause
    by = EndedBy.CARRIER if ending.ended_by is EndedBy.PERSON else ending.ended_by
    return replace(ending, outcome=outcome, cause=f"{words}; {how}", ended_by=by)
