"""What do judges make of a conversation that is over? livekit-agents' own evaluation, by the configured model.

https://docs.livekit.io/agents/build/testing/
"""

# The judges' factories are annotated with an LLM of no kind in particular.
# pyright: reportUnknownVariableType=false

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self

from livekit.agents.evals import (
    JudgeGroup,
    coherence_judge,
    conciseness_judge,
    relevancy_judge,
    safety_judge,
    task_completion_judge,
)
from livekit.agents.llm import AgentConfigUpdate, ChatContext

from voiceagents.calls.states import Speaker
from voiceagents.calls.understanding import Line
from voiceagents.livekit.speech import SpeechEndpoint


@dataclass(frozen=True)
class Judgement:
    """What one judge said of one conversation."""

    judge: str
    verdict: Literal["pass", "fail", "maybe"]
    reasoning: str


class Judges:
    """The judges, on one connection to the model.

    Args:
        speech: where the model is.
    """

    def __init__(self, speech: SpeechEndpoint) -> None:
        self._models = speech.session_models()
        judges = [task_completion_judge(), relevancy_judge(), coherence_judge(), conciseness_judge(), safety_judge()]
        self.names = [judge.name for judge in judges]
        self._group = JudgeGroup(llm=self._models.llm, judges=[*judges])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._models.aclose()

    async def judge(self, instructions: str, lines: Sequence[Line]) -> list[Judgement]:
        """The verdicts on a conversation of an agent with these instructions. A judge whose model does not answer is
        not among them."""
        context = ChatContext.empty()
        context.insert(AgentConfigUpdate(instructions=instructions, created_at=0))
        for line in lines:
            context.add_message(role="assistant" if line.speaker is Speaker.AGENT else "user", content=line.text)
        result = await self._group.evaluate(context)
        return [Judgement(name, said.verdict, said.reasoning) for name, said in result.judgments.items()]
