"""What does a test phone say and hear? RTP over one UDP socket, in G.711 or G.722, with RFC 4733 key presses.

Every packet that arrives is kept with its time, so that a test can look at pace, order and gaps as well as at sound.
"""

import asyncio
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, cast

import av
import numpy as np
import numpy.typing as npt

Address = tuple[str, int]
Pcm = npt.NDArray[np.int16]

FRAME_S = 0.02
CLOCK = 8000  # the RTP clock of all three codecs, though G.722 samples at 16 kHz
FRAME_TICKS = 160
EVENT_PAYLOAD = 101
KEYS = "0123456789*#ABCD"


@dataclass(frozen=True)
class Codec:
    name: str
    payload: int
    rate: int
    decoder: str
    encoder: str

    @property
    def frame(self) -> int:
        return round(self.rate * FRAME_S)


CODECS = {
    codec.name: codec
    for codec in (
        Codec("PCMU", 0, 8000, "pcm_mulaw", "pcm_mulaw"),
        Codec("PCMA", 8, 8000, "pcm_alaw", "pcm_alaw"),
        Codec("G722", 9, 16000, "g722", "g722"),
    )
}


@dataclass(frozen=True)
class RtpPacket:
    at: float
    source: Address
    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, data: bytes, source: Address) -> Self:
        return cls(
            at=time.monotonic(),
            source=source,
            payload_type=data[1] & 0x7F,
            marker=bool(data[1] & 0x80),
            sequence=int.from_bytes(data[2:4], "big"),
            timestamp=int.from_bytes(data[4:8], "big"),
            ssrc=int.from_bytes(data[8:12], "big"),
            payload=data[12:],
        )


@dataclass(frozen=True)
class KeyPress:
    key: str
    end: bool
    duration: int
    packet: RtpPacket

    @classmethod
    def parse(cls, packet: RtpPacket) -> Self:
        code, flags = packet.payload[0], packet.payload[1]
        return cls(KEYS[code], bool(flags & 0x80), int.from_bytes(packet.payload[2:4], "big"), packet)


