"""What do the rules need to know? Reads it from the tables, for many contacts in a few queries.

The only I/O beside the rules. The same facts are read when a contact is picked and again in the moment before the
dial.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.calls.models import Call
from voiceagents.calls.states import CallState, Direction, Outcome
from voiceagents.campaigns import do_not_call
from voiceagents.campaigns.models import Campaign, Contact, DoNotCall
from voiceagents.campaigns.retry import UNCOUNTED, PolicyError, RetryPolicy
from voiceagents.campaigns.rules import (
    CampaignFacts,
    ContactFacts,
    Decision,
    DoNotCallEntry,
    NumberFacts,
    decide,
)
from voiceagents.campaigns.states import ContactState
from voiceagents.campaigns.zones import zones_of
from voiceagents.windows import CallingWindow, start_of_day
from voiceagents.zones import UnknownZone, zone_named

log = logging.getLogger("voiceagents.engine")


@dataclass(frozen=True)
class Ground:
    """Everything the rules may look at, for some contacts of one campaign."""

    campaign: CampaignFacts
    numbers: Mapping[str, NumberFacts]
    do_not_call: Mapping[str, Sequence[DoNotCallEntry]]
    now: datetime

    def decide(self, contact: Contact) -> Decision:
        """May this contact be dialled now?"""
        return decide(
            self.campaign,
            contact_facts(contact),
            self.numbers.get(contact.phone, NumberFacts()),
            self.do_not_call.get(contact.phone, ()),
            self.now,
        )

    def after_dial(self) -> "Ground":
        """The same ground with one more dial today."""
        return replace(self, campaign=replace(self.campaign, dialled_today=self.campaign.dialled_today + 1))


def contact_facts(contact: Contact) -> ContactFacts:
    """The contact as the rules see it.

    One whose call is being decided counts as waiting.
    """
    last = contact.last_outcome
    return ContactFacts(
        phone=contact.phone,
        time_zone=contact.time_zone,
        state=ContactState.WAITING if contact.state is ContactState.CALLING else contact.state,
        attempts=contact.attempts,
        next_at=contact.next_at,
        last_outcome=Outcome(last) if last else None,
    )


def window_of(campaign: Campaign) -> CallingWindow:
    """The campaign's calling window; one that cannot be understood is never open."""
    return CallingWindow.stored(campaign.window, campaign.blackout, campaign.holidays_of)


def policy_of(campaign: Campaign) -> RetryPolicy:
    """The campaign's retry policy; in place of one that cannot be understood, the defaults."""
    try:
        return RetryPolicy.parse(campaign.retry or None)
    except PolicyError as error:
        log.warning("RETRY_POLICY_UNREADABLE | campaign=%s | cause=%s", campaign.id, error)
        return RetryPolicy.parse()


async def read(
    session: AsyncSession,
    campaign: Campaign,
    contacts: Sequence[Contact],
    now: datetime,
    *,
    leaving_out: UUID | None = None,
) -> Ground:
    """Reads the ground for these contacts.

    Args:
        leaving_out: the call being decided, which must not count against itself.
    """
    phones = sorted({contact.phone for contact in contacts})
    numbers = await _numbers(session, campaign, contacts, phones, now, leaving_out)
    listed = await session.scalars(
        select(DoNotCall).where(
            DoNotCall.phone.in_(phones),
            DoNotCall.removed_at.is_(None),
            or_(DoNotCall.campaign_id.is_(None), DoNotCall.campaign_id == campaign.id),
        )
    )
    entries: dict[str, list[DoNotCallEntry]] = {}
    for row in listed:
        entries.setdefault(row.phone, []).append(DoNotCallEntry(row.reason, row.campaign_id is not None, row.added_at))
    for phone, at in (await do_not_call.just_asked(session, phones)).items():
        entries.setdefault(phone, []).append(DoNotCallEntry("asked in a call not to be called again", False, at))
    return Ground(await _campaign(session, campaign, now, leaving_out), numbers, entries, now)


async def _campaign(
    session: AsyncSession, campaign: Campaign, now: datetime, leaving_out: UUID | None
) -> CampaignFacts:
    dialled_today = 0
    if campaign.daily_cap is not None:
        # A call that waits for its dial counts: two engines must not both use the last place of the day.
        dialled_today = (
            await session.scalar(
                select(func.count())
                .select_from(Call)
                .where(
                    Call.campaign_id == str(campaign.id),
                    Call.created_at >= _start_of_day(campaign.time_zone, now) - timedelta(days=1),
                    or_(
                        Call.dialing_at >= _start_of_day(campaign.time_zone, now),
                        Call.dialing_at.is_(None) & (Call.state != CallState.ENDED),
                    ),
                    Call.id != leaving_out if leaving_out else true(),
                )
            )
            or 0
        )
    return CampaignFacts(
        state=campaign.state,
        window=window_of(campaign),
        time_zone=campaign.time_zone,
        starts_at=campaign.starts_at,
        expires_at=campaign.expires_at,
        daily_cap=campaign.daily_cap,
        dialled_today=dialled_today,
        attempts=None,
        attempts_per_day=campaign.attempts_per_day,
        attempts_per_number=campaign.attempts_per_number,
        minimum_gap=timedelta(seconds=campaign.minimum_gap_seconds),
        pause_cause=campaign.pause_cause,
    )


def _start_of_day(zone: str, now: datetime) -> datetime:
    try:
        return start_of_day(now, zone_named(zone))
    except UnknownZone:
        return now - timedelta(days=1)


async def _numbers(
    session: AsyncSession,
    campaign: Campaign,
    contacts: Sequence[Contact],
    phones: Sequence[str],
    now: datetime,
    leaving_out: UUID | None,
) -> dict[str, NumberFacts]:
    """What all campaigns together did on these numbers."""
    others = Call.id != leaving_out if leaving_out else Call.id.is_not(None)
    outbound = Call.direction == Direction.OUTBOUND
    tried = (
        await session.execute(
            select(Call.to_number, Call.dialing_at).where(
                Call.to_number.in_(phones),
                Call.dialing_at.is_not(None),
                outbound,
                others,
                Call.outcome.is_(None) | Call.outcome.not_in(UNCOUNTED),
            )
        )
    ).all()
    underway = dict(
        (
            await session.execute(
                select(Call.to_number, func.count())
                .where(Call.to_number.in_(phones), outbound, Call.state != CallState.ENDED, others)
                .group_by(Call.to_number)
            )
        ).all()
    )
    moments: dict[str, list[datetime]] = {}
    for number, at in tried:
        if number is not None and at is not None:
            moments.setdefault(number, []).append(at)
    facts: dict[str, NumberFacts] = {}
    for contact in contacts:
        dialled = moments.get(contact.phone, [])
        zones = zones_of(contact.time_zone, contact.phone, campaign.time_zone).zones
        today = start_of_day(now, *zones) if zones else now - timedelta(days=1)
        facts[contact.phone] = NumberFacts(
            calls_underway=underway.get(contact.phone, 0),
            attempts_today=sum(at >= today for at in dialled),
            attempts_total=len(dialled),
            last_attempt_at=max(dialled, default=None),
        )
    return facts
