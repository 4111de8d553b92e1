"""Two recordings of the same words laid side by side: dynamic time warping over cepstra.

After H. Sakoe and S. Chiba ("Dynamic programming algorithm optimization for spoken word recognition", 1978), in numpy:
a row of the table at a time, in a band along the diagonal, so that a minute takes about a second and little memory.
Knows neither words nor sounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from ml.types import SAMPLE_RATE, Samples

STEP = 0.01
"""Seconds from one row of cepstra to the next."""
CEPSTRA = 13

_HOP = round(STEP * SAMPLE_RATE)
_WINDOW = 400
_FFT = 512
_BANDS = 26
_LOWEST, _HIGHEST = 80.0, 7600.0
_SILENT = 1e-3
"""Energy in a mel band, of full-scale sound one of some thousands, below which it counts as silent."""
_REACH = 0.25
"""How far the two may be apart from one pace, in parts of the whole."""
_LEAST_REACH, _MOST_REACH = 1.0, 8.0
"""Seconds: bounds of that."""
_DETOUR = 0.5
"""What it costs to move on in one recording alone: people do not stop and start within sounds."""

Features = npt.NDArray[np.float32]
"""`[T, D]`, a row every STEP seconds."""


@dataclass(frozen=True, eq=False)
class Path:
    """Which time of one recording is which of the other: `there[k]` seconds of the second for `k * STEP` of the first.
    `cost` is the mean distance along the way, in parts of what two unlike sounds have: 0 is the same recording."""

    there: npt.NDArray[np.float64]
    cost: float

    def __call__(self, seconds: float) -> float:
        """The time in the second recording of a time in the first."""
        return float(np.interp(seconds, np.arange(len(self.there)) * STEP, self.there))


def features(samples: Samples) -> Features:
    """Loudness and cepstra, and how both change, of 16 kHz samples `[T, 26]`.

    Row k is centred on k * STEP seconds. Each is of mean 0 and of one deviation, which takes off what a voice or a
    microphone adds to all of a recording; the deviation falls with the number of the cepstrum, since the coarse shape
    of a spectrum is the sound and its fine one the voice (found on read English against pocketsphinx's alignment).
    """
    count = len(samples) // _HOP + 1
    padded = np.pad(np.asarray(samples, np.float32), (_WINDOW // 2 + 1, _WINDOW))
    lifted = padded[1:] - np.float32(0.97) * padded[:-1]
    frames = np.lib.stride_tricks.sliding_window_view(lifted, _WINDOW)[::_HOP][:count]
    power = np.abs(np.fft.rfft(frames * np.hamming(_WINDOW), _FFT, axis=1)) ** 2
    bands = np.log(power @ _triangles().T + _SILENT)
    cepstra = bands @ _cosines().T
    slopes = np.stack([np.convolve(np.pad(c, 2, "edge"), [0.2, 0.1, 0.0, -0.1, -0.2], "valid") for c in cepstra.T], 1)
    both = np.concatenate([cepstra, slopes], axis=1)
    return np.asarray((both - both.mean(axis=0)) / (both.std(axis=0) + 1e-3) * _weights(), np.float32)


def lay(first: Features, second: Features) -> Path:
    """The cheapest monotone way from the begin of both to the end of both.

    A step forward in one alone costs half as much as one in both, and _DETOUR more. Raises ValueError where there is
    nothing to lay.
    """
    if not len(first) or not len(second):
        raise ValueError("there is nothing to lay")
    rows, columns = len(first), len(second)
    half = int(np.clip(_REACH * max(rows, columns), _LEAST_REACH / STEP, _MOST_REACH / STEP))
    centres = np.round(np.arange(rows) * (columns - 1) / max(1, rows - 1)).astype(int)
    lows = np.maximum(0, centres - half)
    width = min(columns, 2 * half + 1)
    lows = np.minimum(lows, columns - width)
    second_squares = np.einsum("ij,ij->i", second, second)
    moves = np.empty((rows, width), np.int8)
    past = np.full(columns + 1, np.inf)
    past[0] = 0.0
    for row in range(rows):
        low = int(lows[row])
        part = slice(low, low + width)
        squares = first[row] @ first[row] + second_squares[part] - 2 * second[part] @ first[row]
        distance = np.sqrt(np.maximum(squares, 0.0)).astype(np.float64)
        # past[j + 1] is the cost of the way to (row - 1, j); past[0] of that to the begin of all.
        both = past[low : low + width] + 2 * distance
        above = past[low + 1 : low + width + 1] + distance + _DETOUR
        came = np.minimum(both, above)
        # A run along the row costs the sum of its distances: with sums from the left it is a running minimum.
        sums = np.cumsum(distance + _DETOUR)
        least = np.minimum.accumulate(came - sums)
        cost = least + sums
        moves[row] = np.where(cost < came - 1e-9, 2, np.where(above < both, 1, 0))
        past = np.full(columns + 1, np.inf)
        past[low + 1 : low + width + 1] = cost
    total = past[columns]
    row, column = rows - 1, columns - 1
    firsts, lasts = np.full(rows, columns), np.full(rows, -1)
    while row >= 0 and column >= 0:
        firsts[row], lasts[row] = min(firsts[row], column), max(lasts[row], column)
        move = moves[row, column - int(lows[row])]
        row, column = row - (move != 2), column - (move != 1)
    there = (firsts + lasts) / 2 * STEP
    unlike = np.sqrt(2 * np.sum(_weights() ** 2))
    return Path(there, float(total / (rows + columns) / unlike))


@lru_cache(maxsize=1)
def _weights() -> npt.NDArray[np.float64]:
    """How much each of the features counts `[26]`."""
    return np.tile(1 / np.hypot(1, np.arange(CEPSTRA)), 2)


@lru_cache(maxsize=1)
def _triangles() -> npt.NDArray[np.float64]:
    """Bands `[26, 257]` of equal width on the mel scale (D. O'Shaughnessy, 1987)."""
    lowest, highest = (2595 * np.log10(1 + f / 700) for f in (_LOWEST, _HIGHEST))
    edges = 700 * (10 ** (np.linspace(lowest, highest, _BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(_FFT, 1 / SAMPLE_RATE)
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    return np.maximum(0.0, np.minimum((bins - low) / (middle - low), (high - bins) / (high - middle)))


@lru_cache(maxsize=1)
def _cosines() -> npt.NDArray[np.float64]:
    """The orthonormal cosine transform `[13, 26]`."""
    bands = np.arange(_BANDS) + 0.5
    rows = np.cos(np.pi / _BANDS * np.arange(CEPSTRA)[:, None] * bands) * np.sqrt(2 / _BANDS)
    rows[0] /= np.sqrt(2)
    return np.asarray(rows)
