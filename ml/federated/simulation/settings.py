"""What a simulation is asked: who meets whom, who is away, who is hostile; and what it tells of a round.

Only definitions; knows nothing of methods.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ml.federated.simulation.traces import Traces

Topology = Literal["gossip", "ring", "full", "mean"]
"""gossip: `received` random others who are there, anew each round (peer sampling). ring: the nearest `received` on a
ring. full: everybody else. mean: the average of all others who are there, as one model of the sender -1 (as a server
would give it, less one's own)."""

MOST_IN_FULL = 128
"""People up to whom everybody may hear everybody."""


@dataclass(frozen=True)
class SimulationSettings:
    """What happens is drawn from `seed`; `chunk` and `threads` change no bit of it."""

    rounds: int = 10
    topology: Topology = "gossip"
    received: int = 3
    """Models per person and round."""
    churn: float = 0.0
    """Share of people who are away in a round, drawn anew for each."""
    hostile: float = 0.0
    """Share of people who publish what the attack forges."""
    seed: int = 0
    interval: float = 600.0
    """Virtual seconds from round to round: who is not done by then misses a round. 0: everybody waits for the last."""
    traces: Traces | None = field(default=None)
    """How quick and how often there people are; None: work and messages take no time, and only churn is away."""
    measure_every: int = 1
    """Rounds between two measurements of everybody's error."""
    chunk: int = 64
    """People worked on at a time."""
    threads: int = 1
    disk: Path | None = None
    """A folder whose disk holds everybody's models in place of memory, in files that are gone with the simulation."""

    def __post_init__(self) -> None:
        """Raises ValueError for settings that make no sense."""
        if self.topology not in get_args(Topology):
            raise ValueError(f"there is no topology {self.topology!r}, only {', '.join(get_args(Topology))}")
        for name, least in (("rounds", 0), ("received", 0), ("measure_every", 1), ("chunk", 1), ("threads", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, and must be at least {least}")
        for name in ("churn", "hostile"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, not {getattr(self, name)}")
        if not self.interval >= 0:
            raise ValueError(f"interval is {self.interval}, and must be at least 0 seconds")


@dataclass(frozen=True)
class RoundFacts:
    """One round of everybody."""

    number: int
    time: float
    """Virtual seconds at the end of the round."""
    errors: npt.NDArray[np.float64]
    """`[people]`: mean squared error of what speaks for each person on their held-out speech, natural log squared. Not
    a number for hostile people, for people without such speech, and in rounds in which nothing is measured."""
    sent: int
    """Bytes that went from person to person in this round: the messages times the mean size of some real ones."""
    messages: int
    """Models that arrived."""
    online: int
    """People who took part."""
    accepted: float
    """Share of the arrived models that had a part in a merge. Not a number when the method does not say or nothing
    arrived: a method says so by an array `accepted` `[people]` in its state, how many it took in its last round."""
