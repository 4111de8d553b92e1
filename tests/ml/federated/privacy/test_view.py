"""Views share what they say, linearly, and never lengthen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.federated.privacy.view import Part, Subspace, View, Whole
from ml.weights import Layout

LAYOUT = Layout("little", {"encoder.w": (4, 6), "encoder.bias": (4,), "decoder.w": (6, 4), "decoder.bias": (6,)})
VIEWS: tuple[View, ...] = (
    Whole(LAYOUT),
    *(Part(LAYOUT, part) for part in ("encoder", "decoder", "biases")),
    Subspace(LAYOUT, 5),
    Subspace(LAYOUT, LAYOUT.parameters),
)
each = pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)


def differences(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(3, LAYOUT.parameters))


@each
@given(seed=st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_both_ways_are_a_projection_that_never_lengthens(view: View, seed: int) -> None:
    whole = differences(seed)
    shared = view.take(whole)
    assert shared.shape == (3, view.size)
    back = view.put(shared)
    assert back.shape == whole.shape
    assert np.allclose(view.take(back), shared)
    assert (np.linalg.norm(shared, axis=1) <= np.linalg.norm(whole, axis=1) * (1 + 1e-12)).all()
    assert np.allclose(np.linalg.norm(back, axis=1), np.linalg.norm(shared, axis=1))
    assert np.allclose(view.take(2 * whole[:1] - whole[1:2]), 2 * shared[:1] - shared[1:2])


@pytest.mark.parametrize(("part", "size"), [("encoder", 28), ("decoder", 30), ("biases", 10)])
def test_a_part_says_nothing_of_the_rest(part: str, size: int) -> None:
    view = Part(LAYOUT, part)
    assert view.size == size
    one, other = differences(1), differences(1)
    hidden = view.put(np.ones((1, size)))[0] == 0
    other[:, hidden] += 7
    assert (view.take(one) == view.take(other)).all()


def test_everybody_draws_the_same_plane() -> None:
    assert (Subspace(LAYOUT, 5).take(differences(1)) == Subspace(LAYOUT, 5).take(differences(1))).all()
    assert not np.allclose(Subspace(LAYOUT, 5, seed=1).take(differences(1)), Subspace(LAYOUT, 5).take(differences(1)))


def test_a_plane_holds_its_share_of_a_difference_that_does_not_know_it() -> None:
    layout = Layout("longer", {"w": (4000,)})
    held = np.square(Subspace(layout, 400).take(np.random.default_rng(2).normal(size=(50, 4000)))).sum() / (50 * 4000)
    assert held == pytest.approx(0.1, rel=0.1)


def test_there_is_no_such_view() -> None:
    with pytest.raises(ValueError, match="no part"):
        Part(LAYOUT, "middle")
    with pytest.raises(ValueError, match="no part"):
        Part(Layout("bare", {"w": (3,)}), "biases")
    for dimensions in (0, LAYOUT.parameters + 1):
        with pytest.raises(ValueError, match="dimensions"):
            Subspace(LAYOUT, dimensions)
