"""Distances between log-mel spectra."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ml.audio.logmel import MELS
from ml.voice.autoencoder import architecture
from ml.voice.measures import mcd, mse, rmse_db, score

spectra = arrays(np.float32, (3, MELS), elements=st.floats(-11, 2, width=32))


def noise(frames, seed):
    return np.random.default_rng(seed).normal(-6, 2, (frames, MELS)).astype(np.float32)


def test_twice_the_amplitude_is_six_decibels_of_rmse_and_no_cepstral_distortion():
    one = noise(20, 0)
    other = one + np.float32(np.log(2))
    assert rmse_db(mse(one, other)) == pytest.approx(20 * np.log10(2), rel=1e-5)
    assert mcd(one, other) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("order", "expected"), [(1, 1), (24, 1), (25, 0), (79, 0)])
def test_a_cosine_ripple_counts_by_its_size_when_24_cosines_can_say_it(order, expected):
    ripple = 0.3 * np.cos(np.pi * order * (np.arange(MELS) + 0.5) / MELS)
    one = noise(5, 1)
    measured = mcd(one, one + ripple.astype(np.float32))
    # 10 / ln 10 * sqrt(2) * 0.3: the formula with one cepstrum of 0.3
    assert measured == pytest.approx(expected * 10 / np.log(10) * np.sqrt(2) * 0.3, abs=1e-4)


@given(spectra, spectra)
def test_distances_are_symmetric_and_the_cepstral_one_is_the_smaller(one, other):
    assert mcd(one, other) == pytest.approx(mcd(other, one), abs=1e-5)
    frames = [rmse_db(mse(one[t : t + 1], other[t : t + 1])) for t in range(3)]
    assert mcd(one, other) <= np.mean(frames) * (1 + 1e-4) + 1e-5
    assert mse(one, one) == mcd(one, one) == 0


def test_a_score_weighs_frames_and_not_utterances():
    body = architecture("res64")
    long, short = noise(300, 2), noise(3, 3)
    weights = body.start(long)
    apart = [score(body, weights, [one]) for one in (long, short)]
    together = score(body, weights, [long, short])
    assert together.frames == 303
    assert together.mse == pytest.approx((300 * apart[0].mse + 3 * apart[1].mse) / 303)
    assert together.mcd == pytest.approx((300 * apart[0].mcd + 3 * apart[1].mcd) / 303)
    assert together.rmse_db == pytest.approx(rmse_db(together.mse))


def test_no_speech_has_no_error():
    body = architecture("res64")
    nothing = score(body, body.start(noise(100, 0)), [np.zeros((0, MELS), np.float32)])
    assert (nothing.mse, nothing.rmse_db, nothing.mcd, nothing.frames) == (0, 0, 0, 0)
