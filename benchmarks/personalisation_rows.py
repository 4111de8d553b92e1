"""What benchmarks/personalisation.py compares: every way of learning, its tuned numbers, and how they were found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Cohort, Stack
from ml.federated.method import Ground, Inbox, Method, Rule, State
from ml.federated.methods.hierarchical import Hierarchical
from ml.federated.methods.lines import ACCEPTED, BEST, MEAN, begun, genesis, judged, kept, line, towards
from ml.federated.methods.table import ALONE, METHODS, TOGETHER
from ml.voice.training import TrainOptions

RATES, PULLS = (3e-4, 1e-3), (1.0, 25.0)
"""What every row was tried with: four runs each, of the same 12 people, 8 rounds, judged by held-out speech."""

TUNED: Mapping[str, tuple[float, float]] = {
    "local": (0.0003, 1),
    "return-once": (0.0003, 1),
    "return-each": (0.001, 1),
    "return-chosen": (0.0003, 1),
    "map": (0.0003, 1),
    "fedavg": (0.0003, 1),
    "fedavg-fine": (0.0003, 1),
    "mix50": (0.001, 1),
    "mix70": (0.001, 1),
    "mix90": (0.0003, 1),
    "mix70-third": (0.0003, 1),
    "mix-slow": (0.0003, 1),
    "drawn-once": (0.0003, 1),
    "mix70-gate": (0.001, 1),
    "ditto": (0.0003, 1),
    "apfl": (0.0003, 1),
    "fedper": (0.0003, 1),
    "fedper-decoder": (0.0003, 1),
    "biases": (0.0003, 1),
    "affine": (0.0003, 1),
    "fedala": (0.0003, 1),
    "hierarchical": (0.0003, 1),
    "control": (0.0003, 1),
}
"""Rate and pull of each row, as `python benchmarks/personalisation.py --tune` found them."""


@dataclass(frozen=True)
class MixedEntire:
    """A fixed mixture with the default's twin: what speaks has learnt from all speech, for as many rounds as were best
    for the line that has not seen what is held out."""

    whole: Cohort
    alpha: float
    rule: Rule = MEAN
    name: str = "mix, all speech"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:
        return begun(ground, who, "working", "whole")

    def round(self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int) -> tuple[State, Stack]:
        learnt = ground.cohort.train(line(state, "working"), who, ground.training).last
        entire = self.whole.train(line(state, "whole"), who, ground.training).last
        step, accepted = towards(ground, who, learnt, inbox, self.rule)
        mixed = learnt + np.float32(1 - self.alpha) * step
        mixed_entire = entire + np.float32(1 - self.alpha) * towards(ground, who, entire, inbox, self.rule)[0]
        best = kept(state, (entire, judged(ground, learnt, who)), (mixed_entire, judged(ground, mixed, who)))
        return {**state, "working": mixed, "whole": mixed_entire, ACCEPTED: accepted, **best}, mixed

    def personal(self, state: State) -> Stack:
        return line(state, BEST)


@dataclass(frozen=True)
class DrawnOnceEntire:
    """`DrawnOnce` with the same twin. What it publishes has learnt from all speech too."""

    whole: Cohort
    share: float = 0.3
    rule: Rule = MEAN
    name: str = "local, drawn to the peers once, all speech"

    def begin(self, ground: Ground, who: Sequence[int]) -> State:
        return {**begun(ground, who, "working", "whole"), "drawn": genesis(ground, who)}

    def round(self, ground: Ground, who: Sequence[int], state: State, inbox: Inbox, number: int) -> tuple[State, Stack]:
        learnt = ground.cohort.train(line(state, "working"), who, ground.training)
        entire = self.whole.train(line(state, "whole"), who, ground.training).last
        best = kept(state, (entire, learnt.error))
        own = line(best, BEST)
        step, accepted = towards(ground, who, own, inbox, self.rule)
        drawn = own + np.float32(self.share) * step
        return {**state, "working": learnt.last, "whole": entire, "drawn": drawn, ACCEPTED: accepted, **best}, own

    def personal(self, state: State) -> Stack:
        return line(state, "drawn")


@dataclass(frozen=True)
class Row:
    """One way of learning. `make` is given the same people with nothing held out; `tuned_as` lends its numbers."""

    key: str
    make: Callable[[Callable[[], Cohort]], Method]
    peers: bool
    tuned_as: str

    def training(self) -> TrainOptions:
        """One epoch a round."""
        rate, pull = TUNED.get(self.tuned_as, (RATES[0], PULLS[1]))
        return TrainOptions(epochs=1, rate=rate, pull=pull)


def _named(key: str) -> Row:
    return Row(key, lambda whole: METHODS[key], key in TOGETHER, key)


CONTROL = Row("control", lambda whole: Hierarchical(False, whole()), False, "control")
OURS = Row("ours", lambda whole: Hierarchical(whole=whole()), True, "hierarchical")
"""The default: as `hierarchical`, but with all speech in the end. Its control is the same without peers, tuned for
itself; the difference is what the peers add."""

NODES = ("node", "node-alone", "node-mix", "node-mix-auto")
"""What real nodes do, with gate and control: `ours`, `control` and `mix70-gate` are their rows here."""

FIRST = Row("ours-n", lambda whole: Hierarchical(whole=whole(), least=0.0), True, "hierarchical")
"""Ours without a least length of the step back: the form that was proposed first."""
HALF = Row("ours-half", lambda whole: Hierarchical(whole=whole(), weight=0.5), True, "hierarchical")
"""Ours with half of the prior from oneself, however many models came."""

FAIR = (
    Row("mix70-whole", lambda whole: MixedEntire(whole(), 0.7), True, "mix70"),
    Row("mix90-whole", lambda whole: MixedEntire(whole(), 0.9), True, "mix90"),
    Row("drawn-once-whole", lambda whole: DrawnOnceEntire(whole()), True, "drawn-once"),
)
"""The strongest rivals with all speech, as ours has it; tuned as the rows without."""

ROWS: tuple[Row, ...] = (
    *(_named(key) for key in ALONE if key not in NODES),
    CONTROL,
    *(_named(key) for key in TOGETHER if key not in NODES),
    *FAIR,
    FIRST,
    OURS,
)
OTHER_RATES = (
    Row("mix70-slow", lambda whole: METHODS["mix70"], True, "hierarchical"),
    Row("control-fast", lambda whole: Hierarchical(False, whole()), False, "mix70"),
    Row("ours-fast", lambda whole: Hierarchical(whole=whole()), True, "mix70"),
)
"""Each with the rate of the other, for a weak start: 0.0003 and 0.001."""

BY_KEY: Mapping[str, Row] = {row.key: row for row in (*ROWS, HALF, *OTHER_RATES)}
