"""How does a campaign come into being, and what does a change to it mean for contacts that were decided by the old
terms?

A change takes effect from the next decision. Whom a rule put off or skipped for a reason that the change may have
removed is looked at again.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants import store
from voiceagents.campaigns import lifecycle, rules
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.campaigns.states import CampaignState, ContactState
from voiceagents.campaigns.terms import DEFAULT_WINDOW, Terms, of_campaign
from voiceagents.windows import CallingWindow
from voiceagents.zones import UnknownZone, zone_named

_WINDOW = {"window", "time_zone", "holidays_of", "blackout"}
_PUTS_OFF = {*_WINDOW, "attempts_per_day", "minimum_gap_seconds"}
"""Columns whose change may bring the next time of a contact nearer."""

_SKIPS = {
    rules.window_is_open.__name__: _WINDOW,
    rules.number_has_attempts_left.__name__: {"attempts_per_number"},
    rules.campaign_has_not_expired.__name__: {"expires_at"},
}
"""Rules that skip a contact for good, and the columns on which they look."""


@dataclass(frozen=True)
class Edited:
    """What an edit did."""

    campaign: Campaign
    changed: list[str]
    reopened: int
    """Contacts that are looked at again although a rule had put them off or skipped them."""


async def create(session: AsyncSession, terms: Terms) -> Campaign:
    """A new draft. Without a script of its own it takes its assistant's.

    Raises:
        CampaignProblem: the name is taken, or the terms do not fit together.
        AssistantProblem: there is no such assistant.
    """
    await lifecycle.require_free_name(session, terms.name)
    columns = {"window": CallingWindow.parse(DEFAULT_WINDOW).to_json(), "time_zone": "UTC", **terms.columns("UTC")}
    if terms.assistant_id is not None:
        assistant = await store.find(session, terms.assistant_id)
        columns["prompt"] = columns.get("prompt") or assistant.prompt
    campaign = await lifecycle.add(session, columns)
    _require_order(campaign)
    return campaign


async def edit(session: AsyncSession, campaign_id: UUID, terms: Terms, now: datetime) -> Edited:
    """Changes a campaign, in any state in which it may still dial.

    Raises:
        CampaignProblem: it is over, the name is taken, or the terms do not fit together.
        AssistantProblem: there is no such assistant.
    """
    campaign = await lifecycle.locked(session, campaign_id, "edited")
    before = of_campaign(campaign)
    columns = terms.columns(campaign.time_zone)
    changed = {name for name, value in columns.items() if value != before[name]}
    if "name" in changed:
        await lifecycle.require_free_name(session, terms.name, but=campaign_id)
    if "assistant_id" in changed and terms.assistant_id is not None:
        await store.find(session, terms.assistant_id)
    if "starts_at" in changed and campaign.started_at is not None:
        raise CampaignProblem("The campaign has started already, so its start cannot be moved; pause it instead.")
    for name in changed:
        setattr(campaign, name, columns[name])
    _require_order(campaign)
    _start_if_due(campaign, now)
    if "time_zone" in changed:
        await _forget_zones(session, campaign_id, before["time_zone"])
    reopened = await _look_again(session, campaign_id, changed, now)
    campaign.wake_at = None
    await session.flush()
    await lifecycle.wake(session, campaign_id)
    return Edited(campaign, sorted(changed), reopened)


def _require_order(campaign: Campaign) -> None:
    if campaign.starts_at and campaign.expires_at and campaign.expires_at <= campaign.starts_at:
        raise CampaignProblem("The campaign would expire before it starts.")


def _start_if_due(campaign: Campaign, now: datetime) -> None:
    """A scheduled campaign whose start was moved to now or before, or taken away, runs."""
    if campaign.state is CampaignState.SCHEDULED and (campaign.starts_at is None or campaign.starts_at <= now):
        campaign.state, campaign.started_at = CampaignState.RUNNING, now


async def _forget_zones(session: AsyncSession, campaign_id: UUID, old_zone: str) -> None:
    """Contacts without a place of their own were given the campaign's zone; they are looked up again."""
    try:
        fallback = zone_named(old_zone).key
    except UnknownZone:
        fallback = "?"
    await session.execute(
        update(Contact)
        .where(
            Contact.campaign_id == campaign_id,
            Contact.zones.in_([fallback, "?"]),
            Contact.state.in_([ContactState.WAITING, ContactState.CALLING]),
        )
        .values(zones="")
    )


async def _look_again(session: AsyncSession, campaign_id: UUID, changed: set[str], now: datetime) -> int:
    """Sets back to waiting, and due now, whom a rule put off or skipped that may now decide otherwise."""
    skipped_by = [rule for rule, columns in _SKIPS.items() if columns & changed]
    puts_off = bool(_PUTS_OFF & changed)
    if not skipped_by and not puts_off:
        return 0
    answer: Any = await session.execute(
        _LOOK_AGAIN,
        {
            "campaign": campaign_id,
            "now": now,
            "skipped_by": skipped_by,
            "puts_off": puts_off,
            "words": f"looked at again: the campaign's {', '.join(sorted(changed))} changed",
        },
    )
    return answer.rowcount


_LOOK_AGAIN = text(
    """
    WITH decided AS (
        SELECT contacts.id FROM contacts
        CROSS JOIN LATERAL (
            SELECT verdict, rule FROM decisions WHERE contact_id = contacts.id ORDER BY at DESC, id DESC LIMIT 1
        ) AS last
        WHERE contacts.campaign_id = :campaign
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
