"""Attackers who see what honest people publish and agree among themselves.

Baruch, Baruch and Goldberg, "A little is enough" (2019); Xie, Koyejo and Gupta, "Fall of empires" (2019); Douceur, "The
Sybil attack" (2002). Without any honest model to look at, their own honest work stands in for it. Knows no rule.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ml.federated.cohort import Stack
from ml.federated.method import Attack, Scene
from ml.weights import Tensor


@dataclass(frozen=True)
class LittleIsEnough:
    """ALIE: the mean of honest models, `deviations` of their own spread against the way they went, number by number.

    The paper shifts every number to the same side; here against the sign of the honest way, which harms more.
    """

    name: str = "ALIE"
    deviations: float = 1.5

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        seen = seen_by(scene)
        middle = seen.mean(axis=0)
        against = -np.sign(middle - scene.ground.genesis) * np.float32(self.deviations)
        return together(scene, middle + against * seen.std(axis=0))


@dataclass(frozen=True)
class InnerProduct:
    """Inner-product manipulation: the mean honest way from genesis, turned round, `times` as long."""

    name: str = "inner product"
    times: float = 0.5

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        genesis = scene.ground.genesis
        return together(scene, genesis - np.float32(self.times) * (seen_by(scene).mean(axis=0) - genesis))


@dataclass(frozen=True)
class Sybil:
    """A crowd of one: the first attacker's forgery under all names, with a trace of noise so that no two are equal."""

    of: Attack
    name: str = "Sybil crowd"
    noise: float = 1e-5

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        first = self.of.forge(
            replace(scene, attackers=scene.attackers[:1], own=scene.own[:1], before=scene.before[:1])
        )[0]
        return together(scene, first, self.noise)


@dataclass(frozen=True)
class Collusion:
    """All attackers pull to one secret place, the same in all rounds, as far from the honest mean as honest models are:
    nearer to each other than honest ones, so that where they are the majority, they are the consensus."""

    name: str = "collusion"
    secret: int = 0

    def forge(self, scene: Scene) -> Stack:
        """As `Attack.forge`."""
        seen = seen_by(scene)
        middle = seen.mean(axis=0)
        spread = float(np.linalg.norm(seen - middle, axis=1).mean())
        length = spread or float(np.linalg.norm(middle - scene.ground.genesis))
        place = np.random.default_rng(self.secret).normal(size=middle.shape).astype(np.float32)
        place -= middle - scene.ground.genesis
        return together(scene, middle + place * np.float32(length / max(float(np.linalg.norm(place)), 1e-30)), 1e-4)


def seen_by(scene: Scene) -> Stack:
    """Honest models as attackers know them: their own honest work where they see no others."""
    return scene.honest if len(scene.honest) else scene.own


def together(scene: Scene, one: Tensor, noise: float = 0.0) -> Stack:
    """The same model for every attacker, with Gaussian noise of this deviation in every number."""
    stack = np.repeat(one[None].astype(np.float32), len(scene.own), axis=0)
    if noise:
        stack += scene.rng.normal(0, noise, stack.shape).astype(np.float32)
    return stack
