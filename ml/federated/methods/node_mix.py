"""What a node does with `[train] method = "mix"`, for many people at once: `node/methods/mix.py` step by step.

Learn and take the best epoch on held-out speech; merge what came by the gate; go on from the mixture unless it is
clearly worse; publish what is gone on from. A test runs real nodes beside it. Knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ml.federated.alpha import ALPHA, AlphaOptions, after_round
from ml.federated.cohort import Stack
from ml.federated.gate import MergeOptions, adopts
from ml.federated.gated import Gated
from ml.federated.method import Ground, Inbox, Rule, State
from ml.federated.methods.lines import judged_start, kept
from ml.federated.span import span

_Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NodeMix:
    """Three lines as in the node: `working` goes on, `alone` is trained alike and never merged, `best` speaks.

    Without `control` there is no line `alone`: half the work, and `best` may be a little worse than a node's. With
    `learning`, as `[train] alpha = "auto"`, everybody has an alpha of their own, and that of the options means nothing.
    `rule` takes the place of the gate, to measure others by it.
    """

    options: MergeOptions = field(default_factory=MergeOptions)
    control: bool = True
    name: str = "node, mixing 70/30"
    learning: AlphaOptions | None = None
    rule: Rule | None = None

    def begin(self, ground: Ground, who: Sequence[int]) -> State:
        """Everything is genesis."""
        start = np.repeat(ground.genesis[None], len(who), axis=0)
        lines: dict[str, npt.NDArray[np.generic]] = {"working": start, "best": start.copy()}
        if self.control:
            lines["alone"] = start.copy()
        if self.learning is not None:
            lines[ALPHA] = np.full(len(who), self.learning.begins)
        return {**lines, "error": judged_start(ground, who), "accepted": np.zeros(len(who), np.int64)}

    def round(self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int) -> tuple[State, Stack]:
        """As a node's round; `accepted` counts what had a part in weights that were gone on from."""
        learnt = ground.cohort.train(np.asarray(state["working"], np.float32), who, ground.training)
        working, error = learnt.best, learnt.error.copy()
        people = np.asarray(who, np.int64)
        known = np.where(ground.cohort.frames("held_out")[people] > 0, error, np.nan)
        if self.rule is None:
            taken = Gated(self.options).take(ground, who, learnt.best, inbox, known)
        else:
            taken = self.rule.take(ground, who, learnt.best, inbox)
        accepted = taken.accepted.sum(axis=1)
        some = np.flatnonzero(accepted)
        alpha = self._alpha(state, len(who))
        if len(some) and (alpha[some] < 1).all():
            own, step = learnt.best[span(some)], taken.step[span(some)]
            mixed = (1 - alpha[some]).astype(np.float32)[:, None] * step
            mixed += own
            reached = _judged(ground, mixed, people[some].tolist())
            if self.learning is not None:
                beyond = own + np.float32(1 - self.learning.probe) * step
                probed = _judged(ground, beyond, people[some].tolist())
                alpha[some] = after_round(alpha[some], learnt.error[some], reached, probed, self.learning)
            good = adopts(error[some], reached)
            working = learnt.best.copy()
            for at, row in zip(some[good], np.flatnonzero(good), strict=True):
                working[at] = mixed[row]
            error[some[good]] = reached[good]
            accepted[some[~good]] = 0
        after: dict[str, npt.NDArray[np.generic]] = {"working": working, "accepted": accepted}
        if self.learning is not None:
            after[ALPHA] = alpha
        tried = [(working, error), (learnt.best, learnt.error)]
        if self.control:
            alone = ground.cohort.train(np.asarray(state["alone"], np.float32), who, ground.training)
            after["alone"] = alone.best
            tried.append((alone.best, alone.error))
        return {**after, **kept(state, *tried)}, working

    def _alpha(self, state: State, people: int) -> _Numbers:
        if self.learning is None:
            return np.full(people, self.options.alpha)
        return np.array(state[ALPHA], np.float64)

    def personal(self, state: State) -> Stack:
        """The best on held-out speech of all that there ever was."""
        return np.asarray(state["best"], np.float32)

    def judgement(self, state: State) -> _Numbers:
        """The error of these on held-out speech, by which they were chosen."""
        return np.asarray(state["error"], np.float64)


def _judged(ground: Ground, stack: Stack, who: Sequence[int]) -> _Numbers:
    """Errors on held-out speech; where nothing is held out, on the training speech, as `Cohort.train` says them."""
    found = ground.cohort.errors(stack, who)
    people = np.asarray(who, np.int64)
    bare = np.flatnonzero(ground.cohort.frames("held_out")[people] == 0)
    if len(bare):
        found[bare] = ground.cohort.errors(stack[bare], people[bare].tolist(), "train")
    return found
