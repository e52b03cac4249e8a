"""The agent as a program: LiveKit's worker, with the campaigns' turn and last word before every dial."""

from livekit.agents import JobProcess

from voiceagents.campaigns import turns
from voiceagents.campaigns.gate import may_dial
from voiceagents.livekit import worker


def prepare(process: JobProcess) -> None:
    """Makes a job process ready; named here, so that a process of its own finds the gate too."""
    worker.set_gate(may_dial, turns.take)
    worker.prewarm(process)


def main() -> int:
    """Starts the agent; what `python main.py` and `voiceagents agent` run. Returns the exit status."""
    worker.set_gate(may_dial, turns.take)
    return worker.main(prepare)
