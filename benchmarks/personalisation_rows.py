"""What benchmarks/personalisation.py compares: every way of learning, its tuned numbers, and how they were found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ml.federated.cohort import Cohort
from ml.federated.method import Method
from ml.federated.methods.hierarchical import Hierarchical
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

NODES = ("node", "node-alone", "node-mix")
"""What real nodes do, with gate and control: `ours`, `control` and `mix70-gate` are their rows here."""

ROWS: tuple[Row, ...] = (
    *(_named(key) for key in ALONE if key not in NODES),
    CONTROL,
    *(_named(key) for key in TOGETHER if key not in NODES),
    OURS,
)
BY_KEY: Mapping[str, Row] = {row.key: row for row in ROWS}
