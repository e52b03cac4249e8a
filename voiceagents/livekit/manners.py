"""How do we behave on the line? What differs between calls that we place and calls that we take."""

from dataclasses import dataclass

from voiceagents.calls.states import Outcome


@dataclass(frozen=True)
class Manners:
    """How we behave on the line. Times in seconds."""

    opening: str | None = None
    """Said word for word as soon as the line is open; None: the person speaks first."""

    greeting: str = "Hello?"
    """Said once when the person who was to speak first stays silent."""

    greeting_by_model: bool = False
    """The model phrases opening and greeting itself; ours are its hints."""

    greeting_delay: float = 2.5
    silence_limit: float = 15.0
    """Silence on both sides after which we ask whether anybody is there."""

    hang_up_after: float | None = None
    """Silence after that question until we say goodbye; None: as long again."""

    announcement: str = ""
    """Said before anything else, word for word and to its end."""

    farewell: str = "Goodbye."
    """The last words where no model finds its own."""

    detect_wishes: bool = True
    unheeded: frozenset[Outcome] = frozenset()
    """Wishes that are left to the model."""
