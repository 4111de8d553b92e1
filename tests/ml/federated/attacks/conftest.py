"""A scene with a few honest people and a few attackers, all with made speech."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ml.federated.cohort import Cohort, Person
from ml.federated.method import Ground, Scene
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import Split, TrainOptions

MakeScene = Callable[..., Scene]


@pytest.fixture(scope="session")
def ground() -> Ground:
    """Six people whose speech has a tilt that genesis does not expect, and a hiss in every tenth frame."""
    start = genesis()

    def said(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        latents = rng.normal(0, 1, (120, 32)).astype(np.float32)
        spoken = start.autoencoder.decode(start.weights, latents) + rng.normal(0, 0.3, (120, 80)).astype(np.float32)
        spoken += np.linspace(0.4, -0.4, 80, dtype=np.float32)
        spoken[::10, 50:] += 4.0
        spoken[::10, :30] -= 1.0
        return spoken

    people = [Person(f"person {at}", "any", Split((said(2 * at),), (said(2 * at + 1),))) for at in range(6)]
    cohort = Cohort(start.autoencoder, people)
    return Ground(cohort, flat(start.weights, cohort.layout), TrainOptions(epochs=2, rate=1e-3))


@pytest.fixture(scope="session")
def honest_work(ground: Ground) -> np.ndarray:
    """What everybody learns in one round."""
    cohort = ground.cohort
    return cohort.train(np.repeat(ground.genesis[None], 6, axis=0), range(6), ground.training).last


@pytest.fixture(scope="session")
def make_scene(ground: Ground, honest_work: np.ndarray) -> MakeScene:
    """`(attackers, honest, number, seed)`: the last people attack, the first are honest."""

    def make(attackers: int = 2, honest: int = 4, number: int = 3, seed: int = 0) -> Scene:
        who = list(range(6 - attackers, 6))
        before = ground.genesis + (honest_work[who] - ground.genesis) / 2
        rng = np.random.default_rng(seed)
        return Scene(ground, number, who, honest_work[:honest], honest_work[who], before, rng)

    return make
