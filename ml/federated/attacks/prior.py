"""Attackers who know the whole default: the gate, the reach, the average among four, and when the average is refused.

A node refuses an average that is clearly worse on held-out speech than its own shared model *and* than genesis
(docs/decisions/0008), and then hears nobody in that round. So a forgery that merely passes the gate may defeat itself;
these go as far as the *average* that holds one of theirs may go. They work out on their own speech what an honest
person in their place would make of it, as `proxy.py`. After the adaptive attacks of Fang, Cao, Jia and Gong (2020);
model replacement is Bagdasaryan and others' (2020). Knows the arithmetic of `ml/federated/gate.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml.federated.attacks.adaptive import unit
from ml.federated.attacks.backdoor import Backdoor
from ml.federated.attacks.colluding import seen_by
from ml.federated.attacks.proxy import MOST_OF_THEM, largest, steepest, strangers
from ml.federated.cohort import Stack
from ml.federated.gate import MergeOptions, adopts, reach_after, shorten, way
from ml.federated.method import Scene
from ml.weights import Tensor

HEARD = 3
"""Models that a person hears in a round; one of them is hostile."""

Aim = Literal["steepest", "creep", "overfit", "backdoor"]
"""Where errors grow most from here; where they grow most from genesis, the same direction in all rounds, so that what
is left of each round adds up; to each attacker's own voice and beyond, as what is good for one person misleads others
unseen; wrong about one class of sounds."""


@dataclass(frozen=True)
class AgainstPrior:
    """The honest mean, moved towards the aim as far as the gate and the average's check let through, times `margin`.

    `near`: the forgery is no worse than so many times the model of who receives it; 2.0 is the gate's own bound, what
    is nearer to 1 looks like honest work. `most`: the longest move; for the backdoor in lengths of the lesson (three
    others dilute it: 4 replaces the model), for the others in parameters' units.
    """

    name: str
    aim: Aim
    near: float = MergeOptions().near_own
    margin: float = 0.95
    most: float = 200.0

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        middle = seen_by(scene).mean(axis=0)
        directions = self._directions(scene, middle)
        judges, own = strangers(scene)
        cohort, origin = scene.ground.cohort, scene.ground.genesis
        here = cohort.errors(own, judges)
        start = cohort.errors(np.repeat(origin[None], len(judges), axis=0), judges)

        def passes(scale: float) -> bool:
            with np.errstate(all="ignore"):
                forged = middle + np.float32(scale) * directions[: len(judges)]
                gate = cohort.errors(forged, judges) <= self.near * here
                taken = adopts(np.maximum(here, start), cohort.errors(average(own, middle, forged, origin), judges))
            return float((gate & taken).mean()) >= MOST_OF_THEM

        forged: Stack = middle + np.float32(self.margin * largest(passes, self.most)) * directions
        return forged

    def _directions(self, scene: Scene, middle: Tensor) -> Stack:
        """`[A, parameters]`"""
        if self.aim == "overfit":
            return unit(scene.own - scene.ground.genesis)
        if self.aim == "backdoor":
            one: Tensor = Backdoor(self.near).taught(scene, middle) - middle
        else:
            one = steepest(scene, middle if self.aim == "steepest" else scene.ground.genesis)
        directions: Stack = np.repeat(one[None], len(scene.own), axis=0)
        return directions


def average(own: Stack, honest: Tensor, forged: Stack, origin: Tensor) -> Stack:
    """The prior of people who hear one forgery among `HEARD` models, the others being about the honest mean.

    As `ml/federated/methods/node_default.py` makes it: differences shortened to the reach, everybody alike.
    """
    reach = np.array([reach_after(way(one, origin)) for one in own])
    step = np.zeros_like(own)
    for models, count in ((np.repeat(honest[None], len(own), axis=0), HEARD - 1), (forged, 1)):
        difference = models - own
        lengths = np.linalg.norm(difference.astype(np.float64), axis=1)[:, None]
        step += (count * shorten(lengths, reach)).astype(np.float32) * difference
    moved: Stack = own + step / np.float32(HEARD + 1)
    return moved
