"""Which machines may a tool talk to? Public ones, and those that whoever runs this has named."""

import ipaddress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voiceagents.livekit.tools.guard import Guard, Refused, pin, why_refused

pytestmark = pytest.mark.unit

REFUSED = {
    "this machine": ["127.0.0.1", "127.8.9.1", "::1", "0.0.0.0", "::"],
    "private networks": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fd00::1", "fc00::1", "fec0::1"],
    "link-local": ["169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0"],
    "where clouds keep their metadata": ["169.254.169.254", "fd00:ec2::254"],
    "multicast and broadcast": ["224.0.0.1", "239.255.255.250", "ff02::1", "255.255.255.255"],
    "reserved and shared": ["240.0.0.1", "100.64.0.1", "198.18.0.1", "192.0.2.1", "203.0.113.7", "2001:db8::1"],
    "IPv4 inside IPv6": [
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "2002:7f00:1::1",
        "2002:a9fe:a9fe::",
    ],
    "no address": ["", "localhost", "1.2.3", "999.1.1.1"],
}  # fmt: skip
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "93.184.215.14",
    "172.32.0.1",
    "2606:4700:4700::1111",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", [one for listed in REFUSED.values() for one in listed])
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    assert why_refused(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_good(address: str) -> None:
    assert why_refused(address) is None


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_inside_ipv6(address: ipaddress.IPv4Address) -> None:
    assert (why_refused(str(address)) is None) == (why_refused(f"::ffff:{address}") is None)


@given(st.ip_addresses())
def test_what_is_let_through_is_global_by_the_registry(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if why_refused(str(address)) is None:
        assert address.is_global or address in ipaddress.ip_network("64:ff9b::/96")
        assert not address.is_multicast


def names(**hosts: list[str]) -> Guard:
    """A guard whose resolver knows these hosts; each look-up answers with the next of a host's addresses."""
    left = {host.replace("_", "."): list(addresses) for host, addresses in hosts.items()}

    async def resolve(host: str, port: int) -> list[str]:
        del port
        known = left.get(host, [])
        return [known.pop(0)] if len(known) > 1 else known

    return Guard(resolve=resolve)


async def test_a_name_is_good_when_its_address_is_public() -> None:
    assert await names(shop_example=["93.184.215.14"]).address("shop.example", 443) == "93.184.215.14"


async def test_a_name_with_one_private_address_among_public_ones_is_refused() -> None:
    async def both(host: str, port: int) -> list[str]:
        del host, port
        return ["93.184.215.14", "10.0.0.1"]

    with pytest.raises(Refused, match="a private address"):
        await Guard(resolve=both).address("shop.example", 443)


async def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(Refused, match=r"no machine called gone\.example"):
        await names().address("gone.example", 443)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0", "127.1", "2130706433", "0x7f000001", "[::1]"])
async def test_every_spelling_of_this_machine_is_refused(host: str) -> None:
    """The system's own resolver reads them, as it would for a connection."""
    with pytest.raises(Refused):
        await Guard().address(host, 80)


@pytest.mark.parametrize(
    ("setting", "port", "good"),
    [
        ("crm.internal", 8080, True),
        ("CRM.internal, other", 80, True),
        ("crm.internal:8080", 8080, True),
        ("crm.internal:8080", 5432, False),
        ("other.internal", 8080, False),
        ("internal", 8080, False),
        ("", 8080, False),
    ],
)
async def test_whoever_runs_this_can_allow_a_host_or_one_port_of_it(setting: str, port: int, good: bool) -> None:
    async def private(host: str, port: int) -> list[str]:
        del host, port
        return ["10.0.0.5"]

    guard = Guard(Guard.of(setting).allowed, private)
    if good:
        assert await guard.address("crm.internal", port) == "10.0.0.5"
    else:
        with pytest.raises(Refused):
            await guard.address("crm.internal", port)


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """A name that answers with a public address when it is checked and a private one after: nobody asks it again."""
    guard = names(rebind_example=["93.184.215.14", "127.0.0.1"])
    request = httpx.Request("GET", "https://rebind.example/orders?id=1")
    await pin(guard, request)
    assert str(request.url) == "https://93.184.215.14/orders?id=1"
    assert request.headers["host"] == "rebind.example", "the server still learns which name was meant"
    assert request.extensions["sni_hostname"] == "rebind.example", "and its certificate must be of that name"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://shop.example/", "ftp://shop.example/x"])
async def test_only_web_addresses_are_asked(url: str) -> None:
    with pytest.raises(Refused, match="no web address"):
        await pin(names(shop_example=["93.184.215.14"]), httpx.Request("GET", url))
