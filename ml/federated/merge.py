"""Merging what peers sent with one's own model, in the owner's favour.

`w <- alpha * own + (1 - alpha) * weighted mean of the accepted`. A received model is accepted when its tensors are
sound and the owner's own held-out speech does not suffer by it; it counts for no more than a step of length `reach`
from one's own. So one liar moves the result by at most (1 - alpha) * reach, whatever it sends. docs/decisions/0005
has the measurements. Pure numpy; knows nothing of peers beyond a name, nor of clocks, files or torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.weights import Weights, digest, norm, subtract

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
"""All numbers of a model, one after another, in the order of its tensors' names."""


@dataclass(frozen=True)
class Received:
    """A peer's model as it was reconstructed here, and what is known of it.

    `frames` is how many log-mel frames its training saw by the peer's own word, `age` the seconds since it came,
    `trust` what the owner makes of the peer, 0 to 1.
    """

    peer: str
    weights: Weights
    frames: int
    age: float
    trust: float = 1.0


@dataclass(frozen=True)
class Judged:
    """What became of one received model, and why, in plain words.

    `loss` is its own on the owner's held-out speech (None when it was not tried), `distance` the norm of its
    difference from one's own (infinite when it has none), `share` its part in the mean of the accepted.
    """

    peer: str
    accepted: bool
    reason: str
    loss: float | None
    distance: float
    share: float


@dataclass(frozen=True)
class Merged:
    """The merged weights, and one judgement for each received model, in their order."""

    weights: Weights
    judged: tuple[Judged, ...]


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


def merge(
    own: Weights,
    received: Sequence[Received],
    loss: Callable[[Weights], float],
    reach: float,
    options: MergeOptions = MergeOptions(),
) -> Merged:
    """One's own weights and those of the accepted. With nothing accepted, or alpha 1, the weights are `own` itself.

    `loss` gives the error of weights on the owner's held-out speech, lower is better; `reach` is the norm that a
    received model's difference is clipped to. Never raises for what peers sent. The order of `received` changes
    nothing but the order of the judgements.
    """
    middle = flatten(own)
    with np.errstate(all="ignore"):
        candidates = [_Candidate(item, *_look(item, own, middle, options)) for item in received]
        _keep_the_newest(candidates)
        _gate(candidates, own, loss, options)
    accepted = sorted((one for one in candidates if not one.reason), key=lambda one: one.item.peer)
    total = math.fsum(_weight(one.item, options) for one in accepted)
    step = np.zeros_like(middle)
    for one in accepted:
        one.share = _weight(one.item, options) / total
        shrink = min(1.0, reach / one.distance) if one.distance > 0 else 1.0
        difference = flatten(one.item.weights)
        difference -= middle
        difference *= np.float32(one.share * shrink)
        step += difference
    judged = tuple(one.judged(reach) for one in candidates)
    if not accepted or options.alpha >= 1:
        return Merged(own, judged)
    return Merged(_unflatten(middle + np.float32(1 - options.alpha) * step, own), judged)


def reach_of(own: Weights, origin: Weights) -> float:
    """How far from one's own a received model may pull: `REACH` times one's own whole way from the shared start.

    Two honest peers who have gone as far in directions of their own are 1.4 ways apart. Never less than `LEAST_REACH`.
    """
    return max(LEAST_REACH, REACH * norm(subtract(own, origin)))


def adopt(own_loss: float, merged_loss: float) -> bool:
    """Whether training goes on from the merged weights: yes, unless they are `SLACK` worse on held-out speech.

    Merging works like a regulariser: a little worse now is better later, and the best checkpoint is kept anyway.
    """
    return math.isfinite(merged_loss) and merged_loss <= (1 + SLACK) * own_loss


def flatten(weights: Weights) -> Flat:
    """All numbers in the order of the names."""
    return np.concatenate([weights[name].ravel() for name in sorted(weights)])


def _unflatten(flat: Flat, like: Weights) -> Weights:
    result, at = {}, 0
    for name in sorted(like):
        tensor = like[name]
        result[name] = flat[at : at + tensor.size].reshape(tensor.shape)
        at += tensor.size
    return result


class _Candidate:
    """A received model on its way through the checks; `reason` is empty while nothing speaks against it.

    Its difference is not kept but made again when it is added up: a thousand of them would be 80 MB.
    """

    def __init__(self, item: Received, distance: float, reason: str) -> None:
        self.item, self.distance, self.reason = item, distance, reason
        self.loss: float | None = None
        self.share = 0.0

    def judged(self, reach: float) -> Judged:
        said = self.reason or ("merged, shortened to its reach" if self.distance > reach else "merged")
        return Judged(self.item.peer, not self.reason, said, self.loss, self.distance, self.share)


def _look(item: Received, own: Weights, middle: Flat, options: MergeOptions) -> tuple[float, str]:
    """The norm of the model's difference from one's own, and what speaks against it before it is tried."""
    if not _weight(item, options) > LEAST_WEIGHT:
        return math.inf, "it has no age, trust or frames to be weighed by"
    if item.weights.keys() != own.keys() or any(
        item.weights[name].dtype != np.float32 or item.weights[name].shape != tensor.shape
        for name, tensor in own.items()
    ):
        return math.inf, "its tensors are not those of this model"
    difference = flatten(item.weights)
    difference -= middle
    square = float(difference @ difference)  # not finite when one number is not, or beyond 1e19
    if not math.isfinite(square):
        return math.inf, "it has numbers that are not finite, or beyond all measure"
    return math.sqrt(square), ""


def _keep_the_newest(candidates: Sequence[_Candidate]) -> None:
    """One model per peer: the youngest; among equals the one whose digest comes first."""
    by_peer: dict[str, list[_Candidate]] = {}
    for one in candidates:
        if not one.reason:
            by_peer.setdefault(one.item.peer, []).append(one)
    for several in by_peer.values():
        if len(several) > 1:
            several.sort(key=lambda one: (one.item.age, digest(one.item.weights), -one.item.frames, -one.item.trust))
            for older in several[1:]:
                older.reason = "the same peer sent a newer one"


def _gate(
    candidates: Sequence[_Candidate], own: Weights, loss: Callable[[Weights], float], options: MergeOptions
) -> None:
    """Refuse what the owner's held-out speech says is bad."""
    tried = [one for one in candidates if not one.reason]
    if not tried:
        return
    here = float(loss(own))
    for one in tried:
        one.loss = float(loss(one.item.weights))
    if not math.isfinite(here):
        for one in tried:
            one.reason = "there is no speech of one's own to judge it by"
        return
    best = min((one.loss for one in tried if one.loss is not None and math.isfinite(one.loss)), default=math.inf)
    for one in tried:
        value = math.inf if one.loss is None or math.isnan(one.loss) else one.loss
        if not math.isfinite(value):
            one.reason = "it gives no finite result on one's own speech"
        elif value > options.near_own * here:
            one.reason = f"its error on one's own speech is {_times(value, here)} that of one's own model"
        elif value > options.near_best * best:
            one.reason = f"its error on one's own speech is {_times(value, best)} that of the best received"


def _times(value: float, other: float) -> str:
    return f"{value / other:.3g} times" if other > 0 else "above"


def _weight(item: Received, options: MergeOptions) -> float:
    """Frames, age and trust as one weight 0..1; each is capped, so that no word of a peer counts without end."""
    if not (math.isfinite(item.age) and math.isfinite(item.trust) and item.trust > 0 and item.frames > 0):
        return 0.0
    youth = max(options.faded, math.exp(-max(0.0, item.age) / options.fade))
    return min(item.frames, options.frames) / options.frames * youth * min(1.0, item.trust)
