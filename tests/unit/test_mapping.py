"""Is each column taken for what it is, and does every row become the contact that was meant?"""

from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from voiceagents import phone
from voiceagents.assistants.prompts import fill
from voiceagents.campaigns.contact_rows import Contact, ContactIds, ContactReader, RowProblem, batches, cell_text
from voiceagents.campaigns.mapping import ColumnMapping, NoPhoneColumn, guess, variable_name
from voiceagents.campaigns.numbers import Numbers, UnknownRegion
from voiceagents.campaigns.rows import Row, TableError

pytestmark = pytest.mark.unit

ANA = "+12025550143"
LONDON = "+442079460123"


def guessed(headers: str, *rows: str, region: str | None = "US") -> dict[str, str]:
    names = headers.split(",")
    sample = [Row(line, row.split(",")) for line, row in enumerate(rows, start=2)]
    return dict(guess(names, sample, region).roles())


@pytest.mark.parametrize(
    ("headers", "row", "roles"),
    [
        ("phone_number,name", f"{ANA},Ana", "phone, name"),
        ("Name,E-Mail,Telefon,Ort", f"Ana,a@b.co,{ANA},Bonn", "name, email, phone, {Ort}"),
        ("Vorname,Nachname,Handynummer", f"Ana,Lopez,{ANA}", "name + {Vorname}, name + {Nachname}, phone"),
        ("Vorname,Name,Handynummer", f"Ana,Lopez,{ANA}", "name + {Vorname}, name, phone"),
        ("Name,Surname,Mobile", f"Ana,Lopez,{ANA}", "name, name + {Surname}, phone"),
        ("Name,Surname,Mobile", f"Ana Lopez,Lopez,{ANA}", "name, {Surname}, phone"),
        ("Nom,Prénom,Téléphone", f"Lopez,Ana,{ANA}", "name + {Nom}, name + {Prénom}, phone"),
        ("Nombre,Apellidos,Teléfono móvil", f"Ana,Lopez,{ANA}", "name + {Nombre}, name + {Apellidos}, phone"),
        ("имя,номер телефона", f"Анна,{ANA}", "name + {имя}, phone"),
        ("姓名,手机", f"王,{ANA}", "name, phone"),
        ("이름,전화번호", f"김철수,{ANA}", "name, phone"),
        ("电话,タイムゾーン", f"{ANA},Asia/Tokyo", "phone, time_zone"),
        ("phoneNumber,contactName,emailAddress", f"{ANA},Ana,a@b.co", "phone, name, email"),
        ("customer number,reach", "2025550199,2025550143", "{customer number}, phone"),
        ("contact,city", f"{ANA},Bonn", "phone, {city}"),
        (
            "First Name,Last Name,E-mail 1 - Value,Phone 1 - Type,Phone 1 - Value",
            f"Ana,Lopez,a@b.co,Mobile,{ANA}",
            "name + {First Name}, name + {Last Name}, email, {Phone 1 - Type}, phone",
        ),
        ("Home phone,Mobile phone", f"+12025550199,{ANA}", "{Home phone}, phone"),
        ("Mobile phone,Phone", f",{ANA}", "{Mobile phone}, phone"),
        ("Phone,Mobile", f",{ANA}", "{Phone 2}, phone"),
        ("id,who,reach", f"2025,Ana,{ANA}", "{id}, {who}, phone"),
        ("phone,timezone,Amount due (€)", f"{ANA},Europe/Rome,5", "phone, time_zone, {Amount due}"),
        ("column 1,column 2,column 3", f"{ANA},Ana,a@b.co", "phone, name, email"),
        ("phone,email,Email,notes,Notes", f"{ANA},a@b.co,x,1,2", "phone, email, {Email 2}, {notes}, {Notes 2}"),
        ("refused: line,refused: reason,phone", f"4,too long,{ANA}", "ignore, ignore, phone"),
        (
            "phone,name,email,time_zone,Surname,mobile",
            f"{ANA},Ana,,,Lopez,1",
            "phone, name, email, time_zone, {Surname}, {mobile}",
        ),
    ],
)  # fmt: skip
def test_columns_are_taken_for_what_they_are(headers: str, row: str, roles: str) -> None:
    assert ", ".join(guessed(headers, row).values()) == roles


