from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.voice.cepstra import ORDER
from ml.voice.envelope import Cloud
from ml.voice.transport import TransportMap, plan


def normal(seed: int, count: int, width: int = ORDER) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 60), st.integers(3, 60))
def test_a_plan_gives_every_frame_away_and_fills_every_place(seed: int, count: int, places: int) -> None:
    shares = plan(normal(seed, count, 4), normal(seed + 1, places, 4), rounds=400)
    assert shares.shape == (count, places)
    assert (shares >= 0).all()
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-4)
    np.testing.assert_allclose(shares.sum(axis=0), count / places, rtol=0.05)


def test_a_sharp_plan_sends_every_frame_home() -> None:
    points = normal(3, 40, 4)
    shuffled = np.random.default_rng(0).permutation(40)
    shares = plan(points, points[shuffled], softness=0.01, rounds=500)
    np.testing.assert_array_equal(shuffled[shares.argmax(axis=1)], np.arange(40))


def test_strength_nought_matches_mean_and_spread_only() -> None:
    source, target = Cloud.of(normal(0, 500)), Cloud.of(3 * normal(1, 500) + 5)
    scores = normal(2, 50)
    np.testing.assert_allclose(TransportMap(source, target, 0.0)(scores), target.restore(scores), atol=1e-4)


def test_a_voice_is_carried_onto_itself_unchanged() -> None:
    cloud = Cloud.of(normal(0, 600))
    scores = cloud.standard(cloud.frames)
    moved = TransportMap(cloud, cloud, 1.0)(scores)
    assert np.sqrt(np.mean((moved - cloud.frames) ** 2)) < 0.25


def test_what_mean_and_spread_cannot_see_is_carried_too() -> None:
    """Two coefficients that go together in the target and apart in the source."""
    source = Cloud.of(normal(0, 600))
    tied = normal(1, 600)
    tied[:, 2] = 0.9 * tied[:, 1] + 0.3 * tied[:, 2]
    target = Cloud.of(tied)
    scores = source.standard(normal(5, 400))
    loose = np.corrcoef(TransportMap(source, target, 0.0)(scores).T)[1, 2]
    carried = np.corrcoef(TransportMap(source, target, 1.0)(scores).T)[1, 2]
    assert abs(loose) < 0.15
    assert carried > 0.5


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000))
def test_neighbours_go_to_neighbouring_places(seed: int) -> None:
    move = TransportMap(Cloud.of(normal(seed, 300)), Cloud.of(2 * normal(seed + 1, 300)), 1.0)
    scores = normal(seed + 2, 40)
    nudged = scores + 0.01 * normal(seed + 3, 40)
    step = np.linalg.norm(move(nudged) - move(scores), axis=1)
    assert step.max() < 10 * np.linalg.norm(nudged - scores, axis=1).max()


@pytest.mark.parametrize("count", [1, 2, 30])
def test_few_frames_are_enough(count: int) -> None:
    few = Cloud.of(normal(0, count))
    assert np.isfinite(TransportMap(few, Cloud.of(normal(1, 300)), 0.5)(normal(2, 5))).all()
    assert np.isfinite(TransportMap(Cloud.of(normal(1, 300)), few, 0.5)(normal(2, 5))).all()
