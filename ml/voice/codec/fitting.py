"""Codebooks from speech, in closed form: a first one from many voices, and one's own from a prior and a little speech.

The basis is the Karhunen-Loeve transform of blended second moments; rows go to the coefficients in time that have the
most variance. Classes of blocks are found as k-means finds clusters, with bits as the distance (entropy-constrained
classes, after Chou, Lookabaugh and Gray 1989). Knows nothing of who gave the moments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.audio.logmel import MELS, LogMel
from ml.voice.codec.blocks import FRAMES, Bands
from ml.voice.codec.codebook import (
    CLASSES,
    COEFFICIENTS,
    LEVELS,
    LOWEST,
    MAGNITUDES,
    OCTAVE,
    POINTS,
    UNIT,
    Codebook,
    Tensors,
    step_size,
)
from ml.voice.codec.moments import Moments, bands_of, blend
from ml.voice.codec.quantiser import PRICE, analyse, choose, levels, restore, synthesise

PRIOR_BLOCKS = 120.0
"""Blocks of own speech at which own class statistics count as much as the prior's."""
WEIGHTS = (0.0, 0.25, 0.5, 0.75, 0.9)
"""Shares of one's own moments that are tried on held-out speech."""
_ROUNDS = 20
_SMALLEST = 0.02

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Personal:
    """A codebook for one voice: which prior it began from, what share of its moments are its owner's own, and the cost
    in bits per block of held-out speech (error counted at its price) with it and with the first prior."""

    codebook: Codebook
    prior: int
    own: float
    cost: float
    prior_cost: float


@dataclass(frozen=True, eq=False)
class Classes:
    """What some speech says of a codebook's classes: blocks `[8]`, means and mean sizes `[8, 160]`."""

    blocks: Doubles
    shift: Doubles
    size: Doubles


def basis_of(moments: Moments) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.uint8]]:
    """`basis` and `kept` of a codebook: the 160 eigenvectors of greatest variance, by coefficient in time."""
    values, vectors = np.linalg.eigh(moments.covariance)
    strongest = np.argsort(-values.ravel(), kind="stable")[:COEFFICIENTS] // MELS
    rows, kept = [], []
    for band in range(FRAMES):
        order = np.argsort(-values[band], kind="stable")[: int((strongest == band).sum())]
        found = vectors[band][:, order].T
        rows.append(found * np.sign(found[np.arange(len(found)), np.abs(found).argmax(axis=1)])[:, None])
        kept.append(len(order))
    basis = np.round(127 * np.concatenate(rows)).astype(np.int8)
    return basis, np.array(kept, np.uint8)


def moments_of(codebook: Codebook, seconds: float = 0.0) -> Moments:
    """The second moments that a codebook stands for: those of its classes, along its rows and small beside them.

    So everybody's prior is the shipped codebook, and nothing else need ship.
    """
    likely = codebook.odds("prior") / codebook.odds("prior").sum()
    size = 2.0 ** ((codebook.scale - UNIT) / OCTAVE)
    centre = likely @ codebook.shift
    variance = likely @ (2 * np.square(size) + np.square(codebook.shift - centre))
    covariance = np.zeros((FRAMES, MELS, MELS))
    for band in range(FRAMES):
        here = codebook.band == band
        rows = codebook.basis[here].astype(np.float64)
        covariance[band] = (rows.T * variance[here]) @ rows
        covariance[band] += variance.min() * (np.eye(MELS) - rows.T @ rows)
    mean = codebook.mean.astype(np.float64)
    mean[0] += centre[codebook.band == 0] @ codebook.basis[codebook.band == 0]
    return Moments(mean, covariance, seconds)


def personal(
    priors: Sequence[Codebook], utterances: Sequence[LogMel], held_out: Sequence[LogMel], step: int = 76
) -> Personal:
    """The codebook for a voice: a prior as it is, or own moments blended with those of a prior, in the share that
    held-out speech likes best.

    `priors` are codebooks that the owner has, the one that everybody has first: others are those of groups.
    `utterances` and `held_out` are log-mel spectra `[T, 80]` of the owner.
    """
    spoken, judged = bands_of(utterances), bands_of(held_out)
    own = Moments.of(spoken)
    before = cost(priors[0], judged, step)
    best = Personal(priors[0], 0, 0.0, before, before)
    for number, prior in enumerate(priors):
        moments = moments_of(prior)
        tried = [(0.0, prior)] if number else []
        tried += [(one, adapted(prior, blend([(one, own), (1 - one, moments)]), spoken, step)) for one in WEIGHTS]
        for weight, made in tried:
            reached = cost(made, judged, step)
            if reached < best.cost:
                best = Personal(made, number, weight, reached, before)
    return best


