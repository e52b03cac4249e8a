"""May we dial this contact now?

The rules stand in one ordered list, each a few lines that can be read aloud; the first that objects decides. They are
asked twice: when the contact is picked, and again in the moment before the dial. Pure: the facts go in, a decision
comes out that names the rule, says it in words and keeps what it looked at.

Three kinds of objection: `defer` puts the contact off to a next time, `skip` is final for the contact, `hold` is about
the campaign and leaves the contact as it is.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from voiceagents.calls.states import Outcome
from voiceagents.campaigns.states import CampaignState, ContactState, Verdict
from voiceagents.campaigns.zones import ContactZones, zones_of
from voiceagents.windows import CallingWindow, start_of_next_day
from voiceagents.zones import UnknownZone, zone_named

NEVER_DIAL = frozenset({Outcome.OPTED_OUT, Outcome.WRONG_NUMBER, Outcome.INVALID_NUMBER})
"""Last outcomes after which a contact is not dialled, even when somebody sets it back to waiting."""

LOOK_AGAIN = timedelta(minutes=2)
"""When a contact is looked at again whose number is in another call: that call's end is not known beforehand."""


@dataclass(frozen=True)
class CampaignFacts:
    """The campaign as it is now.

    Limits that are None do not apply.
    """

    state: CampaignState
    window: CallingWindow
    time_zone: str
    starts_at: datetime | None = None
    expires_at: datetime | None = None
    daily_cap: int | None = None
    dialled_today: int = 0
    """Dials of the campaign in the day of its own time zone, the call being decided left out."""

    attempts: int | None = None
    """Most attempts for one contact of this campaign."""

    attempts_per_day: int | None = None
    """Most attempts a day on one number, all campaigns together."""

    attempts_per_number: int | None = None
    """Most attempts ever on one number, all campaigns together."""

    minimum_gap: timedelta = timedelta()
    """Least time between two attempts on one number, all campaigns together."""

    pause_cause: str | None = None


@dataclass(frozen=True)
class ContactFacts:
    """The contact as it is now, the call being decided left out."""

    phone: str
    time_zone: str | None = None
    state: ContactState = ContactState.WAITING
    attempts: int = 0
    next_at: datetime | None = None
    last_outcome: Outcome | None = None


@dataclass(frozen=True)
class NumberFacts:
    """What all campaigns together did on this number, the call being decided left out."""

    calls_underway: int = 0
    attempts_today: int = 0
    """Attempts since `windows.start_of_day` in the contact's zones."""

    attempts_total: int = 0
    last_attempt_at: datetime | None = None


@dataclass(frozen=True)
class DoNotCallEntry:
    """The number stands on a do-not-call list: on everybody's, or on this campaign's."""

    reason: str = ""
    of_campaign: bool = False
    added_at: datetime | None = None


@dataclass(frozen=True)
class Decision:
    """Whether to dial, by which rule, and when to ask again."""

    verdict: Verdict
    rule: str
    words: str
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    """What the rule looked at, fit for JSON."""

    next_at: datetime | None = None
    """When to ask again: always set for `defer`, never for `skip` and `dial`."""


@dataclass(frozen=True)
class Facts:
    """Everything the rules may look at."""

    campaign: CampaignFacts
    contact: ContactFacts
    number: NumberFacts
    do_not_call: Sequence[DoNotCallEntry]
    now: datetime

    @cached_property
    def zones(self) -> ContactZones:
        return zones_of(self.contact.time_zone, self.contact.phone, self.campaign.time_zone)

    @property
    def callback_requested(self) -> bool:
        return self.contact.last_outcome is Outcome.CALLBACK_REQUESTED

    def opening_from(self, instant: datetime) -> datetime:
        """The first instant from this one on that lies in the window; the instant itself if there is none in reach."""
        return self.campaign.window.next_opening(instant, *self.zones.zones) or instant


@dataclass(frozen=True)
class Objection:
    verdict: Verdict
    words: str
    inputs: dict[str, Any]
    next_at: datetime | None = None


Rule = Callable[[Facts], Objection | None]


