"""How do states, outcomes, rules and failures read to a person? The one place of these words, with the mend beside the
failure."""

from voiceagents.calls.states import Outcome

GOOD, WAIT, BAD, BUSY, PLAIN = "good", "wait", "bad", "busy", ""

_TONES_OF_STATES = {
    "running": GOOD, "calling": BUSY, "done": GOOD, "answered": BUSY, "ringing": BUSY, "dialing": BUSY,
    "dispatched": WAIT, "queued": WAIT, "paused": WAIT, "scheduled": WAIT, "skipped": WAIT, "cancelled": BAD,
    "dial": GOOD, "defer": WAIT, "skip": BAD, "hold": WAIT, "retry": WAIT, "finish": GOOD,
}  # fmt: skip

_TONES_OF_OUTCOMES = {
    Outcome.COMPLETED: GOOD, Outcome.CALLBACK_REQUESTED: GOOD, Outcome.VOICEMAIL: WAIT, Outcome.SCREENED: WAIT,
    Outcome.MACHINE: WAIT,
    Outcome.BUSY: WAIT, Outcome.NO_ANSWER: WAIT, Outcome.HUNG_UP: WAIT, Outcome.NOT_INTERESTED: WAIT,
    Outcome.OPTED_OUT: BAD, Outcome.WRONG_NUMBER: BAD, Outcome.REJECTED: BAD, Outcome.INVALID_NUMBER: BAD,
    Outcome.UNREACHABLE: BAD, Outcome.CONGESTION: BAD, Outcome.NO_CAPACITY: BAD, Outcome.FAILED: BAD,
    Outcome.CANCELLED: PLAIN,
}  # fmt: skip

_OUTCOMES = {
    "completed": "The conversation took place.",
    "voicemail": "A voicemail answered.",
    "machine": "A machine answered that takes no message: a menu, or a fax.",
    "screened": "A call screening service answered and did not put us through.",
    "busy": "The line was busy.",
    "no_answer": "It rang until we gave up.",
    "rejected": "The person, or their phone, turned the call down.",
    "invalid_number": "There is no such number.",
    "unreachable": "The phone is switched off or out of reach.",
    "congestion": "The carrier had no free line.",
    "not_interested": "The person is not interested.",
    "opted_out": "The person asked not to be called again; the number is on the do-not-call list.",
    "wrong_number": "Somebody else has this number.",
    "callback_requested": "The person asked to be called another time.",
    "hung_up": "The person hung up before anything was said.",
    "no_capacity": "No agent or line of ours was free.",
    "failed": "Something broke.",
    "cancelled": "The call was cancelled before anybody was reached.",
}

_MENDS = {
    "congestion": "Lower the calls per second or the calls at once of the trunk, or ask the carrier for more channels.",
    "no_capacity": "Start another agent, or lower the calls at once.",
    "rejected": "Many of these at once mean that the carrier turns your caller number down: check it and the trunk.",
    "invalid_number": "The list holds numbers that do not exist; its source may be old.",
    "unreachable": "Nothing to mend here: these are tried again.",
    "failed": "Settings has checks that find what is broken; the call's page has the details.",
}

_OF_STATUS = {
    401: "The trunk's user name or password is wrong.",
    403: "The carrier refuses the caller number or the destination.",
    407: "The trunk's user name or password is wrong.",
    408: "The carrier did not answer in time.",
    488: "The carrier does not take the audio codecs that we offer.",
    503: "The carrier takes no more calls at the moment: lower the calls per second of the trunk.",
}

_RULES = {
    "all": "No rule objects",
    "campaign_is_running": "The campaign must be running",
    "campaign_has_not_expired": "The campaign must not have expired",
    "number_may_be_called": "The number must not be on a do-not-call list",
    "contact_is_not_finished": "The contact must not be finished",
    "contact_has_attempts_left": "The contact must have attempts left",
    "number_has_attempts_left": "The number must have attempts left",
    "window_can_be_read": "The calling window must be readable",
    "contact_is_due": "The contact must be due",
    "number_is_in_no_other_call": "The number must be in no other call",
    "minimum_gap_has_passed": "The minimum gap between attempts",
    "number_was_not_tried_enough_today": "Attempts a day on one number",
    "window_is_open": "The calling window must be open",
    "campaign_is_below_its_daily_cap": "The campaign's daily cap",
    "campaign_was_edited": "The campaign was changed",
}


def plain(word: object) -> str:
    """A word of a closed list as it is read: `no_answer` → `no answer`."""
    return str(word).replace("_", " ")


def tone_of_state(state: object) -> str:
    """The tone of a tag."""
    return _TONES_OF_STATES.get(str(state), PLAIN)


def tone_of_outcome(outcome: object) -> str:
    """The tone of a tag."""
    return next((tone for known, tone in _TONES_OF_OUTCOMES.items() if known.value == str(outcome)), PLAIN)


def of_outcome(outcome: object) -> str:
    """What an outcome means, in a sentence."""
    return _OUTCOMES.get(str(outcome), plain(outcome))


def of_rule(rule: str) -> str:
    """A rule's name as it is read."""
    return _RULES.get(rule, plain(rule).capitalize())


def mend_of(outcome: object, sip_status: int | None) -> str:
    """What can be done about calls that ended so; empty when nothing can."""
    return _OF_STATUS.get(sip_status or 0) or _MENDS.get(str(outcome), "")