def adapted(prior: Codebook, moments: Moments, spoken: Bands | None, step: int = 76) -> Codebook:
    """`prior` with another basis and mean; its classes are carried over, and moved toward those of `spoken` blocks."""
    basis, kept = basis_of(moments)
    mean = np.round(256 * moments.mean[0]).astype(np.int16)
    made = Codebook({**prior.tensors, "basis": basis, "kept": kept, "mean": mean})
    shift, size = carried(prior, made)
    made = tabled(made, shift, size, prior.odds("prior"))
    if spoken is None or not len(spoken):
        return made
    return moved(made, classes_of(made, spoken, step))


def moved(codebook: Codebook, classes: Classes) -> Codebook:
    """The same with its classes moved toward these: the more blocks there were, the further."""
    likely = codebook.odds("prior") / codebook.odds("prior").sum()
    share = (classes.blocks / (classes.blocks + PRIOR_BLOCKS))[:, None]
    old_size = 2.0 ** ((codebook.scale - UNIT) / OCTAVE)
    shift = share * classes.shift + (1 - share) * codebook.shift
    size = np.exp(share * np.log(classes.size) + (1 - share) * np.log(old_size))
    return tabled(codebook, shift, size, classes.blocks + 2 * PRIOR_BLOCKS * likely)


def classes_of(codebook: Codebook, spoken: Bands, step: int = 76) -> Classes:
    """What blocks `[blocks, 8, 80]` say of the classes that a codebook puts them in."""
    coefficients = analyse(codebook, spoken)
    chosen = choose(codebook, coefficients, step).classes
    blocks = np.bincount(chosen, minlength=CLASSES).astype(float)
    shift = codebook.shift.astype(float)
    size = 2.0 ** ((codebook.scale - UNIT) / OCTAVE)
    for number in np.flatnonzero(blocks):
        mine = coefficients[chosen == number]
        shift[number] = mine.mean(axis=0)
        size[number] = np.abs(mine - shift[number]).mean(axis=0) + _SMALLEST
    return Classes(blocks, shift, size)


def pooled(parts: Sequence[Classes]) -> Classes:
    """The classes of a group: means over its blocks. Only sums are needed of each member."""
    blocks = np.sum([part.blocks for part in parts], axis=0)
    weights = [(part.blocks / np.maximum(blocks, 1))[:, None] for part in parts]
    empty = (blocks == 0)[:, None]
    shift = np.sum([weight * part.shift for weight, part in zip(weights, parts, strict=True)], axis=0)
    size = np.sum([weight * part.size for weight, part in zip(weights, parts, strict=True)], axis=0)
    return Classes(blocks, np.where(empty, parts[0].shift, shift), np.where(empty, parts[0].size, size))


def group_codebook(prior: Codebook, members: Sequence[Bands], own: float = 0.7) -> Codebook:
    """What a group gives a newcomer: `prior` with the mean of the members' moments, which weigh `own`, for a basis,
    and then the mean of their classes under it. Two exchanges; no member's frames leave them."""
    moments = blend([(1.0, Moments.of(bands)) for bands in members])
    base = adapted(prior, blend([(own, moments), (1 - own, moments_of(prior))]), None)
    return moved(base, pooled([classes_of(base, bands) for bands in members]))


def cost(codebook: Codebook, bands: Bands, step: int) -> float:
    """Bits per block, the error in squared steps counted as bits at its price: what a codebook is judged by."""
    coefficients = analyse(codebook, bands)
    chosen = choose(codebook, coefficients, step)
    rebuilt = synthesise(codebook, restore(codebook, chosen.classes, chosen.integers, step))
    error = np.square(bands - rebuilt).sum(axis=(1, 2), dtype=np.float64) / step_size(step) ** 2
    return float(chosen.bits.mean(dtype=np.float64) + error.mean() / PRICE)


