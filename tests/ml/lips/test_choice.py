"""The path through kept mouths is the cheapest there is."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.choice import FEATURES, Weights, changes, cheapest, faded, fits


def mouths(*gaps: float) -> np.ndarray:
    found = np.zeros((len(gaps), FEATURES))
    found[:, 0], found[:, 1] = gaps, 0.33
    return found


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), steps=st.integers(1, 5), kept=st.integers(1, 4))
def test_no_other_path_is_cheaper(seed: int, steps: int, kept: int) -> None:
    draw = np.random.default_rng(seed)
    fitting, changing = draw.random((steps, kept)), draw.random((kept, kept))

    def cost(path: tuple[int, ...]) -> float:
        return sum(fitting[at, one] for at, one in enumerate(path)) + sum(changing[a, b] for a, b in pairwise(path))

    path = tuple(cheapest(iter(fitting), changing).tolist())
    assert cost(path) <= min(cost(other) for other in product(range(kept), repeat=steps)) + 1e-9


def test_nothing_wanted_is_no_path() -> None:
    assert cheapest(iter([]), np.zeros((3, 3))).tolist() == []


def test_a_mouth_that_shows_too_little_fits_worse_than_one_that_shows_too_much() -> None:
    costs = fits(mouths(0.1)[0], mouths(0.06, 0.14, 0.1), Weights())
    assert costs[0] > 1.5 * costs[1] > costs[2]
    shut = fits(mouths(0.0)[0], mouths(0.0, 0.06), Weights())
    assert shut[1] > 14 * 0.06


def test_going_on_in_the_video_is_cheaper_than_jumping() -> None:
    found = changes(mouths(0.1, 0.1, 0.1), np.array([4, 5, 9]), Weights())
    assert found[0, 1] < found[0, 2]
    assert found[0, 0] < found[0, 2]


def test_jumps_are_spread_over_pictures_and_runs_are_left_alone() -> None:
    numbers = np.array([10, 11, 40, 41])
    path = np.array([0, 1, 2, 3])
    assert [pick.other for pick in faded(path, numbers, 0)] == [-1] * 4
    picks = faded(path, numbers, 2)
    assert [(pick.mouth, pick.other, pick.share) for pick in picks] == [
        (0, -1, 0),
        (1, 2, 0.25),
        (2, 1, 0.25),
        (3, -1, 0),
    ]
    assert [round(pick.share, 3) for pick in faded(path, numbers, 4)] == [0.125, 0.375, 0.375, 0.125]


def test_where_jumps_are_near_one_another_the_nearer_one_counts() -> None:
    picks = faded(np.array([0, 1, 2]), np.array([10, 40, 70]), 4)
    assert [(pick.other, pick.share) for pick in picks] == [(1, 0.375), (0, 0.375), (1, 0.375)]
