"""Who hears whom in a round. Knows nothing of models; every person's neighbours are drawn without asking the others."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ml.federated.simulation.chance import Many, Purpose, uniform
from ml.federated.simulation.settings import MOST_IN_FULL, SimulationSettings

NOBODY = -1


def neighbours(settings: SimulationSettings, number: int, who: Many, there: npt.NDArray[np.bool_]) -> Many:
    """Whom these people hear in round `number`, `[len(who), K]`; `NOBODY` where the other is away.

    `there` `[people]` says who takes part, and all of `who` do. For the topology "mean" K is 0: there is no single
    other. Raises ValueError when everybody is to hear everybody and they are too many.
    """
    people = len(there)
    if settings.topology == "gossip":
        return _gossip(settings, number, who, np.flatnonzero(there))
    if settings.topology == "ring":
        count = min(settings.received, people - 1)
        places = np.array([(at // 2 + 1) * (-1) ** at for at in range(count)], np.int64)
        found = (np.asarray(who)[:, None] + places[None, :]) % people
    elif settings.topology == "full":
        if people > MOST_IN_FULL:
            raise ValueError(f"{people} people are too many to hear everybody: at most {MOST_IN_FULL}")
        found = np.tile(np.arange(people - 1), (len(who), 1))
        found += found >= np.asarray(who)[:, None]
    else:
        found = np.zeros((len(who), 0), np.int64)
    return np.where(there[found], found, NOBODY) if found.size else found


def _gossip(settings: SimulationSettings, number: int, who: Many, there: Many) -> Many:
    """Distinct others of those who are there, all sets alike likely: the sampling of Floyd (Bentley and Floyd 1987)."""
    others = len(there) - 1
    count = max(0, min(settings.received, others))
    drawn = uniform(settings.seed, Purpose.NEIGHBOURS, number, np.asarray(who), count)
    chosen = np.empty((len(who), count), np.int64)
    for at, last in enumerate(range(others - count, others)):
        one = np.floor(drawn[:, at] * (last + 1)).astype(np.int64)
        taken = (chosen[:, :at] == one[:, None]).any(axis=1)
        chosen[:, at] = np.where(taken, last, one)
    own = np.searchsorted(there, who)[:, None]
    return there[chosen + (chosen >= own)]
