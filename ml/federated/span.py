"""Rows of a stack of models with no more copying than it takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Stack = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]


def span(places: Sequence[int] | Places) -> slice | Places:
    """What picks these rows of an array: a slice, which copies nothing, where they follow one another."""
    found = np.asarray(places, np.int64)
    if len(found) and found[-1] - found[0] == len(found) - 1 and (np.diff(found) == 1).all():
        return slice(int(found[0]), int(found[-1]) + 1)
    return found


def chosen(sources: Sequence[Stack], winners: npt.NDArray[np.integer] | npt.NDArray[np.bool_]) -> Stack:
    """A new stack whose row m is row m of `sources[winners[m]]`."""
    result = np.empty_like(sources[0])
    for row, winner in enumerate(winners.tolist()):
        result[row] = sources[winner][row]
    return result
