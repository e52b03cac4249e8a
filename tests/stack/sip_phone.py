"""A SIP phone that does exactly what a test tells it, over UDP on loopback, and keeps every message it gets.

`async with SipPhone() as phone` is one phone; `await phone.rung()` is the next call it gets, `phone.call(...)` places
one.
Nothing is answered by itself except what any phone would: BYE, CANCEL, NOTIFY and OPTIONS get their 200.
"""

import asyncio
import contextlib
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.stack.phone_audio import CODECS, Address, PhoneAudio

REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    202: "Accepted",
    403: "Forbidden",
    404: "Not Found",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Error",
    503: "Service Unavailable",
    600: "Busy Everywhere",
    603: "Decline",
}


@dataclass(frozen=True)
class Message:
    """A request or a response, as it arrived."""

    at: float
    first_line: str
    headers: dict[str, list[str]]
    body: str

    @classmethod
    def parse(cls, data: bytes) -> Self:
        head, _, body = data.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.strip().lower(), []).append(value.strip())
        return cls(time.monotonic(), first, headers, body)

    def __getitem__(self, name: str) -> str:
        return self.headers[name][0]

    def get(self, name: str) -> str | None:
        return self.headers.get(name, [None])[0]

    @property
    def status(self) -> int | None:
        return int(self.first_line.split()[1]) if self.first_line.startswith("SIP/2.0") else None

    @property
    def method(self) -> str:
        """Of a request its own; of a response that of the request it answers."""
        return self["cseq"].split()[1] if self.status is not None else self.first_line.split()[0]

    @property
    def uri(self) -> str:
        return self.first_line.split()[1]

    @property
    def call_id(self) -> str:
        return self["call-id"]

    def audio_at(self) -> Address:
        """Where the other side wants its RTP."""
        host = re.findall(r"^c=IN IP4 (\S+)", self.body, re.M)[-1]
        port = re.findall(r"^m=audio (\d+)", self.body, re.M)[-1]
        return host, int(port)

    def formats(self) -> list[int]:
        described = re.findall(r"^m=audio \d+ RTP/AVP ([\d ]+)", self.body, re.M)
        return [int(payload) for payload in described[-1].split()]


def tag_of(header: str) -> str:
    found = re.search(r";tag=([^;>\s]+)", header)
    return found.group(1) if found else ""


def uri_of(header: str) -> str:
    found = re.search(r"<([^>]+)>", header)
    return found.group(1) if found else header.split(";")[0]


