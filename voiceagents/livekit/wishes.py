"""What has the person asked for so far, and in which words?"""

from datetime import UTC, datetime
from typing import Any

from voiceagents.calls.states import Outcome
from voiceagents.livekit.endings import Wish


class Wishes(set[Outcome]):
    """The wishes of one call, with the words that each of them rests on."""

    def __init__(self) -> None:
        super().__init__()
        self.evidence: list[dict[str, Any]] = []

    def note(self, wish: Wish, text: str, item_id: str) -> None:
        """Keeps what these words ask for. A goodbye asks for nothing that anybody must know later."""
        if wish.outcome is Outcome.COMPLETED:
            return
        self.add(wish.outcome)
        self.evidence.append(
            {
                "decided": "outcome",
                "value": wish.outcome.value,
                "by": "words",
                "item_id": item_id,
                "text": text,
                "at": datetime.now(UTC).isoformat(),
            }
        )
