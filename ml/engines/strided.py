"""Long sound through a network that makes a frame every few hundred samples: in windows with context on both sides, of
which only the middle is kept. The frames lie on the same grid as if all had been heard at once, and memory does not
grow with the length of the sound.

Knows no single network.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.types import SAMPLE_RATE, Samples

Run = Callable[[Samples], npt.NDArray[np.float32]]
"""Frames `[T, D]` of samples `[N]`."""


@dataclass(frozen=True)
class Grid:
    """A frame every `stride` samples, each made of `reach` of them."""

    stride: int
    reach: int

    @classmethod
    def of(cls, kernels: Sequence[int], strides: Sequence[int]) -> Grid:
        """The grid of convolutions without padding, one after another."""
        stride, reach = 1, 1
        for kernel, step in zip(kernels, strides, strict=True):
            reach += (kernel - 1) * stride
            stride *= step
        return cls(stride, reach)

    def frames(self, samples: int) -> int:
        """How many frames so many samples give."""
        return max(0, (samples - self.reach) // self.stride + 1)

    @property
    def rate(self) -> float:
        """Frames per second of 16 kHz sound."""
        return SAMPLE_RATE / self.stride


def strided(samples: Samples, run: Run, grid: Grid, *, window: float, context: float) -> npt.NDArray[np.float32]:
    """Frames of samples `[N]`, `window` seconds at a time, each heard with `context` seconds before and after it."""
    total = grid.frames(len(samples))
    size, around = max(1, round(window * grid.rate)), round(context * grid.rate)
    if total <= size + 2 * around:
        return run(samples)
    parts = []
    for first in range(0, total, size):
        last = min(first + size, total)
        start, end = max(0, first - around), min(total, last + around)
        heard = run(samples[start * grid.stride : (end - 1) * grid.stride + grid.reach])
        parts.append(heard[first - start : last - start])
    return np.concatenate(parts)
