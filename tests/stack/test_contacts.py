"""What stands in a campaign's list after an import, and in a file after an export?"""

import asyncio
import csv
import io
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID, uuid4

import psycopg
import pytest
from openpyxl import Workbook
from sqlalchemy import select, update

from voiceagents.campaigns import contacts
from voiceagents.campaigns.contacts import export_contacts, import_contacts, preview
from voiceagents.campaigns.import_report import ImportReport, ImportStopped
from voiceagents.campaigns.lifecycle import WAKE_CHANNEL, CampaignProblem
from voiceagents.campaigns.mapping import NoPhoneColumn
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.numbers import UnknownRegion
from voiceagents.campaigns.states import CampaignState
from voiceagents.campaigns.tabular import Pasted, Source, TableError
from voiceagents.db import Database, DatabaseUnavailable

pytestmark = pytest.mark.stack

ANA, BEN, CY = "+12025550143", "+12025550144", "+12025550145"
LONDON = "+442079460123"

Listed = list[tuple[str, str]]


class Import(Protocol):
    def __call__(
        self, source: Source | str | bytes, region: str | None = None, **how: Any
    ) -> Awaitable[ImportReport]: ...


@pytest.fixture
async def campaign(database: Database) -> UUID:
    return await new_campaign(database)


async def new_campaign(database: Database, **values: Any) -> UUID:
    campaign = Campaign(id=uuid4(), name="Spring", **values)
    async with database.transaction() as session:
        session.add(campaign)
    return campaign.id


@pytest.fixture
def take(database: Database, campaign: UUID, tmp_path: Path) -> Import:
    """Imports a file, or the text of one, into the test's campaign."""

    def start(source: Source | str | bytes, region: str | None = None, **how: Any) -> Awaitable[ImportReport]:
        how = {"default_region": region, "error_file": tmp_path / "refused.csv", **how}
        if isinstance(source, str | bytes):
            source = io.BytesIO(source.encode() if isinstance(source, str) else source)
        return import_contacts(database, how.pop("campaign", campaign), source, **how)

    return start


async def rows_of(database: Database, campaign: UUID) -> list[Contact]:
    async with database.transaction() as session:
        found = await session.scalars(select(Contact).where(Contact.campaign_id == campaign).order_by(Contact.position))
        return list(found)


async def listed(database: Database, campaign: UUID) -> Listed:
    return [(contact.phone, contact.name) for contact in await rows_of(database, campaign)]


def counts(report: ImportReport) -> tuple[int, int, int, int, int]:
    """Read, added, repeated in the file, in the list already, refused."""
    assert report.adds_up
    return report.read, report.added, report.duplicates_in_file, report.duplicates_in_list, report.refused


@pytest.mark.parametrize(
    ("raw", "region", "people"),
    [
        pytest.param(
            b"\xef\xbb\xbfphone_number,name\r\n+12025550143,Ana\r\n+12025550144,Ben\r\n",
            None,
            [(ANA, "Ana"), (BEN, "Ben")],
            id="TC-001",
        ),
        pytest.param(
            b"phone_number,name\n12025550143.0,Ana\n442079460123.0,Ben",
            "US",
            [(ANA, "Ana"), (LONDON, "Ben")],
            id="TC-004",
        ),
        pytest.param(
            b"phone_number,name\n'+12025550143,Ana\n +12025550144,Ben\n\"'+12025550145\",Cy\n",
            None,
            [(ANA, "Ana"), (BEN, "Ben"), (CY, "Cy")],
            id="TC-005",
        ),
        pytest.param(
            b'phone_number;name;notes\r\n+442079460123;Zoe;"likes tea, coffee"\r\n+442079460124;Max;',
            None,
            [(LONDON, "Zoe"), ("+442079460124", "Max")],
            id="TC-007",
        ),
        pytest.param(
            b"phone_number,name\n+33199001234,Ren\xe9e\n+33199001235,Jos\xe9 \x96 VIP\n",
            None,
            [("+33199001234", "Renée"), ("+33199001235", "José – VIP")],
            id="TC-008",
        ),
        pytest.param(
            b'phone_number,name,notes\n+12025550143,"Ana\nLopez","call\nafter 5"\n+12025550144,Ben,',
            None,
            [(ANA, "Ana Lopez"), (BEN, "Ben")],
            id="TC-010",
        ),
        pytest.param(b"phone_number,name\n2079460123,Ana", "GB", [(LONDON, "Ana")], id="TC-014"),
        pytest.param(b"sep=;\r\nphone_number;name\r\n+12025550143;Ana", None, [(ANA, "Ana")], id="TC-016"),
        pytest.param(b"phone,name\n+0491570006,A\n0491570006,B\n+61491570110,C", "AU",
                     [("+61491570006", "B"), ("+61491570110", "C")], id="TC-025"),
    ],
)  # fmt: skip
async def test_lists_come_in_as_they_are_meant(
    take: Import, database: Database, campaign: UUID, raw: bytes, region: str | None, people: Listed
) -> None:
    report = await take(raw, region)
    assert report.added == len(people)
    assert await listed(database, campaign) == people