def first_codebook(moments: Moments, bands: Bands, step: int = 76) -> Codebook:
    """A codebook from much speech of many people, but for its tables of pitches and rates (scripts/codebook.py)."""
    basis, kept = basis_of(moments)
    ones = {"voicing": (CLASSES, 16), "pitch": (64,), "slope": (9,)}
    rates = np.stack([np.arange(POINTS) * 8 + 56, 8000 - 500 * np.arange(POINTS)], axis=1).astype(np.uint16)
    tensors: Mapping[str, npt.NDArray[np.generic]] = {
        "basis": basis,
        "kept": kept,
        "mean": np.round(256 * moments.mean[0]).astype(np.int16),
        "scale": np.zeros((CLASSES, COEFFICIENTS), np.uint8),
        "shift": np.zeros((CLASSES, COEFFICIENTS), np.int16),
        "prior": np.ones(CLASSES, np.uint16),
        "shape": _laplace(),
        "centroid": np.full((LEVELS, 2), 13, np.uint8),
        **{name: np.ones(shape, np.uint16) for name, shape in ones.items()},
        "rates": rates,
    }
    codebook = Codebook(tensors)
    coefficients = analyse(codebook, bands)
    activity = np.abs(coefficients).sum(axis=1)
    ranks = np.argsort(np.argsort(activity, kind="stable"), kind="stable")
    classes = (ranks * CLASSES // len(activity)).astype(np.int32)
    for _ in range(_ROUNDS):
        shift, size = np.empty((CLASSES, COEFFICIENTS)), np.empty((CLASSES, COEFFICIENTS))
        for number in range(CLASSES):
            mine = coefficients[classes == number] if (classes == number).sum() >= 50 else coefficients
            shift[number] = mine.mean(axis=0)
            size[number] = np.abs(mine - shift[number]).mean(axis=0) + _SMALLEST
        codebook = tabled(codebook, shift, size, np.bincount(classes, minlength=CLASSES).astype(float))
        classes = choose(codebook, coefficients, step).classes
    return codebook


def with_shapes(codebook: Codebook, bands: Bands, steps: Sequence[int]) -> Codebook:
    """The same with the frequencies and centroids of symbols that are really sent, counted at several steps."""
    counts = np.zeros((LEVELS, MAGNITUDES + 1))
    inside, seen = np.zeros((LEVELS, 2)), np.zeros((LEVELS, 2))
    coefficients = analyse(codebook, bands)
    for step in steps:
        chosen = choose(codebook, coefficients, step)
        rows = levels(codebook, step)[chosen.classes]
        magnitude = np.minimum(np.abs(chosen.integers), MAGNITUDES)
        there = rows >= 0
        np.add.at(counts, (rows[there], magnitude[there]), 1)
        ratio = np.abs(coefficients - codebook.shift[chosen.classes]) / step_size(step)
        for column, which in enumerate((magnitude == 1, (magnitude > 1) & (magnitude < MAGNITUDES))):
            here = there & which
            np.add.at(inside[:, column], rows[here], (magnitude - ratio)[here])
            np.add.at(seen[:, column], rows[here], 1)
    near = np.exp(-0.5 * np.square((np.arange(LEVELS)[:, None] - np.arange(LEVELS)) / 2.0))
    counts = near @ counts
    laplace = _laplace().astype(float)
    share = counts + 50 * laplace / laplace.sum(axis=1, keepdims=True)
    shape = np.maximum(np.round(share / share.sum(axis=1, keepdims=True) * 60000), 1).astype(np.uint16)
    centre = (near @ inside + 50 * 0.05) / (near @ seen + 50)
    centroid = np.clip(np.round(256 * centre), 0, 127).astype(np.uint8)
    return Codebook({**codebook.tensors, "shape": shape, "centroid": centroid})


def frequencies(counts: Doubles, least: float = 0.5) -> npt.NDArray[np.uint16]:
    """Counts as frequencies of a codebook, each row of about 30,000 in all."""
    share = counts + least
    return np.asarray(np.maximum(np.round(share / share.sum(axis=-1, keepdims=True) * 30000), 1), np.uint16)


def _laplace() -> npt.NDArray[np.uint16]:
    """Frequencies of magnitudes at each level, were the coefficients Laplacian."""
    size = 2.0 ** ((np.arange(LEVELS) + LOWEST) / OCTAVE)[:, None]
    tail = np.exp(-(np.arange(MAGNITUDES + 1) - 0.35) / size)
    tail[:, 0] = 1
    share = tail - np.concatenate([tail[:, 1:], np.zeros((LEVELS, 1))], axis=1)
    return np.asarray(np.maximum(np.round(share * 60000), 1), np.uint16)


def tabled(codebook: Codebook, shift: Doubles, size: Doubles, prior: Doubles) -> Codebook:
    """The same with these means and mean sizes `[8, 160]` of its classes, which are as likely as `prior` counts."""
    index = np.clip(np.round(UNIT + OCTAVE * np.log2(size)), 0, 255).astype(np.uint8)
    offset = np.clip(np.round(16 * shift), -32000, 32000).astype(np.int16)
    tensors: Tensors = {**codebook.tensors, "scale": index, "shift": offset, "prior": frequencies(prior)}
    return Codebook(tensors)


def carried(prior: Codebook, made: Codebook) -> tuple[Doubles, Doubles]:
    """Shifts and sizes of the prior's classes along the rows of another basis.

    Means turn with the basis, and move with the mean. Sizes turn as if the prior's coefficients were independent; what
    the prior's basis left out is as small as its smallest.
    """
    shift, size = np.zeros((CLASSES, COEFFICIENTS)), np.zeros((CLASSES, COEFFICIENTS))
    old_size = 2.0 ** ((prior.scale - UNIT) / OCTAVE)
    for band in range(FRAMES):
        new, old = made.band == band, prior.band == band
        if not new.any():
            continue
        turn = made.basis[new] @ prior.basis[old].T if old.any() else np.zeros((int(new.sum()), 0))
        moved = made.basis[new] @ (prior.mean[band] - made.mean[band])
        shift[:, new] = prior.shift[:, old] @ turn.T + moved
        least = old_size.min(axis=1, keepdims=True)
        inside = np.square(turn)
        outside = np.clip(1 - inside.sum(axis=1), 0, 1)
        size[:, new] = np.sqrt(np.square(old_size[:, old]) @ inside.T + np.square(least) * outside)
    return shift, size
