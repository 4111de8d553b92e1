"""Rules that believe everybody a little: each difference is cut to a length, so no liar moves the step further.

Karimireddy, He and Jaggi, "Learning from history for Byzantine robust optimization" (2021); He, Karimireddy and Jaggi,
"Byzantine-robust decentralized learning via ClippedGossip" (2022). Knows nothing of speech.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.gate import LEAST_REACH
from ml.federated.rules.apart import Apart, Mask, expected, norms, shortened
from ml.weights import Tensor


@dataclass(frozen=True)
class CenteredClipping(Apart):
    """From one's own weights, several times: the mean of the differences from the centre, each cut to `radius`.

    Where the paper starts from the last round's mean, the only centre here that no peer has touched is one's own. So
    the step is never longer than `times * radius`.
    """

    name: str = "centered clipping"
    radius: float = 1.0
    times: int = 3

    def combine(self, differences: Stack, way: float) -> tuple[Tensor, Mask]:  # noqa: D102
        centre = np.zeros_like(differences[0])
        for _ in range(self.times):
            centre += shortened(differences - centre, self.radius).mean(axis=0)
        return centre, np.ones(len(differences), bool)


@dataclass(frozen=True)
class ClippedGossip(Apart):
    """The mean of differences from one's own, each cut to the radius that the paper's adaptive rule gives.

    With a share d of liars expected, radius^2 = (mean squared length of the nearest (1 - d) of them, summed over all)
    / d: the farther honest models are apart, the more is let through.
    """

    name: str = "ClippedGossip"
    share: float = 0.3

    def combine(self, differences: Stack, way: float) -> tuple[Tensor, Mask]:  # noqa: D102
        lengths = norms(differences)
        count = len(lengths)
        near = np.sort(lengths)[: count - expected(self.share, count)]
        radius = float(np.sqrt((near**2).sum() / count / self.share))
        return shortened(differences, radius, lengths).mean(axis=0), np.ones(count, bool)


@dataclass(frozen=True)
class ClippedToOwn(Apart):
    """The mean of differences from one's own, each cut to `ways` times the way that one has come from the start."""

    name: str = "clipped to own way"
    ways: float = 1.0

    def combine(self, differences: Stack, way: float) -> tuple[Tensor, Mask]:  # noqa: D102
        reach = max(LEAST_REACH, self.ways * way)
        return shortened(differences, reach).mean(axis=0), np.ones(len(differences), bool)
