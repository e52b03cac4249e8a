"""How did the calls of a simulation go? Each judged by state and by what was on the wire; all together as matrices.

Pure: facts in, verdicts out.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from pydantic import BaseModel

from voiceagents.simulation.costs import Used

_MACHINES = frozenset({"voicemail", "screened", "machine", "unreachable", "invalid_number"})


class Verdict(BaseModel):
    """What one of livekit-agents' judges said of a call."""

    judge: str
    verdict: Literal["pass", "fail", "maybe"]
    reasoning: str


class Judged(BaseModel):
    """One call, as it is kept for the report."""

    persona: str
    number: str
    is_person: bool
    answers: str
    decided: str
    expected: list[str]
    outcome: str
    problems: list[str] = []
    seconds_to_decide: float | None = None
    seconds_to_first_audio: float | None = None
    """From the end of the first words."""

    seconds_to_bye: float | None = None
    """From the end of our last words."""

    talk_seconds: float = 0.0
    model_turns: int = 0
    words_spoken: int = 0
    said: list[str] = []
    """The transcript, a line a turn; for who wants to know why a call went wrong."""

    decisions: list[str] = []
    """Who it was taken for, in that order: by what, when, on which words."""

    used: Used = Used()
    verdicts: list[Verdict] = []
    unjudged: int = 0
    """Judges whose model did not answer."""

    @property
    def said_hello(self) -> bool:
        """Whether it began with a hello so short that nobody waits for its words to be read."""
        return bool(self.decisions) and self.decisions[0].startswith("person by hello")

    @property
    def right(self) -> bool:
        """Whether the call ended as it must."""
        return self.outcome in self.expected and not self.problems

    @property
    def hung_up_on(self) -> bool:
        """Whether a person was taken for a machine."""
        return self.is_person and (self.outcome in _MACHINES or self.decided not in ("person", "silence"))

    @property
    def found(self) -> bool:
        """Whether a voicemail was known for one."""
        return self.outcome == "voicemail"


@dataclass(frozen=True)
class Gate:
    """What a simulation must reach, as shares."""

    people_kept: float = 0.99
    voicemails_found: float = 0.95
    outcomes_right: float = 0.9


@dataclass(frozen=True)
class Figures:
    """What is true of all calls together."""

    people: int
    people_kept: int
    voicemails: int
    voicemails_found: int
    calls: int
    right: int
    opt_outs: int
    opt_outs_heeded: int

    @classmethod
    def of(cls, judged: Sequence[Judged]) -> Self:
        """Counts them."""
        people = [call for call in judged if call.is_person]
        voicemails = [call for call in judged if call.answers == "voicemail"]
        opt_outs = [call for call in judged if call.persona == "opts out"]
        return cls(
            people=len(people),
            people_kept=sum(not call.hung_up_on for call in people),
            voicemails=len(voicemails),
            voicemails_found=sum(call.found for call in voicemails),
            calls=len(judged),
            right=sum(call.right for call in judged),
            opt_outs=len(opt_outs),
            opt_outs_heeded=sum(call.right for call in opt_outs),
        )

    def short_of(self, gate: Gate) -> list[str]:
        """What the gate asks for and was not reached; empty when it opens."""
        reached = (
            ("people not hung up on", self.people_kept, self.people, gate.people_kept),
            ("voicemails found", self.voicemails_found, self.voicemails, gate.voicemails_found),
            ("calls that ended as they must", self.right, self.calls, gate.outcomes_right),
        )
        return [
            f"{what}: {count} of {of}, at least {least:.0%} are needed"
            for what, count, of, least in reached
            if of and count / of < least
        ]


def matrix(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str], Counter[tuple[str, str]]]:
    """A confusion matrix: its rows (the truth), its columns (the decisions), and the counts."""
    counts = Counter(pairs)
    return sorted({truth for truth, _ in pairs}), sorted({decided for _, decided in pairs}), counts


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50 and p95 of values, in their unit; empty without values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    return {f"p{share}": ordered[min(len(ordered) - 1, round(share / 100 * (len(ordered) - 1)))] for share in (50, 95)}


def as_json(judged: Sequence[Judged]) -> list[dict[str, Any]]:
    """The calls as they are written to a file."""
    return [call.model_dump() for call in judged]
