"""What did the models of a call take? Tokens, characters and seconds, as providers bill them, summed over its models.

Pure; the figures are livekit-agents' own, as the agent writes them into the call's row.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from pydantic import BaseModel


class Used(BaseModel):
    """What one call took, or several together."""

    tokens_read: int = 0
    tokens_written: int = 0
    characters_spoken: int = 0
    seconds_spoken: float = 0.0
    seconds_heard: float = 0.0

    @classmethod
    def of(cls, models: Iterable[Mapping[str, Any]]) -> Self:
        """The sum over the models of one call: `calls.details["usage"]`."""
        used = cls()
        for model in models:
            match model.get("type"):
                case "llm_usage":
                    used.tokens_read += model.get("input_tokens", 0)
                    used.tokens_written += model.get("output_tokens", 0)
                case "tts_usage":
                    used.characters_spoken += model.get("characters_count", 0)
                    used.seconds_spoken += model.get("audio_duration", 0.0)
                case "stt_usage":
                    used.seconds_heard += model.get("audio_duration", 0.0)
                case _:
                    pass  # turn detection on this machine, say, that nobody bills
        return used
