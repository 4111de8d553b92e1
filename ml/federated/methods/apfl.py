"""APFL (Deng, Kamani and Mahdavi 2020): what speaks for a person is a mixture of a shared and a personal model.

Both are trained, the personal one through the mixture, and so is the share. Knows no rule beyond that it gives a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Rule, State
from ml.federated.methods.lines import ACCEPTED, BEST, MEAN, Numbers, averaged, begun, judged, kept, line

_NEARBY = 0.05


@dataclass(frozen=True)
class Apfl:
    """`begins` is the personal model's share at first, `move` the most that a round changes it by.

    Adam's steps do not know the scale of a gradient, so training the personal model through the mixture is training
    the mixture; the shared model stands still meanwhile, where the paper moves both at once. The share goes where the
    error on the training speech falls, by a central difference.
    """

    begins: float = 0.7
    move: float = 0.05
    rule: Rule = MEAN
    name: str = "APFL"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return {**begun(ground, who, "shared", "personal"), "share": np.full(len(who), self.begins)}

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        shared, accepted = averaged(ground, who, line(state, "shared"), inbox, self.rule)
        published = ground.cohort.train(shared, who, ground.training).last
        share, own = np.array(state["share"], np.float64), line(state, "personal")
        start = _mixture(own, shared, share)
        learnt = ground.cohort.train(start, who, ground.training)
        own = own + (learnt.last - start) / share.astype(np.float32)[:, None]
        high, low = (
            ground.cohort.errors(_mixture(own, published, share + side), who, "train") for side in (_NEARBY, -_NEARBY)
        )
        share = np.clip(share + self.move * np.sign(low - high), 0.1, 1.0)
        mixed = _mixture(own, published, share)
        best = kept(state, (learnt.best, learnt.error), (mixed, judged(ground, mixed, who)))
        return (
            {**state, "shared": published, "personal": own, "share": share, ACCEPTED: accepted, **best},
            published,
        )

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, BEST)


def _mixture(own: Stack, shared: Stack, share: Numbers) -> Stack:
    return shared + share.astype(np.float32)[:, None] * (own - shared)
