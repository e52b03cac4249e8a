"""What do livekit-agents' judges make of the calls of a simulation? Each call in which somebody spoke, by the
configured model, a few at a time."""

import asyncio
from collections.abc import Sequence

from voiceagents.calls.states import Speaker
from voiceagents.calls.understanding import Line
from voiceagents.livekit.judges import Judges
from voiceagents.livekit.speech import SpeechEndpoint
from voiceagents.simulation.judging import Judged, Verdict

_AT_ONCE = 4


async def judge(speech: SpeechEndpoint, script: str, judged: Sequence[Judged]) -> None:
    """Adds the judges' verdicts to the calls with people. `script`: what the agent was to do in them."""
    places = asyncio.Semaphore(_AT_ONCE)
    async with Judges(speech) as judges:

        async def one(call: Judged) -> None:
            async with places:
                said = await judges.judge(script, [_line(words) for words in call.said])
            call.verdicts = [Verdict(judge=each.judge, verdict=each.verdict, reasoning=each.reasoning) for each in said]
            call.unjudged = len(judges.names) - len(said)

        await asyncio.gather(*(one(call) for call in judged if call.is_person and call.said))


def _line(words: str) -> Line:
    speaker, _, text = words.partition(": ")
    return Line(Speaker(speaker), text, "")
