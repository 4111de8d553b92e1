"""A block as one class and small integers, chosen for the least error at their price in bits.

Every class of blocks (silence, onset, vowel ...) has its own mean and its own size for each coefficient. The encoder
takes the class that costs least; then each integer is rounded, or one nearer to 0 when that saves more bits than it
adds error (rate-distortion optimised quantisation, as video coders do). Knows nothing of bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.voice.codec.blocks import Bands
from ml.voice.codec.codebook import LEVELS, LOWEST, MAGNITUDES, Codebook, step_size

PRICE = 0.12
"""Error, in squared steps, that a bit is worth: about 2 ln 2 / 12, what a bit buys at high rates."""
LARGEST = MAGNITUDES + 4095

Coefficients = npt.NDArray[np.float32]
"""`[blocks, 160]`."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """Classes `[blocks]`, integers `[blocks, 160]` (0 where nothing is coded), and about how many bits they cost."""

    classes: npt.NDArray[np.int32]
    integers: npt.NDArray[np.int32]
    bits: npt.NDArray[np.float32]


def analyse(codebook: Codebook, bands: Bands) -> Coefficients:
    """Coefficients of bands `[blocks, 8, 80]`."""
    return np.asarray(np.einsum("njm,jm->nj", (bands - codebook.mean)[:, codebook.band], codebook.basis), np.float32)


def synthesise(codebook: Codebook, coefficients: Coefficients) -> Bands:
    """Bands `[blocks, 8, 80]` of coefficients."""
    bands = np.broadcast_to(codebook.mean, (len(coefficients), *codebook.mean.shape)).copy()
    for band in np.unique(codebook.band):
        here = codebook.band == band
        bands[:, band] += coefficients[:, here] @ codebook.basis[here]
    return bands


def levels(codebook: Codebook, step: int) -> npt.NDArray[np.int32]:
    """Row of the tables for each class and coefficient `[8, 160]`; negative: not coded."""
    return np.minimum(codebook.scale - step - LOWEST, LEVELS - 1)


def choose(codebook: Codebook, coefficients: Coefficients, step: int) -> Chosen:
    """Class and integers of each block at a step index."""
    size, level = np.float32(step_size(step)), levels(codebook, step)
    coded = level >= 0
    total = np.empty((len(coefficients), len(level)), np.float32)
    for number, rows in enumerate(level):
        there = coded[number]
        ratio = np.abs(coefficients - codebook.shift[number]) / size
        whole = np.minimum(np.floor(ratio[:, there] + np.float32(0.4)), MAGNITUDES).astype(np.int32)
        bits = codebook.bits[rows[there], whole + MAGNITUDES]
        left = np.square(ratio).sum(axis=1) - np.square(ratio[:, there]).sum(axis=1)
        left += np.square(ratio[:, there] - whole + codebook.inward[rows[there], whole]).sum(axis=1)
        total[:, number] = codebook.prior_bits[number] + bits.sum(axis=1) + left / PRICE
    classes = total.argmin(axis=1).astype(np.int32)
    integers, bits = _round(codebook, coefficients, classes, step)
    return Chosen(classes, integers, bits + codebook.prior_bits[classes])


def restore(
    codebook: Codebook, classes: npt.NDArray[np.int32], integers: npt.NDArray[np.int32], step: int
) -> Coefficients:
    """Coefficients of classes and integers."""
    rows = np.maximum(levels(codebook, step)[classes], 0)
    magnitude = np.abs(integers)
    inward = codebook.inward[rows, np.minimum(magnitude, MAGNITUDES)]
    return codebook.shift[classes] + np.sign(integers) * (magnitude - inward) * np.float32(step_size(step))


def _round(
    codebook: Codebook, coefficients: Coefficients, classes: npt.NDArray[np.int32], step: int
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
    rows = levels(codebook, step)[classes]
    coded, rows = rows >= 0, np.maximum(rows, 0)
    offset = (coefficients - codebook.shift[classes]) / np.float32(step_size(step))
    ratio = np.abs(offset)
    high = np.minimum(np.round(ratio), LARGEST).astype(np.int32)
    prices = []
    for magnitude in (high, np.maximum(high - 1, 0)):
        clipped = np.minimum(magnitude, MAGNITUDES)
        bits = codebook.bits[rows, clipped + MAGNITUDES] + 12 * (clipped == MAGNITUDES)
        prices.append((np.square(ratio - magnitude + codebook.inward[rows, clipped]) + PRICE * bits, bits))
    lower = prices[1][0] < prices[0][0]
    magnitude = np.where(coded, np.where(lower, np.maximum(high - 1, 0), high), 0)
    bits = np.where(coded, np.where(lower, prices[1][1], prices[0][1]), 0).sum(axis=1)
    return (np.sign(offset) * magnitude).astype(np.int32), bits.astype(np.float32)
