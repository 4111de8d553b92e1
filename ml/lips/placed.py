"""Curves of several speeches on one time line: what a mouth does through a whole recording. Knows no picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np

from ml.lips.dominance import RATE
from ml.lips.types import Curves, Source

_CERTAIN: tuple[Source, ...] = get_args(Source)


def placed(pieces: Sequence[tuple[float, Curves]], seconds: float) -> Curves:
    """Each piece from its own second on, silence between; where two overlap, the later of `pieces` is taken.

    `source` is that of the least certain piece. Raises ValueError for a piece of another rate than RATE.
    """
    values = np.zeros((max(1, round(seconds * RATE) + 1), 4), np.float32)
    for start, curves in pieces:
        if curves.rate != RATE:
            raise ValueError(f"a time line has {RATE:g} rows a second, and a piece has {curves.rate:g}")
        first = round(start * RATE)
        rows = curves.values[max(0, -first) : max(0, len(values) - first)]
        values[max(0, first) : max(0, first) + len(rows)] = rows
    least = max((_CERTAIN.index(curves.source) for _, curves in pieces), default=0)
    return Curves(values, RATE, _CERTAIN[least])
