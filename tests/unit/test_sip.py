"""Dialling through LiveKit's API: what is asked for, what each of its errors means, and who called whom.

The SDK is the real one; only its HTTP session is replaced by one that answers as LiveKit's SIP service was measured to.
"""

import asyncio
import base64
import json
from dataclasses import replace
from functools import partial
from typing import Any, Self

import aiohttp
import pytest
from livekit import api
from pydantic import SecretStr

from voiceagents.calls import outcomes
from voiceagents.calls.outcomes import Ending, Trouble
from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.livekit import sip
from voiceagents.livekit.sip import Dial, InboundCall, NotAnswered, with_plus
from voiceagents.settings import LiveKitAccess

pytestmark = pytest.mark.unit

ANA = "+12025550143"
DIAL = Dial(room=f"call-{ANA}-1", number=ANA, trunk_id="ST_1", name="Ana", ringing_timeout=30)
ANSWERED = api.SIPParticipantInfo(
    participant_id="PA_1", participant_identity=ANA, room_name=DIAL.room, sip_call_id="SCL_1"
)


class Answer:
    """One HTTP answer of the server."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def read(self) -> bytes:
        return self._body

    async def json(self) -> Any:
        return json.loads(self._body)


class Session:
    """Stands for the HTTP connection to LiveKit: gives the answers in turn and remembers what was asked."""

    timeout = aiohttp.ClientTimeout(total=10)

    def __init__(self, *answers: Answer | BaseException) -> None:
        self._answers = list(answers)
        self.asked: list[tuple[str, bytes, aiohttp.ClientTimeout]] = []

    def post(self, url: str, *, headers: dict[str, str], data: bytes, timeout: aiohttp.ClientTimeout) -> Answer:
        self.asked.append((url, data, timeout))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def get(self, url: str, **_: object) -> Answer:
        self.asked.append((url, b"", self.timeout))
        return Answer(200, b'{"regions": [{"region": "other", "url": "https://other.livekit.cloud"}]}')


def refusal(code: str, http: int, message: str, status: int | None = None, reason: str = "") -> Answer:
    meta = {}
    if status is not None:
        meta = {"sip_status_code": str(status), "sip_status": reason, "error_details": base64.b64encode(b"x").decode()}
    return Answer(http, json.dumps({"code": code, "msg": message, **({"meta": meta} if meta else {})}).encode())


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes a client by `sip.connect`, over a session of the test's."""

    def connect(session: Session, url: str = "ws://livekit.example:7880") -> api.LiveKitAPI:
        monkeypatch.setattr(api, "LiveKitAPI", partial(REAL_API, session=session))
        return sip.connect(LiveKitAccess(url, "key", SecretStr("secret" * 8)))

    return connect


REAL_API = api.LiveKitAPI


async def failure_of(client: api.LiveKitAPI, dial: Dial = DIAL) -> outcomes.DialFailure:
    with pytest.raises(NotAnswered) as caught:
        await sip.dial(client, dial)
    return caught.value.failure


# What is asked of LiveKit


async def test_a_dial_asks_for_one_call_that_waits_for_the_answer(connected: Any) -> None:
    session = Session(Answer(200, ANSWERED.SerializeToString()))
    answered = await sip.dial(connected(session), replace(DIAL, ringing_timeout=25.5, max_call_duration=600))
    assert answered == ANSWERED
    ((url, data, timeout),) = session.asked
    assert url == "http://livekit.example:7880/twirp/livekit.SIP/CreateSIPParticipant"
    request = api.CreateSIPParticipantRequest.FromString(data)
    assert request.room_name == DIAL.room
    assert request.sip_trunk_id == "ST_1"
    assert request.sip_call_to == ANA
    assert request.participant_identity == ANA
    assert request.participant_name == "Ana"
    assert request.wait_until_answered
    assert request.ringing_timeout.ToTimedelta().total_seconds() == 25.5
    assert request.max_call_duration.ToTimedelta().total_seconds() == 600
    # TC-044: longer than the phone may ring.
    assert timeout.total is not None
    assert timeout.total >= 25.5 + 10


@pytest.mark.parametrize("trouble", [aiohttp.ClientConnectionError("gone"), Answer(503, b"{}"), TimeoutError()])
async def test_a_dial_is_never_repeated_by_the_client_itself(connected: Any, trouble: Any) -> None:
    session = Session(trouble, Answer(200, ANSWERED.SerializeToString()))
    await failure_of(connected(session, "wss://project.livekit.cloud"))
    assert len(session.asked) == 1


# What each error means


def sip_refusal(status: int, code: str, http: int, words: str, reason: str) -> Answer:
    return refusal(code, http, f"twirp error unknown: {words}: sip status: {status}: {reason}", status, reason)


INVITE, RESPONSE = "INVITE failed", "unexpected status from INVITE response"


