"""What a node does by default, for many people at once: `node/methods/shared_prior.py` step by step.

Average one's own shared model with those that pass the gate: the prior. Learn the next shared model from there, and
the personal ones under a pull to it, and draw them back to it. That is `ml/federated/methods/hierarchical.py` with the
gate as its rule. The same around genesis is beside it, the control, for which peers are nothing; half way between both
may speak when it is better on held-out speech than what spoke before, and so may the control: nobody is judged worse
than that. A test runs real nodes beside it. Knows no network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt

from ml.federated.cohort import Cohort, Stack
from ml.federated.gate import MergeOptions, adopts, own_share
from ml.federated.gated import Gated
from ml.federated.method import Ground, Inbox, Rule, State
from ml.federated.methods.lines import ACCEPTED, BEST, ERROR, Errors, begun, genesis, judged, judged_start, line
from ml.federated.prior import drawn_back, half_way, prior_share, whole_way

AVERAGE = MergeOptions(average=True)
"""The gate's rule, with one's own model weighing no more than each accepted one."""


@dataclass(frozen=True)
class NodeDefault:
    """Lines as in the node: `shared` is published, `working` and `whole` are personal, `best` speaks.

    `whole` learns from the held-out speech too and speaks in the place of `working`, which is judged. `control`,
    `control_whole` and `alone` are the same around genesis; without `control` they are not there, and the personal
    line speaks as it is instead of half way to them. `rule` takes the place of the gate, to measure others by it
    (benchmarks/hostile.py).
    """

    options: MergeOptions = field(default_factory=lambda: AVERAGE)
    control: bool = True
    rule: Rule | None = None
    name: str = "node's default: shared prior, gated"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:
        """Everything is genesis."""
        state = begun(ground, who, "shared", "working", "whole", "twin")
        return {**(NodeAlone().begin(ground, who) if self.control else {}), **state}

    def round(self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int) -> tuple[State, Stack]:
        """As a node's round; `accepted` counts what had a part in the prior."""
        prior, error, accepted = self._prior(ground, who, line(state, "shared"), inbox)
        published = ground.cohort.train_last(prior, who, ground.training)
        working, whole, own = _personal(ground, who, prior, line(state, "working"), line(state, "whole"))
        after: dict[str, npt.NDArray[np.generic]] = {"shared": published, "working": working, "whole": whole}
        tried = [_Spoken(prior, prior, error), own]
        if self.control:
            alone, control = NodeAlone().learnt(ground, who, state)
            after |= alone
            tried[1:] = [*_half(ground, who, own, control), _Spoken.of(alone, *ALONE[2:])]
        best = _better(_Spoken.of(state, BEST, "twin", ERROR), *tried)
        return {**after, ACCEPTED: accepted, BEST: best.speaks, "twin": best.twin, ERROR: best.error}, published

    def personal(self, state: State) -> Stack:
        """What speaks."""
        return line(state, BEST)

    def twin(self, state: State) -> Stack:
        """What speaks was chosen by these, which have not seen the held-out speech."""
        return line(state, "twin")

    def judgement(self, state: State) -> Errors:
        """By which it was chosen."""
        return np.asarray(state[ERROR], np.float64)

    def _prior(
        self, ground: Ground, who: Sequence[int], shared: Stack, inbox: Inbox
    ) -> tuple[Stack, Errors, npt.NDArray[np.int64]]:
        """The prior, its errors on held-out speech, and how many had a part in it.

        It is everybody's: one's own shared model, which has just learnt from one's own speech, is mostly better there,
        and so is genesis what it must not be clearly worse than (docs/decisions/0008).
        """
        prior, error = shared.copy(), judged(ground, shared, who)
        with np.errstate(all="ignore"):
            if self.rule is None:
                known = np.where(ground.cohort.frames("held_out")[np.asarray(who, np.int64)] > 0, error, np.nan)
                taken = Gated(self.options).take(ground, who, shared, inbox, known)
            else:
                taken = self.rule.take(ground, who, shared, inbox)
        accepted = taken.accepted.sum(axis=1)
        shares = own_share(accepted, self.options)
        some = np.flatnonzero((accepted > 0) & (shares < 1))
        if len(some):
            merged = shared[some] + (1 - shares[some]).astype(np.float32)[:, None] * taken.step[some]
            reached = judged(ground, merged, np.asarray(who, np.int64)[some].tolist())
            start = judged_start(ground, who)
            good = adopts(np.maximum(error, start)[some], reached)
            prior[some[good]], error[some[good]] = merged[good], reached[good]
            accepted[some[~good]] = 0
        return prior, error, accepted


