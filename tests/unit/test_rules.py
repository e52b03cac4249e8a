"""May we dial this contact now? Each rule alone, their order, and what every decision keeps."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceagents.calls.states import Outcome
from voiceagents.campaigns.rules import (
    LOOK_AGAIN,
    RULES,
    CampaignFacts,
    ContactFacts,
    Decision,
    DoNotCallEntry,
    NumberFacts,
    decide,
)
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict
from voiceagents.campaigns.zones import zones_of
from voiceagents.phone import normalize
from voiceagents.windows import CallingWindow

pytestmark = pytest.mark.unit


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NOW = utc("2026-10-06T15:00")  # Tuesday, 11:00 in New York
TOMORROW_NINE = utc("2026-10-07T13:00")
HOUR = timedelta(hours=1)

CAMPAIGN = CampaignFacts(CampaignState.RUNNING, CallingWindow.parse("mon-fri 09:00-17:00"), "America/New_York")
CONTACT = ContactFacts("+12025550143")
NUMBER = NumberFacts()


def asked(
    campaign: CampaignFacts = CAMPAIGN,
    contact: ContactFacts = CONTACT,
    number: NumberFacts = NUMBER,
    do_not_call: tuple[DoNotCallEntry, ...] = (),
    now: datetime = NOW,
) -> Decision:
    return decide(campaign, contact, number, do_not_call, now)


def outcome_of(decision: Decision) -> tuple[Verdict, str, datetime | None]:
    return decision.verdict, decision.rule, decision.next_at


def test_a_contact_is_dialled_when_no_rule_objects_and_the_record_says_by_whose_clock() -> None:
    decision = asked()
    assert outcome_of(decision) == (Verdict.DIAL, "all", None)
    assert decision.inputs["zone_source"] == "number"
    assert decision.inputs["local_time"] == {"America/New_York": "Tue 2026-10-06 11:00"}


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        (CampaignState.DRAFT, Verdict.HOLD),
        (CampaignState.SCHEDULED, Verdict.HOLD),
        (CampaignState.PAUSED, Verdict.HOLD),
        (CampaignState.COMPLETED, Verdict.SKIP),
        (CampaignState.CANCELLED, Verdict.SKIP),
        (CampaignState.ARCHIVED, Verdict.SKIP),
    ],
)
def test_only_a_running_campaign_dials(state: CampaignState, verdict: Verdict) -> None:
    assert outcome_of(asked(replace(CAMPAIGN, state=state)))[:2] == (verdict, "campaign_is_running")


def test_a_scheduled_campaign_says_when_and_a_paused_one_why() -> None:
    scheduled = asked(replace(CAMPAIGN, state=CampaignState.SCHEDULED, starts_at=NOW + HOUR))
    assert scheduled.next_at == NOW + HOUR
    paused = asked(replace(CAMPAIGN, state=CampaignState.PAUSED, pause_cause="the carrier refused 8 of 9 calls"))
    assert "8 of 9" in paused.words


@pytest.mark.parametrize(("expires_in", "verdict"), [(HOUR, Verdict.DIAL), (timedelta(), Verdict.SKIP)])
def test_an_expired_campaign_dials_nobody(expires_in: timedelta, verdict: Verdict) -> None:
    assert asked(replace(CAMPAIGN, expires_at=NOW + expires_in)).verdict is verdict


@pytest.mark.parametrize("of_campaign", [False, True])
def test_a_number_on_a_do_not_call_list_is_skipped_with_the_reason(of_campaign: bool) -> None:
    """TC-058."""
    number = normalize("(202) 555-0143", "US")
    decision = asked(
        contact=replace(CONTACT, phone=number, attempts=1, last_outcome=Outcome.NO_ANSWER),
        do_not_call=(DoNotCallEntry("asked by mail", of_campaign, NOW),),
    )
    assert outcome_of(decision) == (Verdict.SKIP, "number_may_be_called", None)
    assert "asked by mail" in decision.words
    assert ("this campaign's" in decision.words) is of_campaign


@pytest.mark.parametrize("state", [ContactState.DONE, ContactState.SKIPPED, ContactState.CANCELLED])
def test_a_finished_contact_is_skipped(state: ContactState) -> None:
    assert outcome_of(asked(contact=replace(CONTACT, state=state))) == (Verdict.SKIP, "contact_is_not_finished", None)


@pytest.mark.parametrize("last", [Outcome.OPTED_OUT, Outcome.WRONG_NUMBER, Outcome.INVALID_NUMBER])
def test_who_opted_out_is_not_dialled_even_when_set_back_to_waiting(last: Outcome) -> None:
    """TC-041, TC-058."""
    assert asked(contact=replace(CONTACT, last_outcome=last)).verdict is Verdict.SKIP


def test_a_contact_under_decision_is_asked_again_at_the_claim() -> None:
    assert asked(contact=replace(CONTACT, state=ContactState.CALLING)).verdict is Verdict.DIAL


@pytest.mark.parametrize(("made", "verdict"), [(2, Verdict.DIAL), (3, Verdict.SKIP), (4, Verdict.SKIP)])
def test_attempts_are_limited_for_the_contact_and_for_its_number_everywhere(made: int, verdict: Verdict) -> None:
    assert asked(replace(CAMPAIGN, attempts=3), replace(CONTACT, attempts=made)).verdict is verdict
    limited = replace(CAMPAIGN, attempts_per_number=3)
    assert asked(limited, number=NumberFacts(attempts_total=made)).verdict is verdict


def test_a_callback_that_was_asked_for_goes_before_attempts_and_gap_but_not_before_the_caps_on_the_number() -> None:
    campaign = replace(CAMPAIGN, attempts=1, minimum_gap=24 * HOUR, attempts_per_day=2)
    contact = replace(CONTACT, attempts=1, last_outcome=Outcome.CALLBACK_REQUESTED, next_at=NOW)
    recently = NumberFacts(attempts_today=1, last_attempt_at=NOW - HOUR)
    assert asked(campaign, contact, recently).verdict is Verdict.DIAL
    capped = asked(campaign, contact, replace(recently, attempts_today=2))
    assert outcome_of(capped) == (Verdict.DEFER, "number_was_not_tried_enough_today", TOMORROW_NINE)


def test_a_contact_waits_for_its_time_and_the_time_lies_in_the_window() -> None:
    decision = asked(contact=replace(CONTACT, next_at=utc("2026-10-06T23:00")))
    assert outcome_of(decision) == (Verdict.DEFER, "contact_is_due", TOMORROW_NINE)
    assert asked(contact=replace(CONTACT, next_at=NOW)).verdict is Verdict.DIAL


def test_a_number_in_a_call_of_another_campaign_is_not_rung_at_the_same_time() -> None:
    """TC-052."""
    decision = asked(number=NumberFacts(calls_underway=1))
    assert outcome_of(decision) == (Verdict.DEFER, "number_is_in_no_other_call", NOW + LOOK_AGAIN)


def test_between_two_attempts_lies_the_minimum_gap() -> None:
    campaign = replace(CAMPAIGN, minimum_gap=HOUR)
    tried = NumberFacts(last_attempt_at=NOW - HOUR / 2)
    decision = asked(campaign, number=tried)
    assert outcome_of(decision) == (Verdict.DEFER, "minimum_gap_has_passed", NOW + HOUR / 2)
    assert asked(campaign, number=tried, now=NOW + HOUR / 2).verdict is Verdict.DIAL


def test_a_number_that_was_tried_enough_today_waits_for_its_own_tomorrow() -> None:
    decision = asked(replace(CAMPAIGN, attempts_per_day=2), number=NumberFacts(attempts_today=2))
    assert outcome_of(decision) == (Verdict.DEFER, "number_was_not_tried_enough_today", TOMORROW_NINE)


def test_outside_the_window_a_contact_waits_for_the_next_opening_by_its_own_clock() -> None:
    """TC-088."""
    in_london = asked(contact=replace(CONTACT, time_zone="Europe/London"), now=utc("2026-10-06T17:00"))
    assert outcome_of(in_london) == (Verdict.DEFER, "window_is_open", utc("2026-10-07T08:00"))
    assert in_london.inputs["zone_source"] == "contact"
    assert "Europe/London" in in_london.words


@pytest.mark.parametrize("stored", ["", "daily 09:00-09:00", {"mon": [["25:99", "17:00"]]}, {}])
def test_a_malformed_window_holds_the_campaign_and_says_why(stored: object) -> None:
    """TC-092."""
    decision = asked(replace(CAMPAIGN, window=CallingWindow.stored(stored)))
    assert outcome_of(decision) == (Verdict.HOLD, "window_can_be_read", None)
    assert "cannot be understood" in decision.words


def test_without_any_known_zone_the_campaign_is_held() -> None:
    decision = asked(replace(CAMPAIGN, time_zone="nowhere"), replace(CONTACT, phone="+15555555555"))
    assert outcome_of(decision) == (Verdict.HOLD, "window_can_be_read", None)


def test_a_contact_whose_possible_zones_share_no_open_hour_is_skipped_with_the_mend() -> None:
    decision = asked(contact=replace(CONTACT, phone="+79161234567"))
    assert outcome_of(decision) == (Verdict.SKIP, "window_is_open", None)
    assert "give the contact a time zone" in decision.words


def test_a_window_that_does_not_open_again_holds_the_campaign() -> None:
    window = CallingWindow.parse("mon-fri 09:00-17:00", ["2026-10-01/2027-09-01"])
    assert outcome_of(asked(replace(CAMPAIGN, window=window))) == (Verdict.HOLD, "window_is_open", None)


def test_a_campaign_at_its_daily_cap_is_held_until_its_own_tomorrow() -> None:
    decision = asked(replace(CAMPAIGN, daily_cap=100, dialled_today=100))
    assert outcome_of(decision) == (Verdict.HOLD, "campaign_is_below_its_daily_cap", TOMORROW_NINE)
    assert asked(replace(CAMPAIGN, daily_cap=100, dialled_today=99)).verdict is Verdict.DIAL


@pytest.mark.parametrize(
    ("due", "ticks"),
    [
        ("2026-03-08T07:30", ("2026-03-08T06:30", "2026-03-08T07:00")),
        ("2026-11-01T05:30", ("2026-11-01T04:30", "2026-11-01T05:29")),
    ],
)
def test_a_retry_at_a_change_of_the_clock_is_dialled_once(due: str, ticks: tuple[str, ...]) -> None:
    """TC-091."""
    campaign = replace(CAMPAIGN, window=CallingWindow.parse("daily 00:00-24:00"), minimum_gap=2 * HOUR)
    contact = replace(CONTACT, next_at=utc(due), attempts=1)
    for tick in ticks:
        assert outcome_of(asked(campaign, contact, now=utc(tick))) == (Verdict.DEFER, "contact_is_due", utc(due))
    assert asked(campaign, contact, now=utc(due)).verdict is Verdict.DIAL
    # In the repeated hour the gap, which is counted in real time, still stands in the way.
    again = asked(campaign, contact, NumberFacts(last_attempt_at=utc(due)), now=utc(due) + HOUR)
    assert outcome_of(again) == (Verdict.DEFER, "minimum_gap_has_passed", utc(due) + 2 * HOUR)


def test_every_rule_says_in_a_sentence_what_it_stands_for() -> None:
    for rule in RULES:
        assert rule.__doc__ is not None
        assert rule.__doc__.rstrip().endswith(".")


WINDOWS = [
    CallingWindow.parse("mon-fri 09:00-17:00", ["2026-11-27"], "US"),
    CallingWindow.parse("daily 00:00-24:00"),
    CallingWindow.parse("sat 22:00-02:00"),
    CallingWindow.stored("broken"),
]
INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 1), timezones=st.just(UTC))  # noqa: DTZ001
SMALL = st.integers(0, 4)
LIMITS = st.none() | st.integers(1, 4)
CAMPAIGNS = st.builds(
    CampaignFacts,
    state=st.sampled_from([CampaignState.RUNNING] * 5 + list(CampaignState)),
    window=st.sampled_from(WINDOWS),
    time_zone=st.sampled_from(["America/New_York", "Europe/Berlin", "nowhere"]),
    starts_at=st.none() | INSTANTS,
    expires_at=st.none() | INSTANTS,
    daily_cap=LIMITS,
    dialled_today=SMALL,
    attempts=LIMITS,
    attempts_per_day=LIMITS,
    attempts_per_number=LIMITS,
    minimum_gap=st.sampled_from([timedelta(), HOUR, 30 * HOUR]),
)
CONTACTS = st.builds(
    ContactFacts,
    phone=st.sampled_from(["+12025550143", "+61491570110", "+79161234567", "+15555555555", "+18005550100"]),
    time_zone=st.sampled_from([None, "", "Europe/London", "Mars/Base"]),
    state=st.sampled_from([ContactState.WAITING] * 5 + list(ContactState)),
    attempts=SMALL,
    next_at=st.none() | INSTANTS,
    last_outcome=st.none() | st.sampled_from(Outcome),
)
NUMBERS = st.builds(
    NumberFacts,
    calls_underway=st.sampled_from([0, 0, 0, 1]),
    attempts_today=SMALL,
    attempts_total=SMALL,
    last_attempt_at=st.none() | INSTANTS,
)
ENTRIES = st.lists(
    st.builds(DoNotCallEntry, st.sampled_from(["", "asked"]), st.booleans(), st.none() | INSTANTS), max_size=1
)


@given(campaign=CAMPAIGNS, contact=CONTACTS, number=NUMBERS, entries=ENTRIES, now=INSTANTS)
@settings(max_examples=300, deadline=None)
def test_every_decision_is_deterministic_and_complete(
    campaign: CampaignFacts, contact: ContactFacts, number: NumberFacts, entries: list[DoNotCallEntry], now: datetime
) -> None:
    decision = decide(campaign, contact, number, entries, now)
    assert decision == decide(campaign, contact, number, entries, now)
    json.dumps(decision.inputs)
    assert decision.words
    zones = zones_of(contact.time_zone, contact.phone, campaign.time_zone).zones
    match decision.verdict:
        case Verdict.DIAL:
            assert campaign.state is CampaignState.RUNNING
            assert not entries
            assert campaign.window.is_open(now, *zones)
            assert number.calls_underway == 0
            assert decision.next_at is None
        case Verdict.DEFER:
            assert decision.next_at is not None
            assert decision.next_at > now
            if campaign.window.next_opening(decision.next_at, *zones):
                assert campaign.window.is_open(decision.next_at, *zones)
        case Verdict.SKIP:
            assert decision.next_at is None
        case _:
            assert decision.verdict is Verdict.HOLD


@given(contact=CONTACTS, number=NUMBERS, now=INSTANTS)
@settings(max_examples=100, deadline=None)
def test_who_is_put_off_time_and_again_comes_to_an_end(
    contact: ContactFacts, number: NumberFacts, now: datetime
) -> None:
    """TC-091: no contact is put off for ever, each next time gets it further."""
    campaign = replace(CAMPAIGN, minimum_gap=HOUR, attempts_per_day=2)
    number = replace(number, calls_underway=0, last_attempt_at=None)
    for _ in range(6):
        decision = decide(campaign, contact, number, (), now)
        if decision.verdict is not Verdict.DEFER:
            return
        assert decision.next_at is not None
        if decision.rule == "number_was_not_tried_enough_today":
            number = replace(number, attempts_today=0)
        now = decision.next_at
    pytest.fail(f"still put off by {decision.rule}")


def test_no_pair_of_facts_lets_a_do_not_call_number_through() -> None:
    """TC-058."""
    entry = (DoNotCallEntry(),)
    for state, last, window in product(CampaignState, [None, *Outcome], WINDOWS):
        campaign = replace(CAMPAIGN, state=state, window=window)
        decision = decide(campaign, replace(CONTACT, last_outcome=last), NUMBER, entry, NOW)
        assert decision.verdict in (Verdict.SKIP, Verdict.HOLD)