def test_without_a_phone_column_the_headers_are_quoted() -> None:
    with pytest.raises(NoPhoneColumn, match=r"among: who, age, born\. "):
        guessed("who,age,born", "Ana,37,1989-01-02")


def test_a_number_of_something_else_is_no_number_to_call() -> None:
    with pytest.raises(NoPhoneColumn):
        guessed("who,fax,invoice number", "Ana,+12025550143,2025550144")


def test_a_phone_column_of_bad_numbers_is_one_still() -> None:
    assert guessed("phone_number,name", "1.20256E+10,Ana", "call me,Ben")["phone_number"] == "phone"


def test_a_guess_can_be_edited() -> None:
    mapping = guess(["a", "Phone", "Mobile", "Who"], [Row(2, ["x", ANA, ANA, "Ana"])])
    assert mapping.roles() == [("a", "{a}"), ("Phone", "phone"), ("Mobile", "{Mobile}"), ("Who", "{Who}")]
    edited = mapping.edited({"mobile": "phone", "Who": "name", "a": "{reason for the call}"})
    assert edited.roles() == [
        ("a", "{reason for the call}"), ("Phone", "{Phone 2}"), ("Mobile", "phone"), ("Who", "name"),
    ]  # fmt: skip
    with pytest.raises(TableError, match='no column "Fax"; there are: a, Phone, Mobile, Who'):
        mapping.edited({"Fax": "ignore"})
    with pytest.raises(NoPhoneColumn):
        mapping.edited({"Phone": "ignore"})


@given(st.lists(st.text(max_size=80), min_size=1, max_size=6))
@example(["name", "Name", "", "2nd", "名", "a" * 80, "a" * 81, "a.b - c", "ͅ"])
def test_every_variable_fills_its_placeholder_and_keeps_its_name(headers: list[str]) -> None:
    taken: set[str] = set()
    names = [variable_name(header, column, taken) for column, header in enumerate(headers)]
    for column, name in enumerate(names):
        values = {"name": "N", "email": "E", "phone": "P"} | {other: str(i) for i, other in enumerate(names)}
        assert fill(f"{{{name}}}", values) == str(column)
        assert len(name) <= 60
    again: set[str] = set()
    assert [variable_name(name, column, again) for column, name in enumerate(names)] == names


def contact(cells: list[str], region: str | None = "US", **columns: object) -> Contact:
    headers = tuple(f"h{i}" for i in range(max(len(cells), 1)))
    mapping = ColumnMapping(headers, phone=0, **columns)  # type: ignore[arg-type]
    return ContactReader(mapping, region).contact(Row(2, cells))[0]


@pytest.mark.parametrize(
    ("cell", "region", "number"),
    [
        ("12025550143.0", "US", ANA),  # TC-004
        ("442079460123.0", "US", LONDON),
        ("'+12025550143", None, ANA),  # TC-005
        (" +12025550144", None, "+12025550144"),
        ("(202) 555-0143", "US", ANA),  # TC-011, TC-013
        ("202.555.0143", "US", ANA),
        ("12025550147", "US", "+12025550147"),
        ("2079460123", "GB", LONDON),  # TC-014
        ("00442079460123", "GB", LONDON),  # TC-019
        ("+12025550143 x136", "US", ANA),  # TC-022
        ("+12025550143;ext=136", "US", ANA),
        ("+1 202-555-0143 ext. 136", "US", ANA),
        ("\u202a+44\u00a020\u00a07946\u00a00123\u202c", None, LONDON),  # TC-023
        ("+٤٤٢٠٧٩٤٦٠١٢٣", None, LONDON),
        ("＋４４２０７９４６０１２３", None, LONDON),
        ("0491570006", "AU", "+61491570006"),  # TC-025
        ("+61491570110", "AU", "+61491570110"),
        ("+442079460958--", "US", "+442079460958"),  # TC-026
        ('="02079460123"', "GB", LONDON),
    ],
)
def test_numbers_become_one_form(cell: str, region: str | None, number: str) -> None:
    assert contact([cell], region).phone == number