def campaign_is_running(facts: Facts) -> Objection | None:
    """Only a running campaign dials. One that is over dials nobody any more."""
    campaign, state = facts.campaign, facts.campaign.state
    inputs = {"state": state.value}
    match state:
        case CampaignState.RUNNING:
            return None
        case CampaignState.PAUSED:
            why = f": {campaign.pause_cause}" if campaign.pause_cause else ""
            return Objection(Verdict.HOLD, f"the campaign is paused{why}", inputs)
        case CampaignState.DRAFT:
            return Objection(Verdict.HOLD, "the campaign was not started yet", inputs)
        case CampaignState.SCHEDULED:
            at = campaign.starts_at
            words = f"the campaign starts at {_iso(at)}" if at else "the campaign was not started yet"
            return Objection(Verdict.HOLD, words, inputs | {"starts_at": _iso(at)}, at)
        case CampaignState.COMPLETED | CampaignState.CANCELLED | CampaignState.ARCHIVED:
            return Objection(Verdict.SKIP, f"the campaign is {state.value}", inputs)


def campaign_has_not_expired(facts: Facts) -> Objection | None:
    """After its last day a campaign dials nobody."""
    expires = facts.campaign.expires_at
    if expires is None or facts.now < expires:
        return None
    return Objection(Verdict.SKIP, f"the campaign expired at {_iso(expires)}", {"expires_at": _iso(expires)})


def number_may_be_called(facts: Facts) -> Objection | None:
    """Nobody is called who is on a do-not-call list, ours for everybody or the campaign's own."""
    for entry in facts.do_not_call:
        whose = "this campaign's" if entry.of_campaign else "the"
        reason = f" ({entry.reason})" if entry.reason else ""
        inputs = {"list": "campaign" if entry.of_campaign else "global", "reason": entry.reason}
        words = f"the number is on {whose} do-not-call list{reason}"
        return Objection(Verdict.SKIP, words, inputs | {"added_at": _iso(entry.added_at)})
    return None


def contact_is_not_finished(facts: Facts) -> Objection | None:
    """A contact that is done is not dialled again; nor one that opted out or whose number is wrong or dead."""
    contact = facts.contact
    last = contact.last_outcome.value if contact.last_outcome else None
    inputs = {"state": contact.state.value, "last_outcome": last}
    if contact.state in (ContactState.DONE, ContactState.SKIPPED, ContactState.CANCELLED):
        return Objection(Verdict.SKIP, f"the contact is {contact.state.value}", inputs)
    if contact.last_outcome in NEVER_DIAL:
        return Objection(Verdict.SKIP, f"the last call ended as {last}, which is final", inputs)
    return None


def contact_has_attempts_left(facts: Facts) -> Objection | None:
    """A contact gets no more attempts than the campaign allows, unless the person asked for another call."""
    most, made = facts.campaign.attempts, facts.contact.attempts
    if most is None or made < most or facts.callback_requested:
        return None
    return Objection(Verdict.SKIP, f"{made} of {most} attempts are used up", {"attempts": made, "most": most})


def number_has_attempts_left(facts: Facts) -> Objection | None:
    """A number gets no more attempts than allowed, all campaigns together."""
    most, made = facts.campaign.attempts_per_number, facts.number.attempts_total
    if most is None or made < most:
        return None
    words = f"the number was tried {made} times by all campaigns together, {most} are allowed"
    return Objection(Verdict.SKIP, words, {"attempts_total": made, "most": most})


def window_can_be_read(facts: Facts) -> Objection | None:
    """A calling window or time zone that cannot be understood lets no call out."""
    if facts.campaign.window.problem is not None:
        words = f"the calling window cannot be understood: {facts.campaign.window.problem}"
        return Objection(Verdict.HOLD, words, {"problem": facts.campaign.window.problem})
    if not facts.zones.zones:
        return Objection(Verdict.HOLD, facts.zones.words, {"time_zone": facts.campaign.time_zone})
    return None


def contact_is_due(facts: Facts) -> Objection | None:
    """A retry or a requested callback waits for its time."""
    due = facts.contact.next_at
    if due is None or due <= facts.now:
        return None
    what = "the callback the person asked for" if facts.callback_requested else "the next attempt"
    return Objection(Verdict.DEFER, f"{what} is due at {_iso(due)}", {"due": _iso(due)}, facts.opening_from(due))


def number_is_in_no_other_call(facts: Facts) -> Objection | None:
    """A person is never rung twice at the same time, whichever campaigns want to."""
    underway = facts.number.calls_underway
    if underway == 0:
        return None
    words = "another call to this number is underway"
    return Objection(Verdict.DEFER, words, {"underway": underway}, facts.opening_from(facts.now + LOOK_AGAIN))


