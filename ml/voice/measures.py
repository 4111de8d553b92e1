"""How near a reconstructed log-mel spectrum is to the spoken one: three measures, and the score of a model.

Mean squared error is what training minimises, in squared natural-log units over all bands and frames. The log-mel RMSE
is its root in decibels: 20 / ln 10 = 8.686 dB to one unit of natural log amplitude. The mel-cepstral distortion is
Kubichek's (1993, "Mel-cepstral distance measure for objective speech quality assessment"). numpy only; knows nothing
of training, files or peers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import msgspec
import numpy as np

from ml.audio.logmel import MELS, LogMel
from ml.voice.autoencoder import Autoencoder
from ml.weights import Tensor, Weights

DB = 20 / np.log(10)
"""Decibels to one natural-log unit of amplitude."""

COEFFICIENTS = 24
"""Mel cepstra that the distortion compares, from the first on; c0, the level, is left out."""


class Score(msgspec.Struct, frozen=True):
    """How well a model reconstructs some speech. `mse` per value in natural log squared, `rmse_db` and `mcd` in dB."""

    mse: float
    rmse_db: float
    mcd: float
    frames: int


def mse(one: LogMel, other: LogMel) -> float:
    """Mean squared difference over all values of two spectra `[T, 80]`; 0 when there are no frames."""
    return float(np.mean(np.square(one - other), dtype=np.float64)) if one.size else 0.0


def rmse_db(squared: float) -> float:
    """A mean squared error in natural-log units as root mean square in dB."""
    return float(DB * np.sqrt(squared))


def mcd(one: LogMel, other: LogMel) -> float:
    """Mel-cepstral distortion in dB, mean over frames: 10 / ln 10 * sqrt(2 * sum over d = 1..24 of (c_d - c'_d)^2).

    The mel cepstra of a frame are the c of `m_f = c_0 + sum over d of c_d cos(pi d (f + 1/2) / 80)`, m the natural log
    amplitude in 80 mel bands: `c_d = 2/80 * sum over f of m_f cos(...)`, as the cepstra of a filter |H| = exp(sum of
    c_d cos d w) are. With that scale the distortion is the RMS difference in dB of the two envelopes that 24 cosines
    can describe, so it is never more than the frame's log-mel RMSE. Both spectra have one time line: no alignment.
    """
    if not one.size:
        return 0.0
    difference = 2 * (one - other) @ _cosines().T / MELS
    distances = np.sqrt(2 * np.square(difference).sum(axis=1, dtype=np.float64))
    return float(10 / np.log(10) * distances.mean())


def score(autoencoder: Autoencoder, weights: Weights, utterances: Sequence[LogMel]) -> Score:
    """How well these weights reconstruct some utterances `[T, 80]`, each frame counted alike.

    Utterances without frames count nothing; without any frame all errors are 0.
    """
    frames, squared, distortion = 0, 0.0, 0.0
    for spoken in utterances:
        rebuilt = autoencoder.reconstruct(weights, spoken)
        frames += len(spoken)
        squared += mse(rebuilt, spoken) * len(spoken)
        distortion += mcd(rebuilt, spoken) * len(spoken)
    mean = squared / max(frames, 1)
    return Score(mean, rmse_db(mean), distortion / max(frames, 1), frames)


@cache
def _cosines() -> Tensor:
    """`[24, 80]`: the rows of a cosine transform (DCT-II) without scale."""
    order, band = np.arange(1, COEFFICIENTS + 1)[:, None], np.arange(MELS)[None, :]
    return np.cos(np.pi * order * (band + 0.5) / MELS).astype(np.float32)