@dataclass
class PhoneCall:
    """One call of a phone, placed by it or to it. Requests and responses of the other side are in `messages`."""

    phone: "SipPhone"
    peer: Address
    invite: Message | None  # the INVITE we got, if the call is to us
    call_id: str
    local: str  # our From or To, with our tag
    remote: str  # the other side's
    target: str  # its Contact
    audio: PhoneAudio
    messages: list[Message] = field(default_factory=list)
    cseq: int = 100
    branch: str = ""
    _arrival: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, message: Message) -> None:
        self.messages.append(message)
        self._arrival.set()

    async def got(self, wanted: Callable[[Message], bool], within: float = 5.0) -> Message:
        async with asyncio.timeout(within):
            while True:
                for message in self.messages:
                    if wanted(message):
                        return message
                self._arrival.clear()
                await self._arrival.wait()

    async def request(self, method: str, within: float = 5.0) -> Message:
        """The other side's request of a kind, waiting for it if need be."""
        return await self.got(lambda m: m.status is None and m.method == method, within)

    async def response(self, method: str, least: int = 200, within: float = 5.0) -> Message:
        """The other side's response to a request of ours, provisional ones left out by default."""
        return await self.got(lambda m: m.status is not None and m.status >= least and m.method == method, within)

    async def count(self, method: str, least: int, within: float = 5.0) -> None:
        """Return when the other side has sent this many requests of a kind."""
        async with asyncio.timeout(within):
            while len(self.requests(method)) < least:
                self._arrival.clear()
                await self._arrival.wait()

    def is_up(self) -> bool:
        """Whether it was answered and nobody has hung up."""
        answered = self.requests("ACK") if self.invite else 200 in self.statuses()
        return bool(answered) and not any(m.method == "BYE" for m in self.messages)

    def requests(self, method: str) -> list[Message]:
        return [m for m in self.messages if m.status is None and m.method == method]

    def statuses(self) -> list[int]:
        """The responses to our INVITE, in order."""
        return [m.status for m in self.messages if m.status is not None and m.method == "INVITE"]

    # --- as the one who is called ---

    def respond(self, status: int, body: str = "", reason: str = "", headers: tuple[str, ...] = ()) -> None:
        assert self.invite is not None
        self.phone.respond(self.invite, self.peer, status, self.local, body, reason, headers)

    def ring(self) -> None:
        self.respond(180)

    def early(self, *codecs: str) -> None:
        self.respond(183, self.sdp(*codecs))

    def answer(self, *codecs: str, headers: tuple[str, ...] = ()) -> None:
        self.respond(200, self.sdp(*codecs), headers=headers)

    def sdp(self, *codecs: str) -> str:
        return session_description(self.audio.port, codecs or ("PCMU",))

    # --- as either ---

    @property
    def audio_peer(self) -> Address:
        """Where our RTP goes: what the other side's latest session description says."""
        described = [m for m in ([self.invite] if self.invite else []) + self.messages if "m=audio" in m.body]
        return described[-1].audio_at()

    def send(self, method: str, body: str = "", kind: str = "application/sdp", headers: tuple[str, ...] = ()) -> None:
        """Send a request within the call."""
        self.cseq += 1
        lines = self._lines(method, self.cseq, f"z9hG4bK{secrets.token_hex(8)}", self.target, headers)
        self.phone.send(lines, body, kind, self.peer)

    def hang_up(self) -> None:
        self.send("BYE")

    def acknowledge(self, answer: Message) -> None:
        self.remote, self.target = answer["to"], uri_of(answer["contact"])
        number = int(answer["cseq"].split()[0])
        self.phone.send(self._lines("ACK", number, f"z9hG4bK{secrets.token_hex(8)}", self.target), "", "", self.peer)

    def cancel(self) -> None:
        self.phone.send(self._lines("CANCEL", self.cseq, self.branch, self.target), "", "", self.peer)

    def invite_with(self, body: str, headers: tuple[str, ...] = ()) -> None:
        self.branch = f"z9hG4bK{secrets.token_hex(8)}"
        self.cseq += 1
        self.phone.send(
            self._lines("INVITE", self.cseq, self.branch, self.target, headers), body, "application/sdp", self.peer
        )

    def _lines(self, method: str, number: int, branch: str, uri: str, headers: tuple[str, ...] = ()) -> list[str]:
        return [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.phone.port};branch={branch}",
            "Max-Forwards: 70",
            f"From: {self.local}",
            f"To: {self.remote}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:phone@127.0.0.1:{self.phone.port}>",
            *headers,
        ]


def session_description(port: int, codecs: tuple[str, ...], direction: str = "sendrecv") -> str:
    known = [CODECS[name] for name in codecs]
    formats = " ".join(str(codec.payload) for codec in known)
    lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    lines += [f"m=audio {port} RTP/AVP {formats} 101"]
    lines += [f"a=rtpmap:{codec.payload} {codec.name}/8000" for codec in known]
    lines += ["a=rtpmap:101 telephone-event/8000", "a=fmtp:101 0-15", "a=ptime:20", f"a={direction}"]
    return "\r\n".join(lines) + "\r\n"


