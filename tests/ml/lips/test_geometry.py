"""Measures of a face do not depend on where it is, how large, or how it leans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.lips.geometry import (
    BRIDGE,
    CHIN,
    CORNERS,
    EYES,
    GAPS,
    HEAD_SHAPE,
    INNER_LOWER,
    INNER_RING,
    INNER_UPPER,
    JAW,
    OUTER_LOWER,
    OUTER_RING,
    OUTER_UPPER,
    UNDER_NOSE,
    gap,
    head_frame,
    measure,
    turned,
)
from ml.lips.types import LANDMARKS


def drawn(gap: float = 0.1, width: float = 0.5) -> np.ndarray:
    """A face that looks ahead with eyes one apart, at known places where measures look."""
    points = np.random.default_rng(7).uniform(-0.5, 0.5, (LANDMARKS, 3)).astype(np.float32)
    points[:, 2] = 0
    for at, place in zip(EYES, ((-0.5, -0.6), (0.5, -0.6)), strict=True):
        points[at, :2] = place
    points[UNDER_NOSE, :2], points[BRIDGE, :2], points[CHIN, :2] = (0, 0), (0, -0.55), (0, 0.8)
    points[JAW[0], :2], points[JAW[-1], :2] = (-0.7, -0.3), (0.7, -0.3)
    for upper, lower in GAPS:
        points[upper, :2], points[lower, :2] = (0, 0.3), (0, 0.3 + gap)
    for at, side in zip(CORNERS, (-1, 1), strict=True):
        points[at, :2] = (side * width / 2, 0.3)
    return points


@given(
    gap=st.floats(0, 0.4),
    width=st.floats(0.3, 0.7),
    size=st.floats(20, 400),
    angle=st.floats(-3, 3),
    x=st.floats(-500, 2000),
    y=st.floats(-500, 2000),
)
def test_the_lips_of_a_face_measure_the_same_wherever_it_is(
    gap: float, width: float, size: float, angle: float, x: float, y: float
) -> None:
    points = drawn(gap, width)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points[:, :2] = points[:, :2] @ turn * size + [x, y]
    found = measure(points)
    assert found.gap == pytest.approx(gap, abs=2e-3)
    assert found.width == pytest.approx(width, abs=2e-3)
    assert head_frame(points).unit == pytest.approx(size, rel=1e-3)


def test_lips_that_cross_have_a_gap_below_zero() -> None:
    assert gap(drawn(-0.05)) == pytest.approx(-0.05)


@pytest.mark.parametrize(
    ("ring", "upper", "lower"), [(INNER_RING, INNER_UPPER, INNER_LOWER), (OUTER_RING, OUTER_UPPER, OUTER_LOWER)]
)
def test_a_ring_goes_once_around_the_lips(
    ring: tuple[int, ...], upper: tuple[int, ...], lower: tuple[int, ...]
) -> None:
    assert ring[: len(upper)] == upper
    assert ring[len(upper) - 1 :] + ring[:1] == lower[::-1]
    assert len(set(ring)) == len(ring) == 20


@given(angle=st.floats(-3, 3), place=st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
def test_head_and_picture_are_two_views_of_one_place(angle: float, place: tuple[float, float]) -> None:
    points = drawn()
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points[:, :2] = points[:, :2] @ turn * 100 + 300
    head = head_frame(points)
    there = head.to_picture(np.array([place]))
    assert head.to_head(there) == pytest.approx(np.array([place]), abs=1e-6)
    assert head.to_head(points[[UNDER_NOSE]]) == pytest.approx(np.zeros((1, 2)), abs=1e-5)


@pytest.mark.parametrize("degrees", [-50, -20, 0, 20, 50])
def test_a_turned_head_keeps_its_unit(degrees: float) -> None:
    points, angle = 200 * drawn(), np.radians(degrees)
    points[:, 0] *= np.cos(angle)
    assert 150 < head_frame(points).unit <= 200.01, "the nose keeps the unit when the eyes come together"


@given(yaw=st.floats(-60, 60), pitch=st.floats(-45, 45), roll=st.floats(-180, 180), size=st.floats(1, 100))
def test_where_a_head_looks_is_seen_in_its_landmarks(yaw: float, pitch: float, roll: float, size: float) -> None:
    points = np.random.default_rng(2).uniform(0, 100, (LANDMARKS, 3)).astype(np.float32)
    points[list(HEAD_SHAPE)] = np.array(list(HEAD_SHAPE.values())) * (1, -1, -1)
    a, b, c = np.radians((yaw, pitch, roll))
    leaning = np.array([[np.cos(c), np.sin(c), 0], [-np.sin(c), np.cos(c), 0], [0, 0, 1]])
    nodding = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    turning = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    # Rows are points: looking ahead is (0, 0, -1), and a head that nods and then turns looks where both say.
    assert [0, 0, -1] @ nodding @ turning == pytest.approx(
        [np.sin(a) * np.cos(b), np.sin(b), -np.cos(a) * np.cos(b)], abs=1e-9
    )
    there = size * points[list(HEAD_SHAPE)] @ leaning @ nodding @ turning + [300, 200, -40]
    points[list(HEAD_SHAPE)] = there * (1, 1, 1 / 1.1)
    assert turned(points) == pytest.approx((yaw, pitch), abs=0.05)


def test_a_face_that_looks_aside_has_its_far_edge_behind() -> None:
    points = drawn()
    points[JAW[-1], 2], points[JAW[0], 2] = 0.6, -0.2
    assert turned(points)[0] > 0


def test_eyes_at_one_place_are_no_face() -> None:
    with pytest.raises(ValueError, match="two eyes"):
        measure(np.zeros((LANDMARKS, 3), np.float32))
