"""What may be set on a tool, and what is said of that which may not?"""

from typing import Any

import pytest

from voiceagents.assistants.tool_options import KINDS, Http, Transfer, read, read_all
from voiceagents.assistants.tool_options import ToolProblem as Problem

pytestmark = pytest.mark.unit

HTTP: dict[str, Any] = {"type": "http", "description": "Looks up an order.", "url": "https://shop.example/orders/{id}"}


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("http", "mcp", "keypad_menu")])
def test_a_tool_of_our_own_needs_no_options(kind: str) -> None:
    assert read(kind, {}).type == kind


def test_the_type_of_a_web_service_is_an_option_and_its_name_is_free() -> None:
    options = read("order_status", HTTP)
    assert isinstance(options, Http)
    assert (options.method, options.timeout) == ("GET", 8)


def test_options_are_read() -> None:
    options = read("transfer", {"mode": "warm", "ringing_timeout": 40})
    assert isinstance(options, Transfer)
    assert (options.mode, options.ringing_timeout) == ("warm", 40)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("teleport", {}, "there is no tool 'teleport'"),
        ("transfer", {"mode": "hot"}, "tools.transfer.mode"),
        ("transfer", {"mood": "warm"}, "tools.transfer.mood"),
        ("end", {"type": "end_call"}, "has one name only"),
        ("end_call", HTTP, "the name is taken"),
        ("order status", HTTP, "letters, digits"),
        ("orders", {**HTTP, "description": " "}, "tools.orders.description"),
        ("orders", {**HTTP, "timeout": 90}, "tools.orders.timeout"),
        ("orders", {**HTTP, "url": "file:///etc/passwd"}, "https:// or http://"),
        ("orders", {**HTTP, "url": "https:///x"}, "has a host"),
        ("orders", {**HTTP, "url": "https://me:pw@shop.example/"}, "secret:NAME"),
        ("orders", {**HTTP, "url": "https://{host}/"}, "the host is fixed"),
        ("orders", {**HTTP, "url": "https://shop.example:{port}/"}, "no address"),
        ("orders", {**HTTP, "url": "https://shop.example:99999/"}, "no address"),
        ("orders", {**HTTP, "parameters": {"type": "array"}}, "is an object"),
        ("orders", {**HTTP, "parameters": {"type": "object", "required": "a"}}, "no JSON schema"),
        ("orders", {**HTTP, "parameters": {"type": "object", "$ref": "http://169.254.169.254/x"}}, "is elsewhere"),
        ("orders", {**HTTP, "parameters": {"type": "object", "allOf": [{"$ref": "file:///x"}]}}, "is elsewhere"),
        ("orders", {**HTTP, "parameters": {"type": "object", "allOf": [{"$ref": "#/$defs/a"}]}}, "is not in it"),
        ("orders", {**HTTP, "headers": {"X-A": "a\r\nX-B: b"}}, "cannot be sent"),
        ("crm", {"type": "mcp", "url": "stdio:rm"}, "https:// or http://"),
        ("crm", {"type": "mcp", "url": "https://crm.example/", "headers": {"X-A": "a\r\nX-B: b"}}, "cannot be sent"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(name: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(Problem) as raised:
        read(name, options)
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"tools.{name}")


def test_a_schema_may_refer_to_itself() -> None:
    tree = {"type": "object", "properties": {"child": {"$ref": "#/$defs/n"}}, "$defs": {"n": {"type": "string"}}}
    assert isinstance(read("orders", {**HTTP, "parameters": tree}), Http)


def test_one_bad_tool_costs_no_other() -> None:
    sound, problems = read_all({"end_call": {}, "teleport": {}, "orders": HTTP})
    assert set(sound) == {"end_call", "orders"}
    assert len(problems) == 1