@pytest.mark.parametrize(
    ("cell", "region", "reason"),
    [
        ("1.20256E+10", "US", "spreadsheet turned this number into scientific notation"),  # TC-002
        ("4.4208E+11", "US", "spreadsheet turned this number into scientific notation"),
        ("202555", "US", "does not exist"),  # TC-013
        ("abc123", "US", "characters that no telephone number has"),
        ("2079460123", None, "no country code"),  # TC-014
        ("03432640000", "US", "does not exist"),  # TC-020
        ("+0491570006", "AU", "country code that does not exist"),  # TC-025
        ("+442079460123 / +442079460124", "US", "more than one number"),  # TC-026
        ("call me", "US", "characters that no telephone number has"),
        ("", "US", "empty"),
    ],
)
def test_bad_numbers_are_refused_with_the_reason(cell: str, region: str | None, reason: str) -> None:
    with pytest.raises(RowProblem, match=reason):
        contact([cell], region)


@pytest.mark.parametrize(
    ("country", "cell", "number"),
    [
        ("GB", "2079460123", LONDON),  # in a list of the United States it would be a number in Maine
        ("44", "2079460123", LONDON),
        ("+44", "02079460123", LONDON),
        ("0044", "020 7946 0123", LONDON),
        ("United Kingdom", "2079460123", LONDON),
        ("Royaume-Uni", "2079460123", LONDON),
        ("Deutschland", "030 12345678", "+493012345678"),
        ("U.S.A.", "2025550143", ANA),
        ("1", "2025550143", ANA),
        ("US", LONDON, LONDON),
        ("", "2025550143", ANA),
        ("Ruritania", "2025550143", '"Ruritania" is no country that is known; write it as GB or +44'),
        ("Ruritania", LONDON, LONDON),
        ("999", "2025550143", "no country that is known"),
    ],
)
def test_a_column_of_countries_says_whose_a_number_is(country: str, cell: str, number: str) -> None:
    mapping = guess(["Country", "Phone"], [Row(2, ["GB", "2079460123"]), Row(3, ["United States", "2025550143"])], "US")
    assert mapping.roles() == [("Country", "country + {Country}"), ("Phone", "phone")]
    reader = ContactReader(mapping, "US")
    try:
        found = reader.contact(Row(2, [country, cell]))[0].phone
    except RowProblem as problem:
        found = str(problem)
    assert number in found


def test_a_column_of_countries_can_be_chosen_and_is_none_where_it_holds_something_else() -> None:
    mapping = guess(["Land", "Phone"], [Row(2, ["Bayern", "+4915112345678"])])
    assert mapping.country is None
    chosen = mapping.edited({"Land": "country"})
    assert chosen.roles() == [("Land", "country + {Land}"), ("Phone", "phone")]
    assert chosen.edited({"Land": "ignore"}).country is None


def test_a_row_becomes_the_contact_that_was_meant() -> None:
    cells = [ANA, " Ana\r\nMaria ", "Lopez", "'=1+1", "europe/rome", "call\nafter 5", ""]
    assert contact(cells, name=(1, 2), email=3, time_zone=4, variables={5: "notes", 6: "empty"}) == Contact(
        ANA, "Ana Maria Lopez", "=1+1", "Europe/Rome", {"notes": "call\nafter 5", "empty": ""}
    )


@pytest.mark.parametrize(
    ("last", "name"),
    [
        ("NULL", "Ana"),
        ("nan", "Ana"),
        ("", "Ana"),
        ("N/A", "Ana"),
        ("None", "Ana"),
        ("Na", "Ana Na"),
        ("Null", "Ana Null"),
    ],
)
def test_a_word_for_nothing_is_no_part_of_a_name(last: str, name: str) -> None:
    assert contact([ANA, "Ana", last], name=(1, 2)).name == name


def test_a_zone_that_is_none_is_left_out_and_the_row_kept() -> None:
    reader = ContactReader(ColumnMapping(("phone", "tz"), phone=0, time_zone=1), None)
    taken, notice = reader.contact(Row(2, [ANA, "Mars/Olympus"]))
    assert taken == Contact(ANA, "", "", None, {})
    assert notice is not None
    assert '"Mars/Olympus" is not a time zone' in notice
    assert reader.contact(Row(3, [ANA, ""]))[1] is None


