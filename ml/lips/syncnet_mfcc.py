"""Mel-frequency cepstra as SyncNet was trained on them: those of the package python_speech_features 0.6 as it comes.
numpy only.

16 kHz samples as 16-bit numbers; y[n] = x[n] - 0.97 x[n-1]; frames of 400 samples every 160 under no window, the last
one filled with zeros; power |FFT|^2 / 512; 26 triangles from 0 to 8000 Hz between whole bins; logarithm; orthonormal
cosine transform; the first 13, lifted by 1 + 11 sin(pi n / 22), the first of them replaced by the logarithm of the
power. Knows no picture and no network.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from ml.types import SAMPLE_RATE, Samples

RATE = 100
"""Columns a second."""
CEPSTRA = 13
_FRAME, _HOP, _FFT = 400, SAMPLE_RATE // RATE, 512
_FILTERS, _LIFTER = 26, 22
_PREEMPHASIS = 0.97
_FULL_SCALE = 32768
_BATCH = 2048

Cepstra = npt.NDArray[np.float32]
"""Mel-frequency cepstra `[T, 13]`, time first."""


def mfcc(samples: Samples) -> Cepstra:
    """Cepstra `[1 + ceil((N - 400) / 160), 13]` of 16 kHz samples `[N]`; one of fewer than 400, none of none."""
    if not len(samples):
        return np.empty((0, CEPSTRA), np.float32)
    sound = np.clip(np.round(np.asarray(samples, np.float64) * _FULL_SCALE), -_FULL_SCALE, _FULL_SCALE - 1)
    sharp = np.append(sound[:1], sound[1:] - _PREEMPHASIS * sound[:-1])
    count = 1 + max(0, -(-(len(sharp) - _FRAME) // _HOP))
    padded = np.pad(sharp, (0, max(0, (count - 1) * _HOP + _FRAME - len(sharp))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP][:count]
    least = np.finfo(float).eps
    found = np.empty((count, CEPSTRA), np.float32)
    for first in range(0, count, _BATCH):
        power = np.abs(np.fft.rfft(frames[first : first + _BATCH], _FFT, axis=1)) ** 2 / _FFT
        whole, bands = power.sum(axis=1), power @ _filters().T
        cepstra = np.log(np.where(bands == 0, least, bands)) @ _cosines().T
        cepstra[:, 0] = np.log(np.where(whole == 0, least, whole))
        found[first : first + _BATCH] = cepstra
    return found


@cache
def _filters() -> npt.NDArray[np.float64]:
    """Triangles `[26, 257]` with their corners on whole bins."""
    mel = np.linspace(0, 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700), _FILTERS + 2)
    corners = np.floor((_FFT + 1) * 700 * (10 ** (mel / 2595) - 1) / SAMPLE_RATE)
    bins = np.arange(_FFT // 2 + 1)
    low, centre, high = corners[:-2, None], corners[1:-1, None], corners[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.where((bins >= low) & (bins < centre), rising, np.where((bins >= centre) & (bins < high), falling, 0.0))


@cache
def _cosines() -> npt.NDArray[np.float64]:
    """The orthonormal cosine transform of type 2 `[13, 26]`, lifted."""
    n, k = np.arange(CEPSTRA)[:, None], np.arange(_FILTERS)[None]
    scale = np.where(n == 0, np.sqrt(1 / _FILTERS), np.sqrt(2 / _FILTERS))
    lifted = 1 + _LIFTER / 2 * np.sin(np.pi * n / _LIFTER)
    return np.asarray(lifted * scale * np.cos(np.pi * n * (2 * k + 1) / (2 * _FILTERS)))
