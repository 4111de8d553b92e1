"""Where the watermark lies: the grid of time and frequency, and what each of its cells carries.

One period of 2.048 s is 32 slots of 64 ms; from 297 to 6953 Hz lie 52 bands, 33 of them inside a telephone's. A cell is
one slot in one band. A third of the cells carry a pilot, known to all, by which the mark is found; the others carry the
coded bits of the message, about ten cells each, spread over time and frequency. The signs and places come from a public
constant: whoever reads this can find the mark, and could remove it. Knows nothing of how a cell is written or read.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.audio.markcode import CODED

HOP_SECONDS = 0.016
"""From one frame that is written to the next; a frame lasts two."""
HOLD = 2
"""Frames in each half of a slot."""
SLOTS = 32
FRAMES = 2 * HOLD * SLOTS
"""Frames of one period."""
PERIOD_SECONDS = FRAMES * HOP_SECONDS
SPACING = 1 / (2 * HOP_SECONDS)
"""Hz between the bins of a frame, 31.25 at all rates."""
EDGES = np.concatenate([np.arange(9.5, 108, 3), np.arange(108.5, 223, 6)]) * SPACING
"""Hz where the bands begin, and where the last ends `[53]`: 94 Hz wide in a telephone's range, 188 Hz above it."""
BANDS = len(EDGES) - 1
TELEPHONE_BANDS = 33
PUBLIC_KEY = b"Babelmesh synthetic speech 1"
"""Not a secret: anyone may detect the mark."""
PILOT = -1

_PILOT_SHARE = 3
"""One cell in this many belongs to the pilot."""


@dataclass(frozen=True, eq=False)
class Grid:
    """`signs` `[32, 52]` are +-1; `carries` `[32, 52]` is the coded bit that a cell carries, or PILOT."""

    signs: npt.NDArray[np.float64]
    carries: npt.NDArray[np.intp]


def grid(key: bytes = PUBLIC_KEY) -> Grid:
    """Signs and places drawn from `key` by SHAKE-256, the same on every machine and for ever.

    Bits lie evenly in the telephone band and above it, so that each keeps its share when one of the two is lost.
    """
    cells = SLOTS * BANDS
    drawn = np.frombuffer(hashlib.shake_256(key).digest(9 * cells), np.uint8).reshape(cells, 9)
    signs = np.where(drawn[:, 8] & 1, 1.0, -1.0).reshape(SLOTS, BANDS)
    order = drawn[:, :8].copy().view(">u8").reshape(SLOTS, BANDS)
    carries = np.empty((SLOTS, BANDS), np.intp)
    for low, high in ((0, TELEPHONE_BANDS), (TELEPHONE_BANDS, BANDS)):
        places = np.argsort(order[:, low:high], axis=None, kind="stable")
        roles = np.empty(len(places), np.intp)
        pilot = np.arange(len(places)) % _PILOT_SHARE == 0
        roles[places[pilot]] = PILOT
        roles[places[~pilot]] = np.arange(int((~pilot).sum())) % CODED
        carries[:, low:high] = roles.reshape(SLOTS, high - low)
    return Grid(signs, carries)
