"""Frames and pitch into sound, of any length in bounded memory. Knows nothing of packets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ml.audio.griffinlim import InversionOptions, pitched_griffin_lim
from ml.types import Samples
from ml.voice.codec.stream import Frames

PIECE = 625
"""Frames turned into sound at a time, 10 s at most."""


def sound_of(frames: Frames, options: InversionOptions | None = None) -> Iterator[Samples]:
    """Samples, a piece at a time, 256 for each frame. Pieces meet where it is quietest in their second half."""
    first = 0
    while first < len(frames.mel):
        last = min(first + PIECE, len(frames.mel))
        if last < len(frames.mel):
            half = first + PIECE // 2
            last = half + int(np.argmin(frames.mel[half:last].mean(axis=1))) + 1
        yield pitched_griffin_lim(frames.mel[first:last], frames.f0[first:last], options).samples
        first = last