@pytest.mark.parametrize(
    ("answer", "outcome", "status"),
    [
        pytest.param(
            sip_refusal(486, "resource_exhausted", 429, INVITE, "Busy Here"), Outcome.BUSY, 486, id="486-busy"
        ),
        pytest.param(
            sip_refusal(480, "resource_exhausted", 429, INVITE, "Temporarily Unavailable"),
            Outcome.NO_ANSWER,
            480,
            id="480-same-twirp-code-as-busy",
        ),
        pytest.param(
            sip_refusal(404, "not_found", 404, INVITE, "Not Found"), Outcome.INVALID_NUMBER, 404, id="TC-041-404"
        ),
        pytest.param(
            sip_refusal(488, "invalid_argument", 400, INVITE, "Not Acceptable Here"), Outcome.FAILED, 488, id="488"
        ),
        pytest.param(
            sip_refusal(484, "invalid_argument", 400, RESPONSE, "Address Incomplete"),
            Outcome.INVALID_NUMBER,
            484,
            id="484",
        ),
        pytest.param(sip_refusal(403, "permission_denied", 403, RESPONSE, "Forbidden"), Outcome.FAILED, 403, id="403"),
        pytest.param(
            sip_refusal(603, "permission_denied", 403, RESPONSE, "Decline"), Outcome.REJECTED, 603, id="TC-038-603"
        ),
        pytest.param(
            sip_refusal(408, "deadline_exceeded", 408, RESPONSE, "Request Timeout"), Outcome.NO_ANSWER, 408, id="408"
        ),
        pytest.param(
            sip_refusal(500, "failed_precondition", 412, RESPONSE, "Server Error"), Outcome.FAILED, 500, id="500"
        ),
        pytest.param(
            sip_refusal(503, "failed_precondition", 412, RESPONSE, "Service Unavailable"),
            Outcome.CONGESTION,
            503,
            id="503-of-the-carrier",
        ),
        pytest.param(
            sip_refusal(600, "resource_exhausted", 429, RESPONSE, "Busy Everywhere"), Outcome.BUSY, 600, id="600"
        ),
    ],
)
async def test_a_sip_status_decides_whatever_code_livekit_gives_it(
    connected: Any, answer: Answer, outcome: Outcome, status: int
) -> None:
    failure = await failure_of(connected(Session(answer)))
    assert failure.trouble is Trouble.SIP
    ending = outcomes.of_dial_failure(failure)
    assert (ending.outcome, ending.sip_status) == (outcome, status)
    assert ending.sip_reason is not None
    assert f"({status} {ending.sip_reason})" in ending.cause


TIMED_OUT = refusal("canceled", 408, "twirp error unknown: sip request timed out")


