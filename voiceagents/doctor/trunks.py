"""Can we call out through the trunk, and does who calls our numbers reach our agent?"""

from collections.abc import Mapping, Sequence

from livekit import api

from voiceagents.assistants.trunks import agents, feeds, why_unfit
from voiceagents.doctor.findings import Finding, broken, good, unknown
from voiceagents.phone import same_number


async def outbound(livekit: api.LiveKitAPI, trunk_id: str | None) -> Finding:
    """The configured trunk exists and is complete."""
    answer = await livekit.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())
    return trunk(answer.items, trunk_id)


def trunk(trunks: Sequence[api.SIPOutboundTrunkInfo], trunk_id: str | None) -> Finding:
    """What is known of the trunk with this id."""
    subject = "outbound trunk"
    known = ", ".join(f"{item.sip_trunk_id} ({item.name})" if item.name else item.sip_trunk_id for item in trunks)
    if trunk_id is None:
        if not trunks:
            return unknown(
                subject, "LiveKit has none: nobody can be called", "voiceagents trunks add-outbound HOST +1…"
            )
        return unknown(subject, "SIP_TRUNK_ID is not set: each call must name its trunk", f"LiveKit has {known}")
    found = next((item for item in trunks if item.sip_trunk_id == trunk_id), None)
    if found is None:
        there = f"LiveKit has {known}" if known else "LiveKit has none: voiceagents trunks add-outbound HOST +1…"
        return broken(subject, f"SIP_TRUNK_ID {trunk_id} does not exist in LiveKit", f"set it to one it has; {there}")
    lacks = [what for what, value in (("address", found.address), ("number", found.numbers)) if not value]
    if lacks:
        mend = f"voiceagents trunks remove {trunk_id}, then voiceagents trunks add-outbound HOST +1…"
        return broken(subject, f"{trunk_id} has no {' and no '.join(lacks)}", mend)
    return good(subject, f"{trunk_id} to {found.address}, calling as {', '.join(found.numbers)}")


def answered(numbers: Mapping[str, str | None]) -> list[Finding]:
    """Whether each of our numbers has somebody who answers it.

    Args:
        numbers: E.164 → id of the assistant.
    """
    subject = "numbers"
    deserted = [number for number, assistant_id in numbers.items() if assistant_id is None]
    findings = [
        broken(subject, f"nobody answers {number}", f"voiceagents numbers add {number} --assistant ID")
        for number in deserted
    ]
    if kept := [f"{number} by {who}" for number, who in numbers.items() if who is not None]:
        findings.append(good(subject, f"answered: {', '.join(kept)}"))
    return findings or [unknown(subject, "none yet: nobody can call in", "voiceagents numbers add +1… --assistant ID")]


async def inbound(livekit: api.LiveKitAPI, numbers: Sequence[str], agent_name: str) -> list[Finding]:
    """Who calls our numbers reaches our agent."""
    trunks = await livekit.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())
    rules = await livekit.sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())
    return reached(trunks.items, rules.items, numbers, agent_name)


def reached(
    trunks: Sequence[api.SIPInboundTrunkInfo],
    rules: Sequence[api.SIPDispatchRuleInfo],
    numbers: Sequence[str],
    agent_name: str,
) -> list[Finding]:
    """What trunks and dispatch rules mean for the numbers in our database."""
    subject = "inbound"
    ours = [rule for rule in rules if agent_name in agents(rule)]
    if rules and not ours:
        named = ", ".join(sorted({name or "(none)" for rule in rules for name in agents(rule) or [""]}))
        return [
            broken(
                subject,
                f"no dispatch rule names the agent {agent_name!r}; they name {named}",
                "set LK_AGENT_NAME, or make the rule send this one: voiceagents trunks add-inbound +1… --replace",
            )
        ]
    if not rules and not numbers:
        mend = "voiceagents trunks add-inbound +1… --assistant ID"
        return [unknown(subject, "no numbers and no dispatch rules: nobody can call in", mend)]
    deaf = [number for number in numbers if not _arrives(number, trunks, ours)]
    findings = [
        broken(
            subject,
            f"who calls {number} does not reach us",
            f"LiveKit needs an inbound trunk with it and a dispatch rule: voiceagents trunks add-inbound {number}",
        )
        for number in deaf
    ]
    if heard := [number for number in numbers if number not in deaf]:
        findings.append(good(subject, f"{', '.join(heard)} ring the agent {agent_name!r}"))
    bound = {same_number(number) for number in numbers}
    fed = [item for item in trunks if any(feeds(rule, item.sip_trunk_id) for rule in ours)]
    strangers = [n for item in fed for n in item.numbers if same_number(n) not in bound]
    if strangers:
        mend = "voiceagents numbers add +1… --assistant ID"
        findings.append(unknown(subject, f"no assistant answers {', '.join(strangers)}", mend))
    for rule in ours:
        if unfit := why_unfit(rule, agent_name):
            named = rule.name or rule.sip_dispatch_rule_id
            mend = "make it fit: voiceagents trunks add-inbound +1… --replace"
            findings.append(broken(subject, f"the rule {named}: {unfit}", mend))
    return findings or [unknown(subject, "dispatch rules are there, but no numbers", "voiceagents numbers add +1…")]


def _arrives(number: str, trunks: Sequence[api.SIPInboundTrunkInfo], rules: Sequence[api.SIPDispatchRuleInfo]) -> bool:
    """A trunk without numbers takes every number."""
    return any(
        any(feeds(rule, trunk.sip_trunk_id) for rule in rules)
        for trunk in trunks
        if not trunk.numbers or same_number(number) in {same_number(own) for own in trunk.numbers}
    )
