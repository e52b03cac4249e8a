"""What a campaign may want of machines and of the words spoken, as people write it."""

import pytest
from pydantic import ValidationError

from voiceagents.campaigns.terms import Terms

pytestmark = pytest.mark.unit

FIELDS = '{"type": "object", "properties": {"budget": {"type": "number"}}}'


def test_a_message_a_path_and_fields_are_kept_as_they_are_meant() -> None:
    given = Terms.model_validate({"voicemail_message": " Hi {name}. ", "menu_path": "2 1#", "extraction": FIELDS})
    assert given.columns("UTC") == {
        "voicemail_message": "Hi {name}.",
        "menu_path": "2 1#",
        "extraction": {"type": "object", "properties": {"budget": {"type": "number"}}},
    }


@pytest.mark.parametrize("name", ["voicemail_message", "menu_path", "extraction"])
def test_each_is_taken_away_with_the_word_none(name: str) -> None:
    assert Terms.model_validate({name: "none"}).columns("UTC") == {name: None}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"menu_path": "press two"}, 'write the keys for each prompt, as in "2 1"'),
        ({"extraction": "{"}, "the fields are broken JSON"),
        ({"extraction": "[1]"}, "fields are a JSON schema of an object"),
        ({"extraction": '{"type": "object"}'}, "fields are a JSON schema of an object"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_mend(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words.replace("(", r"\(")):
        Terms.model_validate(given)
