"""`python test-outbound-handling.py`: does outbound call handling work, as far as that can be seen without a phone?

Checks the code that the agent runs: metadata, detection, instructions, campaign context, validation. Needs no server
and no environment. Exits with 1 when a check fails.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

# Run as a script, Python puts this folder in front, where our modules would hide others of the same name.
_HERE = str(Path(__file__).resolve().parent)
if sys.path and sys.path[0] == _HERE:
    sys.path[0] = str(Path(_HERE).parent.parent)

try:
    from voiceagents import logs, phone
    from voiceagents.assistants.prompts import build_campaign_outbound_instructions, contact_values
    from voiceagents.assistants.prompts import with_campaign_context as campaign_context
    from voiceagents.calls.metadata import MetadataError, did_in_room, is_outbound_room, parse_job, parse_room
    from voiceagents.calls.outcomes import DialFailure, Trouble, of_dial_failure
except ModuleNotFoundError as missing:
    sys.exit(
        f"{missing.name} is not installed for {sys.executable}.\n"
        "Run `make setup` in the project's folder, then `source .venv/bin/activate` (or use `uv run python`)."
    )

NUMBER = "+1234567890"
JOB = {
    "phone_number": NUMBER,
    "agentId": "assistant-123",
    "campaignId": "campaign-456",
    "outbound_trunk_id": "trunk-789",
    "contactName": "John Doe",
    "campaignPrompt": "Hello {name}, this is about our new product...",
}
SCRIPT = "Hello {name}, we have {email} and {phone}."
ROOM = {
    "campaignPrompt": SCRIPT,
    "contactInfo": {"name": "John Doe", "email": "john@example.com", "phone": NUMBER},
    "assistantId": "assistant-123",
    "campaignId": "campaign-456",
}


class Failed(Exception):
    """A check that did not hold."""


def same(actual: object, expected: object) -> None:
    if actual != expected:
        raise Failed(f"expected {expected!r}, got {actual!r}")


def holds(text: str, *parts: str) -> None:
    for part in parts:
        if part not in text:
            raise Failed(f"{part!r} is missing in {text!r}")


def refused(kind: type[Exception], doing: Callable[[], object]) -> None:
    try:
        result = doing()
    except kind:
        return
    raise Failed(f"expected a {kind.__name__}, got {result!r}")


# Metadata


def job_metadata() -> None:
    metadata = parse_job(json.dumps(JOB))
    same(metadata.phone_number, NUMBER)
    same((metadata.agent_id, metadata.campaign_id), ("assistant-123", "campaign-456"))
    same(metadata.outbound_trunk_id, "trunk-789")
    same((metadata.contact_name, metadata.campaign_prompt), ("John Doe", JOB["campaignPrompt"]))
    same(parse_job(metadata.to_json()), metadata)


def encoded_twice() -> None:
    same(parse_job(json.dumps(json.dumps(JOB))), parse_job(json.dumps(JOB)))


def wrong_types() -> None:
    metadata = parse_job(json.dumps(JOB | {"agentId": ["a"], "attempt": "two", "extra": {"kept": 1}}))
    same((metadata.phone_number, metadata.agent_id, metadata.attempt), (NUMBER, None, None))
    same(len(metadata.problems), 2)


def broken() -> None:
    for raw in ('{"phone_number": "+12025550143", "campaignId": "c1, "callType": "campaign"}', "[]", "123", "null"):
        refused(MetadataError, lambda raw=raw: parse_job(raw))


def room_metadata() -> None:
    context = parse_room(json.dumps(ROOM))
    same((context.contact_name, context.contact_email, context.contact_phone), ("John Doe", "john@example.com", NUMBER))
    same((context.assistant_id, context.campaign_id), ("assistant-123", "campaign-456"))
    same(parse_room("{not JSON").contact_name, "")


# Detection


def outbound_detected() -> None:
    same(parse_job(json.dumps(JOB)).is_outbound, True)
    same(parse_job('{"phone_number": ""}').is_outbound, True)


def inbound_detected() -> None:
    for raw in (None, "", "{}", '{"agentId": "assistant-123"}', '{"phone_number": null}'):
        same(parse_job(raw).is_outbound, False)


def rooms() -> None:
    same(is_outbound_room(f"call-{NUMBER}-1234567890"), True)
    same(is_outbound_room("call-_+12025550188_hFQx3"), False)
    for room in (f"did-{NUMBER}", f"did-{NUMBER}_Ab12", f"did-{NUMBER}::+12025550188"):
        same(did_in_room(room), NUMBER)
    same(did_in_room("call-_+12025550188_hFQx3"), None)


# Instructions


def instructions() -> None:
    text = build_campaign_outbound_instructions("John Doe", JOB["campaignPrompt"])
    holds(text, "campaign dialer", '"John Doe"', "NO tools", "Hello John Doe, this is about our new product...")


def instructions_without_name_or_script() -> None:
    for name in (None, "", "  ", "Unknown", "null"):
        holds(build_campaign_outbound_instructions(name, None), '"Hi there, "', "(no campaign script provided)")


def other_braces_stay() -> None:
    script = 'Hi {name}. Answer like {"ok": true}. Offer {discount}% {}'
    holds(build_campaign_outbound_instructions("Ana", script), 'Hi Ana. Answer like {"ok": true}. Offer {discount}% {}')


def filled_once() -> None:
    values = contact_values(name="{email}", email="a@example.com", phone=NUMBER)
    text = build_campaign_outbound_instructions("{email}", "Hi {name}, mail {email}", values)
    holds(text, "Hi {email}, mail a@example.com")


# Campaign context


def context_of_an_inbound_call() -> None:
    text = campaign_context(
        "You are the receptionist.",
        campaign_prompt=SCRIPT,
        name="John Doe",
        email="john@example.com",
        phone=NUMBER,
    )
    holds(text, "You are the receptionist.", "CAMPAIGN CONTEXT:", "CONTACT INFORMATION:")
    holds(text, f"Hello John Doe, we have john@example.com and {NUMBER}.", "- Name: John Doe", f"- Phone: {NUMBER}")


def context_with_gaps() -> None:
    text = campaign_context("P", campaign_prompt="{name}, {email}, {phone}", name=None, email=None, phone=None)
    holds(text, "there, your email, your phone number", "- Name: Unknown", "- Email: Not provided")
    same(campaign_context("P", campaign_prompt="", name="Ana", email=None, phone=None), "P")


# Validation


def numbers_that_may_be_dialled() -> None:
    for number in (NUMBER, "+12025550143", "+442079460123"):
        same(phone.dialable(number), number)


def numbers_that_may_not() -> None:
    for number in (
        "",
        "call me",
        "2025550143",
        "+0491570006",
        "+120255501430",
        "sip:+12025550143@host",
        "+12025550143x1",
    ):
        refused(phone.InvalidPhoneNumber, lambda number=number: phone.dialable(number))


def failures_have_outcomes() -> None:
    for status, outcome in ((486, "busy"), (603, "rejected"), (404, "invalid_number"), (408, "no_answer")):
        same(of_dial_failure(DialFailure(Trouble.SIP, sip_status=status)).outcome.value, outcome)
    same(of_dial_failure(DialFailure(Trouble.TIMEOUT)).outcome.value, "failed")


def nothing_personal_in_the_log() -> None:
    shown = logs.metadata(json.dumps(JOB))
    for personal in (NUMBER, "John Doe", "our new product"):
        if personal in shown:
            raise Failed(f"{personal!r} stands in {shown!r}")
    holds(shown, "assistant-123", "trunk-789")


CHECKS: dict[str, Callable[[], None]] = {
    "job metadata is read, and survives the way to the agent": job_metadata,
    "job metadata encoded twice is unwrapped": encoded_twice,
    "a field of the wrong type is left out and reported": wrong_types,
    "broken metadata is refused with a reason, never a crash": broken,
    "room metadata is read, and is never a condition": room_metadata,
    "phone_number in the job metadata means outbound": outbound_detected,
    "no phone_number means inbound": inbound_detected,
    "room names tell outbound rooms and dialled numbers": rooms,
    "outbound instructions hold the manners, the name and the script": instructions,
    "without a name it is 'there', without a script it says so": instructions_without_name_or_script,
    "braces that are no placeholder stay as they are": other_braces_stay,
    "contact data that looks like a placeholder is not filled again": filled_once,
    "an inbound call gets the campaign's script and contact": context_of_an_inbound_call,
    "gaps in the contact become neutral words": context_with_gaps,
    "E.164 numbers may be dialled": numbers_that_may_be_dialled,
    "anything else is refused before the dial": numbers_that_may_not,
    "every failure of a dial has its outcome": failures_have_outcomes,
    "the log shows the metadata without numbers, names and scripts": nothing_personal_in_the_log,
}


def main() -> int:
    """Runs every check and says how it went.

    Returns the exit status.
    """
    failed = 0
    for what, check in CHECKS.items():
        try:
            check()
        except Exception as error:  # noqa: BLE001  whatever goes wrong in a check is that check's failure
            failed += 1
            print(f"✗ {what}: {error if isinstance(error, Failed) else repr(error)}")
        else:
            print(f"✓ {what}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