ALONE = ("control", "control_whole", "alone", "alone_twin", "alone_error")
"""The lines of the control, what would speak without peers, and what that is judged by."""


@dataclass(frozen=True)
class NodeAlone:
    """The node's control by itself: the personal lines around genesis, nobody heard.

    What peers add is what `NodeDefault` has more than this.
    """

    name: str = "node's default, around genesis alone"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:
        """Everything is genesis."""
        state = begun(ground, who, *ALONE[:4])
        return {**{name: state[name] for name in ALONE[:4]}, ALONE[4]: state[ERROR]}

    def round(self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int) -> tuple[State, Stack]:
        """Nothing is taken in, and what is published is for nobody."""
        after, _ = self.learnt(ground, who, state)
        return after, line(after, "control")

    def learnt(self, ground: Ground, who: Sequence[int], state: State) -> tuple[dict[str, Stack | Errors], _Spoken]:
        """The lines after a round, and what this round alone would let speak."""
        lines = line(state, "control"), line(state, "control_whole")
        working, whole, own = _personal(ground, who, genesis(ground, who), *lines)
        best = _better(_Spoken.of(state, *ALONE[2:]), own)
        return dict(zip(ALONE, (working, whole, best.speaks, best.twin, best.error), strict=True)), own

    def personal(self, state: State) -> Stack:
        """What would speak without peers."""
        return line(state, "alone")

    def twin(self, state: State) -> Stack:
        """As `NodeDefault.twin`."""
        return line(state, "alone_twin")

    def judgement(self, state: State) -> Errors:
        """As `NodeDefault.judgement`."""
        return np.asarray(state[ALONE[4]], np.float64)


@dataclass(frozen=True)
class _Spoken:
    """What might speak for people, the twins that it is judged by, and their errors on held-out speech."""

    speaks: Stack
    twin: Stack
    error: Errors

    @classmethod
    def of(cls, state: State, speaks: str, twin: str, error: str) -> Self:
        return cls(line(state, speaks), line(state, twin), np.asarray(state[error], np.float64))


def _better(*tried: _Spoken) -> _Spoken:
    """The best of each person; the earlier one wins a tie."""
    speaks, twin, error = tried[0].speaks.copy(), tried[0].twin.copy(), tried[0].error.copy()
    for one in tried[1:]:
        better = one.error < error
        speaks[better], twin[better], error[better] = one.speaks[better], one.twin[better], one.error[better]
    return _Spoken(speaks, twin, error)


def _half(ground: Ground, who: Sequence[int], own: _Spoken, control: _Spoken) -> tuple[_Spoken, _Spoken]:
    """What may speak of a round's lines: half way to the control, and the whole way of those with whom it is clearly
    better; with the others it has an infinite error."""
    twin = half_way(own.twin, control.twin)
    half = _Spoken(half_way(own.speaks, control.speaks), twin, judged(ground, twin, who))
    clear = whole_way(own.error, half.error)
    return half, _Spoken(own.speaks, own.twin, np.where(clear, own.error, np.inf))


def _personal(
    ground: Ground, who: Sequence[int], prior: Stack, working: Stack, whole: Stack
) -> tuple[Stack, Stack, _Spoken]:
    """A round of the personal lines around a prior: both of them, and what they are, drawn back to it."""

    def learnt(cohort: Cohort, start: Stack) -> tuple[Stack, Stack]:
        after = cohort.train_last(start, who, ground.training, prior)
        return after, drawn_back(after, prior, prior_share(cohort.frames()[list(who)]))

    (after, twin), (entire, speaks) = learnt(ground.cohort, working), learnt(ground.cohort.whole, whole)
    return after, entire, _Spoken(speaks, twin, judged(ground, twin, who))
