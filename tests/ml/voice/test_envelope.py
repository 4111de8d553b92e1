from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.types import Audio
from ml.voice.cepstra import ORDER
from ml.voice.envelope import MOST_FRAMES, Cloud, Envelopes


def frames(seed: int, count: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(3.0, 2.0, (count, ORDER)).astype(np.float32)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 1500))
def test_a_cloud_keeps_statistics_and_a_bounded_number_of_its_frames(seed: int, count: int) -> None:
    given_frames = frames(seed, count)
    cloud = Cloud.of(given_frames)
    np.testing.assert_allclose(cloud.mean, given_frames.mean(axis=0), rtol=1e-3, atol=1e-3)
    assert (cloud.spread > 0).all()
    assert len(cloud.frames) == min(count, MOST_FRAMES)
    assert {tuple(frame) for frame in cloud.frames} <= {tuple(frame) for frame in given_frames}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, MOST_FRAMES))
def test_the_order_in_time_cannot_be_read_from_a_cloud(seed: int, count: int) -> None:
    given_frames = frames(seed, count)
    shuffled = np.random.default_rng(seed + 1).permutation(given_frames)
    np.testing.assert_array_equal(Cloud.of(given_frames).frames, Cloud.of(shuffled).frames)


def test_standard_and_restore_are_inverse_and_outliers_are_held_back() -> None:
    cloud = Cloud.of(frames(0, 400))
    np.testing.assert_allclose(cloud.restore(cloud.standard(cloud.frames)), cloud.frames, atol=2.0)
    middle = cloud.frames[np.abs((cloud.frames - cloud.mean) / cloud.spread).max(axis=1) < 3]
    np.testing.assert_allclose(cloud.restore(cloud.standard(middle)), middle, atol=1e-4)
    assert np.abs(cloud.standard(cloud.frames + 1000)).max() == pytest.approx(3.5)


def test_real_speech_has_both_clouds_and_its_level(woman: Audio) -> None:
    envelopes = Envelopes.of([woman.samples])
    assert envelopes is not None
    assert 0.3 * woman.seconds < envelopes.voiced_seconds < 0.9 * woman.seconds
    # Vowels are strong below, fricatives above: the first cepstrum is the difference of the two.
    assert envelopes.voiced.mean[1] > envelopes.unvoiced.mean[1]
    rms = float(np.sqrt(np.mean(woman.samples**2)))
    assert rms <= envelopes.level < 1.5 * rms


def test_pieces_say_the_same_as_the_whole(woman: Audio) -> None:
    half = len(woman.samples) // 2
    whole, parts = Envelopes.of([woman.samples]), Envelopes.of([woman.samples[:half], woman.samples[half:]])
    assert whole is not None
    assert parts is not None
    np.testing.assert_allclose(whole.voiced.mean, parts.voiced.mean, atol=0.3)
    assert parts.voiced_seconds == pytest.approx(whole.voiced_seconds, rel=0.05)


def test_without_voice_there_is_nothing_to_describe() -> None:
    assert Envelopes.of([]) is None
    assert Envelopes.of([np.zeros(16000, np.float32)]) is None
