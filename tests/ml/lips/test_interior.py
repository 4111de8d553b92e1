"""Between open lips there is a mouth, not a hole and not a lip."""

from __future__ import annotations

import numpy as np
import pytest

from ml.lips.geometry import HeadFrame, head_frame
from ml.lips.interior import Interior, light_of, mouth_mask
from ml.lips.meshwarp import Window
from ml.lips.targets import targets
from ml.lips.types import Mouth
from tests.ml.lips.portrait import portrait

PICTURE, FACE = portrait(2.0)
HEAD = head_frame(FACE.points)
WINDOW = Window(160, 160, 110, 80)


def opened(gap: float) -> np.ndarray:
    return targets(FACE.points, Mouth(gap, 0.33))


def painted(interior: Interior, gap: float = 0.2, light: float = 160) -> np.ndarray:
    return interior.paint(WINDOW, HEAD, opened(gap), np.full(3, light))


def levels(colours: np.ndarray, x: float, y: float) -> float:
    """At a place between the lips, from the left to the right corner and from the upper to the lower lip."""
    places = opened(0.2)
    across = places[78] + (places[308] - places[78]) * x
    at = across * [1, 0] + [0, places[13, 1] + (places[14, 1] - places[13, 1]) * y]
    column, row = np.round(at - [WINDOW.x, WINDOW.y]).astype(int)
    return float(colours[row, column].mean())


@pytest.mark.parametrize("learnt", [False, True])
def test_teeth_are_above_and_darkness_below_and_at_the_corners(learnt: bool) -> None:
    interior = Interior()
    if learnt:
        interior.learn(PICTURE, FACE.points)
    colours = painted(interior)
    assert colours.shape == (80, 110, 3)
    assert levels(colours, 0.5, 0.2) > 130
    assert levels(colours, 0.5, 0.7) < 100
    assert levels(colours, 0.1, 0.5) < levels(colours, 0.5, 0.2)


def test_teeth_are_those_of_the_most_open_mouth() -> None:
    interior = Interior()
    interior.learn(PICTURE, FACE.points)
    before = painted(interior)
    shut = np.concatenate([opened(0.01), FACE.points[:, 2:]], axis=1).astype(np.float32)
    interior.learn(np.zeros_like(PICTURE), shut)
    assert (painted(interior) == before).all()
    wide = np.concatenate([opened(0.2), FACE.points[:, 2:]], axis=1).astype(np.float32)
    interior.learn(np.zeros_like(PICTURE), wide)
    assert levels(painted(interior), 0.5, 0.2) < 20


def test_a_mouth_is_as_bright_as_its_face() -> None:
    interior = Interior()
    assert painted(interior, light=60).mean() < 0.6 * painted(interior, light=160).mean()
    assert light_of(PICTURE, FACE.points).min() > 60


def test_the_mask_is_the_gap() -> None:
    areas = [float(mouth_mask(WINDOW, HEAD, opened(gap)).sum()) for gap in (0.0, 0.05, 0.1, 0.2)]
    assert areas[0] < 1
    assert areas[3] > 1.7 * areas[2] > 2.5 * areas[1]
    assert isinstance(HEAD, HeadFrame)


def test_little_light_falls_into_a_slit() -> None:
    interior = Interior()
    interior.learn(PICTURE, FACE.points)

    def teeth(gap: float) -> float:
        inside = mouth_mask(WINDOW, HEAD, opened(gap)) > 0.6
        return float(np.percentile(painted(interior, gap)[inside], 90))

    assert teeth(0.025) < 0.8 * teeth(0.12)


def test_teeth_go_on_where_the_lip_covered_them() -> None:
    interior = Interior()
    interior.learn(PICTURE, FACE.points)
    places = opened(0.2)
    places[[80, 81, 82, 13, 312, 311, 310], 1] -= 0.03 * HEAD.unit
    colours = interior.paint(WINDOW, HEAD, places, np.full(3, 160))
    column, row = np.round(places[13] + [0, 0.02 * HEAD.unit] - [WINDOW.x, WINDOW.y]).astype(int)
    assert colours[row, column].min() > 70, "a dark line along the lip looks drawn"


def test_painted_teeth_are_whiter_than_the_skin_and_have_edges() -> None:
    places = opened(0.2)
    light = np.array([200.0, 140.0, 110.0])
    colours = Interior().paint(WINDOW, HEAD, places, light)
    middle = np.round((places[13] + [0, 0.03 * HEAD.unit]) - [WINDOW.x, WINDOW.y]).astype(int)
    tooth = colours[middle[1], middle[0] + 3]
    assert tooth[0] - tooth[2] < 0.6 * (light[0] - light[2])
    across = colours[middle[1], middle[0] - 12 : middle[0] + 13].mean(axis=1)
    assert across.max() > 1.05 * across.min(), "one white bar is no row of teeth"


def test_a_raised_lip_shows_more_of_the_teeth() -> None:
    def length(gap: float) -> int:
        places = opened(gap)
        column = round(float(places[13, 0])) - WINDOW.x + 3
        colours = Interior().paint(WINDOW, HEAD, places, np.full(3, 160))
        first, last = (round(float(places[at, 1])) - WINDOW.y for at in (13, 14))
        return int((colours[first : last + 1, column].mean(axis=1) > 110).sum())

    assert 0 < length(0.1) < length(0.25)
