"""How does the contact list of the demo become a campaign that the engine dials?"""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select

from voiceagents import clock
from voiceagents.campaigns import editing, lifecycle
from voiceagents.campaigns.models import Campaign
from voiceagents.campaigns.models import Contact as ContactRow
from voiceagents.campaigns.retry import CAUSES, NEVER_AGAIN, UNCOUNTED
from voiceagents.campaigns.states import CampaignState
from voiceagents.campaigns.terms import Terms
from voiceagents.db import Database
from voiceagents.demo.people import SCRIPT, Contact
from voiceagents.lab import LabError

AT_ONCE = 3
TRIED_AGAIN_AFTER = "10s"

_NAME = "demo "


def _retries() -> dict[str, object]:
    """Everybody is called once, but who is busy once more, soon: nobody wants to wait for the usual quarter hour."""
    once = {cause.value: {"attempts": 1} for cause in CAUSES if cause not in NEVER_AGAIN | UNCOUNTED}
    return {**once, "busy": {"attempts": 2, "delays": [TRIED_AGAIN_AFTER], "jitter": 0}}


async def make_way(database: Database) -> None:
    """Cancels what earlier demos left unfinished.

    Raises:
        LabError: a campaign of somebody's own runs in this database: the demo's engine would dial it, too.
    """
    live = [CampaignState.SCHEDULED, CampaignState.RUNNING, CampaignState.PAUSED]
    async with database.transaction() as session:
        for campaign in await session.scalars(select(Campaign).where(Campaign.state.in_(live))):
            if campaign.name.startswith(_NAME):
                await lifecycle.cancel(session, campaign.id, clock.now())
            elif campaign.state is not CampaignState.PAUSED:
                raise LabError(
                    f'The campaign "{campaign.name}" runs in this data folder, and the demo would call its contacts.\n'
                    "Pause it, or give the demo a folder of its own:  voiceagents demo --folder FOLDER"
                )


async def start(
    database: Database, trunk_id: str, contacts: Sequence[Contact], *, title: str = ""
) -> tuple[Campaign, list[UUID]]:
    """Starts a campaign with these contacts, and answers with it and their ids."""
    now = clock.now()
    terms = Terms.model_validate(
        {
            "name": f"{_NAME}{title}{now.astimezone():%Y-%m-%d %H:%M:%S}",
            "prompt": SCRIPT,
            "trunk_id": trunk_id,
            "window": "daily 00:00-24:00",
            "max_concurrent": AT_ONCE,
            "calls_per_second": 2,
            "attempts_per_day": None,  # the demo may be run as often as one likes
            "minimum_gap": "0",
            "retry": _retries(),
        }
    )
    async with database.transaction() as session:
        campaign = await editing.create(session, terms)
        # Not by an import, which would refuse the number that does not exist.
        rows = [
            ContactRow(
                campaign_id=campaign.id,
                phone=contact.number,
                name=contact.name,
                email=contact.email,
                variables=contact.variables,
            )
            for contact in contacts
        ]
        for row in rows:
            session.add(row)
            await session.flush()  # one by one: the list keeps its order
        await lifecycle.start(session, campaign.id, now)
    return campaign, [row.id for row in rows]
