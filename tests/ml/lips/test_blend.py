"""A blend is one picture inside, another outside, and shows no seam between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.blend import ending, feathered, laplacian, matched, mixed

SHAPE = (96, 120)
OUTLINE = np.array([[30.0, 20], [90, 20], [95, 70], [25, 75]])


def flat(level: int) -> np.ndarray:
    return np.full((*SHAPE, 3), level, np.uint8)


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


@settings(deadline=None)
@given(width=st.floats(1, 18))
def test_a_feather_is_all_inside_its_outline(width: float) -> None:
    mask = feathered(OUTLINE, SHAPE, width)
    rows, columns = np.nonzero(mask)
    assert rows.min() >= 19
    assert rows.max() <= 76
    assert columns.min() >= 24
    assert columns.max() <= 96
    assert mask[47, 60] == 255
    assert np.abs(np.diff(mask.astype(int), axis=1)).max() <= 255 / max(1, width / 6)


@settings(deadline=None, max_examples=20)
@given(levels=st.integers(0, 9), one=st.integers(0, 9), other=st.integers(10, 19))
def test_masks_of_nothing_and_of_all_leave_one_picture(levels: int, one: int, other: int) -> None:
    under, over = noise(one), noise(other)
    nothing, everything = np.zeros(SHAPE, np.uint8), np.full(SHAPE, 255, np.uint8)
    assert (laplacian(under, over, nothing, levels) == under).all()
    assert np.abs(laplacian(under, over, everything, levels).astype(int) - over).max() <= 1


def test_a_pyramid_hides_a_step_that_a_feather_shows() -> None:
    under, over, mask = flat(100), flat(140), feathered(OUTLINE, SHAPE, 6)
    step = [
        np.abs(np.diff(blend.astype(int), axis=1)).max()
        for blend in (mixed(under, over, mask), laplacian(under, over, mask, 4))
    ]
    assert step[1] < step[0] / 1.5


def test_colours_are_matched_at_the_rim_within_bounds() -> None:
    mask = feathered(OUTLINE, SHAPE, 14)
    assert np.abs(matched(flat(100), flat(120), mask).astype(int) - 120).max() <= 2
    assert matched(flat(50), flat(250), mask).max() < 80
    assert matched(flat(100), flat(120), np.zeros(SHAPE, np.uint8)) == pytest.approx(flat(100))


def test_at_the_edges_a_blend_ends() -> None:
    found = ending(flat(100), flat(200), 10)
    assert (found[0] == 100).all()
    assert (found[:, -1] == 100).all()
    assert (found[10:-10, 10:-10] == 200).all()
    assert np.abs(np.diff(found.astype(int), axis=0)).max() <= 12
