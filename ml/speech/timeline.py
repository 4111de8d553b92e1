"""Lays the dubs on the time line and mixes them with what was there.

Everything happens in one pass with bounded memory: dubs come in order of time, the original (when it is kept) is read
alongside. Knows no engine; where the result goes is the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ml.speech.items import Utterance
from ml.types import SAMPLE_RATE, Samples

DUCK_DB = -18.0
"""How far the original goes down while a dub or its own speech sounds."""


class Overlap(AssertionError):
    """Two dubs would sound at once: a defect of the fit, never of the input."""


class Timeline:
    """Turns dubs in order into consecutive samples `[N]` at 16 kHz."""

    def __init__(self, background: Iterator[Samples] | None = None) -> None:
        """`background` yields the original's samples from time 0 on; without it the gaps are silent."""
        self._background = background
        self._left = np.zeros(0, np.float32)
        self._position = 0
        self._gain = 1.0

    @property
    def seconds(self) -> float:
        """How far the time line is written."""
        return self._position / SAMPLE_RATE

    def place(self, utterance: Utterance) -> Iterator[Samples]:
        """The samples from where the time line stood to the end of this utterance and its dub."""
        start = round(utterance.start * SAMPLE_RATE)
        if start < self._position:
            raise Overlap(f"utterance {utterance.index} begins at {start}, the time line stands at {self._position}")
        yield from self._until(start, None)
        dub = utterance.dub.audio.samples if utterance.dub is not None else np.zeros(0, np.float32)
        if utterance.dub is None:
            return
        end = max(start + len(dub), round(utterance.end * SAMPLE_RATE)) if self._background else start + len(dub)
        limit = max(round(utterance.room * SAMPLE_RATE), start + len(dub))
        yield from self._until(min(end, limit), dub)

    def finish(self, seconds: float) -> Iterator[Samples]:
        """The rest up to the end of the input."""
        yield from self._until(round(seconds * SAMPLE_RATE), None)

    def _until(self, end: int, dub: Samples | None) -> Iterator[Samples]:
        """Samples up to position `end`, in blocks of at most a second."""
        offset = 0
        while self._position < end:
            n = min(end - self._position, SAMPLE_RATE)
            block = self._under(n, ducked=dub is not None)
            if dub is not None:
                part = dub[offset : offset + n]
                block[: len(part)] += part
            offset += n
            self._position += n
            yield block

    def _under(self, n: int, *, ducked: bool) -> Samples:
        """The next `n` samples of the original at the level wanted, or silence."""
        if self._background is None:
            return np.zeros(n, np.float32)
        while len(self._left) < n:
            block = next(self._background, None)
            if block is None:
                self._left = np.concatenate([self._left, np.zeros(n - len(self._left), np.float32)])
                break
            self._left = np.concatenate([self._left, block])
        block, self._left = self._left[:n].copy(), self._left[n:]
        goal = 10 ** (DUCK_DB / 20) if ducked else 1.0
        ramp = np.full(n, goal, np.float32)
        slope = min(n, round(0.05 * SAMPLE_RATE))
        ramp[:slope] = np.linspace(self._gain, goal, slope, dtype=np.float32)
        self._gain = goal
        return np.asarray(block * ramp, np.float32)
