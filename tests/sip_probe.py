"""A SIP caller that shows every packet: what a phone sends is asserted here byte by byte, not through a SIP library."""

import asyncio
import re
import secrets
import time
from dataclasses import dataclass, field
from typing import Self

Address = tuple[str, int]


@dataclass
class Received:
    """One packet and when it came."""

    time: float
    data: bytes


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, holding: bytes = b"") -> None:
        self.packets: asyncio.Queue[Received] = asyncio.Queue()
        self._holding = holding

    def datagram_received(self, data: bytes, addr: Address) -> None:
        # A port that an earlier call had may still get what is sent again for that one.
        if self._holding in data:
            self.packets.put_nowait(Received(time.time(), data))


@dataclass
class Response:
    status: int
    headers: dict[str, str]
    body: str

    @classmethod
    def parse(cls, data: bytes) -> Self:
        head, _, body = data.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        return cls(int(first.split()[1]) if first.startswith("SIP/2.0") else 0, headers, body)


@dataclass
class Probe:
    """One call to one number; `rtp` holds the audio packets that arrived."""

    carrier: Address
    number: str
    formats: str = "0 8 101"
    call_id: str = field(default_factory=lambda: secrets.token_hex(8))
    tag: str = field(default_factory=lambda: secrets.token_hex(4))
    branch: str = field(default_factory=lambda: f"z9hG4bK{secrets.token_hex(8)}")
    to: str = ""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._sip, sip = await loop.create_datagram_endpoint(
            lambda: _Socket(self.call_id.encode()), ("127.0.0.1", 0), self.carrier
        )
        self._media, media = await loop.create_datagram_endpoint(_Socket, ("127.0.0.1", 0))
        self.responses, self.rtp = sip.packets, media.packets
        self.port = self._sip.get_extra_info("sockname")[1]
        self.rtp_port = self._media.get_extra_info("sockname")[1]
        self.to = f"<sip:{self.number}@127.0.0.1>"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._sip.close()
        self._media.close()

    def invite(self) -> None:
        """Send the INVITE; sent again it is a retransmission."""
        sdp = (
            f"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {self.rtp_port} RTP/AVP {self.formats}\r\na=rtpmap:101 telephone-event/8000\r\n"
        )
        self.request("INVITE", 1, self.branch, sdp, "Content-Type: application/sdp")

    def request(self, method: str, number: int, branch: str = "", body: str = "", *headers: str) -> None:
        lines = [
            f"{method} sip:{self.number}@127.0.0.1:{self.carrier[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch or 'z9hG4bK' + secrets.token_hex(8)}",
            "Max-Forwards: 70",
            f"From: <sip:+15550100000@127.0.0.1>;tag={self.tag}",
            f"To: {self.to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:probe@127.0.0.1:{self.port}>",
            *headers,
            f"Content-Length: {len(body)}",
        ]
        self._sip.sendto(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    async def response(self, within: float = 5) -> Response:
        async with asyncio.timeout(within):
            response = Response.parse((await self.responses.get()).data)
        if "tag=" in response.headers.get("to", ""):
            self.to = response.headers["to"]
        return response

    async def final_response(self) -> Response:
        while (response := await self.response()).status < 200:
            pass
        return response

    @staticmethod
    def audio_port(response: Response) -> int:
        found = re.search(r"m=audio (\d+) ", response.body)
        assert found, f"no audio in {response}"
        return int(found[1])
