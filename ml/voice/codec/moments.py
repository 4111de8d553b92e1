"""Second moments of speech: all that a codebook's basis is made of, and all of it that people would exchange.

Moments add up: a group's are the mean of its members', and nobody need see more than the sum. But they are no secret of
statistics: the mean spectrum and its spread describe a voice and a microphone well enough to tell who it is. Knows
nothing of codebooks or peers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ml.audio.logmel import MELS, LogMel
from ml.voice.codec.blocks import BLOCK_SECONDS, FRAMES, REFERENCE, Bands, level, to_bands


@dataclass(frozen=True, eq=False)
class Moments:
    """Means `[8, 80]` and covariances `[8, 80, 80]` of the bands of `seconds` of speech."""

    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]
    seconds: float

    @classmethod
    def of(cls, bands: Bands) -> Self:
        """Of bands `[blocks, 8, 80]`, at least one. In time only the first coefficient has a mean; the others' is 0."""
        if not len(bands):
            raise ValueError("moments need at least one block")
        wide = bands.astype(np.float64)
        mean = np.zeros((FRAMES, MELS))
        mean[0] = wide[:, 0].mean(axis=0)
        wide -= mean
        covariance = np.stack([wide[:, band].T @ wide[:, band] / len(wide) for band in range(FRAMES)])
        return cls(mean, covariance, len(bands) * BLOCK_SECONDS)


def blend(parts: Sequence[tuple[float, Moments]]) -> Moments:
    """Weighted mean of moments, weights of any size. Their means' spread is left out: each speaker has one voice."""
    total = sum(weight for weight, _ in parts)
    if total <= 0 or any(weight < 0 for weight, _ in parts):
        raise ValueError("weights of moments are not negative, and not all 0")
    return Moments(
        np.sum([weight / total * part.mean for weight, part in parts], axis=0),
        np.sum([weight / total * part.covariance for weight, part in parts], axis=0),
        float(sum(part.seconds for weight, part in parts if weight)),
    )


def bands_of(utterances: Sequence[LogMel]) -> Bands:
    """Bands of some utterances of one voice, brought to the reference level together."""
    gain = np.float32(REFERENCE - level(np.concatenate(list(utterances))))
    return np.concatenate([to_bands(mel + gain) for mel in utterances if len(mel)])
