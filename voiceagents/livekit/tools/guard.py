"""Which machines may a tool of an assistant talk to? Those on the public internet, and those that whoever runs this has
named.

Who writes an assistant is not who runs the machine: without this, a tool's address could reach a cloud's metadata
service, a database on loopback, or a printer (server-side request forgery). A name is resolved once, every address it
has is checked, and the connection goes to the address that was checked, so that a name which changes its mind in
between (DNS rebinding) gains nothing.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv6Address

import httpx
import httpx2

Resolve = Callable[[str, int], Awaitable[Iterable[str]]]
"""The addresses of a host, as text."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")


class Refused(Exception):
    """This machine must not be talked to, or there is none of this name. The message names no address."""


def why_refused(address: str) -> str | None:
    """Why a connection to this address is refused; None when it is a public one.

    >>> why_refused("169.254.169.254")
    'a link-local address'
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "no IP address"
    return next((why for one in (parsed, *_inside(parsed)) if (why := _why(one)) is not None), None)


def _inside(address: IPv4Address | IPv6Address) -> list[IPv4Address]:
    """IPv4 addresses that an IPv6 address stands for: a gateway on the way would take it for those."""
    if isinstance(address, IPv4Address):
        return []
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or (address in _V4_COMPATIBLE and int(address) > 1):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


def _why(address: IPv4Address | IPv6Address) -> str | None:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return None  # the IPv4 address in it says it all
    for fits, why in (
        (address.is_unspecified, "no address at all"),
        (address.is_loopback, "this machine itself"),
        (address.is_link_local, "a link-local address"),
        (address.is_multicast, "a multicast address"),
        (isinstance(address, IPv6Address) and address.is_site_local, "a private address"),
        (isinstance(address, IPv6Address) and address in _NAT64_LOCAL, "a private address"),
        (isinstance(address, IPv6Address) and address in _NAT64, None),  # judged by the IPv4 address in it
        (address.is_private, "a private address"),
        (address.is_reserved, "a reserved address"),
        (not address.is_global, "not a public address"),
    ):
        if fits:
            return why
    return None


async def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host by the system's resolver.

    Raises:
        Refused: there is no such host.
    """
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Refused(f"there is no machine called {host}") from None
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Guard:
    """Checks a host and answers with the address to connect to.

    Args:
        allowed: hosts (`crm.internal`) or hosts with a port (`10.0.0.5:8080`) that are always good.
    """

    allowed: frozenset[str] = frozenset()
    resolve: Resolve = look_up

    @classmethod
    def of(cls, setting: str) -> "Guard":
        """From TOOL_ALLOWED_HOSTS: hosts, or hosts with a port, with commas or blanks between."""
        return cls(frozenset(setting.lower().replace(",", " ").split()))

    async def address(self, host: str, port: int) -> str:
        """Where to connect to for this host.

        Raises:
            Refused: one of its addresses is not public, or it has none.
        """
        name = host.lower().rstrip(".").strip("[]")
        addresses = list(await self.resolve(name, port))
        if not addresses:
            raise Refused(f"there is no machine called {name}")
        if not self.allowed & {name, f"{name}:{port}", f"[{name}]:{port}"}:
            for address in addresses:
                if (why := why_refused(address)) is not None:
                    raise Refused(
                        f"{name} is {why}, and tools may only reach the public internet; "
                        "whoever runs this can allow it by TOOL_ALLOWED_HOSTS"
                    )
        return addresses[0]


Request = httpx.Request | httpx2.Request
"""The same to us: MCP's client is made of the second."""


async def pin(guard: Guard, request: Request) -> None:
    """Has the request go to the checked address of its host; TLS still wants the host's own name in the certificate.

    Raises:
        Refused: its host is not to be talked to, or it is no web address.
    """
    if request.url.scheme not in ("http", "https"):
        raise Refused(f"{request.url.scheme}: is no web address")
    host = request.url.raw_host.decode("ascii")
    port = request.url.port or (443 if request.url.scheme == "https" else 80)
    address = await guard.address(host, port)
    request.extensions = {**request.extensions, "sni_hostname": host}
    # Two libraries, two types of URL; a request's own makes one of its own kind.
    request.url = request.url.copy_with(host=address)  # pyright: ignore[reportAttributeAccessIssue]


class GuardedTransport(httpx.AsyncBaseTransport):
    """Sends requests to public machines only. The `Host` header keeps the name; each redirect would be checked anew."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._inner = httpx.AsyncHTTPTransport(verify=certificates(), trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await pin(self._guard, request)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@cache
def certificates() -> ssl.SSLContext:
    """The system's certificates, read once: that takes a tenth of a second, in which a call would not be heard."""
    return ssl.create_default_context()
