"""Is this a tone, and which? The beep of a voicemail and the whistle of a fax, told from speech, from dial tones and
from keys.

A tone is one frequency that holds nearly all of the power for some time; speech spreads over harmonics that move, and
keys, ringback and busy tones are two frequencies at once. Pure: samples in, tones out.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

WINDOW, HOP = 0.08, 0.04
"""Seconds. 80 ms tell the 440 and 480 Hz of a ringback tone apart."""

_LOWEST, _HIGHEST = 380.0, 2300.0
_PURE = 0.85
"""Share of the power that must stand at the one frequency."""

_QUIETEST = 250.0
"""RMS of 16 bit samples, about -42 dBFS."""

_DRIFT = 15.0
"""Hz that a tone may move from one window to the next; a voice moves more, or not for long."""

_BEEP, _FAX = 0.16, 1.0
"""Seconds a tone must last."""

_FAX_HZ = (2070.0, 2130.0)
"""The answering tone of fax machines and modems, 2100 Hz for 2.6 to 4 s (ITU-T T.30, V.25)."""


class Kind(StrEnum):
    BEEP = "beep"
    FAX = "fax"


@dataclass(frozen=True)
class Tone:
    """A tone that was heard: a beep once it is over, a fax as soon as it is certain."""

    kind: Kind
    hz: float
    seconds: float


def goertzel(samples: npt.NDArray[np.float64], rate: int, hz: float) -> float:
    """The power of one frequency in the samples, as a share of all their power (0 to 1), by Goertzel's algorithm."""
    total = float(np.dot(samples, samples))
    if total <= 0:
        return 0.0
    turns = np.exp(-2j * np.pi * hz / rate * np.arange(samples.size))
    return float(2 * abs(np.dot(samples, turns)) ** 2 / (samples.size * total))


def pure_tone(samples: Samples, rate: int) -> float | None:
    """The frequency in Hz when the samples (one window) are one pure tone of the band in which phones beep."""
    if not samples.size:
        return None
    block = samples.astype(np.float64) - float(np.mean(samples))
    if float(np.dot(block, block) / block.size) ** 0.5 < _QUIETEST:
        return None
    spectrum = np.abs(np.fft.rfft(block * np.hanning(block.size), n=4 * block.size))
    hz = float(np.argmax(spectrum)) * rate / (4 * block.size)
    if not _LOWEST <= hz <= _HIGHEST:
        return None
    return hz if goertzel(block, rate, hz) >= _PURE else None


class ToneListener:
    """Hears tones in sound that comes in pieces of any size."""

    def __init__(self) -> None:
        self._rate = 0
        self._waiting: Samples = np.zeros(0, np.int16)
        self._hz: float | None = None
        self._windows = 0
        self._told = False

    def hear(self, samples: Samples, rate: int) -> list[Tone]:
        """Takes the next samples (16 bit, mono) and answers the tones that became certain with them."""
        if rate != self._rate:
            self._rate, self._waiting = rate, np.zeros(0, np.int16)
        self._waiting = np.concatenate([self._waiting, samples])
        window, hop = int(rate * WINDOW), int(rate * HOP)
        found: list[Tone] = []
        place = 0
        while place + window <= self._waiting.size:
            tone = self._step(pure_tone(self._waiting[place : place + window], rate))
            if tone is not None:
                found.append(tone)
            place += hop
        self._waiting = self._waiting[place:]
        return found

    def _step(self, hz: float | None) -> Tone | None:
        if hz is not None and self._hz is not None and abs(hz - self._hz) <= _DRIFT:
            self._windows += 1
            if not self._told and self._seconds >= _FAX and _FAX_HZ[0] <= hz <= _FAX_HZ[1]:
                self._told = True
                return Tone(Kind.FAX, hz, self._seconds)
            return None
        ended = None
        if self._hz is not None and self._seconds >= _BEEP and not self._told:
            ended = Tone(Kind.BEEP, self._hz, self._seconds)
        self._hz, self._windows, self._told = hz, 1 if hz is not None else 0, False
        return ended

    @property
    def _seconds(self) -> float:
        return WINDOW + (self._windows - 1) * HOP
