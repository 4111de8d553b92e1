"""The envelope filter, and the interface that every way of changing a voice shares.

A converter is built once for a pair of voices, keeps the length of what it is given and has no state between calls.
Which map it uses, and for whom, is decided by `ml.voice.match`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ml.types import Samples
from ml.voice.cepstra import Array, Mask, analyse, filtered, smoothed
from ml.voice.envelope import Envelopes

EnvelopeMap = Callable[[Array], Array]
"""From frames counted in spreads from the source's mean, `[T, 26]`, to frames of the speaker, `[T, 26]`."""


class Converter(Protocol):
    """Changes the voice of 16 kHz samples `[N]`; the result has the same length. Safe to call from several threads."""

    def __call__(self, samples: Samples) -> Samples:
        """The same words in the other voice."""
        ...


class EnvelopeShift:
    """What is to be added to the envelopes of one voice to make them those of another."""

    def __init__(self, source: Envelopes, voiced: EnvelopeMap, unvoiced: EnvelopeMap) -> None:
        """`source` describes the voice that will come in; the maps carry its frames to the speaker's."""
        self._source, self._voiced, self._unvoiced = source, voiced, unvoiced

    def __call__(self, cepstra: Array, voiced: Mask) -> Array:
        """Differences `[T, 26]` for envelopes `[T, 26]`; loudness, the first of them, is left alone."""
        moved = cepstra.copy()
        for cloud, carry, chosen in (
            (self._source.voiced, self._voiced, voiced),
            (self._source.unvoiced, self._unvoiced, ~voiced),
        ):
            if chosen.any():
                moved[chosen] = carry(cloud.standard(cepstra[chosen]))
        change = moved - cepstra
        change[:, 0] = 0.0
        return smoothed(change)


class EnvelopeFilter:
    """Moves spectral envelopes with a filter that changes over time; F0 and timing stay."""

    def __init__(self, shift: EnvelopeShift) -> None:
        """`shift` was fitted to envelopes as `ml.voice.cepstra.analyse` gives them."""
        self._shift = shift

    def __call__(self, samples: Samples) -> Samples:
        """About 2 ms per second of sound."""
        frames = analyse(samples)
        return filtered(frames, self._shift(frames.cepstra, frames.voiced), len(samples))
