"""An ear that hears a known row of words, and sound in which it knows where it is."""

from __future__ import annotations

import numpy as np

from ml.engines.window import Heard, shifted
from ml.types import SAMPLE_RATE, Samples, Word


def row(texts: str | list[str], start: float = 0.0, each: float = 0.5) -> list[Word]:
    """Words one after the other, each as long as the others."""
    return [Word(text, start + i * each, start + (i + 1) * each) for i, text in enumerate(texts)]


class Truth:
    """Hears a known row of words; samples are numbered, so that a window knows where it lies."""

    def __init__(self, words: list[Word], waver: bool = True) -> None:
        self.words, self.waver, self.longest = words, waver, 0.0

    def __call__(self, samples: Samples, before: str, language: str | None) -> Heard:
        start, end = (float(x) * 100 for x in (samples[0], samples[-1]))
        self.longest = max(self.longest, end - start)
        inside = [word for word in self.words if word.start >= start - 0.2 and word.end <= end]
        cut = [word for word in self.words if word.start < end < word.end]
        if self.waver:  # a word that is not over is heard as another, each time
            inside += [Word(f"{word.text}{end:.0f}?", word.start, end) for word in cut]
        return Heard(shifted(inside, -start), language or "en")


def line(seconds: float) -> Samples:
    """Samples that are numbered."""
    return (np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE / 100).astype(np.float32)
