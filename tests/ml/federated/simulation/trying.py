"""What the engines of a simulation are tried with: the least piece of work, and what two runs are compared by."""

from __future__ import annotations

from typing import Any

import numpy as np

from ml.federated.simulation import Simulation
from ml.federated.simulation.work import Turn


def bits(made: Simulation, facts: list[Any]) -> tuple[Any, ...]:
    """Everything that a run came to, and said of its rounds."""
    said = [(one.errors.tobytes(), str((one.time, one.sent, one.messages, one.online, one.accepted))) for one in facts]
    return made.personal().tobytes(), said


def simple(chunk: np.ndarray) -> Turn:
    """A turn of these people, in which there is nothing to do."""
    return Turn(1, 0, chunk, {}, None, None, None, True, (), False)  # type: ignore[arg-type]
