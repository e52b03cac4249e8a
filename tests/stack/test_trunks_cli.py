"""`voiceagents trunks` on a real LiveKit server: made once, found again, mended, taken away, and no secret shown."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from livekit import api
from typer.testing import CliRunner

from voiceagents.cli.app import app
from voiceagents.lab import Lab

pytestmark = [pytest.mark.stack, pytest.mark.patient, pytest.mark.timeout(180)]

SECRET = "hunter2-not-shown"
Typed = Callable[..., Awaitable[str]]


@pytest.fixture
def typed(lab: Lab, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typed:
    """Types a command beside the lab; no output may hold the secret."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "password").write_text(f"{SECRET}\n")
    for name, value in {**lab.env(), "DATABASE_URL": database_url, "LK_AGENT_NAME": "desk"}.items():
        monkeypatch.setenv(name, value)

    async def type_it(*words: str, status: int = 0) -> str:
        ran = await asyncio.to_thread(CliRunner().invoke, app, list(words))
        assert ran.exit_code == status, (ran.output, ran.exception)
        assert SECRET not in ran.output
        return ran.output

    return type_it


@pytest_asyncio.fixture(scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    """A phone network on which only these tests make trunks and rules."""
    async with Lab(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture
def did() -> str:
    return f"+1202555{random.randrange(10000):04}"


async def lines(lab: Lab, did: str) -> tuple[list[api.SIPInboundTrunkInfo], list[api.SIPDispatchRuleInfo]]:
    """The trunks with this number and the rules for them."""
    async with lab.livekit() as livekit:
        trunks = await livekit.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest())
        rules = await livekit.sip.list_dispatch_rule(api.ListSIPDispatchRuleRequest())
    mine = [trunk for trunk in trunks.items if did in trunk.numbers]
    ids = {trunk.sip_trunk_id for trunk in mine}
    return mine, [rule for rule in rules.items if ids & set(rule.trunk_ids)]


async def test_a_number_is_connected_once_and_found_again(lab: Lab, typed: Typed, did: str) -> None:
    await typed("assistants", "add", "Front desk")
    assert "does not reach us" in await typed("trunks", "check", did, status=1)
    said = await typed("trunks", "add-inbound", did, "--assistant", "front-desk")
    assert "Made the inbound trunk ST_" in said
    assert "Made the dispatch rule SDR_" in said
    (trunk,), (rule,) = await lines(lab, did)
    assert rule.rule.dispatch_rule_individual.room_prefix == f"did-{did}"
    assert [agent.agent_name for agent in rule.room_config.agents] == ["desk"]
    assert list(rule.trunk_ids) == [trunk.sip_trunk_id]

    again = await typed("trunks", "add-inbound", did, "--assistant", "front-desk")
    assert "nothing changed" in again
    assert await lines(lab, did) == ([trunk], [rule])
    checked = await typed("trunks", "check", did)
    assert f"answered: {did} by front-desk" in checked
    assert f"{did} ring the agent 'desk'" in checked
    listed = " ".join((await typed("trunks", "list")).split())
    assert trunk.sip_trunk_id in listed

    gone = await typed("trunks", "remove", trunk.sip_trunk_id)
    assert rule.sip_dispatch_rule_id in gone
    assert await lines(lab, did) == ([], [])
    assert "has no trunk and no dispatch rule" in await typed("trunks", "remove", trunk.sip_trunk_id, status=2)


async def test_a_rule_that_leads_elsewhere_is_named_and_mended_on_request(lab: Lab, typed: Typed, did: str) -> None:
    await lab.add_inbound_number(did, agent_name="somebody-else", metadata="kept")
    said = await typed("trunks", "add-inbound", did, status=2)
    assert "sends somebody-else, not the agent 'desk'" in said
    assert "--replace" in said
    _, (before,) = await lines(lab, did)
    assert "Changed the dispatch rule" in await typed("trunks", "add-inbound", did, "--replace")
    _, (after,) = await lines(lab, did)
    assert after.sip_dispatch_rule_id == before.sip_dispatch_rule_id
    assert [agent.agent_name for agent in after.room_config.agents] == ["desk"]
    assert "nothing changed" in await typed("trunks", "add-inbound", did, "--replace")
    (trunk,), _ = await lines(lab, did)
    await typed("trunks", "remove", trunk.sip_trunk_id)


async def test_what_is_given_changes_and_what_is_not_stays(lab: Lab, typed: Typed, did: str) -> None:
    login = ("--auth-username", "ann", "--auth-password-file", "password")
    await typed("trunks", "add-inbound", did, "--name", "main", "--allow", "203.0.113.0/24", *login)
    (trunk,), _ = await lines(lab, did)
    assert (trunk.name, list(trunk.allowed_addresses), trunk.auth_username) == ("main", ["203.0.113.0/24"], "ann")
    assert "nothing changed" in await typed("trunks", "add-inbound", did, "--allow", "203.0.113.0/24", *login)
    said = await typed("trunks", "add-inbound", did, "--allow", "203.0.113.7", "--allow", "203.0.113.8")
    assert "Changed allowed addresses of the inbound trunk" in said
    (changed,), _ = await lines(lab, did)
    assert sorted(changed.allowed_addresses) == ["203.0.113.7", "203.0.113.8"]
    assert (changed.sip_trunk_id, changed.name, changed.auth_username) == (trunk.sip_trunk_id, "main", "ann")
    await typed("trunks", "list")
    await typed("trunks", "remove", trunk.sip_trunk_id)


async def test_a_way_out_is_made_once_and_found_again(lab: Lab, typed: Typed, did: str) -> None:
    host = f"sip{did[-4:]}.example.com"
    login = ("--auth-username", "ann", "--auth-password-file", "password")
    said = await typed("trunks", "add-outbound", host, did, "--transport", "tcp", *login)
    identifier = said.split("SIP_TRUNK_ID=")[1].strip()
    assert identifier.startswith("ST_")
    again = await typed("trunks", "add-outbound", host, did, "--transport", "tcp", *login)
    assert f"{identifier} to {host} is there already: nothing changed" in again
    changed = await typed("trunks", "add-outbound", host, did, "+12025550199", "--auth-username", "bob",
                          "--auth-password-file", "password")  # fmt: skip
    assert f"Changed username and numbers of the outbound trunk {identifier}" in changed
    async with lab.livekit() as livekit:
        trunks = await livekit.sip.list_outbound_trunk(api.ListSIPOutboundTrunkRequest())
    (found,) = [trunk for trunk in trunks.items if trunk.address == host]
    assert (sorted(found.numbers), found.auth_username) == (sorted([did, "+12025550199"]), "bob")
    assert found.auth_password in (SECRET, ""), "what the server gives back of it"
    assert identifier in await typed("trunks", "list")
    await typed("trunks", "remove", identifier)
    assert "without sip:" in await typed("trunks", "add-outbound", f"sip:{host}", did, status=2)
    assert "E.164" in await typed("trunks", "add-outbound", host, "12", status=2)
    assert "password" in await typed("trunks", "add-outbound", host, did, "--auth-username", "ann", status=2)


async def test_without_livekit_the_message_says_where_it_was_looked_for(
    typed: Typed, did: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1:9")
    said = await typed("trunks", "add-inbound", did, status=2)
    assert "ws://127.0.0.1:9 cannot be reached" in said
