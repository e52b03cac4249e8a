"""Does a campaign keep its three promises while its processes are killed under it? One seed; `python -m tests.faults`
runs many."""

from pathlib import Path

import pytest

from tests.faults.campaign import HEADER, VICTIMS, plan, run

# Minutes long, and on a busy machine not yet without losses: `make test-slow` and `make faults` run it.
pytestmark = [pytest.mark.faults, pytest.mark.slow]


@pytest.mark.timeout(300)
async def test_a_campaign_outlives_the_death_of_each_of_its_processes(tmp_path: Path) -> None:
    found = await run(11, tmp_path, contacts=60, kills=len(VICTIMS), seconds=15)
    print(f"\n{HEADER}\n{found.row()}")
    assert found.wrong == []
    assert found.dials >= 60 - 60 // 12
    assert {kill.victim for kill in found.kills} == set(VICTIMS)


def test_a_seed_says_what_is_killed_when_and_kills_every_kind_in_turn() -> None:
    assert plan(3, 8, 30) == plan(3, 8, 30) != plan(4, 8, 30)
    kills = plan(3, 12, 30)
    assert sorted(kill.victim for kill in kills) == sorted(VICTIMS * 2)
    assert [kill.at for kill in kills] == sorted(kill.at for kill in kills)
    assert all(1 <= kill.at <= 30 for kill in kills)
