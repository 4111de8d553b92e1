"""Merging what peers sent with one's own model, in the owner's favour.

`w <- alpha * own + (1 - alpha) * weighted mean of the accepted`, where alpha is given or what makes it an average of
all alike (`MergeOptions.average`). A received model is accepted when its tensors are
sound and the owner's own held-out speech does not suffer by it; it counts for no more than a step of length `reach`
from one's own. So one liar moves the result by at most (1 - alpha) * reach, whatever it sends. docs/decisions/0005
has the measurements. Pure numpy; knows nothing of peers beyond a name, nor of clocks, files or torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ml.federated.gate import (
    LEAST_REACH,
    LEAST_WEIGHT,
    REACH,
    SLACK,
    Finding,
    Flat,
    MergeOptions,
    add,
    adopts,
    distance,
    judge,
    overtaken,
    own_share,
    reach_after,
    share,
    shorten,
    way,
    weigh,
)
from ml.weights import Weights, digest

__all__ = [
    "LEAST_REACH",
    "REACH",
    "SLACK",
    "Judged",
    "MergeOptions",
    "Merged",
    "Received",
    "adopt",
    "flatten",
    "merge",
    "reach_of",
]


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


_USUAL = MergeOptions()


def merge(
    own: Weights,
    received: Sequence[Received],
    loss: Callable[[Weights], float],
    reach: float,
    options: MergeOptions = _USUAL,
) -> Merged:
    """One's own weights and those of the accepted. With nothing accepted, or alpha 1, the weights are `own` itself.

    `loss` gives the error of weights on the owner's held-out speech, lower is better; `reach` is the norm that a
    received model's difference is clipped to. Never raises for what peers sent. The order of `received` changes
    nothing but the order of the judgements.
    """
    middle = flatten(own)
    with np.errstate(all="ignore"):
        weights = _weights(received, options)
        looks = [_look(item, weight, own, middle) for item, weight in zip(received, weights, strict=True)]
        candidates = [
            _Candidate(item, weight, *look) for item, weight, look in zip(received, weights, looks, strict=True)
        ]
        _keep_the_newest(candidates)
        _gate(candidates, own, loss, options)
    accepted = [one for one in candidates if not one.reason]
    step = np.zeros(len(middle), np.float32)
    if accepted:
        order = sorted(range(len(accepted)), key=lambda at: accepted[at].item.peer)
        counted = np.array([[one.weight for one in accepted]])
        shares = share(counted, np.ones_like(counted, bool), np.array([order]))
        factors = shares * shorten(np.array([[one.distance for one in accepted]]), np.array([reach]))
        for at in order:
            accepted[at].share = float(shares[0, at])
            add(step, flatten(accepted[at].item.weights), middle, factors[0, at])
    judged = tuple(one.judged(reach) for one in candidates)
    alpha = float(own_share(len(accepted), options))
    if not accepted or alpha >= 1:
        return Merged(own, judged)
    return Merged(_unflatten(middle + np.float32(1 - alpha) * step, own), judged)


def reach_of(own: Weights, origin: Weights) -> float:
    """How far from one's own a received model may pull: as `ml.federated.gate.reach_after` one's own way."""
    return reach_after(way(flatten(own), flatten(origin)))


def adopt(own_loss: float, merged_loss: float) -> bool:
    """Whether training goes on from the merged weights: as `ml.federated.gate.adopts`."""
    return bool(adopts(own_loss, merged_loss))


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

    def __init__(self, item: Received, weight: float, distance: float, reason: str) -> None:
        self.item, self.weight, self.distance, self.reason = item, weight, distance, reason
        self.loss: float | None = None
        self.share = 0.0

    def judged(self, reach: float) -> Judged:
        said = self.reason or ("merged, shortened to its reach" if self.distance > reach else "merged")
        return Judged(self.item.peer, not self.reason, said, self.loss, self.distance, self.share)


def _look(item: Received, weight: float, own: Weights, middle: Flat) -> tuple[float, str]:
    """The norm of the model's difference from one's own, and what speaks against it before it is tried."""
    if not weight > LEAST_WEIGHT:
        return math.inf, "it has no age, trust or frames to be weighed by"
    if item.weights.keys() != own.keys() or any(
        item.weights[name].dtype != np.float32 or item.weights[name].shape != tensor.shape
        for name, tensor in own.items()
    ):
        return math.inf, "its tensors are not those of this model"
    far = distance(flatten(item.weights), middle)
    return far, "" if math.isfinite(far) else "it has numbers that are not finite, or beyond all measure"


def _keep_the_newest(candidates: Sequence[_Candidate]) -> None:
    """One model per peer: the youngest; among equals the one whose digest comes first."""
    sound = [one for one in candidates if not one.reason]

    def order(at: int) -> tuple[float, str, int, float]:
        item = sound[at].item
        return item.age, digest(item.weights), -item.frames, -item.trust

    for at in overtaken([one.item.peer for one in sound], order):
        sound[at].reason = "the same peer sent a newer one"


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
    losses = np.array([[one.loss for one in tried]], np.float64)
    best = min((value for value in losses[0] if math.isfinite(value)), default=math.inf)
    error = "its error on one's own speech is"
    for one, value, finding in zip(
        tried, losses[0], judge(np.array([here]), losses, np.ones_like(losses, bool), options)[0], strict=True
    ):
        one.reason = {
            Finding.GOOD: "",
            Finding.NO_SPEECH: "there is no speech of one's own to judge it by",
            Finding.NO_RESULT: "it gives no finite result on one's own speech",
            Finding.WORSE_THAN_OWN: f"{error} {_times(value, here)} that of one's own model",
            Finding.WORSE_THAN_BEST: f"{error} {_times(value, best)} that of the best received",
        }[Finding(finding)]


def _times(value: float, other: float) -> str:
    return f"{value / other:.3g} times" if other > 0 else "above"


def _weights(received: Sequence[Received], options: MergeOptions) -> list[float]:
    frames, age, trust = (
        np.array([(item.frames, item.age, item.trust) for item in received], np.float64).reshape(-1, 3).T
    )
    found: list[float] = weigh(frames, age, trust, options).tolist()
    return found
