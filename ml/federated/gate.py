"""The decisions of a merge, for many people at once: what weighs how much, what passes, how far it may pull.

The node merges for one person (`ml/federated/merge.py`), the simulator for thousands (`ml/federated/gated.py`); both
decide here, so they cannot differ. Arrays have people as their first axis and their received models as the second.
docs/decisions/0005 has the measurements. Pure numpy; knows nothing of speech, peers' names, files or torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

LEAST_WEIGHT = 1e-9
"""A model that weighs less counts nothing."""

REACH = 1.0
"""Ways. Half of 2.0, which clips no honest peer, and as good without hostile ones: 5.27 % gain both; with 30 % whose
updates point the wrong way 5.64 % instead of 5.56. One seed: read it as "costs nothing"."""

LEAST_REACH = 0.5
"""For a model that has hardly left the start. A first round of local training is 0.7 long."""

SLACK = 0.02
"""Adopting only what is no worse on held-out speech took 75 of 408 merges and lost gain (5.02 against 5.27 %); up to
2 % worse took 389 and lost none (rounds of 2 epochs), and with rounds of 5 epochs 396, 5.43 against 5.35 % for all."""

Flat = npt.NDArray[np.float32]
"""All numbers of a model, `[parameters]`; of several, `[..., parameters]`."""

Numbers = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MergeOptions:
    """How a merge is made. `alpha` is the weight of one's own model.

    The figures are from 34 real speakers, 12 rounds, 3 random peers each (docs/decisions/0005).
    """

    alpha: float = 0.7
    near_best: float = 2.0
    """A model is accepted up to this many times the loss of the best received."""
    near_own: float = 2.0
    """... and up to this many times the loss of one's own. Honest models had 1.13 times in the median, 1.48 at the 99th
    percentile, 1.9 at most; models flipped tenfold, random or scaled a hundredfold 100 times and more."""
    frames: int = 800
    """More frames than these (13 s) give no more weight: a peer can say any number. Not tuned."""
    fade: float = 86_400.0
    """Seconds in which age takes a model's weight down to 1/e; it ends at `faded`. By judgement, not measured."""
    faded: float = 0.1
    average: bool = False
    """Whether one's own model weighs as much as each accepted one, whatever `alpha` says: how a shared prior is made
    (docs/decisions/0008)."""


class Finding(IntEnum):
    """What the owner's held-out speech says of a model."""

    GOOD = 0
    NO_SPEECH = 1
    """There is none to judge by."""
    NO_RESULT = 2
    """The model gives nothing finite on it."""
    WORSE_THAN_OWN = 3
    WORSE_THAN_BEST = 4


def weigh(frames: npt.ArrayLike, age: npt.ArrayLike, trust: npt.ArrayLike, options: MergeOptions) -> Numbers:
    """Frames, age and trust as one weight 0..1, each capped, so that no word of a peer counts without end.

    Nothing where one of them is no finite number, or there are no frames or no trust.
    """
    said, old, trusted = (np.asarray(one, np.float64) for one in (frames, age, trust))
    with np.errstate(all="ignore"):
        youth = np.maximum(options.faded, np.exp(-np.maximum(0.0, old) / options.fade))
        weight = np.minimum(said, options.frames) / options.frames * youth * np.minimum(1.0, trusted)
    counts = np.isfinite(old) & np.isfinite(trusted) & (trusted > 0) & (said > 0)
    return np.where(counts, weight, 0.0)


def own_share(accepted: npt.ArrayLike, options: MergeOptions) -> Numbers:
    """The weight of one's own model in a merge with so many accepted ones: alpha, or 1 / (1 + accepted)."""
    count = np.asarray(accepted, np.float64)
    return 1 / (1 + count) if options.average else np.full(count.shape, options.alpha)


def distance(model: Flat, own: Flat) -> float:
    """The norm of the difference of two models; infinite when a number is not finite, or beyond 1e19."""
    with np.errstate(all="ignore"):
        difference = model - own
        square = float(difference @ difference)
    return math.sqrt(square) if math.isfinite(square) else math.inf