class SipPhone(asyncio.DatagramProtocol):
    """A phone with one SIP socket. Messages of calls it does not know start new calls."""

    def __init__(self) -> None:
        self.calls: dict[str, PhoneCall] = {}
        self.strays: list[Message] = []  # responses outside any call
        self._ringing: asyncio.Queue[PhoneCall] = asyncio.Queue()
        self._stray = asyncio.Event()
        self._opening: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        up = [call for call in self.calls.values() if call.is_up()]
        for call in up:
            call.hang_up()
        with contextlib.suppress(TimeoutError):  # the gateway may be what a test has ended
            await asyncio.gather(*(call.response("BYE", within=1) for call in up))
        for call in self.calls.values():
            call.audio.close()
        self.transport.close()

    @property
    def port(self) -> int:
        return self.transport.get_extra_info("sockname")[1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def datagram_received(self, data: bytes, addr: Address) -> None:
        message = Message.parse(data)
        call = self.calls.get(message.call_id)
        if message.status is not None:
            if call is None:
                self.strays.append(message)
                self._stray.set()
            else:
                call.take(message)
        elif call is None:
            if message.method == "INVITE":
                task = asyncio.create_task(self._open(message, addr))
                self._opening.add(task)
                task.add_done_callback(self._opening.discard)
            else:
                self.respond(message, addr, 481, message["to"])
        else:
            call.take(message)
            self._oblige(call, message, addr)

    async def _open(self, invite: Message, addr: Address) -> None:
        audio = await PhoneAudio.open()
        if invite.call_id in self.calls:  # repeated while the socket was opened
            audio.close()
            return
        local = f"{invite['to']};tag={secrets.token_hex(6)}"
        target = uri_of(invite["contact"])
        call = PhoneCall(self, addr, invite, invite.call_id, local, invite["from"], target, audio)
        call.take(invite)
        self.calls[invite.call_id] = call
        self._ringing.put_nowait(call)

    def _oblige(self, call: PhoneCall, message: Message, addr: Address) -> None:
        """Answer what every phone answers by itself."""
        if message.method == "CANCEL":
            self.respond(message, addr, 200, call.local)
            call.respond(487)
        elif message.method in ("BYE", "NOTIFY", "OPTIONS", "INFO"):
            self.respond(message, addr, 200, message["to"])

    async def rung(self, within: float = 5.0) -> PhoneCall:
        """The next call to this phone, as its INVITE arrived."""
        return await asyncio.wait_for(self._ringing.get(), within)

    async def call(
        self,
        to: str,
        caller: str,
        gateway: Address,
        codecs: tuple[str, ...] = ("PCMU",),
        headers: tuple[str, ...] = (),
        body: str | None = None,
    ) -> PhoneCall:
        """Place a call; `caller` is the whole From without a tag."""
        audio = await PhoneAudio.open()
        uri = f"sip:{to}@{gateway[0]}:{gateway[1]}"
        call_id, tag = secrets.token_hex(10), secrets.token_hex(6)
        call = PhoneCall(self, gateway, None, call_id, f"{caller};tag={tag}", f"<sip:{to}@127.0.0.1>", uri, audio)
        self.calls[call_id] = call
        call.invite_with(session_description(audio.port, codecs) if body is None else body, headers)
        return call

    async def options(self, gateway: Address) -> Message:
        """Ask whether the other side is there."""
        lines = [
            f"OPTIONS sip:{gateway[0]}:{gateway[1]} SIP/2.0",
            f"Via: SIP/2.0/UDP {self.address};branch=z9hG4bK{secrets.token_hex(8)}",
            f"From: <sip:phone@127.0.0.1>;tag={secrets.token_hex(6)}",
            "To: <sip:gateway@127.0.0.1>",
            f"Call-ID: {secrets.token_hex(10)}",
            "CSeq: 1 OPTIONS",
        ]
        self._stray.clear()
        self.send(lines, "", "", gateway)
        await asyncio.wait_for(self._stray.wait(), 3)
        return self.strays[-1]

    def respond(
        self,
        request: Message,
        addr: Address,
        status: int,
        to: str,
        body: str = "",
        reason: str = "",
        headers: tuple[str, ...] = (),
    ) -> None:
        lines = [f"SIP/2.0 {status} {reason or REASONS.get(status, 'Whatever')}"]
        for name in ("Via", "Record-Route"):
            lines += [f"{name}: {value}" for value in request.headers.get(name.lower(), [])]
        lines += [f"From: {request['from']}", f"To: {to if status > 100 else request['to']}"]
        lines += [f"Call-ID: {request.call_id}", f"CSeq: {request['cseq']}"]
        lines += [f"Contact: <sip:phone@{self.address}>", *headers]
        self.send(lines, body, "application/sdp", addr)

    def send(self, lines: list[str], body: str, kind: str, to: Address) -> None:
        content = [f"Content-Type: {kind}"] if body else []
        self.transport.sendto("\r\n".join([*lines, *content, f"Content-Length: {len(body)}", "", body]).encode(), to)
