"""How long does a person wait for our first words? Answer → first audio, and end of "hello" → first audio: with the
opening made while the phone rings, and without, in the same run.

Everything is real (livekit-server, gateway, RTP); times are read off the carrier's recordings.
"""

import argparse
import asyncio
import statistics
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.first_calls import spread, stage
from tests.agent import Agent, new_number
from voiceagents.livekit.speech import LocalSpeechServer
from voiceagents.simulation.sound import HEARD, sounding, wait_after_first_words

HELLOS = ("Hello?", "Hello, who is calling please?", "Good morning.", "Yes, hello.")
PROMPT = "Hello {name}, this is about our new garden tools. Would you like to hear more?"

console = Console(width=120)


def _phone(hello: str | None) -> dict[str, Any]:
    said = [{"pause_ms": 300}, {"say": hello, "voice": "hibari"}] if hello else []
    heard = {"wait_for": "speech", "timeout_ms": 9000}
    return {"ring_ms": 2000, "steps": [*said, heard, {"pause_ms": 700}, {"hangup": True}], "max_ms": 30_000}


async def first_audio(agent: Agent, calls: int, *, silent: bool) -> list[float]:
    """Seconds until we are heard: from the answer for a silent phone, else from the end of its hello."""
    waits: list[float] = []
    for place in range(calls):
        number = new_number()
        await agent.lab.carrier.put_phones({number: _phone(None if silent else HELLOS[place % len(HELLOS)])})
        placed = await agent.dial(number, prompt=PROMPT)
        await placed.over()
        recording = (await placed.witness())["recording"]
        if silent:
            heard = sounding(recording, HEARD)
            waits += [heard[0][0]] if heard else []
        elif (wait := wait_after_first_words(recording)) is not None:
            waits.append(wait)
    return waits


async def compare(calls: int) -> None:
    """Measures both ways, and prints them side by side."""
    measured: dict[str, tuple[list[float], list[float]]] = {}
    for name, prepare in (("prepared", "true"), ("not prepared", "false")):
        async with stage(PREPARE_OPENING=prepare) as agent:
            silent = await first_audio(agent, max(3, calls // 3), silent=True)
            measured[name] = (silent, await first_audio(agent, calls, silent=False))
    table = Table(title="First words", title_justify="left")
    for column in ("what", "calls", "made while it rings", "made when they have spoken", "ratio"):
        table.add_column(column)
    for place, what in enumerate(("answer → first audio, silent phone", 'end of "hello" → first audio')):
        with_it, without = measured["prepared"][place], measured["not prepared"][place]
        if not with_it or not without:
            table.add_row(what, f"{len(with_it)}, {len(without)}", "we were not heard in any call", "", "")
            continue
        ratio = statistics.median(with_it) / statistics.median(without)
        table.add_row(what, f"{len(with_it)}, {len(without)}", spread(with_it), spread(without), f"{ratio:.2f}")
    console.print(table)


def main() -> None:
    """Starts the offline speech server once, and measures."""
    parser = argparse.ArgumentParser(prog="python -m bench first_words", description=__doc__)
    parser.add_argument("--calls", type=int, default=12, help="calls for each latency")
    arguments = parser.parse_args()
    speech = LocalSpeechServer(Path(tempfile.mkdtemp(prefix="voiceagents-bench-")))
    speech.start()
    try:
        asyncio.run(compare(arguments.calls))
    finally:
        speech.stop()


if __name__ == "__main__":
    main()
