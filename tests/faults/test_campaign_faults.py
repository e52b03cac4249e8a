"""Does a campaign keep its three promises while its processes are killed under it? One seed; `python -m tests.faults`
runs many."""

from pathlib import Path

import pytest

from tests.faults.campaign import HEADER, VICTIMS, plan, run

pytestmark = [pytest.mark.faults, pytest.mark.phones]


@pytest.mark.timeout(900)
async def test_a_short_campaign_outlives_the_death_of_each_of_its_processes(tmp_path: Path) -> None:
    await survives(11, tmp_path, contacts=40, seconds=12, expires_in=8)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_campaign_outlives_the_death_of_each_of_its_processes_twice(tmp_path: Path) -> None:
    await survives(12, tmp_path, contacts=150, kills=2 * len(VICTIMS), seconds=40)


async def survives(seed: int, folder: Path, *, contacts: int, kills: int = len(VICTIMS), **timing: float) -> None:
    found = await run(seed, folder, contacts=contacts, kills=kills, **timing)
    print(f"\n{HEADER}\n{found.row()}")
    assert found.wrong == []
    # Of those who are put on the do-not-call list meanwhile, some are called before.
    assert found.dials >= contacts - contacts // 12
    assert {kill.victim for kill in found.kills} == set(VICTIMS)


def test_a_seed_says_what_is_killed_when_and_kills_every_kind_in_turn() -> None:
    assert plan(3, 8, 30) == plan(3, 8, 30) != plan(4, 8, 30)
    kills = plan(3, 2 * len(VICTIMS), 30)
    assert sorted(kill.victim for kill in kills) == sorted(VICTIMS * 2)
    assert [kill.at for kill in kills] == sorted(kill.at for kill in kills)
    assert all(1 <= kill.at <= 30 for kill in kills)
