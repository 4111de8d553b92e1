from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.audio.pitch import f0_contour
from ml.audio.prosody import measure
from ml.audio.stretch import stretch
from ml.types import Audio


@given(length=st.integers(0, 5000), speed=st.floats(0.5, 2), seed=st.integers(0, 3))
@settings(deadline=None)
def test_any_sound_gets_exactly_the_length_and_stays_in_bounds(length, speed, seed):
    samples = np.random.default_rng(seed).uniform(-1, 1, length).astype(np.float32)
    out = stretch(samples, speed)
    assert len(out) == round(length / speed)
    assert out.dtype == np.float32
    assert np.abs(out).max(initial=0.0) <= 1.0 + 1e-6


@settings(deadline=None, max_examples=25)
@given(f0=st.floats(70, 400), speed=st.sampled_from([0.8, 0.85, 0.95, 1.1, 1.25]))
def test_a_periodic_sound_keeps_its_pitch_its_level_and_its_smoothness(f0, speed):
    phase = 2 * np.pi * f0 * np.arange(16_000) / 16_000
    samples = (0.2 * sum(np.sin(k * phase) / k for k in range(1, 8))).astype(np.float32)
    out = stretch(samples, speed)
    inner = f0_contour(out)[5:-5]
    np.testing.assert_allclose(inner, f0, rtol=0.01)
    middle = slice(1600, -1600)
    assert np.std(out[middle]) == pytest.approx(np.std(samples[middle]), rel=0.02)
    assert np.abs(np.diff(out[middle])).max() < 1.1 * np.abs(np.diff(samples)).max()


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.1, 1.25])
def test_speech_keeps_its_prosody_but_for_the_pace(speech, speed):
    before, after = measure(Audio(speech)), measure(Audio(stretch(speech, speed)))
    assert len(after.f0) == pytest.approx(len(before.f0) / speed, abs=1)
    assert after.f0_median == pytest.approx(before.f0_median, rel=0.03)
    assert after.f0_spread == pytest.approx(before.f0_spread, rel=0.15)
    assert after.syllables == pytest.approx(before.syllables, rel=0.12)
    assert after.rate == pytest.approx(before.rate * speed, rel=0.12)
    assert after.level == pytest.approx(before.level, abs=0.6)
    assert before.ltas is not None
    assert after.ltas is not None
    assert np.sqrt(np.mean((after.ltas - before.ltas) ** 2)) < 1.0  # dB


def test_events_move_in_proportion():
    """Three bursts stay three bursts, each at its time divided by the speed."""
    samples = np.zeros(16_000 * 3, np.float32)
    rng = np.random.default_rng(0)
    for at in (0.5, 1.5, 2.5):
        samples[round(at * 16_000) :][:800] = rng.standard_normal(800) * 0.2
    for speed in (0.8, 1.25):
        out = stretch(samples, speed)
        power = np.convolve(out**2, np.ones(400) / 400, "same")
        loud = np.flatnonzero(power > power.max() / 10) / 16_000
        starts = [loud[0], *loud[1:][np.diff(loud) > 0.1]]
        assert len(starts) == 3
        np.testing.assert_allclose(starts, np.array([0.5, 1.5, 2.5]) / speed, atol=0.03)


def test_no_change_is_a_copy():
    samples = np.ones(100, np.float32)
    out = stretch(samples, 1.0)
    np.testing.assert_array_equal(out, samples)
    assert not np.shares_memory(out, samples)


@pytest.mark.parametrize("speed", [0.0, 0.49, 2.01, float("nan"), -1.0])
def test_a_speed_out_of_range_is_refused(speed):
    with pytest.raises(ValueError, match="speed must lie between"):
        stretch(np.zeros(100, np.float32), speed)


def test_it_is_quick(speech):
    costs = []
    for _ in range(3):
        start = time.thread_time()
        stretch(speech, 0.8)
        costs.append((time.thread_time() - start) * 16_000 / len(speech))
    assert min(costs) < 0.02  # s per second; measured 0.0016
