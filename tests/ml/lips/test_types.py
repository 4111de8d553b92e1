"""A patch changes what its mask says, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.lips.types import Patch, put


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@given(seed=st.integers(0, 2**32 - 1), x=st.integers(0, 9), y=st.integers(0, 6))
def test_a_patch_changes_what_its_mask_says(seed: int, x: int, y: int) -> None:
    picture = noise(seed, 12, 16, 3)
    before = picture.copy()
    mask = np.random.default_rng(seed).choice([0, 0, 255, 100], (5, 6)).astype(np.uint8)
    patch = Patch(x, y, noise(seed + 1, 5, 6, 3), mask)
    put(picture, patch)
    assert patch.area == (x, y, 6, 5)
    inside = np.zeros((12, 16), bool)
    inside[y : y + 5, x : x + 6] = mask > 0
    assert (picture[~inside] == before[~inside]).all()
    new, old, part = patch.pixels, before[y : y + 5, x : x + 6], picture[y : y + 5, x : x + 6]
    assert (part[mask == 255] == new[mask == 255]).all()
    mixed = (new.astype(float) * 100 + old.astype(float) * 155) / 255
    assert np.abs(part.astype(float) - mixed)[mask == 100].max(initial=0) <= 0.5


@pytest.mark.parametrize(("x", "y"), [(-1, 0), (0, -2), (12, 0), (0, 9)])
def test_a_patch_outside_its_picture_is_refused_and_changes_nothing(x: int, y: int) -> None:
    picture = noise(1, 12, 16, 3)
    before = picture.copy()
    with pytest.raises(ValueError, match="inside"):
        put(picture, Patch(x, y, noise(2, 5, 6, 3), np.full((5, 6), 255, np.uint8)))
    assert (picture == before).all()
