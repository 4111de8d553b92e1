"""Chooses, for each picture of a video, which kept mouth comes nearest to the wanted one, without jumping about.

The cheapest path through costs of fit and of change (A. Viterbi, 1967), as unit selection does with sounds and Video
Rewrite (C. Bregler, M. Covell and M. Slaney, 1997) with mouths. Knows no pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
GAP, HALF_WIDTH, YAW, PITCH, LIGHT, BLUR = range(6)
"""Columns of features: lips in eye-widths, the head in units of 45 degrees, the mean level of the cheeks in 0..1, and
how much less sharp or steady than others a mouth is, 0..1."""
FEATURES = 6


@dataclass(frozen=True)
class Weights:
    """What differences cost. `shut`: for each eye-width that a mouth is less open than wanted beyond `slack`, because
    what it does not show cannot be seen; `ajar`: for teeth where lips shall be closed. `jump`: for each change to a
    mouth that was not the next one."""

    fit: tuple[float, ...] = (35.0, 12.0, 4.0, 4.0, 3.0, 0.4)
    change: tuple[float, ...] = (3.0, 2.0, 5.0, 5.0, 3.0, 0.0)
    shut: float = 25.0
    ajar: float = 10.0
    slack: float = 0.01
    jump: float = 0.3


def fits(wanted: Values, kept: Values, weights: Weights) -> Values:
    """What each kept mouth `[K, 6]` costs for a wanted one `[6]`: `[K]`."""
    costs = np.abs(kept - wanted) @ np.asarray(weights.fit)
    less = wanted[GAP] - weights.slack - kept[:, GAP]
    costs += weights.shut * np.maximum(0, less)
    if wanted[GAP] < weights.slack:
        costs += weights.ajar * np.maximum(0, kept[:, GAP] - weights.slack)
    return np.asarray(costs)


def changes(kept: Values, numbers: npt.NDArray[np.int64], weights: Weights) -> Values:
    """What it costs to go from one kept mouth to another `[K, K]`; little where it was the next picture, or the one
    before, in the video (`numbers` `[K]`)."""
    costs = np.abs(kept[:, None] - kept[None]) @ np.asarray(weights.change) + weights.jump
    near = np.abs(numbers[:, None] - numbers[None]) <= 1
    return np.asarray(np.where(near, costs * 0.15, costs))


def cheapest(fitting: Iterable[Values], changing: Values) -> npt.NDArray[np.int64]:
    """The path `[T]` of least sum of costs: `[K]` at each step, and `[K, K]` from each step to the next."""
    back: list[npt.NDArray[np.int16]] = []
    total: Values | None = None
    for costs in fitting:
        if total is None:
            total = costs.copy()
            continue
        ways = total[:, None] + changing
        best = ways.argmin(axis=0)
        back.append(best.astype(np.int16))
        total = ways[best, np.arange(len(best))] + costs
    if total is None:
        return np.zeros(0, np.int64)
    path = [int(total.argmin())]
    for best in reversed(back):
        path.append(int(best[path[-1]]))
    return np.asarray(path[::-1], np.int64)


@dataclass(frozen=True)
class Pick:
    """A kept mouth, and, near a jump from one to another, that other one with its share."""

    mouth: int
    other: int = -1
    share: float = 0.0


def faded(path: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64], over: int) -> list[Pick]:
    """The path with each jump spread over some pictures."""
    picks = [Pick(int(one)) for one in path]
    for at in range(1, len(path)):
        before, after = int(path[at - 1]), int(path[at])
        if abs(int(numbers[before]) - int(numbers[after])) <= 1:
            continue
        for away in range(over // 2):
            share = 0.5 - (away + 0.5) / over
            for place, other in ((at - 1 - away, after), (at + away, before)):
                if 0 <= place < len(path) and share > picks[place].share:
                    picks[place] = Pick(int(path[place]), other, share)
    return picks
