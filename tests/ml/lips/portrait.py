"""One real face for the tests of lips: skimage's astronaut (NASA, public domain), with landmarks as tracked."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from skimage.data import astronaut

from ml.lips.geometry import turned
from ml.lips.types import Face, Picture, Points

GOLDEN = Path(__file__).resolve().parents[2] / "golden/astronaut_landmarks.npz"
_TOP, _LEFT = 40, 120


@cache
def _points() -> Points:
    with np.load(GOLDEN) as file:
        return np.asarray(file["points"], np.float32)


def portrait(size: float = 1.0) -> tuple[Picture, Face]:
    """The head `[200, 220, 3]` times `size`, and its face."""
    import cv2

    picture = astronaut()[_TOP : _TOP + 200, _LEFT : _LEFT + 220].copy()
    points = _points() - np.array([_LEFT, _TOP, 0], np.float32)
    if size != 1:
        picture = cv2.resize(picture, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        points = points * np.float32(size)
    return picture, face(points)


def face(points: Points, score: float = 1.0) -> Face:
    yaw, pitch = turned(points)
    return Face(points, score, 1, yaw, pitch)
