"""The do-not-call list on a real database: numbers in any form, imports of any length, and what it means for dials."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from sqlalchemy import select

from tests.campaign_desk import Desk
from voiceagents import phone
from voiceagents.calls.history import Claim
from voiceagents.calls.states import Outcome
from voiceagents.campaigns import do_not_call
from voiceagents.campaigns.do_not_call_import import Imported, import_table
from voiceagents.campaigns.models import DoNotCall
from voiceagents.campaigns.numbers import UnknownRegion
from voiceagents.campaigns.tabular import Pasted, TableError
from voiceagents.db import Database

pytestmark = pytest.mark.stack

ANA = "+12025550143"


@pytest_asyncio.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    at = Desk(database)
    await at.set_trunk()
    yield at
    at.close()


async def add(desk: Desk, number: str, **fields: object) -> bool:
    async with desk.database.transaction() as session:
        campaign_id, reason = fields.get("campaign_id"), fields.get("reason", "")
        return await do_not_call.add(session, number, campaign_id, str(reason))  # type: ignore[arg-type]


async def listed(database: Database) -> dict[str, str]:
    async with database.transaction() as session:
        rows = await session.scalars(select(DoNotCall).where(DoNotCall.removed_at.is_(None)))
        return {row.phone: row.reason for row in rows}


async def test_a_number_stands_once_on_each_list(desk: Desk) -> None:
    campaign_id = await desk.campaign()
    assert await add(desk, ANA, reason="by mail")
    assert not await add(desk, ANA, reason="again")
    assert await add(desk, ANA, campaign_id=campaign_id)
    assert not await add(desk, ANA, campaign_id=campaign_id)
    async with desk.database.transaction() as session:
        entries = await do_not_call.check(session, ANA)
        assert [(entry.campaign_id, entry.reason) for entry in entries] == [(None, "by mail"), (campaign_id, "")]
        assert await do_not_call.count(session) == 2


async def test_many_who_add_a_number_at_once_add_it_once(desk: Desk) -> None:
    assert sorted(await asyncio.gather(*(add(desk, ANA) for _ in range(8)))) == [False] * 7 + [True]


async def test_a_removed_number_keeps_its_row_with_the_reason_and_may_be_listed_again(desk: Desk) -> None:
    await add(desk, ANA, reason="by mail")
    async with desk.database.transaction() as session:
        assert await do_not_call.remove(session, ANA, None, "asked to be called")
        assert not await do_not_call.remove(session, ANA, None, "twice")
        assert await do_not_call.check(session, ANA) == []
        (entry,) = await do_not_call.entries(session, removed=True)
        assert (entry.reason, entry.removed_because) == ("by mail", "asked to be called")
    assert await add(desk, ANA)


async def test_a_list_of_a_campaign_is_nobody_elses(desk: Desk) -> None:
    mine, other = await desk.campaign([ANA]), await desk.campaign([ANA])
    await add(desk, ANA, campaign_id=mine, reason="not this product")
    assert await desk.feed(mine) == []
    (contact,) = await desk.contacts(mine)
    assert "this campaign's do-not-call list (not this product)" in (await desk.why(contact))[-1].words
    assert len(await desk.feed(other)) == 1


async def test_a_number_written_otherwise_is_skipped_in_every_campaign_before_its_retry(desk: Desk) -> None:  # TC-058
    first, second = await desk.campaign([ANA]), await desk.campaign([ANA], state="paused")
    await desk.dialled(await desk.feed(first), Outcome.BUSY)
    await add(desk, phone.normalize("(202) 555-0143", "US"), reason="asked not to be called")
    desk.later(hours=2)
    await desk.resume(second)
    for campaign_id in (first, second):
        assert await desk.feed(campaign_id) == []
        (contact,) = await desk.contacts(campaign_id)
        last = (await desk.why(contact))[-1]
        assert (last.verdict.value, last.rule) == ("skip", "number_may_be_called")
        assert "asked not to be called" in last.words
        assert contact.state.value == "skipped"


async def test_a_number_listed_after_it_was_picked_is_not_dialled(desk: Desk) -> None:
    campaign_id = await desk.campaign([ANA])
    (call_id,) = await desk.feed(campaign_id)
    await add(desk, ANA)
    assert await desk.claim(call_id) is not Claim.GRANTED
    await desk.settle()
    assert await desk.states(campaign_id) == {"skipped": 1}


async def bring(database: Database, text: str, **options: object) -> Imported:
    return await import_table(database, Pasted(text), **options)  # type: ignore[arg-type]


async def test_an_import_finds_the_column_and_says_what_it_refused(database: Database) -> None:
    text = (
        "customer;telephone;reason\n"
        "1;(202) 555-0143;by mail\n"
        "2;+1 202 555 0144;\n"
        "3;12;\n"
        "4;202.555.0143;again\n"
        "5;2.02555E+09;\n"
    )
    done = await bring(database, text, region="US", reason="old list")
    assert (done.rows, done.added, done.known, done.refused) == (5, 2, 1, 2)
    assert [(refused.line, refused.text) for refused in done.refusals] == [(4, "12"), (6, "2.02555E+09")]
    assert "scientific notation" in done.refusals[1].reason
    assert (await listed(database)).keys() == {ANA, "+12025550144"}
    assert (await listed(database))["+12025550144"] == "old list"
    again = await bring(database, text, region="US")
    assert (again.added, again.known) == (0, 3)


async def test_numbers_alone_are_a_list_too(database: Database) -> None:
    done = await bring(database, "+12025550143, +12025550144\n+12025550145")
    assert done.added == 3


async def test_a_column_can_be_named_and_one_that_is_missing_is_said(database: Database) -> None:
    text = "name,mobile,office\nAna,+12025550143,+12025550144\n"
    await bring(database, text, column="Office")
    assert (await listed(database)).keys() == {"+12025550144"}
    with pytest.raises(TableError, match="there are: name, mobile, office"):
        await bring(database, text, column="home")


@pytest.mark.parametrize("text", ["", "name,age\nAna,7\n"])
async def test_a_file_without_numbers_is_refused(database: Database, text: str) -> None:
    with pytest.raises(TableError):
        await bring(database, text)
    assert await listed(database) == {}


async def test_a_region_that_does_not_exist_is_refused(database: Database) -> None:
    with pytest.raises(UnknownRegion):
        await bring(database, "+12025550143\n", region="Atlantis")


async def test_a_list_of_a_hundred_thousand_is_imported_in_batches_and_tells_how_far_it_is(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "list.csv"
    numbers = io.StringIO()
    numbers.write("phone\n")
    numbers.writelines(f"+1212{200 + n // 10_000:03}{n % 10_000:04}\n" for n in range(100_000))
    file.write_text(numbers.getvalue())
    shares: list[float] = []
    done = await import_table(database, file, progress=shares.append)
    assert (done.rows, done.added) == (100_000, 100_000 - done.refused)
    assert len(shares) > 10
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
