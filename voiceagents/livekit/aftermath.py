"""What is still to be found out when the phone is down? Where a model is configured it reads the conversation before
the outcome is written down, and may know better than the rules; the summary and the campaign's fields may come after.

The same for calls that we placed and for those that came in.
"""

from dataclasses import replace
from typing import Any
from uuid import UUID

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import CallUnderstood, ModelsUsed
from voiceagents.calls.states import AnsweredBy, EndedBy, Speaker
from voiceagents.calls.understanding import Line, Question, Reading, may_be_read, outcome_read, plain_summary
from voiceagents.livekit.conversation import Conversation
from voiceagents.livekit.job import Job
from voiceagents.livekit.reading import read
from voiceagents.livekit.speech import SessionModels


class Aftermath:
    """The conclusions of one conversation."""

    def __init__(
        self,
        job: Job,
        call_id: UUID,
        conversation: Conversation,
        models: SessionModels,
        question: Question,
    ) -> None:
        self._job = job
        self.call_id = call_id
        self._conversation = conversation
        self._models = models
        self._question = question
        self._reading: Reading | None = None
        self._asked = False

    async def conclude(self, ending: Ending) -> Ending:
        """The ending with all that the words say; what it rests on is written down."""
        ending = self._conversation.verdict(ending)
        evidence = self._evidence()
        if may_be_read(ending.outcome) and self._conversation.person_turns:
            reading = await self._read()
            found = outcome_read(ending.outcome, reading)
            if found is not None and reading is not None and reading.turn is not None:
                line = self._lines[reading.turn - 1]
                evidence.append(
                    {
                        "decided": "outcome",
                        "value": found.value,
                        "by": "model",
                        "item_id": line.item_id,
                        "text": line.text,
                    }
                )
                how = ending.cause.split("; ")[-1]
                ending = replace(ending, outcome=found, cause=f'read out of "{line.text[:100]}"; {how}')
        self._job.worker.recorder.write(
            CallUnderstood(call_id=self.call_id, answered_by=self._answered_by(), evidence=evidence)
        )
        return ending

    async def sum_up(self, ending: Ending) -> None:
        """Writes the summary and the fields, and what all models took in this call, the reading included."""
        if self._lines:
            await self._write_summary(ending)
        if used := self._models.used():
            self._job.worker.recorder.write(ModelsUsed(call_id=self.call_id, models=used))

    async def _write_summary(self, ending: Ending) -> None:
        lines = self._lines
        spoken = any(line.speaker is Speaker.PERSON for line in lines) and ending.ended_by is not EndedBy.CARRIER
        reading = await self._read() if spoken else None
        self._job.worker.recorder.write(
            CallUnderstood(
                call_id=self.call_id,
                summary=reading.summary if reading else plain_summary(lines, ending),
                extracted=reading.extracted if reading else {},
            )
        )

    @property
    def _lines(self) -> list[Line]:
        return self._conversation.transcript.lines

    def _evidence(self) -> list[dict[str, Any]]:
        reception = self._conversation.reception
        return [*(reception.evidence if reception is not None else []), *self._conversation.wishes.evidence]

    def _answered_by(self) -> AnsweredBy | None:
        """Who answered; None where nobody asked that."""
        reception = self._conversation.reception
        if reception is None:
            return None
        nobody_said = AnsweredBy.PERSON if self._conversation.person_turns else AnsweredBy.SILENCE
        return reception.answered_by or nobody_said

    async def _read(self) -> Reading | None:
        if not self._asked and not self._job.worker.speech.offline:
            self._asked = True
            self._reading = await read(self._models.llm, self._lines, self._question)
        return self._reading
