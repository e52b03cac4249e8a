"""What follows a call that ended: the table, the times it gives, and when a campaign must stop instead."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceagents.calls.outcomes import DialFailure, Ending, Trouble, of_dial_failure, of_sip_status
from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.campaigns.breaker import THRESHOLDS, RecentEnding, breaker
from voiceagents.campaigns.retry import (
    CAUSES,
    DEFAULTS,
    NEVER_AGAIN,
    UNCOUNTED,
    Cause,
    EndedCall,
    Failure,
    PolicyError,
    RetryDecision,
    RetryPolicy,
    after,
    counts,
    in_words,
)
from voiceagents.windows import CallingWindow

pytestmark = pytest.mark.unit

ZONE = ZoneInfo("America/New_York")
ALWAYS = CallingWindow.parse("daily 00:00-24:00")
OFFICE = CallingWindow.parse("mon-fri 09:00-17:00")
POLICY = RetryPolicy.parse()
MINUTE = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOW = utc("2026-10-06T15:00")  # Tuesday, 11:00 in New York


def ended(outcome: Outcome, attempts: int = 1, **facts: Any) -> EndedCall:
    facts = {"ended_by": EndedBy.SYSTEM, "dialled": True, "answered": False, **facts}
    return EndedCall(outcome, attempts=attempts, **facts)


def what_follows(
    call: EndedCall, policy: RetryPolicy = POLICY, window: CallingWindow = ALWAYS, now: datetime = NOW, seed: int = 1
) -> RetryDecision:
    return after(call, policy, now, Random(seed), window=window, zones=(ZONE,))


def test_every_outcome_has_a_row() -> None:
    assert set(DEFAULTS) == {*Outcome, *Failure}
    assert set(POLICY.to_json()) == {cause.value for cause in CAUSES}


@pytest.mark.parametrize("outcome", sorted(NEVER_AGAIN))
def test_what_is_final_is_never_dialled_again(outcome: Outcome) -> None:
    """TC-041, TC-058."""
    decision = what_follows(ended(outcome))
    assert decision.final
    assert "final" in decision.words


@pytest.mark.parametrize("outcome", sorted(set(Outcome) - NEVER_AGAIN - {Outcome.CANCELLED}))
def test_everything_else_is_tried_again_until_its_attempts_are_used_up(outcome: Outcome) -> None:
    row = DEFAULTS[outcome]
    for made in range(1, row.attempts):
        decision = what_follows(ended(outcome, made, in_a_row=made))
        assert decision.at is not None
        assert decision.at >= NOW + row.delays[min(made, len(row.delays)) - 1]
    assert what_follows(ended(outcome, row.attempts, in_a_row=row.attempts)).final


def test_a_dead_number_by_sip_404_is_final() -> None:
    """TC-041."""
    assert what_follows(ended(of_sip_status(404).outcome)).final


def test_a_declined_call_waits_for_the_whole_delay() -> None:
    """TC-038."""
    policy = RetryPolicy.parse({"rejected": {"attempts": 3, "delays": ["30m"]}})
    call = ended(of_sip_status(603, "Decline").outcome)
    for seed in range(50):
        at = what_follows(call, policy, seed=seed).at
        assert at is not None
        assert at >= NOW + 30 * MINUTE


@pytest.mark.parametrize(
    "failure",
    [
        DialFailure(Trouble.SERVER, "canceled", "sip request timed out", seconds=30, rang=True),
        DialFailure(Trouble.SERVER, "failed_precondition", "context deadline exceeded", seconds=30, rang=True),
    ],
)
def test_a_ring_out_is_retried_alike_however_it_is_reported(failure: DialFailure) -> None:
    """TC-037."""
    decision = what_follows(ended(of_dial_failure(failure).outcome, tried_at=(NOW,)))
    assert decision == what_follows(ended(Outcome.NO_ANSWER, tried_at=(NOW,)))


@pytest.mark.parametrize(
    "ending",
    [
        of_sip_status(503, "Service Unavailable"),
        of_sip_status(429),
        of_dial_failure(DialFailure(Trouble.SERVER, "unavailable", "no response from servers", seconds=20)),
    ],
)
def test_a_call_without_a_line_uses_up_no_attempt_and_comes_back_soon(ending: Ending) -> None:
    """TC-040."""
    assert ending.outcome in UNCOUNTED
    assert not counts(ending.outcome, dialled=True)
    decision = what_follows(ended(ending.outcome, attempts=99, in_a_row=1))
    assert decision.at is not None
    assert decision.at <= NOW + 5 * MINUTE
    assert "no attempt used up" in decision.words


def test_lines_that_stay_away_are_waited_for_longer_and_longer_but_not_for_ever() -> None:
    """TC-040."""
    row = DEFAULTS[Outcome.CONGESTION]
    waits = [what_follows(ended(Outcome.CONGESTION, in_a_row=n)).at for n in range(1, row.attempts)]
    assert None not in waits
    assert waits[0] < waits[3]  # type: ignore[operator]
    assert what_follows(ended(Outcome.CONGESTION, in_a_row=row.attempts)).final


def test_only_a_real_dial_counts_and_the_next_waits_for_the_delay() -> None:
    """TC-046."""
    policy = RetryPolicy.parse({"busy": {"attempts": 3, "delays": ["300s"]}})
    attempts = 0
    for in_a_row in (1, 2):
        refused = ended(Outcome.FAILED, attempts, dialled=False, in_a_row=in_a_row)
        attempts += counts(refused.outcome, dialled=refused.dialled)
        decision = what_follows(refused, policy)
        assert decision.at is not None
        assert decision.at <= NOW + 2 * MINUTE
    attempts += counts(Outcome.BUSY, dialled=True)
    assert attempts == 1
    decision = what_follows(ended(of_sip_status(486).outcome, attempts), policy)
    assert decision.at is not None
    assert NOW + timedelta(seconds=300) <= decision.at <= NOW + timedelta(seconds=360)


def test_a_call_cancelled_before_the_dial_comes_back_and_one_cancelled_while_ringing_does_not() -> None:
    assert not what_follows(ended(Outcome.CANCELLED, 0, dialled=False)).final
    assert what_follows(ended(Outcome.CANCELLED)).final


def test_a_requested_callback_becomes_a_dated_attempt() -> None:
    at = utc("2026-10-08T18:30")
    assert what_follows(ended(Outcome.CALLBACK_REQUESTED, callback_at=at), window=OFFICE).at == at


def test_a_callback_outside_the_window_moves_to_the_next_opening() -> None:
    decision = what_follows(ended(Outcome.CALLBACK_REQUESTED, callback_at=utc("2026-10-10T15:00")), window=OFFICE)
    assert decision.at == utc("2026-10-12T13:00")
    assert "when the window opens" in decision.words


@pytest.mark.parametrize("callback_at", [None, NOW - MINUTE, NOW])
def test_a_callback_without_a_time_to_come_waits_for_the_usual_delay(callback_at: datetime | None) -> None:
    decision = what_follows(ended(Outcome.CALLBACK_REQUESTED, callback_at=callback_at))
    assert decision.at is not None
    assert decision.at >= NOW + timedelta(days=1)


def test_after_no_answer_another_part_of_the_day_is_tried() -> None:
    window = CallingWindow.parse("daily 09:00-20:00")
    morning, afternoon = utc("2026-10-05T14:00"), utc("2026-10-05T19:00")
    first = what_follows(ended(Outcome.NO_ANSWER, tried_at=(morning,)), window=window, now=utc("2026-10-06T12:00"))
    assert first.at is not None
    assert 12 <= first.at.astimezone(ZONE).hour < 17
    second = what_follows(ended(Outcome.NO_ANSWER, 2, tried_at=(morning, afternoon)), window=window)
    assert second.at is not None
    assert 17 <= second.at.astimezone(ZONE).hour < 20
    assert "evening" in second.words


def test_where_only_one_part_of_the_day_is_open_it_is_used_again() -> None:
    window = CallingWindow.parse("daily 09:00-12:00")
    decision = what_follows(ended(Outcome.NO_ANSWER, tried_at=(NOW,)), window=window)
    assert decision.at is not None
    assert window.is_open(decision.at, ZONE)


def test_retries_that_wait_for_the_window_do_not_come_in_one_second() -> None:
    evening = utc("2026-10-06T21:30")
    times = {what_follows(ended(Outcome.BUSY), window=OFFICE, now=evening, seed=seed).at for seed in range(50)}
    assert len(times) > 20
    assert all(at is not None and OFFICE.is_open(at, ZONE) for at in times)


def test_an_agent_that_broke_down_and_a_carrier_that_failed_have_rows_of_their_own() -> None:
    assert ended(Outcome.FAILED, answered=True).cause is Failure.AGENT
    assert ended(Outcome.FAILED, ended_by=EndedBy.CARRIER).cause is Failure.CARRIER
    assert ended(Outcome.FAILED).cause is Outcome.FAILED


def test_what_became_of_a_call_is_unknown_so_it_is_tried_once_more_and_not_soon() -> None:
    """TC-044."""
    ending = of_dial_failure(DialFailure(Trouble.TIMEOUT))
    decision = what_follows(ended(ending.outcome))
    assert decision.at is not None
    assert decision.at >= NOW + 60 * MINUTE
    assert what_follows(ended(ending.outcome, 2)).final


@given(
    outcome=st.sampled_from(Outcome),
    ended_by=st.sampled_from(EndedBy),
    dialled=st.booleans(),
    answered=st.booleans(),
    attempts=st.integers(0, 5),
    in_a_row=st.integers(1, 40),
    callback_in=st.none() | st.integers(-100, 100_000),
    tried=st.lists(st.integers(0, 10_000), max_size=4),
    now=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    window=st.sampled_from(
        [ALWAYS, OFFICE, *(CallingWindow.parse(w) for w in ("sat 22:00-02:00", "daily 01:00-03:00"))]
    ),
    zones=st.sampled_from([(ZONE,), (ZONE, ZoneInfo("America/Chicago"))]),
    seed=st.integers(),
)
@settings(max_examples=400, deadline=None)
def test_a_retry_lies_in_the_window_and_not_before_the_delay_and_chance_can_be_repeated(
    outcome: Outcome,
    ended_by: EndedBy,
    dialled: bool,
    answered: bool,
    attempts: int,
    in_a_row: int,
    callback_in: int | None,
    tried: list[int],
    now: datetime,
    window: CallingWindow,
    zones: tuple[ZoneInfo, ...],
    seed: int,
) -> None:
    call = EndedCall(
        outcome,
        ended_by,
        dialled,
        answered,
        attempts,
        in_a_row,
        None if callback_in is None else now + timedelta(minutes=callback_in),
        [now - timedelta(minutes=minutes) for minutes in tried],
    )
    decision = after(call, POLICY, now, Random(seed), window=window, zones=zones)
    assert decision == after(call, POLICY, now, Random(seed), window=window, zones=zones)
    assert decision.words
    if outcome in NEVER_AGAIN:
        assert decision.final
    if decision.at is not None:
        assert decision.at > now
        assert window.is_open(decision.at, *zones)
        if outcome is not Outcome.CALLBACK_REQUESTED:
            row = DEFAULTS[call.cause if dialled else Outcome.NO_CAPACITY]
            assert decision.at >= now + min(row.delays)


def test_when_the_window_does_not_open_again_the_retry_says_so() -> None:
    decision = what_follows(ended(Outcome.BUSY), window=CallingWindow.stored("broken"))
    assert not decision.final
    assert "does not open" in decision.words


def test_a_policy_names_only_what_differs_and_shows_every_row() -> None:
    policy = RetryPolicy.parse({"busy": {"attempts": 2}, "agent_failure": {"delays": ["90s", "1d"], "jitter": 0}})
    assert policy.rows[Outcome.BUSY].attempts == 2
    assert policy.rows[Outcome.BUSY].delays == DEFAULTS[Outcome.BUSY].delays
    assert policy.to_json()["agent_failure"] == {
        "attempts": 2,
        "delays": ["90s", "1d"],
        "jitter": 0,
        "other_time_of_day": False,
    }
    assert RetryPolicy.parse(policy.to_json()) == policy
    assert RetryPolicy.parse({}) == POLICY


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "object of causes"),
        ({"bussy": {}}, "no such cause"),
        ({"busy": 3}, "expected an object"),
        ({"busy": {"attempts": 0}}, "busy, attempts"),
        ({"busy": {"attempts": "many"}}, "busy, attempts"),
        ({"busy": {"delays": []}}, "busy, delays"),
        ({"busy": {"delays": ["soon"]}}, "30m"),
        ({"busy": {"delays": ["0s"]}}, "between"),
        ({"busy": {"delays": ["999d"]}}, "between"),
        ({"busy": {"delays": [60]}}, "not a delay"),
        ({"busy": {"jitter": 2}}, "busy, jitter"),
        ({"busy": {"attemps": 3}}, "attemps"),
        ({"opted_out": {"attempts": 3}}, "always final"),
    ],
)
def test_a_policy_that_cannot_be_understood_is_refused_with_the_row(value: object, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        RetryPolicy.parse(value)


def test_all_that_is_wrong_with_a_policy_is_said_at_once() -> None:
    with pytest.raises(PolicyError) as refusal:
        RetryPolicy.parse({"bussy": {}, "busy": {"attempts": 0, "jitter": 9}})
    assert len(str(refusal.value).splitlines()) == 3


@pytest.mark.parametrize(("seconds", "words"), [(90, "90s"), (1800, "30m"), (14400, "4h"), (86400, "1d")])
def test_delays_are_said_in_their_largest_unit(seconds: int, words: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == words


def endings(causes: Mapping[Cause, int], minutes_ago: float = 1) -> list[RecentEnding]:
    at = NOW - timedelta(minutes=minutes_ago)
    return [RecentEnding(cause, at, f"words of {cause.value}") for cause, count in causes.items() for _ in range(count)]


@pytest.mark.parametrize("cause", sorted(THRESHOLDS))
def test_too_much_of_one_cause_pauses_the_campaign_with_the_cause_in_words(cause: Cause) -> None:
    enough = THRESHOLDS[cause].endings
    words = breaker(endings({cause: enough}), NOW)
    assert words is not None
    assert f"words of {cause.value}" in words
    assert breaker(endings({cause: enough - 1}), NOW) is None


def test_failures_among_many_good_calls_or_long_ago_pause_nothing() -> None:
    few = {Failure.CARRIER: 8, Outcome.COMPLETED: 9}
    assert breaker(endings(few), NOW) is None
    assert breaker(endings({Failure.CARRIER: 8}, minutes_ago=11), NOW) is None


def test_people_who_do_not_answer_pause_nothing() -> None:
    quiet = {Outcome.NO_ANSWER: 500, Outcome.BUSY: 500, Outcome.VOICEMAIL: 500, Outcome.OPTED_OUT: 50}
    assert breaker(endings(quiet), NOW) is None
