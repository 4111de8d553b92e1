"""Whole random numbers of the discrete Gaussian distribution, drawn exactly from the system's cryptographic source.

Canonne, Kamath and Steinke 2020 ("The Discrete Gaussian for Differential Privacy", algorithms 1 to 3). Noise made of
floating-point numbers betrays what it hides by its last bits (Mironov 2012); here every step is arithmetic on whole
numbers. What is left: candidates beyond `FARTHEST` deviations are never given, which moves the distribution by less
than 2^-1000, and how long the drawing takes depends on the noise (not on what is hidden). Knows no budgets or models.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Source = Callable[[int], bytes]
"""So many bytes that nobody can foresee."""

Whole = npt.NDArray[np.int64]

LARGEST_DEVIATION = 4096
"""Above it the whole numbers of the algorithm would not fit into 64 bits."""

FARTHEST = 40
"""Deviations."""


def discrete_gaussian(count: int, deviation: int, source: Source = os.urandom) -> Whole:
    """`count` independent whole numbers, each k with probability in proportion to exp(-k^2 / (2 deviation^2)).

    The noise hides a whole-valued query of L2 sensitivity s as well as continuous noise of the same deviation would:
    its Renyi divergence of order a is at most a s^2 / (2 deviation^2) (Canonne et al., proposition 5). Raises
    ValueError for a deviation outside 1 to `LARGEST_DEVIATION`.
    """
    if not 1 <= deviation <= LARGEST_DEVIATION:
        raise ValueError(f"the deviation must be 1 to {LARGEST_DEVIATION} steps, not {deviation}")
    scale = deviation + 1
    found = np.empty(0, np.int64)
    while len(found) < count:
        candidates = _laplace(2 * (count - len(found)) + 16, scale, source)
        size = np.abs(candidates)
        near = size <= FARTHEST * deviation
        candidates, size = candidates[near], size[near]
        top = np.square(size * scale - deviation * deviation)
        bottom = np.full(len(size), 2 * deviation * deviation * scale * scale, np.int64)
        found = np.concatenate([found, candidates[_exponential(top, bottom, source)]])
    return found[:count]


def _laplace(count: int, scale: int, source: Source) -> Whole:
    """At most `count` whole numbers of the discrete Laplace distribution: k in proportion to exp(-|k| / scale)."""
    low = _below(np.full(count, scale, np.int64), source)
    low = low[_exponential(low, np.full(count, scale, np.int64), source)]
    high = np.zeros(len(low), np.int64)
    going = np.arange(len(low))
    while len(going):
        ones = np.ones(len(going), np.int64)
        going = going[_exponential(ones, ones, source)]
        high[going] += 1
    size = low + scale * high
    negative = _below(np.full(len(size), 2, np.int64), source) == 1
    kept = ~(negative & (size == 0))
    signed: Whole = np.where(negative, -size, size)[kept]
    return signed


def _exponential(top: Whole, bottom: Whole, source: Source) -> npt.NDArray[np.bool_]:
    """True with probability exp(-top / bottom), element by element."""
    result = np.ones(len(top), bool)
    wholes = top // bottom
    while (going := np.flatnonzero(result & (wholes > 0))).size:
        ones = np.ones(len(going), np.int64)
        result[going] = _small_exponential(ones, ones, source)
        wholes[going] -= 1
    going = np.flatnonzero(result)
    result[going] = _small_exponential((top % bottom)[going], bottom[going], source)
    return result


def _small_exponential(top: Whole, bottom: Whole, source: Source) -> npt.NDArray[np.bool_]:
    """True with probability exp(-top / bottom), for fractions of 0 to 1."""
    turns = np.ones(len(top), np.int64)
    going = np.arange(len(top))
    while len(going):
        going = going[_below(bottom[going] * turns[going], source) < top[going]]
        turns[going] += 1
    odd: npt.NDArray[np.bool_] = turns % 2 == 1
    return odd


def _below(limits: Whole, source: Source) -> Whole:
    """A number from 0 to each limit - 1, all equally likely."""
    masks = limits - 1
    for shift in (1, 2, 4, 8, 16, 32):
        masks = masks | masks >> shift
    result = np.empty(len(limits), np.int64)
    going = np.arange(len(limits))
    while len(going):
        drawn = np.frombuffer(source(8 * len(going)), "<i8") & masks[going]
        fits = drawn < limits[going]
        result[going[fits]] = drawn[fits]
        going = going[~fits]
    return result
