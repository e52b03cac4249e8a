"""Has somebody else changed this since it was read? ETags (RFC 9110): a GET says one, an edit hands it back in
`If-Match`, and is refused when it is no longer the present one."""

import hashlib
import json
from typing import Annotated

from fastapi import Header, Response
from pydantic import BaseModel

from voiceagents.web.problems import Problem

IfMatch = Annotated[
    str | None,
    Header(max_length=500, description="The `ETag` that the change is based on; refused (412) when it has changed."),
]


def etag_of(view: BaseModel | object) -> str:
    """The tag of something as it is."""
    plain = view.model_dump_json() if isinstance(view, BaseModel) else json.dumps(view, default=str)
    return f'"{hashlib.sha256(plain.encode(errors="replace")).hexdigest()[:24]}"'


def tag(response: Response, view: BaseModel) -> None:
    """Says the tag along with what it is of."""
    response.headers["ETag"] = etag_of(view)


def require_match(if_match: str | None, now: BaseModel | str) -> None:
    """Nothing, when the edit is based on what is there now (or its tag), or does not say on what.

    Raises:
        Problem: 412.
    """
    if if_match is None or if_match.strip() == "*":
        return
    if (now if isinstance(now, str) else etag_of(now)) not in [one.strip() for one in if_match.split(",")]:
        raise Problem(
            412,
            "It has changed since you read it",
            "Somebody else has changed this meanwhile; nothing was written. Read it again, then repeat the change.",
            kind="changed",
        )
