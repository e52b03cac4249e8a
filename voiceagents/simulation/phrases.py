"""How many ways of saying "never call me again" do the rules understand? Phrases out of a file, in parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from voiceagents.calls.states import Outcome
from voiceagents.livekit.endings import wish_of


@dataclass(frozen=True)
class Caught:
    """What became of one part of the phrases."""

    part: str
    phrases: int
    missed: Sequence[str]

    def __str__(self) -> str:
        return f"{self.part}: {self.phrases - len(self.missed)} of {self.phrases}"


def read(path: Path) -> Mapping[str, list[str]]:
    """The phrases by part: a line for each, under `[part]`; lines that begin with # are remarks.

    Raises:
        OSError: the file cannot be read.
    """
    parts: dict[str, list[str]] = {}
    phrases = parts.setdefault("phrases", [])
    for line in map(str.strip, path.read_text(encoding="utf-8").splitlines()):
        if line.startswith("[") and line.endswith("]"):
            phrases = parts.setdefault(line[1:-1], [])
        elif line and not line.startswith("#"):
            phrases.append(line)
    return {part: lines for part, lines in parts.items() if lines}


def caught(parts: Mapping[str, Sequence[str]]) -> list[Caught]:
    """Which of the phrases the rules take for an opt-out."""
    return [
        Caught(part, len(lines), [line for line in lines if not _is_opt_out(line)]) for part, lines in parts.items()
    ]


def _is_opt_out(text: str) -> bool:
    wish = wish_of(text)
    return wish is not None and wish.outcome is Outcome.OPTED_OUT
