"""Which tools may an assistant be given, and what may be set on each?

An assistant's `tools` are names with options. The kind of a tool is its option `type`, or else its name:
`{"end_call": {}, "transfer": {"mode": "warm"}, "order_status": {"type": "http", "url": "https://…"}}`.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator, SchemaError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, field_validator
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

PLACEHOLDER = re.compile(r"\{(\w+)\}")
SECRET = re.compile(r"\bsecret:([A-Za-z0-9_]+)")
"""`secret:NAME` stands for the environment variable TOOL_SECRET_NAME."""

KEY = re.compile(r"[0-9*#]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]


class ToolProblem(ValueError):
    """A tool's name or options are not sound; the message says what, where and how to mend it."""


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EndCall(_Options):
    """The model ends the call when the caller is done. What it says last is the assistant's `end_call_message`."""

    type: Literal["end_call"] = "end_call"
    description: _Words = ""
    """When to end a call, beside the caller being done."""


class Transfer(_Options):
    """Hands the caller to one of the assistant's `transfer_targets`.

    `cold`: the phone network moves the call (SIP REFER), and we are out of it. `warm`: we call the target, introduce
    the caller to them and leave the two alone; that takes a second line for as long as they talk.
    """

    type: Literal["transfer"] = "transfer"
    mode: Literal["cold", "warm"] = "cold"
    ringing_timeout: float = Field(default=25, ge=5, le=80)
    """Seconds the target's phone rings before the caller is back with us."""
    trunk_id: str | None = None
    """Of a warm transfer: the outbound trunk; None: SIP_TRUNK_ID."""


class SendDtmf(_Options):
    """Presses keys for whoever listens at the other end."""

    type: Literal["send_dtmf"] = "send_dtmf"


class CollectDigits(_Options):
    """Has the caller type digits on their phone's keypad."""

    type: Literal["collect_digits"] = "collect_digits"
    confirm: bool = False
    """Read the digits back before they are used."""
    secret: bool = False
    """Keep what was typed out of the tool's record."""
    timeout: float = Field(default=4, ge=1, le=30)
    """Seconds after a key in which the next must come."""


class KeypadMenu(_Options):
    """Keys that the caller may press at any time instead of saying what they want."""

    type: Literal["keypad_menu"] = "keypad_menu"
    keys: dict[str, Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]] = Field(
        min_length=1
    )
    """What the caller says by pressing each: `{"1": "What are your opening hours?"}`."""

    @field_validator("keys")
    @classmethod
    def _are_keys(cls, keys: dict[str, str]) -> dict[str, str]:
        if wrong := [key for key in keys if not KEY.fullmatch(key)]:
            raise ValueError(f"a telephone has the keys 0 to 9, * and #, and none {', '.join(map(repr, wrong))}")
        return keys


class CallerHistory(_Options):
    """What we know of the caller's earlier calls."""

    type: Literal["caller_history"] = "caller_history"
    calls: int = Field(default=3, ge=1, le=10)


class TakeMessage(_Options):
    """Takes a message for the people of the business."""

    type: Literal["take_message"] = "take_message"


class RequestCallback(_Options):
    """Notes that the caller wants to be called back."""

    type: Literal["request_callback"] = "request_callback"


class CalendarTools(_Options):
    """Appointments in the assistant's calendar: look, book, move, cancel, list. Every assistant with a `calendar_id`
    has them; here is what can be set."""

    type: Literal["calendar"] = "calendar"
    offer: int = Field(default=4, ge=1, le=10)
    """Free times named at once."""


