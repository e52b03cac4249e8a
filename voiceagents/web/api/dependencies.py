"""What do the routes of the API have in common? A transaction, who asks, and how errors look."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, model_validator
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.recording_store import RecordingStore
from voiceagents.db import Database
from voiceagents.settings import Settings
from voiceagents.text import storable_value
from voiceagents.web.problems import MEDIA_TYPE, ProblemDetails
from voiceagents.web.state import database_of, recordings_of, settings_of


def below(request: Request, id_: str) -> str:
    """The address of what was just made in the list that was asked; ids of people's own making hold any letters."""
    return f"{request.url.path}/{quote(id_, safe='')}"


async def _transaction(request: Request) -> AsyncGenerator[AsyncSession]:
    async with database_of(request).transaction() as session:
        yield session


# Committed before the answer goes out: what was answered is true.
Tx = Annotated[AsyncSession, Depends(_transaction, scope="function")]
Data = Annotated[Database, Depends(database_of)]
Env = Annotated[Settings, Depends(settings_of)]
Recordings = Annotated[RecordingStore, Depends(recordings_of)]

_PROBLEM: dict[str, Any] = {
    "content": {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{ProblemDetails.__name__}"}}}
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {"description": "The body cannot be read", **_PROBLEM},
    401: {"description": "Who are you?", "model": ProblemDetails},
    403: {"description": "You may not do that", **_PROBLEM},
    404: {"description": "There is no such thing", **_PROBLEM},
    409: {"description": "That cannot be done as things are", **_PROBLEM},
    412: {"description": "It has changed since you read it", **_PROBLEM},
    413: {"description": "Too long", **_PROBLEM},
    422: {"description": "Something in the request will not do; the fields are named", **_PROBLEM},
    503: {"description": "Database or LiveKit is away; try again", **_PROBLEM},
}
"""What any route may answer beside its own."""


class Body(BaseModel):
    """What a client sends: no unknown fields, and only text that can be stored."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, values: Any) -> Any:
        return storable_value(values)


class View(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(from_attributes=True)