@pytest.mark.parametrize(
    ("answer", "known", "outcome", "by"),
    [
        pytest.param(
            TIMED_OUT, {"rang": True, "seconds": 30.2}, Outcome.NO_ANSWER, EndedBy.SYSTEM, id="TC-037-ring-out"
        ),
        pytest.param(
            refusal("failed_precondition", 412, "context deadline exceeded"),
            {"rang": True, "seconds": 30.0},
            Outcome.NO_ANSWER,
            EndedBy.SYSTEM,
            id="TC-037-ring-out-the-other-way",
        ),
        pytest.param(
            TIMED_OUT, {"seconds": 30.0}, Outcome.UNREACHABLE, EndedBy.CARRIER, id="no-answer-to-the-invite-at-all"
        ),
        pytest.param(
            TIMED_OUT,
            {"rang": True, "seconds": 4.0, "room_deleted": True},
            Outcome.CANCELLED,
            EndedBy.SYSTEM,
            id="room-deleted-while-it-rang",
        ),
        pytest.param(
            refusal("not_found", 404, "requested sip trunk does not exist"),
            {},
            Outcome.FAILED,
            EndedBy.SYSTEM,
            id="TC-041-trunk-unknown",
        ),
        pytest.param(
            refusal("invalid_argument", 400, "missing sip callee number"),
            {},
            Outcome.INVALID_NUMBER,
            EndedBy.SYSTEM,
            id="number-empty",
        ),
        pytest.param(
            refusal("invalid_argument", 400, "SipCallTo should be a phone number or SIP user, not a full SIP URI"),
            {},
            Outcome.INVALID_NUMBER,
            EndedBy.SYSTEM,
            id="sip-uri",
        ),
        pytest.param(
            refusal("unavailable", 503, "twirp error unknown: no response from servers"),
            {"seconds": 20.0},
            Outcome.NO_CAPACITY,
            EndedBy.SYSTEM,
            id="TC-040-no-sip-service",
        ),
        pytest.param(
            refusal("unavailable", 503, "twirp error unknown: cpu exhausted"),
            {},
            Outcome.NO_CAPACITY,
            EndedBy.SYSTEM,
            id="cpu-exhausted",
        ),
    ],
)
async def test_an_error_without_a_sip_status_is_told_apart_by_what_else_is_known(
    connected: Any, answer: Answer, known: dict[str, Any], outcome: Outcome, by: EndedBy
) -> None:
    failure = await failure_of(connected(Session(answer)))
    assert (failure.trouble, failure.sip_status) == (Trouble.SERVER, None)
    ending: Ending = outcomes.of_dial_failure(replace(failure, **known))
    assert (ending.outcome, ending.ended_by) == (outcome, by)


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        pytest.param(TimeoutError(), Trouble.TIMEOUT, id="TC-044-our-own-time-out"),
        pytest.param(aiohttp.ServerTimeoutError("read timed out"), Trouble.TIMEOUT, id="server-time-out"),
        pytest.param(aiohttp.ConnectionTimeoutError(), Trouble.TIMEOUT, id="connect-time-out"),
        pytest.param(aiohttp.ServerDisconnectedError(), Trouble.CONNECTION, id="disconnected"),
        pytest.param(aiohttp.ClientOSError(104, "reset by peer"), Trouble.CONNECTION, id="reset"),
        pytest.param(aiohttp.ClientPayloadError("cut off"), Trouble.CONNECTION, id="answer-cut-off"),
        pytest.param(ConnectionRefusedError(111, "refused"), Trouble.CONNECTION, id="os-error"),
        pytest.param(Answer(502, b"<html>Bad Gateway</html>"), Trouble.CONNECTION, id="a-proxys-502"),
        pytest.param(Answer(504, b""), Trouble.CONNECTION, id="a-proxys-504"),
        pytest.param(Answer(200, b"<html>Please log in</html>"), Trouble.CONNECTION, id="a-proxys-page"),
    ],
)
async def test_when_nobody_says_what_became_of_the_call_it_is_unknown_and_not_dialled_again(
    connected: Any, trouble: Any, kind: Trouble
) -> None:
    failure = await failure_of(connected(Session(trouble)))
    assert failure.trouble is kind
    assert failure.message
    ending = outcomes.of_dial_failure(failure)
    assert (ending.outcome, ending.ended_by) == (Outcome.FAILED, EndedBy.SYSTEM)
    assert "will not be dialled again on a guess" in ending.cause


async def test_a_cancelled_dial_is_cancelled_and_not_an_outcome(connected: Any) -> None:
    with pytest.raises(asyncio.CancelledError):
        await sip.dial(connected(Session(asyncio.CancelledError())), DIAL)


@pytest.mark.parametrize("garbage", ["", "busy", "486.0"])
async def test_a_status_that_is_no_number_is_read_from_the_message(connected: Any, garbage: str) -> None:
    body = {"code": "unknown", "msg": "INVITE failed: sip status: 486: Busy Here", "meta": {"sip_status_code": garbage}}
    failure = await failure_of(connected(Session(Answer(500, json.dumps(body).encode()))))
    assert outcomes.of_dial_failure(failure).outcome is Outcome.BUSY


# Hanging up


async def test_a_room_that_is_gone_already_is_gone(connected: Any) -> None:
    session = Session(refusal("not_found", 404, "requested room does not exist"))
    assert await sip.delete_room(connected(session), DIAL.room)
    assert len(session.asked) == 1


async def test_hanging_up_is_tried_until_it_works(connected: Any) -> None:
    session = Session(
        refusal("unavailable", 503, "overloaded"), aiohttp.ServerDisconnectedError(), TimeoutError(), Answer(200, b"")
    )
    assert await sip.delete_room(connected(session), DIAL.room)
    assert len(session.asked) == 4
    assert {api.DeleteRoomRequest.FromString(data).room for _, data, _ in session.asked} == {DIAL.room}


async def test_hanging_up_gives_up_in_time_and_says_so(connected: Any, caplog: pytest.LogCaptureFixture) -> None:
    session = Session(refusal("unavailable", 503, "overloaded"))
    assert not await sip.delete_room(connected(session), DIAL.room, seconds=0.5)
    assert "ROOM_NOT_DELETED" in caplog.text
    assert "overloaded" in caplog.text


# Who called whom


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+12025550143", ANA),
        ("12025550143", ANA),
        ("0012025550143", ANA),
        (" +12025550143 ", ANA),
        (None, None),
        ("", None),
        ("+", None),
        ("anonymous", None),
        ("Restricted", None),
        ("sip_anonymous", None),
        ("0000000000", None),
        ("+0491570006", None),
        ("sales", None),
        ("101", None),
        ("+12025550143@example.com", ANA),
        ("sip:+12025550143@10.0.0.1;user=phone", ANA),
        ("sip:12025550143@10.0.0.1:5060", ANA),
        ("tel:+1-202-555-0143", ANA),
        ("+12025550143;cpc=ordinary", ANA),
        ("+1 (202) 555-0143", ANA),
        ("(202) 555-0143", None),  # of which country?
        ("sip:sales@10.0.0.1", None),
        ("+٤٤٢٠٧٩٤٦٠١٢٣", None),
    ],
)
def test_numbers_are_read_with_and_without_their_plus(number: str | None, expected: str | None) -> None:
    assert with_plus(number) == expected


