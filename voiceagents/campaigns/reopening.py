"""Who must be looked at again when a campaign's terms change? Whom a rule put off or skipped for a reason that the
change may have removed.

The edit itself looks through the first of a long list, and leaves in the campaign's row what is to be looked for and
how far it came; engines go on from there, some contacts at a time, between their feedings. Each step is one
transaction under the campaign's lock, so that a crash repeats it and no step holds up a dial or a pause for long.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.campaigns import rules
from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.states import CampaignState
from voiceagents.zones import UnknownZone, zone_named

AT_ONCE = 1_000
"""Contacts that one step looks through: about a tenth of a second."""

_WINDOW = {"window", "time_zone", "holidays_of", "blackout"}
_PUTS_OFF = {*_WINDOW, "attempts_per_day", "minimum_gap_seconds"}
"""Columns whose change may bring the next time of a contact nearer."""

_SKIPS = {
    rules.window_is_open.__name__: _WINDOW,
    rules.number_has_attempts_left.__name__: {"attempts_per_number"},
    rules.campaign_has_not_expired.__name__: {"expires_at"},
}
"""Rules that skip a contact for good, and the columns on which they look."""

_MAY_DIAL = (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED)


async def begin(
    session: AsyncSession, campaign: Campaign, changed: Collection[str], old_zone: str, now: datetime
) -> int:
    """Looks through the first contacts after a change of the locked campaign.

    Args:
        session: of the transaction.
        campaign: as it is after the change. What an earlier change left to be done stays to be done.
        changed: the columns that changed.
        old_zone: the campaign's time zone before.
        now: when the contacts are due.

    Returns the contacts looked at again so far; `campaign.reopening` is set while others may follow.
    """
    left: dict[str, Any] = campaign.reopening or {}
    skipped_by = {rule for rule, columns in _SKIPS.items() if columns & set(changed)}
    puts_off = bool(_PUTS_OFF & set(changed))
    if not skipped_by and not puts_off:
        return 0
    zones = {_key(old_zone), "?"} if "time_zone" in changed else set[str]()
    campaign.reopening = {
        "changed": sorted({*changed, *left.get("changed", ())}),
        "skipped_by": sorted(skipped_by | set(left.get("skipped_by", ()))),
        "puts_off": puts_off or left.get("puts_off", False),
        "zones": sorted(zones | set(left.get("zones", ()))),
        "after": "",
    }
    return await go_on(session, campaign, now)


async def go_on(session: AsyncSession, campaign: Campaign, now: datetime) -> int:
    """One step for a locked campaign. Returns the contacts that are looked at again."""
    if campaign.reopening is None:
        return 0
    if campaign.state not in _MAY_DIAL:
        campaign.reopening = None
        return 0
    left = campaign.reopening
    await session.flush()
    step = {"campaign": campaign.id, "after": left["after"]}
    seen, last = (await session.execute(_REACH, step | {"most": AT_ONCE})).one()
    step["until"] = last
    if seen and left["zones"]:
        await session.execute(_FORGET_ZONES, step | {"zones": left["zones"]})
    found: Any = None
    if seen:
        words = f"looked at again: the campaign's {', '.join(left['changed'])} changed"
        looked_for = {"skipped_by": left["skipped_by"], "puts_off": left["puts_off"]}
        found = await session.execute(_LOOK_AGAIN, step | looked_for | {"now": now, "words": words})
    campaign.reopening = {**left, "after": last} if seen == AT_ONCE else None
    return 0 if found is None else found.rowcount


def _key(zone: str) -> str:
    """What stands with contacts that have no place of their own: they were given the campaign's zone."""
    try:
        return zone_named(zone).key
    except UnknownZone:
        return "?"


# By phone: of the contacts of a campaign that is one index, whatever their state.
_REACH = text(
    """
    SELECT count(*), max(phone) FROM (
        SELECT phone FROM contacts WHERE campaign_id = :campaign AND phone > :after ORDER BY phone LIMIT :most) AS step
    """
)

_FORGET_ZONES = text(
    """
    UPDATE contacts SET zones = '' WHERE campaign_id = :campaign AND phone > :after AND phone <= :until
    AND zones = ANY(CAST(:zones AS text[])) AND state IN ('waiting', 'calling')
    """
)
"""They are looked up again, by the new zone of the campaign."""

_LOOK_AGAIN = text(
    """
    WITH decided AS (
        SELECT contacts.id FROM contacts
        CROSS JOIN LATERAL (
            SELECT verdict, rule FROM decisions WHERE contact_id = contacts.id ORDER BY at DESC, id DESC LIMIT 1
        ) AS last
        WHERE contacts.campaign_id = :campaign AND phone > :after AND phone <= :until
        AND (contacts.state = 'skipped' AND last.verdict = 'skip' AND last.rule = ANY(CAST(:skipped_by AS text[]))
            OR contacts.state = 'waiting' AND last.verdict = 'defer' AND last.rule <> 'contact_is_due'
            AND CAST(:puts_off AS boolean))
    ), again AS (
        UPDATE contacts SET state = 'waiting', next_at = :now, zones = '' FROM decided
        WHERE contacts.id = decided.id RETURNING contacts.id
    )
    INSERT INTO decisions (campaign_id, contact_id, at, verdict, rule, words, next_at)
    SELECT :campaign, id, :now, 'defer', 'campaign_was_edited', :words, :now FROM again
    """
)
