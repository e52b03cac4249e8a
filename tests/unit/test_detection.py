"""Outbound or inbound? What the agent logs and does with a dispatch, before any phone is involved."""

import itertools
import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import SecretStr

from voiceagents import logs
from voiceagents.livekit import inbound, outbound, worker
from voiceagents.livekit.job import LiveCalls
from voiceagents.settings import LiveKitAccess

pytestmark = pytest.mark.unit

ROOM = "call-+1234567890-1234567890"
JOB = '{"phone_number":"+1234567890","agentId":"assistant-123"}'


class Dispatch:
    """Hands dispatches to the agent's entry point and remembers where they went."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        self.went: list[str] = []
        self.metadata: list[Any] = []
        self.shut_down: list[str] = []
        self._caplog = caplog
        caplog.set_level(logging.INFO, logger="voiceagents")
        access = LiveKitAccess("ws://127.0.0.1:1", "key", SecretStr("secret" * 8))
        context = SimpleNamespace(access=access, live=LiveCalls())
        monkeypatch.setattr(worker, "worker_context", lambda: context)
        monkeypatch.setattr(worker, "_dispatches", itertools.count(1))
        monkeypatch.setattr(outbound, "run", self._to("outbound"))
        monkeypatch.setattr(outbound, "refuse_unreadable", self._to("refused"))
        monkeypatch.setattr(inbound, "run", self._to("inbound"))

    def _to(self, where: str) -> Any:
        async def go(job: Any, *arguments: Any) -> None:
            self.went.append(where)
            self.metadata.append(arguments[0])

        return go

    async def __call__(self, metadata: str, room: str = ROOM, room_metadata: str = "") -> None:
        job = SimpleNamespace(
            metadata=metadata, room=SimpleNamespace(name=room, sid="RM_1", metadata=room_metadata), id="AJ_1"
        )
        await worker.handle_call(SimpleNamespace(job=job, shutdown=self.shut_down.append))  # pyright: ignore

    @property
    def lines(self) -> list[str]:
        return [record.getMessage() for record in self._caplog.records if record.name.startswith("voiceagents")]


@pytest.fixture
def dispatch(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Dispatch:
    return Dispatch(monkeypatch, caplog)


async def test_the_lines_of_the_specification_are_logged_to_the_letter(
    dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "_show_personal_data", True)
    await dispatch(JOB)
    await dispatch("{}", "did-+1234567890")
    assert dispatch.lines == [
        "🎯 DISPATCH_RECEIVED | count=1 | room=call-+1234567890-1234567890 | "
        'job_metadata={"phone_number":"+1234567890","agentId":"assistant-123"}',
        "🔥 OUTBOUND_CALL_DETECTED | phone_number=+1234567890",
        "🎯 DISPATCH_RECEIVED | count=2 | room=did-+1234567890 | job_metadata={}",
        "📞 INBOUND_CALL_DETECTED | phone_number=None",
    ]
    assert dispatch.went == ["outbound", "inbound"]
    assert dispatch.shut_down == ["call ended"] * 2


async def test_without_log_pii_the_same_lines_hide_the_person(dispatch: Dispatch) -> None:
    await dispatch(JOB)
    assert dispatch.lines == [
        "🎯 DISPATCH_RECEIVED | count=1 | room=call-+1*******90-1234567890 | "
        'job_metadata={"phone_number":"+1*******90","agentId":"assistant-123"}',
        "🔥 OUTBOUND_CALL_DETECTED | phone_number=+1*******90",
    ]


@pytest.mark.parametrize(
    "metadata",
    [
        pytest.param(
            '{"phone_number": "+12025550143", "campaignId": "c1, "callType": "campaign"}', id="TC-028-broken-json"
        ),
        pytest.param("[]", id="TC-029-list"),
        pytest.param("123", id="TC-029-number"),
        pytest.param('"+12025550143"', id="TC-029-string"),
    ],
)
async def test_broken_metadata_in_a_dispatchers_room_is_refused_and_nobody_answers_in_it(
    dispatch: Dispatch, metadata: str
) -> None:
    await dispatch(metadata)
    assert dispatch.went == ["refused"]
    assert any(line.startswith("❌ JOB_METADATA_REFUSED | room=call-+1*******90-") for line in dispatch.lines)


async def test_broken_metadata_that_names_a_number_to_dial_is_refused_whatever_the_room_is_called(
    dispatch: Dispatch,
) -> None:  # TC-028
    await dispatch('{"phone_number": "+12025550143", "campaignId": "c1, "callType": "campaign"}', "campaign-room-7")
    assert dispatch.went == ["refused"]


async def test_broken_metadata_does_not_keep_a_caller_from_being_answered(dispatch: Dispatch) -> None:
    await dispatch('{"phone_number": "+12025550144", broken', "did-+12025550143")
    assert dispatch.went == ["inbound"]


async def test_metadata_encoded_twice_is_dialled_once(dispatch: Dispatch) -> None:  # TC-029
    await dispatch(json.dumps('{"phone_number":"+12025550143","campaignId":"c1"}'))
    assert dispatch.went == ["outbound"]
    assert (dispatch.metadata[0].phone_number, dispatch.metadata[0].campaign_id) == ("+12025550143", "c1")


@pytest.mark.parametrize("number", ["", "call me", 12025550143, [], False])
async def test_a_number_that_cannot_be_dialled_is_still_an_outbound_call_that_is_refused(
    dispatch: Dispatch, number: Any
) -> None:
    await dispatch(json.dumps({"phone_number": number}))
    assert dispatch.went == ["outbound"]


async def test_what_had_to_be_mended_is_in_the_log(dispatch: Dispatch) -> None:
    await dispatch('{"phone_number":"+12025550143","agentId":["a"]}', room_metadata='{"contactInfo": 5}')
    assert [line for line in dispatch.lines if line.startswith("METADATA_PROBLEM")] == [
        "METADATA_PROBLEM | room=call-+1*******90-1234567890 | problem=agentId is a list, not text: ignored",
        "METADATA_PROBLEM | room=call-+1*******90-1234567890 | problem=contactInfo is a number, not an object: ignored",
    ]
