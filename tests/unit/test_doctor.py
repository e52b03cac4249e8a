"""What does the doctor make of the answers it gets?"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from livekit import api

from voiceagents.doctor import server, speech, storage, trunks
from voiceagents.doctor.findings import State

pytestmark = pytest.mark.unit

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
DID = "+15550199999"


@pytest.mark.parametrize(
    ("offset", "state"), [(0, State.OK), (20, State.OK), (-20, State.OK), (45, State.BROKEN), (-3600, State.BROKEN)]
)
def test_a_clock_that_is_off_by_more_than_half_a_minute_is_broken(offset: int, state: State) -> None:
    finding = server.compared(format_datetime(NOW, usegmt=True), NOW + timedelta(seconds=offset))
    assert finding.state is state
    if state is State.BROKEN:
        assert ("ahead" if offset > 0 else "behind") in finding.detail


@pytest.mark.parametrize("header", [None, "", "yesterday"])
def test_without_a_date_from_the_server_the_clock_is_unknown(header: str | None) -> None:
    assert server.compared(header, NOW).state is State.UNKNOWN


@pytest.mark.parametrize(
    ("code", "message", "state"),
    [
        ("unavailable", "twirp error unknown: no response from servers", State.BROKEN),
        ("unavailable", "twirp error unknown: cpu exhausted", State.BROKEN),
        ("canceled", "twirp error unknown: sip request timed out", State.OK),
        ("internal", "lookup nobody.invalid: no such host", State.OK),
        ("invalid_argument", "trunk is not allowed", State.UNKNOWN),
        ("unimplemented", "", State.UNKNOWN),
    ],
)
def test_only_a_refusal_by_the_sip_service_itself_proves_that_it_is_there(
    code: str, message: str, state: State
) -> None:
    assert server.refused(code, message).state is state


def outbound(**fields: object) -> api.SIPOutboundTrunkInfo:
    values: dict[str, object] = {"sip_trunk_id": "ST_1", "address": "sip.example.com", "numbers": ["+15550100000"]}
    return api.SIPOutboundTrunkInfo(**(values | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("there", "wanted", "state", "says"),
    [
        ([outbound()], "ST_1", State.OK, "sip.example.com"),
        ([outbound()], "ST_2", State.BROKEN, "ST_2 does not exist"),
        ([], "ST_2", State.BROKEN, "ST_2 does not exist"),
        ([outbound(numbers=[])], "ST_1", State.BROKEN, "no number"),
        ([outbound(address="", numbers=[])], "ST_1", State.BROKEN, "no address and no number"),
        ([outbound()], None, State.UNKNOWN, "not set"),
        ([], None, State.UNKNOWN, "has none"),
    ],
)
def test_a_trunk_must_exist_and_have_an_address_and_a_number(
    there: Sequence[api.SIPOutboundTrunkInfo], wanted: str | None, state: State, says: str
) -> None:
    finding = trunks.trunk(there, wanted)
    assert finding.state is state
    assert says in finding.detail


def inbound(*numbers: str, trunk_id: str = "ST_in") -> api.SIPInboundTrunkInfo:
    return api.SIPInboundTrunkInfo(sip_trunk_id=trunk_id, numbers=list(numbers))


def rule(
    *agents: str, trunk_ids: Sequence[str] = (), direct: bool = False, prefix: str = "did-", pin: str = ""
) -> api.SIPDispatchRuleInfo:
    kind = (
        api.SIPDispatchRule(dispatch_rule_direct=api.SIPDispatchRuleDirect(room_name="one"))
        if direct
        else api.SIPDispatchRule(dispatch_rule_individual=api.SIPDispatchRuleIndividual(room_prefix=prefix, pin=pin))
    )
    config = api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=name) for name in agents])
    return api.SIPDispatchRuleInfo(rule=kind, trunk_ids=list(trunk_ids), room_config=config, name="rule")


@pytest.mark.parametrize(
    ("lines", "rules", "numbers", "states", "says"),
    [
        ([inbound(DID)], [rule("ai")], [DID], [State.OK], DID),
        ([inbound(DID)], [rule("ai", trunk_ids=["ST_in"])], [DID], [State.OK], DID),
        ([inbound()], [rule("ai")], [DID], [State.OK], "ring the agent"),
        ([inbound("15550199999")], [rule("ai")], [DID], [State.OK], "ring the agent"),
        ([inbound(DID)], [rule("other")], [DID], [State.BROKEN], "they name other"),
        ([inbound(DID)], [rule()], [DID], [State.BROKEN], "(none)"),
        ([inbound(DID)], [rule("other"), rule("ai")], [DID], [State.OK], "ring"),
        ([inbound(DID)], [rule("ai", trunk_ids=["ST_else"])], [DID], [State.BROKEN], "does not reach us"),
        ([], [rule("ai")], [DID], [State.BROKEN], "does not reach us"),
        ([], [], [DID], [State.BROKEN], "does not reach us"),
        ([], [], [], [State.UNKNOWN], "nobody can call in"),
        ([inbound(DID)], [rule("ai")], [], [State.UNKNOWN], "no assistant answers +15550199999"),
        ([inbound(DID)], [rule("ai", direct=True)], [DID], [State.OK, State.BROKEN], "hear each other"),
        ([inbound(DID)], [rule("ai", prefix=f"did-{DID}")], [DID], [State.OK], "ring"),
        ([inbound(DID)], [rule("ai", prefix="call-")], [DID], [State.OK, State.BROKEN], "not named did-"),
        ([inbound(DID)], [rule("ai", pin="1234")], [DID], [State.OK, State.BROKEN], "PIN"),
    ],
)
def test_a_number_reaches_us_by_a_trunk_and_a_rule_that_names_our_agent(
    lines: Sequence[api.SIPInboundTrunkInfo],
    rules: Sequence[api.SIPDispatchRuleInfo],
    numbers: Sequence[str],
    states: Sequence[State],
    says: str,
) -> None:
    findings = trunks.reached(lines, rules, numbers, "ai")
    assert [finding.state for finding in findings] == states
    assert says in " ".join(finding.detail for finding in findings)


@pytest.mark.parametrize(
    ("numbers", "states", "says"),
    [
        ({DID: "front"}, [State.OK], f"{DID} by front"),
        ({DID: None}, [State.BROKEN], f"nobody answers {DID}"),
        ({DID: None, "+15550188888": "front"}, [State.BROKEN, State.OK], "by front"),
        ({}, [State.UNKNOWN], "nobody can call in"),
    ],
)
def test_a_number_has_somebody_who_answers_it(
    numbers: dict[str, str | None], states: Sequence[State], says: str
) -> None:
    findings = trunks.answered(numbers)
    assert [finding.state for finding in findings] == states
    assert says in " ".join(finding.detail for finding in findings)


@pytest.mark.parametrize(
    ("status", "known", "state"),
    [
        (200, ["a", "b", "c"], State.OK),
        (200, ["a"], State.UNKNOWN),
        (401, [], State.BROKEN),
        (403, [], State.BROKEN),
        (404, [], State.UNKNOWN),
        (500, [], State.UNKNOWN),
    ],
)
def test_a_speech_server_must_take_the_key_and_should_have_the_models(
    status: int, known: list[str], state: State
) -> None:
    assert speech.judged("https://api.example.com/v1", status, known, ["a", "b", "c"]).state is state


@pytest.mark.parametrize(
    ("heard", "state"),
    [
        ("Good morning. This is a test of the voice and of the ears.", State.OK),
        ("good morning this is the test of the voice and the years", State.OK),
        ("", State.BROKEN),
        ("Thank you for watching.", State.BROKEN),
    ],
)
def test_the_offline_voice_works_when_it_understands_itself(heard: str, state: State) -> None:
    assert speech.understood(heard, 2.0).state is state


@pytest.mark.parametrize(
    ("revision", "state"), [("0002", State.OK), (None, State.UNKNOWN), ("0001", State.UNKNOWN), ("9", State.UNKNOWN)]
)
def test_tables_fit_when_they_are_at_the_expected_revision(revision: str | None, state: State) -> None:
    assert storage.fits("PostgreSQL", revision, "0002").state is state
