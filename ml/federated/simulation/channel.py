"""How publications travel: what receivers have of them, and how many bytes that is.

Arithmetic on what it is given; knows nothing of who has published what, nor when.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Stack
from ml.federated.method import Compression
from ml.weights import Layout, Tensor


@dataclass(frozen=True)
class Channel:
    """The way from `genesis` `[parameters]` to what arrives; exact without a compression."""

    genesis: Tensor
    layout: Layout
    compression: Compression | None
    first: Compression | None = None
    """For a first publication where the next ones stand on a shadow copy; None: as the others."""

    def arrive(self, published: Stack, before: Stack, known: npt.NDArray[np.bool_]) -> tuple[Stack, Stack]:
        """What receivers will have of `published` `[P, parameters]`, and the differences that travel.

        With a shadow the difference is to what arrived `before` `[P, parameters]`, where that is `known` `[P]` and
        finite, else to genesis.
        """
        if self.compression is None:
            return published, published
        known = known.copy()
        if self.compression.shadow:
            known &= np.isfinite(before.sum(axis=1, dtype=np.float64))
            base = np.where(known[:, None], before, self.genesis)
        else:
            base = np.repeat(self.genesis[None], len(published), axis=0)
        with np.errstate(all="ignore"):
            difference = published - base
            arrived = self.compression.arrives(difference, self.layout)
            if self.first is not None and not known.all():
                arrived[~known] = self.first.arrives(difference[~known], self.layout)
            return base + arrived, difference

    def size(self, difference: Tensor, known: bool) -> int:
        """Bytes of one publication as it travels; four for each number without a compression."""
        if self.compression is None:
            return 4 * len(difference)
        chosen = self.compression if known or self.first is None else self.first
        return chosen.size(difference, self.layout)
