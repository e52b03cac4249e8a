"""Which campaigns, or which contacts of one, fit what a person typed? Keyset pages: each costs the same, however long
the list is and however far one has leafed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from voiceagents import phone
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.states import CampaignState, ContactState

T = TypeVar("T")

_FEWEST_DIGITS = 3


@dataclass(frozen=True)
class Page(Generic[T]):
    """A piece of a list."""

    rows: Sequence[T]
    next: str | None
    """What to ask for the page after this one; None when this is the last."""


async def campaigns(
    session: AsyncSession, *, archived: bool = False, search: str = "", after: str | None = None, limit: int = 25
) -> Page[Campaign]:
    """Campaigns, the newest first.

    Args:
        session: of the transaction.
        archived: only those that were archived, or only the others.
        search: part of the name.
        after: the `next` of the page before.
        limit: how many.
    """
    state = Campaign.state == CampaignState.ARCHIVED if archived else Campaign.state != CampaignState.ARCHIVED
    query = select(Campaign).where(state).order_by(Campaign.created_at.desc(), Campaign.id.desc()).limit(limit + 1)
    if search:
        query = query.where(Campaign.name.icontains(search, autoescape=True))
    if (last := await _campaign(session, after)) is not None:
        query = query.where(tuple_(Campaign.created_at, Campaign.id) < (last.created_at, last.id))
    rows = (await session.scalars(query)).all()
    return Page(rows[:limit], str(rows[limit - 1].id) if len(rows) > limit else None)


async def contacts(
    session: AsyncSession,
    campaign_id: UUID,
    *,
    state: str | None = None,
    outcome: str | None = None,
    search: str = "",
    after: str | None = None,
    limit: int = 50,
    region: str | None = None,
) -> Page[Contact]:
    """Contacts of a campaign in the order of its list; those that a search finds by number in the order of numbers.

    Args:
        session: of the transaction.
        campaign_id: whose.
        state: only those in this state.
        outcome: only those whose last call ended so.
        search: a number or how it begins, or how the name begins.
        after: the `next` of the page before.
        limit: how many.
        region: country of a number that is searched without its country code.
    """
    query = select(Contact).where(Contact.campaign_id == campaign_id).limit(limit + 1)
    if outcome:
        query = query.where(Contact.last_outcome == outcome)
    digits = _digits(search, region)
    if digits:
        return await _by_number(session, query.where(Contact.state == state) if state else query, digits, after, limit)
    if search:
        query = query.where(_name_begins(search))
    if after and after.isdecimal():
        query = query.where(Contact.position > int(after))
    if outcome or search:
        narrowed = query.where(Contact.state == state) if state else query
        rows = (await session.scalars(narrowed.order_by(Contact.position))).all()
        return _page(rows, limit)
    # One walk along the index for each state, and the first of all that they find: none of them sorts a long list.
    states = [ContactState(state)] if state else list(ContactState)
    found = union_all(
        *(query.where(Contact.state == one).order_by(Contact.position).subquery().select() for one in states)
    )
    contact = aliased(Contact, found.subquery())
    rows = (await session.scalars(select(contact).order_by(contact.position).limit(limit + 1))).all()
    return _page(rows, limit)


def _page(rows: Sequence[Contact], limit: int) -> Page[Contact]:
    return Page(rows[:limit], str(rows[limit - 1].position) if len(rows) > limit else None)


async def _by_number(
    session: AsyncSession, query: Select[Contact], begins: str, after: str | None, limit: int
) -> Page[Contact]:
    query = query.where(Contact.phone >= begins, Contact.phone <= f"{begins}~")
    if after:
        query = query.where(Contact.phone > after)
    rows = (await session.scalars(query.order_by(Contact.phone))).all()
    return Page(rows[:limit], rows[limit - 1].phone if len(rows) > limit else None)


def _digits(search: str, region: str | None) -> str:
    """The number, or its beginning, that is searched for, in E.164; empty when it is no number."""
    try:
        return phone.normalize(search, region) if search else ""
    except phone.InvalidPhoneNumber:
        digits = phone.same_number(search)
        plain = search.strip().lstrip("+").replace(" ", "").replace("-", "").replace("(", "").replace(")", "")
        return f"+{digits}" if len(digits) >= _FEWEST_DIGITS and plain == digits else ""


def _name_begins(search: str) -> ColumnElement[bool]:
    return func.lower(Contact.name).startswith(search.strip().lower(), autoescape=True)


async def _campaign(session: AsyncSession, campaign_id: str | None) -> Campaign | None:
    try:
        return await session.get(Campaign, UUID(campaign_id)) if campaign_id else None
    except ValueError:
        return None
