"""Ditto (Li, Hu, Beirami and Smith 2021): a shared model for all, and a personal one that is pulled towards it.

Twice the work of local training. Knows no rule beyond that it gives a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Rule, State
from ml.federated.methods.lines import ACCEPTED, BEST, MEAN, averaged, begun, judged, kept, line


@dataclass(frozen=True)
class Ditto:
    """The shared line is FedAvg's; the personal one is trained with the options' pull towards it."""

    shared_pull: float = 0.0
    """The shared line's own pull to where its round began."""
    rule: Rule = MEAN
    name: str = "Ditto"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return begun(ground, who, "shared", "working")

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        shared, accepted = averaged(ground, who, line(state, "shared"), inbox, self.rule)
        published = ground.cohort.train(shared, who, replace(ground.training, pull=self.shared_pull)).last
        learnt = ground.cohort.train(line(state, "working"), who, ground.training, shared)
        best = kept(state, (shared, judged(ground, shared, who)), (learnt.best, learnt.error))
        return {**state, "shared": published, "working": learnt.last, ACCEPTED: accepted, **best}, published

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, BEST)
