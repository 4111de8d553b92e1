"""A sheet shows each pair once, the first above the second, and a portrait is the face in the middle."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.lips.geometry import UNDER_NOSE
from ml.lips.sheet import png, portrait, sheet
from tests.ml.lips.portrait import portrait as astronaut


def plain(value: int) -> np.ndarray:
    return np.full((8, 10, 3), value, np.uint8)


@given(count=st.integers(1, 9), columns=st.integers(1, 4))
def test_every_pair_is_there_once(count: int, columns: int) -> None:
    made = sheet([(plain(2 * at), plain(2 * at + 1)) for at in range(count)], columns)
    for value in range(2 * count):
        rows, places = np.nonzero((made == value).all(axis=2))
        assert len(rows) == 80
        assert (np.ptp(rows), np.ptp(places)) == (7, 9), "in one piece"
    for at in range(count):
        above, below = (np.argwhere((made == 2 * at + side).all(axis=2)).min(axis=0) for side in (0, 1))
        assert below.tolist() == [above[0] + 8, above[1]]


def test_a_sheet_of_nothing_is_none() -> None:
    with pytest.raises(ValueError, match="at least one"):
        sheet([])


def test_a_portrait_has_the_nose_in_its_middle_and_goes_over_the_edge() -> None:
    picture, face = astronaut()
    marked = picture.copy()
    x, y = face.points[UNDER_NOSE, :2].round().astype(int)
    marked[y - 3 : y + 4, x - 3 : x + 4] = (0, 255, 0)
    found = portrait(marked, face, 120)
    assert found.shape == (120, 120, 3)
    green = np.argwhere((found[..., 1] > 200) & (found[..., 0] < 60))
    assert np.abs(green.mean(axis=0) - 59.5).max() < 3
    cut, moved = picture[:, x:].copy(), face.points.copy()
    moved[:, 0] -= x
    edge = portrait(cut, type(face)(moved, 1.0, 1, 0, 0), 120)
    assert (edge[:, :50] == 127).all(), "grey where there is no picture"


def test_a_png_is_read_as_it_was() -> None:
    picture, _ = astronaut()
    read = cv2.imdecode(np.frombuffer(png(picture), np.uint8), cv2.IMREAD_COLOR)
    assert (read[..., ::-1] == picture).all()
