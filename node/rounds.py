"""The order of a training round, free of I/O: event in, command out.

    idle --due--> training --trained--> merging --merged--> committing --committed--> idle, and the peers are told

or, for a way of learning that stands on what peers know, merging before training. A round trains on the owner's
speech, merges what peers have sent, commits to disk, and only then speaks: a node that
loses power on the way has lost nothing and lied to nobody. Any step may fail; the round is then over, nothing was told
to anybody, and the next one comes in its time. Times are seconds on the caller's monotonic clock. Knows nothing of
models, files or peers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where a node stands."""

    IDLE = "idle"
    TRAINING = "training"
    MERGING = "merging"
    COMMITTING = "committing"
    FINISHED = "finished"
    """As many rounds are done as were wanted."""


@dataclass(frozen=True)
class Wait:
    """Do nothing until `until`, unless something happens before."""

    until: float


@dataclass(frozen=True)
class Train:
    """Train locally; answer with `trained` or `failed`."""

    number: int


@dataclass(frozen=True)
class Merge:
    """Merge what peers have sent; answer with `merged` or `failed`."""

    number: int


@dataclass(frozen=True)
class Commit:
    """Write the round to disk, all of it or nothing; answer with `committed` or `failed`."""

    number: int


@dataclass(frozen=True)
class Tell:
    """Offer the committed model to peers. Needs no answer: the machine is idle again."""

    number: int


@dataclass(frozen=True)
class Rest:
    """Nothing more is to be done."""


class OutOfOrder(RuntimeError):
    """An event that cannot happen in this phase: a defect of the caller."""


class Rounds:
    """The machine. It counts rounds from `number` on, and begins them `interval` seconds apart."""

    def __init__(
        self, interval: float, limit: int = 0, number: int = 1, now: float = 0.0, merge_first: bool = False
    ) -> None:
        """`limit` is how many rounds to do, 0 for no end; `number` is the first one's; it is due at `now`."""
        self._merge_first = merge_first
        self.phase = Phase.IDLE
        self.number = number
        self.due = now
        self._interval = interval
        self._left = limit or None
        self._failures = 0

    def next(self, now: float, ready: bool) -> Wait | Train | Merge | Rest:
        """What to do in idleness. `ready` says whether there is speech to train on."""
        if self.phase is Phase.FINISHED:
            return Rest()
        self._expect(Phase.IDLE)
        if now < self.due:
            return Wait(self.due)
        self.due = now + self._interval
        if not ready:
            return Wait(self.due)
        return self._merging() if self._merge_first else self._training()

    def hurry(self, now: float) -> None:
        """The owner wants a round now; one more than was planned, if all of those are done."""
        if self.phase is Phase.FINISHED:
            self.phase, self._left = Phase.IDLE, 1
        if self.phase is Phase.IDLE:
            self.due = now

    def trained(self) -> Merge | Commit:
        """Local training is done."""
        self._expect(Phase.TRAINING)
        return self._committing() if self._merge_first else self._merging()

    def merged(self) -> Train | Commit:
        """What peers sent is judged."""
        self._expect(Phase.MERGING)
        return self._training() if self._merge_first else self._committing()

    def committed(self) -> Tell:
        """The round is on disk."""
        self._expect(Phase.COMMITTING)
        done, self.number = self.number, self.number + 1
        self._failures = 0
        self.phase = Phase.IDLE
        if self._left is not None:
            self._left -= 1
            if self._left == 0:
                self.phase = Phase.FINISHED
        return Tell(done)

    def failed(self, now: float) -> Wait:
        """A step failed: the round is over without a trace; after several in a row the next ones come more rarely."""
        if self.phase in (Phase.IDLE, Phase.FINISHED):
            raise OutOfOrder(f"no round is running in phase {self.phase}")
        self._failures += 1
        self.phase = Phase.IDLE
        self.due = max(self.due, now + self._interval * (1 << min(self._failures - 1, 6)))
        return Wait(self.due)

    def _training(self) -> Train:
        self.phase = Phase.TRAINING
        return Train(self.number)

    def _merging(self) -> Merge:
        self.phase = Phase.MERGING
        return Merge(self.number)

    def _committing(self) -> Commit:
        self.phase = Phase.COMMITTING
        return Commit(self.number)

    def _expect(self, phase: Phase) -> None:
        if self.phase is not phase:
            raise OutOfOrder(f"this belongs to phase {phase}, and the round is in {self.phase}")
