"""Fixed and slowly learnt mixtures of one's own weights with what peers sent: `w <- alpha own + (1 - alpha) theirs`.

A round is the node's: learn, mix, publish. Knows no rule beyond that it gives a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
    """As `Mixed`, and each person's alpha goes slowly where held-out speech is better, within bounds.

    Every round compares the mixtures with alpha `move` lower and higher; after `window` rounds alpha makes one move to
    the side that was better on the whole. Chosen anew every round, alpha would always run to one's own weights.
    """

    begins: float = 0.7
    least: float = 0.5
    most: float = 0.9
    move: float = 0.05
    window: int = 3
    rule: Rule = MEAN
    name: str = "mix, alpha learnt slowly"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:  # noqa: D102
        numbers = {"alpha": np.full(len(who), self.begins), "lean": np.zeros(len(who))}
        return {**begun(ground, who, "working"), **numbers}

    def round(  # noqa: D102
        self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int
    ) -> tuple[State, Stack]:
        learnt = ground.cohort.train(line(state, "working"), who, ground.training)
        step, accepted = towards(ground, who, learnt.last, inbox, self.rule)
        alpha, lean = np.array(state["alpha"], np.float64), np.array(state["lean"], np.float64)
        more, less = (
            judged(ground, learnt.last + (1 - alpha - side).astype(np.float32)[:, None] * step, who)
            for side in (self.move, -self.move)
        )
        finite = np.isfinite(more) & np.isfinite(less)
        lean[finite] += ((less - more) / less)[finite]
        if number % self.window == 0:
            alpha = np.clip(alpha + self.move * np.sign(lean), self.least, self.most)
            lean[:] = 0
        working = learnt.last + (1 - alpha).astype(np.float32)[:, None] * step
        best = kept(state, (learnt.best, learnt.error), (working, judged(ground, working, who)))
        return {**state, "working": working, "alpha": alpha, "lean": lean, ACCEPTED: accepted, **best}, working

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