def test_a_row_with_more_cells_than_headers_is_refused_unless_they_are_empty() -> None:
    reader = ContactReader(ColumnMapping(("phone", "name"), phone=0, name=(1,)), None)
    assert reader.contact(Row(2, [ANA, "Ana", "", " "]))[0].name == "Ana"
    with pytest.raises(RowProblem, match="3 cells and the header 2: a cell that holds the delimiter"):
        reader.contact(Row(2, [ANA, "Lopez", "Ana"]))


def test_columns_too_large_for_a_call_are_refused() -> None:
    mapping = ColumnMapping(("phone", "notes"), phone=0, variables={1: "notes"})
    assert ContactReader(mapping, None).contact(Row(2, [ANA, "x" * 500_000]))
    with pytest.raises(RowProblem, match=r"own columns hold 500013 bytes, and a call can take \d+ beside"):
        ContactReader(mapping, None, prompt="p" * 100_000).contact(Row(2, [ANA, "x" * 500_000]))


def test_a_default_region_must_exist() -> None:
    with pytest.raises(UnknownRegion, match='no region "UK"'):
        Numbers("UK")
    assert Numbers(" us ").normalize("2025550143") == ANA


def test_batches_count_repeats_and_tell_their_own_contacts() -> None:
    reader, ids = ContactReader(ColumnMapping(("phone",), phone=0), "US"), ContactIds(1_790_000_000_000)
    rows = (Row(i, [cell]) for i, cell in enumerate([ANA, "(202) 555-0143", "bad", LONDON, ANA], start=2))
    first, second = batches(rows, reader, ids, 4, lambda: 0.5)
    assert (first.read, first.contacts, first.repeats, len(first.refused)) == (4, 2, 1, 1)
    assert (second.read, second.contacts, second.repeats, second.share_read) == (1, 1, 0, 0.5)
    assert first.refused[0][:3] == (4, "bad", "the number holds characters that no telephone number has")
    assert ids.text(1) < ids.text(2) < ids.text(70_000)
    assert first.block.decode().splitlines()[0] == f"{ids.text(1)},{ANA},,,\\N,{{}}"


REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
KINDS = [
    phonenumbers.PhoneNumberType.FIXED_LINE,
    phonenumbers.PhoneNumberType.MOBILE,
    phonenumbers.PhoneNumberType.TOLL_FREE,
    phonenumbers.PhoneNumberType.VOIP,
]


@st.composite
def written_numbers(draw: st.DrawFn) -> tuple[str, str | None]:
    """A number of some region with some digits changed, in one of the ways to write it, and a list's region."""
    region = draw(st.sampled_from(REGIONS))
    number = phonenumbers.example_number_for_type(region, draw(st.sampled_from(KINDS)))
    text = phonenumbers.format_number(number or phonenumbers.example_number("US"), draw(st.integers(0, 2)))
    digits = [i for i, c in enumerate(text) if c.isdigit()]
    for i in draw(st.lists(st.sampled_from(digits), max_size=5)):
        text = text[:i] + draw(st.sampled_from("0123456789")) + text[i + 1 :]
    change = draw(st.sampled_from(["{}", "{}", "{}", "0{}", "00{}", "{}7", "{}.0", "1{}", "({}", " {}"]))
    return change.format(text.lstrip("+") if draw(st.booleans()) else text), draw(
        st.sampled_from([region, None, "US", "DE"])
    )


def answer(normalize: Callable[[str], str], text: str) -> str:
    """The number, or the reason."""
    try:
        return normalize(text)
    except phone.InvalidPhoneNumber as refusal:
        return str(refusal)


@settings(max_examples=1500)
@given(written_numbers())
@example(("6837712", "NU"))
@example(("030123456.0", "DE"))
@example(("4800 5214580860", "DE"))
def test_the_fast_way_with_numbers_gives_the_answer_of_the_slow_one(written: tuple[str, str | None]) -> None:
    text, region = written
    assert answer(Numbers(region).normalize, text) == answer(lambda number: phone.normalize(number, region), text)


@given(st.text(alphabet="'=\"+ab \n", max_size=8))
def test_cells_never_gain_anything(cell: str) -> None:
    assert len(cell_text(cell)) <= len(cell)
