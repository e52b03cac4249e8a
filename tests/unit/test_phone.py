"""Which texts are telephone numbers, and which must never be dialled."""

import re

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voiceagents import phone
from voiceagents.phone import InvalidPhoneNumber, dialable, mask, normalize, same_number

pytestmark = pytest.mark.unit

ANA = "+12025550143"
LONDON = "+442079460123"
REGIONS = st.sampled_from([None, "", "US", "GB", "DE", "IT", "AU", "us", "XX", "\x00"])
PHONE_LIKE = st.text(alphabet="+0123456789 ()-./,;x#eE'=\u200e\u00a0٤４", max_size=24)


def case(number: str, text: str, region: str | None, expected: str, why: str = "") -> object:
    return pytest.param(text, region, expected, id=f"{number}-{why or text!a}-{region}")


@pytest.mark.parametrize(
    ("text", "region", "expected"),
    [
        case("TC-001", "\ufeff+12025550143", None, ANA),
        case("TC-004", "12025550143.0", "US", ANA),
        case("TC-004", "12025550143.00", "US", ANA),
        case("TC-004", "12025550143,0", "US", ANA),
        case("TC-004", "442079460123.0", "US", LONDON),
        case("TC-005", "'+12025550143", None, ANA),
        case("TC-005", " +12025550143", None, ANA),
        case("TC-005", '"\'+12025550143"', None, ANA),
        case("TC-005", '="+12025550143"', None, ANA, "formula that keeps the plus"),
        case("TC-005", "\t+12025550143\r\n", None, ANA),
        case("TC-011", "12025550143", "US", ANA),
        case("TC-011", "(202) 555-0143", "US", ANA),
        case("TC-011", "202.555.0143", "US", ANA),
        case("TC-013", "2025550143", "US", ANA),
        case("TC-013", "202-555-0143", "us", ANA),
        case("TC-013", "+1 202 555 0143", None, ANA),
        case("TC-014", "2079460123", "GB", LONDON),
        case("TC-014", "02079460123", "GB", LONDON),
        case("TC-019", "00442079460123", "GB", LONDON),
        case("TC-019", "00442079460123", "US", LONDON),
        case("TC-019", "00442079460123", None, LONDON),
        case("TC-019", "0044 20 7946 0123", "DE", LONDON),
        case("TC-019", "011 44 20 7946 0123", "US", LONDON),
        case("TC-022", "+12025550143 x136", None, ANA),
        case("TC-022", "+12025550143;ext=136", None, ANA),
        case("TC-022", "+1 202-555-0143 ext. 136", None, ANA),
        case("TC-022", "(202) 555-0143 #136", "US", ANA),
        case("TC-022", "tel:+1-202-555-0143;ext=136", None, ANA),
        case("TC-023", "\u202a+44\u00a020\u00a07946\u00a00123\u202c", None, LONDON),
        case("TC-023", "+٤٤٢٠٧٩٤٦٠١٢٣", None, LONDON, "arabic-indic"),
        case("TC-023", "＋４４２０７９４６０１２３", None, LONDON, "full-width"),
        case("TC-023", "+४४२०७९४६०१२३", None, LONDON, "devanagari"),
        case("TC-023", "+1\u2011202\u2013555\u20120143", None, ANA, "typographic dashes"),
        case("TC-023", "+1\u2212202\u2212555\u22120143", None, ANA, "minus signs"),
        case("TC-023", "+1202\u00ad555\u200b0143", None, ANA, "soft hyphen"),
        case("TC-025", "0491570006", "AU", "+61491570006"),
        case("TC-025", "+61491570110", "AU", "+61491570110"),
        case("TC-026", "+442079460958--", "US", "+442079460958"),
        case("trunk-zero", "+44 (0)20 7946 0123", None, LONDON),
        case("trunk-zero", "(+44) 20 7946 0123", "US", LONDON),
        case("italy-keeps-its-zero", "+39 06 12345678", None, "+390612345678"),
        case("italy-keeps-its-zero", "06 12345678", "IT", "+390612345678"),
        case("lost-plus", "4915112345678", "DE", "+4915112345678"),
        case("lost-plus", "62812345678", "ID", "+62812345678"),
        case("lost-plus", "919876543210", "IN", "+919876543210"),
        case("lost-zero", "15112345678", "DE", "+4915112345678"),
        case("russia-eight", "8 (912) 345-67-89", "RU", "+79123456789"),
        case("argentina-fifteen", "011 15 2345 6789", "AR", "+5491123456789"),
        case("mexico-before-2019", "+52 1 55 1234 5678", None, "+525512345678"),
        case("mexico-before-2019", "5215512345678", "MX", "+525512345678"),
        case("brazil-carrier", "021 11 91234-5678", "BR", "+5511912345678"),
        case("quotation-marks", "\u201c+12025550143\u201d", None, ANA, "of a word processor"),
        case("quotation-marks", "\u2019+12025550143", None, ANA, "an apostrophe of a word processor"),
    ],
)
def test_a_number_as_people_write_it_becomes_e164(text: str, region: str | None, expected: str) -> None:
    assert normalize(text, region) == expected


