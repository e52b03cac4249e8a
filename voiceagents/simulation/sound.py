"""When was anything heard on a recorded call? Stretches of sound on either channel of the carrier's recordings."""

import wave
from pathlib import Path

import numpy as np

HEARD, SAID = 0, 1
"""Channels: what the phone heard, and what it said."""

_GAP = 0.4
_FRAME = 0.02


def sounding(recording: Path | str, channel: int, threshold: float = 200.0) -> list[tuple[float, float]]:
    """Stretches of sound in seconds from the answer; gaps under 0.4 s are closed."""
    with wave.open(str(recording)) as file:
        rate = file.getframerate()
        raw = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    samples = raw.reshape(-1, 2)[:, channel].astype(np.float64)
    size = int(rate * _FRAME)
    power = (samples[: len(samples) // size * size].reshape(-1, size) ** 2).sum(axis=1) / size
    stretches: list[tuple[float, float]] = []
    for index in np.flatnonzero(power > threshold**2):
        at = float(index) * _FRAME
        if stretches and at - stretches[-1][1] < _GAP:
            stretches[-1] = (stretches[-1][0], at + _FRAME)
        else:
            stretches.append((at, at + _FRAME))
    return stretches


def wait_after_first_words(recording: Path | str) -> float | None:
    """Seconds from the end of the person's first words to our first sound; None when either is missing, or we spoke
    first."""
    said, heard = sounding(recording, SAID), sounding(recording, HEARD)
    if not said or not heard:
        return None
    start, end = said[0]
    first = next((begin for begin, _ in heard if begin > start), None)
    return None if first is None or heard[0][0] < start else first - end
