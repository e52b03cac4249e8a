"""Which sound is a beep, which a fax, and which is neither? Tones as telephones make them, and all that is like one."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voiceagents.livekit.answer.tones import Kind, Tone, ToneListener, goertzel, pure_tone

pytestmark = pytest.mark.unit

Samples = npt.NDArray[np.int16]


def tones(*hz: float, seconds: float = 0.5, rate: int = 24000, level: float = 8000) -> Samples:
    """Frequencies sounding together."""
    at = np.arange(int(seconds * rate)) / rate
    wave = sum((np.sin(2 * np.pi * f * at) for f in hz), np.zeros(at.size))
    return (level * wave / len(hz)).astype(np.int16)


def silence(seconds: float, rate: int = 24000) -> Samples:
    return np.zeros(int(seconds * rate), np.int16)


def noise(seconds: float, rate: int = 24000, level: float = 2000) -> Samples:
    return np.random.default_rng(7).normal(0, level, int(seconds * rate)).astype(np.int16)


def voice(hz: float, seconds: float = 1.0, rate: int = 24000) -> Samples:
    """A vowel: harmonics of a pitch that glides, as no beep does."""
    at = np.arange(int(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(hz * (1 + 0.05 * np.sin(2 * np.pi * 4 * at))) / rate
    wave = sum((np.sin(n * phase) / n for n in range(1, 12)), np.zeros(at.size))
    return (5000 * wave).astype(np.int16)


def heard(*pieces: Samples, rate: int = 24000, chunk: int = 1200) -> list[Tone]:
    """What a listener hears in these sounds, one after the other."""
    sound = np.concatenate([*pieces, silence(0.3, rate)])
    ear = ToneListener()
    return [tone for at in range(0, sound.size, chunk) for tone in ear.hear(sound[at : at + chunk], rate)]


@pytest.mark.parametrize("hz", [440, 600, 850, 1000, 1100, 1400, 1900])
@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.2])
@pytest.mark.parametrize("rate", [8000, 16000, 24000, 48000])
def test_a_beep_is_heard_once_when_it_is_over(hz: float, seconds: float, rate: int) -> None:
    (tone,) = heard(silence(0.4, rate), tones(hz, seconds=seconds, rate=rate), rate=rate)
    assert tone.kind is Kind.BEEP
    assert tone.hz == pytest.approx(hz, abs=5)
    assert tone.seconds == pytest.approx(seconds, abs=0.12)


def test_a_beep_is_heard_through_a_noisy_line() -> None:
    beep = tones(1000, seconds=0.5) + noise(0.5, level=500)
    assert [tone.kind for tone in heard(noise(1, level=500), beep, noise(1, level=500))] == [Kind.BEEP]


def test_a_fax_is_known_within_a_little_more_than_a_second() -> None:
    sound = heard(tones(2100, seconds=3))
    assert [tone.kind for tone in sound] == [Kind.FAX]
    assert sound[0].seconds < 1.2


@pytest.mark.parametrize(
    "sound",
    [
        silence(2),
        noise(2),
        voice(110),
        voice(220),
        voice(420),
        tones(440, 480, seconds=2),
        tones(480, 620, seconds=0.5),
        tones(350, 440, seconds=2),
        tones(697, 1209, seconds=0.3),
        tones(941, 1477, seconds=0.3),
        tones(200, seconds=1),
        tones(1000, seconds=0.06),
        tones(1000, seconds=0.5, level=100),
    ],
    ids=[
        *("silence", "noise", "low voice", "voice", "high voice", "US ringback", "busy", "dial tone", "key 1", "key #"),
        *("hum", "a click", "far too soft"),
    ],
)
def test_what_is_no_beep_is_not_taken_for_one(sound: Samples) -> None:
    assert heard(sound) == []


def test_the_share_of_a_pure_tone_is_nearly_all_of_it() -> None:
    wave = tones(1000, seconds=0.1).astype(np.float64)
    assert goertzel(wave, 24000, 1000) > 0.98
    assert goertzel(wave, 24000, 1500) < 0.02
    assert goertzel(np.zeros(100), 24000, 1000) == 0
    assert pure_tone(np.zeros(0, np.int16), 24000) is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3000), min_size=1, max_size=40))
def test_it_does_not_matter_in_which_pieces_the_sound_comes(sizes: list[int]) -> None:
    sound = np.concatenate([silence(0.3), tones(1000, seconds=0.4), silence(0.3)])
    ear, found, at = ToneListener(), list[Tone](), 0
    for size in sizes * 200:
        found += ear.hear(sound[at : at + size], 24000)
        at += size
        if at >= sound.size:
            break
    assert at < sound.size or [tone.kind for tone in found] == [Kind.BEEP]
