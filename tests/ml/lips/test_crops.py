"""A bank of mouths stays within its bounds and keeps what differs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.lips.choice import BLUR, GAP
from ml.lips.crops import Crops
from ml.lips.targets import targets
from ml.lips.types import Face, Mouth
from tests.ml.lips.portrait import face, portrait

PICTURE, FACE = portrait()


def speaking(gap: float) -> Face:
    points = np.concatenate([targets(FACE.points, Mouth(gap, 0.33)), FACE.points[:, 2:]], axis=1)
    return face(points.astype(np.float32))


@settings(deadline=None, max_examples=10)
@given(gaps=st.lists(st.floats(0, 0.2), min_size=1, max_size=30), most=st.integers(1, 6), room=st.integers(40, 400))
def test_however_many_are_offered_bounds_are_kept(gaps: list[float], most: int, room: int) -> None:
    crops = Crops(most, room * 1024)
    for index, gap in enumerate(gaps):
        crops.offer(index, PICTURE, speaking(gap))
        assert 1 <= len(crops) <= most
        assert crops.bytes == sum(crops[at].pixels.nbytes for at in range(len(crops))) <= room * 1024
        assert len(crops.features) == len(crops.numbers) == len(crops)


def test_the_widest_and_the_closed_mouth_stay_and_twins_go() -> None:
    crops = Crops(3, 10**9)
    for index, gap in enumerate((0.0, 0.2, 0.1, 0.101, 0.102, 0.099)):
        crops.offer(index, PICTURE, speaking(gap))
    gaps = sorted(crops.features[:, GAP].round(2).tolist())
    assert gaps == [0.0, 0.1, 0.2]


def test_a_crop_is_its_own_copy_of_the_lower_face() -> None:
    picture = PICTURE.copy()
    crops = Crops(3, 10**9)
    crops.offer(7, picture, FACE)
    crop = crops[0]
    picture[:] = 0
    assert crop.index == 7
    assert crop.pixels.mean() > 50
    column, row = np.round(crop.places[152]).astype(int)
    assert 0 < row < crop.pixels.shape[0]
    assert 0 < column < crop.pixels.shape[1]
    assert crop.pixels.shape[0] < PICTURE.shape[0] / 2


def test_mouths_that_are_not_seen_well_are_not_kept() -> None:
    crops = Crops(3, 10**9)
    crops.offer(0, PICTURE, replace(FACE, score=0.6))
    crops.offer(1, PICTURE, replace(FACE, yaw=38.0))
    crops.offer(2, PICTURE, face(FACE.points + np.array([0, 90, 0], np.float32)))
    assert len(crops) == crops.bytes == 0
    crops.offer(3, PICTURE, FACE)
    assert len(crops) == 1


def test_lips_that_move_fast_count_as_less_sharp() -> None:
    crops = Crops(5, 10**9)
    for index, gap in ((0, 0.0), (1, 0.1), (2, 0.101), (9, 0.0)):
        crops.offer(index, PICTURE, speaking(gap))
    blur = crops.features[:, BLUR]
    assert blur[1] > 0.9
    assert (blur[[0, 2, 3]] < 0.1).all()


def test_of_twins_the_less_sharp_goes_unless_it_is_the_widest() -> None:
    import cv2

    soft = cv2.GaussianBlur(PICTURE, (0, 0), 1.5).astype(np.uint8)
    crops = Crops(3, 10**9)
    for index, picture, gap in (
        (0, PICTURE, 0.0),
        (2, PICTURE, 0.1),
        (4, soft, 0.1),
        (6, PICTURE, 0.2),
        (8, soft, 0.21),
    ):
        crops.offer(index, picture, speaking(gap))
    assert crops.numbers.tolist() == [0, 2, 8]
