"""Chance that has no order: a number for (seed, purpose, round, person), whoever is asked first and in what company.

Counter-based, by the mixing function of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
generators"): whole columns of people at once, the same on every machine. Good enough to draw neighbours and delays by;
no cryptography. Knows nothing of what is drawn.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Many = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

_STEP = np.uint64(0x9E3779B97F4A7C15)


class Purpose(IntEnum):
    """What is drawn: every purpose has a stream of its own."""

    HOSTILE = 1
    AWAY = 2
    NEIGHBOURS = 3
    SPEED = 4
    LATENCY = 5
    UPLOAD = 6
    DOWNLOAD = 7
    SESSION = 8
    WORK = 9
    ATTACK = 10
    SAMPLE = 11


def uniform(seed: int, purpose: Purpose, number: int | Many, who: Many, count: int = 1) -> Numbers:
    """`[len(who), count]` in [0, 1): for each person `count` draws. `number` is a round, or one for each person."""
    with np.errstate(over="ignore"):
        key = _mix(np.full(len(who), seed % 2**63, np.uint64) * _STEP + np.uint64(int(purpose)))
        key = _mix(key + np.asarray(number).astype(np.uint64) * _STEP)
        key = _mix(key + np.asarray(who).astype(np.uint64) * _STEP)
        drawn = _mix(key[:, None] + np.arange(1, count + 1, dtype=np.uint64) * _STEP)
    return (drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53


def lognormal(seed: int, purpose: Purpose, number: int | Many, who: Many, spread: float) -> Numbers:
    """`[len(who)]` with the median 1; `spread` is the standard deviation of the logarithm. By Box and Muller (1958)."""
    one, other = uniform(seed, purpose, number, who, 2).T
    return np.asarray(np.exp(spread * np.sqrt(-2 * np.log1p(-one)) * np.cos(2 * np.pi * other)))


def _mix(value: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
