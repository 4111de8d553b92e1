from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.types import SAMPLE_RATE
from ml.voice.cepstra import BANDS, FFT, HOP, ORDER, analyse, cepstra, filtered, log_gain, smoothed

seeds = st.integers(0, 2**32 - 1)


def noise(seed: int, length: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)


def buzz(hz: float, seconds: float = 0.5) -> np.ndarray:
    """A pulse train: voiced, with a flat envelope."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return sum(np.cos(2 * np.pi * hz * k * t) for k in range(1, int(7000 / hz))).astype(np.float32) * 0.02


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 6000))
def test_without_a_difference_the_sound_is_what_it_was(seed: int, length: int) -> None:
    samples = noise(seed, length)
    frames = analyse(samples)
    same = filtered(frames, np.zeros_like(frames.cepstra), length)
    assert same.shape == (length,)
    assert same.dtype == np.float32
    np.testing.assert_allclose(same, samples, atol=1e-5)


def test_frames_cover_the_sound_and_no_sound_has_a_frame_too() -> None:
    assert len(analyse(np.zeros(0, np.float32)).cepstra) >= 1
    frames = analyse(noise(0, 16000))
    assert frames.spectra.shape[1] == FFT // 2 + 1
    assert frames.cepstra.shape[1] == ORDER
    assert len(frames.cepstra) * HOP >= 16000


def test_a_pulse_train_is_voiced_and_noise_is_not() -> None:
    for hz in (80.0, 120.0, 240.0, 380.0):
        assert analyse(buzz(hz)).voiced[4:-8].all(), hz
    assert analyse(noise(1, 16000)).voiced.mean() < 0.1
    assert not analyse(np.zeros(4000, np.float32)).voiced.any()


def test_silence_between_sounds_is_not_active() -> None:
    frames = analyse(np.concatenate([noise(2, 8000), np.zeros(8000, np.float32), noise(3, 8000)]))
    assert frames.active[3:60].all()
    assert not frames.active[70:120].any()
    assert frames.active[132:185].all()


def test_the_envelope_does_not_follow_the_harmonics() -> None:
    """Two pulse trains of different pitch have nearly one envelope; one with a formant has another."""
    low, high = (analyse(buzz(hz)).cepstra[10:-10].mean(axis=0) for hz in (90.0, 130.0))
    resonant = np.convolve(buzz(90.0), np.sin(2 * np.pi * 1200 * np.arange(200) / 16000) * np.exp(-np.arange(200) / 50))
    formant = analyse(resonant.astype(np.float32)).cepstra[10:-10].mean(axis=0)
    assert np.linalg.norm((low - high)[1:13]) < 0.25 * np.linalg.norm((low - formant)[1:13])


@settings(max_examples=20, deadline=None)
@given(seeds)
def test_a_difference_moves_the_cepstra_by_as_much(seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples = noise(seed, 32000)
    frames = analyse(samples)
    wanted = np.zeros(ORDER, np.float32)
    wanted[1:8] = rng.normal(0, 1.0, 7)
    moved = analyse(filtered(frames, np.tile(wanted, (len(frames.cepstra), 1)), len(samples))).cepstra
    got = (moved - frames.cepstra)[10:-10].mean(axis=0)
    np.testing.assert_allclose(got[1:8], wanted[1:8], rtol=0.08, atol=0.1)


def test_each_frame_keeps_its_energy() -> None:
    samples = noise(5, 16000) * np.linspace(0.1, 1.0, 16000, dtype=np.float32)
    frames = analyse(samples)
    tilt = np.zeros_like(frames.cepstra)
    tilt[:, 1] = 4.0
    louder = filtered(frames, tilt, len(samples))
    for part in (slice(2000, 5000), slice(11000, 14000)):
        assert np.mean(louder[part] ** 2) == pytest.approx(np.mean(samples[part] ** 2), rel=0.1)


def test_a_gain_is_bounded() -> None:
    huge = np.zeros((3, ORDER), np.float32)
    huge[:, 1] = 1e3
    assert np.abs(log_gain(huge, 20.0)).max() == pytest.approx(np.log(10.0))


def test_smoothing_leaves_what_does_not_change_and_calms_what_does() -> None:
    steady = np.tile(np.arange(ORDER, dtype=np.float32), (9, 1))
    np.testing.assert_allclose(smoothed(steady), steady, rtol=1e-6)
    jump = np.zeros((20, ORDER), np.float32)
    jump[10:] = 1.0
    assert np.abs(np.diff(smoothed(jump), axis=0)).max() == pytest.approx(0.4)


def test_cepstra_are_those_of_an_orthonormal_transform() -> None:
    """A flat power spectrum has loudness and nothing else; sqrt(48) times its logarithm."""
    flat = cepstra(np.full((1, FFT // 2 + 1), 0.5))[0]
    assert flat[0] == pytest.approx(np.sqrt(BANDS) * np.log(0.5), rel=1e-4)
    np.testing.assert_allclose(flat[1:], 0.0, atol=1e-4)
