"""Which calls were there? The history with its filters, page by page."""

from contextlib import suppress
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response

from voiceagents import phone
from voiceagents.assistants import store
from voiceagents.calls import listing
from voiceagents.calls.listing import CallFilter, Place
from voiceagents.calls.states import CallState, Direction, Outcome
from voiceagents.campaigns import search
from voiceagents.campaigns.models import Campaign
from voiceagents.web.auth import Viewer
from voiceagents.web.pages.rendering import page, query_of
from voiceagents.web.pages.week import zone_or_utc
from voiceagents.web.state import database_of

router = APIRouter(prefix="/calls")
Word = TypeVar("Word", bound=StrEnum)

_ROWS = 50
_FILTERS = ("search", "campaign", "assistant", "direction", "outcome", "state", "from", "to")
_FEWEST_DIGITS = 7


@router.get("")
async def list_calls(request: Request, user: Viewer) -> Response:
    database = database_of(request)
    query = query_of(request)
    async with database.transaction() as session:
        found = await listing.page(session, _filter(query), after=_place(query.get("after")), limit=_ROWS + 1)
        assistants = [(one.id, one.name) for one in await store.assistants(session)]
        campaigns = [(str(one.id), one.name) for one in (await search.campaigns(session)).rows]
        chosen = query.get("campaign")
        if chosen and chosen not in dict(campaigns):
            with suppress(ValueError):
                if (one := await session.get(Campaign, UUID(chosen))) is not None:
                    campaigns.append((chosen, one.name))
    shown, last = found[:_ROWS], found[_ROWS - 1] if len(found) > _ROWS else None
    return page(
        request, user, "calls/list", nav="Calls", assistants=assistants, campaigns=campaigns,
        campaign_names=dict(campaigns),
        calls=search.Page(shown, f"{last.created_at.isoformat()}_{last.id}" if last else None),
        outcomes=[outcome.value for outcome in Outcome], filtered=any(query.get(name) for name in _FILTERS),
    )  # fmt: skip


def _filter(query: dict[str, str]) -> CallFilter:
    zone = zone_or_utc(query.get("zone", "UTC"))
    asked = query.get("search", "")
    number = _number(asked)
    since, until = _day(query.get("from")), _day(query.get("to"))
    return CallFilter(
        campaign_id=query.get("campaign"),
        assistant_id=query.get("assistant"),
        direction=_word(Direction, query.get("direction")),
        outcome=_word(Outcome, query.get("outcome")),
        state=_word(CallState, query.get("state")),
        number=number,
        words=asked if asked and number is None else None,
        since=datetime.combine(since, time.min, zone) if since else None,
        until=datetime.combine(until + timedelta(days=1), time.min, zone) if until else None,
    )


def _number(text: str) -> str | None:
    """The number that is meant, when it is one."""
    try:
        return phone.normalize(text)
    except phone.InvalidPhoneNumber:
        digits = phone.same_number(text)
        return f"+{digits}" if len(digits) >= _FEWEST_DIGITS and not any(c.isalpha() for c in text) else None


def _word(kind: type[Word], text: str | None) -> Word | None:
    with suppress(ValueError):
        return kind(text) if text else None
    return None


def _day(text: str | None) -> date | None:
    with suppress(ValueError):
        return date.fromisoformat(text) if text else None
    return None


def _place(text: str | None) -> Place | None:
    at, _, call_id = (text or "").partition("_")
    with suppress(ValueError):
        return Place(datetime.fromisoformat(at), UUID(call_id)) if call_id else None
    return None
