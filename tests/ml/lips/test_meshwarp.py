"""Pixels are carried exactly as corners say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.meshwarp import MeshWarp, Window, around, filled

SQUARE = np.array([[10.0, 10], [50, 10], [50, 40], [10, 40]])
TWO = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
WINDOW = Window(5, 6, 50, 40)


def test_corners_that_stay_leave_every_pixel_where_it_is() -> None:
    x, y = MeshWarp(SQUARE, TWO, WINDOW).maps(SQUARE - [WINDOW.x, WINDOW.y])
    assert x == pytest.approx(np.broadcast_to(np.arange(50), (40, 50)), abs=1e-4)
    assert y == pytest.approx(np.broadcast_to(np.arange(40)[:, None], (40, 50)), abs=1e-4)


@settings(deadline=None)
@given(way=st.lists(st.floats(-1.5, 1.5), min_size=4, max_size=4), by=st.tuples(st.floats(-90, 90), st.floats(-90, 90)))
def test_an_affine_change_of_corners_is_that_change_of_every_pixel(way: list[float], by: tuple[float, float]) -> None:
    linear = np.array(way).reshape(2, 2)
    mesh = MeshWarp(SQUARE, TWO, WINDOW)
    x, y = mesh.maps(SQUARE @ linear.T + by)
    rows, columns = np.nonzero(mesh.covered)
    there = np.stack([columns + WINDOW.x, rows + WINDOW.y], axis=1) @ linear.T + by
    assert x[rows, columns] == pytest.approx(there[:, 0], abs=2e-2)
    assert y[rows, columns] == pytest.approx(there[:, 1], abs=2e-2)


def test_the_later_triangle_lies_on_top_and_turned_ones_are_not_laid() -> None:
    both = np.concatenate([TWO, TWO])
    places = np.concatenate([SQUARE, SQUARE])
    both[2:] += 4
    x, _ = MeshWarp(places, both, WINDOW).maps(np.concatenate([SQUARE, SQUARE + np.array([100, 0])]))
    assert x[20, 20] == pytest.approx(20 + WINDOW.x + 100, abs=1e-2)
    assert not MeshWarp(SQUARE, TWO[:, ::-1], WINDOW).covered.any()
    assert MeshWarp(SQUARE, TWO, WINDOW).covered.sum() == 41 * 31


def test_specks_between_triangles_are_closed() -> None:
    places = np.array([[0.0, 0], [20, 0], [20, 40], [0, 40], [23, 0], [43, 0], [43, 40], [23, 40]])
    mesh = MeshWarp(places, np.concatenate([TWO, TWO + 4]), Window(0, 0, 60, 50))
    assert mesh.covered[10:30, :44].all()
    assert not mesh.covered[:, 50:].any()


def test_a_sliver_leaves_its_pixels_to_its_neighbours() -> None:
    places = np.array([[0.0, 0], [19.9, 0], [19.9, 40], [0, 40], [20.1, 20]])
    there = places + np.array([[0, 0], [0, 0], [0, 0], [0, 0], [300, 0]])
    x, _ = MeshWarp(places, np.concatenate([TWO, [[1, 4, 2]]]).astype(np.int32), Window(0, 0, 40, 50)).maps(there)
    assert x[:41, :21].max() < 25


def test_no_single_pixel_is_sent_far_off() -> None:
    places = np.array([[0.0, 0], [40, 0], [40, 40], [0, 40], [20, 20], [21.4, 20], [20, 21.4]])
    there = places + np.concatenate([np.zeros((4, 2)), np.full((3, 2), 200.0)])
    triangles = np.concatenate([TWO, [[4, 5, 6]]]).astype(np.int32)
    x, y = MeshWarp(places, triangles, Window(0, 0, 50, 50)).maps(there)
    assert x.max() < 60
    assert y.max() < 60


def test_what_is_inside_an_outline_is_filled_and_its_line_by_its_share() -> None:
    mask = filled(SQUARE, (50, 60))
    assert mask.shape == (50, 60)
    assert (mask[11:40, 11:50] == 255).all()
    assert not mask[:9].any()
    assert not mask[:, 52:].any()
    moved = filled(SQUARE + 0.25, (50, 60))
    assert 0 < moved[20, 10] < mask[20, 10]


def test_a_window_ends_where_the_picture_does() -> None:
    assert around(SQUARE, 2, 100, 100) == Window(8, 8, 45, 35)
    assert around(SQUARE, 20, 45, 52) == Window(0, 0, 52, 45)
    assert around(SQUARE + 500, 2, 100, 100) is None
