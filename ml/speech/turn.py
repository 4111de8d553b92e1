"""When has a live speaker finished? Judges every 10 ms of an open utterance.

Two ways of taking a turn. `FastTurn` commits a clause after about 100 ms of quiet, provided that the recogniser, too,
hears a pause and not the closure inside a word. `SafeTurn` waits for about 300 ms without voice by the WebRTC detector,
which takes breath and room sound for speech and so bridges most pauses inside a sentence; short utterances wait longer.
Both say MAYBE first, so that the answer can be prepared while the silence is still being confirmed. Knows no engine.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

from ml.types import SAMPLE_RATE, Samples

STEP = 160
"""Samples of one step."""
STEP_SECONDS = STEP / SAMPLE_RATE


class Verdict(Enum):
    """What a turn says after a step."""

    GOING_ON = "going on"
    MAYBE = "maybe"
    OVER = "over"


class Turn(Protocol):
    """Judges one utterance after another; not thread-safe."""

    def begin(self) -> None:
        """An utterance opens."""
        ...

    def step(self, samples: Samples, spoken: float, pause: Callable[[], float]) -> Verdict:
        """Judge after the next `STEP` samples, whether or not an utterance is open.

        `spoken` is how long it has lasted, in seconds; `pause()` how long the recogniser has heard no word in it.
        """
        ...


class Level:
    """Is it quiet? Measured against the speaker's own level and the room's, both followed as they change.

    Quiet is 30 dB below the loudest recent speech (forgotten at 2 dB/s), or within 6 dB of the floor (the lowest level,
    rising at 3 dB/s, after the idea of minimum statistics, Martin 2001) where the room is louder than that.
    """

    def __init__(self) -> None:
        """Nothing heard."""
        self._peak = -50.0
        self._floor = -90.0
        self.quiet_for = 0.0

    def step(self, samples: Samples) -> None:
        """Hear `STEP` samples."""
        level = 10 * math.log10(float(np.mean(np.square(samples, dtype=np.float64))) + 1e-10)
        self._peak = max(level, self._peak - 2 * STEP_SECONDS, -50.0)
        self._floor = min(level, self._floor + 3 * STEP_SECONDS)
        bound = min(max(self._peak - 30, self._floor + 6), self._peak - 12)
        self.quiet_for = self.quiet_for + STEP_SECONDS if level < bound else 0.0


@dataclass(frozen=True)
class FastOptions:
    """Seconds of quiet. `sure` ends the clause whatever the recogniser hears; `rearm` of sound begins another one."""

    maybe: float = 0.05
    over: float = 0.10
    pause: float = 0.02
    sure: float = 0.20
    voiceless: float = 0.16


class FastTurn:
    """Commits clauses as early as can be told from a stop consonant."""

    def __init__(self, is_voice: Callable[[bytes], bool], options: FastOptions | None = None) -> None:
        """`is_voice` judges 10 ms of 16-bit samples (WebRTC, its strictest mode)."""
        self._is_voice, self._options = is_voice, options or FastOptions()
        self._level = Level()
        self._voiceless = 0.0

    def begin(self) -> None:
        """An utterance opens."""
        self._voiceless = 0.0

    def step(self, samples: Samples, spoken: float, pause: Callable[[], float]) -> Verdict:
        """Judge after the next 10 ms."""
        options, level = self._options, self._level
        level.step(samples)
        voice = self._is_voice(to_pcm(samples))
        self._voiceless = 0.0 if voice else self._voiceless + STEP_SECONDS
        quiet = level.quiet_for + 1e-6
        if quiet >= options.sure or self._voiceless >= options.voiceless - 1e-6:
            return Verdict.OVER
        if quiet >= options.over and pause() >= options.pause:
            return Verdict.OVER
        return Verdict.MAYBE if quiet >= options.maybe else Verdict.GOING_ON


@dataclass(frozen=True)
class SafeOptions:
    """`short` seconds of speech or less end by the patient detector; `maybe` seconds of quiet prepare the answer."""

    short: float = 2.0
    maybe: float = 0.20


class Detector(Protocol):
    """Says whether speech goes on, after the next samples; remembers."""

    def in_speech(self, samples: Samples) -> bool:
        """Hear any number of samples."""
        ...


class SafeTurn:
    """Commits whole sentences as far as silence can tell."""

    def __init__(self, quick: Detector, patient: Detector, options: SafeOptions | None = None) -> None:
        """Both detectors hear everything; `patient` waits longer than `quick`."""
        self._quick, self._patient, self._options = quick, patient, options or SafeOptions()
        self._level = Level()
        self._was = (False, False)
        self._ended = [False, False]

    def begin(self) -> None:
        """An utterance opens."""
        self._ended = [False, False]

    def step(self, samples: Samples, spoken: float, pause: Callable[[], float]) -> Verdict:
        """Judge after the next 10 ms."""
        self._level.step(samples)
        now = (self._quick.in_speech(samples), self._patient.in_speech(samples))
        for which in (0, 1):
            if self._was[which] and not now[which]:
                self._ended[which] = True
            elif now[which]:
                self._ended[which] = False
        self._was = now
        if self._ended[1] or (self._ended[0] and spoken > self._options.short):
            return Verdict.OVER
        return Verdict.MAYBE if self._level.quiet_for + 1e-6 >= self._options.maybe else Verdict.GOING_ON


def to_pcm(samples: Samples) -> bytes:
    """16-bit little-endian samples."""
    return (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
