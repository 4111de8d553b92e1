"""What a way of learning together is made of: methods, merge rules, attacks and compressions, over stacks of models.

In a round everybody learns on their own speech, takes in what others published in earlier rounds, and publishes
(`Method.round`); what is published goes through a `Compression`, and in hostile hands through an `Attack`. The
simulator drives the rounds for a few people at a time; the node does the same for one person. All arrays are
numpy; a stack is `[people, parameters]` float32. Hardly more than definitions here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Cohort, Stack
from ml.voice.training import TrainOptions
from ml.weights import Layout, Tensor

State = Mapping[str, npt.NDArray[np.generic]]
"""What a method keeps of each person between rounds: arrays with people as their first axis."""


@dataclass(frozen=True)
class Ground:
    """What all methods stand on: people's speech, the shared start `[parameters]`, how local training goes."""

    cohort: Cohort
    genesis: Tensor
    training: TrainOptions
    seed: int = 0


@dataclass(frozen=True)
class Inbox:
    """What came for `P` people, at most `K` models each. Values where nothing is `present` mean nothing."""

    stack: npt.NDArray[np.float32]
    """`[P, K, parameters]`; may hold what is not finite when the sender is hostile."""
    present: npt.NDArray[np.bool_]
    """`[P, K]`"""
    sender: npt.NDArray[np.int64]
    """`[P, K]`, the people who sent them."""
    frames: npt.NDArray[np.int64]
    """`[P, K]`, what the sender says to have trained on."""
    age: npt.NDArray[np.float64]
    """`[P, K]`, seconds since it was sent."""
    trust: npt.NDArray[np.float64] | None = None
    """`[P, K]`, what the receiver makes of the sender, 0 to 1; None where everybody is alike."""


class Method(Protocol):
    """One way to personalise. Stateless between calls: everything is in `State`."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def begin(self, ground: Ground, who: Sequence[int]) -> State:
        """The state of these people before the first round."""
        ...

    def round(self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int) -> tuple[State, Stack]:
        """Round `number` (from 1) of these people: take in what came since their last one, learn locally, in the order
        that the method wants; the state after it, and what each of them publishes `[len(who), parameters]`. The inbox
        of the first round is empty."""
        ...

    def personal(self, state: State) -> Stack:
        """The weights that speak for each person."""
        ...


@runtime_checkable
class Twinned(Protocol):
    """A method whose personal weights have learnt from the held-out speech too, beside a twin that has not."""

    def twin(self, state: State) -> Stack:
        """What says on held-out speech how good the personal weights are: made alike, without that speech."""
        ...


def judge_of(method: Method, state: State) -> Stack:
    """The weights that may be judged on held-out speech for the personal ones: these, unless they have seen it."""
    return method.twin(state) if isinstance(method, Twinned) else method.personal(state)


@dataclass(frozen=True)
class Taken:
    """What a rule makes of an inbox: the step from one's own weights `[P, parameters]`, finite whatever came, before it
    is scaled by 1 - alpha; and which models had a part in it `[P, K]`."""

    step: Stack
    accepted: npt.NDArray[np.bool_]
    merit: npt.NDArray[np.float64] | None = None
    """How well each did, 0 to 1 `[P, K]`, where the rule can tell more than whether it had a part."""


class Rule(Protocol):
    """A way to make one step of several received models: the mean, the median, the gate of `ml/federated/merge.py`."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def take(self, ground: Ground, who: Sequence[int], own: Stack, inbox: Inbox) -> Taken:
        """For each person: the step from `own` towards what came. With nothing usable the step is zero."""
        ...


@dataclass(frozen=True)
class Scene:
    """What hostile people know in a round: everything that honest ones publish, and their own honest work."""

    ground: Ground
    number: int
    attackers: Sequence[int]
    honest: Stack
    """`[H, parameters]`: what honest people publish in this round (a sample of them when they are very many)."""
    own: Stack
    """`[A, parameters]`: what the attackers would publish if they were honest."""
    before: Stack
    """`[A, parameters]`: what each attacker published last; genesis before the first time."""
    rng: np.random.Generator


class Attack(Protocol):
    """What hostile people publish instead."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def forge(self, scene: Scene) -> Stack:
        """`[A, parameters]`, finite or not."""
        ...


class Compression(Protocol):
    """How differences travel. `shadow` says whether the next difference starts from what arrived (error feedback)."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    @property
    def shadow(self) -> bool:
        """Whether each difference is against what arrived before; otherwise it is against genesis."""
        ...

    def arrives(self, differences: Stack, layout: Layout) -> Stack:
        """What receivers have of `[P, parameters]` differences, row by row independent of the others."""
        ...

    def size(self, difference: Tensor, layout: Layout) -> int:
        """Bytes of one difference `[parameters]` as it travels, gzip included."""
        ...


Progress = Callable[[int, int], None]
"""Told (done, of) while something long goes on."""
