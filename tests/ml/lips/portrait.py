"""One real face for the tests of lips: skimage's astronaut (NASA, public domain), with landmarks as tracked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from skimage.data import astronaut

from ml.lips.geometry import turned
from ml.lips.types import Face, Picture, Points

GOLDEN = Path(__file__).resolve().parents[2] / "golden/astronaut_landmarks.npz"
_TOP, _LEFT = 40, 120


def _points() -> Points:
    with np.load(GOLDEN) as file:
        return np.asarray(file["points"], np.float32)


POINTS = _points()
FACE = Face(POINTS, 1.0, 0, 0.0, 0.0)
"""The astronaut's, where it is in the whole photograph."""


def portrait(size: float = 1.0) -> tuple[Picture, Face]:
    """The head `[200, 220, 3]` times `size`, and its face."""
    import cv2

    picture = astronaut()[_TOP : _TOP + 200, _LEFT : _LEFT + 220].copy()
    points = POINTS - np.array([_LEFT, _TOP, 0], np.float32)
    if size != 1:
        picture = cv2.resize(picture, None, fx=size, fy=size, interpolation=cv2.INTER_CUBIC)
        points = points * np.float32(size)
    return picture, face(points)


def face(points: Points, score: float = 1.0) -> Face:
    yaw, pitch = turned(points)
    return Face(points, score, 1, yaw, pitch)


def moved(x: float = 0, y: float = 0, scale: float = 1, angle: float = 0) -> Face:
    """The astronaut's face elsewhere, larger, turned."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    points = POINTS.astype(np.float64).copy()
    points[:, :2] = points[:, :2] @ turn.T + (x, y)
    return replace(FACE, points=points.astype(np.float32))
