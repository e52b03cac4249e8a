"""Is a campaign ready to start? The check list that a person goes through before the first call."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants.prompts import unknown_placeholders
from voiceagents.calls import presence
from voiceagents.campaigns import engines, facts
from voiceagents.campaigns.models import Campaign, Contact
from voiceagents.settings import Settings
from voiceagents.web.pages.week import zone_or_utc


@dataclass(frozen=True)
class Check:
    """One line. `good` None: no obstacle, and worth knowing."""

    good: bool | None
    title: str
    words: str = ""
    mend: str = ""
    """Path below the campaign, or an address of its own."""

    mend_words: str = ""


async def checks(
    session: AsyncSession, campaign: Campaign, sample: Contact | None, settings: Settings, now: datetime
) -> list[Check]:
    """Every line of the list."""
    found = [_script(campaign, sample), _contacts(sample), _trunk(campaign, settings), _window(campaign, now)]
    found.append(_expiry(campaign, now))
    if await engines.living(session):
        found.append(Check(True, "An engine runs"))
    else:
        found.append(
            Check(
                None,
                "No engine runs",
                "Nobody is dialled until one does: voiceagents engine",
                "/settings",
                "All checks",
            )
        )
    if living := len(await presence.living(session)):
        found.append(Check(True, "Agents run", f"{living} of them"))
    else:
        found.append(
            Check(
                None, "No agent runs", "Nobody is dialled until one does: voiceagents agent", "/settings", "All checks"
            )
        )
    if settings.offline_speech:
        found.append(
            Check(
                None,
                "Calls have the offline voice",
                "No OPENAI_API_KEY is set: a script-follower answers, not a language model.",
            )
        )
    return [check for check in found if check.title]


def _script(campaign: Campaign, sample: Contact | None) -> Check:
    if not campaign.prompt.strip():
        return Check(
            False, "The script is empty", "The agent would not know what to talk about.", "script", "Write the script"
        )
    known = {"name", "email", "phone", *(sample.variables if sample else ())}
    if sample is not None and (unknown := unknown_placeholders(campaign.prompt, known)):
        listed = ", ".join(f"{{{name}}}" for name in unknown)
        return Check(
            None,
            "The script has placeholders that nothing fills",
            f"{listed}: they are read as they stand.",
            "script",
            "Change the script",
        )
    return Check(True, "The script is written", f"{len(campaign.prompt.split())} words")


def _contacts(sample: Contact | None) -> Check:
    if sample is None:
        return Check(False, "There are no contacts", "Import a file, or paste a list.", "contacts", "Add contacts")
    return Check(True, "There are contacts")


def _trunk(campaign: Campaign, settings: Settings) -> Check:
    trunk = campaign.trunk_id or settings.sip_trunk_id
    if trunk is None:
        return Check(False, "No trunk is chosen", "Calls go out through a SIP trunk.", "script", "Choose a trunk")
    return Check(True, "A trunk is chosen", trunk if campaign.trunk_id else f"{trunk}, from SIP_TRUNK_ID")


def _window(campaign: Campaign, now: datetime) -> Check:
    window = facts.window_of(campaign)
    if window.problem is not None:
        return Check(False, "The calling window cannot be understood", window.problem, "hours", "Change the window")
    if not any(window.week):
        return Check(False, "No hour is open", "The calling window is empty.", "hours", "Set the window")
    zone = zone_or_utc(campaign.time_zone)
    words = f"{window}, by each contact's clock; by that of {zone.key} where the contact's is not known"
    if not window.is_open(now, zone):
        opens = window.next_opening(now, zone)
        at = f", until {opens.astimezone(zone):%a %d %b %H:%M} ({zone.key})" if opens else ""
        return Check(None, f"The calling window is closed now{at}", words, "hours", "Change the window")
    return Check(True, "The calling window is open", words)


def _expiry(campaign: Campaign, now: datetime) -> Check:
    if campaign.expires_at is not None and campaign.expires_at <= now:
        return Check(False, "The campaign has expired", "Give it a later last day.", "hours", "Change the days")
    if campaign.starts_at is not None and campaign.starts_at > now:
        zone = zone_or_utc(campaign.time_zone)
        return Check(None, f"It starts at {campaign.starts_at.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})")
    return Check(True, "")