def overtaken(senders: Sequence[Hashable], order: Callable[[int], Any]) -> set[int]:
    """The places in one inbox whose sender is there with another model that `order(place)` puts before it."""
    places: dict[Hashable, list[int]] = {}
    for place, sender in enumerate(senders):
        places.setdefault(sender, []).append(place)
    return {later for several in places.values() if len(several) > 1 for later in sorted(several, key=order)[1:]}


def judge(here: Numbers, losses: Numbers, tried: Mask, options: MergeOptions) -> Whole:
    """A `Finding` for each model `[P, K]`, of which only those `tried` mean something.

    `here` `[P]` is the loss of one's own model on one's own held-out speech, `losses` `[P, K]` that of the received.
    """
    with np.errstate(all="ignore"):
        finite = np.isfinite(losses)
        best = np.where(tried & finite, losses, np.inf).min(axis=1, initial=np.inf)
        found = np.select(
            [
                np.broadcast_to(~np.isfinite(here)[:, None], losses.shape),
                ~finite,
                losses > options.near_own * here[:, None],
                losses > options.near_best * best[:, None],
            ],
            [Finding.NO_SPEECH, Finding.NO_RESULT, Finding.WORSE_THAN_OWN, Finding.WORSE_THAN_BEST],
            Finding.GOOD,
        )
    return found.astype(np.int64)


def merit(here: Numbers, losses: Numbers, accepted: Mask, options: MergeOptions) -> Numbers:
    """How well each received model did on the owner's held-out speech `[P, K]`: 1 when it is as good there as one's
    own, 0 where the gate ends or when it was refused; `here` and `losses` as in `judge`.

    The gate's bound leaves room for honest models that are far from one's own; most are not. With the shared prior they
    had 1.08 times one's own error in the median and 1.23 at the 99th percentile, those of whoever goes as far as the
    gate lets through 1.78, and 1.40 at the 5th (docs/robustness.md).
    """
    with np.errstate(all="ignore"):
        found = np.clip((options.near_own - losses / here[:, None]) / (options.near_own - 1), 0.0, 1.0)
    return np.where(accepted & np.isfinite(found), found, 0.0)


def share(weights: Numbers, accepted: Mask, order: Whole) -> Numbers:
    """Each accepted model's part in the mean `[P, K]`; they add up to 1 where anything is accepted.

    `order` `[P, K]` are each row's places in the order in which they are added up: by sender, so that the order of
    arrival changes no bit.
    """
    counted = np.where(accepted, weights, 0.0)
    total = np.take_along_axis(counted, order, axis=1).cumsum(axis=1)[:, -1:]
    return np.asarray(counted / np.where(total > 0, total, 1.0)) if counted.size else counted


def shorten(distances: Numbers, reach: Numbers) -> Numbers:
    """What a difference is multiplied by, so that it is no longer than `reach`; `distances` `[P, K]`, `reach` `[P]`."""
    with np.errstate(all="ignore"):
        return np.where(distances > 0, np.minimum(1.0, reach[:, None] / distances), 1.0)


def add(step: Flat, model: Flat, own: Flat, factor: float) -> None:
    """Adds `factor` times the way from one person's `own` model to a received one to `step`."""
    difference = model - own
    difference *= np.float32(factor)
    step += difference


def way(own: Flat, origin: Flat) -> float:
    """How far one's own model is from the shared start: summed in float64, finite for whatever is finite."""
    return float(np.sqrt(np.square(own - origin, dtype=np.float64).sum()))


def reach_after(way: float) -> float:
    """How far from one's own a received model may pull: `REACH` times one's own whole way from the shared start.

    Two honest peers who have gone as far in directions of their own are 1.4 ways apart. Never less than `LEAST_REACH`.
    """
    return max(LEAST_REACH, REACH * way)


def adopts(own: npt.ArrayLike, merged: npt.ArrayLike) -> Mask:
    """Whether training goes on from the merged weights: yes, unless they are `SLACK` worse on held-out speech.

    Merging works like a regulariser: a little worse now is better later, and the best checkpoint is kept anyway.
    """
    errors = np.asarray(merged, np.float64)
    return np.isfinite(errors) & (errors <= (1 + SLACK) * np.asarray(own, np.float64))
