"""What sources said before: how long it holds, what makes room, and that threads do not disturb each other."""

import threading

import pytest

from voiceagents.assistants import memory
from voiceagents.assistants.memory import Memory

pytestmark = pytest.mark.unit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(memory.time, "monotonic", lambda: now[0])
    return now


def test_an_answer_holds_for_a_time_and_says_its_age(clock: list[float]) -> None:
    said: Memory[str] = Memory()
    said.keep("who", "Ann")
    clock[0] += 60
    kept = said.recall("who", 60)
    assert kept is not None
    assert (kept.value, kept.age) == ("Ann", 60)
    clock[0] += 0.1
    assert said.recall("who", 60) is None
    assert said.recall("who") is not None
    clock[0] += memory.KEPT
    assert said.recall("who") is None
    assert said.recall("somebody else") is None


def test_that_there_is_nothing_is_an_answer_too(clock: list[float]) -> None:
    said: Memory[str | None] = Memory()
    said.keep("who", None)
    kept = said.recall("who", 1)
    assert kept is not None
    assert kept.value is None


def test_what_was_not_asked_for_longest_makes_room(clock: list[float]) -> None:
    said: Memory[int] = Memory(most=3)
    for number in range(3):
        said.keep(number, number)
    said.recall(0)
    said.keep(3, 3)
    assert [said.recall(number) is not None for number in range(4)] == [True, False, True, True]


def test_many_threads_use_it_at_once() -> None:
    said: Memory[int] = Memory(most=50)

    def work(seed: int) -> None:
        for number in range(2000):
            said.keep((seed * number) % 97, number)
            said.recall(number % 97)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(said.recall(number) is not None for number in range(97)) == 50
