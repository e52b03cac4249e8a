"""What of a tool's arguments and answers may be kept? All but secrets: values that the environment gives, and arguments
whose name says what they are."""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from voiceagents.assistants.tool_options import SECRET, Http, Mcp, ToolOptions
from voiceagents.livekit.discretion import HIDDEN

_SECRET_NAME = re.compile(
    r"(?i)pass(word|wd|code|phrase)|secret|token|api_?key|credential|authori[sz]ation|(^|_)(pin|otp|cvv|cvc|ssn|iban|tan)(_|$)"
    r"|card_?(number|no)|(one_?time|security|verification)_?code"
)


class UnknownSecret(Exception):
    """A tool's options name a secret that the environment does not have."""


def filled(text: str, secret: Callable[[str], str | None]) -> str:
    """The text with each `secret:NAME` replaced by its value.

    Raises:
        UnknownSecret: with the variable to set.
    """

    def value(found: re.Match[str]) -> str:
        known = secret(found.group(1))
        if not known:
            raise UnknownSecret(f"the environment has no TOOL_SECRET_{found.group(1).upper()}")
        return known

    return SECRET.sub(value, text)


def secrets_of(tools: Mapping[str, ToolOptions], secret: Callable[[str], str | None]) -> frozenset[str]:
    """The values of every secret that these tools use."""
    texts = [
        text
        for options in tools.values()
        if isinstance(options, Http | Mcp)
        for text in (options.url, *options.headers.values())
    ]
    names = {name for text in texts for name in SECRET.findall(text)}
    return frozenset(value for name in names if (value := secret(name)))


def masked(value: Any, secrets: frozenset[str], key: str = "") -> Any:
    """The value without secrets: an object keeps its keys."""
    match value:
        case dict():
            inner = cast("dict[str, Any]", value)
            return {name: masked(one, secrets, name) for name, one in inner.items()}
        case list():
            return [masked(one, secrets, key) for one in cast("list[Any]", value)]
        case None | "" | bool():
            return value
        case _ if key and _SECRET_NAME.search(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key)):
            return HIDDEN
        case str():
            for one in sorted(secrets, key=len, reverse=True):
                value = value.replace(one, HIDDEN)
            return value
        case _:
            return value
