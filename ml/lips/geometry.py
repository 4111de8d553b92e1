"""Where things are on a face: the lines of the lips among its landmarks, its own axes, how far the mouth is open.

The head frame has its origin under the nose (landmark 2), x along the eyes, y down the face, and eye-widths as unit.
The indices are those of MediaPipe's face mesh (facts of its published topology). Knows neither networks nor pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.lips.types import Points

Line = npt.NDArray[np.float64]
"""Places `[K, 2]`."""

INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
OUTER_UPPER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
OUTER_LOWER = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
"""The lines of the lips, from the corner at the picture's left to that at its right."""
INNER_RING = (*INNER_UPPER, *INNER_LOWER[-2:0:-1])
OUTER_RING = (*OUTER_UPPER, *OUTER_LOWER[-2:0:-1])
"""The same once around, from that corner over the upper lip."""
CORNERS = (61, 291)
JAW = (
    *(234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152),
    *(377, 400, 378, 379, 365, 397, 288, 361, 323, 454),
)
"""The edge of the face, from one ear under the chin to the other."""
CHEEKS = (50, 280, 205, 425)
EYES = (33, 263)
"""Outer corners."""
UNDER_NOSE, BRIDGE, CHIN = 2, 168, 152
HEAD_SHAPE = {
    1: (0.0, -1.126865, 7.475604),
    10: (0.0, 8.261778, 4.481535),
    33: (-4.445859, 2.663991, 3.173422),
    133: (-1.856432, 2.585245, 3.757904),
    168: (0.0, 3.271027, 5.236015),
    234: (-7.664182, 0.673132, -2.435867),
    263: (4.445859, 2.663991, 3.173422),
    362: (1.856432, 2.585245, 3.757904),
    454: (7.664182, 0.673132, -2.435867),
}
"""Where landmarks that no expression moves lie on a head, in centimetres: to its left, up, and towards who looks at it
(MediaPipe's canonical face model)."""
_FLATTENED = 1.1
"""By so much the depths of landmarks are too small: with it the two ends of a real head's turn fit each other best."""
GAPS = ((13, 14), (82, 87), (312, 317))
"""Where a gap is measured: on the upper lip's line, and on the lower one's."""
_NOSE_TO_EYES = 1.45
"""Eye-widths per length of the nose on a face that looks ahead: keeps the unit when a turned head shortens the eyes."""


@dataclass(frozen=True, eq=False)
class HeadFrame:
    """A face's own axes in the picture: `axes` `[2, 2]` (rows: along the eyes, down the face), `origin` in pixels and
    pixels per eye-width."""

    axes: npt.NDArray[np.float64]
    origin: npt.NDArray[np.float64]
    unit: float

    def to_head(self, places: npt.NDArray[np.floating]) -> Line:
        """Places `[..., 2]` in pixels, in eye-widths of the head."""
        return np.asarray((np.asarray(places, float)[..., :2] - self.origin) @ self.axes.T / self.unit)

    def to_picture(self, places: npt.NDArray[np.floating]) -> Line:
        """The other way."""
        return np.asarray(np.asarray(places, float) * self.unit @ self.axes + self.origin)


def head_frame(points: Points) -> HeadFrame:
    """The axes of a face. Raises ValueError where the two eyes are one place."""
    left, right = (points[at, :2].astype(float) for at in EYES)
    length = float(np.linalg.norm(right - left))
    if not length > 0:
        raise ValueError("a face has two eyes")
    along = (right - left) / length
    axes = np.stack([along, [-along[1], along[0]]])
    nose = abs(float((points[UNDER_NOSE, :2] - points[BRIDGE, :2]) @ axes[1]))
    return HeadFrame(axes, points[UNDER_NOSE, :2].astype(float), max(length, _NOSE_TO_EYES * nose))


@dataclass(frozen=True)
class Lips:
    """How lips stand, in eye-widths: the gap between their inner lines, and the width from corner to corner."""

    gap: float
    width: float


def measure(points: Points) -> Lips:
    """How the lips of a face stand."""
    places = head_frame(points).to_head(points)
    left, right = CORNERS
    return Lips(gap(places), abs(float(places[right, 0] - places[left, 0])))


def gap(places: Line) -> float:
    """The gap between lips whose landmarks `[468, 2]` are in the head frame: the mean of three places, and below zero
    where landmarks cross."""
    return float(np.mean([places[lower, 1] - places[upper, 1] for upper, lower in GAPS]))


def turned(points: Points) -> tuple[float, float]:
    """Yaw and pitch of a face in degrees: where it looks once a head's shape is laid on its landmarks as well as may be
    (S. Umeyama, 1991). Right to some degrees: noses differ, which shows in the pitch."""
    shape = np.array(list(HEAD_SHAPE.values())) * (1, -1, -1)
    seen = points[list(HEAD_SHAPE)].astype(float) * (1, 1, _FLATTENED)
    left, _, right = np.linalg.svd((shape - shape.mean(axis=0)).T @ (seen - seen.mean(axis=0)))
    upright = np.diag([1.0, 1.0, np.sign(np.linalg.det(left @ right)) or 1.0])
    ahead = np.array([0.0, 0.0, -1.0]) @ left @ upright @ right
    return float(np.degrees(np.arctan2(ahead[0], -ahead[2]))), float(np.degrees(np.arcsin(np.clip(ahead[1], -1, 1))))
