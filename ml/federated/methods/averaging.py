"""One model for all: FedAvg (McMahan et al. 2017) without a server, everybody averaging what they received.

A round is average, learn, publish. Knows no rule beyond that it gives a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Rule, State
from ml.federated.methods.lines import ACCEPTED, BEST, MEAN, averaged, begun, judged, kept, line


@dataclass(frozen=True)
class Averaged:
    """The best of the averages on one's own held-out speech speaks for a person.

    `alone_from` is the round from which nobody listens any more and everybody trains on alone (fine-tuning, as many
    steps in all): with 1 it would be local training, with None it never comes.
    """

    alone_from: int | None = None
    rule: Rule = MEAN
    name: str = "FedAvg"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return begun(ground, who, "working")

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        shared, accepted = averaged(ground, who, line(state, "working"), inbox, self.rule)
        fine = self.alone_from is not None and number >= self.alone_from
        if fine and number != self.alone_from:
            shared, accepted = line(state, "working"), accepted * 0
        learnt = ground.cohort.train(shared, who, ground.training)
        tried = [(shared, judged(ground, shared, who))] if number > 1 else []
        if fine:
            tried.append((learnt.best, learnt.error))
        return {**state, "working": learnt.last, ACCEPTED: accepted, **kept(state, *tried)}, learnt.last

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, BEST)