def refused(number: str, text: str, region: str | None, reason: str) -> object:
    return pytest.param(text, region, reason, id=f"{number}-{text[:40]!a}-{region}")


@pytest.mark.parametrize(
    ("text", "region", "reason"),
    [
        refused("TC-002", "1.20256E+10", "US", "scientific notation"),
        refused("TC-002", "4.4208E+11", None, "scientific notation"),
        refused("TC-002", "1,20256e+10", "US", "scientific notation"),
        refused("TC-002", "+1.20256E10", "US", "scientific notation"),
        refused("TC-002", "1.20256 E+10", "US", "scientific notation"),
        refused("TC-002", "'1.20256E+10", "US", "scientific notation"),
        refused("TC-013", "202555", "US", "too few digits"),
        refused("TC-013", "abc123", "US", "characters"),
        refused("TC-014", "2079460123", None, "no country code"),
        refused("TC-014", "2079460123", "", "no country code"),
        refused("TC-014", "2079460123", "  ", "no country code"),
        refused("TC-014", "12025550143", "XX", "no country to assume"),
        refused("TC-020", "03432640000", "US", "too many digits"),
        refused("TC-020", "+103432640000", None, "too many digits"),
        refused("TC-020", "+120255501430", None, "too many digits"),
        refused("TC-020", "120255501430", "US", "too many digits"),
        refused("TC-025", "+0491570006", "AU", "country code that does not exist"),
        refused("TC-026", "2025550143#", "US", "characters"),
        refused("TC-026", "+442079460123 / +442079460124", "US", "more than one number"),
        refused("TC-026", "call me", "US", "characters"),
        refused("a-digit-too-many-is-not-egypt", "20255501430", "US", "too many digits"),
        refused("a-digit-too-many-is-not-france", "33199001234", "US", "too many digits"),
        refused("two-lines-in-a-cell", "+12025550143\n+12025550144", "US", "more than one number"),
        refused("two-lines-in-a-cell", "2025550143\n2025550144", "US", "more than one number"),
        refused("two-numbers", "+12025550143, +12025550144", "US", "more than one number"),
        refused("two-numbers", "+12025550143 or +12025550144", "US", "more than one number"),
        refused("two-numbers", "+12025550143;+12025550144", "US", "more than one number"),
        refused("two-numbers", "2025550143 2025550144", "US", "more than one number"),
        refused("two-numbers", "+1 202 555 0143 ::: +1 202 555 0144", "US", "more than one number"),
        refused("two-numbers", "(202) 555-0143/24", "US", "too many digits"),
        refused("premium-rate", "1-900-555-0143", "US", "premium-rate"),
        refused("premium-rate", "+499001234567", None, "premium-rate"),
        refused("premium-rate", "0909 8790123", "GB", "premium-rate"),
        refused("premium-rate-is-no-foreign-number", "5003 7123", "MT", "premium-rate"),
        refused("lost-plus-or-lost-zero", "468123456", "SE", r"may be \+468123456 or \+46468123456"),
        refused("mexico-with-a-digit-too-many", "+5225512345678", None, "too many digits"),
        refused("brazil-ninth-digit", "+55 11 8123 4567", None, "does not exist"),
        refused("ivory-coast-before-2021", "+225 07 12 34 56", None, "too few digits"),
        refused("footnote-mark", "+1202555014²", None, "characters"),
        refused("vanity", "1-800-FLOWERS", "US", "characters"),
        refused("emergency", "911", "US", "too few digits"),
        refused("emergency", "112", "DE", "does not exist"),
        refused("sip-uri", "sip:+12025550143@example.com", None, "characters"),
        refused("two-plus-signs", "++12025550143", None, "characters"),
        refused("no-such-country", "+99912345678", None, "country code"),
        refused("nothing", "", "US", "empty"),
        refused("nothing", " \u200b\t'", "US", "empty"),
        refused("nothing", "N/A", "US", "characters"),
        refused("nothing", "-", "US", "characters"),
        refused("endless", "2" * 100_000, "US", "too long"),
        refused("endless", "2" + " " * 100_000 + "x", "US", "too long"),
    ],
)
def test_what_is_no_number_is_refused_with_the_reason(text: str, region: str | None, reason: str) -> None:
    with pytest.raises(InvalidPhoneNumber, match=reason):
        normalize(text, region)


