"""Which text can be stored and sent? PostgreSQL's text holds neither NUL nor half a surrogate pair, and UTF-8 cannot
carry the latter; both come in with broken metadata, or with an emoji that a model's stream was cut in.
"""

import re
from typing import Any, cast

_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


def storable(text: str) -> str:
    """The text without what cannot be stored: NUL left out, half a character replaced."""
    return _LONE_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).replace("\x00", "")


def storable_value(value: Any) -> Any:
    """The same for every text in a value made of objects and lists."""
    match value:
        case str():
            return storable(value)
        case dict():
            return {storable_value(key): storable_value(inner) for key, inner in cast("dict[Any, Any]", value).items()}
        case list():
            return [storable_value(inner) for inner in cast("list[Any]", value)]
        case _:
            return value
