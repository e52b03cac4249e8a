"""What was said, by whom, when, and how long did each side wait for it? Turns of a session as facts for the history."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

from livekit.agents.llm import ChatMessage

from voiceagents.calls.recorder import Recorder
from voiceagents.calls.records import TurnSpoken
from voiceagents.calls.states import Speaker
from voiceagents.calls.understanding import Line
from voiceagents.livekit.discretion import Discretion

_LATENCIES = {
    "transcription_delay": "transcription_delay",
    "end_of_turn_delay": "end_of_turn_delay",
    "llm_node_ttft": "llm_ttft",
    "tts_node_ttfb": "tts_ttfb",
    "e2e_latency": "e2e_latency",
}


class Transcript:
    """The turns of one call, without what `discretion` keeps out of them."""

    def __init__(self, call_id: UUID, recorder: Recorder) -> None:
        self._call_id = call_id
        self._recorder = recorder
        self.discretion = Discretion()
        self._speech_began: list[float] = []
        self._heard_until = 0.0
        self.lines: list[Line] = []

    def person_begins(self) -> None:
        """The person starts to speak now."""
        self._speech_began.append(time.time())

    def heard(self, text: str, at: datetime, latencies: dict[str, float] | None = None) -> str:
        """Writes down words of the person that are no turn of the session, and answers with their item id."""
        self._heard_until = max(self._heard_until, at.timestamp())
        item_id = f"heard-{at.timestamp():.3f}"
        text = self.discretion.said(Speaker.PERSON, text, at.timestamp(), at.timestamp())
        self.lines.append(Line(Speaker.PERSON, text, item_id))
        self._recorder.write(
            TurnSpoken(
                call_id=self._call_id,
                item_id=item_id,
                speaker=Speaker.PERSON,
                text=text,
                started_at=at,
                latencies=latencies or {},
            )
        )
        return item_id

    def turn(self, item: ChatMessage, speaker: Speaker, text: str, waited_since: float | None = None) -> None:
        """Writes down a turn of the session. `waited_since`: unix time since when the person waited for words that no
        model had to find."""
        metrics = cast("Mapping[str, float]", item.metrics)
        started = metrics.get("started_speaking_at") or item.created_at
        if speaker is Speaker.PERSON and started <= self._heard_until:
            # The session counts from words that it never saw.
            started = next((at for at in self._speech_began if at > self._heard_until), item.created_at)
        stopped = metrics.get("stopped_speaking_at")
        text = self.discretion.said(speaker, text, started, stopped or item.created_at)
        self.lines.append(Line(speaker, text, item.id))
        latencies = {ours: round(float(metrics[theirs]), 4) for theirs, ours in _LATENCIES.items() if theirs in metrics}
        if waited_since is not None:
            latencies["e2e_latency"] = round(started - waited_since, 4)
        self._recorder.write(
            TurnSpoken(
                call_id=self._call_id,
                item_id=item.id,
                speaker=speaker,
                text=text,
                started_at=datetime.fromtimestamp(started, UTC),
                ended_at=datetime.fromtimestamp(stopped, UTC) if stopped else None,
                interrupted=bool(item.interrupted),
                latencies=latencies,
            )
        )