async def test_tc_002_numbers_that_lost_digits_are_refused_one_by_one(
    take: Import, database: Database, campaign: UUID
) -> None:
    report = await take("phone_number,name\n1.20256E+10,Ana\n4.4208E+11,Ben\n+12025550145,Cy")
    assert counts(report) == (3, 1, 0, 0, 2)
    assert [(row.line, row.value) for row in report.refused_rows] == [(2, "1.20256E+10"), (3, "4.4208E+11")]
    assert all("scientific notation" in row.reason for row in report.refused_rows)
    assert await listed(database, campaign) == [(CY, "Cy")]


async def test_tc_011_one_person_in_four_spellings_is_one_contact(
    take: Import, database: Database, campaign: UUID
) -> None:
    text = "phone,name\n+12025550143,Ana\n12025550143,Ana\n(202) 555-0143,Ana\n202.555.0143,Ana\n"
    assert counts(await take(text, "US")) == (4, 1, 3, 0, 0)
    assert counts(await take(text, "US")) == (4, 0, 3, 1, 0)
    assert await listed(database, campaign) == [(ANA, "Ana")]


async def test_tc_013_mixed_styles_come_in_and_the_bad_ones_are_named(
    take: Import, database: Database, campaign: UUID
) -> None:
    cells = ["2025550143", "(202) 555-0144", "202-555-0145", "+1 202 555 0146", "12025550147", "202555", "abc123"]
    report = await take("phone\n" + "\n".join(cells), "US")
    assert counts(report) == (7, 5, 0, 0, 2)
    assert [phone for phone, _ in await listed(database, campaign)] == [f"+1202555014{i}" for i in range(3, 8)]
    assert [(row.line, row.value) for row in report.refused_rows] == [(7, "202555"), (8, "abc123")]


async def test_tc_014_a_bare_number_without_a_region_is_refused(take: Import) -> None:
    report = await take("phone_number,name\n2079460123,Ana")
    assert counts(report) == (1, 0, 0, 0, 1)
    assert "no country code" in report.refused_rows[0].reason


async def test_tc_023_invisible_marks_and_other_digits_are_one_contact(
    take: Import, database: Database, campaign: UUID
) -> None:
    cells = ["\u202a+44\u00a020\u00a07946\u00a00123\u202c", "+٤٤٢٠٧٩٤٦٠١٢٣", "＋４４２０７９４６０１２３"]
    assert counts(await take("phone\n" + "\n".join(cells))) == (3, 1, 2, 0, 0)
    assert await listed(database, campaign) == [(LONDON, "")]


async def test_tc_026_one_odd_row_does_not_stop_the_others(take: Import, database: Database, campaign: UUID) -> None:
    report = await take(
        "phone,name\n2025550143#,A\n+442079460958--,B\n+442079460123 / +442079460124,C\ncall me,D\n+12025550145,E\n",
        "US",
    )
    assert report.adds_up
    assert (await listed(database, campaign))[-2:] == [("+442079460958", "B"), (CY, "E")]
    assert [row.line for row in report.refused_rows][-2:] == [4, 5]