class PhoneAudio(asyncio.DatagramProtocol):
    """The audio of one call as the phone has it."""

    def __init__(self) -> None:
        self.received: list[RtpPacket] = []
        self.sent = 0
        self._arrival = asyncio.Event()
        self._ssrc = secrets.randbits(32)
        self._sequence = secrets.randbits(15)
        self._timestamp = secrets.randbits(31)
        self._asleep = time.monotonic()
        self._transport: asyncio.DatagramTransport | None = None

    @classmethod
    async def open(cls) -> Self:
        loop = asyncio.get_running_loop()
        _, audio = await loop.create_datagram_endpoint(cls, ("127.0.0.1", 0))
        return audio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.received.append(RtpPacket.parse(data, addr))
        self._arrival.set()

    @property
    def transport(self) -> asyncio.DatagramTransport:
        assert self._transport is not None
        return self._transport

    @property
    def port(self) -> int:
        return self.transport.get_extra_info("sockname")[1]

    def close(self) -> None:
        self.transport.close()

    async def packets(self, count: int, within: float = 5.0, payload_type: int | None = None) -> list[RtpPacket]:
        """The first `count` packets (of a kind), waiting for them if need be."""
        async with asyncio.timeout(within):
            while True:
                found = [p for p in self.received if payload_type in (None, p.payload_type)]
                if len(found) >= count:
                    return found[:count]
                self._arrival.clear()
                await self._arrival.wait()

    def key_presses(self) -> list[KeyPress]:
        return [KeyPress.parse(p) for p in self.received if p.payload_type == EVENT_PAYLOAD]

    def heard(self, codec: Codec, since: float = 0.0) -> Pcm:
        """What was heard, in the order of the packets, without the key presses."""
        sounds = [sound for at, sound in self._decoded(codec) if at >= since]
        return np.concatenate(sounds) if sounds else np.zeros(0, np.int16)

    def first_loud(self, codec: Codec, since: float, threshold: int = 2000) -> float | None:
        """When the first packet came that holds something loud."""
        loud = (at for at, s in self._decoded(codec) if at >= since and np.abs(s.astype(np.int32)).max() > threshold)
        return next(loud, None)

    def _decoded(self, codec: Codec) -> Iterator[tuple[float, Pcm]]:
        """Each packet's time and sound, from the first on: G.722 needs what came before."""
        decoder = av.CodecContext.create(codec.decoder, "r")
        decoder.sample_rate, decoder.layout = codec.rate, "mono"
        for p in self.received:
            if p.payload_type == codec.payload:
                for frame in decoder.decode(av.Packet(p.payload)):
                    yield p.at, frame.to_ndarray().reshape(-1).astype(np.int16)

    async def say(self, sound: Pcm, codec: Codec, to: Address) -> float:
        """Send a sound at its own pace; answers when its first packet left."""
        encoder = av.CodecContext.create(codec.encoder, "w")
        encoder.sample_rate, encoder.layout, encoder.format = codec.rate, "mono", "s16"
        start = self._wake()
        for number, begin in enumerate(range(0, len(sound) - codec.frame + 1, codec.frame)):
            frame = av.AudioFrame.from_ndarray(sound[begin : begin + codec.frame].reshape(1, -1), "s16", "mono")
            frame.sample_rate = codec.rate
            await _until(start + number * FRAME_S)
            for packet in encoder.encode(frame):
                self._send(bytes(packet), codec.payload, to, marker=number == 0)
                self._timestamp += FRAME_TICKS
                self._asleep += FRAME_S
        return start

    async def press(self, key: str, to: Address, *, frames: int = 5) -> None:
        """Press a key: all packets carry the time of its start, the last is sent three times."""
        start = self._wake()
        timestamp = self._timestamp
        for number in range(1, frames + 1):
            last = number == frames
            event = bytes([KEYS.index(key), 0x8A if last else 0x0A]) + (number * FRAME_TICKS).to_bytes(2, "big")
            await _until(start + (number - 1) * FRAME_S)
            for _ in range(3 if last else 1):
                self._send(event, EVENT_PAYLOAD, to, marker=number == 1, timestamp=timestamp)
        self._timestamp += frames * FRAME_TICKS
        self._asleep += frames * FRAME_S

    def _wake(self) -> float:
        """The clock of RTP goes on while nothing is said."""
        now = time.monotonic()
        self._timestamp += round((now - self._asleep) * CLOCK)
        self._asleep = now
        return now

    def _send(self, payload: bytes, kind: int, to: Address, *, marker: bool, timestamp: int | None = None) -> None:
        at = self._timestamp if timestamp is None else timestamp
        head = bytes([0x80, kind | (0x80 if marker else 0)]) + (self._sequence & 0xFFFF).to_bytes(2, "big")
        head += (at & 0xFFFFFFFF).to_bytes(4, "big") + self._ssrc.to_bytes(4, "big")
        self.transport.sendto(head + payload, to)
        self._sequence += 1
        self.sent += 1


async def _until(moment: float) -> None:
    if (wait := moment - time.monotonic()) > 0:
        await asyncio.sleep(wait)


def tone(hz: float, seconds: float, rate: int, level: int = 10000) -> Pcm:
    return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.int16)


def silence(seconds: float, rate: int) -> Pcm:
    return np.zeros(round(seconds * rate), np.int16)


def share_of(hz: float, sound: Pcm, rate: int) -> float:
    """How much of a sound's power lies within 30 Hz of a frequency: 1.0 for the pure tone, 0.0 for anything else."""
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
    near = np.abs(np.fft.rfftfreq(len(sound), 1 / rate) - hz) < 30
    return float(spectrum[near].sum() / max(spectrum.sum(), 1e-9))
