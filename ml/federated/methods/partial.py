"""Sharing a part of the model and keeping the rest: FedPer (Arivazhagan et al. 2019), private biases, private ends.

Only the shared part is averaged; both are trained together. What is published holds genesis in the private places.
Knows no rule beyond that it gives a step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Rule, State
from ml.federated.methods.lines import ACCEPTED, BEST, MEAN, averaged, begun, judged, kept, line
from ml.weights import Layout


def places(layout: Layout, wanted: Callable[[str], bool]) -> npt.NDArray[np.bool_]:
    """Which numbers `[parameters]` belong to the tensors of the wanted names."""
    return np.concatenate([np.full(int(np.prod(shape)), wanted(name)) for name, shape in layout.shapes.items()])


@dataclass(frozen=True)
class Partly:
    """`private` says by its name whether a tensor stays at home."""

    private: Callable[[str], bool]
    name: str
    rule: Rule = MEAN

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return begun(ground, who, "working")

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        own, home = line(state, "working"), places(ground.cohort.layout, self.private)
        said = np.where(home, ground.genesis, own)
        shared, accepted = averaged(ground, who, said, inbox, self.rule)
        start = np.where(home, own, shared)
        learnt = ground.cohort.train(start, who, ground.training)
        best = kept(state, (start, judged(ground, start, who)), (learnt.best, learnt.error))
        published = np.where(home, ground.genesis, learnt.last)
        return {**state, "working": learnt.last, ACCEPTED: accepted, **best}, published

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, BEST)


def decoder(name: str) -> bool:
    """FedPer with a shared encoder: the decoder stays at home."""
    return name.startswith("decoder.")


def encoder(name: str) -> bool:
    """The other half."""
    return name.startswith("encoder.")


def biases(name: str) -> bool:
    """Every offset stays at home (as FedBN keeps what normalises, Li et al. 2021; this model has no such layers)."""
    return name.endswith(".bias")


def affine(name: str) -> bool:
    """The decoder's linear path stays at home: a person's own affine map to the log-mel bands."""
    return name.startswith("decoder.linear.")
