"""What everybody published last, as receivers have it, in one stack: the newest of each sender.

Within a round everybody hears what was published in earlier rounds. A new publication therefore waits until the last
person who hears the old one has been served, and only those that wait take memory of their own: about four tenths of
the people at most with random neighbours in any order, next to none on a ring. Knows nothing of methods or time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Stack
from ml.federated.method import Inbox
from ml.federated.shared import shared_array
from ml.federated.simulation.chance import Many, Numbers
from ml.federated.simulation.channel import Channel
from ml.weights import Tensor

_BLOCK = 256
"""Rows that are added up at a time: a constant, so that a mean does not depend on how the work is cut."""


@dataclass
class Publications:
    """`[people, parameters]`; a row means something once its person has `spoken`."""

    channel: Channel
    stack: Stack
    spoken: npt.NDArray[np.bool_]
    _waiting: dict[int, Tensor] = field(default_factory=dict)
    _readers: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def none(cls, channel: Channel, people: int, disk: Path | None = None) -> Publications:
        """Nobody has said anything. The stack is in shared memory, or in a file of the folder `disk`."""
        stack = np.asarray(shared_array((people, len(channel.genesis)), np.float32, disk))
        return cls(channel, stack, np.zeros(people, bool))

    def expect(self, senders: Many) -> None:
        """A round begins in which everybody in `senders` (any shape; below 0 nobody) is heard once for each place."""
        self._readers = np.bincount(senders[senders >= 0].ravel(), minlength=len(self.stack))

    def inbox(self, senders: Many, frames: Many, age: Numbers) -> Inbox:
        """What came from `senders` `[P, K]`; `frames` and `age` are everybody's `[people]`."""
        present = (senders >= 0) & self.spoken[senders]
        stack = self.stack[senders]
        stack[~present] = 0
        return Inbox(
            stack,
            present,
            np.where(present, senders, -1),
            np.where(present, frames[senders], 0),
            np.where(present, age[senders], 0.0),
        )

    def served(self, senders: Many) -> None:
        """These have been heard; what waited for them takes its place."""
        heard, times = np.unique(senders[senders >= 0], return_counts=True)
        self._readers[heard] -= times
        for one in heard[self._readers[heard] == 0]:
            waiting = self._waiting.pop(int(one), None)
            if waiting is not None:
                self.stack[one] = waiting

    def put(self, who: Many, arrived: Stack) -> None:
        """New publications of these people, as they arrive. `spoken` is the caller's to set, after the round."""
        free = self._readers[who] == 0
        self.stack[who[free]] = arrived[free]
        for at in np.flatnonzero(~free):
            self._waiting[int(who[at])] = arrived[at].copy()  # not the whole chunk

    def last(self, who: Many) -> Stack:
        """What these published last; genesis before the first time."""
        return np.where(self.spoken[who, None], self.stack[who], self.channel.genesis)

    def arrive(self, who: Many, published: Stack) -> Stack:
        """What receivers will have of new publications `[P, parameters]` of these people."""
        return self.channel.arrive(published, self.stack[who], self.spoken[who])[0]

    def total(self, who: Many) -> tuple[Numbers, int]:
        """The sum of what these people published, in the order of their numbers, and of how many."""
        spoken = who[self.spoken[who]]
        found = np.zeros(len(self.channel.genesis))
        with np.errstate(all="ignore"):
            for first in range(0, len(spoken), _BLOCK):
                found += self.stack[spoken[first : first + _BLOCK]].sum(axis=0, dtype=np.float64)
        return found, len(spoken)

    def mean_of_others(self, who: Many, total: Numbers, count: int, frames: int, age: float) -> Inbox:
        """For each the mean of all `count` that make up `total` but their own, as one model of the sender -1."""
        own = self.spoken[who]
        others = count - own.astype(np.int64)
        with np.errstate(all="ignore"):
            left = total[None] - np.where(own[:, None], self.stack[who], 0)
            mean = (left / np.maximum(others, 1)[:, None]).astype(np.float32)[:, None]
        present = (others > 0)[:, None]
        mean[~present] = 0
        shape = present.shape
        return Inbox(mean, present, np.full(shape, -1), np.full(shape, frames), np.full(shape, age))
