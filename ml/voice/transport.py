"""From one voice's envelopes to another's by optimal transport, as a smooth function of the frame.

Nobody says which frame of the synthetic voice corresponds to which of the speaker's: they spoke different words in
different languages. So two clouds of frames, each counted in its own spreads, are matched as wholes: of all ways to
carry one cloud onto the other, the one that moves frames least, softened by entropy (M. Cuturi, 2013, "Sinkhorn
distances"). Every source frame then has a mean destination, and a ridge regression on radial basis functions learns
the step from mean-and-spread matching to those destinations. Unlike the nearest neighbours it replaces, the function
is continuous: neighbouring frames go to neighbouring places, and the filter does not jump.

This module knows nothing of sound: frames in, frames out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ml.voice.cepstra import Array
from ml.voice.envelope import Cloud

Matrix = npt.NDArray[np.floating[Any]]

_MATCHED = 500  # frames of each cloud that are matched; the plan takes their product
_COMPARED = slice(1, 20)  # cepstra that say which sound a frame is; 0 is its loudness
_SOFTNESS = 0.1  # entropy's weight, in mean squared distances
_ROUNDS = 50
_CENTRES = 120
_WIDTH = 12.0  # of a basis function: squared distance at which it has fallen to 1/e
_LINEAR = 0.3  # scale of the linear terms beside the basis functions: smaller is more strongly regularised
_RIDGE = 1.0


def plan(source: Matrix, target: Matrix, softness: float = _SOFTNESS, rounds: int = _ROUNDS) -> Matrix:
    """How each of `source` `[N, D]` is divided over `target` `[M, D]`: `[N, M]`, rows sum to 1, columns to N / M."""
    cost = _squared_distances(source, target)
    kernel = np.exp(-cost / max(softness * float(cost.mean()), 1e-12)) + 1e-30
    rows = np.ones(len(source))
    share = len(source) / len(target)
    for _ in range(rounds):
        columns = share / (rows @ kernel)
        rows = 1.0 / (kernel @ columns)
    return np.asarray(rows[:, None] * kernel * columns[None])


class TransportMap:
    """Carries frames of one cloud to another. `strength` 0 matches mean and spread only, 1 transports fully."""

    def __init__(self, source: Cloud, target: Cloud, strength: float) -> None:
        """Solves the transport and fits the function: about 30 ms."""
        self._target = target
        self._strength = strength
        scores = source.standard(_some(source.frames, _MATCHED))
        destinations = _some(target.frames, _MATCHED)
        carried = plan(scores[:, _COMPARED], target.standard(destinations)[:, _COMPARED]) @ destinations
        # The mean of several destinations has lost spread; give it back.
        carried = (carried - carried.mean(axis=0)) / np.maximum(carried.std(axis=0), 1e-6)
        step = target.restore(carried.astype(np.float32)) - target.restore(scores)
        self._centres = np.ascontiguousarray(_some(scores, _CENTRES)[:, _COMPARED])
        basis = self._basis(scores).astype(np.float64)
        normal = basis.T @ basis + _RIDGE * np.eye(basis.shape[1])
        self._weights = np.linalg.solve(normal, basis.T @ step).astype(np.float32)

    def __call__(self, scores: Array) -> Array:
        """The speaker's frames `[T, 26]` for frames given in spreads from the source's mean `[T, 26]`."""
        frames: Array = self._target.restore(scores) + self._strength * (self._basis(scores) @ self._weights)
        return frames

    def _basis(self, scores: Array) -> Array:
        """Basis functions, a constant and linear terms, `[T, 120 + 1 + 26]`."""
        near = np.exp(-_squared_distances(scores[:, _COMPARED], self._centres) / _WIDTH)
        constant = np.ones((len(scores), 1), np.float32)
        return np.concatenate([near, constant, _LINEAR * scores], axis=1).astype(np.float32)


def _squared_distances(left: Matrix, right: Matrix) -> Matrix:
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None] - 2.0 * left @ right.T
    return np.asarray(np.maximum(squares, 0.0))


def _some(frames: Array, count: int) -> Array:
    """At most `count` of the frames, evenly chosen."""
    chosen: Array = frames[np.linspace(0, len(frames) - 1, min(count, len(frames))).astype(int)]
    return chosen
