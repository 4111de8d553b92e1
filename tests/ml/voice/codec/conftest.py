"""Speech for the tests of the codec: a made voice, and a real one that ships with the examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ml.audio.logmel import LogMel, log_mel
from ml.audio.read import read
from ml.types import Audio, Samples
from ml.voice.codec.codebook import Codebook, genesis_codebook


def made_speech(seconds: float, seed: int = 0, colour: float = 0.0) -> Samples:
    """Vowels of moving pitch between breaths of noise; `colour` tilts their spectrum."""
    rng = np.random.default_rng(seed)
    count = int(16000 * seconds)
    time = np.arange(count) / 16000
    pitch = 120 + 25 * np.sin(2 * np.pi * 0.7 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / 16000
    formant = 500 + 250 * np.sin(2 * np.pi * 1.3 * time + seed)
    sound = np.zeros(count)
    for harmonic in range(1, 40):
        at = harmonic * pitch
        sound += (np.exp(-(((at - formant) / 300) ** 2)) + 0.05 * np.exp(-at / 2000)) * np.cos(harmonic * phase)
    gate = np.clip(np.sin(2 * np.pi * 2.1 * time) * 3, 0, 1)
    sound = gate * sound + 0.02 * rng.normal(size=count)
    spectrum = np.fft.rfft(sound) * np.linspace(1, np.exp(colour), count // 2 + 1)
    sound = np.fft.irfft(spectrum, count)
    return (0.05 * sound / sound.std()).astype(np.float32)


@pytest.fixture(scope="session")
def codebook() -> Codebook:
    """The shipped one."""
    return genesis_codebook()


@pytest.fixture(scope="session")
def spoken(repository: Path) -> Audio:
    """Four seconds of a reader."""
    return Audio(read(repository / "examples" / "audio" / "lj.flac").samples[:64000])


@pytest.fixture(scope="session")
def voice() -> list[LogMel]:
    """Ten utterances of one made voice, unlike any reader."""
    return [log_mel(made_speech(2.5, seed, colour=1.5)) for seed in range(10)]
