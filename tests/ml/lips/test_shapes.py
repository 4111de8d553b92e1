"""A speaker's own way of opening the mouth is learned, and nothing is believed of too few pictures."""

from __future__ import annotations

import numpy as np
import pytest

from ml.lips.geometry import CHIN, EYES, head_frame, measure
from ml.lips.shapes import Shapes
from ml.lips.targets import targets
from ml.lips.types import Mouth, Points
from tests.ml.lips.portrait import portrait

POINTS = portrait()[1].points
HALF = measure(POINTS).width / 2


def speaking(gap: float, dimple: float) -> Points:
    """The face with another gap, whose chin goes to the side with it as nobody's does."""
    found = np.concatenate([targets(POINTS, Mouth(gap, HALF)), POINTS[:, 2:]], axis=1).astype(np.float32)
    found[CHIN, 0] += dimple * gap * head_frame(POINTS).unit
    return found


def learned(count: int, dimple: float = 1.0) -> Shapes:
    shapes = Shapes()
    for gap in np.linspace(0, 0.2, count):
        shapes.learn(speaking(float(gap), dimple))
    return shapes


def test_what_a_chin_did_with_the_lips_it_does_again() -> None:
    moves = learned(60).moves(speaking(0.05, 1.0), Mouth(0.15, HALF))
    assert moves[CHIN, 0] == pytest.approx(0.1, abs=0.02)
    assert moves[CHIN, 1] > 0.03
    assert moves[list(EYES)] == pytest.approx(0, abs=1e-9)


def test_the_mouth_that_a_face_has_moves_nothing() -> None:
    own = measure(POINTS)
    assert learned(60).moves(POINTS, Mouth(own.gap, own.width / 2)) == pytest.approx(0, abs=1e-6)


def test_little_is_not_believed() -> None:
    assert (learned(20).moves(POINTS, Mouth(0.0, HALF)) == 0).all()
    shapes = Shapes()
    for _ in range(60):
        shapes.learn(POINTS)
    assert (shapes.moves(POINTS, Mouth(0.0, HALF)) == 0).all()


def test_wanted_gaps_are_met_by_way_of_shapes_too() -> None:
    shapes = learned(60)
    for gap in (0.0, 0.06, 0.18):
        found = np.concatenate([targets(POINTS, Mouth(gap, HALF), shapes), POINTS[:, 2:]], axis=1)
        assert measure(found.astype(np.float32)).gap == pytest.approx(gap, abs=0.005)
