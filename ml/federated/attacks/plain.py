"""Attacks that need no knowledge of others: flips, noise, numbers that are none, old models, no work at all.

Everything is measured from genesis, the shared start: an honest model is genesis and a way from it. Knows no rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.method import Scene


@dataclass(frozen=True)
class Scaled:
    """One's own honest way from genesis, `times` as long; negative turns it round (sign flip)."""

    name: str
    times: float

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        genesis = scene.ground.genesis
        return genesis + np.float32(self.times) * (scene.own - genesis)


@dataclass(frozen=True)
class Gaussian:
    """Genesis and Gaussian noise of this standard deviation in every number."""

    name: str = "gaussian"
    deviation: float = 0.1

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        noise = scene.rng.normal(0, self.deviation, scene.own.shape).astype(np.float32)
        return scene.ground.genesis + noise


@dataclass(frozen=True)
class NotFinite:
    """Honest models with numbers that are none: all NaN, a single infinity, or so large that a square overflows."""

    name: str = "not finite"

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        forged = scene.own.copy()
        kinds = (scene.number + np.arange(len(forged))) % 3
        forged[kinds == 0] = np.nan
        forged[kinds == 1, int(scene.rng.integers(forged.shape[1]))] = np.inf
        forged[kinds == 2] = np.float32(3e38)
        return forged


@dataclass(frozen=True)
class Stale:
    """The model of one's first round, again and again, as if it were new."""

    name: str = "stale"

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        return (scene.own if scene.number <= 1 else scene.before).copy()


@dataclass(frozen=True)
class FreeRider:
    """No work: genesis itself, or (`echo`) some honest person's model under one's own name."""

    name: str = "free rider"
    echo: bool = False

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        if self.echo and len(scene.honest):
            return scene.honest[scene.rng.integers(len(scene.honest), size=len(scene.own))].copy()
        return np.repeat(scene.ground.genesis[None], len(scene.own), axis=0)
