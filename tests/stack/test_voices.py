"""Is each line spoken once, as a telephone hears it?"""

import wave
from pathlib import Path

import numpy as np
import pytest

from voiceagents import voices

pytestmark = pytest.mark.stack


@pytest.mark.parametrize("voice", sorted(voices.VOICES))
def test_a_line_is_spoken_once_at_the_rate_of_a_telephone(voice: str, tmp_path: Path) -> None:
    path = voices.render("Hello, who is this?", voice, tmp_path)
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    assert 0.8 < len(samples) / 8000 < 4
    assert np.abs(samples).max() > 3000
    first = path.stat().st_mtime_ns
    assert voices.render("Hello, who is this?", voice, tmp_path) == path
    assert path.stat().st_mtime_ns == first
    assert voices.render("Goodbye.", voice, tmp_path) != path
    assert not list(tmp_path.glob("*.part"))


def test_resampling_keeps_the_pitch_and_lets_nothing_fold_back() -> None:
    seconds = np.arange(24000) / 24000
    both = 8000 * np.sin(2 * np.pi * 1000 * seconds) + 8000 * np.sin(2 * np.pi * 7000 * seconds)
    low = voices.resample(both.astype(np.int16), 24000, 8000)
    assert len(low) == pytest.approx(8000, abs=80)
    spectrum = np.abs(np.fft.rfft(low[1000:7000].astype(float)))
    assert np.argmax(spectrum) * 8000 / 6000 == pytest.approx(1000, abs=5)
    assert spectrum[int(0.5 * len(spectrum)) :].max() < spectrum.max() / 100


def test_an_unknown_voice_is_refused_with_the_names_that_exist(tmp_path: Path) -> None:
    with pytest.raises(voices.VoiceError, match="espeak, flite, hibari"):
        voices.render("Hello", "nobody", tmp_path)


def test_a_program_that_is_missing_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(voices.VoiceError, match="apt-get install flite"):
        voices.render("Hello", "flite", tmp_path)