async def test_own_columns_zones_and_emails_are_kept(take: Import, database: Database, campaign: UUID) -> None:
    report = await take(
        "phone,Vorname,Nachname,email,time zone,Due (€)\n"
        '+12025550143,Ana,Lopez,ana@example.com,america/new_york,"5,50"\n'
        "+12025550144,Ben,,,Mars/Olympus,\n"
    )
    ana, ben = await rows_of(database, campaign)
    assert (ana.name, ana.email, ana.time_zone) == ("Ana Lopez", "ana@example.com", "America/New_York")
    assert ana.variables == {"Vorname": "Ana", "Nachname": "Lopez", "Due": "5,50"}
    assert (ben.name, ben.email, ben.time_zone) == ("Ben", "", None)
    assert report.warned == 1
    assert report.warnings[0].line == 3
    assert '"Mars/Olympus" is not a time zone' in report.warnings[0].words


async def test_placeholders_that_nothing_fills_are_reported(database: Database, take: Import) -> None:
    campaign = await new_campaign(database, prompt="Hi {name}, your {Plan} costs {price} {{price}}, {phone}.")
    report = await take("phone,plan\n+12025550143,gold\n", campaign=campaign)
    assert report.unknown_placeholders == ["price"]


async def test_repeats_across_batches_are_told_from_numbers_in_the_list(
    take: Import, database: Database, campaign: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "BATCH_ROWS", 2)
    await take("phone\n+12025550143\n")
    # ANA is in the list before: once for the list, twice for the file; BEN is new, and repeated in a later batch.
    report = await take("\n".join(["phone", BEN, ANA, "bad", BEN, CY, ANA, ANA, BEN]))
    assert counts(report) == (8, 2, 4, 1, 1)
    assert [phone for phone, _ in await listed(database, campaign)] == [ANA, BEN, CY]


