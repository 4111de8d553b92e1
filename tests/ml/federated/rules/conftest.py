"""A few people with made speech, and inboxes of models around theirs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from ml.federated.cohort import Cohort, Person
from ml.federated.method import Ground, Inbox
from ml.voice.genesis import genesis
from ml.voice.stacked import flat
from ml.voice.training import Split, TrainOptions

MakeInbox = Callable[..., tuple[np.ndarray, Inbox]]


@pytest.fixture(scope="session")
def ground() -> Ground:
    """Four people who say what genesis nearly knows; the last has nothing held out."""
    start = genesis()

    def said(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        latents = rng.normal(0, 1, (40, 32)).astype(np.float32)
        return start.autoencoder.decode(start.weights, latents) + rng.normal(0, 0.3, (40, 80)).astype(np.float32)

    people = [
        Person(f"person {at}", "any", Split((said(2 * at),), (said(2 * at + 1),) if at < 3 else ())) for at in range(4)
    ]
    cohort = Cohort(start.autoencoder, people)
    return Ground(cohort, flat(start.weights, cohort.layout), TrainOptions(epochs=1))


@pytest.fixture(scope="session")
def make_inbox(ground: Ground) -> MakeInbox:
    """`(count, hostile, forged, seed)`: the own weights of the first three people, and for each of them `count` models,
    the first `hostile` of which are `forged` and the others about as far from genesis as their own."""

    def make(count: int, hostile: int = 0, forged: float = 0.0, seed: int = 0) -> tuple[np.ndarray, Inbox]:
        rng = np.random.default_rng(seed)
        size = len(ground.genesis)

        def near(*shape: int) -> np.ndarray:
            return ground.genesis + rng.normal(0, 0.005, (*shape, size)).astype(np.float32)

        stack = near(3, count)
        stack[:, :hostile] = forged
        return near(3), Inbox(
            stack,
            np.ones((3, count), bool),
            np.tile(np.arange(10, 10 + count), (3, 1)),
            np.full((3, count), 500, np.int64),
            np.zeros((3, count)),
        )

    return make
