"""The values that travel through the studio: sound, words, translations, speech.

All are immutable. Times are seconds on the time line of the input, frequencies are Hz, confidences
lie in 0..1. This module knows nothing of engines, files or threads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Hz. The one rate inside the studio; files of any other rate are resampled at the door."""

Samples = npt.NDArray[np.float32]
"""Mono samples `[N]`, full scale is +-1."""


@dataclass(frozen=True, eq=False)
class Audio:
    """Mono sound: `samples` is float32 `[N]`, full scale +-1, at `rate` Hz."""

    samples: Samples
    rate: int = SAMPLE_RATE

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.rate

    def cut(self, start: float, end: float) -> Self:
        """The part between two times in seconds, clamped to what is there."""
        first, last = (max(0, round(t * self.rate)) for t in (start, end))
        return replace(self, samples=self.samples[first:last])


@dataclass(frozen=True)
class Word:
    """One word with its place on the time line."""

    text: str
    start: float
    end: float
    confidence: float = 1.0


@dataclass(frozen=True)
class Transcript:
    """What was heard between `start` and `end`; `final` is False while it may still change."""

    text: str
    language: str
    start: float
    end: float
    confidence: float
    engine: str
    words: tuple[Word, ...] = ()
    final: bool = True


@dataclass(frozen=True)
class Translation:
    """A text in another language, with the chain of languages it went through."""

    text: str
    source_text: str
    source: str
    target: str
    engine: str
    route: tuple[str, ...]
    confidence: float = 1.0
    unknown: tuple[str, ...] = ()
    """Words of the source that no dictionary on the route knew; they stand untranslated in `text`."""
    missed: tuple[str, ...] = ()
    """Terms that a glossary asked for and `text` does not have."""


@dataclass(frozen=True)
class Phoneme:
    """One sound of synthetic speech: IPA `symbol` ('' is a pause) from `start` to `end` seconds."""

    symbol: str
    start: float
    end: float


@dataclass(frozen=True, eq=False)
class Speech:
    """Synthetic speech; word and phoneme times count from its own first sample."""

    audio: Audio
    text: str
    language: str
    engine: str
    words: tuple[Word, ...] = ()
    phonemes: tuple[Phoneme, ...] = ()


@dataclass(frozen=True)
class Delivery:
    """How a text is to be spoken. `None` leaves the engine's own default.

    `f0_hz` is the wanted median F0; `f0_spread` the standard deviation of ln F0; `speed` multiplies the
    engine's own normal rate; `voice` is an engine-specific voice or variant name; with `rough` an F0 that is only about
    right will do, if that is quicker.
    """

    f0_hz: float | None = None
    f0_spread: float | None = None
    speed: float = 1.0
    voice: str | None = None
    rough: bool = False
    reference: Audio | None = None
    """Some seconds of the voice to speak in, for engines that clone one (`Capabilities.clones`); others ignore it."""
