"""How one speaker's lower face really goes with the mouth: learned from the landmarks of a video, picture by picture.

A linear model (ridge regression) of every landmark by gap and width of the lips, yaw and pitch of the head. Only sums
are kept, so that its memory is the same for a second and for an hour. Knows no pixels.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from ml.lips.geometry import head_frame, measure, turned
from ml.lips.topology import Places, Values, smooth, topology
from ml.lips.types import LANDMARKS, Mouth, Points

_LEAST = 25
"""Pictures from which on anything is believed."""
_SPREAD = 0.02
"""Eye-widths: the least standard deviation of the gap that tells how a face opens."""
_RIDGE = (2e-4, 6e-4, 0.02, 0.02)
"""What is added to the variance of gap, half width (eye-widths), yaw and pitch (in units of 45 degrees): distrust."""
_MOST_YAW = 30.0
_ANGLE = 45.0


class Shapes:
    """The shapes of one speaker."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._count = 0
        self._knowns, self._squares = np.zeros(4), np.zeros((4, 4))
        self._places, self._products = np.zeros(2 * LANDMARKS), np.zeros((4, 2 * LANDMARKS))
        self._slopes: Values | None = None

    def learn(self, points: Points) -> None:
        """Take account of one more face; one turned far away is left out."""
        known, yaw = _known(points)
        if abs(yaw) > _MOST_YAW:
            return
        places = head_frame(points).to_head(points).ravel()
        self._count += 1
        self._knowns += known
        self._squares += np.outer(known, known)
        self._places += places
        self._products += np.outer(known, places)
        self._slopes = None

    def moves(self, points: Points, mouth: Mouth) -> Places:
        """How far the landmarks of a face go `[468, 2]`, in eye-widths of its head, when its lips change to a mouth's
        gap and width; nothing while too little is known."""
        if self._count < _LEAST:
            return np.zeros((LANDMARKS, 2))
        if self._slopes is None:
            self._slopes = self._fit()
        own = measure(points)
        change = np.array([max(0.0, mouth.gap) - own.gap, mouth.half_width - own.width / 2])
        return np.asarray((change @ self._slopes[:2]).reshape(LANDMARKS, 2) * _loose())

    def _fit(self) -> Values:
        mean, places = self._knowns / self._count, self._places / self._count
        variance = self._squares / self._count - np.outer(mean, mean)
        if variance[0, 0] < _SPREAD**2:
            return np.zeros((4, 2 * LANDMARKS))
        together = self._products / self._count - np.outer(mean, places)
        return np.asarray(np.linalg.solve(variance + np.diag(_RIDGE), together))


@cache
def _loose() -> Values:
    """How free each landmark is to move `[468, 1]`: not at all at nose and ears, where what moves ends."""
    places = topology().places
    below = smooth((places[:, 1] - 0.02) / 0.16)
    inside = smooth((0.72 - np.abs(places[:, 0])) / 0.2)
    return np.asarray((below * inside)[:, None])


def _known(points: Points) -> tuple[Values, float]:
    lips, (yaw, pitch) = measure(points), turned(points)
    return np.array([lips.gap, lips.width / 2, yaw / _ANGLE, pitch / _ANGLE]), yaw
