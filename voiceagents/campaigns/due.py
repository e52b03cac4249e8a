"""Which contacts of a campaign are due, and when will the next one be?

Asked for every few calls, so nothing here may grow with the length of the list: contacts are found by their zones, of
which there are few, in the order of one index.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.campaigns import facts
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.states import ContactState
from voiceagents.campaigns.zones import zones_of

_LOOKED_UP_AT_ONCE = 2_000
_AT_ONCE = timedelta(milliseconds=50)


@dataclass(frozen=True)
class Zones:
    """The zones of a campaign's waiting contacts."""

    open: Sequence[str]
    """Where the window is open now. Zones that nobody can read are among them: the rules say what is wrong."""

    shut: Sequence[str]
    opens_at: datetime | None
    """When the next of the shut ones opens."""

    unknown: bool
    """Some contacts have not been looked up yet."""


def zones_of_key(key: str) -> list[ZoneInfo]:
    """The zones that a contact's `zones` column stands for; none when nobody can read them."""
    return [] if key in ("", "?") else [ZoneInfo(name) for name in key.split("|")]


async def zones(session: AsyncSession, campaign: Campaign, now: datetime) -> Zones:
    """Looks up the zones of some new contacts, and says which zones may be called now."""
    unknown = await _look_up(session, campaign)
    # A loose index scan: as many steps as there are zones, however many contacts.
    found = await session.scalars(
        text(
            """
            WITH RECURSIVE zone AS (
                (SELECT zones FROM contacts WHERE campaign_id = :campaign AND state = 'waiting' AND zones > ''
                 ORDER BY zones LIMIT 1)
                UNION ALL
                SELECT (SELECT c.zones FROM contacts c WHERE c.campaign_id = :campaign AND c.state = 'waiting'
                        AND c.zones > zone.zones ORDER BY c.zones LIMIT 1)
                FROM zone WHERE zone.zones IS NOT NULL)
            SELECT zones FROM zone WHERE zones IS NOT NULL
            """
        ),
        {"campaign": campaign.id},
    )
    window = facts.window_of(campaign)
    open_now: list[str] = []
    shut: list[str] = []
    opens_at: datetime | None = None
    for key in found:
        places = zones_of_key(key)
        readable = places and window.problem is None
        opening = window.next_opening(now, *places) if readable and not window.is_open(now, *places) else None
        if opening is None:
            open_now.append(key)
        else:
            shut.append(key)
            opens_at = opening if opens_at is None else min(opens_at, opening)
    return Zones(open_now, shut, opens_at, unknown)


async def _look_up(session: AsyncSession, campaign: Campaign) -> bool:
    """Looks up the zones of contacts that have none yet (newly imported, or edited). True when some are left."""
    new = (
        select(Contact.id, Contact.time_zone, Contact.phone)
        .where(Contact.campaign_id == campaign.id, Contact.state == ContactState.WAITING, Contact.zones == "")
        .limit(_LOOKED_UP_AT_ONCE)
    )
    fresh = (await session.execute(new.with_for_update(skip_locked=True))).all()
    if fresh:
        found = [zones_of(zone, phone, campaign.time_zone).names for _, zone, phone in fresh]
        await session.execute(
            text(
                "UPDATE contacts SET zones = found.zones FROM unnest(CAST(:ids AS uuid[]), CAST(:zones AS text[]))"
                " AS found(id, zones) WHERE contacts.id = found.id"
            ),
            {"ids": [id_ for id_, _, _ in fresh], "zones": ["|".join(names) or "?" for names in found]},
        )
    return (await session.execute(new.limit(1))).first() is not None


async def contacts(
    session: AsyncSession, campaign: Campaign, open_zones: Sequence[str], now: datetime, count: int
) -> Sequence[Contact]:
    """The contacts that have been due longest, at most `count`, locked; those that somebody else holds are left to
    them."""
    ids = await _ids(session, campaign, open_zones, now, count)
    if not ids:
        return ()
    return (
        await session.scalars(
            select(Contact)
            .where(Contact.id.in_(ids), Contact.state == ContactState.WAITING)
            .order_by(Contact.next_at, Contact.position)
            .with_for_update(skip_locked=True)
            .execution_options(populate_existing=True)
        )
    ).all()


async def anybody(session: AsyncSession, campaign: Campaign, open_zones: Sequence[str], now: datetime) -> bool:
    """Whether some contact is due."""
    return bool(await _ids(session, campaign, open_zones, now, 1))


async def _ids(
    session: AsyncSession, campaign: Campaign, open_zones: Sequence[str], now: datetime, count: int
) -> Sequence[object]:
    if not open_zones:
        return ()
    # One short index scan a zone, and the best of them: the cost does not grow with the list.
    found = await session.scalars(
        text(
            """
            SELECT due.id FROM unnest(CAST(:zones AS text[])) AS zone
            CROSS JOIN LATERAL (
                SELECT id, next_at, position FROM contacts
                WHERE campaign_id = :campaign AND state = 'waiting' AND zones = zone AND next_at <= :now
                ORDER BY next_at, position LIMIT :count) AS due
            ORDER BY due.next_at, due.position LIMIT :count
            """
        ),
        {"zones": list(open_zones), "campaign": campaign.id, "now": now, "count": count},
    )
    return found.all()


async def next_due(session: AsyncSession, campaign: Campaign, places: Zones, now: datetime) -> datetime | None:
    """When the next contact is due, those that are due already left out; None when nothing is in sight."""
    if places.unknown:
        return now + _AT_ONCE
    later = await session.scalar(
        text(
            """
            SELECT min(next.next_at) FROM unnest(CAST(:zones AS text[])) AS zone
            CROSS JOIN LATERAL (
                SELECT next_at FROM contacts
                WHERE campaign_id = :campaign AND state = 'waiting' AND zones = zone AND next_at > :now
                ORDER BY next_at LIMIT 1) AS next
            """
        ),
        {"zones": [*places.open, *places.shut], "campaign": campaign.id, "now": now},
    )
    return min((moment for moment in (later, places.opens_at) if moment is not None), default=None)


async def unfinished(session: AsyncSession, campaign: Campaign) -> bool:
    """Whether a contact waits or has a call."""
    open_states = [ContactState.WAITING, ContactState.CALLING]
    found = select(Contact.id).where(Contact.campaign_id == campaign.id, Contact.state.in_(open_states)).limit(1)
    return await session.scalar(found) is not None
