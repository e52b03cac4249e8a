"""Do limits hold, and does nobody starve? Places, rests, shares of a trunk, and turns of a second."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceagents.campaigns import pacing
from voiceagents.campaigns.pacing import Claim, Hold, Pace, Place, Room, Turns

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 10, 15, 0, tzinfo=UTC)


def room(*places: Place, holds: tuple[Hold, ...] = ()) -> Room:
    return pacing.room(places, holds, NOW)


# Places


@pytest.mark.parametrize(
    ("limit", "used", "free"), [(5, 2, 3), (5, 5, 0), (5, 9, 0), (0, 0, 0), (None, 1_000, None), (1, 0, 1)]
)
def test_a_place_has_free_what_its_limit_leaves(limit: int | None, used: int, free: int | None) -> None:
    assert Place("any", limit, used).free == free


def test_the_tightest_place_decides_and_is_named() -> None:
    found = room(Place("campaign", 10, 4), Place("trunk", 5, 3), Place("installation", None, 900))
    assert (found.calls, found.blocked_by) == (2, "trunk: 3 of 5 in use")


def test_a_place_that_is_full_leaves_no_room_whatever_the_others_leave() -> None:
    found = room(Place("campaign", 10, 4), Place("trunk", 5, 5))
    assert (found.calls, found.blocked_by, found.until) == (0, "trunk: 5 of 5 in use", None)


def test_without_any_limit_there_is_room() -> None:
    assert room(Place("campaign", None, 7)).calls > 100


def test_a_rest_leaves_no_room_until_it_is_over() -> None:
    rest = Hold("the trunk", NOW + timedelta(seconds=8), "503 Service Unavailable")
    found = room(Place("trunk", 5, 0), holds=(rest,))
    assert (found.calls, found.until) == (0, rest.until)
    assert found.blocked_by == "the trunk rests: 503 Service Unavailable"


@pytest.mark.parametrize("until", [None, NOW - timedelta(seconds=1), NOW])
def test_a_rest_that_is_over_changes_nothing(until: datetime | None) -> None:
    assert room(Place("trunk", 5, 0), holds=(Hold("the trunk", until, "503"),)).calls == 5


@given(st.lists(st.tuples(st.none() | st.integers(0, 100), st.integers(0, 200))))
def test_no_place_is_ever_used_beyond_its_limit(places: list[tuple[int | None, int]]) -> None:
    found = room(*(Place(str(n), limit, used) for n, (limit, used) in enumerate(places)))
    assert found.calls >= 0
    assert all(used + found.calls <= max(limit, used) for limit, used in places if limit is not None)


def test_rests_double_and_end_somewhere() -> None:
    rests, seconds = [], 0.0
    for _ in range(9):
        seconds = pacing.next_hold(seconds)
        rests.append(seconds)
    assert rests == [2, 4, 8, 16, 32, 64, 120, 120, 120]


# Places of a trunk that several campaigns want

CLAIMS = st.builds(Claim, st.integers(1, 10), st.integers(0, 40), st.floats(0, 1_000))


@pytest.mark.parametrize(
    ("mine", "others", "free", "share"),
    [
        pytest.param(Claim(5, 0), [], 10, 10, id="alone, everything"),
        pytest.param(Claim(5, 0), [Claim(5, 0)], 10, 5, id="two alike, half each"),
        pytest.param(Claim(9, 0), [Claim(1, 0)], 10, 9, id="by weight"),
        pytest.param(Claim(1, 0), [Claim(9, 0)], 10, 1, id="the light one, too"),
        pytest.param(Claim(5, 5), [Claim(5, 0)], 5, 0, id="who has its half leaves the rest to the other"),
        pytest.param(Claim(5, 0), [Claim(5, 10)], 1, 1, id="what comes free is owed to who has too little"),
        pytest.param(Claim(10, 9), [Claim(1, 0)], 1, 0, id="the light one is owed the last place"),
        pytest.param(Claim(5, 0), [Claim(5, 2)], 0, 0, id="nothing free, nothing to share"),
        pytest.param(Claim(5, 0, 8.0), [Claim(5, 0, 7.8)], 1, 0, id="one place for two: to who was granted fewer"),
    ],
)
def test_places_of_a_trunk_are_shared_by_weight(mine: Claim, others: list[Claim], free: int, share: int) -> None:
    assert pacing.fair_places(mine, others, free) == share


@given(CLAIMS, st.lists(CLAIMS, max_size=8), st.integers(0, 60))
def test_a_share_is_never_more_than_what_is_free(mine: Claim, others: list[Claim], free: int) -> None:
    assert 0 <= pacing.fair_places(mine, others, free) <= free


@given(st.lists(CLAIMS, min_size=1, max_size=8), st.integers(1, 60))
def test_a_free_place_always_finds_somebody_who_may_take_it(claims: list[Claim], free: int) -> None:
    shares = [pacing.fair_places(one, claims[:i] + claims[i + 1 :], free) for i, one in enumerate(claims)]
    assert sum(shares) >= free, "places that nobody may take"


@given(st.lists(st.integers(1, 10), min_size=2, max_size=6), st.integers(1, 40), st.integers(0, 5))
def test_nobody_starves_on_a_busy_trunk(weights: list[int], total: int, seed: int) -> None:
    """Everybody always wants more and asks in the same order; calls end in turn."""
    running, granted = [0] * len(weights), [0] * len(weights)
    running[0] = total  # one campaign had the trunk for itself before the others came
    ended = seed
    for _ in range(60 + total * 4):
        busy = [i for i, calls in enumerate(running) if calls]
        ended = (ended + 1) % len(busy)
        running[busy[ended]] -= 1
        for i in range(len(weights)):
            claims = [Claim(w, running[j], granted[j] / w) for j, w in enumerate(weights)]
            taken = pacing.fair_places(claims.pop(i), claims, total - sum(running))
            assert taken >= 0
            running[i] += taken
            granted[i] += taken
        assert sum(running) == total, "a place stayed free that somebody wanted"
    assert all(granted), (weights, granted)
    if total >= sum(weights):
        for calls, weight in zip(running, weights, strict=True):
            assert calls == pytest.approx(total * weight / sum(weights), abs=2), (weights, running)


# Turns


def test_the_gap_is_a_little_longer_than_the_limit_asks() -> None:
    for rate in (0.1, 0.5, 1, 2, 5, 10, 50):
        assert 1 / rate < pacing.gap(rate) <= 1.26 / rate, rate
        # Even when the first of a second's calls came late and the one after the last came early.
        assert max(1, rate) * pacing.gap(rate) >= 1 + pacing.JITTER - 1e-9, rate


@pytest.mark.parametrize(
    ("paces", "most", "calls"),
    [
        pytest.param([], 7, 7, id="no limit"),
        pytest.param([Pace(None, 99, 99)], 7, 7, id="a limit that does not apply"),
        pytest.param([Pace(1)], 7, 2, id="one a second: now, and one whose turn comes within the lead"),
        pytest.param([Pace(1, waiting=1)], 7, 1, id="one is on its way"),
        pytest.param([Pace(1, waiting=2)], 7, 0, id="enough are on their way"),
        pytest.param([Pace(1, free_in=1.4)], 7, 1, id="the next turn is within the lead"),
        pytest.param([Pace(1, free_in=1.6)], 7, 0, id="the next turn is beyond the lead"),
        pytest.param([Pace(1, free_in=-3600)], 7, 2, id="turns that nobody took are not saved up"),
        pytest.param([Pace(0.1)], 7, 1, id="one in ten seconds"),
        pytest.param([Pace(100), Pace(1)], 7, 2, id="the slower limit decides"),
        pytest.param([Pace(50)], 1_000, 61, id="fifty a second"),
    ],
)
def test_calls_set_out_when_their_turn_is_near(paces: list[Pace], most: int, calls: int) -> None:
    assert pacing.turns(most, paces).calls == calls


def test_it_says_when_one_more_call_may_set_out() -> None:
    assert pacing.turns(5, [Pace(1, free_in=3.0)]) == Turns(0, pytest.approx(3.0 - pacing.LEAD))
    assert pacing.turns(5, [Pace(1, free_in=0)]) == Turns(2, pytest.approx(2 * pacing.gap(1) - pacing.LEAD))
    assert pacing.turns(1, [Pace(100)]) == Turns(1, None)


PACES = st.builds(
    Pace,
    st.none() | st.floats(0.05, 200),
    st.floats(-100, 20),
    st.integers(0, 60),
)


@given(st.integers(0, 300), st.lists(PACES, max_size=3))
def test_no_call_sets_out_whose_turn_is_beyond_the_lead(most: int, paces: list[Pace]) -> None:
    found = pacing.turns(most, paces)
    assert 0 <= found.calls <= most
    for pace in paces:
        if pace.per_second and found.calls:
            last = max(0.0, pace.free_in) + (pace.waiting + found.calls - 1) * pacing.gap(pace.per_second)
            assert last <= pacing.LEAD + 1e-3
    assert found.more_in is None or found.more_in > 0


@settings(deadline=None, max_examples=40)
@given(st.floats(0.05, 60), st.integers(0, 3))
def test_a_limit_is_used_up_in_the_long_run_and_never_exceeded(rate: float, slow_agents: int) -> None:
    """A minute of feeding whenever one more may set out; agents take their turns as they get ready."""
    clock, free_at, feed_at = 0.0, 0.0, 0.0
    on_their_way: list[float] = []  # when each is ready to take its turn
    dials: list[float] = []
    while clock < 60:
        ready = [at for at in on_their_way if at <= clock]
        for at in ready:
            on_their_way.remove(at)
            moment = max(clock, free_at)
            free_at = moment + pacing.gap(rate)
            dials.append(moment)
        if clock >= feed_at:
            found = pacing.turns(1_000, [Pace(rate, free_at - clock, len(on_their_way))])
            on_their_way += [clock + 0.3 * slow_agents] * found.calls
            feed_at = clock + (found.more_in or 0.0)
        clock = min([*on_their_way, max(feed_at, clock + 0.001)], default=clock + 0.001)
    most = math.ceil(rate)
    assert all(b - a >= 1.0 for a, b in zip(dials, dials[most:], strict=False)), "more than the limit"
    assert len(dials) >= 60 / pacing.gap(rate) * 0.8 - 2, "the limit was not used"


# Turns of a trunk that several campaigns want


@given(CLAIMS, st.lists(CLAIMS, max_size=6), st.integers(0, 100))
def test_nobody_takes_more_turns_than_there_are(mine: Claim, others: list[Claim], free: int) -> None:
    assert 0 <= pacing.fair_turns(mine, others, free) <= free


def test_who_waits_alone_takes_every_turn() -> None:
    assert pacing.fair_turns(Claim(1, 0, 500), [], 7) == 7


@given(st.lists(CLAIMS, min_size=1, max_size=6))
def test_a_free_turn_always_finds_somebody_who_may_take_it(claims: list[Claim]) -> None:
    assert any(pacing.fair_turns(one, [*claims[:i], *claims[i + 1 :]], 1) == 1 for i, one in enumerate(claims)), (
        "a turn that nobody may take"
    )


@given(st.lists(st.integers(1, 10), min_size=2, max_size=5), st.integers(1, 4))
def test_turns_go_by_weight_whoever_asks_first(weights: list[int], at_once: int) -> None:
    served, had = [0.0] * len(weights), [0] * len(weights)
    while sum(had) < 600:
        free = at_once
        for i, weight in enumerate(weights):  # always in the same order
            others = [Claim(weights[j], 0, served[j]) for j in range(len(weights)) if j != i]
            taken = pacing.fair_turns(Claim(weight, 0, served[i]), others, free)
            free -= taken
            had[i] += taken
            served[i] += taken / weight
    for i, weight in enumerate(weights):
        assert had[i] == pytest.approx(sum(had) * weight / sum(weights), abs=12), (weights, had)


def test_who_joins_late_starts_level_and_does_not_catch_up() -> None:
    assert pacing.level(3.0, [Claim(5, 0, 100.0), Claim(1, 0, 90.0)]) == 90.0
    assert pacing.level(95.0, [Claim(5, 0, 100.0), Claim(1, 0, 90.0)]) == 95.0
    assert pacing.level(3.0, []) == 3.0
