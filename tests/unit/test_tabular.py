"""Which rows come out of files as people, spreadsheets and other programs write them?"""

import io
import re
import struct
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openpyxl import Workbook

from voiceagents.campaigns.tabular import Pasted, Reading, Source, TableError, open_table
from voiceagents.formulas import neutralized, restored

pytestmark = pytest.mark.unit

ANA, BEN = "+12025550143", "+12025550144"


def read(source: Source | bytes, reading: Reading | None = None) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Headers, and rows by line."""
    with open_table(io.BytesIO(source) if isinstance(source, bytes) else source, reading) as table:
        return table.headers, [(row.line, row.cells) for row in table.rows()]


def workbook(*rows: list[object], **sheets: list[list[object]]) -> bytes:
    book = Workbook()
    book.active.title = "Contacts"
    for row in rows:
        book.active.append(row)
    for name, others in sheets.items():
        sheet = book.create_sheet(name)
        for row in others:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("raw", "headers", "rows"),
    [
        pytest.param(
            b"\xef\xbb\xbfphone_number,name\r\n+12025550143,Ana\r\n+12025550144,Ben\r\n",
            ["phone_number", "name"],
            [(2, [ANA, "Ana"]), (3, [BEN, "Ben"])],
            id="TC-001 byte order mark",
        ),
        pytest.param(
            b'phone_number;name;notes\r\n+442079460123;Zoe;"likes tea, coffee"\r\n+442079460124;Max;',
            ["phone_number", "name", "notes"],
            [(2, ["+442079460123", "Zoe", "likes tea, coffee"]), (3, ["+442079460124", "Max", ""])],
            id="TC-007 semicolons",
        ),
        pytest.param(
            b"phone_number,name\n+33199001234,Ren\xe9e\n+33199001235,Jos\xe9 \x96 VIP\n",
            ["phone_number", "name"],
            [(2, ["+33199001234", "Renée"]), (3, ["+33199001235", "José – VIP"])],
            id="TC-008 Windows-1252",
        ),
        pytest.param(
            b'phone_number,name,notes\n+12025550143,"Ana\nLopez","call\nafter 5"\n+12025550144,Ben,',
            ["phone_number", "name", "notes"],
            [(2, [ANA, "Ana\nLopez", "call\nafter 5"]), (5, [BEN, "Ben", ""])],
            id="TC-010 line breaks in cells",
        ),
        pytest.param(
            b"sep=;\r\nphone_number;name\r\n+12025550143;Ana",
            ["phone_number", "name"],
            [(3, [ANA, "Ana"])],
            id="TC-016 sep= line",
        ),
        pytest.param(
            b"phone_number\n+12025550143 x136\n+12025550143;ext=136\n+1 202-555-0143 ext. 136\n",
            ["phone_number"],
            [(2, ["+12025550143 x136"]), (3, ["+12025550143;ext=136"]), (4, ["+1 202-555-0143 ext. 136"])],
            id="TC-022 a semicolon of an extension is no delimiter",
        ),
        pytest.param(b"phone\tname\n+12025550143\tAna, B.\n", ["phone", "name"], [(2, [ANA, "Ana, B."])], id="tabs"),
        pytest.param(b"phone|name\n+12025550143|Ana\n", ["phone", "name"], [(2, [ANA, "Ana"])], id="bars"),
        pytest.param(
            b"phone;name;due\n+12025550143;Ana;1,50\n+12025550144;Ben;2,50\n",
            ["phone", "name", "due"],
            [(2, [ANA, "Ana", "1,50"]), (3, [BEN, "Ben", "2,50"])],
            id="decimal commas",
        ),
        pytest.param(
            b"+12025550143,Ana\n+12025550144,Ben\n",
            ["column 1", "column 2"],
            [(1, [ANA, "Ana"]), (2, [BEN, "Ben"])],
            id="no header",
        ),
        pytest.param(
            "phone,name\n+12025550143,Zoë\n".encode("utf-16"), ["phone", "name"], [(2, [ANA, "Zoë"])], id="UTF-16"
        ),
        pytest.param(
            "phone,name\n+12025550143,Zoë\n".encode("utf-16-be"),
            ["phone", "name"],
            [(2, [ANA, "Zoë"])],
            id="UTF-16 without a mark",
        ),
        pytest.param(
            b"pho\x00ne,name\n+12025550143,A\x00na\x00\n", ["phone", "name"], [(2, [ANA, "Ana"])], id="NUL bytes"
        ),
        pytest.param(
            b"phone,name,city\n+12025550143\n+12025550144,Ben,Bonn,\n+12025550145,Cy,Ulm,extra\n",
            ["phone", "name", "city"],
            [
                (2, [ANA, "", ""]),
                (3, [BEN, "Ben", "Bonn", ""]),
                (4, ["+12025550145", "Cy", "Ulm", "extra"]),
            ],
            id="rows of other lengths",
        ),
        pytest.param(
            'phone\tname\r\n+12025550143\t"Zoë\tB."\r\n'.encode("utf-16"),
            ["phone", "name"],
            [(2, [ANA, "Zoë\tB."])],
            id="Excel's Unicode text",
        ),
        pytest.param(
            b"\xef\xbb\xbf\xef\xbb\xbfphone,name\n+12025550143,Ana\n",
            ["phone", "name"],
            [(2, [ANA, "Ana"])],
            id="two byte order marks",
        ),
        pytest.param(
            b"\n\nphone,name\n\n+12025550143,Ana\n,\n \n", ["phone", "name"], [(5, [ANA, "Ana"])], id="blank rows"
        ),
        pytest.param(
            b"Spring list\n\nphone;name\n+12025550143;Ana\n", ["phone", "name"], [(4, [ANA, "Ana"])], id="a title"
        ),
        pytest.param(b"phone,name\r+12025550143,Ana\r", ["phone", "name"], [(2, [ANA, "Ana"])], id="old Mac lines"),
        pytest.param(
            b"phone,,name\n+12025550143,x,Ana\n",
            ["phone", "column 2", "name"],
            [(2, [ANA, "x", "Ana"])],
            id="a nameless column",
        ),
        pytest.param(
            b"phone,name,\n+12025550143,Ana,x\n+12025550144,Ben,\n",
            ["phone", "name", "column 3"],
            [(2, [ANA, "Ana", "x"]), (3, [BEN, "Ben", ""])],
            id="a nameless column at the end",
        ),
        pytest.param(
            b"phone,name,\n+12025550143,Ana,\n",
            ["phone", "name"],
            [(2, [ANA, "Ana", ""])],
            id="a delimiter at the end of each line",
        ),
        pytest.param(
            b"Report:,Spring\nDate:,2026-01-01\nphone,name\n+12025550143,Ana\n",
            ["phone", "name"],
            [(4, [ANA, "Ana"])],
            id="a title of two cells",
        ),
        pytest.param(
            b"Contact,Contact\nphone,name\n+12025550143,Ana\n",
            ["phone", "name"],
            [(3, [ANA, "Ana"])],
            id="a header of two rows",
        ),
        pytest.param(
            b"who,kind,reach\nAna,phone,none\nBen,mobile,+12025550144\n",
            ["who", "kind", "reach"],
            [(2, ["Ana", "phone", "none"]), (3, ["Ben", "mobile", BEN])],
            id="a row of data that says phone",
        ),
        pytest.param(
            "\u200bphone\u200b,\u202aname\u202c\n+12025550143,Ana\n".encode(),
            ["phone", "name"],
            [(2, [ANA, "Ana"])],
            id="invisible marks around headers",
        ),
        pytest.param(
            b"sep=,\nphone;name\n+12025550143;Ana\n",
            ["phone", "name"],
            [(3, [ANA, "Ana"])],
            id="a sep= line that is not true",
        ),
        pytest.param(
            "телефон\tимя\n+12025550143\tАнна Иванова\n".encode("utf-16"),
            ["телефон", "имя"],
            [(2, [ANA, "Анна Иванова"])],
            id="Excel's Unicode text in Cyrillic",
        ),
        pytest.param(
            "电话,姓名\n+12025550143,王小明\n".encode("utf-16-le"),
            ["电话", "姓名"],
            [(2, [ANA, "王小明"])],
            id="Chinese in UTF-16 without a mark",
        ),
        pytest.param(
            "phone,name\n+12025550143,José\n+12025550144,Zoë\n".encode("mac_roman"),
            ["phone", "name"],
            [(2, [ANA, "José"]), (3, [BEN, "Zoë"])],
            id="Excel's CSV (Macintosh)",
        ),
        pytest.param(
            "phone,name\n+12025550143,José\n+12025550144,Zoë\n".encode("cp850"),
            ["phone", "name"],
            [(2, [ANA, "José"]), (3, [BEN, "Zoë"])],
            id="Excel's CSV (MS-DOS)",
        ),
    ],
)
def test_text_files_are_read_as_they_are_meant(
    raw: bytes, headers: list[str], rows: list[tuple[int, list[str]]]
) -> None:
    assert read(raw) == (headers, rows)


def test_an_accent_far_below_the_beginning_still_tells_the_encoding() -> None:
    raw = b"phone,name\n" + b"+12025550143,Ana\n" * 20_000 + b"+12025550144,Jos\xe9\n"
    _, rows = read(raw)
    assert rows[-1] == (20_002, [BEN, "José"])
    assert len(rows) == 20_001


@pytest.mark.parametrize("many", [1, 50])
def test_bytes_of_windows_1252_in_a_utf_8_file_are_read_as_such_and_that_is_said(many: int) -> None:
    raw = b"phone,name\n" + "+12025550143,Zoë\n".encode() * many + b"+12025550144,Jos\xe9\n"
    with open_table(io.BytesIO(raw)) as table:
        assert [row.cells[1] for row in table.rows()] == ["Zoë"] * many + ["José"]
        assert any("read as Windows-1252" in note for note in table.notes)


def test_a_guessed_encoding_is_said_to_be_one() -> None:
    with open_table(io.BytesIO("phone,name\n+12025550143,Ana María\n".encode("cp1252"))) as table:
        assert "the encoding is a guess: look at the names" in table.notes


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("phone,name\n+48221234567,Łukasz Wiśniewski\n+48221234568,Paweł Żółć\n", "cp1250"),
        ("phone,name\n+74951234567,Анна Иванова\n+74951234568,Пётр Смирнов\n", "cp1251"),
        ("phone;name\n+4930123456;Jürgen Groß\n+33199001234;Zoë d’Arc\n+34912345678;Íñigo Muñoz €\n", "cp1252"),
    ],
)
def test_code_pages_of_other_countries_are_told_by_their_language(text: str, encoding: str) -> None:
    assert read(text.encode(encoding)) == read(text.encode())


def test_what_a_person_knows_better_wins() -> None:
    raw = "phone;name\n+12025550143;Ayşe\n".encode("cp1254")
    assert read(raw, Reading(encoding="cp1254"))[1] == [(2, [ANA, "Ayşe"])]
    assert read(b"+12025550143;Ana\n+12025550144;Ben", Reading(header=True)) == ([ANA, "Ana"], [(2, [BEN, "Ben"])])
    assert read(b"phone;name\n1;2", Reading(delimiter=","))[0] == ["phone;name"]
    assert read(b"phone\tname\n1\t2", Reading(delimiter="tab"))[0] == ["phone", "name"]


@pytest.mark.parametrize(
    ("reading", "words"),
    [
        (Reading(encoding="latin-99"), "no encoding named 'latin-99'"),
        (Reading(encoding="base64"), "no encoding named"),
        (Reading(encoding="a\x00b"), "no encoding named"),
        (Reading(encoding="utf-16"), "line 1: the text is not UTF-16"),
        (Reading(encoding="idna"), "the text is not idna"),
        (Reading(encoding="undefined"), "the text is not undefined"),
        (Reading(delimiter="||"), "is no delimiter; give one character, or one of comma, semicolon, tab, vertical bar"),
        (Reading(delimiter="\n"), "is no delimiter"),
        (Reading(delimiter="a"), "is no delimiter"),
    ],
)
def test_what_a_person_gets_wrong_about_a_file_is_said(reading: Reading, words: str) -> None:
    with pytest.raises(TableError, match=re.escape(words)):
        read("phone;name\n+12025550143;Ayşe\n".encode(), reading)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (f"{ANA}\n{BEN}\n", [[ANA], [BEN]]),
        (f"{ANA}, {BEN},+12025550145", [[ANA], [BEN], ["+12025550145"]]),
        (f"{ANA} {BEN}", [[ANA], [BEN]]),
        (f"{ANA}\tAna\n{BEN}\tBen", [[ANA, "Ana"], [BEN, "Ben"]]),
    ],
)
def test_pasted_text_is_a_list_too(text: str, rows: list[list[str]]) -> None:
    assert [cells for _, cells in read(Pasted(text))[1]] == rows


def test_an_excel_file_gives_what_a_person_sees_in_it() -> None:
    raw = workbook(
        ["phone", "name", "seen", "vip", "share"],
        [12025550143.0, "Ana", datetime(2026, 10, 1), True, 0.5],  # noqa: DTZ001
        [],
        [12025550144, "Ben", datetime(2026, 10, 1, 9, 30), None, "#N/A"],  # noqa: DTZ001
    )
    headers, rows = read(raw)
    assert headers == ["phone", "name", "seen", "vip", "share"]
    assert rows == [
        (2, ["12025550143", "Ana", "2026-10-01", "TRUE", "0.5"]),
        (4, ["12025550144", "Ben", "2026-10-01 09:30:00", "", ""]),
    ]


def test_an_excel_file_is_read_from_its_first_visible_sheet_with_data() -> None:
    book = Workbook()
    book.active.title = "Notes"
    hidden = book.create_sheet("Old")
    hidden.append(["phone"])
    hidden.append(["+12025550199"])
    hidden.sheet_state = "hidden"
    wanted = book.create_sheet("List")
    wanted.append(["Contacts of spring"])
    wanted.merge_cells("A1:C1")
    wanted.append(["phone", "name", None])
    wanted.append([ANA, "Ana", None])
    file = io.BytesIO()
    book.save(file)
    with open_table(file) as table:
        assert table.headers == ["phone", "name"]
        assert [(row.line, row.cells) for row in table.rows()] == [(3, [ANA, "Ana"])]
        assert table.notes == [
            'Excel, sheet "List"',
            "the other 2 sheets are not read",
            "line 1 above the table left out: Contacts of spring",
        ]


def test_an_excel_file_with_a_cover_sheet_is_read_from_the_sheet_with_the_numbers() -> None:
    raw = workbook(["Welcome", "to our list"], ["of", "spring"], People=[["phone", "name"], [ANA, "Ana"]])
    assert read(raw) == (["phone", "name"], [(2, [ANA, "Ana"])])


def test_a_number_that_lost_digits_before_it_came_into_a_workbook_shows_it() -> None:
    book = Workbook()
    for row in (["phone", "format"], [1.20256e10, "0.00E+00"], [12025550143, "0.00E+00"], [12025600000, "General"]):
        book.active.append(row)
    for line in (2, 3, 4):
        book.active.cell(line, 1).number_format = book.active.cell(line, 2).value
    file = io.BytesIO()
    book.save(file)
    # The third has all its digits; of the fourth nothing says that it has not.
    assert [cells[0] for _, cells in read(file)[1]] == ["1.20256E+10", "12025550143", "12025600000"]


@pytest.mark.parametrize(
    "part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/styles.xml", "[Content_Types].xml"]
)
@pytest.mark.parametrize("damage", [b"", b"<a", b"<?xml version='1.0'?><a b='</a>", b"\xff\xfe\x00"])
def test_a_workbook_with_a_damaged_part_is_refused_or_read_without_it(part: str, damage: bytes) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook(["phone"], [ANA]))) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            new.writestr(name, damage if name == part else old.read(name))
    with pytest.raises(TableError, match="damaged"):
        read(file)


def test_a_workbook_that_unpacks_without_end_is_refused_unread() -> None:
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(workbook(["phone"], [ANA]))) as old,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            new.writestr(name, old.read(name) + b" " * 30_000_000 * name.endswith("sheet1.xml"))
    with pytest.raises(TableError, match=r"unpacks to [0-9]+ times its size"):
        read(file)


def compound_file(*names: str) -> bytes:
    """The beginning of an OLE file: header, and a directory in its first sector."""
    header = bytearray(512)
    header[:8] = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
    struct.pack_into("<H", header, 30, 9)
    struct.pack_into("<I", header, 48, 0)
    return bytes(header) + b"".join(name.encode("utf-16-le").ljust(128, b"\0") for name in names)


def archive(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as zipped:
        for name in names:
            zipped.writestr(name, "x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "the file is empty"),
        (b" \r\n \n", "the file is empty"),
        (b"phone,name\n", "no rows below the header"),
        (compound_file("Workbook"), r"old Excel file \(\.xls\); save it as \.xlsx"),
        (compound_file("EncryptionInfo", "EncryptedPackage"), "protected by a password"),
        (archive("content.xml", "mimetype"), "OpenDocument"),
        (archive("xl/workbook.bin"), "xlsb"),
        (archive("contacts.csv"), "ZIP archive"),
        (archive("xl/workbook.xml"), "damaged"),
        (workbook(["phone"], [ANA])[:900], "damaged"),
        (workbook(), "workbook is empty"),
        (b"%PDF-1.7 ...", "a PDF"),
        (b'[{"phone": "+12025550143"}]', "JSON"),
        (b"BEGIN:VCARD\nTEL:+12025550143\nEND:VCARD\n", "vCard"),
        (b"phone" + b"," * 1500 + b"x\n" + b"+12025550143" + b"," * 1500 + b"x\n", "1501 columns"),
        (b"phone,name\n+12025550143," + b"x" * 200_000, "line 2: a cell is longer than"),
        (b"\x1f\x8b\x08abc", "gzip"),
        (b"<html><table><tr><td>+12025550143", "web page"),
        (bytes(range(1, 32)) * 100, "binary file"),
        (b'phone,name\n+12025550143,"Ana\n+12025550144,Ben\n', r"line 2: a quotation mark"),
        (b"phone,name\n+12025550143," + b"x" * 2_000_000, "line 2: the line is longer"),
    ],
)
def test_what_is_no_table_is_refused_with_the_mend(raw: bytes, words: str) -> None:
    with pytest.raises(TableError, match=words):
        read(raw)


def test_an_open_quotation_mark_far_below_stops_at_its_line() -> None:
    raw = b"phone,name\n" + b"+12025550143,Ana\n" * 500 + b'+12025550144,"Ben\n' + b"+12025550145,Cy\n" * 5000
    with pytest.raises(TableError) as caught:
        read(raw)
    assert caught.value.line == 502


@pytest.mark.filterwarnings("error")
def test_a_table_may_be_left_in_the_middle_and_its_file_stays_the_callers() -> None:
    file = io.BytesIO(b"phone\n" + b"+12025550143\n" * 1000)
    with open_table(file) as table:
        rows = table.rows()
        assert next(rows) == (2, [ANA])
    assert not file.closed
    del rows
    assert file.read(0) == b""


def test_a_missing_file_is_named() -> None:
    with pytest.raises(TableError, match=r"/nowhere/list\.csv cannot be opened: No such file"):
        read(Path("/nowhere/list.csv"))


@pytest.mark.parametrize("cell", ['=HYPERLINK("http://x.test","hi")', "@SUM(1)", "-1+1", "+12025550143", "\t=1", "＝1"])
def test_tc_017_no_exported_cell_runs_as_a_formula(cell: str) -> None:
    assert neutralized(cell) == "'" + cell


@given(st.text())
def test_every_cell_survives_the_guard_against_formulas(cell: str) -> None:
    assert restored(neutralized(cell)) == cell
    assert not neutralized(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@given(st.binary(max_size=300))
@example(b"\x00\x00\t\n\t")
def test_any_bytes_are_a_table_or_a_table_error(raw: bytes) -> None:
    try:
        headers, rows = read(raw)
    except TableError:
        return
    assert headers
    assert all(len(cells) >= len(headers) and line >= 1 for line, cells in rows)
