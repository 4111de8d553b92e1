"""Coarticulation: shapes of the lips in time, blended by how strongly each sound rules its neighbourhood.

After M. Cohen and D. Massaro ("Modeling coarticulation in synthetic visual speech", 1993): each sound has a dominance
that falls to both sides of it, and the lips stand at the mean of all targets weighed by dominance, the jaw and the rest
of the lips apart. Two things are not left to the mean: lips that must shut (p, b, m) or tuck (f, v) do so, for long
enough to be seen in a picture; and nothing reaches further than REACH, so that what is far enough in the past can no
longer change. Knows no phonemes, no text and no sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.lips.types import OPEN, PRESS, ROUND, WIDE
from ml.lips.visemes import Viseme

RATE = 100.0
"""Hz of the curves."""
REACH = 0.25
"""Seconds on either side of a sound beyond which it has no influence at all."""
HELD = 0.055
"""Seconds that lips stay shut or tucked at the least: more than a picture lasts at 24 a second, on the grid of RATE."""

Rows = npt.NDArray[np.float32]
"""Values `[T, 4]` as `ml.lips.types.Curves` has them."""
_Times = npt.NDArray[np.float64]

_JAW_BEFORE, _JAW_AFTER = 0.055, 0.065
_LIPS_BEFORE, _LIPS_AFTER = 0.085, 0.075
"""Seconds in which dominance falls to 1/e. Lips round before the sound that needs it, more than the jaw opens."""
_CORE = 0.6
"""The share of a sound's time at which its dominance is full; it falls from there on."""
_SHARPNESS = 1.5
_MOVE = 0.07
"""Seconds in which lips come together or part."""
_TUCKED = 0.1
"""Opening that is left, at the most, where the lower lip touches the teeth."""
_SMOOTHING = np.hanning(7)[1:-1] / np.hanning(7).sum()
_BLOCK = 128


@dataclass(frozen=True)
class Gesture:
    """One shape of the lips from `start` to `end` seconds; `gain` scales its opening, `strength` its dominance.

    Lips that shut or tuck are so for the seconds of `held`, which begin and end within REACH of the rest.
    """

    viseme: Viseme
    start: float
    end: float
    held: tuple[float, float] = (0.0, 0.0)
    gain: float = 1.0
    strength: float = 1.0


def blend(gestures: Sequence[Gesture], first: int, count: int) -> Rows:
    """Rows `first` to `first + count` of the curves of gestures that are in order of `start`; row k is time k / RATE.

    Every row needs all gestures within REACH of it, and one that covers its time.
    """
    rows = np.zeros((count, 4), np.float32)
    for at in range(0, count, _BLOCK):
        length = min(_BLOCK, count - at)
        margin = len(_SMOOTHING) // 2
        times = np.arange(first + at - margin, first + at + length + margin) / RATE
        near = [g for g in gestures if g.end > times[0] - REACH and g.start < times[-1] + REACH]
        rows[at : at + length] = _rows(near, times)
    return rows


def _rows(gestures: Sequence[Gesture], times: _Times) -> npt.NDArray[np.float64]:
    margin = len(_SMOOTHING) // 2
    jaw = _Dominance(gestures, times, _JAW_BEFORE, _JAW_AFTER, [g.viseme.jaw * g.strength for g in gestures])
    lips = _Dominance(gestures, times, _LIPS_BEFORE, _LIPS_AFTER, [g.viseme.lips * g.strength for g in gestures])
    rows = np.empty((len(times), 4))
    rows[:, OPEN] = jaw.mean([min(1.0, g.viseme.open * g.gain) for g in gestures])
    rows[:, WIDE] = lips.mean([g.viseme.wide for g in gestures])
    rows[:, ROUND] = lips.mean([g.viseme.round for g in gestures])
    rows = np.stack([np.convolve(column, _SMOOTHING, "valid") for column in rows.T], axis=1)
    inner = times[margin : len(times) - margin]
    rows[:, PRESS] = 0.0
    for gesture in gestures:
        if gesture.viseme.press:
            _hold(rows, gesture, inner)
    return rows


class _Dominance:
    """How strongly each gesture rules at each time `[T, G]`."""

    def __init__(
        self, gestures: Sequence[Gesture], times: _Times, before: float, after: float, strengths: Sequence[float]
    ) -> None:
        starts = np.array([g.start for g in gestures])
        ends = np.array([g.end for g in gestures])
        silent = np.array([g.viseme.name == "sil" for g in gestures])
        middles, halves = (starts + ends) / 2, (ends - starts) / 2 * np.where(silent, 1.0, _CORE)
        offset = times[:, None] - middles
        away = np.maximum(np.abs(offset) - halves, 0.0)
        falls = np.where(offset < 0, before, after)
        # What is left at the very end of the reach is taken off, so that influence ends there and does not break off.
        left = np.exp(-((REACH / falls) ** _SHARPNESS))
        shape = np.maximum(np.exp(-((np.minimum(away, REACH) / falls) ** _SHARPNESS)) - left, 0.0) / (1 - left)
        self._weights = shape * np.asarray(strengths)

    def mean(self, targets: Sequence[float]) -> npt.NDArray[np.float64]:
        """The mean of targets `[G]` at each time."""
        return np.asarray(self._weights @ np.asarray(targets) / np.maximum(self._weights.sum(axis=1), 1e-9))


def _hold(rows: npt.NDArray[np.float64], gesture: Gesture, times: _Times) -> None:
    """Shut or tuck the lips for one gesture, and let them move there and away."""
    middle, half = sum(gesture.held) / 2, max(gesture.held[1] - gesture.held[0], HELD) / 2
    away = np.maximum(np.abs(times - middle) - half, 0.0)
    grip = 0.5 + 0.5 * np.cos(np.pi * np.minimum(away / _MOVE, 1.0))
    left = 0.0 if gesture.viseme.press >= 1 else _TUCKED
    rows[:, OPEN] += grip * (np.minimum(rows[:, OPEN], left) - rows[:, OPEN])
    rows[:, PRESS] = np.maximum(rows[:, PRESS], grip * gesture.viseme.press)
