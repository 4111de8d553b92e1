"""How many bytes a simulation holds of each person: to know before it begins whether so many people fit.

Knows nothing of how much there is.
"""

from __future__ import annotations

from ml.federated.method import Ground, Method
from ml.federated.simulation.settings import SimulationSettings

WAITING = 0.4
"""Share of everybody's publications that wait in memory for late readers, at most, where others are heard at random."""


def lines(ground: Ground, method: Method) -> int:
    """Bytes of what the method keeps of one person of this ground between rounds."""
    return sum(array.nbytes for array in method.begin(ground, [0]).values())


def publication(ground: Ground, settings: SimulationSettings) -> int:
    """Bytes of what one person published last; none where nobody hears anybody."""
    return ground.genesis.nbytes if hears(settings) else 0


def hears(settings: SimulationSettings) -> bool:
    """Whether anybody hears anybody."""
    return settings.topology != "gossip" or settings.received > 0
