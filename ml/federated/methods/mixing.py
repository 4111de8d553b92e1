"""Fixed and slowly learnt mixtures of one's own weights with what peers sent: `w <- alpha own + (1 - alpha) theirs`.

A round is the node's: learn, mix, publish. Knows no rule beyond that it gives a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ml.federated.alpha import ALPHA, AlphaOptions, after_round
from ml.federated.cohort import Stack
from ml.federated.method import Ground, Inbox, Rule, State
from ml.federated.methods.lines import ACCEPTED, BEST, MEAN, begun, genesis, judged, kept, line, towards


@dataclass(frozen=True)
class Mixed:
    """`alpha` of one's own and the rest by the `rule`, every `every` rounds.

    `slack`: the mixture is taken only when it is at most this share worse on held-out speech than one's own weights;
    None takes it always. The node's default was alpha 0.7, the gate as the rule and a slack of 0.02.
    """

    alpha: float = 0.7
    every: int = 1
    rule: Rule = MEAN
    slack: float | None = None
    name: str = "mix 70/30"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return begun(ground, who, "working")

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        learnt = ground.cohort.train(line(state, "working"), who, ground.training)
        if number % self.every:
            best = kept(state, (learnt.best, learnt.error))
            return {**state, "working": learnt.last, ACCEPTED: np.zeros(len(who), np.int64), **best}, learnt.last
        step, accepted = towards(ground, who, learnt.last, inbox, self.rule)
        working = learnt.last + np.float32(1 - self.alpha) * step
        error = judged(ground, working, who)
        if self.slack is not None:
            own = judged(ground, learnt.last, who)
            refused = ~(error <= (1 + self.slack) * own)
            working[refused], error[refused], accepted[refused] = learnt.last[refused], own[refused], 0
        best = kept(state, (learnt.best, learnt.error), (working, error))
        return {**state, "working": working, ACCEPTED: accepted, **best}, working

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, BEST)


@dataclass(frozen=True)
class SlowlyMixed:
    """As `Mixed`, and each person's alpha goes slowly where held-out speech is better, within bounds: as
    `ml/federated/alpha.py` says, like the node's. Chosen anew every round, alpha would always run to one's own weights.
    """

    learning: AlphaOptions = field(default_factory=AlphaOptions)
    rule: Rule = MEAN
    name: str = "mix, alpha learnt slowly"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return {**begun(ground, who, "working"), ALPHA: np.full(len(who), self.learning.begins)}

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        learnt = ground.cohort.train(line(state, "working"), who, ground.training)
        step, accepted = towards(ground, who, learnt.last, inbox, self.rule)
        alpha = np.array(state[ALPHA], np.float64)
        working = learnt.last + (1 - alpha).astype(np.float32)[:, None] * step
        error = judged(ground, working, who)
        best = kept(state, (learnt.best, learnt.error), (working, error))
        some = np.flatnonzero(accepted)
        if len(some):
            people = np.asarray(who, np.int64)[some].tolist()
            beyond = learnt.last[some] + np.float32(1 - self.learning.probe) * step[some]
            own, probed = (judged(ground, stack, people) for stack in (learnt.last[some], beyond))
            alpha[some] = after_round(alpha[some], own, error[some], probed, self.learning)
        return {**state, "working": working, ALPHA: alpha, ACCEPTED: accepted, **best}, working

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, BEST)


@dataclass(frozen=True)
class DrawnOnce:
    """Local training alone, and at the end one step from the best checkpoint to what peers published, by a share."""

    share: float = 0.3
    rule: Rule = MEAN
    name: str = "local, drawn to the peers once"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        return {**begun(ground, who, "working"), "drawn": genesis(ground, who)}

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        learnt = ground.cohort.train(line(state, "working"), who, ground.training)
        best = kept(state, (learnt.best, learnt.error))
        own = line(best, BEST)
        step, accepted = towards(ground, who, own, inbox, self.rule)
        drawn = own + np.float32(self.share) * step
        return {**state, "working": learnt.last, "drawn": drawn, ACCEPTED: accepted, **best}, own

    def personal(self, state: State) -> Stack:  # noqa: D102
        return line(state, "drawn")
