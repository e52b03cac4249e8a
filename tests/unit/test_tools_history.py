"""How is the use of a tool told to whoever reads a call's story?"""

import io
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from rich.console import Console

from voiceagents.calls.models import Call, Message, ToolCall
from voiceagents.calls.states import CallState, Direction, MessageKind, Outcome, ToolStatus
from voiceagents.cli.history import Story

pytestmark = pytest.mark.unit

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def story() -> Story:
    call = Call(
        id=uuid4(),
        direction=Direction.INBOUND,
        state=CallState.ENDED,
        outcome=Outcome.COMPLETED,
        created_at=NOON,
        answered_at=NOON + timedelta(seconds=1),
        ended_at=NOON + timedelta(seconds=60),
        details={},
    )
    tool = ToolCall(
        tool_call_id="1",
        tool="order_status",
        arguments={"order": "A-17", "pin": "***", "note": None},
        status=ToolStatus.ERROR,
        result="The service did not answer within 8 seconds.",
        started_at=NOON + timedelta(seconds=20),
        ended_at=NOON + timedelta(seconds=28),
    )
    message = Message(
        id=uuid4(),
        kind=MessageKind.CALLBACK,
        at=NOON + timedelta(seconds=40),
        from_name="Ana [bold]",
        from_number="+12025550143",
        text="The order",
        wanted_when="tomorrow at four",
    )
    return Story(call, [], [], [tool], [message])


def test_a_tool_that_failed_stands_in_the_timeline_with_its_arguments_and_its_error() -> None:
    lines = story().timeline()
    assert [what for _, what, _ in lines] == ["answered", "tool order_status", "ended"]
    assert lines[1][2] == {
        "status": "error",
        "seconds": 8.0,
        "arguments": {"order": "A-17", "pin": "***"},
        "result": "The service did not answer within 8 seconds.",
    }


def test_messages_are_shown_with_who_and_when() -> None:
    out = io.StringIO()
    story().print(Console(file=out, width=200))
    assert "callback from Ana [bold] +12025550143 (tomorrow at four): The order" in out.getvalue()


def test_the_record_for_json_has_tools_and_messages() -> None:
    record = story().record()
    assert record["timeline"][1]["what"] == "tool order_status"
    assert record["messages"][0]["wanted_when"] == "tomorrow at four"
