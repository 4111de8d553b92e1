"""Faces are found wherever they are and however small, and boxes are told apart."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.engines.protocols import EngineHome
from ml.lips.detector import Detector, DetectorOptions, apart, shared
from ml.lips.tracker import detector_at
from ml.lips.types import Box, Picture

BOXES = st.builds(
    Box,
    x=st.floats(-500, 500),
    y=st.floats(-500, 500),
    size=st.floats(1, 500),
    angle=st.floats(-3, 3),
    score=st.floats(0, 1),
)


class Scripted:
    """A network that says where a face is, in every look, and how often it was asked."""

    def __init__(self, belief: float = -90.0) -> None:
        self.looks, self.belief = 0, belief

    def compute(self, tensor: np.ndarray) -> tuple[np.ndarray, ...]:
        assert tensor.shape == (1, 128, 128, 3)
        assert tensor.min() >= -1
        assert tensor.max() <= 1
        self.looks += 1
        beliefs = np.full((1, 896, 1), -90, np.float32)
        beliefs[0, 300] = self.belief
        guesses = np.zeros((1, 896, 16), np.float32)
        guesses[..., 2:4] = 32
        guesses[..., 4:8] = (-8, 0, 8, 0)
        return guesses, beliefs

    def close(self) -> None:
        pass


def found(detector: Detector, picture: Picture) -> tuple[Box, ...]:
    """The faces of the first look that sees any."""
    return next((boxes for boxes in detector.find(picture) if boxes), ())


@pytest.fixture(scope="module")
def detector(face_home: EngineHome) -> Iterator[Detector]:
    made = detector_at(face_home, "litert")
    assert isinstance(made, Detector)
    yield made
    made.close()


def test_the_astronaut_is_found_upright_at_her_place(detector: Detector, astronaut: Picture) -> None:
    (face,) = found(detector, astronaut)
    assert (face.x, face.y) == pytest.approx((226, 128), abs=5)
    assert face.size == pytest.approx(94, abs=10)
    assert abs(face.angle) < 0.2
    assert face.score > 0.8


@pytest.mark.parametrize("angle", [-30, -15, 15, 30])
def test_a_face_that_leans_has_its_angle(detector: Detector, astronaut: Picture, angle: int) -> None:
    turn = cv2.getRotationMatrix2D((224, 118), -angle, 1.0)
    (face,) = found(detector, cv2.warpAffine(astronaut, turn, (512, 512)))
    (upright,) = found(detector, astronaut)
    assert np.degrees(face.angle - upright.angle) == pytest.approx(angle, abs=8)


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (640, 480), (1080, 1920)])
@pytest.mark.parametrize("part", [3, 1.5])
def test_a_small_face_is_found_in_a_part_if_not_in_the_whole(
    detector: Detector, astronaut: Picture, width: int, height: int, part: float
) -> None:
    side = round(min(width, height) / part)
    picture = np.full((height, width, 3), 60, np.uint8)
    x, y = width - side - 7, height // 4
    picture[y : y + side, x : x + side] = cv2.resize(astronaut, (side, side), interpolation=cv2.INTER_AREA)
    face = max((box for boxes in detector.find(picture) for box in boxes), key=lambda box: box.score)
    assert (face.x, face.y) == pytest.approx((x + side * 0.442, y + side * 0.252), abs=side * 0.03)


def test_a_face_is_found_again_near_where_it_was(detector: Detector, astronaut: Picture) -> None:
    (face,) = found(detector, astronaut)
    moved = Box(face.x + 40, face.y - 30, face.size, 0, 1)
    (again,) = detector.near(astronaut, moved)
    assert shared(again, face) > 0.6
    assert detector.near(astronaut, Box(5000, 5000, 80, 0, 1)) == ()


def test_a_look_is_made_when_it_is_asked_for() -> None:
    network = Scripted()
    looks = Detector(network).find(np.zeros((720, 1280, 3), np.uint8))
    assert network.looks == 0
    assert next(looks) == ()
    assert network.looks == 1
    assert list(looks) == [(), (), ()]
    assert network.looks > 20


def test_parts_cover_the_whole_picture() -> None:
    seen: list[tuple[int, int]] = []

    class Looking(Scripted):
        def compute(self, tensor: np.ndarray) -> tuple[np.ndarray, ...]:
            if (tensor > 0.9).any():
                seen.append((y, x))
            return super().compute(tensor)

    for y in (0, 200, 359):
        for x in (0, 320, 639):
            picture = np.zeros((360, 640, 3), np.uint8)
            picture[max(0, y - 8) : y + 8, max(0, x - 8) : x + 8] = 255
            list(Detector(Looking(), DetectorOptions(parts=(0.5,))).find(picture))
    assert set(seen) == {(y, x) for y in (0, 200, 359) for x in (0, 320, 639)}


def test_as_many_turns_as_there_are_parts_see_what_a_look_at_all_sees(detector: Detector, astronaut: Picture) -> None:
    picture = np.full((480, 1280, 3), 60, np.uint8)
    picture[40:200, 1000:1160] = cv2.resize(astronaut, (160, 160), interpolation=cv2.INTER_AREA)
    at_once = {box for boxes in detector.find(picture) for box in boxes}
    turns = [detector.patrol(picture, turn, small=True) for turn in range(80)]
    assert {box for boxes in turns for box in boxes} >= at_once
    assert at_once
    network = Scripted()
    for turn in range(6):
        Detector(network).patrol(picture, turn, small=False)
    assert network.looks == 6


def test_where_the_network_points_is_where_the_box_is() -> None:
    (face,) = found(Detector(Scripted(5.0)), np.zeros((256, 512, 3), np.uint8))
    # Guess 300 is of cell 150 of 16 x 16: column 6, row 9, of 8 pixels each; a pixel seen is four of the picture, and
    # the picture begins at row 32 of what is seen.
    assert (face.x, face.y) == pytest.approx((6.5 * 8 * 4 - 0.5, (9.5 * 8 - 32) * 4 - 0.5))
    assert face.size == pytest.approx(128)
    assert face.angle == 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 700), (2, 3), (97, 1), (333, 251)])
def test_pictures_of_any_shape_are_looked_at(shape: tuple[int, int]) -> None:
    assert found(Detector(Scripted()), np.zeros((*shape, 3), np.uint8)) == ()


@given(one=BOXES, other=BOXES)
def test_sharing_is_mutual_and_a_share(one: Box, other: Box) -> None:
    assert 0 <= shared(one, other) <= 1
    assert shared(one, other) == pytest.approx(shared(other, one))
    assert shared(one, one) == pytest.approx(1)


def test_what_two_boxes_share_is_counted() -> None:
    assert shared(Box(0, 0, 2, 0, 1), Box(1, 0, 2, 0, 1)) == pytest.approx(2 / 6)
    assert shared(Box(0, 0, 2, 0, 1), Box(0, 0, 4, 0, 1)) == pytest.approx(4 / 16)
    assert shared(Box(0, 0, 2, 0, 1), Box(3, 0, 2, 0, 1)) == 0


@settings(deadline=None)
@given(st.lists(BOXES, max_size=12))
def test_of_boxes_over_each_other_the_best_stays(boxes: list[Box]) -> None:
    kept = apart(boxes)
    assert apart(kept) == kept
    for box in boxes:
        assert box in kept or any(shared(box, other) >= 0.3 and other.score >= box.score for other in kept)
