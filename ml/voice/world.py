"""The WORLD vocoder as a second body of the converter: an optional extra, slower and not better than the filter.

WORLD takes speech apart into F0, envelope and aperiodicity and builds it anew (M. Morise, F. Yokomori, K. Ozawa, 2016).
It is kept to compare with: the filter never touches the waveform's own excitation and so cannot spoil it.

This module knows nothing of profiles. `pyworld` is imported when a converter is built.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.errors import Unavailable
from ml.types import SAMPLE_RATE, Samples
from ml.voice.cepstra import FFT, Array, Mask, cepstra, log_gain
from ml.voice.converter import EnvelopeShift

Doubles = npt.NDArray[np.float64]

_PERIOD_MS = 5.0
_LIMIT_DB = 30.0
_FLOOR, _CEILING = 70.0, 420.0
_ENVELOPE_FLOOR = 96.0  # Hz: what CheapTrick's window at this FFT size allows


@dataclass(frozen=True, eq=False)
class WorldFrames:
    """Speech taken apart every 5 ms: `f0` `[T]` in Hz, 0 where unvoiced, `power` and `aperiodicity` `[T, 257]`."""

    f0: Doubles
    power: Doubles
    aperiodicity: Doubles

    @property
    def cepstra(self) -> Array:
        """Mel cepstra `[T, 26]` of the envelopes."""
        return cepstra(self.power)

    @property
    def voiced(self) -> Mask:
        """Which frames have a pitch."""
        return self.active & (self.f0 > 0)

    @property
    def active(self) -> Mask:
        """Which frames are not silent."""
        level = self.power.mean(axis=1)
        return np.asarray(level > level.max() * 1e-4)


class World:
    """The vocoder."""

    def __init__(self) -> None:
        """Raises Unavailable when pyworld is not installed."""
        try:
            import pyworld
        except ImportError as error:
            raise Unavailable("The WORLD vocoder is not installed.", "pip install 'babelmesh[world]'") from error
        self._world: Any = pyworld

    def take_apart(self, samples: Samples) -> WorldFrames:
        """Frames of samples `[N]`."""
        sound = np.ascontiguousarray(samples, dtype=np.float64)
        f0, times = self._world.dio(sound, SAMPLE_RATE, f0_floor=_FLOOR, f0_ceil=_CEILING, frame_period=_PERIOD_MS)
        f0 = self._world.stonemask(sound, f0, times, SAMPLE_RATE)
        power = self._world.cheaptrick(sound, f0, times, SAMPLE_RATE, fft_size=FFT, f0_floor=_ENVELOPE_FLOOR)
        return WorldFrames(f0, power, self._world.d4c(sound, f0, times, SAMPLE_RATE, fft_size=FFT))

    def build(self, frames: WorldFrames, length: int) -> Samples:
        """Samples `[length]` of frames."""
        power = np.ascontiguousarray(frames.power)
        built = self._world.synthesize(frames.f0, power, frames.aperiodicity, SAMPLE_RATE, _PERIOD_MS)[:length]
        return np.pad(built, (0, length - len(built))).astype(np.float32)


class WorldConverter:
    """Takes speech apart, moves its envelopes and builds it anew."""

    def __init__(self, world: World, shift: EnvelopeShift) -> None:
        """`shift` was fitted to envelopes as `World.take_apart` gives them."""
        self._world, self._shift = world, shift

    def __call__(self, samples: Samples) -> Samples:
        """About 50 ms per second of sound."""
        frames = self._world.take_apart(samples)
        power = frames.power * np.exp(2.0 * log_gain(self._shift(frames.cepstra, frames.voiced), _LIMIT_DB))
        power *= (frames.power.sum(axis=1) / np.maximum(power.sum(axis=1), 1e-20))[:, None]
        return self._world.build(replace(frames, power=power), len(samples))
