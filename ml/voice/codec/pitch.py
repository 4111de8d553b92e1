"""F0 and voicing of a block in three small integers: which pairs of frames are voiced, how high, how steep.

Within 128 ms the logarithm of F0 is near a straight line. Knows nothing of bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.audio.logmel import HOP, HOP_SECONDS
from ml.audio.pitch import HOP_SECONDS as STEP
from ml.audio.pitch import PitchOptions, f0_contour
from ml.types import SAMPLE_RATE, Samples
from ml.voice.codec.blocks import FRAMES

LOWEST, HIGHEST = 60.0, 400.0
PITCHES, SLOPES, PATTERNS = 64, 9, 16
_PAIR = 2
_STEEP = 0.5
"""Natural log over a block at the steepest slope: 0.72 octaves."""
_OPTIONS = PitchOptions(floor=LOWEST, ceiling=HIGHEST)
_SPAN = float(np.log(HIGHEST / LOWEST))
_PLACES = (np.arange(FRAMES) - (FRAMES - 1) / 2) / FRAMES


@dataclass(frozen=True)
class Pitch:
    """`pattern` has a bit for each pair of frames, the first the lowest; without voice the others are 0 and unsent."""

    pattern: int
    height: int = 0
    slope: int = SLOPES // 2


def f0_of_frames(samples: Samples, first: int, frames: int) -> Samples:
    """F0 `[frames]` in Hz, 0 where unvoiced, of frames of 256 samples that begin at sample `first` of `samples`.

    Give 32 ms and more around them: what is missing weakens the first and last values."""
    contour = f0_contour(samples, _OPTIONS)
    if not len(contour):
        return np.zeros(frames, np.float32)
    times = (first + HOP / 2) / SAMPLE_RATE + np.arange(frames) * HOP_SECONDS
    return contour[np.clip(np.round(times / STEP - 0.5).astype(np.intp), 0, len(contour) - 1)]


def to_pitch(f0: Samples) -> Pitch:
    """The three integers of `f0` `[8]` in Hz."""
    voiced = f0 > 0
    pairs = np.asarray(voiced).reshape(-1, _PAIR).any(axis=1)
    if not pairs.any():
        return Pitch(0)
    height = np.log(np.clip(f0[voiced], LOWEST, HIGHEST) / LOWEST)
    middle, slope = float(np.median(height)), 0.0
    if voiced.sum() >= 4:
        slope, middle = (float(one) for one in np.polyfit(_PLACES[voiced], height, 1))
        slope = float(np.clip(slope, -_STEEP, _STEEP))
        middle = float(np.mean(height - slope * _PLACES[voiced]))
    return Pitch(
        int(pairs @ (1 << np.arange(FRAMES // _PAIR))),
        int(np.clip(round(middle / _SPAN * (PITCHES - 1)), 0, PITCHES - 1)),
        round((slope / _STEEP + 1) * (SLOPES - 1) / 2),
    )


def from_pitch(pitch: Pitch) -> Samples:
    """F0 `[8]` in Hz, 0 where unvoiced."""
    voiced = np.repeat((pitch.pattern >> np.arange(FRAMES // _PAIR)) & 1, _PAIR)
    slope = (2 * pitch.slope / (SLOPES - 1) - 1) * _STEEP
    height = pitch.height / (PITCHES - 1) * _SPAN + slope * _PLACES
    return (voiced * np.clip(LOWEST * np.exp(height), LOWEST / 2, HIGHEST * 2)).astype(np.float32)
