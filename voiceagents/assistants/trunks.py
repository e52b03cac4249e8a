"""How do the calls of a number get from LiveKit to our agent, and ours to a carrier? Trunks and dispatch rules, made
once and found again.

What is to be done is decided from what LiveKit has (pure); asked for twice, nothing changes the second time. A rule
gives each caller a room of their own, named `did-<number>` and more, and sends our agent there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from livekit import api

from voiceagents.assistants.draft import AssistantProblem
from voiceagents.phone import same_number


class TrunkProblem(AssistantProblem):
    """What was asked cannot be done to this trunk or rule; the message says why and how to mend it."""


@dataclass(frozen=True)
class Login:
    """How a trunk proves who it is. The password is never shown."""

    username: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Login({self.username!r})"


@dataclass(frozen=True)
class Inbound:
    """What a number needs to be called."""

    number: str
    """E.164."""

    agent_name: str
    name: str = ""
    allowed_addresses: tuple[str, ...] = ()
    """From where calls may come: addresses and networks (203.0.113.0/24); empty: from everywhere."""

    login: Login = Login()

    @property
    def room_prefix(self) -> str:
        """What the names of its rooms begin with."""
        return f"did-{self.number}"


@dataclass(frozen=True)
class Outbound:
    """A way to a carrier."""

    address: str
    """Host and port (`sip.example.com:5060`), without `sip:`."""

    numbers: tuple[str, ...]
    """E.164; what people who are called see."""

    name: str = ""
    login: Login = Login()
    transport: str = "auto"
    """auto, udp, tcp or tls."""


@dataclass(frozen=True)
class Made:
    """What was done, a line each; nothing where all was there."""

    trunk_id: str
    rule_id: str
    done: tuple[str, ...]


def feeds(rule: api.SIPDispatchRuleInfo, trunk_id: str) -> bool:
    """True when the rule is for calls on this trunk. Without trunks of its own, it is for all."""
    return not rule.trunk_ids or trunk_id in rule.trunk_ids


def agents(rule: api.SIPDispatchRuleInfo) -> list[str]:
    """Names of the agents that the rule sends."""
    return [agent.agent_name for agent in rule.room_config.agents]


def trunk_of(number: str, trunks: Sequence[api.SIPInboundTrunkInfo]) -> api.SIPInboundTrunkInfo | None:
    """The inbound trunk on which this number arrives: its own, or else one that takes every number."""
    return next(
        (trunk for trunk in trunks if same_number(number) in {same_number(own) for own in trunk.numbers}),
        next((trunk for trunk in trunks if not trunk.numbers), None),
    )


def why_unfit(rule: api.SIPDispatchRuleInfo, agent_name: str) -> str | None:
    """Why calls by this rule do not reach our agent as they should; None when they do."""
    if agent_name not in agents(rule):
        named = ", ".join(agents(rule)) or "no agent"
        return f"it sends {named}, not the agent {agent_name!r}"
    if rule.rule.HasField("dispatch_rule_direct"):
        return "it puts all callers into one room, where they hear each other"
    if rule.rule.HasField("dispatch_rule_callee"):
        if not rule.rule.dispatch_rule_callee.randomize:
            return "it puts all callers of a number into one room, where they hear each other"
        return None
    if rule.rule.dispatch_rule_individual.pin:
        return "it asks callers for a PIN"
    if not rule.rule.dispatch_rule_individual.room_prefix.startswith("did-"):
        return "its rooms are not named did-<number>"
    return None


async def add_inbound(livekit: api.LiveKitAPI, wanted: Inbound, *, replace: bool = False) -> Made:
    """Lets a number be called: an inbound trunk with it, and a rule that sends our agent.

    Args:
        livekit: LiveKit's API.
        wanted: the number and all else.
        replace: mends a rule that leads elsewhere, instead of refusing.

    Raises:
        TrunkProblem: a rule for its trunk leads elsewhere.
    """
    done: list[str] = []
    found = trunk_of(wanted.number, (await livekit.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())).items)
    if found is None:
        found = await livekit.sip.create_inbound_trunk(api.CreateSIPInboundTrunkRequest(trunk=_inbound_trunk(wanted)))
        done.append(f"made the inbound trunk {found.sip_trunk_id} with {wanted.number}")
    elif changes := _changes(found, wanted):
        await livekit.sip.update_inbound_trunk_fields(found.sip_trunk_id, **changes)
        done.append(f"changed {' and '.join(_words(changes))} of the inbound trunk {found.sip_trunk_id}")
    rules = (await livekit.sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())).items
    rule = _rule_of(found.sip_trunk_id, rules)
    if rule is None:
        rule = await livekit.sip.create_dispatch_rule(
            api.CreateSIPDispatchRuleRequest(dispatch_rule=_dispatch_rule(wanted, found.sip_trunk_id))
        )
        done.append(f"made the dispatch rule {rule.sip_dispatch_rule_id}, which sends {wanted.agent_name!r}")
    elif unfit := why_unfit(rule, wanted.agent_name):
        if not replace:
            raise TrunkProblem(
                f"The dispatch rule {_named(rule.name, rule.sip_dispatch_rule_id)} for the trunk {found.sip_trunk_id}"
                f" does not fit: {unfit}. Repeat with --replace to make it fit, or take it away: voiceagents trunks"
                f" remove {rule.sip_dispatch_rule_id}"
            )
        await livekit.sip.update_dispatch_rule(
            rule.sip_dispatch_rule_id, _dispatch_rule(wanted, found.sip_trunk_id, like=rule)
        )
        done.append(f"changed the dispatch rule {rule.sip_dispatch_rule_id}: {unfit}")
    return Made(found.sip_trunk_id, rule.sip_dispatch_rule_id, tuple(done))


async def add_outbound(livekit: api.LiveKitAPI, wanted: Outbound) -> Made:
    """Makes a way to a carrier, or finds the one that is there.

    Raises:
        TrunkProblem: it has no address or no number.
    """
    if not wanted.address or wanted.address.lower().startswith(("sip:", "sips:")):
        raise TrunkProblem("A carrier's address is a host, such as sip.example.com:5060, without sip: before it.")
    if not wanted.numbers:
        raise TrunkProblem("An outbound trunk needs a number that people who are called see.")
    trunks = (await livekit.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())).items
    found = next((trunk for trunk in trunks if _same_way(trunk, wanted)), None)
    if found is None:
        trunk = api.SIPOutboundTrunkInfo(
            name=wanted.name or wanted.address,
            address=wanted.address,
            numbers=wanted.numbers,
            auth_username=wanted.login.username,
            auth_password=wanted.login.password,
            transport=_transport(wanted.transport),
        )
        made = await livekit.sip.create_outbound_trunk(api.CreateSIPOutboundTrunkRequest(trunk=trunk))
        return Made(made.sip_trunk_id, "", (f"made the outbound trunk {made.sip_trunk_id} to {wanted.address}",))
    changes = _login_changes(found, wanted.login) | _new_name(found, wanted.name)
    if {same_number(number) for number in found.numbers} != {same_number(number) for number in wanted.numbers}:
        changes["numbers"] = list(wanted.numbers)
    if wanted.transport != "auto" and found.transport != _transport(wanted.transport):
        changes["transport"] = _transport(wanted.transport)
    if not changes:
        return Made(found.sip_trunk_id, "", ())
    await livekit.sip.update_outbound_trunk_fields(found.sip_trunk_id, **changes)
    return Made(
        found.sip_trunk_id, "", (f"changed {' and '.join(_words(changes))} of the outbound trunk {found.sip_trunk_id}",)
    )


async def remove(livekit: api.LiveKitAPI, identifier: str) -> list[str]:
    """Takes a trunk away, with the rules that are for it alone; or one rule. Answers with what is gone, a line each.

    Raises:
        TrunkProblem: there is nothing with this id.
    """
    rules = (await livekit.sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())).items
    if any(rule.sip_dispatch_rule_id == identifier for rule in rules):
        await livekit.sip.delete_dispatch_rule(api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=identifier))
        return [f"the dispatch rule {identifier}"]
    known = [
        *(trunk.sip_trunk_id for trunk in (await livekit.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())).items),
        *(trunk.sip_trunk_id for trunk in (await livekit.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())).items),
    ]  # fmt: skip
    if identifier not in known:
        there = ", ".join([*known, *(rule.sip_dispatch_rule_id for rule in rules)]) or "nothing"
        raise TrunkProblem(f"LiveKit has no trunk and no dispatch rule {identifier!r}; it has {there}.")
    gone: list[str] = []
    for rule in rules:
        if list(rule.trunk_ids) == [identifier]:
            await livekit.sip.delete_dispatch_rule(
                api.DeleteSIPDispatchRuleRequest(sip_dispatch_rule_id=rule.sip_dispatch_rule_id)
            )
            gone.append(f"the dispatch rule {rule.sip_dispatch_rule_id}")
    await livekit.sip.delete_trunk(api.DeleteSIPTrunkRequest(sip_trunk_id=identifier))
    return [*gone, f"the trunk {identifier}"]


def _rule_of(trunk_id: str, rules: Sequence[api.SIPDispatchRuleInfo]) -> api.SIPDispatchRuleInfo | None:
    """The rule that calls on this trunk meet: its own before one for all."""
    meeting = [rule for rule in rules if feeds(rule, trunk_id) and not rule.inbound_numbers]
    return min(meeting, key=lambda rule: not rule.trunk_ids, default=None)


def _inbound_trunk(wanted: Inbound) -> api.SIPInboundTrunkInfo:
    return api.SIPInboundTrunkInfo(
        name=wanted.name or wanted.number,
        numbers=[wanted.number],
        allowed_addresses=wanted.allowed_addresses,
        auth_username=wanted.login.username,
        auth_password=wanted.login.password,
    )


def _dispatch_rule(
    wanted: Inbound, trunk_id: str, like: api.SIPDispatchRuleInfo | None = None
) -> api.SIPDispatchRuleInfo:
    rule = api.SIPDispatchRuleInfo(name=wanted.name or wanted.number, trunk_ids=[trunk_id])
    if like is not None:
        rule.CopyFrom(like)
    individual = api.SIPDispatchRuleIndividual(room_prefix=wanted.room_prefix)
    rule.rule.CopyFrom(api.SIPDispatchRule(dispatch_rule_individual=individual))
    kept = [agent for agent in rule.room_config.agents if agent.agent_name == wanted.agent_name]
    del rule.room_config.agents[:]
    rule.room_config.agents.extend(kept[:1] or [api.RoomAgentDispatch(agent_name=wanted.agent_name)])
    return rule


def _changes(found: api.SIPInboundTrunkInfo, wanted: Inbound) -> dict[str, Any]:
    changes = _login_changes(found, wanted.login) | _new_name(found, wanted.name)
    if wanted.allowed_addresses and set(found.allowed_addresses) != set(wanted.allowed_addresses):
        changes["allowed_addresses"] = list(wanted.allowed_addresses)
    return changes


def _login_changes(found: api.SIPInboundTrunkInfo | api.SIPOutboundTrunkInfo, login: Login) -> dict[str, Any]:
    """What differs of what was given: a login that is not named stays."""
    changes: dict[str, Any] = {}
    if login.username and found.auth_username != login.username:
        changes["auth_username"] = login.username
    if login.password and found.auth_password != login.password:
        changes["auth_password"] = login.password
    return changes


def _new_name(found: api.SIPInboundTrunkInfo | api.SIPOutboundTrunkInfo, name: str) -> dict[str, Any]:
    return {"name": name} if name and found.name != name else {}


def _words(changes: dict[str, Any]) -> list[str]:
    return [name.replace("auth_", "").replace("_", " ") for name in changes]


def _same_way(trunk: api.SIPOutboundTrunkInfo, wanted: Outbound) -> bool:
    """The same carrier, with a number in common or the same name."""
    shared = {same_number(number) for number in trunk.numbers} & {same_number(number) for number in wanted.numbers}
    return trunk.address == wanted.address and (bool(shared) or (bool(wanted.name) and trunk.name == wanted.name))


def _transport(word: str) -> api.SIPTransport:
    return cast(api.SIPTransport, api.SIPTransport.Value(f"SIP_TRANSPORT_{word.upper()}"))


def _named(name: str, identifier: str) -> str:
    return f"{identifier} ({name})" if name else identifier