def test_ways_to_write_one_number_are_one_number() -> None:
    written = [
        "+12025550143",
        "12025550143",
        "(202) 555-0143",
        "202.555.0143",
        "+1 202 555 0143 x9",
        "\u202a2025550143",
    ]
    assert {normalize(text, "US") for text in written} == {ANA}


@given(st.text() | PHONE_LIKE, REGIONS)
@example("+2902", None)
@example("²", "US")
def test_any_text_is_a_number_that_may_be_dialled_or_refused(text: str, region: str | None) -> None:
    try:
        number = normalize(text, region)
    except InvalidPhoneNumber:
        return
    assert re.fullmatch(r"\+[1-9][0-9]{7,14}", number)
    assert phonenumbers.is_valid_number(phonenumbers.parse(number))
    assert dialable(number) == number
    assert normalize(number) == number


@pytest.mark.parametrize("text", ["+12025550143", " +12025550143\n", "+1234567890"])
def test_e164_is_dialled_as_it_stands(text: str) -> None:
    assert dialable(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("+103432640000", id="TC-020-too-long"),
        pytest.param("+120255501430", id="TC-020-float"),
        pytest.param("12025550143.0", id="TC-020-raw-float"),
        pytest.param("+100442079460123", id="TC-019-plus-one-in-front"),
        pytest.param("+12025550143136", id="TC-022-extension"),
        pytest.param("+12025550143 x136", id="TC-022-raw-extension"),
        pytest.param("+0491570006", id="TC-025-plus-zero"),
        pytest.param("+٤٤٢٠٧٩٤٦٠١٢٣", id="TC-023-not-latin"),
        pytest.param("2025550143", id="no-country-code"),
        pytest.param("(202) 555-0143", id="national"),
        pytest.param("sip:+12025550143@example.com", id="sip-uri"),
        pytest.param("+12025550143@example.com", id="sip-user"),
        pytest.param("+12025550143,+12025550144", id="two"),
        pytest.param("+911", id="emergency"),
        pytest.param("+19005550143", id="premium-rate"),
        pytest.param("+" + "1" * 400, id="endless"),
        pytest.param("", id="empty"),
        pytest.param("  ", id="blank"),
        pytest.param("inf", id="from-1e400"),
    ],
)
def test_nothing_but_e164_reaches_the_trunk(text: str) -> None:
    with pytest.raises(InvalidPhoneNumber):
        dialable(text)


@given(st.text() | PHONE_LIKE)
def test_what_may_be_dialled_is_always_e164(text: str) -> None:
    try:
        number = dialable(text)
    except InvalidPhoneNumber:
        return
    assert phone.is_e164(number)
    assert number == text.strip()


@given(st.text() | PHONE_LIKE | st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True))
def test_a_mask_never_shows_more_than_three_digits(text: str) -> None:
    assert sum(character.isdigit() for character in mask(text)) <= 3


@pytest.mark.parametrize(
    ("number", "masked"),
    [("+12025550143", "+1********43"), ("12025550143", "1********43"), ("911", "***"), ("anonymous", "*********")],
)
def test_a_mask_tells_calls_apart_and_no_more(number: str, masked: str) -> None:
    assert mask(number) == masked


def test_numbers_compare_by_their_digits() -> None:
    assert same_number("+12025550143") == same_number("12025550143") == "12025550143"
