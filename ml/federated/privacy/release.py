"""A difference as it is published: seen through a view, shortened to a fixed public norm, hidden in exact noise.

What may be known of the owner's speech enters at one point, as a vector of whole numbers of bounded length; noise is
added to it in whole numbers, and everything after that (the grid's step, the model that comes of it, its quantisation,
whom it is sent to) is arithmetic on what is already hidden. One release is one share of a budget
(`ml/federated/privacy/accountant.py`), however many peers get it. Knows nothing of peers, rounds or disks.
"""

from __future__ import annotations

import math
import os
import zlib
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Stack
from ml.federated.privacy.noise import LARGEST_DEVIATION, Source, Whole, discrete_gaussian
from ml.federated.privacy.view import View
from ml.weights import Layout, Tensor

LARGEST_RADIUS = 2**20
"""Steps. Finer than float32 says it."""


@dataclass(frozen=True)
class Grid:
    """The whole numbers on which a release is made: the clip norm in steps, and the noise's deviation in steps.

    Two people's clipped vectors are at most `2 * radius` steps apart: that is the sensitivity when one owner's whole
    speech is put in place of another's (replacement, the relation of local differential privacy).
    """

    step: float
    radius: int
    deviation: int

    @classmethod
    def of(cls, clip: float, sigma: float) -> Grid:
        """The finest grid that the noise can be drawn on. Raises ValueError for a clip or noise that none fits."""
        if not (0 < clip < math.inf and 0 < sigma <= LARGEST_DEVIATION / 2):
            raise ValueError(f"no grid holds a clip norm of {clip} under noise of {sigma} sensitivities")
        sensitivity = 2 * Fraction(sigma)
        radius = min(math.floor(LARGEST_DEVIATION / sensitivity), LARGEST_RADIUS)
        return cls(clip / radius, radius, math.ceil(sensitivity * radius))


def clip_to_grid(vectors: npt.NDArray[np.float64], grid: Grid) -> Whole:
    """Vectors `[people, d]` as whole steps, none longer than `grid.radius`: checked on the whole numbers themselves.

    Numbers are cut towards zero, so that rounding never lengthens. What is not finite counts as zero.
    """
    result = np.zeros(vectors.shape, np.int64)
    bound = grid.radius * grid.radius
    for at, vector in enumerate(np.where(np.isfinite(vectors), vectors, 0.0)):
        length = float(np.linalg.norm(vector))
        factor = 1 / grid.step if length <= grid.step * grid.radius else grid.radius / length
        whole = np.trunc(vector * factor).astype(np.int64)
        while int(np.square(whole).sum()) > bound:  # only ever by the last bit of a float
            factor *= 1 - 1e-9
            whole = np.trunc(vector * factor).astype(np.int64)
        result[at] = whole
    return result


class Release:
    """A way to publish. Also a `Compression` for the simulator: what arrives is what was released.

    With `sigma` None there is neither clipping nor noise, and no promise: only what is not shared stays hidden.
    """

    shadow = False
    """Every release stands alone against the shared start: noise does not add up, and a late peer misses nothing."""

    def __init__(self, view: View, clip: float = 0.1, sigma: float | None = None, source: Source = os.urandom) -> None:
        """`clip` is the fixed public norm; `sigma` the noise in sensitivities (2 clip). Raises ValueError."""
        self.view, self.sigma, self._source = view, sigma, source
        self.grid = None if sigma is None else Grid.of(clip, sigma)
        self.name = view.name if sigma is None else f"{view.name}, noise {sigma:.3g}"

    @property
    def noise_norm(self) -> float:
        """The length that the noise will have: its root mean square over all shared numbers together."""
        return 0.0 if self.grid is None else float(self.grid.deviation * self.grid.step * np.sqrt(self.view.size))

    def differences(self, differences: Stack) -> Stack:
        """What is published of differences `[people, parameters]` from the shared start, in the same shape."""
        shared = self.view.take(np.asarray(differences, np.float64))
        if self.grid is not None:
            whole = clip_to_grid(shared, self.grid)
            whole += discrete_gaussian(whole.size, self.grid.deviation, self._source).reshape(whole.shape)
            shared = whole.astype(np.float64) * np.float64(self.grid.step)
        return self.view.put(shared).astype(np.float32)

    def arrives(self, differences: Stack, layout: Layout) -> Stack:
        """The same, for the simulator."""
        return self.differences(differences)

    def size(self, difference: Tensor, layout: Layout) -> int:
        """Bytes of the shared numbers as float32 after zlib: exact, so that the noise is the only loss."""
        shared = self.view.take(difference[None].astype(np.float64)).astype("<f4")
        return len(zlib.compress(shared.tobytes(), 6))
