"""What a simulation found out: a row for each round, the end on speech that nobody has seen, and what it cost.

Plain values, ready for JSON, tables and plots. A gain is how much of the squared error of the shared start is gone, in
percent; "alone" are the same people with the same work and no peers. Knows nothing of how it came about or is shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Errors = npt.NDArray[np.float64]
"""Mean squared error per person, `[people]`; not a number for those who do not count."""

DECILE = 10.0


class Spread(msgspec.Struct, frozen=True):
    """How a gain in percent is spread over people: mean, median, worst decile, worst; and how many people that are."""

    mean: float
    median: float
    worst_decile: float
    worst: float
    people: int


class RoundRow(msgspec.Struct, frozen=True):
    """One round: gains on held-out speech; virtual and real seconds; bytes and messages of all people together."""

    number: int
    time: float
    gain: Spread
    alone: Spread | None
    worse_than_alone: float | None
    """Percent of the people whose model is worse than alone, on held-out speech."""
    online: int
    accepted: float | None
    """Share of the received models that had a part in a merge; None when the algorithm does not say."""
    messages: int
    sent: int
    seconds: float
    cpu_seconds: float


class Final(msgspec.Struct, frozen=True):
    """The end, on test speech that neither training nor any choice has seen."""

    rmse_db: float
    genesis_rmse_db: float
    gain: Spread
    alone: Spread | None
    worse_than_alone: float | None
    largest_loss: float | None
    """How much worse than alone the most unlucky person is, in percent of their error alone; at most 0 is nobody."""
    gains: list[float]
    """Of every person that counts, in order."""
    gains_alone: list[float]


class Outcome(msgspec.Struct, frozen=True):
    """A whole simulation."""

    settings: Mapping[str, Any]
    speech: str
    people: int
    hostile: int
    parameters: int
    rounds: list[RoundRow]
    final: Final | None
    """None while it is not at its end."""
    seconds_per_round: float
    cpu_ms_per_person_round: float
    bytes_per_person_round: float
    """Of those who were there for the round."""
    memory_mb: float
    version: str
    origin: Mapping[str, str] = {}
    """Command, code, machine and day, as `node.simulation.origin` says them; none in outcomes of earlier versions."""


def spread(gains: Errors) -> Spread:
    """Over the people whose gain is a number. With nobody, everything is 0."""
    known = gains[np.isfinite(gains)]
    if not len(known):
        return Spread(0.0, 0.0, 0.0, 0.0, 0)
    tenth = float(np.percentile(known, DECILE))
    worst = float(known[known <= tenth].mean())
    return Spread(float(known.mean()), float(np.median(known)), worst, float(known.min()), len(known))


def gains(errors: Errors, before: Errors) -> Errors:
    """Percent of the squared error that is gone, `[people]`."""
    with np.errstate(all="ignore"):
        found: Errors = 100 * (1 - errors / before)
    return found


def worse(errors: Errors, alone: Errors, slack: float = 1e-9) -> float:
    """Percent of the people with a larger error than alone."""
    both = np.isfinite(errors) & np.isfinite(alone)
    if not both.any():
        return 0.0
    return 100 * float((errors[both] > alone[both] * (1 + slack)).mean())


def largest_loss(errors: Errors, alone: Errors) -> float:
    """How much worse than alone the most unlucky person is, in percent; negative when everybody is better."""
    both = np.isfinite(errors) & np.isfinite(alone)
    return 100 * float((errors[both] / alone[both] - 1).max()) if both.any() else 0.0
