"""A person answers and is gone in the same moment, before anybody could say a word: what is the call's outcome?"""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from voiceagents.calls.outcomes import Ending
from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.livekit import outbound
from voiceagents.livekit.conversation import Conversation
from voiceagents.livekit.wishes import Wishes

pytestmark = pytest.mark.unit


class Unspoken:
    """A conversation in which nobody has said anything."""

    reception = None
    wishes = Wishes()
    person_turns = 0
    verdict = Conversation.verdict

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("line_says", "outcome"),
    [
        pytest.param(
            Ending(Outcome.COMPLETED, "the person hung up", EndedBy.PERSON), Outcome.HUNG_UP, id="the line was quicker"
        ),
        pytest.param(
            Ending(Outcome.HUNG_UP, "the call was answered and gone at once", EndedBy.PERSON),
            Outcome.HUNG_UP,
            id="the dial was quicker",
        ),
        pytest.param(Ending(Outcome.BUSY, "the line was busy", EndedBy.PERSON, 486), Outcome.BUSY, id="never answered"),
    ],
)
async def test_who_is_gone_at_once_hung_up_whichever_news_came_first(
    monkeypatch: pytest.MonkeyPatch, line_says: Ending, outcome: Outcome
) -> None:
    async def dialled(*_: object) -> Ending:
        return line_says

    async def ready(*_: object) -> None:
        pass

    monkeypatch.setattr(outbound, "_dial", dialled)
    monkeypatch.setattr(outbound, "get_ready", ready)
    job = SimpleNamespace(control=SimpleNamespace(end=lambda _: None))
    prepared = SimpleNamespace(conversation=Unspoken(), name="Ana")
    ending = await outbound._dial_and_talk(  # pyright: ignore[reportPrivateUsage]
        cast("Any", job),
        cast("Any", SimpleNamespace(answered_at=None)),
        cast("Any", prepared),
        cast("Any", SimpleNamespace(call_id=None)),
        "+12025550143",
        "ST_trunk",
    )
    assert (ending.outcome, ending.ended_by, ending.sip_status) == (outcome, EndedBy.PERSON, line_says.sip_status)
