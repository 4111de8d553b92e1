"""Orientation: every display matrix against the places of a picture's corners."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.video.orient import Orientation, orientation
from tests.ml.video.clips import TURNS


def matrix(a, b, c, d):
    return np.array([a, b, 0, c, d, 0, 0, 0, 16384], np.float64).__mul__(65536).astype(np.int32).tobytes()


MATRICES = [(a, 0, 0, d) for a, d in product((1, -1), repeat=2)] + [(0, b, c, 0) for b, c in product((1, -1), repeat=2)]


@pytest.mark.parametrize("entries", MATRICES)
def test_each_pixel_goes_where_the_matrix_sends_it(entries):
    a, b, c, d = entries
    picture = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    upright = orientation(matrix(*entries)).apply(picture)
    places = {(x, y): (a * x + c * y, b * x + d * y) for y, x in product(range(2), range(3))}
    left, top = (min(place[axis] for place in places.values()) for axis in (0, 1))
    for (x, y), (to_x, to_y) in places.items():
        assert (upright[to_y - top, to_x - left] == picture[y, x]).all()
    assert upright.shape[1::-1] == orientation(matrix(*entries)).size(3, 2)
    assert upright.flags.c_contiguous


@pytest.mark.parametrize(("name", "degrees"), [("90", 90), ("180", 180), ("270", 270), ("mirrored", 0)])
def test_turns_have_their_usual_names(name, degrees):
    turn = orientation(matrix(*TURNS[name]))
    assert (turn.rotation, turn.mirrored, turn.identity) == (degrees, name == "mirrored", False)


@given(st.booleans(), st.booleans(), st.booleans())
def test_rotation_and_mirror_describe_the_whole_turn(transpose, mirror_x, mirror_y):
    turn = Orientation(transpose, mirror_x, mirror_y)
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    start = picture[:, ::-1] if turn.mirrored else picture
    np.testing.assert_array_equal(turn.apply(picture), np.rot90(start, -turn.rotation // 90))
    assert turn.identity == (turn.apply(picture) is picture)


@pytest.mark.parametrize("entries", [(0.7, 0.7, -0.7, 0.7), (0, 0, 0, 0)])
def test_what_is_no_quarter_turn_is_not_one(entries):
    assert orientation(matrix(*entries)) is None
