"""The mean, and what stands in its place when some of the numbers lie: median and trimmed mean, number by number.

Yin, Chen, Ramchandran and Bartlett, "Byzantine-robust distributed learning" (2018). Both hold only while liars are
fewer than half of *this* inbox, whatever their share among all peers. Knows nothing of speech.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.rules.apart import Apart, Mask, expected
from ml.weights import Tensor


@dataclass(frozen=True)
class Mean(Apart):
    """The plain mean: one liar moves it as far as it likes."""

    name: str = "mean"

    def combine(self, differences: Stack, way: float) -> tuple[Tensor, Mask]:  # noqa: D102
        return differences.mean(axis=0), np.ones(len(differences), bool)


@dataclass(frozen=True)
class Median(Apart):
    """The median of every number; of an even count the mean of the two in the middle."""

    name: str = "median"

    def combine(self, differences: Stack, way: float) -> tuple[Tensor, Mask]:  # noqa: D102
        count = len(differences)
        return between(differences, (count - 1) // 2, count // 2 + 1), np.ones(count, bool)


@dataclass(frozen=True)
class TrimmedMean(Apart):
    """The mean of every number without the `share` smallest and the `share` largest; of up to three, the median."""

    name: str = "trimmed mean"
    share: float = 0.3

    def combine(self, differences: Stack, way: float) -> tuple[Tensor, Mask]:  # noqa: D102
        count = len(differences)
        cut = min(expected(self.share, count), (count - 1) // 2)
        return between(differences, cut, count - cut), np.ones(count, bool)


def between(stack: Stack, first: int, end: int) -> Tensor:
    """The mean of the order statistics `first` to `end` (not included) of every column. Reorders `stack`."""
    stack.partition(sorted({first, end - 1}), axis=0)
    found: Tensor = stack[first:end].mean(axis=0)
    return found
