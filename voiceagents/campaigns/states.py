"""Which words describe the life of a campaign and of a contact in it? Closed lists."""

from enum import StrEnum


class CampaignState(StrEnum):
    """draft → scheduled → running ⇄ paused → completed or cancelled; any that does not run may be archived."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    ARCHIVED = "archived"


class ContactState(StrEnum):
    """Where a contact stands. Every contact is in exactly one state, so that counts always add up."""

    WAITING = "waiting"
    """Will be called, not before its time."""
    CALLING = "calling"
    """Has a call that has not been settled."""
    DONE = "done"
    """Was called; its last outcome is final."""
    SKIPPED = "skipped"
    """Will not be called, by a rule that its decision names."""
    CANCELLED = "cancelled"
    """The campaign was cancelled before the contact was done."""


class ImportState(StrEnum):
    """running → finished, or stopped with what is wrong, or cancelled by a person."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    CANCELLED = "cancelled"


class Verdict(StrEnum):
    """What a decision says."""

    DIAL = "dial"
    DEFER = "defer"
    SKIP = "skip"
    HOLD = "hold"
    RETRY = "retry"
    FINISH = "finish"


class Scarce(StrEnum):
    """What a running campaign with contacts due waits for, when others want it, too."""

    INSTALLATION = "installation"
    """A place among the calls of the installation, or in an agent process."""
    TRUNK = "trunk"
    """A place among the calls of its trunk."""
    TURN = "turn"
    """A turn among the calls that its trunk takes in a second."""
