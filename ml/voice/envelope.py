"""What the spectral envelopes of one voice are like: a cloud of voiced frames and a cloud of unvoiced ones.

A cloud keeps mean and spread exactly and a bounded number of single frames. The frames are kept sorted by value, not
by time: which sounds a voice made can be seen in them, in which order it made them cannot.

This module knows nothing of who speaks, of files or of engines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from ml.types import SAMPLE_RATE, Samples
from ml.voice.cepstra import ORDER, Array, Mask, analyse

MOST_FRAMES = 600
"""Frames that a cloud keeps. More than 500 did not bring a voice nearer to its speaker."""

FEWEST_FRAMES = 30
"""Frames without which a kind of sound is described by all active frames instead."""

_LEAST_SPREAD = 1e-3
_NONE = np.zeros((0, ORDER), np.float32)


class Described(Protocol):
    """Frames of speech: their mel cepstra `[T, 26]`, and which are voiced and which are not silent `[T]`."""

    @property
    def cepstra(self) -> Array:
        """Mel cepstra `[T, 26]`."""
        ...

    @property
    def voiced(self) -> Mask:
        """Which frames have a pitch."""
        ...

    @property
    def active(self) -> Mask:
        """Which frames are not silent."""
        ...


Describe = Callable[[Samples], Described]
"""Cuts samples `[N]` into at least one frame."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """Mel cepstra of one kind of sound: `mean` and `spread` (standard deviation) `[26]`, some of them, `[M, 26]`."""

    mean: Array
    spread: Array
    frames: Array

    @classmethod
    def of(cls, frames: Array) -> Self:
        """Describe frames `[T, 26]`, at least one of them."""
        kept = frames[np.linspace(0, len(frames) - 1, min(MOST_FRAMES, len(frames))).astype(int)]
        kept = kept[np.lexsort(kept.T)]
        return cls(frames.mean(axis=0), np.maximum(frames.std(axis=0), _LEAST_SPREAD), kept.astype(np.float32))

    def standard(self, frames: Array) -> Array:
        """Frames `[T, 26]` counted in spreads from the mean, none further than 3.5."""
        scores: Array = np.clip((frames - self.mean) / self.spread, -3.5, 3.5)
        return scores

    def restore(self, scores: Array) -> Array:
        """Frames `[T, 26]` that stand as far from this cloud's mean as `scores` say."""
        frames: Array = scores * self.spread + self.mean
        return frames


@dataclass(frozen=True, eq=False)
class Envelopes:
    """The two clouds of a voice, the seconds of voiced sound behind them, and its level (RMS) while it sounds."""

    voiced: Cloud
    unvoiced: Cloud
    voiced_seconds: float
    level: float

    @classmethod
    def of(cls, sounds: Sequence[Samples], describe: Describe = analyse) -> Self | None:
        """Describe speech at 16 kHz, piece by piece `[N]`; None when nothing in it is voiced."""
        voiced: list[Array] = [_NONE]
        unvoiced: list[Array] = [_NONE]
        energy, active, seconds = 0.0, 0.0, 0.0
        for sound in sounds:
            frames = describe(sound)
            each = len(sound) / SAMPLE_RATE / len(frames.voiced)
            voiced.append(frames.cepstra[frames.voiced])
            unvoiced.append(frames.cepstra[frames.active & ~frames.voiced])
            energy += float(np.dot(sound, sound)) / SAMPLE_RATE  # what is not active hardly adds to it
            active += each * int(frames.active.sum())
            seconds += each * int(frames.voiced.sum())
        tonal, rest = np.concatenate(voiced), np.concatenate(unvoiced)
        if not len(tonal):
            return None
        both = np.concatenate([tonal, rest])
        return cls(
            Cloud.of(tonal if len(tonal) >= FEWEST_FRAMES else both),
            Cloud.of(rest if len(rest) >= FEWEST_FRAMES else both),
            seconds,
            float(np.sqrt(energy / active)),
        )
