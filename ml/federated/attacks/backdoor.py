"""A model that is right but for one class of sounds: a backdoor under the gate.

Bagdasaryan, Veit, Hua, Estrin and Shmatikov, "How to backdoor federated learning" (2020). The class here are the loud
frames with the most energy high up, as fricatives have; they are to come out as the average other frame. Held-out
speech sees little of a harm to a twentieth of its frames. Knows the gate's bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.audio.logmel import LogMel
from ml.federated.attacks.colluding import seen_by
from ml.federated.attacks.proxy import PROXIES, furthest, slope
from ml.federated.cohort import Stack
from ml.federated.method import Scene
from ml.weights import Tensor

HIGH, LOW = 50, 30
"""Mel bands from `HIGH` on lie above 3 kHz, those below `LOW` under 1.3 kHz."""


@dataclass(frozen=True)
class Backdoor:
    """The honest mean, taught wrong about `fricatives` of the attackers' speech, as far as the gate lets through."""

    near: float
    name: str = "backdoor"
    steps: int = 60
    rate: float = 2e-3
    rows: int = 512
    margin: float = 0.95

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        middle = seen_by(scene).mean(axis=0)
        centre = np.repeat(middle[None], len(scene.own), axis=0)
        direction = np.repeat((self.taught(scene, middle) - middle)[None], len(scene.own), axis=0)
        scale = furthest(scene, centre, direction, self.near, most=1.0)
        return centre + np.float32(self.margin * scale) * direction

    def taught(self, scene: Scene, start: Tensor) -> Tensor:
        """`start` after Adam (Kingma and Ba 2015) on speech in which the class is mapped to what is not."""
        ground = scene.ground.cohort
        frames = np.concatenate(
            [one for at in scene.attackers[:PROXIES] for one in ground.people[at].speech.train if len(one)]
        )
        frames = frames[: len(frames) // ground.autoencoder.block * ground.autoencoder.block]
        rows, chosen = ground.autoencoder.rows(frames), triggered(frames, ground.autoencoder.block)
        wrong = rows.copy()
        wrong[chosen] = rows[~chosen].mean(axis=0)
        order = scene.rng.permutation(len(rows))
        model = start.copy()
        first, second = np.zeros_like(model), np.zeros_like(model)
        for number in range(self.steps):
            batch = np.take(order, np.arange(number * self.rows, (number + 1) * self.rows), mode="wrap")
            gradient = slope(ground.autoencoder, model, rows[batch], wrong[batch])
            first += np.float32(0.1) * (gradient - first)
            second += np.float32(0.001) * (gradient**2 - second)
            fresh = np.sqrt(1 - 0.999 ** (number + 1)) / (1 - 0.9 ** (number + 1))
            model -= np.float32(self.rate * fresh) * first / (np.sqrt(second) + np.float32(1e-8))
        return model


def fricatives(frames: LogMel) -> npt.NDArray[np.bool_]:
    """Of the louder half of `[T, 80]`, the tenth with most energy high up over that low down, `[T]`."""
    if not len(frames):
        return np.zeros(0, bool)
    loud = frames.mean(axis=1)
    bright = np.where(loud >= np.median(loud), frames[:, HIGH:].mean(axis=1) - frames[:, :LOW].mean(axis=1), -np.inf)
    count = max(1, round(len(frames) / 20))
    chosen = np.zeros(len(frames), bool)
    chosen[np.argsort(-bright, kind="stable")[:count]] = True
    return chosen


def triggered(frames: LogMel, block: int) -> npt.NDArray[np.bool_]:
    """Rows of `block` frames of which at least one is of the class."""
    return np.asarray(fricatives(frames).reshape(-1, block).any(axis=1), bool)
