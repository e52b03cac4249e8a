"""How does a client get the next page? By a cursor, which it hands back as it came."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from voiceagents.web.problems import Problem, invalid

T = TypeVar("T")
Row = TypeVar("Row")

MOST = 200

Limit = Annotated[int, Query(ge=1, le=MOST, description="How many at most.")]
Cursor = Annotated[str | None, Query(max_length=300, description="`next` of the page before; none for the first page.")]


class Page(BaseModel, Generic[T]):
    """Some of a list."""

    items: list[T]
    next: str | None
    """Cursor of the page after this; null on the last one."""


def page_of(
    rows: Sequence[Row], limit: int, view: Callable[[Row], T], place: Callable[[Row], Sequence[Any]]
) -> Page[T]:
    """The page. `rows` were asked for with a limit one higher, to know whether more come.

    Args:
        rows: of the database.
        limit: how many the client wants.
        view: what it sees of a row.
        place: what its cursor holds.
    """
    shown = rows[:limit]
    following = encode(place(shown[-1])) if len(rows) > limit else None
    return Page[T](items=[view(row) for row in shown], next=following)


def by_word(query: Select[Row], column: InstrumentedAttribute[str], cursor: str | None, limit: int) -> Select[Row]:
    """The rows that `page_of` needs of a list in the order of a column of words.

    Raises:
        Problem: it is no cursor of ours.
    """
    after = word(cursor)
    return (query if after is None else query.where(column > after)).order_by(column).limit(limit + 1)


def encode(place: Sequence[Any]) -> str:
    """A place in a list as text for a URL."""
    plain = json.dumps([value.isoformat() if isinstance(value, datetime) else value for value in place], default=str)
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def number(cursor: str | None) -> int | None:
    """The place of a list by number.

    Raises:
        Problem: it is no cursor of ours.
    """
    if cursor is None:
        return None
    match _decoded(cursor):
        case [int() as place] if 0 <= place < 2**63:
            return place
        case _:
            raise _unknown()


def moment(cursor: str | None) -> tuple[datetime, UUID] | None:
    """The place of a list by time and id.

    Raises:
        Problem: it is no cursor of ours.
    """
    if cursor is None:
        return None
    match _decoded(cursor):
        case [str() as at, str() as id_]:
            try:
                found = datetime.fromisoformat(at), UUID(id_)
            except ValueError:
                raise _unknown() from None
            if found[0].tzinfo is None:
                raise _unknown()
            return found
        case _:
            raise _unknown()


def word(cursor: str | None) -> str | None:
    """The place of a list by name.

    Raises:
        Problem: it is no cursor of ours.
    """
    if cursor is None:
        return None
    match _decoded(cursor):
        case [str() as place]:
            return place
        case _:
            raise _unknown()


def _decoded(cursor: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        raise _unknown() from None


def _unknown() -> Problem:
    return invalid("cursor", "It must be `next` of a page of the same list, unchanged.", where="query")
