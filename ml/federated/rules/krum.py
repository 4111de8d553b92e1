"""Rules that keep the models which lie close together: multi-Krum and Bulyan.

Blanchard, El Mhamdi, Guerraoui and Stainer, "Machine learning with adversaries" (2017); El Mhamdi, Guerraoui and
Rouault, "The hidden vulnerability of distributed learning in Byzantium" (2018). With f liars their promises hold from
2f + 3 (Krum) and 4f + 3 (Bulyan) models on. With fewer the same arithmetic is done as far as it goes, without the
promise; liars who send copies of one model lie closest together. Knows nothing of speech.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.rules.apart import Apart, Mask, Numbers, expected
from ml.federated.rules.averages import between
from ml.weights import Tensor


@dataclass(frozen=True)
class MultiKrum(Apart):
    """The mean of the models whose nearest neighbours are nearest, without as many as `share` of them."""

    name: str = "multi-Krum"
    share: float = 0.3

    def combine(self, differences: Stack, way: float) -> tuple[Tensor, Mask]:  # noqa: D102
        count = len(differences)
        liars = expected(self.share, count)
        order = np.argsort(krum_scores(apart(differences), liars), kind="stable")
        used = np.zeros(count, bool)
        used[order[: count - liars]] = True
        return differences[used].mean(axis=0), used


@dataclass(frozen=True)
class Bulyan(Apart):
    """Krum again and again until all but twice the liars are chosen; of those, number by number, the mean of the
    values that lie nearest to their median, again without twice the liars (at least one each time)."""

    name: str = "Bulyan"
    share: float = 0.3

    def combine(self, differences: Stack, way: float) -> tuple[Tensor, Mask]:  # noqa: D102
        count = len(differences)
        liars = expected(self.share, count)
        distances = apart(differences)
        left = list(range(count))
        chosen: list[int] = []
        while len(chosen) < max(1, count - 2 * liars):
            best = left[int(np.argmin(krum_scores(distances[np.ix_(left, left)], liars)))]
            chosen.append(best)
            left.remove(best)
        used = np.zeros(count, bool)
        used[chosen] = True
        return nearest_median(differences[used], max(1, len(chosen) - 2 * liars)), used


def apart(stack: Stack) -> Numbers:
    """Squared distances between all rows `[k, k]`."""
    products = (stack @ stack.T).astype(np.float64)
    squares = np.diag(products)
    return np.maximum(squares[:, None] + squares[None, :] - 2 * products, 0.0)


def krum_scores(distances: Numbers, liars: int) -> Numbers:
    """For each model the sum of squared distances to its k - f - 2 nearest (at least one where there is one)."""
    count = len(distances)
    near = min(max(1, count - liars - 2), count - 1)
    found: Numbers = np.sort(distances, axis=1)[:, 1 : 1 + near].sum(axis=1)
    return found


def nearest_median(stack: Stack, count: int) -> Tensor:
    """Number by number the mean of the `count` values nearest to the median. Reorders `stack`.

    In sorted order they lie side by side, so the window whose ends are nearest is found among k - count + 1.
    """
    stack.sort(axis=0)
    rows = len(stack)
    if count == rows:
        found: Tensor = stack.mean(axis=0)
        return found
    middle = between(stack.copy(), (rows - 1) // 2, rows // 2 + 1)
    best = np.full(stack.shape[1], np.inf, np.float32)
    result = np.zeros_like(middle)
    for first in range(rows - count + 1):
        window = stack[first : first + count]
        worst = np.maximum(middle - window[0], window[-1] - middle)
        better = worst < best
        best[better] = worst[better]
        result[better] = window[:, better].mean(axis=0)
    return result
