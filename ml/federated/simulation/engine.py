"""Where a simulation's work is done: in threads of this process, or wherever an `Engine` takes it.

An engine changes how long a simulation takes and not one bit of what comes out. Knows nothing of rounds or people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from ml.federated.simulation.chance import Many
from ml.federated.simulation.chunks import in_order
from ml.federated.simulation.work import Done, Turn, Work


class Engine(Protocol):
    """A place to work."""

    @property
    def elsewhere(self) -> float:
        """Seconds of processor time that other processes have spent on the work so far."""
        ...

    def run(self, work: Work, chunks: Sequence[Many], turn: Callable[[Many], Turn]) -> Iterator[Done]:
        """What `work` makes of the `turn` of each chunk, in the order of the chunks; what it raises is raised here.

        `turn` may be called in any thread of this process, some time after what was yielded before has been dealt
        with, and only for so many chunks ahead as there are workers to be kept busy.
        """
        ...

    def close(self) -> None:
        """Lets go of everything; closing twice is no error."""
        ...


class Local:
    """Threads of this process."""

    elsewhere = 0.0

    def __init__(self, threads: int = 1) -> None:
        """One thread is the caller's own."""
        self._threads = threads

    def run(self, work: Work, chunks: Sequence[Many], turn: Callable[[Many], Turn]) -> Iterator[Done]:
        """At most one more chunk is begun than there are threads."""
        return in_order(chunks, lambda chunk: work(turn(chunk)), self._threads)

    def close(self) -> None:
        """Nothing is held."""
