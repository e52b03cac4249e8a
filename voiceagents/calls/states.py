"""Which words describe a call's life and its end?

Closed lists, used in code, database, API and command line alike.
"""

from enum import StrEnum


class Direction(StrEnum):
    OUTBOUND = "outbound"
    INBOUND = "inbound"


class CallState(StrEnum):
    """A call only ever moves forward along this list; states may be skipped, never revisited."""

    QUEUED = "queued"
    DISPATCHED = "dispatched"
    DIALING = "dialing"
    RINGING = "ringing"
    ANSWERED = "answered"
    ENDED = "ended"

    @property
    def rank(self) -> int:
        """Position in the life of a call, 0 for queued."""
        return list(CallState).index(self)


class Outcome(StrEnum):
    """How a call ended."""

    COMPLETED = "completed"
    VOICEMAIL = "voicemail"
    SCREENED = "screened"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    INVALID_NUMBER = "invalid_number"
    UNREACHABLE = "unreachable"
    CONGESTION = "congestion"
    NOT_INTERESTED = "not_interested"
    OPTED_OUT = "opted_out"
    WRONG_NUMBER = "wrong_number"
    CALLBACK_REQUESTED = "callback_requested"
    MACHINE = "machine"
    """A machine answered that takes no message: a menu, a fax."""

    HUNG_UP = "hung_up"
    NO_CAPACITY = "no_capacity"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AnsweredBy(StrEnum):
    """Who or what picked up the phone."""

    PERSON = "person"
    VOICEMAIL = "voicemail"
    """A recording that takes a message, or would if it were not full."""

    SCREENING = "screening"
    """A program that asks who calls and why, on a person's behalf."""

    MENU = "menu"
    """A recording that wants keys to be pressed."""

    ANNOUNCEMENT = "announcement"
    """The network's own recording: nobody can be reached on this number, or not now."""

    FAX = "fax"
    SILENCE = "silence"
    """Nobody said anything, from the answer to the end."""


class EndedBy(StrEnum):
    """Who ended the call: the person, our agent, or something around them."""

    PERSON = "person"
    AGENT = "agent"
    CARRIER = "carrier"
    SYSTEM = "system"


class Speaker(StrEnum):
    AGENT = "agent"
    PERSON = "person"


class ToolStatus(StrEnum):
    """How far a tool of the agent got: one that is still `running` in a call that has ended was cut off with it."""

    RUNNING = "running"
    DONE = "done"
    ERROR = "error"
    CANCELLED = "cancelled"


class MessageKind(StrEnum):
    MESSAGE = "message"
    CALLBACK = "callback"
