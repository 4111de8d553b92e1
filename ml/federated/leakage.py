"""What exchanged weights tell about people: attacks as arithmetic on updates, and how well they do.

An attacker here is anybody who receives what a person publishes and knows genesis, the architecture and the training
recipe. Three questions: was this recording trained on (membership), did the same person make both updates
(linkage), and what can be read off an update (a group, a spectrum). All functions give what the attack reaches, next
to what guessing would; none says that something is safe. Knows nothing of rounds, files or defences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.audio.logmel import LogMel
from ml.federated.cohort import Stack
from ml.voice.autoencoder import SCALE, Autoencoder
from ml.weights import Weights

Scores = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Strength:
    """How well scores tell yes from no: the area under the curve (0.5 is guessing), and the share of true ones found
    while at most 1 % of the false ones are accused (0.01 is guessing; Carlini et al. 2022)."""

    auc: float
    found_at_one_percent: float


@dataclass(frozen=True)
class Linkage:
    """How well one update finds another of the same person among `people`: how often the nearest is the right one
    (1 / people is guessing), and the error rate at which misses and false alarms are equal (0.5 is guessing)."""

    nearest_right: float
    equal_error: float
    people: int


def strength(scores: Scores, true: Flags) -> Strength:
    """`scores` of any shape, higher means yes; `true` says what was so. Raises ValueError without both kinds."""
    yes, no = np.sort(scores[true].ravel()), np.sort(scores[~true].ravel())
    if not len(yes) or not len(no):
        raise ValueError("a strength needs some that are true and some that are not")
    below, to = np.searchsorted(no, yes, "left"), np.searchsorted(no, yes, "right")
    bar = no[len(no) - 1 - int(0.01 * len(no))]
    return Strength(float(np.mean(below + to) / (2 * len(no))), float(np.mean(yes > bar)))


def recording_errors(autoencoder: Autoencoder, weights: Weights, recordings: list[LogMel]) -> Scores:
    """Mean squared error of each recording `[T, 80]`, in natural log squared."""
    rows = [autoencoder.rows(one) for one in recordings]
    everything = np.concatenate(rows)
    output = np.asarray(autoencoder.predict(weights, everything))
    missed = SCALE**2 * np.square(output - everything).mean(axis=1, dtype=np.float64)
    ends = np.cumsum([len(one) for one in rows])
    return np.array([part.mean() for part in np.split(missed, ends[:-1])])


def likelihood_ratios(scores: Scores, inside: Flags, counted: Flags | None = None) -> Scores:
    """The likelihood-ratio attack (LiRA, Carlini et al. 2022) on `scores` `[draws, recordings]`.

    `inside` says in which draw's training each recording was. Each draw is attacked with all others as the attacker's
    own shadow models: the score of a recording is compared with normal distributions of its scores when it was inside
    and when not, both with the variance of all recordings together. What is not `counted` teaches nothing. Needs four
    draws; a recording that was not at least once inside and once outside in the others gets 0.
    """
    if len(scores) < 4:
        raise ValueError("the likelihood-ratio attack needs at least four draws")
    counted = np.ones(inside.shape, bool) if counted is None else counted
    means, spreads, known = [], [], np.ones(scores.shape, bool)
    for kind in (inside & counted, ~inside & counted):
        values = np.where(kind, scores, 0.0)
        others = kind.sum(axis=0) - kind
        mean = (values.sum(axis=0) - values) / np.maximum(others, 1)
        known &= others > 0
        count = np.maximum(kind.sum(axis=0), 1)
        left = np.where(kind, scores - values.sum(axis=0) / count, 0.0)
        means.append(mean)
        spreads.append(max(float(np.square(left).sum() / max(1, (kind.sum(axis=0) - 1).clip(0).sum())), 1e-24))
    said = [
        -np.square(scores - mean) / (2 * variance) - np.log(variance) / 2
        for mean, variance in zip(means, spreads, strict=True)
    ]
    return np.where(known, said[0] - said[1], 0.0)


def cosines(first: Stack, second: Stack) -> Scores:
    """Cosine of every update in `first` `[P, D]` with every one in `second`, each without its population's mean."""
    one, other = (stack - stack.mean(axis=0, dtype=np.float64) for stack in (first, second))
    lengths = np.outer(np.linalg.norm(one, axis=1), np.linalg.norm(other, axis=1))
    return np.asarray((one @ other.T) / np.maximum(lengths, 1e-30), np.float64)


def linkage(similarity: Scores) -> Linkage:
    """`similarity` `[P, P]`: of update p with update q; the same people in the same order. A tie for the nearest counts
    as wrong."""
    people = len(similarity)
    same = np.eye(people, dtype=bool)
    others = np.where(same, -np.inf, similarity).max(axis=1)
    yes, no = np.sort(similarity[same]), np.sort(similarity[~same])
    bars = np.append(np.unique(similarity), np.inf)
    missed = np.searchsorted(yes, bars, "left") / len(yes)
    alarms = 1 - np.searchsorted(no, bars, "left") / len(no)
    at = int(np.argmin(np.abs(missed - alarms)))
    return Linkage(float(np.mean(np.diag(similarity) > others)), float((missed[at] + alarms[at]) / 2), people)


def group_strength(updates: Stack, group: Flags) -> Strength:
    """How well an update `[P, D]` tells whether its person is in the group: each is scored by the difference of the two
    groups' mean directions, learnt from all others."""
    directions = updates - updates.mean(axis=0, dtype=np.float64)
    directions = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-30)
    scores = np.empty(len(updates))
    for at in range(len(updates)):
        rest = np.arange(len(updates)) != at
        apart = directions[rest & group].mean(axis=0) - directions[rest & ~group].mean(axis=0)
        scores[at] = directions[at] @ apart / max(float(np.linalg.norm(apart)), 1e-30)
    return strength(scores, group)


def explained(updates: Stack, traits: npt.NDArray[Any], ridge: float = 0.1) -> float:
    """How much of what people differ in, `traits` `[P, T]`, can be read off their updates `[P, D]`.

    1 minus the error of a ridge regression that has learnt from everybody else, over the error of guessing the others'
    mean; below 0 where it does worse than that. The ridge is relative to the mean square of an update.
    """
    wrong = guessed = 0.0
    for at in range(len(updates)):
        rest = np.arange(len(updates)) != at
        centre, middle = updates[rest].mean(axis=0, dtype=np.float64), traits[rest].mean(axis=0, dtype=np.float64)
        known, wanted = updates[rest] - centre, traits[rest] - middle
        products = known @ known.T
        weight = ridge * float(np.trace(products)) / len(products) + 1e-30
        solved = np.linalg.solve(products + weight * np.eye(len(products)), wanted)
        read = ((updates[at] - centre) @ known.T) @ solved
        wrong += float(np.square(traits[at] - middle - read).sum())
        guessed += float(np.square(traits[at] - middle).sum())
    return 1 - wrong / guessed
