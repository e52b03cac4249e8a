"""Who answered a call, and what does that rest on?"""

from dataclasses import dataclass
from typing import Any

from voiceagents.calls.states import AnsweredBy


@dataclass(frozen=True)
class Verdict:
    """One decision; a later one corrects it."""

    answered_by: AnsweredBy
    by: str
    """words, model, tone, or hello."""

    text: str
    """All that was heard till then, or its end."""

    seconds: float
    """From the answer to the decision."""

    @property
    def evidence(self) -> dict[str, Any]:
        """As it is kept with the call."""
        return {
            "decided": "answer",
            "value": self.answered_by.value,
            "by": self.by,
            "text": self.text,
            "seconds": self.seconds,
        }
