"""How does text become a stream of sound that starts at once?

One sentence at a time: the first is on its way while the next is still being spoken. The voice's sample rate,
24 kHz, is that of OpenAI's `pcm` format, so that nothing has to be converted.
"""

import base64
import io
import json
import wave
from collections.abc import Iterator

import numpy as np

from voiceagents.voices import hibari

from .sentences import plain, sentences

RATE = 24_000
FORMATS = ("pcm", "wav")
_SHORT_SILENCE = np.zeros(RATE // 5, np.int16).tobytes()


def pcm(text: str, speed: float = 1.0) -> Iterator[bytes]:
    """16 bit little-endian mono samples, a sentence at a time; a short silence where there is nothing to pronounce."""
    spoken = False
    for sentence in sentences(text):
        samples, rate = (
            hibari(sentence, min(2.0, max(0.5, speed))) if plain(sentence) else (np.zeros(0, np.int16), RATE)
        )
        if rate != RATE:
            raise ValueError(f"the voice speaks at {rate} Hz, not {RATE} Hz")
        if samples.size:
            spoken = True
            yield samples.astype("<i2").tobytes()
    if not spoken:
        yield _SHORT_SILENCE


def wav(text: str, speed: float = 1.0) -> Iterator[bytes]:
    """A whole WAV file at once: its header tells the length."""
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(RATE)
        for samples in pcm(text, speed):
            output.writeframes(samples)
    yield file.getvalue()


def events(text: str, audio: Iterator[bytes]) -> Iterator[str]:
    """The same sound as OpenAI's server-sent events."""
    length = 0
    for chunk in audio:
        length += len(chunk)
        yield _event({"type": "speech.audio.delta", "audio": base64.b64encode(chunk).decode("ascii")})
    # Nothing here has tokens to bill: words in, tenths of a second out, so that a usage report has something to count.
    spent, made = len(text.split()), length // (RATE * 2 // 10)
    usage = {"input_tokens": spent, "output_tokens": made, "total_tokens": spent + made}
    yield _event({"type": "speech.audio.done", "usage": usage})


def _event(event: dict[str, object]) -> str:
    return f"data: {json.dumps(event)}\n\n"
