"""Moments of parts are moments of the whole; levels do not matter."""

from __future__ import annotations

import numpy as np
import pytest

from ml.audio.logmel import LogMel
from ml.voice.codec.moments import Moments, bands_of, blend


def test_they_are_what_numpy_says(voice: list[LogMel]) -> None:
    bands = bands_of(voice)
    found = Moments.of(bands)
    assert np.allclose(found.covariance[0], np.cov(bands[:, 0].T, bias=True), atol=1e-4)
    assert np.allclose(found.covariance[3], bands[:, 3].T.astype(float) @ bands[:, 3] / len(bands), atol=1e-4)
    assert not found.mean[1:].any()
    assert found.seconds == pytest.approx(len(bands) * 0.128)


def test_a_blend_lies_between_and_order_does_not_matter(voice: list[LogMel]) -> None:
    one, other = Moments.of(bands_of(voice[:3])), Moments.of(bands_of(voice[3:]))
    mixed, turned = blend([(1, one), (3, other)]), blend([(3, other), (1, one)])
    assert np.allclose(mixed.covariance, 0.25 * one.covariance + 0.75 * other.covariance)
    assert np.allclose(mixed.covariance, turned.covariance)
    assert blend([(1, one), (0, other)]).seconds == one.seconds
    for bad in ([(0.0, one)], [(-1.0, one), (3.0, other)], []):
        with pytest.raises(ValueError, match="weights"):
            blend(bad)
    with pytest.raises(ValueError, match="at least one block"):
        Moments.of(bands_of(voice)[:0])


def test_level_does_not_matter(voice: list[LogMel]) -> None:
    loud = [mel + np.float32(1.5) for mel in voice]
    assert np.allclose(bands_of(loud), bands_of(voice), atol=1e-3)
