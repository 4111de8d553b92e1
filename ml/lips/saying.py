"""What is said through live pictures, on their time line, as it comes: in whole pieces, or row by row.

What is over is forgotten, so that memory grows only with what was told and is not shown yet. Knows no picture, no sound
and no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from ml.lips.dominance import RATE, Rows
from ml.lips.placed import placed
from ml.lips.types import Curves, Source

State = Literal["silent", "known", "unknown"]
"""Of a moment: nothing is said; what is said is known; something is said of which the curves are not there yet."""

AROUND = 0.2
"""Seconds before and after what is said in which lips are ours: they come from rest and go back to it."""
FORESIGHT = 0.15
"""Seconds of curves after a moment on which its mouth depends, at the most: as long as it takes widest lips to close,
and two pictures more."""


@dataclass
class _Piece:
    """Curves from `start` seconds on; row `first` of the time line is the first that is kept."""

    start: float
    first: int
    rows: list[Rows] = field(default_factory=list)
    source: Source = "phonemes"
    ended: bool = False

    @property
    def count(self) -> int:
        return sum(map(len, self.rows))

    @property
    def end(self) -> float:
        """Up to where its rows are known."""
        return (self.first + max(0, self.count - 1)) / RATE

    def curves(self) -> Curves:
        if len(self.rows) != 1:
            self.rows = [np.concatenate([np.zeros((0, 4), np.float32), *self.rows])]
        return Curves(self.rows[0], RATE, self.source)


class Saying:
    """The pieces that are said, or will be."""

    def __init__(self) -> None:
        """Nothing is said."""
        self._pieces: list[_Piece] = []
        self._growing: _Piece | None = None

    def say(self, start: float, curves: Curves) -> None:
        """A whole piece, from `start` seconds on. Where it begins before another is over, it takes over from it.

        Raises ValueError for curves of another rate than the time line's.
        """
        if curves.rate != RATE:
            raise ValueError(f"a time line has {RATE:g} rows a second, and a piece has {curves.rate:g}")
        self._pieces.append(_Piece(start, round(start * RATE), [curves.values], curves.source, ended=True))

    def begin(self, start: float, source: Source = "phonemes") -> None:
        """A piece whose rows come one after the other, as a `CurveStream` gives them. Raises ValueError before the
        last one was ended."""
        if self._growing is not None:
            raise ValueError("end one piece before the next begins")
        self._growing = _Piece(start, round(start * RATE), source=source)
        self._pieces.append(self._growing)

    def grow(self, rows: Rows) -> None:
        """The next final rows `[N, 4]` of the piece. Raises ValueError without a piece that was begun."""
        if self._growing is None:
            raise ValueError("begin a piece before it grows")
        if len(rows):
            self._growing.rows.append(np.asarray(rows, np.float32))

    def end(self) -> None:
        """No more rows of the piece will come. Raises ValueError without a piece that was begun."""
        if self._growing is None:
            raise ValueError("begin a piece before it ends")
        self._growing.ended, self._growing = True, None

    def state(self, time: float) -> State:
        """What is known of `time` seconds."""
        here = [piece for piece in self._pieces if piece.start - AROUND <= time]
        if any(not piece.ended and piece.end < time + FORESIGHT for piece in here):
            return "unknown"
        return "known" if any(time < piece.end + AROUND for piece in here) else "silent"

    def curves(self, first: float, last: float) -> tuple[float, Curves]:
        """What is said between two times: when its first row is, and the curves; silence where nothing is said."""
        begin = math.floor(first * RATE)
        in_order = sorted(self._pieces, key=lambda piece: piece.start)
        pieces = [((piece.first - begin) / RATE, piece.curves()) for piece in in_order if piece.count]
        return begin / RATE, placed(pieces, last - begin / RATE)

    def forget(self, before: float) -> None:
        """Let go of what was over before `before` seconds; of a piece that grows, the rows."""
        self._pieces = [piece for piece in self._pieces if not piece.ended or piece.end >= before]
        if self._growing is not None:
            piece = self._growing
            gone = min(piece.count - 1, math.floor(before * RATE) - piece.first)
            if gone > RATE:  # now and then, not with every picture
                piece.rows = [piece.curves().values[gone:].copy()]
                piece.first += gone

    def __len__(self) -> int:
        """Pieces that are not over."""
        return len(self._pieces)