async def test_refused_rows_can_be_mended_in_their_file_and_imported(
    take: Import, database: Database, campaign: UUID, tmp_path: Path
) -> None:
    report = await take('phone,name,note\n+12025550143,Ana,x\n=1+1,"Ben, B.",-1\n+12025550145,Cy,x,y\n')
    assert counts(report) == (3, 1, 0, 0, 2)
    assert report.error_file == tmp_path / "refused.csv"
    assert report.error_file.stat().st_mode & 0o077 == 0
    text = report.error_file.read_text("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["refused: line", "refused: reason", "phone", "name", "note"]
    assert rows[1][0] == "3"
    assert rows[1][2:] == ["'=1+1", "Ben, B.", "'-1"]
    assert rows[2][2:] == ["'+12025550145", "Cy", "x", "y"]
    mended = text.replace("'=1+1", BEN).replace(",x,y", ",x")
    assert counts(await take(mended)) == (2, 2, 0, 0, 0)
    assert [(c.phone, c.name, c.variables) for c in (await rows_of(database, campaign))[1:]] == [
        (BEN, "Ben, B.", {"note": "-1"}),
        (CY, "Cy", {"note": "x"}),
    ]


async def test_without_refused_rows_there_is_no_error_file(take: Import, tmp_path: Path) -> None:
    report = await take("phone\n+12025550143\n")
    assert report.error_file is None
    assert not (tmp_path / "refused.csv").exists()


async def test_all_or_nothing_adds_nothing_when_a_row_is_refused(
    take: Import, database: Database, campaign: UUID
) -> None:
    report = await take("phone\n+12025550143\nbad\n+12025550143\n+12025550145\n", all_or_nothing=True)
    assert (report.read, report.added, report.held_back, report.duplicates_in_file, report.refused) == (4, 0, 2, 1, 1)
    assert report.adds_up
    assert await listed(database, campaign) == []
    assert counts(await take("phone\n+12025550143\n+12025550145\n", all_or_nothing=True)) == (2, 2, 0, 0, 0)


@pytest.mark.parametrize(("all_or_nothing", "kept"), [(False, 20), (True, 0)])
async def test_a_file_that_breaks_off_says_where_and_what_was_added(
    take: Import, database: Database, campaign: UUID, all_or_nothing: bool, kept: int
) -> None:
    text = "phone,name\n" + "".join(f"+120255501{i},Ana\n" for i in range(10, 30)) + '+12025550199,"Ben\n' + "x\n" * 200
    # The header and a sample of the rows are looked at before anything is added, so the fault must lie below them.
    filler = "phone,name\n" + "+12025550110,Ana\n" * 200
    with pytest.raises(ImportStopped, match=r"line 222: a quotation mark .* is opened here") as caught:
        await take(filler + text.partition("\n")[2], all_or_nothing=all_or_nothing)
    report = caught.value.report
    assert report.adds_up
    assert (report.read, report.added, report.added + report.held_back) == (220, kept, 20)
    assert len(await listed(database, campaign)) == kept


@pytest.mark.parametrize("all_or_nothing", [False, True])
async def test_a_cancelled_import_leaves_whole_batches_or_nothing(
    take: Import, database: Database, campaign: UUID, monkeypatch: pytest.MonkeyPatch, all_or_nothing: bool
) -> None:
    monkeypatch.setattr(contacts, "BATCH_ROWS", 10)
    text = "phone\n" + "".join(f"+1202555{i:04d}\n" for i in range(1000, 3000))
    seen: list[int] = []

    def cancel_at_the_third(report: ImportReport) -> None:
        seen.append(report.read)
        if len(seen) == 3:
            task.cancel()

    task = asyncio.ensure_future(take(text, all_or_nothing=all_or_nothing, progress=cancel_at_the_third))
    with pytest.raises(asyncio.CancelledError):
        await task
    there = len(await listed(database, campaign))
    assert there == 0 if all_or_nothing else there in (30, 40)
    assert counts(await take(text, all_or_nothing=all_or_nothing)) == (2000, 2000 - there, 0, there, 0)


async def test_progress_goes_up_to_the_end_of_the_file(take: Import, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts, "BATCH_ROWS", 1000)
    seen: list[tuple[int, float]] = []
    text = "phone\n" + "".join(f"+1202555{i:04d}\n" for i in range(1000, 4500))
    await take(text, progress=lambda report: seen.append((report.read, report.share_read)))
    assert [read for read, _ in seen] == [1000, 2000, 3000, 3500]
    assert [share for _, share in seen] == sorted(share for _, share in seen)
    assert seen[-1][1] == 1.0


async def test_two_imports_at_once_into_one_list_add_each_number_once(
    take: Import, database: Database, campaign: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contacts, "BATCH_ROWS", 50)
    there = [f"+1202555{i:04d}" for i in range(1000, 2000)]
    reports = await asyncio.gather(
        take("phone\n" + "\n".join(there)), take("phone\n" + "\n".join(reversed(there)), all_or_nothing=True)
    )
    assert sorted((report.added, report.duplicates_in_list) for report in reports) == [(0, 1000), (1000, 0)]
    assert len(await listed(database, campaign)) == 1000


async def test_the_engines_hear_of_new_contacts(take: Import, database_url: str, campaign: UUID) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        await connection.execute(f"LISTEN {WAKE_CHANNEL}")
        await take("phone\n+12025550143\n")
        heard = [note.payload async for note in connection.notifies(timeout=5, stop_after=1)]
        assert heard == [str(campaign)]


async def test_an_import_that_cannot_be_is_refused_before_anything_happens(
    take: Import, database: Database, campaign: UUID
) -> None:
    with pytest.raises(NoPhoneColumn, match="who, age"):
        await take("who,age\nAna,37\n")
    with pytest.raises(UnknownRegion):
        await take("phone\n+12025550143\n", "UK")
    with pytest.raises(TableError, match="empty"):
        await take("")
    with pytest.raises(CampaignProblem, match="no such campaign"):
        await take("phone\n+12025550143\n", campaign=uuid4())
    async with database.transaction() as session:
        await session.execute(update(Campaign).values(state=CampaignState.CANCELLED))
    with pytest.raises(CampaignProblem, match="is cancelled"):
        await take("phone\n+12025550143\n")
    assert await listed(database, campaign) == []


async def test_a_server_that_cannot_be_reached_is_said_in_words(campaign: UUID) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(DatabaseUnavailable, match="not added twice"):
        await import_contacts(nowhere, campaign, Pasted(ANA), default_region=None)
    await nowhere.close()


async def test_excel_files_and_pasted_numbers_come_in_too(
    take: Import, database: Database, campaign: UUID, tmp_path: Path
) -> None:
    book = Workbook()
    book.active.append(["Name", "Mobile"])
    book.active.append(["Ana", 12025550143.0])
    book.active.append(["Ben", 12025550144])
    book.save(tmp_path / "list.xlsx")
    assert counts(await take(tmp_path / "list.xlsx", "US")) == (2, 2, 0, 0, 0)
    assert counts(await take(Pasted(f"{ANA}, {CY}"), "US")) == (2, 1, 0, 1, 0)
    assert await listed(database, campaign) == [(ANA, "Ana"), (BEN, "Ben"), (CY, "")]


async def test_a_mapping_from_the_preview_is_used_as_it_was_edited(
    take: Import, database: Database, campaign: UUID
) -> None:
    text = "Phone,Mobile,Who\n+12025550143,+12025550144,Ana\nbad,bad,Ben\n"
    seen = preview(io.BytesIO(text.encode()), default_region="US")
    assert seen.mapping.roles() == [("Phone", "phone"), ("Mobile", "{Mobile}"), ("Who", "{Who}")]
    assert [(line, contact.phone) for line, contact in seen.contacts] == [(2, ANA)]
    assert [(row.line, row.value) for row in seen.refused] == [(3, "bad")]
    assert seen.notes == ["UTF-8, comma between the cells"]
    await take(text, mapping=seen.mapping.edited({"Mobile": "phone", "Who": "name"}))
    assert await listed(database, campaign) == [(BEN, "Ana")]
    with pytest.raises(TableError, match="the file has phone, the mapping Phone, Mobile, Who"):
        await take("phone\n+12025550143\n", mapping=seen.mapping)


async def exported(database: Database, campaign: UUID) -> bytes:
    return b"".join([block async for block in export_contacts(database, campaign)])


async def test_tc_005_tc_017_an_export_is_safe_and_comes_back_as_the_same_list(
    take: Import, database: Database, campaign: UUID
) -> None:
    await take(
        'phone,name,email,zone name,time zone,Surname,note,more\n'
        '+12025550143,"=HYPERLINK(""http://x.test"",""hi"")",ana@example.com,z,Europe/Rome,Lopez,@SUM(1),\n'
        "+12025550144,-1+1,,,,,\"two\nlines, 'quoted'\",''=x\n"
        "+12025550145,Zoë,,,,,'tis,\\N\n"
    )  # fmt: skip
    raw = await exported(database, campaign)
    rows = list(csv.reader(io.StringIO(raw.decode("utf-8-sig"))))
    assert rows[0] == ["phone", "name", "email", "time_zone", "Surname", "more", "note", "zone name"]
    assert rows[1][:4] == [f"'{ANA}", '\'=HYPERLINK("http://x.test","hi") Lopez', "ana@example.com", "Europe/Rome"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row)

    assert counts(await take(raw)) == (3, 0, 0, 3, 0)
    copy = await new_campaign(database)
    assert counts(await take(raw, campaign=copy)) == (3, 3, 0, 0, 0)
    assert await exported(database, copy) == raw
    one, other = [
        [(c.phone, c.name, c.email, c.time_zone, c.variables) for c in await rows_of(database, which)]
        for which in (campaign, copy)
    ]
    assert one == other
    assert one[1][4] == {"zone name": "", "Surname": "", "note": "two\nlines, 'quoted'", "more": "'=x"}


async def test_an_empty_list_exports_its_header(database: Database, campaign: UUID) -> None:
    assert await exported(database, campaign) == b"\xef\xbb\xbfphone,name,email,time_zone\r\n"


async def test_hostile_cells_arrive_as_text(take: Import, database: Database, campaign: UUID) -> None:
    names = ["\\N", "\\.", '"', "a\\tb", "x\u2028y", "NULL", "{}", "😀", "a\x00b", "'; DROP TABLE contacts; --"]
    file = io.StringIO()
    csv.writer(file).writerows(
        [["phone", "name", "note"]] + [[f"+1202555{i:04d}", n, n] for i, n in enumerate(names, 1000)]
    )
    assert counts(await take(file.getvalue())) == (10, 10, 0, 0, 0)
    assert [(c.name, c.variables["note"]) for c in await rows_of(database, campaign)] == [
        (" ".join(name.replace("\x00", "").split()), name.replace("\x00", "")) for name in names
    ]
