"""A control that needs no run of its own: the default keeps it for every person, beside what it learns with peers.

`NodeDefault` trains the same lines around genesis as its control would, on the same speech with the same seeds: where
the same people are there in the same rounds, it is the same to the last bit. So it is read, and two trainings of seven
are saved. Knows nothing of files or reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.method import Method
from ml.federated.methods.node_default import ALONE, NodeAlone, NodeDefault
from ml.federated.simulation import Simulation, SimulationSettings
from node.simulation.outcome import Errors


def keeps_control(method: Method, settings: SimulationSettings) -> bool:
    """Whether a simulation of this method holds its own control. Where messages take time, who sends none has more
    rounds: then it does not."""
    return isinstance(method, NodeDefault) and method.control and settings.traces is None


@dataclass(frozen=True)
class Within:
    """The control in a simulation of the default."""

    main: Simulation
    control: NodeAlone

    def errors(self) -> Errors:
        """Everybody's errors on held-out speech after the last round; not a number for who has none."""
        held_out = self.main.ground.cohort.frames("held_out") > 0
        return np.where(held_out, self.control.judgement(self.main.state), np.nan)

    def personal(self, who: Sequence[int] | None = None) -> Stack:
        """What would speak for these people without peers, `[people, parameters]`."""
        chosen = np.arange(len(self.main.ground.cohort)) if who is None else np.asarray(who, np.int64)
        return self.control.personal({name: self.main.state[name][chosen] for name in ALONE})
