"""Sound from mel bands and pitch: repeatable, of the asked length, pitch and spectrum."""

from __future__ import annotations

import numpy as np
import pytest

from ml.audio.griffinlim import InversionOptions, excitation, pitched_griffin_lim, shaped
from ml.audio.logmel import HOP, PAD, griffin_lim, log_mel, mel_filters
from ml.audio.pitch import f0_contour
from ml.types import Samples


def vowel(hertz: float, seconds: float = 1.0) -> Samples:
    """Harmonics of one pitch under two formants."""
    time = np.arange(int(16000 * seconds)) / 16000
    sound = np.zeros_like(time)
    for harmonic in range(1, int(8000 / hertz)):
        at = harmonic * hertz
        level = sum(np.exp(-(((at - formant) / width) ** 2)) for formant, width in ((600, 300), (1800, 500)))
        sound += (level + 0.01) * np.sin(2 * np.pi * at * time + 0.3 * harmonic**2)
    return (0.1 * sound / sound.std()).astype(np.float32)


def test_known_pitch_comes_nearer_than_guessing() -> None:
    mel = log_mel(vowel(137.0))
    sound = pitched_griffin_lim(mel, np.full(len(mel), 137, np.float32))
    assert len(sound.samples) == HOP * len(mel)
    inner = slice(4, -4)
    error = np.abs(log_mel(sound.samples) - mel)[inner].mean()
    assert error < 0.35
    assert error < np.abs(log_mel(griffin_lim(mel).samples) - mel)[inner].mean()


@pytest.mark.parametrize("hertz", [95.0, 210.0])
def test_the_sound_has_the_asked_pitch(hertz: float) -> None:
    mel = log_mel(vowel(hertz))
    heard = f0_contour(pitched_griffin_lim(mel, np.full(len(mel), hertz, np.float32)).samples)[10:-10]
    assert np.median(heard[heard > 0]) == pytest.approx(hertz, rel=0.02)


def test_the_same_again() -> None:
    mel, f0 = log_mel(vowel(120.0, 0.3)), np.r_[np.zeros(6), np.full(12, 120)].astype(np.float32)
    options = InversionOptions(iterations=3)
    one, other = (pitched_griffin_lim(mel, f0, options).samples for _ in range(2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, pitched_griffin_lim(mel, f0, InversionOptions(iterations=3, seed=1)).samples)


def test_shaping_keeps_what_the_bands_do_not_see() -> None:
    fine = np.abs(np.random.default_rng(0).normal(size=(5, 513))).astype(np.float32) + 0.1
    mel = np.exp(log_mel(vowel(150.0, 0.08)))
    rebuilt = shaped(fine.copy(), mel, 60)
    assert np.abs(np.log(rebuilt @ mel_filters().T) - np.log(mel)).mean() < 0.05
    high = slice(400, 500)
    assert np.corrcoef(np.log(rebuilt[:, high]).ravel(), np.log(fine[:, high]).ravel())[0, 1] > 0.5


def test_excitation_is_noise_without_a_voice_and_even_in_power() -> None:
    assert len(excitation(np.zeros(3, np.float32), 0.5, 0)) == 3 * HOP + 2 * PAD
    drive = excitation(np.r_[np.zeros(40), np.full(40, 110)].astype(np.float32), 0.5, 0)
    half = len(drive) // 2
    assert 0.5 < drive[half:].std() / drive[:half].std() < 1.5


def test_nothing_gives_nothing_and_what_does_not_fit_is_refused() -> None:
    assert not len(pitched_griffin_lim(np.zeros((0, 80), np.float32), np.zeros(0, np.float32)).samples)
    with pytest.raises(ValueError, match="needs F0"):
        pitched_griffin_lim(np.zeros((4, 80), np.float32), np.zeros(3, np.float32))
