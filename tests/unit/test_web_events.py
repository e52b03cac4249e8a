"""What does somebody hear who is slower than what happens?"""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.web.events import MISSED, Event, Subscriber

pytestmark = pytest.mark.unit

KINDS = frozenset({"call", "turn", MISSED})
EVENTS = st.builds(Event, st.sampled_from(["call", "turn", "campaign", MISSED]), st.sampled_from(["1", "2", "3"]))


async def taken(subscriber: Subscriber) -> list[Event]:
    """All that waits for it."""
    heard: list[Event] = []
    while True:
        following = asyncio.ensure_future(subscriber.next())
        await asyncio.sleep(0)
        if not following.done():
            following.cancel()
            return heard
        heard.append(following.result())


@given(st.lists(EVENTS, max_size=20))
def test_everything_that_was_asked_for_is_heard_once_in_the_order_of_its_first(told: list[Event]) -> None:
    async def hear() -> list[Event]:
        subscriber = Subscriber(KINDS)
        for event in told:
            subscriber.put(event)
        return await taken(subscriber)

    assert asyncio.run(hear()) == list(dict.fromkeys(event for event in told if event.kind in KINDS))


async def test_what_was_taken_is_heard_again_when_it_happens_again() -> None:
    subscriber, event = Subscriber(KINDS), Event("call", "1")
    subscriber.put(event)
    assert await subscriber.next() == event
    subscriber.put(event)
    assert await taken(subscriber) == [event]


async def test_who_is_far_behind_is_told_to_read_everything_again_and_costs_no_memory() -> None:
    subscriber = Subscriber(KINDS)
    for number in range(5000):
        subscriber.put(Event("call", str(number)))
    heard = await taken(subscriber)
    assert len(heard) <= 1000
    assert heard[0].kind == MISSED
    assert heard[-1] == Event("call", "4999")
