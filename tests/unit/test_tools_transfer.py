"""A caller is handed over by name, and when that does not work they are still ours. In writing, with a LiveKit that
answers what it is told to."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from livekit import api

from tests.tool_desk import Desk, assistant
from voiceagents.assistants.draft import TransferTarget
from voiceagents.assistants.resolver import Resolved
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import Happened
from voiceagents.calls.states import EndedBy, Outcome, ToolStatus

pytestmark = pytest.mark.unit

DESK = TransferTarget(name="Front desk", number="+12025550101", description="everything else")
SALES = TransferTarget(name="Sales", number="sip:sales@pbx.example.com")


@dataclass
class LiveKit:
    """Answers a transfer or a dial with what it is given: an error is raised."""

    answer: Any = None
    asked: list[Any] = field(default_factory=list[Any])
    removed: list[str] = field(default_factory=list[str])

    @property
    def sip(self) -> "LiveKit":
        return self

    @property
    def room(self) -> "LiveKit":
        return self

    async def transfer_sip_participant(self, request: Any, **_: Any) -> Any:
        return self._answered(request)

    async def create_sip_participant(self, request: Any, **_: Any) -> Any:
        return self._answered(request)

    async def remove_participant(self, request: Any) -> None:
        self.removed.append(request.identity)

    def _answered(self, request: Any) -> Any:
        self.asked.append(request)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer or api.TransferSIPParticipantResponse()


def refused(status: int) -> api.SipCallError:
    """LiveKit's error for a SIP status."""
    return api.SipCallError(
        "unavailable", "call transfer failed", status=503, metadata={"sip_status_code": str(status)}
    )


def operator(**options: Any) -> Resolved:
    return assistant(tools={"transfer": options, "take_message": {}}, transfer_targets=(DESK, SALES))


@pytest.mark.parametrize(
    ("line", "to"),
    [
        ("Please transfer me to the front desk.", "tel:+12025550101"),
        ("Please transfer me to sales.", "sip:sales@pbx.example.com"),
        ("This is the third time I call! Transfer me to the front desk at once!", "tel:+12025550101"),
    ],
)
async def test_the_network_moves_the_callers_phone_to_the_named_target(line: str, to: str) -> None:
    livekit = LiveKit()
    async with Desk(operator(ringing_timeout=40), livekit=livekit) as desk:
        await desk.say(line)
    (request,) = livekit.asked
    assert (request.transfer_to, request.participant_identity) == (to, "sip_caller")
    assert request.ringing_timeout.seconds == 40
    (ending,) = desk.endings
    assert ending.ended_by is EndedBy.AGENT
    assert ending.cause.startswith("handed over to")
    assert desk.facts(Happened)[-1].kind == "transferred"


async def test_who_names_nobody_is_asked_whom_they_want() -> None:
    livekit = LiveKit()
    async with Desk(operator(), livekit=livekit) as desk:
        await desk.say("I want to talk to a manager, right now!")
        assert livekit.asked == []
        await desk.say("The front desk.")
    assert len(livekit.asked) == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (refused(486), "Front desk is on another call"),
        (refused(600), "Front desk is on another call"),
        (refused(480), "Front desk did not pick up"),
        (refused(408), "Front desk did not pick up"),
        (refused(603), "Front desk did not take the call"),
        (refused(404), "Front desk could not be reached"),
        (api.ServerError("not_found", "No SIP session associated with participant", status=404), "in time"),
        (TimeoutError(), "could not be reached in time"),
    ],
    ids=str,
)
async def test_a_transfer_that_fails_leaves_the_caller_with_us_and_is_told_in_words(
    error: BaseException, said: str
) -> None:  # TC-077
    async with Desk(operator(), livekit=LiveKit(error)) as desk:
        await desk.say("Please transfer me to the front desk.")
        (use,) = desk.used
    assert use.status is ToolStatus.ERROR
    assert said in (use.result or "")
    assert "take a message" in (use.result or "")
    assert desk.endings == []
    (event,) = desk.facts(Happened)
    assert event.kind == "transfer_failed"


async def test_a_transfer_that_livekit_says_failed_without_an_error_is_no_success() -> None:
    answer = api.TransferSIPParticipantResponse(status=api.SIPTransferStatus.STS_TRANSFER_FAILED)
    async with Desk(operator(), livekit=LiveKit(answer)) as desk:
        await desk.say("Please transfer me to the front desk.")
    assert desk.endings == []
    assert desk.used[0].status is ToolStatus.ERROR


async def test_of_two_transfers_at_once_the_second_waits_for_nobody() -> None:
    """A model that uses the tool twice in one turn must not move the call twice."""
    from livekit.agents.llm import ToolError

    begun, go = asyncio.Event(), asyncio.Event()

    class Slow(LiveKit):
        async def transfer_sip_participant(self, request: Any, **more: Any) -> Any:
            begun.set()
            await go.wait()
            return await super().transfer_sip_participant(request, **more)

    class Context:
        async def wait_for_playout(self) -> None: ...

        def disallow_interruptions(self) -> None: ...

    livekit = Slow()
    async with Desk(operator(), livekit=livekit) as desk:
        tool = desk.tool("transfer_call")
        first = asyncio.create_task(tool(raw_arguments={"target": "sales"}, ctx=Context()))
        await begun.wait()
        with pytest.raises(ToolError, match="already"):
            await tool(raw_arguments={"target": "front desk"}, ctx=Context())
        go.set()
        await first
    assert len(livekit.asked) == 1
    assert desk.endings == [Ending(Outcome.COMPLETED, "handed over to Sales", EndedBy.AGENT)]
