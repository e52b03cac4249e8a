"""From what SIP, LiveKit and the line reported to one outcome of the closed list."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.calls.outcomes import DialFailure, Ending, Trouble, of_conversation, of_dial_failure, of_sip_status
from voiceagents.calls.states import CallState, EndedBy, Outcome

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("status", "outcome", "by"),
    [
        pytest.param(486, Outcome.BUSY, EndedBy.PERSON, id="486-busy"),
        pytest.param(600, Outcome.BUSY, EndedBy.PERSON, id="600-busy-everywhere"),
        pytest.param(408, Outcome.NO_ANSWER, EndedBy.CARRIER, id="TC-059-408-ring-out"),
        pytest.param(480, Outcome.NO_ANSWER, EndedBy.CARRIER, id="480-unavailable"),
        pytest.param(487, Outcome.NO_ANSWER, EndedBy.CARRIER, id="487-terminated"),
        pytest.param(603, Outcome.REJECTED, EndedBy.PERSON, id="TC-038-603-decline"),
        pytest.param(607, Outcome.REJECTED, EndedBy.PERSON, id="607-unwanted"),
        pytest.param(608, Outcome.REJECTED, EndedBy.CARRIER, id="608-a-filter-on-the-way"),
        pytest.param(404, Outcome.INVALID_NUMBER, EndedBy.CARRIER, id="TC-041-404-unallocated"),
        pytest.param(410, Outcome.INVALID_NUMBER, EndedBy.CARRIER, id="410-gone"),
        pytest.param(484, Outcome.INVALID_NUMBER, EndedBy.CARRIER, id="484-incomplete"),
        pytest.param(604, Outcome.INVALID_NUMBER, EndedBy.CARRIER, id="604-nowhere"),
        pytest.param(401, Outcome.FAILED, EndedBy.CARRIER, id="401-trunk-password"),
        pytest.param(403, Outcome.FAILED, EndedBy.CARRIER, id="403-forbidden"),
        pytest.param(407, Outcome.FAILED, EndedBy.CARRIER, id="407-proxy-password"),
        pytest.param(429, Outcome.CONGESTION, EndedBy.CARRIER, id="429-rate-limit"),
        pytest.param(503, Outcome.CONGESTION, EndedBy.CARRIER, id="TC-040-503-carrier-limit"),
        pytest.param(488, Outcome.FAILED, EndedBy.CARRIER, id="488-codecs"),
        pytest.param(500, Outcome.FAILED, EndedBy.CARRIER, id="500-carrier-failed"),
        pytest.param(504, Outcome.FAILED, EndedBy.CARRIER, id="504-carrier-timed-out"),
        pytest.param(302, Outcome.FAILED, EndedBy.CARRIER, id="302-redirect"),
        pytest.param(699, Outcome.FAILED, EndedBy.CARRIER, id="699-unheard-of"),
    ],
)
def test_a_final_sip_status_stands_for_one_outcome(status: int, outcome: Outcome, by: EndedBy) -> None:
    ending = of_sip_status(status, "In Words")
    assert (ending.outcome, ending.ended_by) == (outcome, by)
    assert (ending.sip_status, ending.sip_reason) == (status, "In Words")
    assert f"({status} In Words)" in ending.cause


@given(st.integers(), st.none() | st.text())
def test_any_status_has_an_outcome_and_a_cause(status: int, reason: str | None) -> None:
    ending = of_sip_status(status, reason)
    assert ending.cause
    assert ending.sip_status == status


def server(code: str, message: str, **more: Any) -> DialFailure:
    return DialFailure(Trouble.SERVER, code=code, message=message, **more)


@pytest.mark.parametrize(
    ("failure", "outcome", "cause"),
    [
        pytest.param(
            server("canceled", "twirp error unknown: sip request timed out", seconds=30.1, rang=True),
            Outcome.NO_ANSWER,
            "it rang for 30 s",
            id="TC-037-ring-out-as-canceled",
        ),
        pytest.param(
            server("failed_precondition", "context deadline exceeded", seconds=30.0, rang=True),
            Outcome.NO_ANSWER,
            "it rang for 30 s",
            id="TC-037-ring-out-as-failed-precondition",
        ),
        pytest.param(
            server("deadline_exceeded", "", seconds=30.0, rang=True),
            Outcome.NO_ANSWER,
            "it rang for 30 s",
            id="TC-037-ring-out-as-deadline-exceeded",
        ),
        pytest.param(
            server("canceled", "sip request timed out", seconds=4.0, ringing_timeout=4.0),
            Outcome.UNREACHABLE,
            "no sign of ringing in 4 s",
            id="nobody-answers-the-invite",
        ),
        pytest.param(
            server("canceled", "sip request timed out", seconds=2.0),
            Outcome.CANCELLED,
            "before it rang out",
            id="given-up-early",
        ),
        pytest.param(
            server("canceled", "sip request timed out", seconds=2.0, rang=True, room_deleted=True),
            Outcome.CANCELLED,
            "cancelled while the phone rang",
            id="TC-052-room-deleted-is-no-decline",
        ),
        pytest.param(
            DialFailure(Trouble.SIP, sip_status=487, sip_reason="Request Terminated", room_deleted=True),
            Outcome.CANCELLED,
            "cancelled",
            id="TC-052-487-of-our-own-cancel",
        ),
        pytest.param(
            DialFailure(Trouble.SIP, sip_status=486, sip_reason="Busy Here", room_deleted=True),
            Outcome.BUSY,
            "486 Busy Here",
            id="busy-stays-busy-when-the-room-goes-after",
        ),
        pytest.param(
            server("unavailable", "twirp error unknown: no response from servers", seconds=20.0),
            Outcome.NO_CAPACITY,
            "is LiveKit's SIP service running",
            id="TC-040-no-sip-service",
        ),
        pytest.param(
            server("unavailable", "twirp error unknown: cpu exhausted"),
            Outcome.NO_CAPACITY,
            "CPU limit",
            id="cpu-exhausted",
        ),
        pytest.param(server("unavailable", "overloaded"), Outcome.NO_CAPACITY, "overloaded", id="other-unavailable"),
        pytest.param(
            server("resource_exhausted", "concurrent calls limit reached"),
            Outcome.NO_CAPACITY,
            "limit reached",
            id="account-limit-is-not-busy",
        ),
        pytest.param(
            server("not_found", "requested sip trunk does not exist"),
            Outcome.FAILED,
            "trunk does not exist",
            id="TC-041-404-of-our-own-trunk",
        ),
        pytest.param(
            server("invalid_argument", "missing sip callee number"), Outcome.INVALID_NUMBER, "callee", id="empty-number"
        ),
        pytest.param(
            server("invalid_argument", "SipCallTo should be a phone number or SIP user, not a full SIP URI"),
            Outcome.INVALID_NUMBER,
            "SIP URI",
            id="sip-uri",
        ),
        pytest.param(server("invalid_argument", "bad header"), Outcome.FAILED, "bad header", id="our-own-slip"),
        pytest.param(server("unauthenticated", "invalid token"), Outcome.FAILED, "unauthenticated", id="our-key"),
        pytest.param(
            DialFailure(Trouble.TIMEOUT, message="TimeoutError", seconds=45),
            Outcome.FAILED,
            "will not be dialled again on a guess",
            id="TC-044-our-request-timed-out",
        ),
        pytest.param(
            DialFailure(Trouble.CONNECTION, message="Server disconnected"),
            Outcome.FAILED,
            "will not be dialled again on a guess",
            id="TC-044-connection-lost",
        ),
        pytest.param(
            server("unknown", "twirp error unknown: INVITE failed: sip status: 486: Busy Here"),
            Outcome.BUSY,
            "(486 Busy Here)",
            id="status-only-in-the-text",
        ),
        pytest.param(
            server("permission_denied", "unexpected status from INVITE response: sip status: 603"),
            Outcome.REJECTED,
            "(603)",
            id="status-only-in-the-text-without-words",
        ),
    ],
)
def test_an_unanswered_dial_has_the_outcome_that_is_true_of_the_person(
    failure: DialFailure, outcome: Outcome, cause: str
) -> None:
    ending = of_dial_failure(failure)
    assert ending.outcome is outcome
    assert cause in ending.cause


@given(
    st.builds(
        DialFailure,
        trouble=st.sampled_from(Trouble),
        code=st.text(),
        message=st.text(),
        sip_status=st.none() | st.integers(100, 699),
        sip_reason=st.none() | st.text(),
        seconds=st.floats(0, 100),
        rang=st.booleans(),
        room_deleted=st.booleans(),
    )
)
def test_any_failure_has_an_outcome_that_claims_no_conversation(failure: DialFailure) -> None:
    ending = of_dial_failure(failure)
    assert ending.cause
    talked = {Outcome.COMPLETED, Outcome.VOICEMAIL, Outcome.OPTED_OUT, Outcome.HUNG_UP, Outcome.NOT_INTERESTED}
    assert ending.outcome not in talked


# Answered calls


@pytest.mark.parametrize(
    ("wishes", "outcome"),
    [
        (set(), Outcome.COMPLETED),
        ({Outcome.NOT_INTERESTED}, Outcome.NOT_INTERESTED),
        ({Outcome.NOT_INTERESTED, Outcome.CALLBACK_REQUESTED}, Outcome.CALLBACK_REQUESTED),
        ({Outcome.CALLBACK_REQUESTED, Outcome.WRONG_NUMBER}, Outcome.WRONG_NUMBER),
        ({Outcome.WRONG_NUMBER, Outcome.OPTED_OUT, Outcome.NOT_INTERESTED}, Outcome.OPTED_OUT),
    ],
)
def test_the_strongest_wish_is_the_outcome(wishes: set[Outcome], outcome: Outcome) -> None:
    ending = of_conversation(wishes=wishes, person_turns=2, ended_by=EndedBy.PERSON, how="the person hung up")
    assert ending.outcome is outcome
    assert ending.cause.endswith("the person hung up")
    assert ending.ended_by is EndedBy.PERSON


@pytest.mark.parametrize("by", list(EndedBy))
def test_a_call_in_which_nobody_spoke_is_not_completed(by: EndedBy) -> None:
    assert of_conversation(wishes=set(), person_turns=0, ended_by=by, how="h").outcome is Outcome.HUNG_UP


def test_an_ending_holds_what_history_shows() -> None:
    assert of_sip_status(404, "Not Found") == Ending(
        Outcome.INVALID_NUMBER,
        "the carrier knows no such number (404 Not Found)",
        EndedBy.CARRIER,
        sip_status=404,
        sip_reason="Not Found",
    )


def test_states_are_ranked_in_the_order_of_a_calls_life() -> None:
    assert [state.rank for state in CallState] == [0, 1, 2, 3, 4, 5]
    assert CallState.QUEUED.rank < CallState.DIALING.rank < CallState.ENDED.rank
