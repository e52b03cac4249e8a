"""How does a campaign come into being, and how are its terms changed?

A change takes effect from the next decision; whom a rule had put off or skipped may be looked at again (`reopening`).
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants import store
from voiceagents.campaigns import lifecycle, reopening
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.states import CampaignState
from voiceagents.campaigns.terms import DEFAULT_WINDOW, Terms, of_campaign
from voiceagents.windows import CallingWindow


@dataclass(frozen=True)
class Edited:
    """What an edit did."""

    campaign: Campaign
    changed: list[str]
    reopened: int
    """Contacts that are looked at again although a rule had put them off or skipped them: of a long list those that
    were found at once. While `campaign.reopening` is set, the engine looks for others."""


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
    reopened = await reopening.begin(session, campaign, changed, before["time_zone"], now)
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
