"""What of a tool's arguments and answers is kept? All but secrets."""

from typing import Any

import pytest

from voiceagents.assistants.tool_options import read_all
from voiceagents.livekit.tools.masking import UnknownSecret, filled, masked, secrets_of

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ({"order": "A-17", "pin": "1234"}, {"order": "A-17", "pin": "***"}),
        ({"cardNumber": "4111111111111111"}, {"cardNumber": "***"}),
        ({"card_no": 4111}, {"card_no": "***"}),
        ({"who": {"api_key": "k", "password": ["a", "b"]}}, {"who": {"api_key": "***", "password": ["***", "***"]}}),
        ({"pinned": "yes", "spinach": 1, "shipping": "x"}, {"pinned": "yes", "spinach": 1, "shipping": "x"}),
        ({"note": "the key is hunter2, really"}, {"note": "the key is ***, really"}),
        ({"confirmed": True, "token": None}, {"confirmed": True, "token": None}),
        ("Bearer hunter2", "Bearer ***"),
    ],
)
def test_secrets_are_masked_and_all_else_is_kept(value: Any, kept: Any) -> None:
    assert masked(value, frozenset({"hunter2"})) == kept


def test_a_secret_is_a_reference_to_the_environment() -> None:
    known = {"CRM": "hunter2"}
    assert filled("Bearer secret:CRM", known.get) == "Bearer hunter2"
    assert filled("no secrets here", known.get) == "no secrets here"
    with pytest.raises(UnknownSecret, match="TOOL_SECRET_OTHER"):
        filled("secret:OTHER", known.get)


def test_the_secrets_of_all_tools_are_known_so_that_none_is_kept() -> None:
    tools, _ = read_all(
        {
            "a": {"type": "http", "description": "d", "url": "https://a.example/?k=secret:ONE"},
            "b": {"type": "mcp", "url": "https://b.example/mcp", "headers": {"Authorization": "Bearer secret:TWO"}},
        }
    )
    assert secrets_of(tools, {"ONE": "1111", "TWO": "2222"}.get) == {"1111", "2222"}
