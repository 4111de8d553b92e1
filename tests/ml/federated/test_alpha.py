"""Alpha goes a small part of the way to where the parabola of held-out errors is least, and never out of bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.alpha import AlphaOptions, after_round, best, beyond, within

OPTIONS = AlphaOptions()
ANYTHING = st.floats(allow_nan=True, allow_infinity=True)


def errors(alpha: float, least_at: float, bend: float = 1.0) -> list[np.ndarray]:
    """Of one's own weights, the mixture and the probe, on a parabola that is least at an own weight of `least_at`."""
    return [np.array([3 + bend * (at - least_at) ** 2]) for at in (1.0, alpha, OPTIONS.probe)]


@settings(deadline=None)
@given(st.floats(0.5, 0.9), st.floats(0.5, 0.9))
def test_the_best_is_where_the_parabola_is_least(alpha: float, least_at: float) -> None:
    found = best([alpha], *errors(alpha, least_at), OPTIONS)
    assert found[0] == pytest.approx(least_at, abs=1e-6)
    moved = after_round([alpha], *errors(alpha, least_at), OPTIONS)
    assert moved[0] == pytest.approx(alpha + 0.25 * (least_at - alpha), abs=1e-6)


@pytest.mark.parametrize(("least_at", "bound"), [(0.1, 0.5), (1.4, 0.9)])
def test_the_best_is_looked_for_within_the_bounds(least_at: float, bound: float) -> None:
    assert best([0.7], *errors(0.7, least_at), OPTIONS)[0] == bound


@pytest.mark.parametrize(("least_at", "bound"), [(1.0, 0.5), (0.3, 0.9)])
def test_where_the_errors_bend_down_the_better_end_is_best(least_at: float, bound: float) -> None:
    assert best([0.7], *errors(0.7, least_at, bend=-1.0), OPTIONS)[0] == bound


def test_on_a_straight_line_the_better_end_is_best() -> None:
    falling = [np.array([value]) for value in (1.0, 0.9, 0.8)]
    assert best([0.7], *falling, OPTIONS)[0] == 0.5
    assert best([0.7], *falling[::-1], OPTIONS)[0] == 0.9


@settings(deadline=None)
@given(ANYTHING, ANYTHING, ANYTHING, st.floats(0.5, 0.9))
def test_whatever_comes_alpha_moves_little_and_stays_in_its_bounds(
    own: float, mixed: float, probed: float, alpha: float
) -> None:
    moved = after_round([alpha], np.array([own]), np.array([mixed]), np.array([probed]), OPTIONS)[0]
    assert 0.5 <= moved <= 0.9
    assert abs(moved - alpha) <= 0.25 * 0.4 + 1e-12
    if not all(map(math.isfinite, (own, mixed, probed))):
        assert moved == alpha


@given(ANYTHING)
def test_what_a_memory_says_is_brought_within_the_bounds(said: float) -> None:
    found = float(within(said, OPTIONS))
    assert 0.5 <= found <= 0.9
    if 0.5 <= said <= 0.9:
        assert found == said
    if not math.isfinite(said):
        assert found == 0.7


def test_everybody_has_their_own() -> None:
    one, other = errors(0.6, 0.9), errors(0.8, 0.5)
    together = after_round([0.6, 0.8], *(np.concatenate(pair) for pair in zip(one, other, strict=True)), OPTIONS)
    assert together.tolist() == [after_round([0.6], *one, OPTIONS)[0], after_round([0.8], *other, OPTIONS)[0]]
    assert together[0] > 0.6
    assert together[1] < 0.8


def test_the_third_point_lies_on_the_line_through_the_mixture() -> None:
    rng = np.random.default_rng(0)
    own, theirs = ({"w": rng.normal(size=(3, 4)).astype(np.float32)} for _ in range(2))
    mixed = {"w": own["w"] + np.float32(0.3) * (theirs["w"] - own["w"])}
    found = beyond(own, mixed, 0.7, OPTIONS)
    assert np.allclose(found["w"], own["w"] + 0.6 * (theirs["w"] - own["w"]), atol=1e-6)
    assert found["w"].dtype == np.float32
