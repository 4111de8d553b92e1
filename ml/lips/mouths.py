"""From curves to the mouth of each picture: in the speaker's own measures, at whatever times the pictures have.

How far a speaker opens the mouth, how wide it is and whether it smiles at rest is learnt from the pictures as they
were. Nothing lags: all smoothing looks as far ahead as back. Lips that are shut or tucked at a sound own at least the
one picture that is nearest to it, and no mouth opens or closes quicker than lips can. Knows no sound and no pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from ml.lips.geometry import Lips
from ml.lips.types import OPEN, PRESS, ROUND, WIDE, Curves, Mouth

QUICKEST = 2.5
"""Eye-widths per second at which lips move apart or together at the most; some 20 cm/s on an adult face."""
LEAST_OPENING, MOST_OPENING = 0.12, 0.22
"""Eye-widths: bounds of a habit's opening. Below, speech could not be seen; above, it would be shouted."""
USUAL_OPENING = 0.16
"""Eye-widths: the opening of somebody who was not seen to speak."""
USUAL_WIDTH = 0.62
"""Eye-widths: a mouth that is wider than this smiles."""

_WIDEST = 1.4
"""Widest opening in parts of the 95th percentile: curves of speech have theirs at 0.7 (eleven languages), so that what
a speaker is made to say opens the mouth as far as what was said."""
_SPOKE = 0.06
"""Eye-widths that lips open at the least in pictures of somebody who speaks."""
_SHUT = 0.02
_ENOUGH = 5
_LARGEST_SMILE = 0.08
_SPREAD, _DRAWN_IN, _POUT = 0.20, 0.28, 0.05
"""Parts of its width that a mouth gains with WIDE at 1, loses with WIDE at -1, and loses with ROUND at 1."""
_PURSED = 0.7
"""What rounded lips take of a smile's width: nobody grins and says "oo"."""
_SETTLE = 0.1
"""Seconds before and after the curves in which lips leave their rest and come back to it."""
_TUCKED_PRESS = 0.7
"""PRESS where the lip is tucked."""
_NEARLY = 0.01
_TIE = 1e-6
"""Rows by which rounding may move a picture: of two that are as near as each other the first is the nearest."""
_PLATEAU = 3
"""Rows in which PRESS stays at its height where a sound holds it; on its way it passes quicker."""

_Column = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Habit:
    """A speaker's mouth, in eye-widths: the widest opening in speech, the usual width, and by how much more the mouth
    is wide when it rests (below zero: less)."""

    opening: float = USUAL_OPENING
    width: float = 0.58
    smile: float = 0.0

    @classmethod
    def learnt(cls, lips: Sequence[Lips]) -> Self:
        """From the lips of the pictures as they were, one or many.

        The opening is _WIDEST times the 95th percentile, within LEAST_OPENING and MOST_OPENING; of a still, or of
        somebody who never spoke, it is USUAL_OPENING. Raises ValueError for none.
        """
        if not lips:
            raise ValueError("a habit is learnt from at least one picture")
        gaps, widths = np.array([(each.gap, each.width) for each in lips]).T
        width, most = float(np.median(widths)), float(np.percentile(gaps, 95))
        spoke = len(lips) >= _ENOUGH and most - float(np.percentile(gaps, 5)) >= _SPOKE
        opening = float(np.clip(_WIDEST * most, LEAST_OPENING, MOST_OPENING)) if spoke else USUAL_OPENING
        rests = widths[gaps < _SHUT]
        smile = float(np.median(rests)) - width if spoke and len(rests) >= _ENOUGH else 0.0
        return cls(opening, width, float(np.clip(smile, -_LARGEST_SMILE, _LARGEST_SMILE)))


