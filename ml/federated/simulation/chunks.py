"""Work in chunks of people: in what pieces, in how many threads, and back in the order in which it was given.

Knows nothing of what the work is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Stack
from ml.federated.simulation.chance import Many
from ml.federated.simulation.settings import SimulationSettings

Made = TypeVar("Made")

_MODELS = 1024
"""Received models in memory at a time."""


def parts(who: Many, size: int) -> list[Many]:
    """People in pieces of `size`."""
    return [who[first : first + size] for first in range(0, len(who), size)]


def people_at_a_time(settings: SimulationSettings, online: int) -> int:
    """How many people are a chunk: fewer than the settings' where each of them hears very many."""
    heard = {"mean": 1, "full": online}.get(settings.topology, settings.received)
    return max(1, min(settings.chunk, _MODELS // max(1, heard)))


def in_order(chunks: Sequence[Many], work: Callable[[Many], Made], threads: int) -> Iterator[Made]:
    """What `work` makes of each chunk, in their order; at most one more is begun than there are threads.

    What `work` raises is raised here.
    """
    if threads == 1:
        yield from map(work, chunks)
        return
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[Made]] = deque()
        for chunk in chunks:
            running.append(pool.submit(work, chunk))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


class Rows:
    """Some people's rows, collected out of chunks."""

    def __init__(self, who: Many) -> None:
        """Only rows of `who` are kept."""
        self.who, self.seen = who, 0
        self._rows: dict[int, npt.NDArray[np.float32]] = {}

    def add(self, chunk: Many, stack: Stack) -> None:
        """The rows `[len(chunk), parameters]` of these people."""
        self.seen += len(chunk)
        for at in np.flatnonzero(np.isin(chunk, self.who)):
            self._rows[int(chunk[at])] = stack[at].copy()

    def stack(self, parameters: int) -> Stack:
        """`[len(who), parameters]`, in the order of `who`."""
        return np.array([self._rows[int(one)] for one in self.who], np.float32).reshape(len(self.who), parameters)
