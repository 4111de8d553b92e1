"""What is published is bounded in whole numbers before the noise, and the noise is as strong as was asked."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.privacy.noise import LARGEST_DEVIATION
from ml.federated.privacy.release import Grid, Release, clip_to_grid
from ml.federated.privacy.view import Part, Subspace, Whole
from ml.weights import Layout

LAYOUT = Layout("little", {"encoder.w": (4, 6), "encoder.bias": (4,), "decoder.w": (6, 4), "decoder.bias": (6,)})
sigmas = st.floats(1e-3, LARGEST_DEVIATION / 2)
clips = st.floats(1e-6, 1e3)


@given(clip=clips, sigma=sigmas)
@settings(deadline=None)
def test_the_noise_is_never_weaker_than_asked_against_the_sensitivity(clip: float, sigma: float) -> None:
    grid = Grid.of(clip, sigma)
    assert 1 <= grid.deviation <= LARGEST_DEVIATION
    assert Fraction(grid.deviation, 2 * grid.radius) >= Fraction(sigma)
    assert grid.deviation - 1 <= 2 * sigma * grid.radius
    assert grid.step * grid.radius == pytest.approx(clip)


vectors = st.lists(
    st.floats(width=32, allow_nan=True, allow_infinity=True) | st.floats(-1, 1), min_size=1, max_size=40
).map(lambda numbers: np.array([numbers], np.float64))


@given(vector=vectors, clip=clips, sigma=st.floats(0.01, 100))
@settings(deadline=None, max_examples=200)
def test_no_vector_whatever_it_holds_is_longer_than_the_radius(vector: np.ndarray, clip: float, sigma: float) -> None:
    grid = Grid.of(clip, sigma)
    whole = clip_to_grid(vector, grid)
    assert sum(int(one) ** 2 for one in whole.ravel()) <= grid.radius**2
    sound = np.where(np.isfinite(vector), vector, 0.0)
    length = np.linalg.norm(sound)
    shortened = sound * min(1.0, clip / length) if length > 0 else sound
    assert np.abs(whole * grid.step - shortened).max() <= grid.step * 1.01 + 1e-9 * clip


def test_a_vector_of_just_the_norm_keeps_it() -> None:
    grid = Grid.of(0.1, 0.01)
    whole = clip_to_grid(np.array([[0.06, 0.08]]), grid)[0]
    assert whole == pytest.approx([0.6 * grid.radius, 0.8 * grid.radius], abs=1)


@pytest.mark.parametrize(
    "view", [Whole(LAYOUT), Part(LAYOUT, "decoder"), Subspace(LAYOUT, 5)], ids=lambda view: view.name
)
def test_what_comes_out_is_the_clipped_difference_and_noise_of_the_promised_strength(view) -> None:
    clip, sigma = 0.5, 1.5
    release = Release(view, clip, sigma, random.Random(1).randbytes)
    assert release.noise_norm == pytest.approx(2 * clip * sigma * view.size**0.5, rel=0.01)
    difference = np.random.default_rng(1).normal(size=LAYOUT.parameters).astype(np.float32)
    out = release.differences(np.repeat(difference[None], 4000, axis=0))
    noise = view.take(out.astype(np.float64))
    shared = view.take(difference[None].astype(np.float64))[0]
    expected = shared * min(1, clip / np.linalg.norm(shared))
    assert noise.std(axis=0) == pytest.approx(2 * clip * sigma, rel=0.06)
    assert noise.mean(axis=0) == pytest.approx(expected, abs=5 * 2 * clip * sigma / 4000**0.5)
    assert np.allclose(view.put(view.take(out.astype(np.float64))), out, atol=1e-5)


def test_without_noise_only_the_view_hides() -> None:
    difference = np.random.default_rng(1).normal(size=(2, LAYOUT.parameters)).astype(np.float32)
    assert (Release(Whole(LAYOUT)).differences(difference) == difference).all()
    assert Release(Whole(LAYOUT)).noise_norm == 0
    part = Release(Part(LAYOUT, "decoder")).differences(difference)
    assert (part[:, :28] == 0).all()
    assert (part[:, 28:] == difference[:, 28:]).all()


def test_the_noise_is_on_whole_steps_and_new_each_time() -> None:
    release = Release(Whole(LAYOUT), 1.0, 1.0)
    zero = np.zeros((2, LAYOUT.parameters), np.float32)
    one, other = release.differences(zero).astype(np.float64), release.differences(zero)
    assert release.grid is not None
    assert np.abs(one / release.grid.step - np.rint(one / release.grid.step)).max() < 1e-3
    assert (one != other).any()
    assert (one[0] != one[1]).any()


def test_for_the_simulator_it_is_a_compression() -> None:
    release = Release(Subspace(LAYOUT, 5), 1.0, 0.5)
    difference = np.ones((1, LAYOUT.parameters), np.float32)
    arrived = release.arrives(difference, LAYOUT)
    assert arrived.shape == difference.shape
    assert 20 <= release.size(arrived[0], LAYOUT) < Release(Whole(LAYOUT)).size(arrived[0], LAYOUT)
    assert (release.shadow, release.name) == (False, "subspace of 5, noise 0.5")


@pytest.mark.parametrize(("clip", "sigma"), [(0.0, 1.0), (1.0, 0.0), (1.0, 1e6), (float("inf"), 1.0), (1.0, -1.0)])
def test_no_grid_holds_such_noise(clip: float, sigma: float) -> None:
    with pytest.raises(ValueError, match="no grid"):
        Grid.of(clip, sigma)