def test_the_dialled_number_and_the_caller_are_never_swapped() -> None:  # TC-071
    call = InboundCall.of(
        {
            "sip.phoneNumber": "+12025550188",
            "sip.trunkPhoneNumber": ANA,
            "sip.callID": "SCL_1",
            "sip.callIDFull": "abc@10.0.0.1",
        }
    )
    assert call == InboundCall(did=ANA, caller="+12025550188", sip_call_id="abc@10.0.0.1")


def test_a_trunk_that_leaves_the_plus_out_is_understood() -> None:
    call = InboundCall.of({"sip.phoneNumber": "12025550188", "sip.trunkPhoneNumber": "12025550143"})
    assert call == InboundCall(did=ANA, caller="+12025550188", sip_call_id=None)


@pytest.mark.parametrize(
    ("did", "sent", "caller"),
    [
        (ANA, "2025550188", "+12025550188"),  # not +20 25550188, which is in Egypt
        (ANA, "12025550188", "+12025550188"),
        (ANA, "(202) 555-0188", "+12025550188"),
        (ANA, "sip:2025550188@10.0.0.1", "+12025550188"),
        (ANA, "442079460123", "+442079460123"),
        (ANA, "00442079460123", "+442079460123"),
        (ANA, "+442079460123", "+442079460123"),
        ("+442079460124", "02079460123", "+442079460123"),
        ("+442079460124", "2025550188", "+2025550188"),  # no British number: read as it was before
        ("+442079460124", "101", None),
    ],
)
def test_a_caller_without_a_country_code_is_first_one_of_the_country_that_was_called(
    did: str, sent: str, caller: str | None
) -> None:
    attributes = {"sip.phoneNumber": sent, "sip.trunkPhoneNumber": did}
    assert InboundCall.of(attributes) == InboundCall(did=did, caller=caller, sip_call_id=None)


def test_what_is_known_of_the_dialled_number_goes_before_the_carriers_spelling() -> None:
    attributes = {"sip.phoneNumber": "2025550188", "sip.trunkPhoneNumber": "2025550143"}
    assert InboundCall.of(attributes, did=ANA) == InboundCall(did=ANA, caller="+12025550188", sip_call_id=None)


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({}, id="TC-074-absent"),
        pytest.param({"sip.phoneNumber": ""}, id="TC-074-empty"),
        pytest.param({"sip.phoneNumber": "anonymous"}, id="TC-074-anonymous"),
        pytest.param({"sip.phoneNumber": "Anonymous"}, id="TC-074-capital"),
        pytest.param({"sip.phoneNumber": "+anonymous"}, id="TC-074-plus"),
        pytest.param({"sip.phoneNumber": "Unknown"}, id="unknown"),
        pytest.param({"sip.phoneNumber": "0000000000"}, id="zeros"),
        pytest.param({"sip.phoneNumber": "+266696687"}, id="keypad-anonymous"),
        pytest.param({"sip.phoneNumber": "266696687"}, id="keypad-anonymous-without-plus"),
        pytest.param({"sip.phoneNumber": "+7378742833"}, id="keypad-restricted"),
        pytest.param({"sip.phoneNumber": "+86282452253"}, id="keypad-unavailable"),
        pytest.param({"sip.phoneNumber": "+2562533"}, id="keypad-blocked"),
        pytest.param({"sip.phoneNumber": "7378742833"}, id="keypad-restricted-without-plus"),
        pytest.param({"sip.phoneNumber": "+10000000000"}, id="zeros-with-a-country-code"),
        pytest.param({"sip.phoneNumber": "sip:anonymous@anonymous.invalid"}, id="address"),
        pytest.param({"sip.phoneNumber": '"Anonymous" <sip:anonymous@anonymous.invalid>'}, id="address-with-name"),
        pytest.param({"sip.phoneNumber": "Unavailable"}, id="unavailable"),
        pytest.param({"sip.phoneNumber": "asterisk"}, id="default-of-a-switchboard"),
    ],
)
def test_a_hidden_caller_is_nobody_and_the_call_goes_on(attributes: dict[str, str]) -> None:
    call = InboundCall.of({"sip.trunkPhoneNumber": ANA, "sip.callID": "SCL_1", **attributes})
    assert call == InboundCall(did=ANA, caller=None, sip_call_id="SCL_1")
