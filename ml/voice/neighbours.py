"""From one voice's envelopes to another's by nearest neighbours: the first method, kept to be compared with.

A frame goes to a blend of two places: where it stands when mean and spread are matched, and the mean of the speaker's
four nearest frames. It is quick and needs no fitting; neighbouring frames may jump to different neighbours, which
costs intelligibility when the blend is strong.

This module knows nothing of sound: frames in, frames out.
"""

from __future__ import annotations

import numpy as np

from ml.voice.cepstra import Array
from ml.voice.envelope import Cloud

_NEAREST = 4
_COMPARED = slice(1, 13)


class NeighbourMap:
    """Carries frames of one cloud to another. `blend` 0 matches mean and spread only, 1 takes the neighbours alone."""

    def __init__(self, target: Cloud, blend: float) -> None:
        """Nothing is fitted."""
        self._target = target
        self._blend = blend
        self._places = target.standard(target.frames)[:, _COMPARED]
        self._squares = (self._places**2).sum(axis=1)
        self._nearest = min(_NEAREST, len(target.frames))

    def __call__(self, scores: Array) -> Array:
        """The speaker's frames `[T, 26]` for frames given in spreads from the source's mean `[T, 26]`."""
        distances = self._squares[None] - 2.0 * scores[:, _COMPARED] @ self._places.T
        nearest = np.argpartition(distances, self._nearest - 1, axis=1)[:, : self._nearest]
        neighbours = self._target.frames[nearest].mean(axis=1)
        frames: Array = self._blend * neighbours + (1.0 - self._blend) * self._target.restore(scores)
        return frames
