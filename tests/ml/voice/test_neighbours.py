from __future__ import annotations

import numpy as np
import pytest

from ml.voice.cepstra import ORDER
from ml.voice.envelope import Cloud
from ml.voice.neighbours import NeighbourMap


def cloud(seed: int, count: int) -> Cloud:
    return Cloud.of(np.random.default_rng(seed).normal(2.0, 3.0, (count, ORDER)).astype(np.float32))


def test_blend_nought_matches_mean_and_spread_only() -> None:
    target = cloud(0, 100)
    scores = np.random.default_rng(1).normal(size=(20, ORDER)).astype(np.float32)
    np.testing.assert_allclose(NeighbourMap(target, 0.0)(scores), target.restore(scores), rtol=1e-5)


def test_blend_one_takes_means_of_the_four_nearest() -> None:
    target = cloud(0, 80)
    scores = target.standard(target.frames[:10])
    places = target.standard(target.frames)[:, 1:13]
    distances = ((scores[:, None, 1:13] - places) ** 2).sum(axis=2)
    nearest = target.frames[np.argsort(distances, axis=1)[:, :4]].mean(axis=1)
    np.testing.assert_allclose(NeighbourMap(target, 1.0)(scores), nearest, rtol=1e-4)


@pytest.mark.parametrize("count", [1, 3, 4, 5])
def test_few_frames_are_enough(count: int) -> None:
    assert np.isfinite(NeighbourMap(cloud(0, count), 0.5)(np.zeros((3, ORDER), np.float32))).all()
