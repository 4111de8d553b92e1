"""How loud a live speaker is, from 0 to 1, as the sound comes: what `speaking.loudness` tells of a whole recording.

Measured between the quietest and the loudest of the last half minute, so that no level need be set. Knows no pictures.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from ml.types import SAMPLE_RATE, Samples

_HOP = SAMPLE_RATE // 50
_AROUND = 4
"""Hops of 20 ms over which it is loud or not."""
_REMEMBERED = 1500
_LISTENING = 10.0
"""dB from the quietest to the loudest below which the level says nothing."""
_OFTEN = 10
"""Hops after which quietest and loudest are found anew."""


class Loud:
    """Hears one sound at 16 kHz, piece by piece."""

    def __init__(self) -> None:
        """Nothing is heard."""
        self._left = np.zeros(0, np.float32)
        self._powers: deque[float] = deque(maxlen=_AROUND)
        self._levels: deque[float] = deque(maxlen=_REMEMBERED)
        self._bounds = (0.0, 0.0)
        self._count = 0

    def hear(self, samples: Samples) -> float:
        """The next samples `[N]`; how loud it is at their end, 0..1; 1 as long as the level says nothing."""
        sound = np.concatenate([self._left, np.asarray(samples, np.float32)])
        hops = len(sound) // _HOP
        powers = np.mean(sound[: hops * _HOP].reshape(hops, _HOP).astype(np.float64) ** 2, axis=1) if hops else ()
        self._left = sound[hops * _HOP :]
        for power in powers:
            self._powers.append(float(power))
            self._levels.append(10 * float(np.log10(sum(self._powers) / len(self._powers) + 1e-9)))
            self._count += 1
            if self._count % _OFTEN == 1:
                low, high = np.percentile(self._levels, [10, 95])
                self._bounds = float(low), float(high)
        low, high = self._bounds
        if not self._levels or high - low < _LISTENING:
            return 1.0
        return float(np.clip((self._levels[-1] - low) / (high - low), 0, 1))
