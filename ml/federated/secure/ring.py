"""Vectors as whole numbers modulo 2^32, so that masks cancel exactly; and masks, from 32 bytes each.

Numbers are clipped, rounded to a fixed step and added up modulo 2^32; the step is chosen so that the sum of as many as
may take part never wraps. A mask is the ChaCha20 key stream (RFC 8439) of a seed: whoever lacks the seed cannot tell
it from uniform random numbers. Knows nothing of who adds what.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from ml.weights import Tensor

Ringed = npt.NDArray[np.uint32]
"""Whole numbers modulo 2^32, `[numbers]`; those from 2^31 on stand for negative ones."""

NONCE = bytes(16)
"""Every seed makes one stream only, so the counter and the nonce may begin at zero."""


@dataclass(frozen=True)
class Ring:
    """How numbers become whole: `limit` is the largest magnitude of one, `people` how many are added up at most."""

    limit: float
    people: int

    def __post_init__(self) -> None:
        """Raises ValueError for a limit or a number of people that make no sense."""
        if not (0 < self.limit < np.inf and 1 <= self.people <= 2**20):
            raise ValueError(f"numbers up to {self.limit} of {self.people} people fit no ring")

    @property
    def levels(self) -> int:
        """The largest whole number of one person: so many people's together stay below 2^31."""
        return (2**31 - 1) // self.people

    @property
    def step(self) -> float:
        """What one whole step is worth."""
        return self.limit / self.levels

    def whole(self, numbers: Tensor) -> Ringed:
        """Numbers as whole steps; larger ones are cut to the limit, and what is not finite counts as zero."""
        sound = np.where(np.isfinite(numbers), numbers, 0.0).astype(np.float64)
        steps = np.rint(np.clip(sound / self.step, -self.levels, self.levels))
        return steps.astype(np.int64).astype(np.uint32)

    def numbers(self, total: Ringed) -> npt.NDArray[np.float64]:
        """What a sum of `whole` vectors stands for: exact, in steps."""
        return np.ascontiguousarray(total, np.uint32).view(np.int32).astype(np.float64) * self.step


def mask(seed: bytes, count: int) -> Ringed:
    """`count` numbers of the seed's stream, the same on every machine. Raises ValueError for a seed of not 32 bytes."""
    stream = Cipher(ChaCha20(seed, NONCE), mode=None).encryptor()
    return np.frombuffer(stream.update(bytes(4 * count)), "<u4").astype(np.uint32, copy=False)