class Http(_Options):
    """Asks a web service.

    `{name}` in the URL's path or query is filled from the arguments; the other arguments go into the query of a GET or
    DELETE, else into a JSON body. `secret:NAME` in URL and headers stands for the environment's TOOL_SECRET_NAME.
    """

    type: Literal["http"] = "http"
    description: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
    """For the model: what it does, and when to use it."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON schema (2020-12) of the arguments; an object."""
    headers: dict[str, str] = Field(default_factory=dict)
    timeout: float = Field(default=8, ge=0.5, le=30)
    """Seconds for all of it."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        return _web_address(url)

    @field_validator("parameters")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any]) -> dict[str, Any]:
        if schema.get("type") != "object":
            raise ValueError('the schema of the arguments is an object: {"type": "object", "properties": {…}}')
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError(f"no JSON schema: {error.message}") from None
        if elsewhere := next((found for found in _references(schema) if not found.startswith("#")), None):
            raise ValueError(f"the schema must hold all that it refers to: {elsewhere!r} is elsewhere; use #/$defs/…")
        try:
            registry: Registry[Any] = Registry()
            resolver = registry.with_resource("", DRAFT202012.create_resource(schema)).resolver()
            for reference in _references(schema):
                resolver.lookup(reference)
        except Unresolvable as error:
            raise ValueError(f"the schema refers to {error.ref!r}, which is not in it") from None
        return schema

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        return _sendable(headers)


class Mcp(_Options):
    """The tools of an MCP server (Model Context Protocol, streamable HTTP or SSE)."""

    type: Literal["mcp"] = "mcp"
    url: Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]
    headers: dict[str, str] = Field(default_factory=dict)
    allowed_tools: list[str] = Field(default_factory=list)
    """Which of its tools the assistant gets; empty: all of them."""
    timeout: float = Field(default=8, ge=0.5, le=60)
    """Seconds for one use of a tool."""

    @field_validator("url")
    @classmethod
    def _is_an_address(cls, url: str) -> str:
        return _web_address(url)

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        return _sendable(headers)


ToolOptions = Annotated[
    EndCall | Transfer | SendDtmf | CollectDigits | KeypadMenu | CallerHistory | TakeMessage | RequestCallback | CalendarTools
    | Http | Mcp,
    Field(discriminator="type"),
]  # fmt: skip
_ADAPTER: TypeAdapter[ToolOptions] = TypeAdapter(ToolOptions)
KINDS = (
    "end_call", "transfer", "send_dtmf", "collect_digits", "keypad_menu", "caller_history", "take_message",
    "request_callback", "calendar", "http", "mcp",
)  # fmt: skip
_ONCE = frozenset(KINDS) - {"http", "mcp"}


def read(name: str, options: Mapping[str, Any]) -> ToolOptions:
    """One entry of an assistant's tools.

    Raises:
        ToolProblem: a line for each thing that is wrong.
    """
    if not _NAME.fullmatch(name):
        raise ToolProblem(f"tools.{name}: a tool's name is up to 64 letters, digits, _ and -, and begins with a letter")
    kind = options.get("type", name)
    if kind not in KINDS:
        raise ToolProblem(f"tools.{name}: there is no tool {kind!r}; choose a type of: {', '.join(KINDS)}")
    if kind in _ONCE and name != kind:
        raise ToolProblem(f"tools.{name}: {kind} has one name only; write it as {kind!r}")
    if kind not in _ONCE and name in _ONCE:
        raise ToolProblem(f"tools.{name}: the name is taken by the tool {name!r}; give it another")
    try:
        return _ADAPTER.validate_python({**options, "type": kind})
    except ValidationError as error:
        raise ToolProblem("\n".join(_lines(name, error))) from None


def read_all(tools: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, ToolOptions], list[str]]:
    """The sound entries of an assistant's tools, and what is wrong with the others, a text each."""
    sound: dict[str, ToolOptions] = {}
    problems: list[str] = []
    for name, options in tools.items():
        try:
            sound[name] = read(name, options)
        except ToolProblem as problem:
            problems.append(str(problem))
    return sound, problems


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or re.search(r"[\r\n\x00]", value):
            raise ValueError(f"{name!r} cannot be sent as a header")
    return headers


def _references(schema: object) -> Iterator[str]:
    """Everything that a JSON schema refers to. What is not in the schema itself would be fetched from the network."""
    if isinstance(schema, dict):
        for key, value in cast("dict[str, object]", schema).items():
            if key in ("$ref", "$dynamicRef", "$recursiveRef") and isinstance(value, str):
                yield value
            yield from _references(value)
    elif isinstance(schema, list):
        for one in cast("list[object]", schema):
            yield from _references(one)


def _web_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  reading it is what checks it
    except ValueError as error:
        raise ValueError(f"no address of a web service: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("a web service's address begins with https:// or http:// and has a host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("user and password in an address end up in logs; send them as a header with secret:NAME")
    if PLACEHOLDER.search(parts.netloc) or SECRET.search(parts.netloc):
        raise ValueError("the host is fixed: nothing that the model says may choose which machine is asked")
    return url


def _lines(name: str, error: ValidationError) -> list[str]:
    return [
        f"tools.{'.'.join([name, *(str(part) for part in problem['loc'][1:])])}: "
        + problem["msg"].removeprefix("Value error, ")
        for problem in error.errors(include_input=False, include_url=False)
    ]
