"""Connectionist temporal classification (A. Graves et al., 2006): from probabilities of symbols per frame to symbols
with times, freely or along a known text (forced alignment after L. Kuerzinger et al., 2020, "CTC-Segmentation").

Only numbers: knows no network and no letters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

LogProbabilities = npt.NDArray[np.float32]
"""Of each symbol at each frame, `[T, V]`."""
LARGEST = 200_000_000
"""Cells of a trellis that is laid out at once (frames times places), at one byte each."""


@dataclass(frozen=True)
class Span:
    """A symbol, the frames from `first` to before `last`, and its mean probability there."""

    symbol: int
    first: int
    last: int
    confidence: float


def read(likely: LogProbabilities, blank: int) -> list[Span]:
    """The likeliest symbol of each frame, runs of the same taken together and blanks left out."""
    best = likely.argmax(1)
    borders = np.flatnonzero(np.diff(best)) + 1
    edges = [0, *borders.tolist(), len(best)] if len(best) else [0]
    return [
        Span(int(best[first]), first, last, float(np.exp(likely[first:last, best[first]].mean())))
        for first, last in pairwise(edges)
        if best[first] != blank
    ]


def shortest(symbols: Sequence[int]) -> int:
    """Frames that the symbols need at least: one each, and a blank between two of a kind."""
    return len(symbols) + sum(a == b for a, b in pairwise(symbols))


def align(likely: LogProbabilities, symbols: Sequence[int], blank: int) -> list[Span]:
    """The likeliest place of each of `symbols`, in order (Viterbi over the CTC trellis).

    Raises ValueError where there are too few frames for them, or more cells than LARGEST.
    """
    frames, places = len(likely), 2 * len(symbols) + 1
    if shortest(symbols) > frames:
        raise ValueError(f"{len(symbols)} symbols do not fit into {frames} frames")
    if frames * places > LARGEST:
        raise ValueError("text and sound are too long to be aligned at once")
    if not symbols:
        return []
    states = np.full(places, blank)
    states[1::2] = symbols
    jumps = np.zeros(places, bool)  # past a blank, where the symbols around it differ
    jumps[3::2] = states[3::2] != states[1:-2:2]
    came = np.zeros((frames, places), np.int8)
    score = np.full(places, -np.inf)
    score[:2] = likely[0, states[:2]]
    ways = np.full((3, places), -np.inf)
    for frame in range(1, frames):
        ways[0] = score
        ways[1, 1:] = score[:-1]
        ways[2, 2:] = np.where(jumps[2:], score[:-2], -np.inf)
        came[frame] = ways.argmax(0)
        score = ways.max(0) + likely[frame, states]
    state = places - 1 if score[-1] >= score[-2] else places - 2
    path = np.empty(frames, np.intp)
    for frame in range(frames - 1, -1, -1):
        path[frame] = state
        state -= int(came[frame, state])
    firsts = np.searchsorted(path, np.arange(1, places, 2), "left")
    lasts = np.searchsorted(path, np.arange(1, places, 2), "right")
    return [
        Span(int(symbol), int(first), int(last), float(np.exp(likely[first:last, symbol].mean())))
        for symbol, first, last in zip(symbols, firsts, lasts, strict=True)
    ]
