"""Which of our numbers was dialled, however the carrier spells it?"""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.assistants import dialled

pytestmark = pytest.mark.unit

US, GB, IT, FR = "+12025550143", "+442079460123", "+390612345678", "+33199001234"
OURS = [US, GB, IT, FR]


@pytest.mark.parametrize(
    ("spelled", "number"),
    [
        (US, US),
        ("12025550143", US),
        ("0012025550143", US),
        ("+1 (202) 555-0143", US),
        ("1.202.555.0143", US),
        ("2025550143", US),
        ("(202) 555-0143", US),
        (" +1 202 555 0143 ", US),
        ("sip:+12025550143@carrier.example.com", US),
        ("sip:+12025550143@10.0.0.1:5060;user=phone", US),
        ("SIPS:12025550143;user=phone@10.0.0.1", US),
        ('"0188" <sip:+12025550143@10.0.0.1>;tag=1', US),
        ("sip:%2B12025550143@10.0.0.1", US),
        ("+12025550143;npdi;rn=+12025550188", US),
        ("tel:+1-202-555-0143", US),
        ("tel:+12025550143;phone-context=+44", US),
        ("tel:2025550143;phone-context=+1", US),
        ("tel:+12025550143;ext=7", US),
        ("+12025550143 x12", US),
        ("+1 202 555 0143 ext. 12", US),
        ("12025550143#", US),
        ("\u202a+1\u00a0202\u00a05550143\u202c", US),
        ("\uff0b12025550143", US),  # a full-width plus
        ("+44 (0)20 7946 0123", GB),
        ("tel:020-7946-0123;phone-context=example.com", GB),
        ("442079460123", GB),
        ("00 44 20 7946 0123", GB),
        ("02079460123", GB),
        ("020 7946 0123", GB),
        ("2079460123", GB),
        ("0612345678", IT),
        ("0199001234", FR),
        ("01 99 00 12 34", FR),
    ],
)
def test_every_spelling_of_a_number_means_it(spelled: str, number: str) -> None:
    assert dialled.meant(spelled, OURS) == number


@pytest.mark.parametrize(
    "spelled",
    ["", "anonymous", "restricted", "+", "0143", "555-0143", "+2025550143", "+12025550144", "12025550144",
     "+4402079460123", "20255501430", "sales", "+1202555014", "٣", "911", "sip:sales@10.0.0.1",
     "anonymous@12025550143", "sip:anonymous@anonymous.invalid"],
)  # fmt: skip
def test_what_is_none_of_our_numbers_means_none(spelled: str) -> None:
    assert dialled.meant(spelled, OURS) is None


def test_a_national_form_that_two_of_our_numbers_have_means_neither() -> None:
    assert dialled.meant("02079460123", [GB, "+2732079460123"]) == GB
    assert dialled.meant("2025550143", [US, "+492025550143"]) is None
    assert dialled.meant("12025550143", [US, "+4912025550143"]) == US


@pytest.mark.parametrize("written", ["(202) 555-0143", "1 202 555 0143", "2025550143", "001-202-555-0143"])
def test_somebody_elses_list_may_spell_a_number_as_it_likes(written: str) -> None:
    assert dialled.meant(US, [GB, written]) == written
    assert dialled.meant("12025550143", [GB, written]) == written


@pytest.mark.parametrize(
    ("spelled", "whole", "end", "digits"),
    [
        (US, US, "12025550143", "2025550143"),
        ("020 7946 0123", None, "2079460123", "2079460123"),
        ("00442079460123", GB, "442079460123", "2079460123"),
        ("anonymous", None, None, None),
        ("", None, None, None),
        ("0143", None, None, None),
        ("+390612345678", IT, "390612345678", "612345678"),
    ],
)
def test_digits_to_look_a_number_up_by(spelled: str, whole: str | None, end: str | None, digits: str | None) -> None:
    assert (dialled.international(spelled), dialled.ending(spelled), dialled.significant(spelled)) == (
        whole,
        end,
        digits,
    )


@pytest.mark.parametrize(
    ("spellings", "number"),
    [
        ([US], US),
        (["00442079460123"], GB),
        (["2025550143", US], US),
        (["2025550143", "12025550143"], None),  # nothing marks either as having its country code
        (["+1 (202) 555-0143", "2025550143"], US),
        (["anonymous"], None),
    ],
)
def test_a_number_in_full_is_one_that_is_marked_as_such(spellings: list[str], number: str | None) -> None:
    assert dialled.in_full(*spellings) == number


@given(st.text(), st.lists(st.text(), max_size=4))
def test_no_text_breaks_it_and_it_answers_with_one_of_ours_or_none(spelled: str, ours: list[str]) -> None:
    assert dialled.meant(spelled, ours) in [None, *ours]
    dialled.significant(spelled)


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), st.sampled_from("EINR"))
def test_the_examples_of_every_country_are_found_in_every_spelling(region: str, form: str) -> None:
    example = phonenumbers.example_number(region)
    assert example is not None
    ours = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
    kinds = phonenumbers.PhoneNumberFormat
    spelled = {
        "E": ours.removeprefix("+"),
        "I": phonenumbers.format_number(example, kinds.INTERNATIONAL),
        "N": phonenumbers.format_number(example, kinds.NATIONAL),
        "R": phonenumbers.national_significant_number(example),
    }[form]
    if dialled.ending(spelled) is None:  # the countries with the shortest numbers
        return
    assert dialled.meant(spelled, [ours, "+12025550199"]) == ours
    found = dialled.significant(spelled)
    assert found is not None
    rest = iter(ours)
    assert all(digit in rest for digit in found)
