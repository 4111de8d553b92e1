"""Blocks of eight frames as coefficients: a soft floor, a cosine transform in time, a basis over the mel bands.

The floor hides what is far below speech, so that no bits go to the noise of a quiet room. Knows nothing of bits.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ml.audio.logmel import FLOOR, HOP, HOP_SECONDS, MELS, LogMel

FRAMES = 8
"""Frames of a block, 128 ms."""
BLOCK = FRAMES * HOP
"""Samples of a block."""
BLOCK_SECONDS = FRAMES * HOP_SECONDS

SOFT_FLOOR = -7.0
"""Natural log amplitude, about 25 dB below the bands of speech at the reference level."""
REMAINDER = 0.2
"""Share of the floor that is left when it is taken away again: what below it is most likely."""
REFERENCE = -0.8
"""Level of speech that codebooks are made for: `level` of read English at -26 dB."""
CEILING = 5.0
"""No log-mel value of sound within full scale comes near it."""
_AUDIBLE = 3.5
"""Frames within 30 dB (in natural log) of the loudest count as speech."""

Bands = npt.NDArray[np.float32]
"""`[blocks, 8, 80]`: coefficient of the cosine transform, then mel band."""


def floored(mel: LogMel) -> LogMel:
    """Log-mel values with the floor added to their amplitudes: all that codec and listener compare."""
    return np.logaddexp(mel, np.float32(SOFT_FLOOR)).astype(np.float32, copy=False)


def unfloored(mel: LogMel) -> LogMel:
    """What `floored` most likely came from, within the range of log-mel values; infinite values become its ends."""
    least = np.float32(np.log(FLOOR))
    finite = np.clip(np.nan_to_num(mel, nan=SOFT_FLOOR), SOFT_FLOOR, CEILING)
    amplitude = np.exp(finite) - np.float32((1 - REMAINDER) * np.exp(SOFT_FLOOR))
    return np.maximum(np.log(amplitude), least).astype(np.float32, copy=False)


def to_bands(mel: LogMel) -> Bands:
    """Whole blocks of `[T, 80]`; the last frame is repeated until the last block is full."""
    missing = -len(mel) % FRAMES
    if missing:
        mel = np.concatenate([mel, np.repeat(mel[-1:], missing, axis=0)])
    return np.asarray(np.matmul(cosines(), floored(mel).reshape(-1, FRAMES, MELS)), np.float32)


def from_bands(bands: Bands) -> LogMel:
    """Frames `[blocks * 8, 80]`, the floor taken away."""
    return unfloored(np.matmul(cosines().T, bands).reshape(-1, MELS))


def level(mel: LogMel) -> float:
    """How loud the speech in `[T, 80]` is: mean natural-log energy of the frames within 30 dB of the loudest."""
    if not len(mel):
        return REFERENCE
    loudest = mel.max(axis=1)
    energy = loudest + 0.5 * np.log(np.exp(2 * (mel - loudest[:, None])).sum(axis=1))
    return float(energy[energy > energy.max() - _AUDIBLE].mean())


@cache
def cosines() -> npt.NDArray[np.float32]:
    """The orthonormal DCT-II over 8 frames `[8, 8]`."""
    order, time = np.arange(FRAMES)[:, None], np.arange(FRAMES)[None]
    matrix = np.cos(np.pi * (time + 0.5) * order / FRAMES) * np.sqrt(2 / FRAMES)
    matrix[0] /= np.sqrt(2)
    return np.asarray(matrix, np.float32)