def minimum_gap_has_passed(facts: Facts) -> Objection | None:
    """Between two attempts on one number lies the minimum gap, unless the person asked for another call."""
    last, gap = facts.number.last_attempt_at, facts.campaign.minimum_gap
    if last is None or facts.now >= last + gap or facts.callback_requested:
        return None
    words = f"the number was tried at {_iso(last)}, the minimum gap is {gap}"
    inputs = {"last_attempt_at": _iso(last), "minimum_gap_seconds": gap.total_seconds()}
    return Objection(Verdict.DEFER, words, inputs, facts.opening_from(last + gap))


def number_was_not_tried_enough_today(facts: Facts) -> Objection | None:
    """A number gets no more attempts in one of its own days than allowed, all campaigns together."""
    most, made = facts.campaign.attempts_per_day, facts.number.attempts_today
    if most is None or made < most:
        return None
    words = f"the number was tried {made} times today by all campaigns together, {most} a day are allowed"
    tomorrow = start_of_next_day(facts.now, *facts.zones.zones)
    return Objection(Verdict.DEFER, words, {"attempts_today": made, "most": most}, facts.opening_from(tomorrow))


def window_is_open(facts: Facts) -> Objection | None:
    """Calls go out only within the calling window, by the clock of everywhere the contact may be."""
    window, zones, now = facts.campaign.window, facts.zones, facts.now
    closed = window.why_closed(now, *zones.zones)
    if closed is None:
        return None
    inputs = {"window": str(window), "zones": zones.names, "zone_source": zones.source.value}
    opening = window.next_opening(now, *zones.zones)
    if opening is not None:
        return Objection(Verdict.DEFER, f"{closed} ({zones.words})", inputs, opening)
    if len(zones.zones) > 1 and all(window.next_opening(now, zone) for zone in zones.zones):
        words = f"no hour of {window} is open in {zones.words} at once: give the contact a time zone"
        return Objection(Verdict.SKIP, words, inputs)
    return Objection(Verdict.HOLD, f"{closed}; the calling window does not open again in reach", inputs)


def campaign_is_below_its_daily_cap(facts: Facts) -> Objection | None:
    """A campaign dials no more often in a day than its cap."""
    campaign = facts.campaign
    if campaign.daily_cap is None or campaign.dialled_today < campaign.daily_cap:
        return None
    words = f"the campaign dialled {campaign.dialled_today} times today, its daily cap is {campaign.daily_cap}"
    inputs = {"dialled_today": campaign.dialled_today, "daily_cap": campaign.daily_cap}
    try:
        tomorrow = start_of_next_day(facts.now, zone_named(campaign.time_zone))
    except UnknownZone:
        tomorrow = start_of_next_day(facts.now, *facts.zones.zones)
    return Objection(Verdict.HOLD, words, inputs, facts.opening_from(tomorrow))


RULES: tuple[Rule, ...] = (
    campaign_is_running,
    campaign_has_not_expired,
    number_may_be_called,
    contact_is_not_finished,
    contact_has_attempts_left,
    number_has_attempts_left,
    window_can_be_read,
    contact_is_due,
    number_is_in_no_other_call,
    minimum_gap_has_passed,
    number_was_not_tried_enough_today,
    window_is_open,
    campaign_is_below_its_daily_cap,
)


def decide(
    campaign: CampaignFacts,
    contact: ContactFacts,
    number: NumberFacts,
    do_not_call: Sequence[DoNotCallEntry],
    now: datetime,
) -> Decision:
    """Asks every rule in turn; the first objection decides, and with none the contact may be dialled now."""
    facts = Facts(campaign, contact, number, do_not_call, now)
    for rule in RULES:
        if objection := rule(facts):
            inputs = {"now": _iso(now), **objection.inputs}
            return Decision(objection.verdict, rule.__name__, objection.words, inputs, objection.next_at)
    return Decision(Verdict.DIAL, "all", "no rule objects", _everything(facts))


def _everything(facts: Facts) -> dict[str, Any]:
    campaign, contact = facts.campaign, facts.contact
    local = {zone.key: f"{facts.now.astimezone(zone):%a %Y-%m-%d %H:%M}" for zone in facts.zones.zones[:3]}
    return {
        "now": _iso(facts.now),
        "window": str(campaign.window),
        "zones": facts.zones.names,
        "zone_source": facts.zones.source.value,
        "zone_words": facts.zones.words,
        "local_time": local,
        "attempts": contact.attempts,
        "due": _iso(contact.next_at),
        "last_outcome": contact.last_outcome.value if contact.last_outcome else None,
        **asdict(facts.number),
        "last_attempt_at": _iso(facts.number.last_attempt_at),
        "dialled_today": campaign.dialled_today,
    }


def _iso(instant: datetime | None) -> str | None:
    return instant.isoformat(timespec="seconds") if instant else None
