"""Nothing is left between lips, nothing else changes, and only lips that meet have a shadow between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.geometry import INNER_LOWER, INNER_UPPER, OUTER_LOWER, OUTER_UPPER, head_frame
from ml.lips.sealed import sealed, shadow
from ml.lips.targets import targets
from ml.lips.types import Mouth
from tests.ml.lips.portrait import portrait

PICTURE, FACE = portrait(2.0)
HEAD = head_frame(FACE.points)
PLACES = FACE.points[:, :2].astype(float)


def polygon(places: np.ndarray, upper: tuple[int, ...], lower: tuple[int, ...]) -> np.ndarray:
    import cv2

    mask = np.zeros(PICTURE.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(places[[*upper, *lower[-2:0:-1]]]).astype(np.int32)], 1)
    return mask > 0


BETWEEN = polygon(PLACES, INNER_UPPER, INNER_LOWER)
LIPS = polygon(PLACES, OUTER_UPPER, OUTER_LOWER) & ~BETWEEN


def test_teeth_and_dark_corners_give_way_to_the_colours_of_lips() -> None:
    found = sealed(PICTURE, PLACES, HEAD.unit)
    lips = PICTURE[LIPS].mean(axis=0)
    before, after = (np.abs(one[BETWEEN].astype(float) - lips).max(axis=1) for one in (PICTURE, found))
    assert np.percentile(before, 95) > 80
    assert np.percentile(after, 95) < 60
    assert found[BETWEEN].mean(axis=1).min() > PICTURE[BETWEEN].mean(axis=1).min() + 40, "no black corner is left"


def test_nothing_but_what_lies_between_changes() -> None:
    given_picture = PICTURE.copy()
    found = sealed(given_picture, PLACES, HEAD.unit)
    assert (given_picture == PICTURE).all()
    changed = (found != PICTURE).any(axis=-1)
    rows, columns = np.nonzero(changed)
    low, high = PLACES[[*INNER_UPPER, *INNER_LOWER]].min(axis=0), PLACES[[*INNER_UPPER, *INNER_LOWER]].max(axis=0)
    reach = 0.04 * HEAD.unit
    assert (columns >= low[0] - reach).all()
    assert (columns <= high[0] + reach).all()
    assert (rows >= low[1] - reach).all()
    assert (rows <= high[1] + reach).all()
    assert changed[BETWEEN].mean() > 0.9


def test_shut_lips_stay_the_very_same() -> None:
    shut = targets(FACE.points, Mouth(0.0, 0.33))
    assert sealed(PICTURE, shut, HEAD.unit) is PICTURE


@settings(deadline=None, max_examples=25)
@given(x=st.floats(-500, 500), y=st.floats(-500, 500), size=st.floats(0.1, 2))
def test_lips_anywhere_near_a_picture_and_of_any_size_do_no_harm(x: float, y: float, size: float) -> None:
    places = PLACES * size + [x, y]
    found = sealed(PICTURE, places, HEAD.unit * size)
    assert found.shape == PICTURE.shape
    shadow(found.copy(), places, HEAD)


@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_only_where_lips_meet_is_it_darker(gap: float) -> None:
    places = targets(FACE.points, Mouth(gap, 0.33))
    level = np.full_like(PICTURE, 200)
    shadow(level, places, HEAD)
    line = ((places[13] + places[14]) / 2).round().astype(int)
    assert (level[line[1], line[0]].mean() < 160) == (gap == 0)
    far = np.abs(np.arange(len(level)) - line[1]) > 0.2 * HEAD.unit
    assert (level[far] == 200).all()
    half = np.full_like(PICTURE, 200)
    shadow(half, places, HEAD, 0.5)
    assert ((half >= level) & (half <= 200)).all()
    none = np.full_like(PICTURE, 200)
    shadow(none, places, HEAD, 0.0)
    assert (none == 200).all()
