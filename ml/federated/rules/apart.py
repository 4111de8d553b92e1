"""Rules that look at one person's inbox at a time: what is sound in it, in an order that nobody chose.

What is not finite, or so large that its square is not, is left out before any arithmetic, so every rule built on this
gives a finite step. Only one person's differences `[k, parameters]` are in memory at a time. Knows no rule.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Taken
from ml.weights import Tensor

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.float64]


class Apart(ABC):
    """A rule whose step depends on nothing but the differences from one's own weights, person by person."""

    name: str

    @abstractmethod
    def combine(self, differences: Stack, way: float) -> tuple[Tensor, Mask]:
        """The step `[parameters]`, and which of at least one finite `differences` `[k, parameters]` had a part `[k]`.

        `way` is how far one's own weights have come from the shared start. `differences` may be changed in place.
        """

    def take(self, ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox) -> Taken:
        """As `Rule.take`. The order in which models lie in the inbox changes nothing, the sums included."""
        step, accepted = np.zeros_like(own), np.zeros_like(inbox.present)
        for person in range(len(own)):
            places = in_order(inbox, person)
            differences, sound = differences_of(own[person], inbox, person, places)
            if len(differences):
                way = float(np.linalg.norm(own[person] - ground.genesis))
                step[person], used = self.combine(differences, way)
                accepted[person, places[sound]] = used
        return Taken(step, accepted)


def in_order(inbox: Inbox, person: int) -> npt.NDArray[np.int64]:
    """Where this person's models lie, ordered by sender."""
    places = np.flatnonzero(inbox.present[person])
    return places[np.argsort(inbox.sender[person, places], kind="stable")]


def differences_of(
    own: Tensor, inbox: Inbox, person: int, places: npt.NDArray[np.int64]
) -> tuple[Stack, npt.NDArray[np.bool_]]:
    """The differences from `own` of the sound models among `places`, a fresh array; and which are sound `[places]`."""
    with np.errstate(all="ignore"):
        differences = inbox.stack[person, places] - own
        sound = np.isfinite(squares(differences))
    return (differences if sound.all() else differences[sound]), sound


def squares(stack: Stack) -> npt.NDArray[np.float32]:
    """Squared norms `[models]`, not finite where a number is not, or beyond 1e19."""
    found: npt.NDArray[np.float32] = np.einsum("kd,kd->k", stack, stack)
    return found


def norms(stack: Stack) -> Numbers:
    """Lengths `[models]`."""
    return np.sqrt(squares(stack).astype(np.float64))


def shortened(stack: Stack, reach: float, lengths: Numbers | None = None) -> Stack:
    """Each row cut to a length of at most `reach`, in place."""
    lengths = norms(stack) if lengths is None else lengths
    stack *= np.minimum(1.0, reach / np.maximum(lengths, 1e-30)).astype(np.float32)[:, None]
    return stack


def expected(share: float, count: int) -> int:
    """How many of `count` models a rule takes for hostile when it expects a `share`: rounded up, never all but one."""
    return max(0, min(int(np.ceil(share * count - 1e-9)), count - 2))
