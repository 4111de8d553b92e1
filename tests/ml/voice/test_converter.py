from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.types import Audio
from ml.voice.cepstra import ORDER
from ml.voice.converter import EnvelopeFilter, EnvelopeShift
from ml.voice.envelope import Cloud, Envelopes


def cloud(seed: int) -> Cloud:
    return Cloud.of(np.random.default_rng(seed).normal(size=(200, ORDER)).astype(np.float32))


SOURCE = Envelopes(cloud(0), cloud(1), 1.0, 0.1)


def test_each_kind_of_sound_has_its_own_map_and_loudness_is_left_alone() -> None:
    shift = EnvelopeShift(SOURCE, lambda z: SOURCE.voiced.restore(z) + 2.0, lambda z: SOURCE.unvoiced.restore(z) - 1.0)
    change = shift(np.zeros((40, ORDER), np.float32), np.arange(40) < 20)
    np.testing.assert_allclose(change[:, 0], 0.0)
    np.testing.assert_allclose(change[:17, 1:], 2.0, atol=1e-5)
    np.testing.assert_allclose(change[23:, 1:], -1.0, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5000), st.integers(0, 1000))
def test_the_filter_keeps_length_and_has_no_memory(length: int, seed: int) -> None:
    convert = EnvelopeFilter(EnvelopeShift(SOURCE, SOURCE.unvoiced.restore, SOURCE.voiced.restore))
    samples = np.random.default_rng(seed).normal(0, 0.1, length).astype(np.float32)
    first, again = convert(samples), convert(samples)
    assert first.shape == samples.shape
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("shift_by", [0, 128, 1280])
def test_the_filter_does_not_move_sounds_in_time(woman: Audio, shift_by: int) -> None:
    source = Envelopes.of([woman.samples])
    assert source is not None
    darker = np.zeros(ORDER, np.float32)
    darker[1] = 3.0
    convert = EnvelopeFilter(
        EnvelopeShift(
            source, lambda z: source.voiced.restore(z) + darker, lambda z: source.unvoiced.restore(z) + darker
        )
    )
    samples = np.pad(woman.samples, (shift_by, 0))
    result = convert(samples)
    correlation = [float(np.dot(samples[400:-400], np.roll(result, lag)[400:-400])) for lag in range(-8, 9)]
    assert abs(int(np.argmax(correlation)) - 8) <= 1
