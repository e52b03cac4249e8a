"""How does a line of text become sound, without a network?

Three voices that ship in packages: `hibari` (a small neural voice, also the voice of the local speech server), `flite`
and `espeak` (both from Debian). The lab speaks its callers' lines with them: `render` keeps each line as a
telephone-band WAV named by its content, so that a scenario is spoken once however often it runs.
"""

import hashlib
import os
import subprocess
import tempfile
import threading
import wave
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.int16]

TELEPHONE_RATE = 8000
DEFAULT_VOICE = "flite"

_hibari_lock = threading.Lock()


class VoiceError(Exception):
    """A line could not be spoken; the message says how to mend it."""


@cache
def _hibari_model() -> Any:
    from hibari import Hibari  # pyright: ignore[reportMissingTypeStubs]

    return Hibari()


def hibari(text: str, speed: float = 1.0) -> tuple[Samples, int]:
    """Speak `text` with the neural voice: 16 bit mono samples and their rate. The same text gives the same samples."""
    with _hibari_lock:  # the model is loaded once, and its text front end is not made for several threads
        model = _hibari_model()
        audio = cast(npt.NDArray[np.float32], model(text, speed=speed, seed=0))
        rate = int(model.sample_rate)
    return (np.clip(audio, -1.0, 1.0) * 32767.0).astype(np.int16), rate


def _spoken_by(package: str, command: list[str], output: Path) -> tuple[Samples, int]:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        raise VoiceError(f"{command[0]} is not installed: apt-get install {package}") from None
    except subprocess.CalledProcessError as error:
        detail = cast(bytes, error.stderr).decode(errors="replace").strip()
        raise VoiceError(f"{command[0]} failed ({error.returncode}): {detail}") from None
    with wave.open(str(output), "rb") as recorded:
        rate = recorded.getframerate()
        return np.frombuffer(recorded.readframes(recorded.getnframes()), dtype="<i2").astype(np.int16), rate


def _flite(text: str) -> tuple[Samples, int]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "line.wav")
        return _spoken_by("flite", ["flite", "-voice", "slt", "-t", text, "-o", str(output)], output)


def _espeak(text: str) -> tuple[Samples, int]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "line.wav")
        return _spoken_by("espeak-ng", ["espeak-ng", "-v", "en-us", "-w", str(output), "--", text], output)


VOICES: dict[str, Callable[[str], tuple[Samples, int]]] = {"flite": _flite, "hibari": hibari, "espeak": _espeak}


def resample(samples: Samples, rate: int, to_rate: int) -> Samples:
    """The same sound at another sample rate, band-limited so that nothing folds back."""
    if rate == to_rate or samples.size == 0:
        return samples
    from livekit import rtc  # here, since it loads a native library

    resampler = rtc.AudioResampler(rate, to_rate, quality=rtc.AudioResamplerQuality.HIGH)
    frames = [*resampler.push(bytearray(samples.tobytes())), *resampler.flush()]
    return np.frombuffer(b"".join(bytes(frame.data) for frame in frames), dtype=np.int16)


def write_wav(path: Path, samples: Samples, rate: int) -> None:
    """Write a 16 bit mono WAV so that a reader sees the whole file or none."""
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".part")
    with os.fdopen(descriptor, "wb") as file, wave.open(file, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(rate)
        output.writeframes(samples.astype("<i2").tobytes())
    os.replace(unfinished, path)


def render(text: str, voice: str, folder: Path) -> Path:
    """The line as an 8 kHz mono WAV in `folder`, spoken only if it is not there yet."""
    if voice not in VOICES:
        raise VoiceError(f"no voice {voice!r}: choose one of {', '.join(sorted(VOICES))}")
    digest = hashlib.sha256(f"{voice}\0{text}".encode()).hexdigest()
    path = folder / f"{digest[:24]}.wav"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        samples, rate = VOICES[voice](text)
        write_wav(path, resample(samples, rate, TELEPHONE_RATE), TELEPHONE_RATE)
    return path