def mouths(curves: Curves, times: Sequence[float], habit: Habit) -> list[Mouth]:
    """The mouth of each picture; `times` are seconds from the curves' first row, in order, and may lie outside.

    Raises ValueError for times that do not rise.
    """
    at = np.asarray(times, float)
    if not len(at):
        return []
    steps = np.diff(at)
    if not np.all(steps > 0):
        raise ValueError("pictures must be in order of time")
    rows, begin = _settled(curves)
    places = (at - begin) * curves.rate
    lasts = np.gradient(at) * curves.rate if len(at) > 1 else np.ones(1)
    values = _sampled(rows, places, lasts)
    for picture, row in _owned(rows[:, PRESS], places, lasts):
        if rows[row, PRESS] >= values[picture, PRESS]:
            values[picture] = rows[row]
    gaps = _no_quicker(np.maximum(values[:, OPEN], 0.0) * habit.opening, steps * QUICKEST)
    wide, rounded, press = values[:, WIDE], np.clip(values[:, ROUND], 0, 1), np.clip(values[:, PRESS], 0, 1)
    resting = np.clip(1 - 4 * values[:, OPEN], 0, 1) * (1 - press) * (1 - rounded)
    widths = 1 + np.where(wide > 0, _SPREAD, _DRAWN_IN) * wide - _POUT * rounded
    smiling = max(0.0, habit.width - USUAL_WIDTH)
    halves = (habit.width * widths + habit.smile * resting - _PURSED * smiling * rounded) / 2
    return [Mouth(*map(float, each)) for each in zip(gaps, halves, press, rounded, strict=True)]


def _settled(curves: Curves) -> tuple[_Column, float]:
    """The rows with a way from rest and back to it at their ends, and the time of the first."""
    rows = curves.values.astype(np.float64)
    if not len(rows):
        rows = np.zeros((1, 4))
    count = round(_SETTLE * curves.rate)
    leave = (0.5 - 0.5 * np.cos(np.pi * np.arange(count) / count))[:, None]
    return np.concatenate([rows[0] * leave, rows, rows[-1] * leave[::-1]]), -count / curves.rate


def _sampled(rows: _Column, places: _Column, lasts: _Column) -> _Column:
    """Values at places in rows: the mean over each picture's own time, as it is in a film; but of lips that are held
    what stands at its very middle, for a mean would part them."""
    grid = np.arange(len(rows))
    out = np.empty((len(places), rows.shape[1]))
    held = np.clip(np.interp(places, grid, rows[:, PRESS], left=0.0, right=0.0) / _TUCKED_PRESS, 0, 1)
    for number, column in enumerate(rows.T):
        area = np.concatenate([[0.0], np.cumsum((column[1:] + column[:-1]) / 2)])
        middle = np.interp(places, grid, column, left=0.0, right=0.0)
        mean = (np.interp(places + lasts / 2, grid, area) - np.interp(places - lasts / 2, grid, area)) / lasts
        out[:, number] = middle if number == PRESS else held * middle + (1 - held) * mean
    return out


def _owned(press: _Column, places: _Column, lasts: _Column) -> Iterator[tuple[int, int]]:
    """(picture, row) for each sound that holds the lips in no picture's time: the nearest picture takes its middle."""
    for held in (np.abs(press - _TUCKED_PRESS) <= _NEARLY, press >= 1 - _NEARLY):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], held.astype(np.int8), [0]])))
        for first, end in edges.reshape(-1, 2).tolist():
            until = np.searchsorted(places, end - 1 + _TIE, "right")
            inside = until > np.searchsorted(places, first - _TIE, "left")
            if end - first >= _PLATEAU and not inside:
                middle = (first + end - 1) / 2
                away = np.abs(places - middle)
                nearest = int(np.flatnonzero(away <= away.min() + _TIE)[0])
                if abs(places[nearest] - middle) <= lasts[nearest]:
                    yield nearest, int(middle)


def _no_quicker(gaps: _Column, limits: _Column) -> _Column:
    """The largest gaps that are nowhere larger and change from picture to picture by no more than `limits`: what is
    shut stays shut, and the mouth begins to close, or has not yet opened as far, as long before or after as it must."""
    out = gaps.tolist()
    for at, limit in enumerate(limits.tolist()):
        out[at + 1] = min(out[at + 1], out[at] + limit)
    for at in range(len(out) - 2, -1, -1):
        out[at] = min(out[at], out[at + 1] + float(limits[at]))
    return np.asarray(out)
