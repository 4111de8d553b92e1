"""Time-scale modification: speech made quicker or slower without a change of pitch.

Waveform-similarity overlap-add (WSOLA, Verhelst and Roelands 1993): frames are taken from the input at the wanted pace,
each moved by up to 10 ms to where it best continues the frame before, and added up. It works on the waveform alone, so
voice and consonants keep their sound for the small changes it is meant for. Used only where a voice cannot be asked to
speak at another rate. Knows nothing of words or slots.
"""

from __future__ import annotations

import numpy as np

from ml.types import SAMPLE_RATE, Samples

SLOWEST, QUICKEST = 0.5, 2.0
"""The range of `speed` that is accepted; between 0.8 and 1.25 the result sounds untouched."""

_FRAME = 512
_HOP = _FRAME // 2
_REACH = SAMPLE_RATE // 100
"""Samples a frame may be moved to either side: more than half a period of the lowest voice, 60 Hz."""


def stretch(samples: Samples, speed: float) -> Samples:
    """16 kHz samples `[round(N / speed)]` that say the same, `speed` times as fast. Raises ValueError out of 0.5..2."""
    if not SLOWEST <= speed <= QUICKEST:
        raise ValueError(f"speed must lie between {SLOWEST} and {QUICKEST}, not {speed}")
    samples = np.asarray(samples, np.float32)
    length = round(len(samples) / speed)
    if length == len(samples):
        return samples.copy()
    count = -(-length // _HOP) + 1
    behind = int(count * _HOP * speed) + 2 * _FRAME + 2 * _REACH
    padded = np.concatenate([np.zeros(_REACH + _HOP, np.float32), samples, np.zeros(behind - len(samples), np.float32)])
    power = np.concatenate([[0.0], np.cumsum(padded.astype(np.float64) ** 2)])
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FRAME) / _FRAME)).astype(np.float32)
    out = np.zeros((count + 1) * _HOP, np.float32)
    place = _REACH
    for index in range(count):
        if index:
            wanted = _REACH + round(index * _HOP * speed)
            place = wanted - _REACH + _most_alike(padded, power, wanted - _REACH, place + _HOP)
        out[index * _HOP : index * _HOP + _FRAME] += window * padded[place : place + _FRAME]
    return out[_HOP : _HOP + length]


def _most_alike(padded: Samples, power: np.ndarray, first: int, continuation: int) -> int:
    """How far behind `first`, 0 to 2 reaches, the frame begins that is most like the one at `continuation`.

    Likeness is the correlation divided by the norm of the candidate; of equals the one nearest to the middle wins.
    """
    template = padded[continuation : continuation + _FRAME]
    region = padded[first : first + 2 * _REACH + _FRAME]
    ends = power[first + _FRAME : first + _FRAME + 2 * _REACH + 1]
    energy = ends - power[first : first + 2 * _REACH + 1]
    likeness = np.correlate(region, template, "valid") / np.sqrt(np.maximum(energy, 1e-9))
    best = likeness.max()
    alike = np.flatnonzero(likeness >= best - 1e-6 * abs(best))
    return int(alike[np.abs(alike - _REACH).argmin()])
