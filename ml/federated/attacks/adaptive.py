"""Attackers who know the gate: as much harm as it lets through, at once or a little more every round.

After Fang, Cao, Jia and Gong, "Local model poisoning attacks to Byzantine-robust federated learning" (2020) and
Shejwalkar and Houmansadr, "Manipulating the Byzantine" (2021), who search for the largest scale that a known rule still
accepts. The direction is theirs to choose, the scale is what the gate leaves them. Knows the gate's bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ml.federated.attacks.colluding import seen_by
from ml.federated.attacks.proxy import furthest, steepest
from ml.federated.cohort import Stack
from ml.federated.method import Scene

Direction = Literal["flip", "steepest", "overfit"]
"""Back along the way that honest people went; where errors grow most; further where the attacker's own speech leads."""


@dataclass(frozen=True)
class Adaptive:
    """The furthest model in one direction that would pass the gate with the bound `near`, times `margin`."""

    name: str
    direction: Direction
    near: float
    margin: float = 0.95

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        centre, directions = aimed(scene, self.direction)
        scale = furthest(scene, centre, directions, self.near, most=200.0)
        return centre + np.float32(self.margin * scale) * directions


@dataclass(frozen=True)
class Drift:
    """A way backwards, `stride` honest ways further every round, but never further than the gate lets through."""

    near: float
    name: str = "slow drift"
    stride: float = 0.5
    margin: float = 0.95

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        centre, directions = aimed(scene, "flip")
        way = float(np.linalg.norm(seen_by(scene).mean(axis=0) - scene.ground.genesis))
        most = max(scene.number * self.stride * way, 1e-6)
        return centre + np.float32(self.margin * furthest(scene, centre, directions, self.near, most)) * directions


def aimed(scene: Scene, direction: Direction) -> tuple[Stack, Stack]:
    """Where attackers start from and directions of length 1 from there, both `[A, parameters]`."""
    middle, genesis = seen_by(scene).mean(axis=0), scene.ground.genesis
    count = len(scene.own)
    centre = np.repeat(middle[None], count, axis=0)
    if direction == "steepest":
        return centre, np.repeat(steepest(scene, middle)[None], count, axis=0)
    if direction == "flip":
        return centre, np.repeat(unit((genesis - middle)[None]), count, axis=0)
    return centre, unit(scene.own - genesis)


def unit(stack: Stack) -> Stack:
    """Rows of length 1; rows of zeros stay."""
    lengths = np.maximum(np.linalg.norm(stack, axis=1, keepdims=True), 1e-30)
    found: Stack = (stack / lengths).astype(np.float32)
    return found
